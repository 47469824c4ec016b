//! Any interleaving of observations, deliveries, failures, crashes and edits of
//! the site file, in virtual time: no alert is lost, and no receiver's last
//! notification is wrong.
//!
//! The engine is the real one. [`reference`] works out from the observations
//! which notifications must be sent, and complains. A case that failed once is
//! kept in [`case`] as a test of its own. `PROPTEST_CASES=10000` searches further.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod case;
mod error_log;
mod receiver;
mod reference;
mod setup;
mod step;
mod store;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use apmon_core::{
    Clock, Engine, Event, Notifier, PassReport,
    testing::{Daemon, Response, Target, TestClock, secs},
};
use error_log::ErrorLog;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use receiver::Receiver;
use reference::Reference;
use setup::{CHANNELS, ChannelSpec, MONITORS, Setup};
use step::{Answer, Apply, Condition, Disk, End, Ending, Step, steps};
use store::FaultyStore;

/// Shorter than the time after which notifications expire.
const LONGEST: Duration = Duration::from_secs(12 * 3600);
/// When everything works again, everything has arrived after this: a refused
/// notification waits for half an hour, and so does a channel that was asked to.
const AFTERMATH: u64 = 75 * 60;

/// Everything outside the process: its targets, its receivers, its disk.
struct World {
    clock: Arc<TestClock>,
    setup: Setup,
    targets: Vec<Arc<Target>>,
    conditions: Vec<Condition>,
    store: Arc<FaultyStore>,
    receivers: Vec<Arc<Receiver>>,
    reference: Arc<Mutex<Reference>>,
    waited: Duration,
}

impl World {
    fn new(log: ErrorLog) -> Self {
        let clock = TestClock::new();
        let reference = Arc::new(Mutex::new(Reference::new(&clock, log)));
        let store = Arc::new(FaultyStore::new(&clock, &reference));
        let receiver = |channel: &ChannelSpec| {
            Arc::new(Receiver {
                id: channel.id,
                answer: Mutex::new(Answer::Accepts),
                since: Mutex::default(),
                store: Arc::clone(&store),
                reference: Arc::clone(&reference),
            })
        };
        Self {
            setup: Setup::new(),
            targets: MONITORS.iter().map(|_| Target::new()).collect(),
            conditions: vec![Condition::Up; MONITORS.len()],
            receivers: CHANNELS.iter().map(receiver).collect(),
            store,
            clock,
            reference,
            waited: Duration::ZERO,
        }
    }

    fn plan(&self) -> apmon_core::Plan {
        let notifiers: Vec<_> = self
            .receivers
            .iter()
            .map(|receiver| Arc::clone(receiver) as Arc<dyn Notifier>)
            .collect();
        self.setup.plan(&self.targets, &notifiers)
    }

    fn start(&self) -> Daemon {
        self.store.process_starts(&self.setup);
        let reference = Arc::clone(&self.reference);
        let engine = Engine::new(self.plan(), self.store.clone())
            .clock(self.clock.clone())
            .zone(TimeZone::UTC)
            .on_event(move |event| {
                if let Event::Checked(check) = event {
                    let verdict = check.observation.outcome.verdict();
                    reference.lock().unwrap().checked(&check.watch.name, verdict);
                }
            });
        Daemon::start(engine)
    }

    async fn end(&self, process: Daemon, end: End) -> Option<PassReport> {
        let report = match end.ending {
            Ending::Crash => {
                process.kill().await;
                None
            }
            Ending::Shutdown => {
                self.reference.lock().unwrap().shutdown_begins();
                Some(process.stop().await)
            }
        };
        self.store.process_ended(end.written);
        tokio::time::sleep(secs(end.pause_secs)).await;
        report
    }

    async fn play(&mut self, mut process: Daemon, step: &Step) -> Daemon {
        for receiver in &self.receivers {
            if let Some(since) = receiver.accepts_since() {
                let mut reference = self.reference.lock().unwrap();
                reference.check_delivered(receiver.id, since);
            }
        }
        match *step {
            Step::Target(at, condition) => {
                self.conditions[at] = condition;
                self.targets[at].set(match condition {
                    Condition::Up => Response::Up,
                    Condition::Down => Response::down("refused"),
                    Condition::Unknown => Response::unknown("no route"),
                    Condition::Silent => Response::Silent,
                    Condition::Slow => Response::Slow(secs(7)),
                });
            }
            Step::Receiver(at, answer) => self.receivers[at].set(answer, self.clock.now().mono),
            Step::Disk(disk) => self.set_disk(disk),
            Step::Wait(wait) if self.waited + wait > LONGEST => {}
            Step::Wait(wait) => {
                self.waited += wait;
                tokio::time::sleep(wait).await;
            }
            Step::End(end) => {
                self.end(process, end).await;
                process = self.start();
            }
            Step::Edit(edit, apply) => {
                self.setup.edit(edit);
                match apply {
                    Apply::Reload => {
                        self.reference.lock().unwrap().reload(self.setup.clone());
                        process.reload(self.plan()).await;
                    }
                    Apply::Restart(end) => {
                        self.end(process, end).await;
                        process = self.start();
                    }
                }
            }
        }
        process
    }

    fn set_disk(&self, disk: Disk) {
        let works = matches!(disk, Disk::Works(_));
        self.reference.lock().unwrap().set_disk_works(works);
        self.store.set(disk);
    }

    /// Ends all faults, lets time pass, and checks the result.
    async fn finish(&mut self, process: Daemon) {
        for receiver in &self.receivers {
            receiver.set(Answer::Accepts, self.clock.now().mono);
        }
        self.set_disk(Disk::Works(50));
        // Otherwise its end would wait for that of an outage that goes on.
        for (at, name) in MONITORS.into_iter().enumerate() {
            if self.reference.lock().unwrap().has_refused_end(name) {
                self.targets[at].set(Response::Up);
                self.conditions[at] = Condition::Up;
            }
        }
        tokio::time::sleep(secs(AFTERMATH)).await;
        // Outages that go on have reminders at any moment.
        for _ in 0..10 {
            if self.reference.lock().unwrap().is_idle() {
                break;
            }
            tokio::time::sleep(secs(1)).await;
        }
        let end = End {
            ending: Ending::Shutdown,
            written: true,
            pause_secs: 0,
        };
        let report = self.end(process, end).await.unwrap();
        let is_up = |condition: &Condition| match condition {
            Condition::Up | Condition::Slow => Some(true),
            Condition::Down | Condition::Silent => Some(false),
            Condition::Unknown => None,
        };
        let is_up: Vec<_> = self.conditions.iter().map(is_up).collect();
        let mut reference = self.reference.lock().unwrap();
        reference.check_end(&is_up, &self.store.keys());
        if (report.undelivered, report.lost, report.saved) != (0, 0, true) {
            reference.complaints.push(format!("at the end: {report:?}"));
        }
    }
}

/// Plays these steps; returns the complaints.
fn play(steps: &[Step]) -> Vec<String> {
    let log = ErrorLog::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut world = World::new(log);
        let mut process = world.start();
        for step in steps {
            process = world.play(process, step).await;
            // What the step starts is under way before the next one.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        world.finish(process).await;
        std::mem::take(&mut world.reference.lock().unwrap().complaints)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_no_alert_is_lost_and_every_last_notification_is_right(steps in steps()) {
        let complaints = play(&steps);
        prop_assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    }
}
