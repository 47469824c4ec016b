//! Notifications that are delivered late, or expire: in virtual time.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use std::time::Duration;

use apmon_core::{
    Channel, NotificationKind, Plan, Policy, Watch,
    testing::{Answer, Response, every, secs, watch},
};
use support::{fallback::FallbackSite, run_for, sleep};

#[tokio::test(start_paused = true)]
async fn a_late_notification_about_an_outage_that_is_over_says_so() {
    let site = FallbackSite::new(Answer::Unavailable);
    let daemon = site.start(site.plan_without_fallback());
    sleep(125).await; // 12:02
    site.target.set(Response::down("no"));
    sleep(420).await; // 12:09
    site.target.set(Response::Up);
    sleep(1200).await;
    site.first.set(Answer::Accepts);
    sleep(600).await;
    let received = site.first.lines();
    assert_eq!(received.len(), 2, "{received:?}");
    for line in &received {
        assert!(line.contains("(was down 12:02-12:09; delivered "), "{line}");
    }
    assert!(received[0].starts_with("NEW OUTAGE") && received[1].starts_with("RECOVERY"));
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_notification_expires_when_the_plan_says() {
    let site = FallbackSite::down(Answer::Unavailable);
    let mut plan = site.plan_without_fallback();
    plan.expire_after = secs(500);
    let daemon = site.start(plan.clone());
    let outages = || {
        let outbox = site.store.outbox();
        let kinds = outbox.iter().map(|entry| &entry.notification.kind);
        kinds.filter(|kind| **kind == NotificationKind::Outage).count()
    };
    sleep(490).await;
    assert_eq!(outages(), 1);
    sleep(20).await;
    assert_eq!(outages(), 0);
    // A reload may shorten the time of waiting notifications.
    sleep(200).await;
    assert_eq!(site.store.outbox().len(), 1, "a reminder");
    plan.expire_after = secs(10);
    daemon.reload(plan).await;
    sleep(30).await;
    assert_eq!(site.store.outbox().len(), 0);
    daemon.stop().await;
}

/// It is refused first and accepted half an hour later, long after the recovery.
#[tokio::test(start_paused = true)]
async fn an_outage_notification_that_was_refused_says_later_that_the_outage_is_over() {
    let site = FallbackSite::new(Answer::Refuses);
    let plan = site.plan_without_fallback();
    let daemon = site.start(plan.clone());
    sleep(65).await;
    site.target.set(Response::down("no"));
    sleep(20).await;
    site.target.set(Response::Up);
    site.first.set(Answer::Accepts);
    tokio::time::sleep(Duration::from_millis(1)).await;
    site.first.set(Answer::Refuses);
    sleep(20).await;
    // The next process knows only from disk that the outage is over.
    daemon.kill().await;
    sleep(3600).await;
    site.first.set(Answer::Accepts);
    run_for(site.engine(plan), secs(60)).await;
    let received = site.first.lines();
    let outage = received.iter().find(|line| line.starts_with("NEW OUTAGE"));
    let outage = outage.unwrap_or_else(|| panic!("{received:?}"));
    assert!(
        outage.contains("(was down 12:01-12:01; delivered 1 hrs "),
        "{outage}"
    );
}

/// Alarms are turned off during the outage: no recovery is sent, but the outage
/// notification, when it is delivered at last, says that the outage is over.
#[tokio::test(start_paused = true)]
async fn a_waiting_notification_knows_of_an_end_that_is_not_announced() {
    let site = FallbackSite::down(Answer::Unavailable);
    let plan = |alarms: bool| {
        let policy = Policy { alarms, ..every(10) };
        let watch = Watch {
            checksum: format!("{alarms}").into(),
            ..watch("web", policy)
        };
        Plan::new("Lab")
            .watch(site.target.monitor(watch))
            .notify("first", site.first.clone())
    };
    let daemon = site.start(plan(true));
    sleep(100).await;
    daemon.reload(plan(false)).await;
    sleep(100).await;
    site.target.set(Response::Up);
    sleep(1000).await;
    site.first.set(Answer::Accepts);
    sleep(1000).await;
    daemon.kill().await;
    let received = site.first.lines();
    assert!(
        received
            .iter()
            .all(|line| line.contains("(was down 12:00-12:03; ")),
        "{received:?}"
    );
    assert_eq!(received.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_pause_a_receiver_asks_for_holds_from_pass_to_pass() {
    let site = FallbackSite::down(Answer::Busy(secs(400)));
    for _ in 0..10 {
        site.engine(site.plan_without_fallback()).pass().await.unwrap();
        sleep(40).await;
    }
    assert_eq!(site.first.attempts(), 2, "at once, and after 400 s");
}

/// The channel refuses the outage twice, accepts its end, and leaves the site file.
#[tokio::test(start_paused = true)]
async fn a_refused_outage_goes_to_no_other_channel_once_its_end_was_delivered() {
    for is_restarted in [false, true] {
        let site = FallbackSite::new(Answer::Accepts);
        site.first.set_next([Answer::Refuses, Answer::Refuses]);
        let plan_with = |channel: Channel| {
            let mut plan = site.plan();
            plan.channels = vec![channel];
            plan
        };
        let mut daemon = site.start(plan_with(Channel::new("first", site.first.clone())));
        sleep(65).await;
        site.target.set(Response::down("no"));
        sleep(60).await;
        site.target.set(Response::Up);
        sleep(60).await;
        let received = site.first.lines();
        assert!(
            received.len() == 1 && received[0].starts_with("RECOVERY"),
            "{received:?}"
        );
        assert_eq!(site.store.outbox().len(), 1, "the outage, which is kept");
        let without_it = plan_with(Channel::new("second", site.second.clone()));
        match is_restarted {
            false => daemon.reload(without_it).await,
            true => {
                daemon.kill().await;
                daemon = site.start(without_it);
            }
        }
        sleep(3600).await;
        assert_eq!(site.second.lines(), [""; 0], "nobody would send it the end");
        assert!(site.store.outbox().is_empty());
        daemon.stop().await;
    }
}

/// The end of the first outage is refused; the second one begins, and goes on for an hour.
#[tokio::test(start_paused = true)]
async fn a_refused_recovery_is_not_the_last_word_while_the_monitor_is_down_again() {
    for is_restarted in [false, true] {
        let site = FallbackSite::down(Answer::Accepts);
        let plan = site.plan_without_fallback();
        let mut daemon = site.start(plan.clone());
        sleep(65).await;
        site.first.set(Answer::Refuses);
        site.target.set(Response::Up);
        sleep(30).await;
        site.first.set(Answer::Accepts);
        site.target.set(Response::down("no"));
        sleep(120).await;
        if is_restarted {
            daemon.kill().await;
            daemon = site.start(plan);
        }
        sleep(3600).await;
        site.target.set(Response::Up);
        sleep(60).await;
        let kinds = |line: &String| line.split(':').next().unwrap_or_default().to_owned();
        let mut received: Vec<String> = site.first.lines().iter().map(kinds).collect();
        received.retain(|kind| kind == "NEW OUTAGE" || kind == "RECOVERY");
        assert_eq!(received, ["NEW OUTAGE", "NEW OUTAGE", "RECOVERY", "RECOVERY"]);
        let lines = site.first.lines();
        let [.., first, second] = &lines[..] else {
            panic!("{lines:?}")
        };
        assert!(
            first.contains(" late)") && !second.contains(" late)"),
            "{lines:?}"
        );
        daemon.stop().await;
    }
}
