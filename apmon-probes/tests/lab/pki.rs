//! Certificate authorities, intermediates and the certificates that they sign,
//! created by openssl.

use std::{path::PathBuf, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use sha2::{Digest as _, Sha256};

use super::openssl;

pub const AUTHORITY: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign";
pub const LEAF: &str = "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1";

const CONFIG: &str = "[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN=lab\n[ca]\ndefault_ca=d\n[d]\n\
    database=index.txt\nnew_certs_dir=.\nserial=serial\ndefault_md=sha256\npolicy=p\nunique_subject=no\n\
    [p]\ncommonName=supplied\n";

/// A certificate to be created.
pub struct CertificateSpec<'a> {
    pub name: &'a str,
    /// Extensions in openssl's syntax, one per line; "" means X.509 version 1.
    pub extensions: &'a str,
    /// Start and end of validity, as `YYYYMMDD`.
    pub dates: (&'a str, &'a str),
    /// The name of the signing certificate; `None` for a self-signed one.
    pub signer: Option<&'a str>,
}

impl Default for CertificateSpec<'_> {
    fn default() -> Self {
        Self {
            name: "leaf",
            extensions: LEAF,
            dates: ("20200101", "20991231"),
            signer: Some("root"),
        }
    }
}

/// A directory of certificates, by name. It starts with the authority `root`.
pub struct Pki {
    directory: tempfile::TempDir,
}

impl Pki {
    pub fn new() -> Self {
        let pki = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        pki.write("ca.conf", CONFIG);
        pki.write("index.txt", "");
        pki.write("serial", "01");
        pki.make(&CertificateSpec {
            name: "root",
            extensions: AUTHORITY,
            signer: None,
            ..CertificateSpec::default()
        });
        pki
    }

    /// Creates a certificate, replacing one of the same name.
    pub fn make(&self, spec: &CertificateSpec<'_>) {
        let CertificateSpec {
            name,
            extensions,
            dates: (from, until),
            signer,
        } = spec;
        self.openssl(&format!(
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {name}.key"
        ));
        self.openssl(&format!(
            "req -new -config ca.conf -key {name}.key -subj /CN={name} -out {name}.csr"
        ));
        let signer = match signer {
            Some(signer) => format!("-cert {signer}.pem -keyfile {signer}.key"),
            None => format!("-selfsign -keyfile {name}.key"),
        };
        if extensions.is_empty() {
            self.openssl(&format!(
                "x509 -req -in {name}.csr -signkey {name}.key -days 3650 -out {name}.pem"
            ));
            return;
        }
        self.write(&format!("{name}.ext"), extensions);
        self.openssl(&format!(
            "ca -batch -config ca.conf -notext -in {name}.csr -out {name}.pem -extfile {name}.ext \
             -startdate {from}000000Z -enddate {until}000000Z {signer}"
        ));
    }

    /// Creates a leaf with that name and the default properties.
    pub fn leaf(&self, name: &str) {
        self.make(&CertificateSpec {
            name,
            ..CertificateSpec::default()
        });
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn der(&self, name: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.path(&format!("{name}.pem"))).unwrap()
    }

    fn key(&self, name: &str) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key"))).unwrap()
    }

    /// The SHA-256 fingerprint, as a pin.
    pub fn pin(&self, name: &str) -> String {
        let digest = Sha256::digest(self.der(name));
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A server that presents `chain`, its own certificate first.
    pub fn server(&self, chain: &[&str]) -> Server {
        Server {
            key: self.key(chain[0]),
            chain: chain.iter().map(|name| self.der(name)).collect(),
            versions: rustls::DEFAULT_VERSIONS,
            protocols: Vec::new(),
        }
    }

    fn openssl(&self, arguments: &str) {
        openssl(self.directory.path(), arguments);
    }
}

/// The TLS settings of a server.
pub struct Server {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    versions: &'static [&'static rustls::SupportedProtocolVersion],
    protocols: Vec<Vec<u8>>,
}

impl Server {
    /// Uses the key of another server with this server's certificate.
    pub fn with_key_of(mut self, other: &Self) -> Self {
        self.key = other.key.clone_key();
        self
    }

    pub fn version(mut self, version: &'static [&'static rustls::SupportedProtocolVersion]) -> Self {
        self.versions = version;
        self
    }

    pub fn protocol(mut self, name: &str) -> Self {
        self.protocols.push(name.as_bytes().to_vec());
        self
    }

    pub fn config(self) -> Arc<ServerConfig> {
        let provider = Arc::new(ring::default_provider());
        let key = provider.key_provider.load_private_key(self.key).unwrap();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(UncheckedCertificate(Arc::new(CertifiedKey::new(
                self.chain, key,
            )))));
        config.alpn_protocols = self.protocols;
        Arc::new(config)
    }
}

/// A certificate and a key, without rustls's check that they belong together.
#[derive(Debug)]
struct UncheckedCertificate(Arc<CertifiedKey>);

impl ResolvesServerCert for UncheckedCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}
