//! Any interleaving of observations, deliveries, failures, crashes and edits of
//! the site file, in virtual time: no alert is lost, and nobody's last word is
//! wrong.
//!
//! The engine is the real one. [`reference`] works out from what was observed
//! what must be told, and complains. A case that was found is kept below as a
//! test of its own. `PROPTEST_CASES=10000` looks further.

#![allow(clippy::unwrap_used)] // a test may end where it stands

mod case;
mod disk;
mod ears;
mod receiver;
mod reference;
mod setup;
mod step;
#[path = "../support/mod.rs"]
mod support;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use apmon_core::{Clock, Engine, EngineError, Event, Handle, Notifier, PassReport, SystemClock};
use disk::Store;
use ears::Ears;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use receiver::FarEnd;
use reference::Reference;
use setup::{CHANNELS, MONITORS, Setup};
use step::{Answer, By, Condition, Disk, End, Step, Take, steps};
use support::{Target, secs};
use tokio::task::JoinHandle;

/// No message gets so old that it is given up.
const LONGEST: Duration = Duration::from_secs(12 * 3600);
/// When all works again, everything has arrived after this: a refused message
/// waits for half an hour, and so does a channel that was asked to.
const AFTERMATH: Duration = Duration::from_secs(75 * 60);

/// Everything but the process: what it watches, who hears it, what it has on disk.
struct World {
    clock: Arc<SystemClock>,
    setup: Setup,
    targets: Vec<Arc<Target>>,
    conditions: Vec<Condition>,
    store: Arc<Store>,
    ends: Vec<Arc<FarEnd>>,
    reference: Arc<Mutex<Reference>>,
    waited: Duration,
}

/// The process.
struct Process {
    handle: Handle,
    running: JoinHandle<Result<PassReport, EngineError>>,
}

impl World {
    fn new(ears: Ears) -> Self {
        let clock = support::clock();
        let reference = Arc::new(Mutex::new(Reference::new(&clock, ears)));
        let store = Arc::new(Store::new(&clock, &reference));
        let end = |receiver: &setup::Receiver| {
            Arc::new(FarEnd {
                id: receiver.id,
                answer: Mutex::new(Answer::Takes),
                since: Mutex::default(),
                store: Arc::clone(&store),
                reference: Arc::clone(&reference),
            })
        };
        Self {
            setup: Setup::new(),
            targets: MONITORS.iter().map(|_| Target::new()).collect(),
            conditions: vec![Condition::Up; MONITORS.len()],
            ends: CHANNELS.iter().map(end).collect(),
            store,
            clock,
            reference,
            waited: Duration::ZERO,
        }
    }

    fn plan(&self) -> apmon_core::Plan {
        let notifiers: Vec<_> = self
            .ends
            .iter()
            .map(|end| Arc::clone(end) as Arc<dyn Notifier>)
            .collect();
        self.setup.plan(&self.targets, &notifiers)
    }

    fn start(&self) -> Process {
        self.store.begin(&self.setup);
        let reference = Arc::clone(&self.reference);
        let engine = Engine::new(self.plan(), self.store.clone())
            .clock(self.clock.clone())
            .zone(TimeZone::UTC)
            .on_event(move |event| {
                if let Event::Checked {
                    watch, observation, ..
                } = event
                {
                    let verdict = observation.outcome.verdict();
                    reference.lock().unwrap().checked(&watch.name, verdict);
                }
            });
        let handle = engine.handle();
        Process {
            handle,
            running: tokio::spawn(engine.run()),
        }
    }

    async fn end(&self, process: Process, end: End) -> Option<PassReport> {
        let report = match end.by {
            By::Crash => {
                process.running.abort();
                let _ = process.running.await;
                None
            }
            By::Shutdown => {
                self.reference.lock().unwrap().ending();
                process.handle.shutdown().await;
                Some(process.running.await.unwrap().unwrap())
            }
        };
        self.store.cut(end.written);
        tokio::time::sleep(secs(end.away)).await;
        report
    }

    async fn play(&mut self, mut process: Process, step: &Step) -> Process {
        for end in &self.ends {
            if let Some(since) = end.takes_since() {
                self.reference.lock().unwrap().takes(end.id, since);
            }
        }
        match *step {
            Step::Target(at, condition) => {
                self.conditions[at] = condition;
                self.targets[at].set(match condition {
                    Condition::Up => support::Condition::Up,
                    Condition::Down => support::Condition::Down("refused".into()),
                    Condition::Unknown => support::Condition::Unknown("no route".into()),
                    Condition::Silent => support::Condition::Silent,
                    Condition::Slow => support::Condition::Slow(secs(7)),
                });
            }
            Step::Receiver(at, answer) => self.ends[at].set(answer, self.clock.now().mono),
            Step::Disk(disk) => {
                self.reference
                    .lock()
                    .unwrap()
                    .disk_is(matches!(disk, Disk::Works(_)));
                self.store.set(disk);
            }
            Step::Wait(wait) if self.waited + wait > LONGEST => {}
            Step::Wait(wait) => {
                self.waited += wait;
                tokio::time::sleep(wait).await;
            }
            Step::End(end) => {
                self.end(process, end).await;
                process = self.start();
            }
            Step::Edit(edit, take) => {
                self.setup.edit(edit);
                match take {
                    Take::Reload => {
                        self.reference.lock().unwrap().reload(self.setup.clone());
                        process.handle.reload(self.plan()).await.unwrap();
                    }
                    Take::Restart(end) => {
                        self.end(process, end).await;
                        process = self.start();
                    }
                }
            }
        }
        process
    }

    /// All faults end, and time passes.
    async fn finish(&mut self, process: Process) {
        for end in &self.ends {
            end.set(Answer::Takes, self.clock.now().mono);
        }
        self.store.set(Disk::Works(50));
        self.reference.lock().unwrap().disk_is(true);
        tokio::time::sleep(AFTERMATH).await;
        // Of outages that go on there are reminders at any moment.
        for _ in 0..10 {
            if self.reference.lock().unwrap().is_quiet() {
                break;
            }
            tokio::time::sleep(secs(1)).await;
        }
        let end = End {
            by: By::Shutdown,
            written: true,
            away: 0,
        };
        let report = self.end(process, end).await.unwrap();
        let is_up = |condition: &Condition| match condition {
            Condition::Up | Condition::Slow => Some(true),
            Condition::Down | Condition::Silent => Some(false),
            Condition::Unknown => None,
        };
        let is_up: Vec<_> = self.conditions.iter().map(is_up).collect();
        let mut reference = self.reference.lock().unwrap();
        reference.finish(&is_up, &self.store.keys());
        if (report.undelivered, report.lost, report.saved) != (0, 0, true) {
            reference.wrong.push(format!("at the end: {report:?}"));
        }
    }
}

/// Plays these steps; returns what went wrong.
fn play(steps: &[Step]) -> Vec<String> {
    let ears = Ears::default();
    let _listening = tracing::subscriber::set_default(ears.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut world = World::new(ears);
        let mut process = world.start();
        for step in steps {
            process = world.play(process, step).await;
            // What the step set off is under way before the next one.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        world.finish(process).await;
        std::mem::take(&mut world.reference.lock().unwrap().wrong)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_no_alert_is_lost_and_no_last_word_is_wrong(steps in steps()) {
        let wrong = play(&steps);
        prop_assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
