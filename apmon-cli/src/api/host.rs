//! The sockets of a daemon, served by a thread of their own, so that a large answer
//! delays no check.

use std::{io, path::Path, sync::Arc};

use super::ServedSite;

/// The server of the sockets of all sites in this process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Host {
    runtime: tokio::runtime::Handle,
    /// The thread ends when the last clone is dropped.
    _thread: Arc<tokio::sync::oneshot::Sender<()>>,
}

/// A socket that is being served; closed and removed when dropped.
#[must_use]
pub(crate) struct Listening {
    #[cfg(unix)]
    path: std::path::PathBuf,
    #[cfg(unix)]
    task: tokio::task::JoinHandle<()>,
}

impl Host {
    /// Starts the serving thread.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        let (thread, end) = tokio::sync::oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("apmon-api".into())
            .spawn(move || drop(runtime.block_on(end)))?;
        Ok(Self {
            runtime: handle,
            _thread: Arc::new(thread),
        })
    }

    /// Serves a socket at `path`, open to owner and group only. A socket left behind
    /// by a killed process is replaced, which is safe because the caller holds the
    /// site's lock.
    #[cfg(unix)]
    pub(crate) async fn listen(&self, path: &Path, site: ServedSite) -> io::Result<Listening> {
        unix::make_room(path).await?;
        let listener = {
            let _inside = self.runtime.enter();
            unix::bind(path)?
        };
        Ok(Listening {
            path: path.to_owned(),
            task: self.runtime.spawn(unix::serve(listener, site)),
        })
    }

    /// Fails: this platform has no UNIX sockets.
    #[cfg(not(unix))]
    pub(crate) async fn listen(&self, _: &Path, _: ServedSite) -> io::Result<Listening> {
        let _ = &self.runtime;
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(unix)]
impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(unix)]
mod unix {
    use std::{
        convert::Infallible, io, os::unix::fs::FileTypeExt as _, path::Path, sync::Arc, time::Duration,
    };

    use hyper::{server::conn::http1, service::service_fn};
    use hyper_util::rt::{TokioIo, TokioTimer};
    use rustix::fs::Mode;
    use tokio::{
        net::{UnixListener, UnixSocket, UnixStream},
        sync::Semaphore,
        time::timeout,
    };

    use crate::api::{ServedSite, answer};

    /// How many connections are served at once; the others wait.
    const CONNECTIONS: usize = 8;
    /// The deadline for the head of a request.
    const HEAD_TIMEOUT: Duration = Duration::from_secs(3);
    /// The deadline for the whole exchange.
    const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(15);
    /// The largest head of a request.
    const MAX_HEAD: usize = 16 * 1024;
    /// The pause after a failed accept (no descriptors left).
    const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

    /// Removes a socket that no process listens on.
    pub(super) async fn make_room(path: &Path) -> io::Result<()> {
        let there = match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            there => there?,
        };
        let taken = |text| Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        if !there.file_type().is_socket() {
            return taken("exists and is not a socket");
        }
        match timeout(Duration::from_secs(1), UnixStream::connect(path)).await {
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            _ => taken("another process listens on it"),
        }
    }

    /// Binds a socket that is created with its mode: a mode set afterwards, by the socket's name,
    /// could be that of another file.
    pub(super) fn bind(path: &Path) -> io::Result<UnixListener> {
        let socket = UnixSocket::new_stream()?;
        // It holds for the whole process, and for a moment: what else is created meanwhile is
        // open to fewer users, not to more.
        let before = rustix::process::umask(Mode::from_raw_mode(0o117));
        let bound = socket.bind(path);
        rustix::process::umask(before);
        bound?;
        socket
            .listen(16)
            .inspect_err(|_| drop(std::fs::remove_file(path)))
    }

    pub(super) async fn serve(listener: UnixListener, site: ServedSite) {
        let site = Arc::new(site);
        let permits = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
                return; // the semaphore is never closed
            };
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::debug!("cannot accept a connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let site = Arc::clone(&site);
            let uid = stream.peer_cred().ok().map(|peer| peer.uid());
            tokio::spawn(async move {
                let service =
                    service_fn(|request| async { Ok::<_, Infallible>(answer(&site, uid, request).await) });
                let exchange = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD_TIMEOUT)
                    .keep_alive(false)
                    .max_buf_size(MAX_HEAD)
                    .serve_connection(TokioIo::new(stream), service);
                match timeout(EXCHANGE_TIMEOUT, exchange).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::debug!("a request failed: {error}"),
                    Err(_) => tracing::debug!("a request took too long"),
                }
                drop(permit);
            });
        }
    }
}
