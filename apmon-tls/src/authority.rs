//! The authorities that are trusted to sign certificates.

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::SystemTime,
};

use apmon_core::input_file::{InputFileError, open_file, read_file};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use x509_parser::x509::X509Version;

use crate::{certificate::parse, fingerprint::Fingerprint};

/// A set of trusted authorities.
pub struct Authorities {
    pub(crate) roots: RootCertStore,
    /// The certificates themselves, where they come from a file.
    own: Vec<Fingerprint>,
}

/// The error of a machine on which no certificate authorities are installed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no certificate authorities on this machine; install ca-certificates{}", .cause.as_ref().map(|cause| format!(" ({cause})")).unwrap_or_default())]
pub struct NoAuthorities {
    /// The first error met in reading them, if there was one.
    pub cause: Option<String>,
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} authorities", self.roots.len())
    }
}

/// Whether a certificate of a file may sign others. A server's own certificate
/// identifies that server alone, not those whose certificates its key has
/// signed. X.509 version 1 does not say what a certificate is for.
fn may_sign(certificate: &CertificateDer<'_>) -> bool {
    parse(certificate).is_ok_and(|parsed| parsed.is_ca() || parsed.version() == X509Version::V1)
}

/// The largest PEM file; the authorities of a system take about 250 KB.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// A file that was read, and the version of it.
type ReadFile = ((Option<SystemTime>, u64), Arc<Authorities>);

impl Authorities {
    /// Reads the authorities that this machine trusts (about 13 ms).
    ///
    /// # Errors
    /// If there are none.
    pub fn read_system() -> Result<Self, NoAuthorities> {
        let read = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        // webpki cannot read some of them, on every machine.
        roots.add_parsable_certificates(read.certs);
        if roots.is_empty() {
            let cause = read.errors.first().map(ToString::to_string);
            return Err(NoAuthorities { cause });
        }
        let own = Vec::new();
        Ok(Self { roots, own })
    }

    /// The authorities that this machine trusts, read once and shared.
    ///
    /// # Errors
    /// If there are none. That is not remembered: they may be installed later.
    pub fn system() -> Result<Arc<Self>, NoAuthorities> {
        static SYSTEM: Mutex<Option<Arc<Authorities>>> = Mutex::new(None);
        let mut system = SYSTEM.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(system) = &*system {
            return Ok(Arc::clone(system));
        }
        let authorities = Arc::new(Self::read_system()?);
        Ok(Arc::clone(system.insert(authorities)))
    }

    /// Reads the authorities of a PEM file. Thousands of monitors may name the
    /// same file: it is read again only when it has changed.
    ///
    /// # Errors
    /// What is wrong with the file, in words that begin with its path.
    pub fn of_file(path: &Path) -> Result<Arc<Self>, String> {
        static FILES: LazyLock<Mutex<HashMap<PathBuf, ReadFile>>> = LazyLock::new(Mutex::default);
        let shown = path.display();
        let unreadable = |error| match error {
            InputFileError::Io(error) => format!("{shown}: {error}"),
            other => format!("{shown} is not a PEM file of certificates: {other}"),
        };
        let (_, metadata) = open_file(path).map_err(unreadable)?;
        let version = (metadata.modified().ok(), metadata.len());
        // Not held while a file is read: its disk may not answer.
        let files = || FILES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((read, authorities)) = files().get(path)
            && *read == version
        {
            return Ok(Arc::clone(authorities));
        }
        let bytes = read_file(path, MAX_BYTES).map_err(unreadable)?;
        let certificates = CertificateDer::pem_slice_iter(&bytes)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| format!("{shown} is not a PEM file of certificates: {error}"))?;
        if certificates.is_empty() {
            return Err(format!("{shown} contains no certificate"));
        }
        if certificates.iter().any(|certificate| parse(certificate).is_err()) {
            return Err(format!("{shown} contains an entry that is not a certificate"));
        }
        let mut roots = RootCertStore::empty();
        let own = certificates
            .iter()
            .map(|certificate| Fingerprint::of(certificate))
            .collect();
        roots.add_parsable_certificates(certificates.into_iter().filter(may_sign));
        let authorities = Arc::new(Self { roots, own });
        files().insert(path.to_owned(), (version, Arc::clone(&authorities)));
        Ok(authorities)
    }

    /// No authorities: every certificate fails verification.
    #[must_use]
    pub fn none() -> Self {
        Self {
            roots: RootCertStore::empty(),
            own: Vec::new(),
        }
    }

    /// Whether the operator has named them, in a file.
    pub(crate) fn is_own(&self) -> bool {
        !self.own.is_empty()
    }

    /// Whether the file holds this very certificate.
    pub(crate) fn holds(&self, certificate: &[u8]) -> bool {
        !self.own.is_empty() && self.own.contains(&Fingerprint::of(certificate))
    }

    /// The fingerprints of a file's certificates, which identify the set; empty for
    /// the system's.
    #[must_use]
    pub fn fingerprints(&self) -> &[Fingerprint] {
        &self.own
    }
}
