//! The client of a running daemon's API.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use hyper::StatusCode;

use crate::registry::{is_believed, is_of_owner};

/// The deadline of a whole exchange: an engine that does not answer is reported before that.
const TIMEOUT: Duration = Duration::from_secs(7);

/// Why a request to a daemon failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// Nothing listens on the socket.
    #[error("no daemon is running")]
    NoDaemon,
    /// The daemon was started with the site file and does not run the site.
    #[error("the daemon (process {pid}) does not run this site: {reason}")]
    NotRun {
        /// The process of the daemon.
        pid: u32,
        /// Why it does not.
        reason: String,
    },
    /// Nothing listens on the sockets that this user may see.
    #[error("no daemon was found")]
    NotFound,
    /// The daemon is running, but nothing listens on the socket.
    #[error("the daemon (process {0}) cannot be asked: nothing listens on its socket")]
    NoSocket(u32),
    /// The socket is open to the daemon's user and group only.
    #[error("the daemon answers only its own user and group")]
    Denied,
    /// What listens on the socket is a process of this other user.
    #[error(
        "what listens on the socket belongs to another user (uid {0}), who does not own the state, and is not trusted"
    )]
    #[cfg_attr(not(unix), allow(dead_code))] // there are no sockets
    Foreign(u32),
    /// The daemon refused the request.
    #[error("{0}")]
    Refused(String),
    /// There was no valid answer.
    #[error("the daemon does not answer: {0}")]
    Failed(String),
}

impl ApiError {
    /// Whether no daemon is known to run the site.
    pub(crate) fn is_absence(&self) -> bool {
        matches!(self, Self::NoDaemon | Self::NotFound | Self::NotRun { .. })
    }
}

impl From<io::Error> for ApiError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::ConnectionRefused => {
                Self::NoDaemon
            }
            // Where there can be no socket, no daemon made one.
            io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported => Self::NoDaemon,
            io::ErrorKind::PermissionDenied => Self::Denied,
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Sends `GET path` to the daemon at `socket` and returns the body. Asked is a daemon whose entry in a
/// registry in the socket's directory would be believed (root's, this user's, or of the user to whom
/// root gave that directory), and one of the user whose state would be shown without a daemon.
pub(crate) fn get(socket: &Path, path: &str) -> Result<Vec<u8>, ApiError> {
    let body = exchange(socket, "GET", path, String::new(), asked_at(socket));
    request(body, TIMEOUT)
}

/// As [`get`], within `timeout`, from a daemon of a user who `is_believed`.
pub(super) fn get_from(
    socket: &Path,
    path: &str,
    timeout: Duration,
    is_believed: impl Fn(u32) -> bool,
) -> Result<Vec<u8>, ApiError> {
    request(exchange(socket, "GET", path, String::new(), is_believed), timeout)
}

/// Sends `POST path` to the daemon at `socket` and returns the body; as [`get`], only to one that is
/// asked there.
pub(crate) fn post(socket: &Path, path: &str, json: String) -> Result<Vec<u8>, ApiError> {
    request(exchange(socket, "POST", path, json, asked_at(socket)), TIMEOUT)
}

pub(super) fn believed_at(socket: &Path) -> impl Fn(u32) -> bool {
    let directory = directory_of(socket);
    move |uid| is_believed(&directory, uid)
}

fn asked_at(socket: &Path) -> impl Fn(u32) -> bool {
    move |uid| is_believed(&directory_of(socket), uid) || is_of_owner(socket, uid)
}

fn directory_of(socket: &Path) -> PathBuf {
    match socket.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn request(
    exchange: impl Future<Output = Result<(StatusCode, Vec<u8>), ApiError>>,
    deadline: Duration,
) -> Result<Vec<u8>, ApiError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let exchange = async { tokio::time::timeout(deadline, exchange).await };
    let (status, body) = runtime.block_on(exchange).unwrap_or_else(|_| {
        let seconds = deadline.as_secs();
        Err(ApiError::Failed(format!("no answer within {seconds} secs")))
    })?;
    if status == StatusCode::OK {
        return Ok(body);
    }
    let reason = serde_json::from_slice::<serde_json::Value>(&body);
    let reason = reason
        .ok()
        .and_then(|body| body["error"].as_str().map(str::to_owned));
    Err(ApiError::Refused(reason.unwrap_or_else(|| status.to_string())))
}

#[cfg(unix)]
async fn exchange(
    socket: &Path,
    method: &str,
    path: &str,
    json: String,
    is_believed: impl Fn(u32) -> bool,
) -> Result<(StatusCode, Vec<u8>), ApiError> {
    use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
    use hyper::{Request, client::conn::http1};
    use hyper_util::rt::TokioIo;

    /// The longest answer: the status of a hundred times as many monitors as a daemon can check.
    /// Whatever answers need not be a daemon.
    const MAX_ANSWER: usize = 128 << 20;

    let failed = |error: hyper::Error| ApiError::Failed(error.to_string());
    let stream = tokio::net::UnixStream::connect(socket).await?;
    let uid = stream.peer_cred()?.uid();
    if !is_believed(uid) {
        return Err(ApiError::Foreign(uid));
    }
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Full::<bytes::Bytes>::from(json))
        .map_err(|error| ApiError::Failed(error.to_string()))?;
    let response = sender.send_request(request).await.map_err(failed)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER);
    let body = body.collect().await.map_err(|error| {
        let is_too_long = error.is::<LengthLimitError>();
        ApiError::Failed(match is_too_long {
            true => format!("the answer is longer than {MAX_ANSWER} bytes"),
            false => error.to_string(),
        })
    })?;
    Ok((status, body.to_bytes().to_vec()))
}

#[cfg(not(unix))]
async fn exchange(
    _: &Path,
    _: &str,
    _: &str,
    _: String,
    _: impl Fn(u32) -> bool,
) -> Result<(StatusCode, Vec<u8>), ApiError> {
    Err(ApiError::NoDaemon)
}
