//! Passes, and state from before: in virtual time.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

mod yesterdays_state_works {
    use std::sync::Arc;

    use apmon_core::{
        Heartbeat, MonitorState, PassReport, Plan, Policy, Secret,
        testing::{Answer, MemoryStore, Response, every, secs, watch},
    };

    use crate::support::{Site, before_start, sleep};

    /// A monitor down for an hour, with its last notification this long ago.
    fn down_since(notified_secs_ago: i64) -> MonitorState {
        MonitorState {
            is_up: Some(false),
            last_checked: before_start(60),
            last_notified: before_start(notified_secs_ago),
            last_alarm_started: before_start(3600),
            down_count: 40,
            notified_count: 3,
            error_reason: Some("refused".into()),
            ..MonitorState::default()
        }
    }

    fn site_with(state: MonitorState) -> Site {
        let store = MemoryStore::new();
        store.edit(|stored| {
            stored.monitors.insert("a".into(), state.into());
        });
        Site::with_store(store)
    }

    async fn pass(site: &Site, plan: Plan) -> PassReport {
        site.engine(plan).pass().await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_running_outage_continues_without_a_repeated_alert() {
        let site = site_with(down_since(100));
        site.target.set(Response::down("refused"));
        pass(&site, site.plan(every(60))).await;
        assert!(site.recorder.texts().is_empty());
        assert_eq!(site.target.checks().len(), 1);
        let state = site.store.state("a");
        assert_eq!((state.down_count, state.notified_count), (41, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reminder_that_is_due_is_sent_once_after_the_check() {
        let site = site_with(down_since(700));
        site.target.set(Response::down("refused"));
        pass(&site, site.plan(every(60))).await;
        assert_eq!(
            site.recorder.texts(),
            ["a in s is down: refused (192.0.2.1) at 12:00 PM, down for 1 hrs 0 mins"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn its_recovery_is_sent_without_a_reminder_before_it() {
        let site = site_with(down_since(700));
        pass(&site, site.plan(every(60))).await;
        assert_eq!(
            site.recorder.texts(),
            ["a in s is UP (192.0.2.1) at 12:00 PM, outage lasted 1 hrs 0 mins"]
        );
        // As APMonitor counts: the recovery is the last notification, and no outage is left.
        let state = site.store.state("a");
        assert!(
            state.last_notified >= before_start(0),
            "{:?}",
            state.last_notified
        );
        assert_eq!(state.notified_count, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_checks_only_what_is_due() {
        let mut state = MonitorState {
            is_up: Some(true),
            last_checked: before_start(30),
            ..MonitorState::default()
        };
        state.last_config_checksum = Some("1".into());
        let site = site_with(state.clone());
        pass(&site, site.plan(every(60))).await;
        assert_eq!(site.target.checks().len(), 0, "not due");
        pass(&site, site.plan(every(30))).await;
        assert_eq!(site.target.checks().len(), 1, "due");
        let changed = MonitorState {
            last_config_checksum: Some("other".into()),
            ..state
        };
        let site = site_with(changed);
        pass(&site, site.plan(every(60))).await;
        assert_eq!(site.target.checks().len(), 1, "changed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_without_news_ends_at_once_with_one_commit() {
        let site = Site::new();
        let report = pass(&site, site.plan(every(60))).await;
        assert!(report.took < secs(1), "{:?}", report.took);
        let commits = site.store.commits();
        assert_eq!(commits.len(), 1);
        assert_eq!(commits[0].states.len(), 1);
        assert_eq!(site.store.state("a").is_up, Some(true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_makes_its_retries_before_it_ends() {
        let site = Site::new();
        site.target.set(Response::down("refused"));
        let policy = Policy {
            max_retries: 3.try_into().unwrap(),
            retry_every: Some(secs(5)),
            ..every(60)
        };
        pass(&site, site.plan(policy)).await;
        assert_eq!(site.target.checks().len(), 3);
        assert_eq!(
            site.recorder.texts(),
            ["a in s new outage: refused (192.0.2.1) at 12:00 PM, down for 0 secs"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_waits_for_a_dead_channel_no_longer_than_for_a_check() {
        let site = Site::down();
        site.recorder.set(Answer::Hangs);
        let report = pass(&site, site.plan(every(60))).await;
        assert_eq!(report.undelivered, 1);
        assert!(report.took <= secs(22), "{:?}", report.took);
        assert_eq!(site.store.outbox().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_sends_a_heartbeat_that_is_due_if_a_check_succeeds() {
        for (last, up, sent) in [
            (None, true, 1),
            (before_start(400), true, 1),
            (before_start(100), true, 0),
            (before_start(400), false, 0),
        ] {
            let state = MonitorState {
                is_up: Some(true),
                last_checked: before_start(5),
                last_successful_heartbeat: last,
                last_config_checksum: Some("1".into()),
                ..MonitorState::default()
            };
            let site = site_with(state);
            if !up {
                site.target.set(Response::down("refused"));
            }
            let heartbeat = Some(Heartbeat {
                url: Secret::new("http://h/"),
                every: Some(secs(300)),
                options: None,
            });
            let policy = Policy {
                heartbeat,
                ..every(60)
            };
            let plan = Plan::new("s").watch(site.target.monitor(watch("a", policy)));
            let engine = site.engine(plan.heartbeats(site.heartbeats.clone()));
            engine.pass().await.unwrap();
            let heartbeats = site.heartbeats.requests();
            assert_eq!(heartbeats.len(), sent, "{last:?} {up}");
            let state = site.store.state("a");
            assert_eq!(state.last_successful_heartbeat != last, sent == 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn with_no_notify_nothing_is_sent_and_waiting_notifications_stay() {
        let site = Site::down();
        site.recorder.set(Answer::Hangs);
        pass(&site, site.plan(every(60))).await;
        assert_eq!(site.store.outbox().len(), 1);
        let another = site.target.monitor(watch("b", every(60)));
        let plan = Plan {
            no_notify: true,
            ..site.plan(every(60)).watch(another)
        };
        let report = pass(&site, plan).await;
        assert_eq!(site.store.outbox().len(), 1, "nothing is sent later either");
        assert!(site.store.state("b").health().is_down());
        assert!(report.took < secs(1), "{:?}", report.took);
    }

    #[tokio::test(start_paused = true)]
    async fn a_monitor_removed_between_passes_is_announced_and_forgotten_after_thirty_days() {
        let site = site_with(down_since(100));
        let plan = || {
            let other = site.target.monitor(watch("b", every(60)));
            let plan = Plan::new("s").watch(other);
            plan.notify("c", Arc::clone(&site.recorder) as _)
        };
        pass(&site, plan()).await;
        assert_eq!(
            site.recorder.texts(),
            ["a in s is no longer watched at 12:00 PM (was down for 1 hrs 0 mins)"]
        );
        assert!(site.store.state("a").own.removed_at.is_some());
        pass(&site, plan()).await;
        assert_eq!(site.recorder.texts().len(), 1, "only once");
        sleep(31 * 86_400).await;
        pass(&site, plan()).await;
        let stored = site.store.snapshot();
        assert!(!stored.monitors.contains_key("a"));
    }
}
