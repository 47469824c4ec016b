//! The worker as its users see it.

use std::{
    fmt, io,
    mem::replace,
    process::Command,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{Builder, JoinHandle},
    time::Duration,
};

use crate::{
    clock, error::RequestError, frame::MAX_FRAME, inbox::Inbox, limits::WorkerLimits, pipe, reply::Reply,
    shared::Shared, supervisor::Supervisor,
};

/// A child process that answers requests, one after the other, and is replaced when it dies.
///
/// It can be shared by threads and tasks. Dropping it is [`finish`](Self::finish) without time,
/// unless it is [abandoned](Self::abandon).
pub struct Worker {
    shared: Arc<Shared>,
    thread: Mutex<Thread>,
}

enum Thread {
    /// With what is to be kept until the last child has ended.
    NotStarted(Option<Box<dyn Send>>),
    Running(JoinHandle<Vec<Vec<u8>>>),
    Ended,
}

impl Worker {
    /// Creates a worker whose child is started by `command` with the first request, and again
    /// after it has died.
    ///
    /// The program must call [`serve`](crate::serve()). Its standard streams and its process
    /// group are set here; everything else is as `command` says. It inherits the environment
    /// but for what [`Command::env_remove`] and [`Command::env_clear`] take away: remove each
    /// variable that changes what the C library does.
    #[must_use]
    pub fn new(command: Command, limits: WorkerLimits) -> Self {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
        let name = words.join(" ").into();
        Self {
            shared: Arc::new(Shared {
                command: Mutex::new(command),
                name,
                limits,
                inbox: Inbox::default(),
            }),
            thread: Mutex::new(Thread::NotStarted(None)),
        }
    }

    /// Keeps `guard` until the last child has ended, however the worker ends: a permit, for
    /// example, that limits how many children there are. To be called before the first request.
    #[must_use]
    pub fn keeping(self, guard: impl Send + 'static) -> Self {
        if let Thread::NotStarted(kept) = &mut *self.lock() {
            *kept = Some(Box::new(guard));
        }
        self
    }

    /// Queues a request and returns at once. Requests are answered in their order.
    ///
    /// # Errors
    ///
    /// If the request is not accepted, it is given back. Everything that happens later is an
    /// error of the [`Reply`].
    pub fn request(&self, request: Vec<u8>) -> Result<Reply, RequestError> {
        if request.len() > MAX_FRAME {
            return Err(RequestError::TooLong { request });
        }
        if let Err(source) = self.start() {
            return Err(RequestError::NoThread { request, source });
        }
        self.shared.inbox.offer(request, &self.shared.limits)
    }

    /// Accepts no more requests, and blocks until all that were accepted are answered and the
    /// child has ended; after `timeout` the child is killed. A child that has nothing to do has
    /// another two seconds to end.
    ///
    /// Returns the requests that were not answered, in their order; the first of them may have
    /// been carried out in part. Their replies are [`Stopped`](crate::WorkerError::Stopped).
    pub fn finish(&self, timeout: Duration) -> Vec<Vec<u8>> {
        // Closed first: a request that is accepted has a supervisor that answers it.
        self.shared.inbox.close(clock::after(clock::now(), timeout));
        let thread = replace(&mut *self.lock(), Thread::Ended);
        match thread {
            // After a panic there, the replies say that they were not answered.
            Thread::Running(thread) => thread.join().unwrap_or_default(),
            Thread::NotStarted(_) | Thread::Ended => Vec::new(),
        }
    }

    /// Accepts no more requests, and returns at once: the child is left to its end, which
    /// comes as with [`finish`](Self::finish) without time. For programs that must not
    /// wait, such as a task of an async runtime.
    pub fn abandon(self) {
        self.shared.inbox.close(Some(clock::now()));
        // Its thread ends the child, and then itself.
        drop(replace(&mut *self.lock(), Thread::Ended));
    }

    fn start(&self) -> io::Result<()> {
        let mut thread = self.lock();
        if let Thread::NotStarted(guard) = &mut *thread {
            let (wake, waker) = io::pipe()?;
            pipe::never_block(&wake)?;
            pipe::never_block(&waker)?;
            let supervisor = Supervisor::new(Arc::clone(&self.shared), wake);
            let guard = guard.take();
            let started = Builder::new().name("apmon-worker".to_owned()).spawn(move || {
                let _guard = guard;
                supervisor.run()
            })?;
            self.shared.inbox.wake_through(waker);
            *thread = Thread::Running(started);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Thread> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.finish(Duration::ZERO);
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("command", &self.shared.name)
            .field("limits", &self.shared.limits)
            .finish_non_exhaustive()
    }
}
