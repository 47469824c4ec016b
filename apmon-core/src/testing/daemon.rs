//! An engine that runs as a daemon.

use tokio::task::{JoinError, JoinHandle};

use crate::engine::{Engine, EngineError, Handle, PassReport, Plan};

/// An engine that runs as a daemon, until it is stopped or killed.
pub struct Daemon {
    handle: Handle,
    task: JoinHandle<Result<PassReport, EngineError>>,
}

impl Daemon {
    /// Starts an engine. Needs a tokio runtime; nothing runs before the next `await`.
    #[must_use]
    pub fn start(engine: Engine) -> Self {
        Self {
            handle: engine.handle(),
            task: tokio::spawn(engine.run()),
        }
    }

    /// The handle for requests to the engine.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Replaces the plan.
    ///
    /// # Panics
    /// If the engine refuses the plan, or has ended.
    pub async fn reload(&self, plan: Plan) {
        let reloaded = self.handle.reload(plan).await;
        reloaded.expect("the engine runs, and each monitor of the plan has a name of its own");
    }

    /// Shuts the engine down.
    ///
    /// # Panics
    /// If the engine could not start, or another owner has taken over its state.
    pub async fn stop(self) -> PassReport {
        self.handle.shutdown().await;
        self.ended().await.expect("the engine ran until it was stopped")
    }

    /// Kills the engine, as a power failure would: nothing more is committed or sent.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await; // that it was killed
    }

    /// Waits until the engine ends of its own accord, as it does when another owner takes over.
    ///
    /// # Errors
    /// As [`Engine::run`].
    ///
    /// # Panics
    /// If the engine panics.
    pub async fn ended(self) -> Result<PassReport, EngineError> {
        match self.task.await.map_err(JoinError::try_into_panic) {
            Ok(result) => result,
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            Err(Err(_)) => Err(EngineError::Ended),
        }
    }
}
