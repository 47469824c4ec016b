//! The error that takes the place of QUIC in a build without it.

use apmon_core::{Check, Failure, FailureClass};
use rustls::pki_types::{CertificateDer, ServerName};

use crate::{endpoint::Endpoint, local::Local, recorder::CheckRecorder, tls::Tls};

/// The name of the kind.
pub(crate) const NAME: &str = "quic";

/// Fails.
pub(crate) async fn certificates(
    _: &Tls,
    _: &Endpoint,
    _: &ServerName<'static>,
    _: &Check,
    _: &mut CheckRecorder,
    _: &Local,
) -> Result<Vec<CertificateDer<'static>>, Failure> {
    Err(Failure::new(
        FailureClass::Protocol,
        "this apmon was built without \"quic\"",
    ))
}
