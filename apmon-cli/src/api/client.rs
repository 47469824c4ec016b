//! Asking a running daemon.

use std::{io, path::Path};

use hyper::StatusCode;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    /// Nobody listens.
    #[error("no daemon runs")]
    NoDaemon,
    /// Somebody does, but not to everybody.
    #[error("the daemon answers its own user and group only")]
    Denied,
    /// The daemon says no.
    #[error("{0}")]
    Refused(String),
    /// What comes back is no answer.
    #[error("the daemon does not answer: {0}")]
    Failed(String),
}

impl From<io::Error> for Unanswered {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::ConnectionRefused => {
                Self::NoDaemon
            }
            // Where no socket can be none was made.
            io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported => Self::NoDaemon,
            io::ErrorKind::PermissionDenied => Self::Denied,
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// What `GET path` gives at this socket.
pub(crate) fn get(socket: &Path, path: &str) -> Result<Vec<u8>, Unanswered> {
    ask(socket, "GET", path, String::new())
}

/// What `POST path` gives at this socket.
pub(crate) fn post(socket: &Path, path: &str, json: String) -> Result<Vec<u8>, Unanswered> {
    ask(socket, "POST", path, json)
}

fn ask(socket: &Path, method: &str, path: &str, json: String) -> Result<Vec<u8>, Unanswered> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (status, body) = runtime.block_on(exchange(socket, method, path, json))?;
    if status == StatusCode::OK {
        return Ok(body);
    }
    let said = serde_json::from_slice::<serde_json::Value>(&body);
    let said = said
        .ok()
        .and_then(|body| body["error"].as_str().map(str::to_owned));
    Err(Unanswered::Refused(said.unwrap_or_else(|| status.to_string())))
}

#[cfg(unix)]
async fn exchange(
    socket: &Path,
    method: &str,
    path: &str,
    json: String,
) -> Result<(StatusCode, Vec<u8>), Unanswered> {
    use std::time::Duration;

    use http_body_util::{BodyExt as _, Full};
    use hyper::{Request, client::conn::http1};
    use hyper_util::rt::TokioIo;

    /// For all of it.
    const PATIENCE: Duration = Duration::from_secs(10);

    let failed = |error: hyper::Error| Unanswered::Failed(error.to_string());
    let asked = async {
        let stream = tokio::net::UnixStream::connect(socket).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Full::<bytes::Bytes>::from(json))
            .map_err(|error| Unanswered::Failed(error.to_string()))?;
        let answer = sender.send_request(request).await.map_err(failed)?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(failed)?;
        Ok((status, body.to_bytes().to_vec()))
    };
    tokio::time::timeout(PATIENCE, asked)
        .await
        .unwrap_or_else(|_| Err(Unanswered::Failed("too late".into())))
}

#[cfg(not(unix))]
async fn exchange(_: &Path, _: &str, _: &str, _: String) -> Result<(StatusCode, Vec<u8>), Unanswered> {
    Err(Unanswered::NoDaemon)
}
