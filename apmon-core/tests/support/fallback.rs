//! A site with a channel and its fallback.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use apmon_core::{Channel, DeliveryError, Engine, Notification, Notifier, Plan, SystemClock};
use async_trait::async_trait;
use jiff::tz::TimeZone;

use super::{Condition, MemoryStore, Running, Target, clock, every, run_for, secs, watch};

/// The receiver of a channel, with an answer that a test sets.
pub struct Receiver {
    answer: Mutex<Answer>,
    received: Mutex<Vec<String>>,
}

#[derive(Clone, Copy)]
pub enum Answer {
    Accepts,
    Unavailable,
    Refuses,
}

impl Receiver {
    pub fn new(answer: Answer) -> Arc<Self> {
        Arc::new(Self {
            answer: Mutex::new(answer),
            received: Mutex::default(),
        })
    }

    pub fn set(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// Label and text of each accepted message.
    pub fn received(&self) -> Vec<String> {
        self.received.lock().unwrap().clone()
    }

    /// The label of each accepted message, with the note that it was late.
    pub fn labels(&self) -> Vec<String> {
        let label = |line: &String| {
            let label = line.split(':').next().unwrap();
            match line.contains("delivered ") {
                true => format!("{label} {}", &line[line.rfind('(').unwrap()..]),
                false => label.to_owned(),
            }
        };
        self.received().iter().map(label).collect()
    }
}

#[async_trait]
impl Notifier for Receiver {
    async fn deliver(&self, message: &Notification, _: &str) -> Result<(), DeliveryError> {
        let answer = *self.answer.lock().unwrap();
        match answer {
            Answer::Accepts => {
                let line = format!("{}: {}", message.kind.label(), message.text);
                self.received.lock().unwrap().push(line);
                Ok(())
            }
            Answer::Unavailable => Err(DeliveryError::retryable("connection refused")),
            Answer::Refuses => Err(DeliveryError::permanent("403")),
        }
    }
}

/// One monitor and two channels; the second is the fallback of the first after
/// 300 s.
pub struct FallbackSite {
    pub clock: Arc<SystemClock>,
    pub target: Arc<Target>,
    pub store: Arc<MemoryStore>,
    pub first: Arc<Receiver>,
    pub second: Arc<Receiver>,
}

impl FallbackSite {
    /// A site whose target is up and whose first channel answers like this.
    pub fn new(first: Answer) -> Self {
        Self {
            clock: clock(),
            target: Target::new(),
            store: MemoryStore::new(),
            first: Receiver::new(first),
            second: Receiver::new(Answer::Accepts),
        }
    }

    /// A site whose target is down.
    pub fn down(first: Answer) -> Self {
        let site = Self::new(first);
        site.target.set(Condition::Down("no".into()));
        site
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

    pub fn start(&self, plan: Plan) -> Running {
        Running::start(self.engine(plan))
    }

    pub async fn run(&self, time: Duration) {
        run_for(self.engine(self.plan()), time).await;
    }
}
