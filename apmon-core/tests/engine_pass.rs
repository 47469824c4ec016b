//! Passes, and state that was there before: in virtual time.

#![allow(clippy::unwrap_used)] // a test may end where it stands

mod support;

use std::sync::Arc;

use apmon_core::{Engine, Heartbeat, MonitorState, Plan, Policy, Secret};
use jiff::tz::TimeZone;
use support::{Condition, Memory, Recorder, Target, clock, every, secs, watch, written};

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
            .notify("c", recorder.clone());
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
        assert_eq!(target.checks(), 1);
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
        assert_eq!(target.checks(), 0, "not due");
        pass(&store, &target, every(30)).await;
        assert_eq!(target.checks(), 1, "due");
        let changed = MonitorState {
            last_config_checksum: Some("other".into()),
            ..state
        };
        let (store, target) = (store_with(changed), Target::new());
        pass(&store, &target, every(60)).await;
        assert_eq!(target.checks(), 1, "changed");
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
        assert_eq!(target.checks(), 3);
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
            .notify("c", recorder);
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
            Engine::new(plan.heartbeats(recorder.clone()), store.clone())
                .clock(clock)
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
        let plan = |no_notify| Plan {
            no_notify,
            ..Plan::new("s")
                .watch(target.monitor(watch("a", every(60))))
                .notify("c", recorder.clone())
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
                .notify("c", recorder.clone())
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
