//! No alert is lost: in virtual time.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

mod no_alert_is_lost {
    use std::{sync::Arc, time::Duration};

    use apmon_core::{
        ChannelClass, Notification, NotificationKind, Plan, Policy,
        testing::{Answer, MemoryStore, Recorder, Response, Stage, StoreAnswer, Target, every, secs, watch},
    };

    use crate::support::{Site, run_for, sleep};

    #[tokio::test(start_paused = true)]
    async fn a_notification_is_committed_before_it_is_sent() {
        let site = Site::down();
        site.recorder.set_next(vec![Answer::Unavailable; 3]);
        let daemon = site.start(site.plan(every(10)));
        sleep(9).await;
        let outbox = site.store.outbox();
        assert_eq!(outbox.len(), 1);
        assert!(
            outbox[0].attempts >= 1,
            "the result of an attempt is committed too"
        );
        sleep(10).await;
        assert!(site.store.outbox().is_empty(), "and so is the delivery");
        assert_eq!(site.recorder.labels(), ["NEW OUTAGE"]);
        daemon.stop().await;
    }

    /// The receiver refuses during the outage, and accepts everything after it.
    #[tokio::test(start_paused = true)]
    async fn after_refusals_the_last_notification_is_the_recovery() {
        let site = Site::down();
        site.recorder.set_next(vec![Answer::Refuses; 3]);
        let policy = Policy {
            notify_every: secs(60),
            ..every(10)
        };
        let daemon = site.start(site.plan(policy));
        sleep(150).await;
        assert!(site.recorder.labels().is_empty(), "refused three times");
        site.target.set(Response::Up);
        sleep(4000).await;
        assert_eq!(site.recorder.labels(), ["NEW OUTAGE", "RECOVERY"]);
        assert!(site.store.outbox().is_empty(), "no reminder is left");
        daemon.stop().await;
    }

    /// It is back before, or after, the attempt that was in progress has ended.
    #[tokio::test(start_paused = true)]
    async fn an_end_that_is_delivered_while_its_channel_leaves_is_not_sent_again() {
        for (answers_after, back_after) in [(10, 60), (15, 5)] {
            let site = Site::down();
            let other = Recorder::new();
            let without = || {
                let mut plan = site.plan(every(10)).notify("d", other.clone());
                plan.channels.remove(0);
                plan
            };
            let with = || site.plan(every(10)).notify("d", other.clone());
            let daemon = site.start(with());
            sleep(20).await;
            assert_eq!(site.recorder.labels(), ["NEW OUTAGE"]);
            site.recorder.set_delay(secs(answers_after));
            site.target.set(Response::Up);
            while site.recorder.attempts() < 2 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            daemon.reload(without()).await;
            sleep(back_after).await;
            daemon.reload(with()).await;
            sleep(200).await;
            assert_eq!(site.recorder.labels(), ["NEW OUTAGE", "RECOVERY"]);
            assert_eq!(other.labels(), ["NEW OUTAGE", "RECOVERY"]);
            assert!(site.store.state("a").own.owed_ends.is_empty());
            assert!(site.store.outbox().is_empty());
            daemon.stop().await;
        }
    }

    /// The monitor is removed with its switch, or is silenced by the site.
    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_removed_monitor_is_silenced_by_the_site_alone() {
        let site = Site::down();
        let plan = |alarms: bool| {
            let policy = Policy { alarms, ..every(10) };
            let mut plan = site.plan(policy);
            plan.alarms = true;
            plan
        };
        let removed = |alarms: bool| {
            let mut plan = plan(true);
            plan.monitors.clear();
            plan.alarms = alarms;
            plan
        };
        let daemon = site.start(plan(true));
        sleep(20).await;
        daemon.reload(plan(false)).await;
        sleep(20).await;
        daemon.reload(removed(false)).await;
        sleep(20).await;
        assert_eq!(site.recorder.labels(), ["NEW OUTAGE"]);
        daemon.kill().await;
        let daemon = site.start(removed(true));
        sleep(20).await;
        assert_eq!(site.recorder.labels(), ["NEW OUTAGE", "NO LONGER WATCHED"]);
        // At once, without a word of lateness.
        daemon.reload(plan(true)).await;
        sleep(20).await;
        daemon.reload(plan(false)).await;
        sleep(20).await;
        daemon.reload(removed(true)).await;
        sleep(20).await;
        let lines = site.recorder.lines();
        assert_eq!(
            site.recorder.labels()[2..],
            ["NEW OUTAGE", "NO LONGER WATCHED"],
            "{lines:?}"
        );
        assert!(!lines[3].contains("late"), "{lines:?}");
        daemon.stop().await;
    }

    /// It leaves the site file before anything was sent to it.
    #[tokio::test(start_paused = true)]
    async fn a_channel_that_was_sent_nothing_is_owed_nothing() {
        let site = Site::down();
        let other = Recorder::new();
        let with = || site.plan(every(10)).notify("d", other.clone());
        let without = || {
            let mut plan = with();
            plan.channels.remove(0);
            plan
        };
        site.recorder.set(Answer::Unavailable);
        let daemon = site.start(with());
        sleep(20).await;
        assert!(site.recorder.attempts() > 0);
        site.target.set(Response::Up);
        sleep(20).await;
        // Behind the entries of the first outage, nothing of the second one is tried.
        site.target.set(Response::down("no"));
        sleep(20).await;
        site.target.set(Response::Up);
        sleep(20).await;
        site.recorder.set(Answer::Accepts);
        daemon.reload(without()).await;
        sleep(20).await;
        let owed = site.store.state("a").own.owed_ends.clone();
        assert_eq!(owed.len(), 1, "of the first outage: {owed:?}");
        daemon.reload(with()).await;
        sleep(60).await;
        assert_eq!(site.recorder.labels(), ["RECOVERY"]);
        assert_eq!(
            other.labels(),
            ["NEW OUTAGE", "RECOVERY", "NEW OUTAGE", "RECOVERY"]
        );
        daemon.stop().await;
    }

    /// Its end waits when the service gets another id.
    #[tokio::test(start_paused = true)]
    async fn a_renamed_service_gets_the_waiting_end_also_while_alarms_are_off() {
        let site = Site::down();
        let renamed = Recorder::new();
        let alarms_off = Policy {
            alarms: false,
            ..every(10)
        };
        let plan = |policy: &Policy| {
            let mut plan = site.plan(policy.clone());
            plan.channels[0].keyed = true;
            plan
        };
        let daemon = site.start(plan(&every(10)));
        sleep(20).await;
        assert_eq!(site.recorder.labels(), ["NEW OUTAGE"]);
        daemon.reload(plan(&alarms_off)).await;
        site.recorder.set(Answer::Unavailable);
        site.target.set(Response::Up);
        sleep(20).await;
        let mut with_new_id = plan(&alarms_off).notify("c2", renamed.clone());
        with_new_id.channels.remove(0);
        with_new_id.channels[0].keyed = true;
        daemon.reload(with_new_id).await;
        sleep(20).await;
        assert_eq!(renamed.labels(), ["RECOVERY"]);
        daemon.stop().await;
    }

    /// A state file that still contains a reminder of an outage that has ended.
    #[tokio::test(start_paused = true)]
    async fn an_outdated_reminder_on_disk_is_not_sent() {
        let site = Site::down();
        site.recorder.set(Answer::Hangs);
        let daemon = site.start(site.plan(every(10)));
        sleep(10).await;
        daemon.kill().await;
        site.store.edit(|stored| {
            stored.outbox[0].notification.kind = NotificationKind::Reminder;
            let state = Arc::make_mut(stored.monitors.get_mut("a").unwrap());
            state.own.incident = None;
            state.is_up = Some(true);
        });
        site.target.set(Response::Up);
        site.recorder.set(Answer::Accepts);
        run_for(site.engine(site.plan(every(10))), secs(20)).await;
        assert!(site.recorder.labels().is_empty(), "{:?}", site.recorder.labels());
        assert!(site.store.outbox().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_notification_of_a_killed_process_is_sent_by_the_next_with_the_same_key() {
        let site = Site::down();
        site.recorder.set(Answer::Hangs);
        let daemon = site.start(site.plan(every(10)));
        sleep(10).await;
        daemon.kill().await;
        let key = site.store.outbox()[0].key();
        site.recorder.set(Answer::Accepts);
        run_for(site.engine(site.plan(every(10))), secs(3)).await;
        let received = site.recorder.received();
        assert_eq!(received.len(), 1);
        assert_eq!(received[0].key, key);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_store_stops_neither_checks_nor_notifications() {
        let site = Site::down();
        site.store.set(StoreAnswer::Fails);
        let daemon = site.start(site.plan(every(1)));
        sleep(10).await;
        assert_eq!(site.recorder.labels(), ["NEW OUTAGE"]);
        site.target.set(Response::Up);
        sleep(2).await;
        assert_eq!(site.recorder.labels(), ["NEW OUTAGE", "RECOVERY"]);
        // When it works again, what is missing is written.
        site.store.set(StoreAnswer::Stores);
        sleep(10).await;
        assert_eq!(site.store.state("a").is_up, Some(true));
        assert!(site.store.outbox().is_empty());
        daemon.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_hanging_store_stops_neither_notifications_nor_shutdown() {
        let site = Site::down();
        site.store.set(StoreAnswer::Hangs);
        let daemon = site.start(site.plan(every(1)));
        sleep(10).await;
        assert_eq!(
            site.recorder.labels(),
            ["NEW OUTAGE"],
            "sent from memory after some time"
        );
        site.target.set(Response::Up);
        sleep(2).await;
        assert_eq!(
            site.recorder.labels(),
            ["NEW OUTAGE", "RECOVERY"],
            "and then at once"
        );
        let stopping = tokio::time::Instant::now();
        let report = daemon.stop().await;
        assert!(stopping.elapsed() < secs(10), "{:?}", stopping.elapsed());
        assert!(!report.saved);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_panics_leaves_the_commit_in_doubt_and_loses_nothing() {
        let site = Site::down();
        site.store.set(StoreAnswer::Panics);
        let report = site.engine(site.plan(every(60))).pass().await.unwrap();
        assert!(
            site.recorder.labels().is_empty(),
            "the state may have another owner"
        );
        assert!(!report.saved);
        site.store.set(StoreAnswer::Stores);
        site.engine(site.plan(every(60))).pass().await.unwrap();
        assert_eq!(site.recorder.labels(), ["NEW OUTAGE"]);
    }

    /// A dead webhook is taken out, and later the channel that replaced it.
    #[tokio::test(start_paused = true)]
    async fn a_channel_that_received_a_notification_does_not_receive_it_again() {
        let (target, store) = (Target::new(), MemoryStore::new());
        let (dead, dying) = (
            Recorder::answering(Answer::Hangs),
            Recorder::answering(Answer::Hangs),
        );
        let (healthy, new) = (Recorder::new(), Recorder::new());
        let plan = |channels: &[(&str, &Arc<Recorder>)]| {
            let plan = Plan::new("s").watch(target.monitor(watch("a", every(1))));
            channels.iter().fold(plan, |plan, (id, recorder)| {
                plan.notify(*id, Arc::clone(recorder) as _)
            })
        };
        let first = plan(&[("dead", &dead), ("dying", &dying), ("healthy", &healthy)]);
        let mut stage = Stage::of(first).store(store.clone());
        target.set(Response::down("no"));
        stage.run_for(secs(5)).await;
        target.set(Response::Up);
        stage.run_for(secs(5)).await;
        let both = ["NEW OUTAGE", "RECOVERY"];
        assert_eq!(healthy.labels(), both);
        stage
            .reload(plan(&[("new", &new), ("dying", &dying), ("healthy", &healthy)]))
            .await;
        stage.run_for(secs(5)).await;
        assert_eq!(new.labels(), both);
        stage.reload(plan(&[("new", &new), ("healthy", &healthy)])).await;
        stage.run_for(secs(5)).await;
        assert_eq!(new.labels(), both);
        assert_eq!(healthy.labels(), both);
        assert!(store.outbox().is_empty());
        stage.stop().await;
    }

    /// The disk was full for a while, and the receiver is down.
    #[tokio::test(start_paused = true)]
    async fn only_notifications_that_are_not_on_disk_count_as_lost() {
        let (first, second) = (Target::down("no"), Target::new());
        let (store, recorder) = (MemoryStore::new(), Recorder::new());
        recorder.set_next(vec![Answer::Unavailable; 50]);
        let mut stage = Stage::new("s")
            .store(store.clone())
            .monitor(first.monitor(watch("a", every(1))))
            .monitor(second.monitor(watch("b", every(1))))
            .channel("c", recorder.clone());
        stage.run_for(secs(100)).await;
        store.set(StoreAnswer::Fails);
        second.set(Response::down("no"));
        stage.run_for(secs(2)).await;
        // A shutdown ignores pauses: each notification is tried once more.
        let before = recorder.attempts();
        let report = stage.stop().await.unwrap();
        assert_eq!(recorder.attempts() - before, 2);
        assert_eq!((report.undelivered, report.lost, report.saved), (1, 1, false));
    }

    /// A mistyped host is corrected while a notification waits.
    #[tokio::test(start_paused = true)]
    async fn notifications_of_a_removed_channel_go_to_the_channels_that_are_left() {
        let (target, store) = (Target::down("no"), MemoryStore::new());
        let (wrong, other) = (
            Recorder::answering(Answer::Hangs),
            Recorder::answering(Answer::Hangs),
        );
        let right = Recorder::new();
        let plan = |id: &str, recorder: &Arc<Recorder>| {
            Plan::new("s")
                .watch(target.monitor(watch("a", every(1))))
                .notify(id, recorder.clone())
                .notify("other", other.clone())
        };
        let mut stage = Stage::of(plan("wrong", &wrong)).store(store.clone());
        stage.run_for(secs(5)).await;
        stage.reload(plan("right", &right)).await;
        stage.run_for(secs(5)).await;
        assert_eq!(right.labels(), ["NEW OUTAGE"]);
        let outbox = store.outbox();
        assert_eq!(outbox.len(), 1, "once for the other channel: {outbox:?}");
        stage.stop().await;
    }

    /// Nor does it receive a notification in place of a removed channel.
    #[tokio::test(start_paused = true)]
    async fn a_mailbox_receives_nothing_about_a_monitor_with_email_off() {
        let target = Target::down("no");
        let (removed, mail) = (Recorder::answering(Answer::Hangs), Recorder::new());
        let policy = Policy {
            classes_off: vec![ChannelClass::EMAIL],
            ..every(1)
        };
        let plan = || Plan::new("s").watch(target.monitor(watch("a", policy.clone())));
        let first = plan().notify("removed", removed.clone());
        let mut stage = Stage::of(first);
        stage.run_for(secs(5)).await;
        let mut with_mail = plan().notify("mail:ops", mail.clone());
        with_mail.channels[0].class = Some(ChannelClass::EMAIL);
        stage.reload(with_mail).await;
        stage.run_for(secs(5)).await;
        assert_eq!(mail.labels(), [""; 0]);
        stage.stop().await;
    }

    /// The fields of a notification beside its sentence.
    #[tokio::test(start_paused = true)]
    async fn a_notification_carries_its_start_its_duration_and_the_next_reminder() {
        let site = Site::down();
        let policy = Policy {
            notify_every: secs(60),
            ..every(1)
        };
        let daemon = site.start(site.plan(policy));
        sleep(70).await;
        site.target.set(Response::Up);
        sleep(5).await;
        daemon.stop().await;
        let received = site.recorder.received();
        let notifications: Vec<&Notification> = received.iter().map(|it| &it.notification).collect();
        let [outage, reminder, recovery] = notifications[..] else {
            panic!("{notifications:?}");
        };
        assert_eq!(outage.lasted, Some(Duration::ZERO));
        assert_eq!(outage.since, Some(outage.at));
        assert_eq!(outage.next_reminder, Some(reminder.at));
        assert_eq!((reminder.reminder(), reminder.lasted), (Some(1), Some(secs(60))));
        assert_eq!(recovery.next_reminder, None);
        assert!(recovery.lasted >= Some(secs(69)), "{:?}", recovery.lasted);
        assert!(
            notifications
                .iter()
                .all(|notification| notification.since == outage.since)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_outages_share_a_few_commits() {
        let site = Site::down();
        let plan = (0..1000).fold(Plan::new("s"), |plan, i| {
            plan.watch(site.target.monitor(watch(&format!("m{i}"), every(60))))
        });
        let plan = plan.notify("c", site.recorder.clone());
        let report = site.engine(plan).pass().await.unwrap();
        assert_eq!(report.down, 1000);
        assert_eq!(site.recorder.labels().len(), 1000);
        let commits = site.store.commits();
        let with_states = commits.iter().filter(|commit| !commit.states.is_empty()).count();
        assert!(with_states <= 3, "{with_states}");
    }
}
