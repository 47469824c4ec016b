//! Our own faults are not outages: in virtual time.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

mod our_own_faults_are_not_outages {
    use std::time::Duration;

    use apmon_core::{
        Check, Clock as _, FailureClass, Plan, Policy,
        testing::{Answer, Response, Target, TestClock, every, secs, watch},
    };
    use jiff::SignedDuration;

    use crate::support::{Site, run_for, sleep};

    #[tokio::test(start_paused = true)]
    async fn a_clock_set_back_by_an_hour_causes_no_outage_and_delays_no_notification() {
        let site = Site::new();
        let policy = Policy {
            notify_every: secs(60),
            ..every(10)
        };
        let daemon = site.start(site.plan(policy));
        sleep(30).await;
        site.clock.set_offset(SignedDuration::from_secs(-3600));
        sleep(30).await;
        assert!(site.recorder.labels().is_empty(), "no false outage");
        site.target.set(Response::down("no"));
        sleep(30).await;
        site.clock.set_offset(SignedDuration::from_secs(-7200));
        sleep(150).await;
        site.clock.set_offset(SignedDuration::from_secs(7200));
        sleep(40).await;
        site.target.set(Response::Up);
        sleep(20).await;
        daemon.stop().await;
        assert_eq!(
            site.recorder.labels(),
            ["NEW OUTAGE", "DOWN", "DOWN", "DOWN", "RECOVERY"]
        );
        let texts = site.recorder.texts();
        assert!(texts[1].ends_with("down for 1 mins 0 secs"), "{}", texts[1]);
        assert!(texts[4].ends_with("outage lasted 3 mins 40 secs"), "{}", texts[4]);
    }

    /// A machine without a battery-backed clock learns the time after its start.
    #[tokio::test(start_paused = true)]
    async fn a_clock_set_ahead_by_years_makes_no_notification_late_and_expires_none() {
        let site = Site::down();
        site.recorder.set_next(vec![Answer::Unavailable; 3]);
        let daemon = site.start(site.plan(every(10)));
        sleep(11).await;
        assert_eq!(site.recorder.labels(), [""; 0]);
        site.clock
            .set_offset(SignedDuration::from_secs(50 * 365 * 86_400));
        daemon.reload(site.plan(every(10))).await;
        sleep(30).await;
        assert_eq!(site.recorder.labels(), ["NEW OUTAGE"]);
        let texts = site.recorder.texts();
        assert!(!texts[0].contains("late"), "{texts:?}");
        daemon.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_was_suspended_does_not_blame_the_target() {
        let now = TestClock::new().now();
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
    async fn a_panic_affects_one_observation() {
        let site = Site::new();
        let (broken, sound) = (Target::new(), Target::new());
        broken.set(Response::Panics);
        let plan = Plan::new("s")
            .watch(broken.monitor(watch("broken", every(1))))
            .watch(sound.monitor(watch("sound", every(1))))
            .notify("c", site.recorder.clone());
        let report = run_for(site.engine(plan), secs(10)).await;
        assert!(broken.checks().len() >= 9 && sound.checks().len() >= 9);
        assert_eq!(report.down, 0);
        assert!(site.recorder.labels().is_empty());
    }
}
