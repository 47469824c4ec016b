//! A site with a channel and its fallback.

use std::{sync::Arc, time::Duration};

use apmon_core::{
    Channel, Engine, Plan,
    testing::{Answer, Daemon, MemoryStore, Recorder, Target, TestClock, every, secs, watch},
};
use jiff::tz::TimeZone;

use super::run_for;

/// One monitor and two channels; the second is the fallback of the first after
/// 300 s.
pub struct FallbackSite {
    pub clock: Arc<TestClock>,
    pub target: Arc<Target>,
    pub store: Arc<MemoryStore>,
    pub first: Arc<Recorder>,
    pub second: Arc<Recorder>,
}

impl FallbackSite {
    /// A site whose target is up and whose first channel answers like this.
    pub fn new(first: Answer) -> Self {
        Self {
            clock: TestClock::new(),
            target: Target::new(),
            store: MemoryStore::new(),
            first: Recorder::answering(first),
            second: Recorder::new(),
        }
    }

    /// A site whose target is down.
    pub fn down(first: Answer) -> Self {
        Self {
            target: Target::down("no"),
            ..Self::new(first)
        }
    }

    pub fn plan(&self) -> Plan {
        let mut plan = Plan::new("Lab").watch(self.target.monitor(watch("web", every(10))));
        plan.channels = vec![
            Channel::new("first", self.first.clone()).with_fallback("second", secs(300)),
            Channel::new("second", self.second.clone()),
        ];
        plan
    }

    /// A plan with the first channel alone.
    pub fn plan_without_fallback(&self) -> Plan {
        let mut plan = self.plan();
        plan.channels = vec![Channel::new("first", self.first.clone())];
        plan
    }

    pub fn engine(&self, plan: Plan) -> Engine {
        Engine::new(plan, self.store.clone())
            .clock(self.clock.clone())
            .zone(TimeZone::UTC)
    }

    pub fn start(&self, plan: Plan) -> Daemon {
        Daemon::start(self.engine(plan))
    }

    pub async fn run(&self, time: Duration) {
        run_for(self.engine(self.plan()), time).await;
    }
}

/// The label of each notification that a channel accepted, with the note that it was late.
pub fn labels(channel: &Recorder) -> Vec<String> {
    let label = |line: String| {
        let (label, text) = line.split_once(':').unwrap();
        match text.contains("delivered ") {
            true => format!("{label} {}", &text[text.rfind('(').unwrap()..]),
            false => label.to_owned(),
        }
    };
    channel.lines().into_iter().map(label).collect()
}
