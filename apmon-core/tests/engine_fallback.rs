//! Channels that are the fallback of others: in virtual time.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use apmon_core::{
    Channel, DeliveryFate, NotificationKind,
    testing::{Answer, MemoryStore, Recorder, Response, TestClock, secs},
};
use jiff::SignedDuration;
use support::{
    fallback::{FallbackSite, labels},
    run_for, sleep,
};

#[tokio::test(start_paused = true)]
async fn a_fallback_receives_nothing_while_the_channel_accepts_everything() {
    let site = FallbackSite::down(Answer::Accepts);
    site.run(secs(1000)).await;
    site.target.set(Response::Up);
    site.run(secs(100)).await;
    assert_eq!(labels(&site.first), ["NEW OUTAGE", "DOWN", "RECOVERY"]);
    assert!(site.second.lines().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_fallback_receives_the_outage_once_the_channel_has_failed_long_enough() {
    let site = FallbackSite::down(Answer::Unavailable);
    site.run(secs(290)).await;
    assert!(site.second.lines().is_empty(), "not yet");
    site.run(secs(30)).await;
    let received = site.second.lines();
    assert_eq!(received.len(), 1, "{received:?}");
    assert!(
        received[0].starts_with("NEW OUTAGE: web in Lab new outage: no "),
        "{received:?}"
    );
    assert!(
        received[0].ends_with("(delivered 5 mins 0 secs late)"),
        "failures of the previous run count: {received:?}"
    );
}

/// The first channel works again when the outage ends: both receive the recovery.
#[tokio::test(start_paused = true)]
async fn every_channel_that_received_the_outage_receives_the_recovery() {
    let site = FallbackSite::down(Answer::Unavailable);
    site.run(secs(400)).await;
    assert_eq!(site.second.lines().len(), 1);
    site.first.set(Answer::Accepts);
    site.run(secs(100)).await;
    site.target.set(Response::Up);
    site.run(secs(100)).await;
    assert_eq!(
        labels(&site.first),
        ["NEW OUTAGE (delivered 6 mins 36 secs late)", "RECOVERY"]
    );
    assert_eq!(labels(&site.second)[1..], ["RECOVERY"]);
    // The next outage goes to the first channel alone.
    site.target.set(Response::down("again"));
    site.run(secs(100)).await;
    assert_eq!(site.first.lines().len(), 3);
    assert_eq!(site.second.lines().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refused_notification_goes_to_the_fallback_at_once() {
    let site = FallbackSite::down(Answer::Refuses);
    site.run(secs(20)).await;
    assert_eq!(labels(&site.second), ["NEW OUTAGE"]);
    site.target.set(Response::Up);
    site.run(secs(20)).await;
    assert_eq!(labels(&site.second), ["NEW OUTAGE", "RECOVERY"]);
    let outbox = site.store.outbox();
    let left: Vec<_> = outbox.iter().map(|entry| entry.channel.as_str()).collect();
    assert_eq!(left, ["first", "first"], "the channel itself is still tried");
}

#[tokio::test(start_paused = true)]
async fn while_the_channel_fails_the_fallback_receives_the_next_outage_at_once() {
    let site = FallbackSite::down(Answer::Unavailable);
    let daemon = site.start(site.plan());
    sleep(400).await;
    site.target.set(Response::Up);
    sleep(20).await;
    assert_eq!(
        labels(&site.second),
        ["NEW OUTAGE (delivered 5 mins 0 secs late)", "RECOVERY"]
    );
    site.target.set(Response::down("again"));
    sleep(20).await;
    assert_eq!(labels(&site.second)[2..], ["NEW OUTAGE"]);
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn notifications_of_a_killed_process_still_go_to_the_fallback() {
    let site = FallbackSite::down(Answer::Unavailable);
    let daemon = site.start(site.plan());
    sleep(200).await;
    daemon.kill().await;
    sleep(200).await;
    site.run(secs(2)).await;
    assert_eq!(
        labels(&site.second),
        ["NEW OUTAGE (delivered 6 mins 36 secs late)"]
    );
}

/// The outage has ended long ago, and its recovery was accepted elsewhere: to a
/// new fallback the outage would seem to go on.
#[tokio::test(start_paused = true)]
async fn a_new_fallback_receives_no_outage_without_its_recovery() {
    let site = FallbackSite::down(Answer::Refuses);
    let keep_outages = || {
        site.store.edit(|stored| {
            let is_outage = |kind: &NotificationKind| *kind == NotificationKind::Outage;
            stored.outbox.retain(|entry| is_outage(&entry.notification.kind));
        });
        site.store.outbox().len()
    };
    let daemon = site.start(site.plan_without_fallback());
    sleep(20).await;
    // As if the recovery were accepted, and the outage refused once more.
    site.target.set(Response::Up);
    sleep(20).await;
    assert_eq!(keep_outages(), 1);
    daemon.stop().await;
    keep_outages();
    site.run(secs(30)).await;
    let received = site.second.lines();
    assert!(received.is_empty(), "{received:?}");
}

#[tokio::test(start_paused = true)]
async fn a_fallback_may_have_a_fallback() {
    let site = FallbackSite::down(Answer::Unavailable);
    site.second.set(Answer::Refuses);
    let third = Recorder::new();
    let mut plan = site.plan();
    plan.channels[1] = plan.channels[1].clone().with_fallback("third", secs(300));
    plan.channels.push(Channel::new("third", third.clone()));
    run_for(site.engine(plan), secs(310)).await;
    assert_eq!(labels(&third), ["NEW OUTAGE (delivered 5 mins 0 secs late)"]);
}

#[tokio::test(start_paused = true)]
async fn the_switches_of_a_fallback_apply() {
    let site = FallbackSite::down(Answer::Unavailable);
    let mut plan = site.plan();
    plan.channels[1].switches.reminders = false;
    run_for(site.engine(plan), secs(2000)).await;
    let received = site.second.lines();
    assert_eq!(received.len(), 1, "{received:?}");
}

/// It was a channel like any other when it received the outage.
#[tokio::test(start_paused = true)]
async fn a_channel_that_becomes_a_fallback_receives_the_recovery_of_an_outage_it_knows() {
    let site = FallbackSite::down(Answer::Accepts);
    let mut before = site.plan();
    before.channels[0].fallback = None;
    let daemon = site.start(before);
    sleep(20).await;
    daemon.reload(site.plan()).await;
    site.target.set(Response::Up);
    sleep(30).await;
    assert_eq!(labels(&site.second), ["NEW OUTAGE", "RECOVERY"]);
    daemon.kill().await;
}

/// For example, after its token was revoked.
#[tokio::test(start_paused = true)]
async fn while_the_channel_refuses_the_fallback_receives_reminders_too() {
    let site = FallbackSite::down(Answer::Refuses);
    site.run(secs(2000)).await;
    assert_eq!(labels(&site.second), ["NEW OUTAGE", "DOWN", "DOWN", "DOWN"]);
}

#[tokio::test(start_paused = true)]
async fn setting_the_clock_does_not_delay_the_fallback() {
    for start in ["1970-01-01T00:00:20Z", "2026-02-11T12:00:00Z"] {
        let site = FallbackSite {
            clock: TestClock::starting_at(start.parse().unwrap()),
            ..FallbackSite::down(Answer::Unavailable)
        };
        let daemon = site.start(site.plan());
        sleep(100).await;
        site.clock.set_offset(SignedDuration::from_secs(200_000));
        sleep(300).await;
        daemon.kill().await;
        assert_eq!(
            labels(&site.second),
            ["NEW OUTAGE (delivered 5 mins 0 secs late)"],
            "{start}"
        );
    }
}

/// Two channels share a fallback: an old recovery that the first still holds must
/// not be the last notification while another outage is running.
#[tokio::test(start_paused = true)]
async fn an_old_recovery_is_not_sent_after_a_new_outage() {
    let site = FallbackSite::new(Answer::Unavailable);
    let third = Recorder::new();
    let mut plan = site.plan();
    let shared = Channel::new("third", third.clone()).with_fallback("second", secs(300));
    plan.channels.push(shared);
    let daemon = site.start(plan);
    sleep(30).await;
    site.target.set(Response::down("one"));
    sleep(60).await;
    site.target.set(Response::Up);
    sleep(60).await;
    third.set(Answer::Refuses);
    site.target.set(Response::down("two"));
    sleep(300).await;
    daemon.kill().await;
    assert_eq!(labels(&site.second), ["NEW OUTAGE"]);
}

/// A removed channel still holds the recovery of an outage before the one that the other
/// channel has been sent.
#[tokio::test(start_paused = true)]
async fn an_old_recovery_is_not_sent_in_place_of_a_removed_channel_after_a_new_outage() {
    let site = FallbackSite {
        store: MemoryStore::with_history(),
        ..FallbackSite::new(Answer::Accepts)
    };
    let removed = Channel::new("removed", Recorder::answering(Answer::Unavailable));
    let plan_with = |channels: &[&Channel]| {
        let mut plan = site.plan_without_fallback();
        plan.channels = channels.iter().map(|channel| (*channel).clone()).collect();
        plan
    };
    let first = Channel::new("first", site.first.clone());
    let daemon = site.start(plan_with(&[&removed]));
    sleep(30).await;
    site.target.set(Response::down("one"));
    sleep(60).await;
    site.target.set(Response::Up);
    sleep(60).await;
    daemon.reload(plan_with(&[&removed, &first])).await;
    site.target.set(Response::down("two"));
    sleep(60).await;
    daemon.reload(plan_with(&[&first])).await;
    sleep(60).await;
    daemon.kill().await;
    assert_eq!(labels(&site.first), ["NEW OUTAGE"]);
    let history = site.store.history();
    let of_removed = history
        .deliveries
        .iter()
        .filter(|delivery| delivery.channel == "removed");
    let fates: Vec<_> = of_removed
        .map(|delivery| (delivery.label.as_str(), delivery.fate))
        .collect();
    let gone = DeliveryFate::ChannelGone;
    assert_eq!(
        fates,
        [("NEW OUTAGE", gone), ("RECOVERY", gone), ("NEW OUTAGE", gone)]
    );
}
