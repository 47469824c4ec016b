//! Builds monitors from the options of a site file.

use std::sync::Arc;

use crate::{
    monitor::{Monitor, ProbeMonitor, Watch},
    probe::Probe,
    services::Services,
};

/// How to build a monitor, once its site file is known to be valid.
pub struct Blueprint(Box<BuildMonitor>);

type BuildMonitor = dyn Fn(&Services, Watch) -> Arc<dyn Monitor> + Send + Sync;

impl Blueprint {
    /// Creates a blueprint from a function that builds the monitor.
    pub fn monitor(build: impl Fn(&Services, Watch) -> Arc<dyn Monitor> + Send + Sync + 'static) -> Self {
        Self(Box::new(build))
    }

    /// Creates a blueprint from a function that builds a probe, which gets the policy of
    /// the monitor.
    pub fn probe<P: Probe + 'static>(build: impl Fn(&Services) -> P + Send + Sync + 'static) -> Self {
        Self::monitor(move |services, watch| Arc::new(ProbeMonitor::new(watch, Arc::new(build(services)))))
    }

    /// Builds the monitor described by `watch`.
    #[must_use]
    pub fn build(&self, services: &Services, watch: Watch) -> Arc<dyn Monitor> {
        (self.0)(services, watch)
    }
}

impl std::fmt::Debug for Blueprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Blueprint")
    }
}
