use apmon_core::config::Host;

use super::{verifier::holds_algorithm, *};

#[test]
fn fingerprints_are_read_in_every_usual_form() {
    let plain = "e85260e8f8e85629cfa4d023ea0ae8dd3ce8ccc0040b054a4753c2a5ab269296";
    let pairs: Vec<_> = (0..32)
        .map(|at| plain[2 * at..2 * at + 2].to_uppercase())
        .collect();
    let read = Fingerprint::parse(plain).unwrap();
    assert_eq!(Fingerprint::parse(&pairs.join(":")).unwrap(), read);
    assert_eq!(read.to_string(), plain);
    for bad in [
        "",
        "e8",
        &plain[1..],
        &format!("{plain}0"),
        "g",
        &plain.replace('e', "é"),
    ] {
        let message = Fingerprint::parse(bad).unwrap_err();
        assert!(
            message.starts_with("must be a SHA-256 fingerprint: 64 hex digits"),
            "{message}"
        );
    }
}

#[test]
fn a_fingerprint_is_the_hash_of_the_certificate() {
    let of_nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(Fingerprint::of(b"").to_string(), of_nothing);
}

#[test]
fn names_that_tls_does_not_know_are_left_out_of_the_handshake() {
    let named = |host: &str| server_name(&Host::parse(host).unwrap()).to_str().into_owned();
    assert_eq!(named("nas.lan."), "nas.lan");
    assert_eq!(named("::1"), "::1");
    assert_eq!(named("127.0.0.1"), "127.0.0.1");
    assert_eq!(named("müller.lan"), "0.0.0.0");
}

#[test]
fn rubbish_is_no_public_key() {
    for der in [
        &[][..],
        &[0x30],
        &[0x30, 0x80],
        &[0x30, 0xff, 1, 2],
        &[0x30, 2, 0x30, 9],
        &[0x31, 0],
    ] {
        assert!(!holds_algorithm(der, &[1]), "{der:?}");
    }
    assert!(holds_algorithm(&[0x30, 5, 0x30, 1, 7, 3, 0], &[7]));
    assert!(holds_algorithm(&[0x30, 0x81, 3, 0x30, 1, 7], &[7]));
}

#[test]
fn a_failed_handshake_reads_as_a_person_would_say_it() {
    let of = |error: Error| failure("tls", &io::Error::new(io::ErrorKind::InvalidData, error));
    let alert = of(Error::AlertReceived(rustls::AlertDescription::HandshakeFailure));
    assert_eq!(alert.reason, "tls: refused by the server (HandshakeFailure)");
    assert_eq!(alert.class, FailureClass::Tls);
    let closed = failure("tls", &io::ErrorKind::UnexpectedEof.into());
    assert_eq!(closed.reason, "tls: connection closed by the peer");
    assert_eq!(closed.class, FailureClass::Closed);
}
