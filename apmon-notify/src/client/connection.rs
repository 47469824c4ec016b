//! Connections to receivers, in HTTP/1.1, and those that are kept for the next request.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use apmon_core::Names;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::{TrySendError, http1},
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::{AbortHandle, JoinSet},
    time::Instant,
};
use url::{Host, Url};

use super::bounded::Bounded;
use crate::{
    answer::RequestError,
    connect::ConnectErrors,
    resolve,
    tls::{Attempt, Directly, Tls},
};

/// How long an idle connection is kept. After that it may be dead without either end
/// knowing, and the next notification would wait on it until its timeout.
const MAX_IDLE: Duration = Duration::from_secs(5);

/// How long an address has before the next one is tried too.
const HEAD_START: Duration = Duration::from_millis(300);

/// The longest head of an answer.
const MAX_HEAD: usize = 64 * 1024;

/// The most headers of an answer.
const MAX_HEADERS: usize = 1000;

/// A connection, closed when this is dropped.
pub(super) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    /// Connects to the host of `url`; over TLS with `tls` if its scheme is https.
    pub(super) async fn open(
        url: &Url,
        names: &dyn Names,
        tls: &Tls,
        attempt: Attempt,
    ) -> Result<Self, RequestError> {
        let host = url.host().ok_or(RequestError::Url)?;
        let port = url.port_or_known_default().ok_or(RequestError::Url)?;
        let stream = connect(&host, port, names).await?;
        // Requests are small and wait for their answer. Without it they only take longer.
        let _ = stream.set_nodelay(true);
        if url.scheme() != "https" {
            return Self::over(stream).await;
        }
        let name = server_name(&host)?;
        let again = Directly(stream.peer_addr().ok());
        let stream = tls.handshake(name, stream, again, attempt).await;
        Self::over(stream.map_err(RequestError::Handshake)?).await
    }

    async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Self, RequestError> {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            // A receiver that breaks the rules has received what it was sent.
            .allow_spaces_after_header_name_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .ignore_invalid_headers_in_responses(true)
            .max_headers(MAX_HEADERS)
            .handshake(TokioIo::new(Bounded::new(stream)))
            .await
            .map_err(RequestError::Http)?;
        let driver = tokio::spawn(async {
            let _ = connection.await; // the request has the error too
        });
        Ok(Self {
            sender,
            driver: driver.abort_handle(),
        })
    }

    /// Sends a request. If it was not sent, it is returned with the error.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>> {
        self.sender.try_send_request(request).await
    }
}

async fn connect(host: &Host<&str>, port: u16, names: &dyn Names) -> Result<TcpStream, RequestError> {
    let (addresses, of_name) = match host {
        Host::Ipv4(ip) => (vec![(*ip).into()], false),
        Host::Ipv6(ip) => (vec![(*ip).into()], false),
        Host::Domain(name) => (resolve::addresses(names, name).await?, true),
    };
    let mut rest = addresses.into_iter().map(|ip| SocketAddr::new(ip, port));
    let mut attempts = JoinSet::new();
    let mut errors = ConnectErrors::default();
    loop {
        let next = rest.next();
        let is_last = next.is_none();
        match next {
            Some(address) => _ = attempts.spawn(async move { (address, TcpStream::connect(address).await) }),
            None if attempts.is_empty() => {
                return Err(RequestError::Connection(errors.into_error(of_name)));
            }
            None => {}
        }
        let done = match is_last {
            true => attempts.join_next().await,
            false => match tokio::time::timeout(HEAD_START, attempts.join_next()).await {
                Ok(done) => done,
                Err(_) => continue,
            },
        };
        match done {
            Some(Ok((_, Ok(stream)))) => return Ok(stream),
            Some(Ok((address, Err(error)))) => errors.add(address, error),
            // An attempt that panicked.
            Some(Err(error)) => return Err(RequestError::Connection(io::Error::other(error))),
            None => {}
        }
    }
}

/// The name that the certificate must contain.
fn server_name(host: &Host<&str>) -> Result<ServerName<'static>, RequestError> {
    Ok(match host {
        Host::Ipv4(ip) => ServerName::IpAddress((*ip).into()),
        Host::Ipv6(ip) => ServerName::IpAddress((*ip).into()),
        Host::Domain(name) => {
            let name = name.strip_suffix('.').unwrap_or(name).to_owned();
            ServerName::try_from(name).map_err(|_| RequestError::Name)?
        }
    })
}

/// Connections that are kept for the next request to the same scheme, host and port.
#[derive(Default)]
pub(super) struct Idle(Mutex<Vec<(url::Origin, Instant, Connection)>>);

impl Idle {
    /// Takes a connection to the origin of `url`, if one is alive.
    pub(super) async fn take(&self, url: &Url) -> Option<Connection> {
        let origin = url.origin();
        loop {
            let mut connection = {
                let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                all.retain(|(_, since, _)| since.elapsed() < MAX_IDLE);
                let at = all.iter().position(|(other, ..)| *other == origin)?;
                all.swap_remove(at).2
            };
            if connection.sender.ready().await.is_ok() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection, for a short time.
    pub(super) fn keep(self: &Arc<Self>, url: &Url, connection: Connection) {
        if connection.sender.is_closed() {
            return;
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((url.origin(), Instant::now(), connection));
        drop(all);
        let idle = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(MAX_IDLE).await;
            if let Some(idle) = idle.upgrade() {
                let mut all = idle.0.lock().unwrap_or_else(PoisonError::into_inner);
                all.retain(|(_, since, _)| since.elapsed() < MAX_IDLE);
            }
        });
    }
}
