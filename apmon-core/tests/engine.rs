//! The engine's promises, each in virtual time.

#![allow(clippy::unwrap_used)] // a test may end where it stands

mod support;

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use apmon_core::{
    Clock, DeliveryError, Engine, Heartbeat, MonitorState, Mono, NotificationKind, Now, Plan, Policy, Secret,
    SystemClock, Watch,
};
use jiff::{Timestamp, tz::TimeZone};
use support::{Condition, Memory, Recorder, START, Target, clock, secs};

fn watch(name: &str, policy: Policy) -> Watch {
    Watch {
        policy,
        checksum: "1".into(),
        ..Watch::new(name, "test", "192.0.2.1")
    }
}

fn every(secs_: u64) -> Policy {
    Policy {
        check_every: secs(secs_),
        max_retries: std::num::NonZeroU32::MIN,
        ..Policy::default()
    }
}

/// A daemon that is told to end after `run`.
async fn run_for(engine: Engine, run: Duration) -> apmon_core::PassReport {
    let handle = engine.handle();
    let (report, ()) = tokio::join!(engine.run(), async {
        tokio::time::sleep(run).await;
        handle.shutdown().await;
    });
    report.unwrap()
}

fn written(seconds_before_start: i64) -> Option<Timestamp> {
    let start: Timestamp = START.parse().unwrap();
    Some(start - jiff::SignedDuration::from_secs(seconds_before_start))
}

mod time_is_kept {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn looks_stand_on_a_fixed_grid() {
        let (clock, target) = (clock(), Target::new());
        target.set(Condition::Slow(Duration::from_millis(1500)));
        let plan = Plan::new("s").watch(target.monitor(watch("a", every(10))));
        run_for(Engine::new(plan, Memory::new()).clock(clock), secs(100)).await;
        let looks = target.looks.lock().unwrap().clone();
        assert!(looks.len() >= 10);
        for pair in looks[1..].windows(2) {
            let gap = pair[1].since(pair[0]);
            assert!(gap.abs_diff(secs(10)) < Duration::from_millis(3), "{gap:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_runs_on_skips_slots_and_never_bunches() {
        let (clock, target) = (clock(), Target::new());
        target.set(Condition::Silent);
        let policy = Policy {
            max_try: secs(25),
            max_retries: 100.try_into().unwrap(),
            ..every(10)
        };
        let plan = Plan::new("s").watch(target.monitor(watch("a", policy)));
        let report = run_for(Engine::new(plan, Memory::new()).clock(clock), secs(300)).await;
        assert_eq!(
            target.looks(),
            10,
            "every 30 s: 25 s of silence, then the next slot"
        );
        assert!(report.missed >= 18, "{report:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_monitors_do_not_fire_together() {
        let (clock, target) = (clock(), Target::new());
        let plan = (0..1000).fold(Plan::new("s"), |plan, i| {
            plan.watch(target.monitor(watch(&format!("m{i}"), every(10))))
        });
        run_for(Engine::new(plan, Memory::new()).clock(clock), secs(30)).await;
        let mut per_slot = std::collections::HashMap::new();
        for look in target.looks.lock().unwrap().iter() {
            *per_slot.entry(look.nanos() / 100_000_000).or_insert(0) += 1;
        }
        assert!(
            per_slot.values().all(|n| *n < 60),
            "{:?}",
            per_slot.values().max()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn heartbeats_leave_when_due_and_only_after_a_good_look() {
        let (clock, target) = (clock(), Target::new());
        let recorder = Recorder::new(&clock);
        target.set(Condition::Slow(Duration::from_millis(300)));
        let heartbeat = Some(Heartbeat {
            url: Secret::new("http://h/"),
            every: Some(secs(10)),
        });
        let plan = Plan::new("s").watch(target.monitor(watch(
            "a",
            Policy {
                heartbeat,
                ..every(7)
            },
        )));
        let engine = Engine::new(plan, Memory::new())
            .clock(clock)
            .heartbeats(recorder.clone());
        let handle = engine.handle();
        let running = tokio::spawn(engine.run());
        tokio::time::sleep(secs(60)).await;
        target.set(Condition::Down("no".into()));
        tokio::time::sleep(secs(30)).await;
        let until_down = recorder.beats.lock().unwrap().clone();
        target.set(Condition::Slow(Duration::from_millis(300)));
        tokio::time::sleep(secs(30)).await;
        handle.shutdown().await;
        running.await.unwrap().unwrap();
        assert!((6..=7).contains(&until_down.len()), "{until_down:?}");
        let beats = recorder.beats.lock().unwrap().clone();
        assert!(beats.len() > until_down.len());
        for beat in &beats {
            let off = beat.since(beats[0]).as_millis() % 10_000;
            assert!(!(5..=9_995).contains(&off), "on the grid: {off} ms off");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_an_interval_each_good_look_sends_a_heartbeat() {
        let (clock, target) = (clock(), Target::new());
        let recorder = Recorder::new(&clock);
        let heartbeat = Some(Heartbeat {
            url: Secret::new("http://h/"),
            every: None,
        });
        let plan = Plan::new("s").watch(target.monitor(watch(
            "a",
            Policy {
                heartbeat,
                ..every(10)
            },
        )));
        run_for(
            Engine::new(plan, Memory::new())
                .clock(clock)
                .heartbeats(recorder.clone()),
            secs(60),
        )
        .await;
        assert_eq!(recorder.beats.lock().unwrap().len(), target.looks());
    }
}

mod a_dead_target_delays_nobody {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_thousand_dead_ones_leave_the_living_on_time() {
        let (clock, dead, living) = (clock(), Target::new(), Target::new());
        dead.set(Condition::Silent);
        let mut plan = Plan::new("s").watch(living.monitor(watch("living", every(1))));
        for i in 0..1000 {
            plan = plan.watch(dead.monitor(watch(&format!("dead{i}"), every(5))));
        }
        run_for(Engine::new(plan, Memory::new()).clock(clock), secs(60)).await;
        assert!(living.looks() >= 59, "{}", living.looks());
    }

    #[tokio::test(start_paused = true)]
    async fn a_cap_holds_and_what_waits_is_looked_at_in_turn() {
        let (clock, target) = (clock(), Target::new());
        target.set(Condition::Slow(secs(1)));
        let mut plan = (0..6).fold(Plan::new("s"), |plan, i| {
            plan.watch(target.monitor(watch(&format!("m{i}"), every(60))))
        });
        plan.max_concurrent = NonZeroUsize::new(2);
        let report = Engine::new(plan, Memory::new())
            .clock(clock)
            .pass()
            .await
            .unwrap();
        assert_eq!(report.up, 6);
        assert!(
            report.took >= secs(3) && report.took < secs(4),
            "{:?}",
            report.took
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_channel_that_hangs_delays_no_check_and_no_other_channel() {
        let (clock, target) = (clock(), Target::new());
        let (hanging, other) = (Recorder::new(&clock), Recorder::new(&clock));
        *hanging.hangs.lock().unwrap() = true;
        target.set(Condition::Down("no".into()));
        let plan = Plan::new("s")
            .watch(target.monitor(watch("a", every(1))))
            .tell("hanging", hanging.clone())
            .tell("other", other.clone());
        run_for(Engine::new(plan, Memory::new()).clock(clock), secs(60)).await;
        assert!(target.looks() >= 59);
        assert_eq!(other.labels(), ["NEW OUTAGE"]);
        assert!(hanging.labels().is_empty());
    }
}

mod no_alert_is_lost {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_sent_was_committed_before() {
        let (clock, target) = (clock(), Target::new());
        let (store, recorder) = (Memory::new(), Recorder::new(&clock));
        recorder
            .answers
            .lock()
            .unwrap()
            .extend(vec![Err(DeliveryError::retryable("503")); 3]);
        target.set(Condition::Down("no".into()));
        let plan = Plan::new("s")
            .watch(target.monitor(watch("a", every(10))))
            .tell("c", recorder.clone());
        let engine = Engine::new(plan, store.clone()).clock(clock);
        let handle = engine.handle();
        let running = tokio::spawn(engine.run());
        tokio::time::sleep(secs(9)).await;
        let kept = store.kept.lock().unwrap().outbox.clone();
        assert_eq!(kept.len(), 1);
        assert!(kept[0].attempts >= 1, "the fate of a try is committed too");
        tokio::time::sleep(secs(10)).await;
        assert!(
            store.kept.lock().unwrap().outbox.is_empty(),
            "and so is its delivery"
        );
        assert_eq!(recorder.labels(), ["NEW OUTAGE"]);
        handle.shutdown().await;
        running.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_of_a_killed_process_is_sent_by_the_next_with_the_same_key() {
        let (clock, target) = (clock(), Target::new());
        let (store, recorder) = (Memory::new(), Recorder::new(&clock));
        *recorder.hangs.lock().unwrap() = true;
        target.set(Condition::Down("no".into()));
        let plan = || {
            Plan::new("s")
                .watch(target.monitor(watch("a", every(10))))
                .tell("c", recorder.clone())
        };
        let running = tokio::spawn(Engine::new(plan(), store.clone()).clock(clock.clone()).run());
        tokio::time::sleep(secs(10)).await;
        running.abort();
        let key = store.kept.lock().unwrap().outbox[0].key();
        *recorder.hangs.lock().unwrap() = false;
        run_for(Engine::new(plan(), store.clone()).clock(clock), secs(3)).await;
        let heard = recorder.heard.lock().unwrap();
        assert_eq!(heard.len(), 1);
        assert_eq!(heard[0].2, key);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_fails_stops_neither_looking_nor_telling() {
        let (clock, target) = (clock(), Target::new());
        let (store, recorder) = (Memory::new(), Recorder::new(&clock));
        *store.fails.lock().unwrap() = true;
        target.set(Condition::Down("no".into()));
        let plan = Plan::new("s")
            .watch(target.monitor(watch("a", every(1))))
            .tell("c", recorder.clone());
        let engine = Engine::new(plan, store.clone()).clock(clock);
        let handle = engine.handle();
        let running = tokio::spawn(engine.run());
        tokio::time::sleep(secs(10)).await;
        assert_eq!(recorder.labels(), ["NEW OUTAGE"]);
        target.set(Condition::Up);
        tokio::time::sleep(secs(2)).await;
        assert_eq!(recorder.labels(), ["NEW OUTAGE", "RECOVERY"]);
        // When it works again, what was missed is written.
        *store.fails.lock().unwrap() = false;
        tokio::time::sleep(secs(10)).await;
        assert_eq!(store.state("a").is_up, Some(true));
        assert!(store.kept.lock().unwrap().outbox.is_empty());
        handle.shutdown().await;
        running.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_outages_share_a_few_commits() {
        let (clock, target) = (clock(), Target::new());
        let (store, recorder) = (Memory::new(), Recorder::new(&clock));
        target.set(Condition::Down("no".into()));
        let plan = (0..1000).fold(Plan::new("s"), |plan, i| {
            plan.watch(target.monitor(watch(&format!("m{i}"), every(60))))
        });
        let plan = plan.tell("c", recorder.clone());
        let report = Engine::new(plan, store.clone())
            .clock(clock)
            .pass()
            .await
            .unwrap();
        assert_eq!(report.down, 1000);
        assert_eq!(recorder.labels().len(), 1000);
        let commits = store.commits.lock().unwrap();
        let with_states = commits.iter().filter(|states| **states > 0).count();
        assert!(with_states <= 3, "{with_states}");
    }
}

mod our_own_faults_are_no_outage {
    use super::*;

    /// A wall clock that can be set; the monotonic one goes on.
    struct Settable(SystemClock, std::sync::Mutex<i64>);

    impl Clock for Settable {
        fn now(&self) -> Now {
            let now = self.0.now();
            Now {
                wall: now.wall + jiff::SignedDuration::from_secs(*self.1.lock().unwrap()),
                ..now
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_set_back_by_an_hour_makes_no_outage_and_no_silence() {
        let wall = clock();
        let settable = Arc::new(Settable(*wall, std::sync::Mutex::new(0)));
        let (target, recorder) = (Target::new(), Recorder::new(&wall));
        let policy = Policy {
            notify_every: secs(60),
            ..every(10)
        };
        let plan = Plan::new("s")
            .watch(target.monitor(watch("a", policy)))
            .tell("c", recorder.clone());
        let engine = Engine::new(plan, Memory::new())
            .clock(settable.clone())
            .zone(TimeZone::UTC);
        let handle = engine.handle();
        let running = tokio::spawn(engine.run());
        tokio::time::sleep(secs(30)).await;
        *settable.1.lock().unwrap() = -3600;
        tokio::time::sleep(secs(30)).await;
        assert!(recorder.labels().is_empty(), "no false outage");
        target.set(Condition::Down("no".into()));
        tokio::time::sleep(secs(30)).await;
        *settable.1.lock().unwrap() = -7200;
        tokio::time::sleep(secs(150)).await;
        *settable.1.lock().unwrap() = 7200;
        tokio::time::sleep(secs(40)).await;
        target.set(Condition::Up);
        tokio::time::sleep(secs(20)).await;
        handle.shutdown().await;
        running.await.unwrap().unwrap();
        assert_eq!(
            recorder.labels(),
            ["NEW OUTAGE", "DOWN", "DOWN", "DOWN", "RECOVERY"]
        );
        assert!(
            recorder.texts()[1].ends_with("down for 1 mins 0 secs"),
            "{}",
            recorder.texts()[1]
        );
        assert!(
            recorder.texts()[4].ends_with("outage lasted 3 mins 40 secs"),
            "{}",
            recorder.texts()[4]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_harms_one_observation() {
        let (clock, broken, sound) = (clock(), Target::new(), Target::new());
        let recorder = Recorder::new(&clock);
        broken.set(Condition::Panics);
        let plan = Plan::new("s")
            .watch(broken.monitor(watch("broken", every(1))))
            .watch(sound.monitor(watch("sound", every(1))))
            .tell("c", recorder.clone());
        let report = run_for(Engine::new(plan, Memory::new()).clock(clock), secs(10)).await;
        assert!(broken.looks() >= 9 && sound.looks() >= 9);
        assert_eq!(report.down, 0);
        assert!(recorder.labels().is_empty());
    }
}

mod yesterdays_state_works {
    use super::*;

    fn down_since(told: i64) -> MonitorState {
        MonitorState {
            is_up: Some(false),
            last_checked: written(60),
            last_notified: written(told),
            last_alarm_started: written(3600),
            down_count: 40,
            notified_count: 3,
            error_reason: Some("refused".into()),
            ..MonitorState::default()
        }
    }

    fn store_with(state: MonitorState) -> Arc<Memory> {
        let store = Memory::new();
        store
            .kept
            .lock()
            .unwrap()
            .monitors
            .insert("a".into(), state.into());
        store
    }

    async fn pass(store: &Arc<Memory>, target: &Arc<Target>, policy: Policy) -> Vec<String> {
        let clock = clock();
        let recorder = Recorder::new(&clock);
        let plan = Plan::new("s")
            .watch(target.monitor(watch("a", policy)))
            .tell("c", recorder.clone());
        Engine::new(plan, store.clone())
            .clock(clock)
            .zone(TimeZone::UTC)
            .pass()
            .await
            .unwrap();
        recorder.texts()
    }

    #[tokio::test(start_paused = true)]
    async fn a_running_outage_is_continued_without_a_repeated_alert() {
        let (store, target) = (store_with(down_since(100)), Target::new());
        target.set(Condition::Down("refused".into()));
        assert!(pass(&store, &target, every(60)).await.is_empty());
        assert_eq!(target.looks(), 1);
        let state = store.state("a");
        assert_eq!((state.down_count, state.notified_count), (41, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reminder_that_is_due_is_told_once_after_the_look() {
        let (store, target) = (store_with(down_since(700)), Target::new());
        target.set(Condition::Down("refused".into()));
        let told = pass(&store, &target, every(60)).await;
        assert_eq!(
            told,
            ["a in s is down: refused (192.0.2.1) at 12:00 PM, down for 1 hours 0 mins"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn its_end_is_told_and_no_reminder_before_it() {
        let (store, target) = (store_with(down_since(700)), Target::new());
        let told = pass(&store, &target, every(60)).await;
        assert_eq!(
            told,
            ["a in s is UP (192.0.2.1) at 12:00 PM, outage lasted 1 hours 0 mins"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_looks_at_what_is_due_and_at_nothing_else() {
        let mut state = MonitorState {
            is_up: Some(true),
            last_checked: written(30),
            ..MonitorState::default()
        };
        state.last_config_checksum = Some("1".into());
        let (store, target) = (store_with(state.clone()), Target::new());
        pass(&store, &target, every(60)).await;
        assert_eq!(target.looks(), 0, "not due");
        pass(&store, &target, every(30)).await;
        assert_eq!(target.looks(), 1, "due");
        let changed = MonitorState {
            last_config_checksum: Some("other".into()),
            ..state
        };
        let (store, target) = (store_with(changed), Target::new());
        pass(&store, &target, every(60)).await;
        assert_eq!(target.looks(), 1, "changed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_without_news_ends_at_once_with_one_commit() {
        let (clock, target, store) = (clock(), Target::new(), Memory::new());
        let plan = Plan::new("s").watch(target.monitor(watch("a", every(60))));
        let report = Engine::new(plan, store.clone())
            .clock(clock)
            .pass()
            .await
            .unwrap();
        assert!(report.took < secs(1), "{:?}", report.took);
        assert_eq!(*store.commits.lock().unwrap(), [1]);
        assert_eq!(store.state("a").is_up, Some(true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_makes_its_retries_before_it_ends() {
        let (store, target) = (Memory::new(), Target::new());
        target.set(Condition::Down("refused".into()));
        let policy = Policy {
            max_retries: 3.try_into().unwrap(),
            retry_every: Some(secs(5)),
            ..every(60)
        };
        let told = pass(&store, &target, policy).await;
        assert_eq!(target.looks(), 3);
        assert_eq!(
            told,
            ["a in s new outage: refused (192.0.2.1) at 12:00 PM, down for 0 secs"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_does_not_wait_for_a_dead_channel_longer_than_a_look_may_take() {
        let (clock, target, store) = (clock(), Target::new(), Memory::new());
        let recorder = Recorder::new(&clock);
        *recorder.hangs.lock().unwrap() = true;
        target.set(Condition::Down("refused".into()));
        let plan = Plan::new("s")
            .watch(target.monitor(watch("a", every(60))))
            .tell("c", recorder);
        let report = Engine::new(plan, store.clone())
            .clock(clock)
            .pass()
            .await
            .unwrap();
        assert_eq!(report.undelivered, 1);
        assert!(report.took <= secs(22), "{:?}", report.took);
        assert_eq!(store.kept.lock().unwrap().outbox.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_sends_a_heartbeat_that_is_due_on_the_strength_of_a_look() {
        for (last, up, sent) in [
            (None, true, 1),
            (written(400), true, 1),
            (written(100), true, 0),
            (written(400), false, 0),
        ] {
            let (clock, target) = (clock(), Target::new());
            let recorder = Recorder::new(&clock);
            if !up {
                target.set(Condition::Down("refused".into()));
            }
            let state = MonitorState {
                is_up: Some(true),
                last_checked: written(5),
                last_successful_heartbeat: last,
                last_config_checksum: Some("1".into()),
                ..MonitorState::default()
            };
            let heartbeat = Some(Heartbeat {
                url: Secret::new("http://h/"),
                every: Some(secs(300)),
            });
            let plan = Plan::new("s").watch(target.monitor(watch(
                "a",
                Policy {
                    heartbeat,
                    ..every(60)
                },
            )));
            let store = store_with(state);
            Engine::new(plan, store.clone())
                .clock(clock)
                .heartbeats(recorder.clone())
                .pass()
                .await
                .unwrap();
            assert_eq!(recorder.beats.lock().unwrap().len(), sent, "{last:?} {up}");
            assert_eq!(store.state("a").last_successful_heartbeat != last, sent == 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn quietly_nobody_is_told_and_older_messages_stay() {
        let (clock, target, store) = (clock(), Target::new(), Memory::new());
        let recorder = Recorder::new(&clock);
        *recorder.hangs.lock().unwrap() = true;
        target.set(Condition::Down("refused".into()));
        let plan = |quiet| Plan {
            quiet,
            ..Plan::new("s")
                .watch(target.monitor(watch("a", every(60))))
                .tell("c", recorder.clone())
        };
        let told = plan(false);
        Engine::new(told, store.clone())
            .clock(clock.clone())
            .pass()
            .await
            .unwrap();
        assert_eq!(store.kept.lock().unwrap().outbox.len(), 1);
        let another = target.monitor(watch("b", every(60)));
        let report = Engine::new(plan(true).watch(another), store.clone())
            .clock(clock)
            .pass()
            .await
            .unwrap();
        assert_eq!(
            store.kept.lock().unwrap().outbox.len(),
            1,
            "nothing is told later either"
        );
        assert!(store.state("b").health().is_down());
        assert!(report.took < secs(1), "{:?}", report.took);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_removed_while_nobody_ran_is_told_and_forgotten_after_thirty_days() {
        let clock = clock();
        let (store, recorder, target) = (store_with(down_since(100)), Recorder::new(&clock), Target::new());
        let plan = || {
            Plan::new("s")
                .watch(target.monitor(watch("b", every(60))))
                .tell("c", recorder.clone())
        };
        Engine::new(plan(), store.clone())
            .clock(clock.clone())
            .zone(TimeZone::UTC)
            .pass()
            .await
            .unwrap();
        assert_eq!(
            recorder.texts(),
            ["a in s is no longer watched at 12:00 PM (was down for 1 hours 0 mins)"]
        );
        assert!(store.state("a").own.removed_at.is_some());
        Engine::new(plan(), store.clone())
            .clock(clock.clone())
            .pass()
            .await
            .unwrap();
        assert_eq!(recorder.texts().len(), 1, "once");
        tokio::time::sleep(secs(31 * 86_400)).await;
        Engine::new(plan(), store.clone())
            .clock(clock)
            .pass()
            .await
            .unwrap();
        assert!(!store.kept.lock().unwrap().monitors.contains_key("a"));
    }
}

mod a_reload {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn keeps_phase_and_state_of_what_did_not_change_and_looks_at_what_did() {
        let (clock, kept, changed, new) = (clock(), Target::new(), Target::new(), Target::new());
        let monitors = |checksum: &str| {
            let changed_watch = Watch {
                checksum: checksum.into(),
                ..watch("changed", every(100))
            };
            Plan::new("s")
                .watch(kept.monitor(watch("kept", every(100))))
                .watch(changed.monitor(changed_watch))
        };
        let engine = Engine::new(monitors("1"), Memory::new()).clock(clock.clone());
        let handle = engine.handle();
        let running = tokio::spawn(engine.run());
        tokio::time::sleep(secs(150)).await;
        let before = (kept.looks(), changed.looks());
        handle
            .reload(monitors("2").watch(new.monitor(watch("new", every(100)))))
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(
            (kept.looks(), changed.looks(), new.looks()),
            (before.0, before.1 + 1, 1)
        );
        tokio::time::sleep(secs(300)).await;
        let looks: Vec<Mono> = kept.looks.lock().unwrap().clone();
        for pair in looks[1..].windows(2) {
            assert!(
                pair[1].since(pair[0]).abs_diff(secs(100)) < Duration::from_millis(3),
                "{looks:?}"
            );
        }
        handle.shutdown().await;
        running.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn during_a_look_ignores_what_the_old_version_finds() {
        let (clock, old, new) = (clock(), Target::new(), Target::new());
        let recorder = Recorder::new(&clock);
        old.set(Condition::Silent);
        let plan = |target: &Arc<Target>, checksum: &str| {
            let watch = Watch {
                checksum: checksum.into(),
                ..watch("a", every(60))
            };
            Plan::new("s")
                .watch(target.monitor(watch))
                .tell("c", recorder.clone())
        };
        let engine = Engine::new(plan(&old, "1"), Memory::new()).clock(clock);
        let handle = engine.handle();
        let running = tokio::spawn(engine.run());
        tokio::time::sleep(secs(10)).await;
        handle.reload(plan(&new, "2")).await.unwrap();
        tokio::time::sleep(secs(50)).await;
        assert!(recorder.labels().is_empty());
        assert!(new.looks() >= 1);
        handle.shutdown().await;
        running.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn refuses_two_monitors_of_one_name() {
        let target = Target::new();
        let twice = || {
            Plan::new("s")
                .watch(target.monitor(watch("a", every(1))))
                .watch(target.monitor(watch("a", every(2))))
        };
        let error = Engine::new(twice(), Memory::new()).pass().await.unwrap_err();
        assert_eq!(error.to_string(), "two monitors are called \"a\"");
        let engine = Engine::new(Plan::new("s"), Memory::new());
        let handle = engine.handle();
        let (result, refused) = tokio::join!(engine.run(), async {
            let refused = handle.reload(twice()).await;
            handle.shutdown().await;
            refused
        });
        result.unwrap();
        assert!(refused.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_notice_of_a_monitor_becomes_a_message_of_its_own() {
    use apmon_core::{Look, Monitor, Notice, Observation, Outcome};

    struct Switch(Watch);

    #[async_trait::async_trait]
    impl Monitor for Switch {
        fn watch(&self) -> &Watch {
            &self.0
        }
        async fn check(&self, _: &Look) -> Observation {
            let mut observation = Observation::from(Outcome::up(Duration::ZERO));
            for port in ["Gi0/1", "Gi0/2"] {
                observation.notices.push(Notice {
                    label: "PORT CHANGE".into(),
                    text: format!("{port} oper=down"),
                });
            }
            observation
        }
    }

    let clock = clock();
    let recorder = Recorder::new(&clock);
    let plan = Plan::new("HomeLab")
        .watch(Arc::new(Switch(watch("switch", every(60)))))
        .tell("c", recorder.clone());
    Engine::new(plan, Memory::new())
        .clock(clock)
        .zone(TimeZone::UTC)
        .pass()
        .await
        .unwrap();
    let heard = recorder.heard.lock().unwrap();
    assert_eq!(
        heard
            .iter()
            .map(|(_, message, _)| message.to_string())
            .collect::<Vec<_>>(),
        [
            "##### PORT CHANGE: switch in HomeLab: Gi0/1 oper=down at 12:00 PM #####",
            "##### PORT CHANGE: switch in HomeLab: Gi0/2 oper=down at 12:00 PM #####"
        ]
    );
    assert_ne!(heard[0].1.incident, heard[1].1.incident);
    assert!(
        heard
            .iter()
            .all(|(_, message, _)| matches!(message.kind, NotificationKind::Notice(_)))
    );
}
