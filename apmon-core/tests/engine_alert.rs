//! No alert is lost, our own faults are no outage: in virtual time.

#![allow(clippy::unwrap_used)] // a test may end where it stands

mod support;

use std::{sync::Arc, time::Duration};

use apmon_core::{ChannelClass, Clock, DeliveryError, Engine, Notification, Now, Plan, Policy, SystemClock};
use jiff::tz::TimeZone;
use support::{Condition, Memory, Recorder, Target, clock, every, run_for, secs, watch};

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
            .notify("c", recorder.clone());
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

    /// The receiver refuses during the outage, and takes all from its end on.
    #[tokio::test(start_paused = true)]
    async fn after_refusals_the_last_word_is_the_recovery() {
        let (clock, target) = (clock(), Target::new());
        let (store, recorder) = (Memory::new(), Recorder::new(&clock));
        recorder
            .answers
            .lock()
            .unwrap()
            .extend(vec![Err(DeliveryError::permanent("400")); 3]);
        target.set(Condition::Down("no".into()));
        let policy = Policy {
            notify_every: secs(60),
            ..every(10)
        };
        let plan = Plan::new("s")
            .watch(target.monitor(watch("a", policy)))
            .notify("c", recorder.clone());
        let engine = Engine::new(plan, store.clone()).clock(clock);
        let handle = engine.handle();
        let running = tokio::spawn(engine.run());
        tokio::time::sleep(secs(150)).await;
        assert!(recorder.labels().is_empty(), "refused three times");
        target.set(Condition::Up);
        tokio::time::sleep(secs(4000)).await;
        assert_eq!(recorder.labels(), ["NEW OUTAGE", "RECOVERY"]);
        assert!(
            store.kept.lock().unwrap().outbox.is_empty(),
            "no reminder is left"
        );
        handle.shutdown().await;
        running.await.unwrap().unwrap();
    }

    /// A state file that still holds a reminder of an outage that has ended.
    #[tokio::test(start_paused = true)]
    async fn a_stale_reminder_on_disk_is_not_told() {
        let (clock, target) = (clock(), Target::new());
        let (store, recorder) = (Memory::new(), Recorder::new(&clock));
        *recorder.hangs.lock().unwrap() = true;
        target.set(Condition::Down("no".into()));
        let plan = || {
            Plan::new("s")
                .watch(target.monitor(watch("a", every(10))))
                .notify("c", recorder.clone())
        };
        let running = tokio::spawn(Engine::new(plan(), store.clone()).clock(clock.clone()).run());
        tokio::time::sleep(secs(10)).await;
        running.abort();
        {
            let mut kept = store.kept.lock().unwrap();
            kept.outbox[0].notification.kind = apmon_core::NotificationKind::Reminder;
            let state = kept.monitors.get_mut("a").unwrap();
            Arc::make_mut(state).own.incident = None;
            Arc::make_mut(state).is_up = Some(true);
        }
        target.set(Condition::Up);
        *recorder.hangs.lock().unwrap() = false;
        run_for(Engine::new(plan(), store.clone()).clock(clock), secs(20)).await;
        assert!(recorder.labels().is_empty(), "{:?}", recorder.labels());
        assert!(store.kept.lock().unwrap().outbox.is_empty());
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
                .notify("c", recorder.clone())
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
            .notify("c", recorder.clone());
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
    async fn a_store_that_hangs_stops_neither_telling_nor_the_end() {
        let (clock, target) = (clock(), Target::new());
        let (store, recorder) = (Memory::new(), Recorder::new(&clock));
        *store.hangs.lock().unwrap() = true;
        target.set(Condition::Down("no".into()));
        let plan = Plan::new("s")
            .watch(target.monitor(watch("a", every(1))))
            .notify("c", recorder.clone());
        let engine = Engine::new(plan, store.clone()).clock(clock);
        let handle = engine.handle();
        let running = tokio::spawn(engine.run());
        tokio::time::sleep(secs(10)).await;
        assert_eq!(
            recorder.labels(),
            ["NEW OUTAGE"],
            "after some patience, from memory"
        );
        target.set(Condition::Up);
        tokio::time::sleep(secs(2)).await;
        assert_eq!(recorder.labels(), ["NEW OUTAGE", "RECOVERY"], "and then at once");
        handle.shutdown().await;
        let report = tokio::time::timeout(secs(2), running)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        assert!(!report.saved);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_panics_is_a_store_that_fails() {
        let (clock, target) = (clock(), Target::new());
        let (store, recorder) = (Memory::new(), Recorder::new(&clock));
        *store.panics.lock().unwrap() = true;
        target.set(Condition::Down("no".into()));
        let plan = Plan::new("s")
            .watch(target.monitor(watch("a", every(60))))
            .notify("c", recorder.clone());
        let report = Engine::new(plan, store).clock(clock).pass().await.unwrap();
        assert_eq!(recorder.labels(), ["NEW OUTAGE"]);
        assert!(!report.saved);
    }

    /// A dead webhook is taken out, and later the one that took its place.
    #[tokio::test(start_paused = true)]
    async fn a_channel_that_was_told_a_message_is_not_told_it_again() {
        let (clock, target, store) = (clock(), Target::new(), Memory::new());
        let (dead, dying, healthy, heir) = (
            Recorder::new(&clock),
            Recorder::new(&clock),
            Recorder::new(&clock),
            Recorder::new(&clock),
        );
        *dead.hangs.lock().unwrap() = true;
        *dying.hangs.lock().unwrap() = true;
        let plan = |channels: &[(&str, &Arc<Recorder>)]| {
            let plan = Plan::new("s").watch(target.monitor(watch("a", every(1))));
            channels.iter().fold(plan, |plan, (id, recorder)| {
                plan.notify(*id, Arc::clone(recorder) as _)
            })
        };
        let first = plan(&[("dead", &dead), ("dying", &dying), ("healthy", &healthy)]);
        let engine = Engine::new(first, store.clone()).clock(clock);
        let handle = engine.handle();
        let running = tokio::spawn(engine.run());
        target.set(Condition::Down("no".into()));
        tokio::time::sleep(secs(5)).await;
        target.set(Condition::Up);
        tokio::time::sleep(secs(5)).await;
        let both = ["NEW OUTAGE", "RECOVERY"];
        assert_eq!(healthy.labels(), both);
        let second = plan(&[("heir", &heir), ("dying", &dying), ("healthy", &healthy)]);
        handle.reload(second).await.unwrap();
        tokio::time::sleep(secs(5)).await;
        assert_eq!(heir.labels(), both);
        handle
            .reload(plan(&[("heir", &heir), ("healthy", &healthy)]))
            .await
            .unwrap();
        tokio::time::sleep(secs(5)).await;
        assert_eq!(heir.labels(), both);
        assert_eq!(healthy.labels(), both);
        assert!(store.kept.lock().unwrap().outbox.is_empty());
        handle.shutdown().await;
        running.await.unwrap().unwrap();
    }

    /// The disk was full for a while, the receiver is down: nothing is lost but
    /// what never came to the disk.
    #[tokio::test(start_paused = true)]
    async fn only_what_is_not_on_disk_counts_as_lost() {
        let (clock, first, second) = (clock(), Target::new(), Target::new());
        let (store, recorder) = (Memory::new(), Recorder::new(&clock));
        let answers = || vec![Err(DeliveryError::retryable("503")); 50];
        recorder.answers.lock().unwrap().extend(answers());
        first.set(Condition::Down("no".into()));
        let plan = Plan::new("s")
            .watch(first.monitor(watch("a", every(1))))
            .watch(second.monitor(watch("b", every(1))))
            .notify("c", recorder.clone());
        let engine = Engine::new(plan, store.clone()).clock(clock);
        let handle = engine.handle();
        let running = tokio::spawn(engine.run());
        tokio::time::sleep(secs(100)).await;
        *store.fails.lock().unwrap() = true;
        second.set(Condition::Down("no".into()));
        tokio::time::sleep(secs(2)).await;
        // At the end no pause is kept: both are tried once more.
        let before = recorder.answers.lock().unwrap().len();
        handle.shutdown().await;
        let report = running.await.unwrap().unwrap();
        assert_eq!(before - recorder.answers.lock().unwrap().len(), 2);
        assert_eq!((report.undelivered, report.lost, report.saved), (1, 1, false));
    }

    /// A mistyped host is mended while an outage waits.
    #[tokio::test(start_paused = true)]
    async fn what_waits_for_a_channel_that_is_gone_goes_to_those_that_are_there() {
        let (clock, target, store) = (clock(), Target::new(), Memory::new());
        let (wrong, right, other) = (
            Recorder::new(&clock),
            Recorder::new(&clock),
            Recorder::new(&clock),
        );
        *wrong.hangs.lock().unwrap() = true;
        *other.hangs.lock().unwrap() = true;
        target.set(Condition::Down("no".into()));
        let plan = |id: &str, recorder: &Arc<Recorder>| {
            Plan::new("s")
                .watch(target.monitor(watch("a", every(1))))
                .notify(id, recorder.clone())
                .notify("other", other.clone())
        };
        let engine = Engine::new(plan("wrong", &wrong), store.clone()).clock(clock);
        let handle = engine.handle();
        let running = tokio::spawn(engine.run());
        tokio::time::sleep(secs(5)).await;
        handle.reload(plan("right", &right)).await.unwrap();
        tokio::time::sleep(secs(5)).await;
        assert_eq!(right.labels(), ["NEW OUTAGE"]);
        let kept = store.kept.lock().unwrap().outbox.clone();
        assert_eq!(kept.len(), 1, "the other channel has it once: {kept:?}");
        handle.shutdown().await;
        running.await.unwrap().unwrap();
    }

    /// Also a message that comes to it in the place of another channel.
    #[tokio::test(start_paused = true)]
    async fn a_mailbox_hears_nothing_of_a_monitor_with_email_off() {
        let (clock, target, store) = (clock(), Target::new(), Memory::new());
        let (gone, mail) = (Recorder::new(&clock), Recorder::new(&clock));
        *gone.hangs.lock().unwrap() = true;
        target.set(Condition::Down("no".into()));
        let policy = Policy {
            classes_off: vec![ChannelClass::EMAIL],
            ..every(1)
        };
        let plan = || Plan::new("s").watch(target.monitor(watch("a", policy.clone())));
        let engine = Engine::new(plan().notify("gone", gone.clone()), store.clone()).clock(clock);
        let handle = engine.handle();
        let running = tokio::spawn(engine.run());
        tokio::time::sleep(secs(5)).await;
        let mut mailed = plan().notify("mail:ops", mail.clone());
        mailed.channels[0].class = Some(ChannelClass::EMAIL);
        handle.reload(mailed).await.unwrap();
        tokio::time::sleep(secs(5)).await;
        assert_eq!(mail.labels(), [""; 0]);
        handle.shutdown().await;
        running.await.unwrap().unwrap();
    }

    /// What a mail says beside the sentence.
    #[tokio::test(start_paused = true)]
    async fn a_message_knows_since_when_and_what_comes_next() {
        let (clock, target, store) = (clock(), Target::new(), Memory::new());
        let heard = Recorder::new(&clock);
        target.set(Condition::Down("no".into()));
        let policy = Policy {
            notify_every: secs(60),
            ..every(1)
        };
        let plan = Plan::new("s")
            .watch(target.monitor(watch("a", policy)))
            .notify("c", heard.clone());
        let engine = Engine::new(plan, store.clone()).clock(clock);
        let handle = engine.handle();
        let running = tokio::spawn(engine.run());
        tokio::time::sleep(secs(70)).await;
        target.set(Condition::Up);
        tokio::time::sleep(secs(5)).await;
        handle.shutdown().await;
        running.await.unwrap().unwrap();
        let heard = heard.heard.lock().unwrap();
        let messages: Vec<&Notification> = heard.iter().map(|(_, message, _)| message).collect();
        let [outage, reminder, recovery] = messages[..] else {
            panic!("{messages:?}");
        };
        assert_eq!(outage.lasted, Some(Duration::ZERO));
        assert_eq!(outage.since, Some(outage.at));
        assert_eq!(outage.next_reminder, Some(reminder.at));
        assert_eq!((reminder.reminder(), reminder.lasted), (Some(1), Some(secs(60))));
        assert_eq!(recovery.next_reminder, None);
        assert!(recovery.lasted >= Some(secs(69)), "{:?}", recovery.lasted);
        assert!(messages.iter().all(|message| message.since == outage.since));
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_outages_share_a_few_commits() {
        let (clock, target) = (clock(), Target::new());
        let (store, recorder) = (Memory::new(), Recorder::new(&clock));
        target.set(Condition::Down("no".into()));
        let plan = (0..1000).fold(Plan::new("s"), |plan, i| {
            plan.watch(target.monitor(watch(&format!("m{i}"), every(60))))
        });
        let plan = plan.notify("c", recorder.clone());
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
            .notify("c", recorder.clone());
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

    /// A machine without a clock of its own is told the time after its start.
    #[tokio::test(start_paused = true)]
    async fn a_clock_set_on_by_years_makes_no_message_late_and_gives_none_up() {
        let wall = clock();
        let settable = Arc::new(Settable(*wall, std::sync::Mutex::new(0)));
        let (target, recorder) = (Target::new(), Recorder::new(&wall));
        let answers = vec![Err(DeliveryError::retryable("503")); 3];
        recorder.answers.lock().unwrap().extend(answers);
        target.set(Condition::Down("no".into()));
        let plan = || {
            Plan::new("s")
                .watch(target.monitor(watch("a", every(10))))
                .notify("c", recorder.clone())
        };
        let engine = Engine::new(plan(), Memory::new()).clock(settable.clone());
        let handle = engine.handle();
        let running = tokio::spawn(engine.run());
        tokio::time::sleep(secs(11)).await;
        assert_eq!(recorder.labels(), [""; 0]);
        *settable.1.lock().unwrap() = 50 * 365 * 86_400;
        handle.reload(plan()).await.unwrap();
        tokio::time::sleep(secs(30)).await;
        assert_eq!(recorder.labels(), ["NEW OUTAGE"]);
        assert!(!recorder.texts()[0].contains("late"), "{:?}", recorder.texts());
        handle.shutdown().await;
        running.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_stood_still_blames_nobody() {
        use apmon_core::{Check, FailureClass};
        let now = clock().now();
        let check = Check::new(now.mono, now, secs(3));
        tokio::time::advance(secs(3)).await;
        assert_eq!(check.timed_out("connect").class, FailureClass::TimedOut);
        tokio::time::advance(Duration::from_millis(5132)).await;
        let failure = check.timed_out("connect");
        assert_eq!(failure.class, FailureClass::Resources);
        assert_eq!(failure.reason, "this process was stalled for 5.1 secs");
        let _ = Check::new(now.mono, now, Duration::MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_harms_one_observation() {
        let (clock, broken, sound) = (clock(), Target::new(), Target::new());
        let recorder = Recorder::new(&clock);
        broken.set(Condition::Panics);
        let plan = Plan::new("s")
            .watch(broken.monitor(watch("broken", every(1))))
            .watch(sound.monitor(watch("sound", every(1))))
            .notify("c", recorder.clone());
        let report = run_for(Engine::new(plan, Memory::new()).clock(clock), secs(10)).await;
        assert!(broken.checks() >= 9 && sound.checks() >= 9);
        assert_eq!(report.down, 0);
        assert!(recorder.labels().is_empty());
    }
}
