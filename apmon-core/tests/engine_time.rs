//! Time is kept, a dead target delays nobody, a reload disturbs nothing: in
//! virtual time.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use apmon_core::{
    Check, Engine, Heartbeat, Monitor, Mono, Notice, NotificationKind, Observation, Outcome, Plan, Policy,
    Secret, Watch,
    testing::{Answer, Daemon, MemoryStore, Recorder, Response, Stage, Target, every, secs, watch},
};
use support::{Site, run_for, sleep};

mod time_is_kept {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn checks_are_on_a_fixed_grid() {
        let site = Site::new();
        site.target.set(Response::Slow(Duration::from_millis(1500)));
        run_for(site.engine(site.plan(every(10))), secs(100)).await;
        let checks = site.target.checks();
        assert!(checks.len() >= 10);
        for pair in checks[1..].windows(2) {
            let gap = pair[1].since(pair[0]);
            assert!(gap.abs_diff(secs(10)) < Duration::from_millis(3), "{gap:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_overruns_skips_slots_and_causes_no_burst() {
        let site = Site::new();
        site.target.set(Response::Silent);
        let policy = Policy {
            max_try: secs(25),
            max_retries: 100.try_into().unwrap(),
            ..every(10)
        };
        let report = run_for(site.engine(site.plan(policy)), secs(300)).await;
        assert_eq!(
            site.target.checks().len(),
            10,
            "every 30 s: 25 s of silence, then the next slot"
        );
        assert!(report.missed >= 18, "{report:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_checks_of_a_thousand_monitors_are_spread() {
        let site = Site::new();
        let plan = (0..1000).fold(Plan::new("s"), |plan, i| {
            plan.watch(site.target.monitor(watch(&format!("m{i}"), every(10))))
        });
        run_for(site.engine(plan), secs(30)).await;
        let mut per_slot = std::collections::HashMap::new();
        for check in site.target.checks() {
            *per_slot.entry(check.nanos() / 100_000_000).or_insert(0) += 1;
        }
        assert!(
            per_slot.values().all(|n| *n < 60),
            "{:?}",
            per_slot.values().max()
        );
    }

    fn with_heartbeat(site: &Site, check_every: u64, heartbeat_every: Option<u64>) -> Engine {
        let heartbeat = Some(Heartbeat {
            url: Secret::new("http://h/"),
            every: heartbeat_every.map(secs),
            options: None,
        });
        let policy = Policy {
            heartbeat,
            ..every(check_every)
        };
        let plan = Plan::new("s").watch(site.target.monitor(watch("a", policy)));
        site.engine(plan.heartbeats(site.heartbeats.clone()))
    }

    #[tokio::test(start_paused = true)]
    async fn heartbeats_are_sent_when_due_and_only_after_a_successful_check() {
        let site = Site::new();
        let slow = || Response::Slow(Duration::from_millis(300));
        site.target.set(slow());
        let daemon = Daemon::start(with_heartbeat(&site, 7, Some(10)));
        sleep(60).await;
        site.target.set(Response::down("no"));
        sleep(30).await;
        let until_down = site.heartbeats.times("http://h/");
        site.target.set(slow());
        sleep(30).await;
        daemon.stop().await;
        assert!((6..=7).contains(&until_down.len()), "{until_down:?}");
        let heartbeats = site.heartbeats.times("http://h/");
        assert!(heartbeats.len() > until_down.len());
        for heartbeat in &heartbeats {
            let off = (*heartbeat - heartbeats[0]).as_millis() % 10_000;
            assert!(!(5..=9_995).contains(&off), "{off} ms off the grid");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_an_interval_each_successful_check_sends_a_heartbeat() {
        let site = Site::new();
        run_for(with_heartbeat(&site, 10, None), secs(60)).await;
        let heartbeats = site.heartbeats.requests();
        assert_eq!(heartbeats.len(), site.target.checks().len());
    }
}

mod a_dead_target_delays_nobody {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_thousand_dead_targets_do_not_delay_a_live_one() {
        let (site, dead) = (Site::new(), Target::new());
        dead.set(Response::Silent);
        let mut plan = Plan::new("s").watch(site.target.monitor(watch("live", every(1))));
        for i in 0..1000 {
            plan = plan.watch(dead.monitor(watch(&format!("dead{i}"), every(5))));
        }
        run_for(site.engine(plan), secs(60)).await;
        assert!(site.target.checks().len() >= 59, "{}", site.target.checks().len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_on_concurrent_checks_holds_and_the_others_take_turns() {
        let site = Site::new();
        site.target.set(Response::Slow(secs(1)));
        let mut plan = (0..6).fold(Plan::new("s"), |plan, i| {
            plan.watch(site.target.monitor(watch(&format!("m{i}"), every(60))))
        });
        plan.max_concurrent = NonZeroUsize::new(2);
        let report = site.engine(plan).pass().await.unwrap();
        assert_eq!(report.up, 6);
        assert!(
            report.took >= secs(3) && report.took < secs(4),
            "{:?}",
            report.took
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_channel_that_hangs_delays_no_check_and_no_other_channel() {
        let site = Site::down();
        let hanging = Recorder::answering(Answer::Hangs);
        let plan = Plan::new("s")
            .watch(site.target.monitor(watch("a", every(1))))
            .notify("hanging", hanging.clone())
            .notify("other", site.recorder.clone());
        run_for(site.engine(plan), secs(60)).await;
        assert!(site.target.checks().len() >= 59);
        assert_eq!(site.recorder.labels(), ["NEW OUTAGE"]);
        assert!(hanging.labels().is_empty());
    }
}

mod a_reload {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn keeps_phase_and_state_of_unchanged_monitors_and_checks_changed_ones() {
        let (kept, changed, new) = (Target::new(), Target::new(), Target::new());
        let monitors = |checksum: &str| {
            let changed_watch = Watch {
                checksum: checksum.into(),
                ..watch("changed", every(100))
            };
            Plan::new("s")
                .watch(kept.monitor(watch("kept", every(100))))
                .watch(changed.monitor(changed_watch))
        };
        let mut stage = Stage::of(monitors("1"));
        stage.run_for(secs(150)).await;
        let before = (kept.checks().len(), changed.checks().len());
        stage
            .reload(monitors("2").watch(new.monitor(watch("new", every(100)))))
            .await;
        stage.run_for(Duration::from_millis(100)).await;
        assert_eq!(
            (kept.checks().len(), changed.checks().len(), new.checks().len()),
            (before.0, before.1 + 1, 1)
        );
        stage.run_for(secs(300)).await;
        let checks: Vec<Mono> = kept.checks();
        for pair in checks[1..].windows(2) {
            assert!(
                pair[1].since(pair[0]).abs_diff(secs(100)) < Duration::from_millis(3),
                "{checks:?}"
            );
        }
        stage.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn during_a_check_ignores_the_result_of_the_old_version() {
        let (old, new) = (Target::new(), Target::new());
        let recorder = Recorder::new();
        old.set(Response::Silent);
        let plan = |target: &Arc<Target>, checksum: &str| {
            let watch = Watch {
                checksum: checksum.into(),
                ..watch("a", every(60))
            };
            Plan::new("s")
                .watch(target.monitor(watch))
                .notify("c", recorder.clone())
        };
        let mut stage = Stage::of(plan(&old, "1"));
        stage.run_for(secs(10)).await;
        stage.reload(plan(&new, "2")).await;
        stage.run_for(secs(50)).await;
        assert!(recorder.labels().is_empty());
        assert!(!new.checks().is_empty());
        stage.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn refuses_two_monitors_of_the_same_name() {
        let target = Target::new();
        let twice = || {
            Plan::new("s")
                .watch(target.monitor(watch("a", every(1))))
                .watch(target.monitor(watch("a", every(2))))
        };
        let error = Engine::new(twice(), MemoryStore::new()).pass().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "two monitors are named \"a\"; give each its own name"
        );
        let daemon = Daemon::start(Engine::new(Plan::new("s"), MemoryStore::new()));
        assert!(daemon.handle().reload(twice()).await.is_err());
        daemon.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_notice_of_a_monitor_is_a_notification_of_its_own() {
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

    let site = Site::new();
    let plan = Plan::new("HomeLab")
        .watch(Arc::new(Switch(watch("switch", every(60)))))
        .notify("c", site.recorder.clone());
    site.engine(plan).pass().await.unwrap();
    let received = site.recorder.received();
    let notifications: Vec<_> = received.iter().map(|it| &it.notification).collect();
    let lines: Vec<_> = notifications
        .iter()
        .map(|notification| notification.to_string())
        .collect();
    assert_eq!(
        lines,
        [
            "##### PORT CHANGE: switch in HomeLab: Gi0/1 oper=down at 12:00 PM #####",
            "##### PORT CHANGE: switch in HomeLab: Gi0/2 oper=down at 12:00 PM #####"
        ]
    );
    assert_ne!(notifications[0].incident, notifications[1].incident);
    assert!(
        notifications
            .iter()
            .all(|notification| matches!(notification.kind, NotificationKind::Notice(_)))
    );
}
