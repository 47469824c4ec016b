//! `apmon notify retry`, with a running daemon and without one.
#![cfg(all(feature = "mail", feature = "sqlite"))]
#![allow(clippy::unwrap_used)] // a panic fails the test

mod support;

use serde_json::{Value, json};
use support::{Behaviour, Lab, Receiver, Service, Site, wait_until};

#[test]
fn the_daemon_retries_a_refused_notification_on_request() {
    let (lab, receiver, web) = (
        Lab::new(),
        Receiver::new(Behaviour::Answer(404)),
        Service::closed(),
    );
    lab.write(
        "home.yaml",
        Site::every_second("HomeLab", &receiver)
            .watch_service("web", &web)
            .text(),
    );
    let mut daemon = lab.start_daemon(1);
    daemon.wait_for_err("notification refused");
    let shown = lab.run(&["status"]);
    assert_eq!(
        shown.out[0],
        "HomeLab: 1 monitor: 0 up, 1 down; outbox: 0 waiting, 1 refused"
    );
    assert!(
        shown
            .out
            .iter()
            .any(|line| line.starts_with("failing ") && line.contains("webhook:127.0.0.1")),
        "{}",
        shown.text()
    );
    receiver.set(Behaviour::Answer(200));
    let output = lab.run(&["notify", "retry", "home.yaml", "webhook:example.com"]);
    output
        .assert_code(1)
        .assert_only_error("home: no such channel: webhook:example.com; known channels: webhook:127.0.0.1");
    let output = lab.run(&["notify", "retry", "home.yaml", "webhook:127.0.0.1"]);
    output.assert_code(0);
    assert_eq!(output.out, ["home: 1 notification is being retried now"]);
    let requests = receiver.wait_for(2);
    assert_eq!(requests[0].key(), requests[1].key());
    wait_until("an empty outbox", || {
        let shown = lab.run(&["status"]);
        shown.out[0].ends_with("outbox: empty").then_some(())
    });
    let output = lab.run(&["notify", "retry", "home.yaml"]);
    assert_eq!(output.out, ["home: no notification is waiting"]);
    daemon.stop().assert_code(0);
    assert_eq!(
        actions(&lab),
        [
            json!({"by": "root", "channel": "webhook:127.0.0.1", "means": "socket", "affected": 1}),
            json!({"by": "root", "channel": null, "means": "socket", "affected": 0}),
        ]
    );
}

/// The actions in the state file of `home`, without their times.
fn actions(lab: &Lab) -> Vec<Value> {
    let record = lab.state("home").record("actions");
    let actions = record.as_array().unwrap().iter().map(|action| {
        assert_eq!(action["action"], "retry");
        json!({
            "by": action["name"], "means": action["means"],
            "channel": action["subject"], "affected": action["affected"],
        })
    });
    actions.collect()
}

#[test]
fn a_channel_is_named_by_its_id_or_its_name() {
    let (lab, web) = (Lab::new(), Service::open());
    let hook = "preset: slack, url: \"http://127.0.0.1:1/hook\", name: chat";
    lab.write(
        "home.yaml",
        Site::new("HomeLab")
            .webhook_with(hook)
            .watch_service("web", &web)
            .text(),
    );
    lab.run(&["home.yaml"]).assert_code(0);
    lab.run(&["notify", "retry", "home.yaml", "chat"]).assert_code(0);
    lab.run(&["notify", "retry", "home.yaml", "chap"]).assert_code(1);
    let daemon = lab.start_daemon(1);
    let output = lab.run(&["notify", "retry", "home.yaml", "chat"]);
    assert_eq!(output.out, ["home: no notification is waiting"]);
    lab.run(&["notify", "retry", "home.yaml", "chap"]).assert_code(1);
    daemon.stop().assert_code(0);
}

#[test]
fn without_a_daemon_the_next_pass_retries_a_refused_notification() {
    let (lab, receiver, web) = (
        Lab::new(),
        Receiver::new(Behaviour::Answer(404)),
        Service::closed(),
    );
    let site = Site::new("HomeLab").webhook(&receiver.url("/hook"));
    lab.write("home.yaml", site.watch_service("web", &web).text());
    let output = lab.run(&["notify", "retry", "home.yaml"]);
    output
        .assert_code(1)
        .assert_only_error("home: no daemon is running, and there is no state (searched ");
    assert!(!lab.path("state").exists(), "the command creates no state");
    lab.run(&["home.yaml"]).assert_code(0);
    receiver.set(Behaviour::Answer(200));
    lab.run(&["home.yaml"]).assert_code(0);
    assert_eq!(receiver.requests().len(), 1, "half an hour has not passed");
    lab.run(&["notify", "retry", "home.yaml", "mail:x"])
        .assert_code(1)
        .assert_only_error("no such channel: mail:x; known channels: webhook:127.0.0.1");
    let output = lab.run(&["notify", "retry", "home.yaml", "webhook:127.0.0.1"]);
    assert!(
        output.out[0].starts_with("home: no daemon is running (searched ")
            && output.out[0]
                .ends_with("/state/home.statefile.json, the next pass or start retries 1 notification"),
        "{}",
        output.text()
    );
    assert_eq!(receiver.requests().len(), 1);
    lab.run(&["home.yaml"]).assert_code(0);
    assert_eq!(receiver.requests().len(), 2);
    assert_eq!(lab.state("home").outbox(), [json!(null); 0]);
    assert_eq!(
        actions(&lab),
        [json!({"by": "root", "channel": "webhook:127.0.0.1", "means": "command line", "affected": 1})]
    );
}

#[test]
fn a_channel_that_delivers_again_is_logged() {
    let (lab, receiver, web) = (
        Lab::new(),
        Receiver::new(Behaviour::Answer(500)),
        Service::closed(),
    );
    let site = Site::every_second("HomeLab", &receiver).watch_service("web", &web);
    lab.write("home.yaml", site.text());
    let mut daemon = lab.start(&["run", "-v", "home.yaml"]);
    let line = daemon.wait_for_err("WARN notification not delivered (");
    assert!(
        line.contains("), trying again: web in HomeLab new outage: "),
        "{line}"
    );
    receiver.set(Behaviour::Answer(200));
    let line =
        daemon.wait_for_err("INFO notifications are delivered again; the channel had been failing for ");
    assert!(line.ends_with("channel=\"webhook:127.0.0.1\""), "{line}");
    let output = daemon.stop();
    output.assert_code(0);
    let again = output.err.iter().filter(|line| line.contains("delivered again"));
    assert_eq!(again.count(), 1, "{}", output.text());
}
