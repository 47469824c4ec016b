//! Signatures that openssl makes, and the same ones changed.

use std::{fs, path::Path, process::Command};

use rustls::SignatureScheme;
use x509_parser::{prelude::FromDer as _, x509::SubjectPublicKeyInfo};

use super::*;
use crate::certificate::has_algorithm;

const MESSAGE: &[u8] = b"signed by the key of a device";

fn openssl(directory: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .output()
        .expect("this test needs the openssl binary (apt install openssl)");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments}: {stderr}");
}

/// How a key is made, how it signs, and what verifies that.
type Case = (&'static str, &'static str, Algorithm);

const PSS: &str = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1";

const P256: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";
const P384: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-384";
const P521: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-521";
const RSA_512: &str = "-algorithm RSA -pkeyopt rsa_keygen_bits:512";
const RSA_1024: &str = "-algorithm RSA -pkeyopt rsa_keygen_bits:1024";
const RSA_2048: &str = "-algorithm RSA -pkeyopt rsa_keygen_bits:2048";
const PSS_1024: &str = "-algorithm RSA-PSS -pkeyopt rsa_keygen_bits:1024";
const PSS_2048: &str = "-algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048";

/// A key signs, and no byte of the signature can be changed or lost.
fn verify((key, signing, algorithm): Case) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("message"), MESSAGE).unwrap();
    openssl(path, &format!("genpkey {key} -out key"));
    openssl(path, "pkey -in key -pubout -outform DER -out public");
    openssl(path, &format!("dgst {signing} -sign key -out signature message"));
    let public = fs::read(path.join("public")).unwrap();
    let (_, public) = SubjectPublicKeyInfo::from_der(&public).unwrap();
    let bits = &public.subject_public_key.data;
    let case = format!("{key} {signing}");
    assert!(
        has_algorithm(public.raw, algorithm.public_key_alg_id().as_ref()),
        "{case}"
    );
    let good = fs::read(path.join("signature")).unwrap();
    let is_valid =
        |message: &[u8], signature: &[u8]| algorithm.verify_signature(bits, message, signature).is_ok();
    assert!(is_valid(MESSAGE, &good), "{case}");
    assert!(!is_valid(b"signed by the key of another", &good), "{case}");
    for at in 0..good.len() {
        let mut flipped = good.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(!is_valid(MESSAGE, &flipped), "{case}: byte {at} is flipped");
        // The length is checked first, so that these cost nothing.
        assert!(!is_valid(MESSAGE, &good[..at]), "{case}: cut to {at} bytes");
    }
    let longer = [&good[..], &[0]].concat();
    assert!(!is_valid(MESSAGE, &longer), "{case}: one byte longer");
}

#[test]
fn ecdsa_signatures_that_ring_refuses_are_verified() {
    for case in [
        (P256, "-sha512", &P256_SHA512 as Algorithm),
        (P256, "-sha1", &P256_SHA1),
        (P256, "-sha224", &P256_SHA224),
        (P384, "-sha512", &P384_SHA512),
        (P384, "-sha1", &P384_SHA1),
        (P384, "-sha224", &P384_SHA224),
    ] {
        verify(case);
    }
}

#[test]
fn signatures_of_p521_are_verified() {
    for case in [
        (P521, "-sha512", &P521_SHA512 as Algorithm),
        (P521, "-sha384", &P521_SHA384),
        (P521, "-sha256", &P521_SHA256),
        (P521, "-sha224", &P521_SHA224),
        (P521, "-sha1", &P521_SHA1),
    ] {
        verify(case);
    }
}

#[test]
fn signatures_of_short_rsa_keys_are_verified() {
    for case in [
        (RSA_512, "-sha256", &PKCS1_SHA256 as Algorithm),
        (RSA_1024, "-sha256", &PKCS1_SHA256),
        (RSA_1024, "-sha384", &PKCS1_SHA384),
        (RSA_1024, "-sha512", &PKCS1_SHA512),
        (RSA_1024, "-sha1", &PKCS1_SHA1),
        (RSA_1024, "-sha224", &PKCS1_SHA224),
        (RSA_2048, "-sha1", &PKCS1_SHA1),
        (RSA_2048, "-sha224", &PKCS1_SHA224),
        (RSA_2048, "-sha256", &PKCS1_SHA256),
    ] {
        verify(case);
    }
}

#[test]
fn signatures_by_rsa_pss_are_verified() {
    for (key, hash, algorithm) in [
        (RSA_1024, "-sha256", &PSS_SHA256 as Algorithm),
        (RSA_1024, "-sha384", &PSS_SHA384),
        (RSA_2048, "-sha512", &PSS_SHA512),
        (PSS_1024, "-sha256", &PSS_KEY_SHA256),
        (PSS_2048, "-sha384", &PSS_KEY_SHA384),
        (PSS_2048, "-sha512", &PSS_KEY_SHA512),
    ] {
        let signing = format!("{hash} {PSS}");
        verify((key, signing.leak(), algorithm));
    }
}

#[test]
fn keys_that_are_none_are_refused() {
    let mut number = vec![0x30, 0x06, 0x02, 0x01, 0x00, 0x02, 0x01, 0x03];
    for key in [&[][..], &[0x30], &[4; 133], &number.clone(), &[0xff; 600]] {
        for algorithm in [
            &PKCS1_SHA256 as Algorithm,
            &PSS_SHA256,
            &P521_SHA512,
            &P256_SHA512,
        ] {
            assert!(algorithm.verify_signature(key, MESSAGE, &[1; 64]).is_err());
        }
    }
    // An even modulus of 1024 bits, and one of 16,384.
    for length in [128_usize, 2048] {
        number = vec![0x30, 0x82];
        let modulus = [&[0x00, 0xff][..], &vec![0; length - 1]].concat();
        let content = [
            &[0x02, 0x82][..],
            &u16::try_from(modulus.len()).unwrap().to_be_bytes(),
            &modulus,
            &[0x02, 0x01, 0x03],
        ]
        .concat();
        number.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
        number.extend(content);
        let signature = vec![1; length];
        assert!(PKCS1_SHA1.verify_signature(&number, MESSAGE, &signature).is_err());
        assert!(
            PKCS1_SHA256
                .verify_signature(&number, MESSAGE, &signature)
                .is_err()
        );
    }
}

#[test]
fn tls_1_3_has_one_curve_for_a_scheme_and_no_pkcs_1() {
    let count = |scheme, rules| of_handshakes(scheme, rules).len();
    let ecdsa = SignatureScheme::ECDSA_NISTP521_SHA512;
    assert_eq!((count(ecdsa, Rules::Tls12), count(ecdsa, Rules::Tls13)), (3, 1));
    let pkcs1 = SignatureScheme::RSA_PKCS1_SHA256;
    assert_eq!((count(pkcs1, Rules::Tls12), count(pkcs1, Rules::Tls13)), (2, 0));
    assert_eq!(count(SignatureScheme::RSA_PKCS1_SHA1, Rules::Tls12), 0);
}

#[test]
fn the_schemes_of_ring_come_first_and_short_hashes_before_long_ones() {
    let of_ring = provider().signature_verification_algorithms.supported_schemes();
    let schemes = schemes();
    let (first, more) = schemes.split_at(of_ring.len());
    assert!(first.iter().all(|scheme| of_ring.contains(scheme)), "{first:?}");
    assert_eq!(more.len(), 4, "{more:?}");
    let at = |scheme| first.iter().position(|known| *known == scheme);
    assert!(at(SignatureScheme::RSA_PKCS1_SHA256) < at(SignatureScheme::RSA_PKCS1_SHA512));
    assert!(at(SignatureScheme::RSA_PSS_SHA256) < at(SignatureScheme::RSA_PSS_SHA512));
}

#[test]
fn weak_signatures_count_below_own_authorities_alone() {
    let has = |is_own, algorithm: Algorithm| {
        of_chains(is_own)
            .iter()
            .any(|known| std::ptr::addr_eq(*known, algorithm))
    };
    for weak in WEAK {
        assert!(has(true, weak) && !has(false, weak), "{weak:?}");
    }
    for strong in STRONG {
        assert!(has(true, strong) && has(false, strong), "{strong:?}");
    }
}
