//! A target that responds as a test says.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;

use super::script::{Script, locked};
use crate::{
    monitor::{ProbeMonitor, Watch},
    outcome::{FailureClass, Outcome},
    probe::{Check, Probe},
    time::Mono,
};

/// How a [`Target`] responds to a check.
#[derive(Clone, PartialEq, Debug, Default)]
#[non_exhaustive]
pub enum Response {
    /// It is up, and answers within 5 ms.
    #[default]
    Up,
    /// The response of a target that is down, for this reason.
    Down(String),
    /// The response of a target that cannot be checked, for this reason.
    Unknown(String),
    /// It never answers: down after the deadline of the check.
    Silent,
    /// It is up, and answers after this time.
    Slow(Duration),
    /// The check panics.
    Panics,
    /// The check has this outcome.
    Outcome(Outcome),
}

impl Response {
    /// The response of a target that is down, for this reason.
    pub fn down(reason: impl Into<String>) -> Self {
        Self::Down(reason.into())
    }

    /// The response of a target that cannot be checked, for this reason.
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self::Unknown(reason.into())
    }
}

/// A probe of a target that responds as a test says; up at first.
#[derive(Debug, Default)]
pub struct Target {
    responses: Script<Response>,
    checks: Mutex<Vec<Mono>>,
}

impl Target {
    /// Creates a target that is up.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Creates a target that is down, for this reason.
    pub fn down(reason: impl Into<String>) -> Arc<Self> {
        Arc::new(Self {
            responses: Script::always(Response::down(reason)),
            checks: Mutex::default(),
        })
    }

    /// Sets how the target responds from now on.
    pub fn set(&self, response: Response) {
        self.responses.set(response);
    }

    /// Sets how the target responds to the next checks, before it responds as [`set`](Self::set) says.
    pub fn set_next(&self, responses: impl IntoIterator<Item = Response>) {
        self.responses.set_next(responses);
    }

    /// When each check started.
    #[must_use]
    pub fn checks(&self) -> Vec<Mono> {
        locked(&self.checks).clone()
    }

    /// Creates a monitor of this target. Several monitors may share a target.
    #[must_use]
    pub fn monitor(self: &Arc<Self>, watch: Watch) -> Arc<ProbeMonitor<Self>> {
        Arc::new(ProbeMonitor::new(watch, Arc::clone(self)))
    }
}

#[async_trait]
impl Probe for Target {
    async fn probe(&self, check: &Check) -> Outcome {
        locked(&self.checks).push(check.started.mono);
        match self.responses.take() {
            Response::Up => Outcome::up(Duration::from_millis(5)),
            Response::Down(reason) => Outcome::fail(FailureClass::Refused, reason),
            Response::Unknown(reason) => Outcome::fail(FailureClass::NoRoute, reason),
            Response::Silent => match check.within("connect", std::future::pending()).await {
                Ok(outcome) => outcome,
                Err(failure) => failure.into(),
            },
            Response::Slow(time) => {
                tokio::time::sleep(time).await;
                Outcome::up(time)
            }
            Response::Panics => panic!("index out of bounds"),
            Response::Outcome(outcome) => outcome,
        }
    }
}
