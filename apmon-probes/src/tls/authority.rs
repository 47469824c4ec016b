//! Whom this machine trusts to sign certificates.

use std::{
    collections::HashMap,
    fmt, fs,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::SystemTime,
};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use x509_parser::x509::X509Version;

use super::{Fingerprint, verifier};

/// A set of authorities.
pub(crate) struct Authorities {
    pub(super) roots: RootCertStore,
    /// The certificates themselves, where they came from a file.
    own: Vec<Fingerprint>,
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} authorities", self.roots.len())
    }
}

/// A server's own certificate in the file stands for that server, and for nobody
/// whose certificate its key has signed. Version 1 does not tell.
fn may_sign(certificate: &CertificateDer<'_>) -> bool {
    verifier::parse(certificate).is_ok_and(|parsed| parsed.is_ca() || parsed.version() == X509Version::V1)
}

/// A file that was read, and as which version.
type Read = ((Option<SystemTime>, u64), Arc<Authorities>);

impl Authorities {
    /// The system's, read once; what is wrong follows `"ssl_verify" `.
    pub(super) fn of_the_system() -> Result<Arc<Self>, String> {
        static SYSTEM: Mutex<Option<Arc<Authorities>>> = Mutex::new(None);
        let mut system = SYSTEM.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(system) = &*system {
            return Ok(Arc::clone(system));
        }
        let mut roots = RootCertStore::empty();
        // Some of them webpki cannot read, on every machine.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            // Not remembered: somebody may install them now.
            return Err(
                "finds no authorities on this machine; install ca-certificates or name an ssl_ca_file"
                    .to_owned(),
            );
        }
        let found = Arc::new(Authorities {
            roots,
            own: Vec::new(),
        });
        Ok(Arc::clone(system.insert(found)))
    }

    /// Those of a PEM file; what is wrong follows `"ssl_ca_file" `. Thousands
    /// of monitors may name the same file: it is read again only when it has
    /// changed.
    pub(super) fn of_file(path: &Path) -> Result<Arc<Self>, String> {
        static FILES: LazyLock<Mutex<HashMap<PathBuf, Read>>> = LazyLock::new(Mutex::default);
        let shown = path.display();
        let metadata = fs::metadata(path).map_err(|error| format!("{shown}: {error}"))?;
        let version = (metadata.modified().ok(), metadata.len());
        let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((read, authorities)) = files.get(path)
            && *read == version
        {
            return Ok(Arc::clone(authorities));
        }
        let certificates = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| format!("{shown} is no PEM file of certificates: {error}"))?;
        if certificates.is_empty() {
            return Err(format!("{shown} holds no certificate"));
        }
        if certificates
            .iter()
            .any(|certificate| verifier::parse(certificate).is_err())
        {
            return Err(format!("{shown} holds something that is no certificate"));
        }
        let mut roots = RootCertStore::empty();
        let own = certificates
            .iter()
            .map(|certificate| Fingerprint::of(certificate))
            .collect();
        roots.add_parsable_certificates(certificates.into_iter().filter(may_sign));
        let authorities = Arc::new(Self { roots, own });
        files.insert(path.to_owned(), (version, Arc::clone(&authorities)));
        Ok(authorities)
    }

    pub(super) fn of_nobody() -> Self {
        Self {
            roots: RootCertStore::empty(),
            own: Vec::new(),
        }
    }

    /// Whether the file has this very certificate.
    pub(super) fn holds(&self, certificate: &[u8]) -> bool {
        !self.own.is_empty() && self.own.contains(&Fingerprint::of(certificate))
    }

    /// Tells one set from another.
    pub(super) fn basis(&self) -> &[Fingerprint] {
        &self.own
    }
}
