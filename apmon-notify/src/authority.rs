//! This machine's authorities, as the clients of this crate read them.

use apmon_tls::{Authorities, NoAuthorities};
use tokio::sync::oneshot;

/// Why the authorities are not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthorityError {
    /// The machine has none.
    #[error(transparent)]
    None(NoAuthorities),
    /// They could not be read.
    #[error("{0}")]
    NotRead(String),
}

/// Reads this machine's authorities (about 13 ms) on a thread of its own. They are read
/// anew each time, since some may have been installed meanwhile.
pub(crate) async fn authorities() -> Result<Authorities, AuthorityError> {
    let (reply, read) = oneshot::channel();
    std::thread::Builder::new()
        .name("apmon-tls".into())
        .spawn(move || {
            let _ = reply.send(Authorities::read_system()); // the delivery may be over
        })
        .map_err(|error| AuthorityError::NotRead(error.to_string()))?;
    match read.await {
        Ok(read) => read.map_err(AuthorityError::None),
        Err(_) => Err(AuthorityError::NotRead(
            "the thread that reads the authorities has died".into(),
        )),
    }
}
