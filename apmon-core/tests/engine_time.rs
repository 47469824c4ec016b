//! Time is kept, a dead target delays nobody, a reload disturbs nobody: in
//! virtual time.

#![allow(clippy::unwrap_used)] // a test may end where it stands

mod support;

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use apmon_core::{Engine, Heartbeat, Mono, NotificationKind, Plan, Policy, Secret, Watch};
use jiff::tz::TimeZone;
use support::{Condition, Memory, Recorder, Target, clock, every, run_for, secs, watch};

mod time_is_kept {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn looks_stand_on_a_fixed_grid() {
        let (clock, target) = (clock(), Target::new());
        target.set(Condition::Slow(Duration::from_millis(1500)));
        let plan = Plan::new("s").watch(target.monitor(watch("a", every(10))));
        run_for(Engine::new(plan, Memory::new()).clock(clock), secs(100)).await;
        let checks = target.checks.lock().unwrap().clone();
        assert!(checks.len() >= 10);
        for pair in checks[1..].windows(2) {
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
            target.checks(),
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
        for check in target.checks.lock().unwrap().iter() {
            *per_slot.entry(check.nanos() / 100_000_000).or_insert(0) += 1;
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
        let engine = Engine::new(plan.heartbeats(recorder.clone()), Memory::new()).clock(clock);
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
            Engine::new(plan.heartbeats(recorder.clone()), Memory::new()).clock(clock),
            secs(60),
        )
        .await;
        assert_eq!(recorder.beats.lock().unwrap().len(), target.checks());
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
        assert!(living.checks() >= 59, "{}", living.checks());
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
            .notify("hanging", hanging.clone())
            .notify("other", other.clone());
        run_for(Engine::new(plan, Memory::new()).clock(clock), secs(60)).await;
        assert!(target.checks() >= 59);
        assert_eq!(other.labels(), ["NEW OUTAGE"]);
        assert!(hanging.labels().is_empty());
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
        let before = (kept.checks(), changed.checks());
        handle
            .reload(monitors("2").watch(new.monitor(watch("new", every(100)))))
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(
            (kept.checks(), changed.checks(), new.checks()),
            (before.0, before.1 + 1, 1)
        );
        tokio::time::sleep(secs(300)).await;
        let checks: Vec<Mono> = kept.checks.lock().unwrap().clone();
        for pair in checks[1..].windows(2) {
            assert!(
                pair[1].since(pair[0]).abs_diff(secs(100)) < Duration::from_millis(3),
                "{checks:?}"
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
                .notify("c", recorder.clone())
        };
        let engine = Engine::new(plan(&old, "1"), Memory::new()).clock(clock);
        let handle = engine.handle();
        let running = tokio::spawn(engine.run());
        tokio::time::sleep(secs(10)).await;
        handle.reload(plan(&new, "2")).await.unwrap();
        tokio::time::sleep(secs(50)).await;
        assert!(recorder.labels().is_empty());
        assert!(new.checks() >= 1);
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
        assert_eq!(
            error.to_string(),
            "two monitors are named \"a\"; give each its own name"
        );
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
    use apmon_core::{Check, Monitor, Notice, Observation, Outcome};

    struct Switch(Watch);

    #[async_trait::async_trait]
    impl Monitor for Switch {
        fn watch(&self) -> &Watch {
            &self.0
        }
        async fn check(&self, _: &Check) -> Observation {
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
        .notify("c", recorder.clone());
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
