//! Sockets on which daemons are asked: on a thread of their own, so that a
//! large answer delays no check.

use std::{io, path::Path, sync::Arc};

use apmon_core::Handle;

/// Answers for all sites of a process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Host {
    runtime: tokio::runtime::Handle,
    /// The thread ends when the last of these is gone.
    _thread: Arc<tokio::sync::oneshot::Sender<()>>,
}

/// A socket on which somebody listens; removed when dropped.
#[must_use]
pub(crate) struct Listening {
    #[cfg(unix)]
    path: std::path::PathBuf,
    #[cfg(unix)]
    task: tokio::task::JoinHandle<()>,
}

impl Host {
    /// Starts the thread.
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

    /// Listens at `path`, where only owner and group may ask. A socket that a
    /// killed process left there is replaced: whoever calls this holds the
    /// site's lock.
    #[cfg(unix)]
    pub(crate) async fn listen(&self, path: &Path, engine: Handle) -> io::Result<Listening> {
        unix::make_room(path).await?;
        let listener = {
            let _inside = self.runtime.enter();
            unix::bind(path)?
        };
        Ok(Listening {
            path: path.to_owned(),
            task: self.runtime.spawn(unix::serve(listener, engine)),
        })
    }

    /// There are none here.
    #[cfg(not(unix))]
    pub(crate) async fn listen(&self, _: &Path, _: Handle) -> io::Result<Listening> {
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
        convert::Infallible,
        io,
        os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
        path::Path,
        sync::Arc,
        time::Duration,
    };

    use apmon_core::Handle;
    use hyper::{server::conn::http1, service::service_fn};
    use hyper_util::rt::{TokioIo, TokioTimer};
    use tokio::{
        net::{UnixListener, UnixSocket, UnixStream},
        sync::Semaphore,
        time::timeout,
    };

    use crate::api::answer;

    /// So many are answered at once; the others wait.
    const CONNECTIONS: usize = 8;
    /// A request's head is there by then.
    const HEAD: Duration = Duration::from_secs(3);
    /// By then all of it is over.
    const EXCHANGE: Duration = Duration::from_secs(15);
    /// No head is larger.
    const MAX_HEAD: usize = 16 * 1024;
    /// After a failed accept (no descriptors left), so long until the next.
    const PAUSE: Duration = Duration::from_millis(200);

    /// Removes a socket on which nobody listens.
    pub(super) async fn make_room(path: &Path) -> io::Result<()> {
        let there = match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            there => there?,
        };
        let taken = |text| Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        if !there.file_type().is_socket() {
            return taken("something else stands there");
        }
        match timeout(Duration::from_secs(1), UnixStream::connect(path)).await {
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            _ => taken("another process listens there"),
        }
    }

    /// Nobody can connect before the mode is set: until then nobody listens.
    pub(super) fn bind(path: &Path) -> io::Result<UnixListener> {
        let socket = UnixSocket::new_stream()?;
        socket.bind(path)?;
        let listener = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))
            .and_then(|()| socket.listen(16));
        listener.inspect_err(|_| drop(std::fs::remove_file(path)))
    }

    pub(super) async fn serve(listener: UnixListener, engine: Handle) {
        let permits = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
                return; // it is never closed
            };
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::debug!("a request could not be accepted: {error}");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let engine = engine.clone();
            tokio::spawn(async move {
                let service =
                    service_fn(|request| async { Ok::<_, Infallible>(answer(&engine, request).await) });
                let exchange = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD)
                    .keep_alive(false)
                    .max_buf_size(MAX_HEAD)
                    .serve_connection(TokioIo::new(stream), service);
                match timeout(EXCHANGE, exchange).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::debug!("a request failed: {error}"),
                    Err(_) => tracing::debug!("a request took too long"),
                }
                drop(permit);
            });
        }
    }
}
