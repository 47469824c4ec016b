//! Fallback channels and apmon's own heartbeat, with the real binary and real
//! receivers.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used)] // a panic fails the test

mod support;

use support::{Behaviour, Lab, Receiver, Request, Service, Site, notification_of, sentence, wait_until};

/// A site that notifies `first`, with `second` as its fallback.
fn site(first: &Receiver, second: &Receiver, after: u64) -> Site {
    let hook = |receiver: &Receiver, more: &str| {
        format!(
            "endpoint_url: \"{}\", request_method: POST, request_encoding: JSON, {more}",
            receiver.url("/hook")
        )
    };
    Site::new("HomeLab")
        .option("check_every_n_secs: 1")
        .webhook_with(&hook(
            first,
            &format!("name: chat, then: pager, after_secs: {after}"),
        ))
        .webhook_with(&hook(second, "name: pager"))
}

#[test]
fn a_refused_notification_goes_to_the_fallback() {
    let (lab, web) = (Lab::new(), Service::closed());
    let (first, second) = (
        Receiver::new(Behaviour::Answer(403)),
        Receiver::new(Behaviour::Answer(200)),
    );
    lab.write(
        "home.yaml",
        site(&first, &second, 3600).watch_service("web", &web).text(),
    );
    let mut daemon = lab.start(&["run", "home.yaml"]);
    let outage = daemon.wait_for_out("##### NEW OUTAGE: web");
    let requests = second.wait_for(1);
    assert_eq!(notification_of(&requests[0]), sentence(&outage));
    daemon.wait_for_err("notification not delivered; it is also sent to webhook:pager: web in HomeLab");
    // The first accepts notifications again: both receive the recovery.
    first.set(Behaviour::Answer(200));
    web.reopen();
    let recovery = sentence(&daemon.wait_for_out("##### RECOVERY: web"));
    for receiver in [&first, &second] {
        wait_until("the recovery", || {
            let requests = receiver.requests();
            requests
                .iter()
                .any(|request| notification_of(request) == recovery)
                .then_some(())
        });
    }
    assert_eq!(second.requests().len(), 2, "nothing else was sent");
    daemon.stop().assert_code(0);
}

#[test]
fn the_fallback_takes_over_after_a_long_failure() {
    let (lab, web) = (Lab::new(), Service::closed());
    let (first, second) = (
        Receiver::new(Behaviour::Answer(503)),
        Receiver::new(Behaviour::Answer(200)),
    );
    lab.write(
        "home.yaml",
        site(&first, &second, 2).watch_service("web", &web).text(),
    );
    let mut daemon = lab.start(&["run", "home.yaml"]);
    daemon.wait_for_out("##### NEW OUTAGE: web");
    second.wait_for(1);
    assert!(
        first.requests().len() >= 2,
        "two attempts came first: the second 1 s after the first"
    );
    // Killed and restarted: the fallback may receive the notification again, since the kill
    // may have come before the delivery was saved, but under the same key.
    drop(daemon);
    first.set(Behaviour::Answer(200));
    let _daemon = lab.start(&["run", "home.yaml"]);
    wait_until("the delivery to the first", || {
        let requests = first.requests();
        let delivered = |request: &Request| request.behaviour == Behaviour::Answer(200);
        requests.iter().any(delivered).then_some(())
    });
    let mut keys: Vec<_> = second
        .requests()
        .iter()
        .map(|request| request.key().to_owned())
        .collect();
    keys.dedup();
    assert_eq!(keys.len(), 1, "{keys:?}");
}

#[test]
fn a_pass_sends_a_heartbeat_once_its_state_is_saved() {
    let (lab, watcher) = (Lab::new(), Receiver::new(Behaviour::Answer(200)));
    let web = Service::open();
    let site = |name: &str| {
        Site::new(name)
            .option(&format!("heartbeat_url: \"{}\"", watcher.url("/ping/t0ken")))
            .watch_service("web", &web)
            .text()
    };
    lab.write("home.yaml", site("HomeLab"));
    lab.run(&["home.yaml"]).assert_code(0);
    let beats = watcher.requests();
    assert_eq!(beats.len(), 1);
    assert_eq!(
        (beats[0].method.as_str(), beats[0].path.as_str()),
        ("GET", "/ping/t0ken")
    );
    lab.run(&["--no-notify", "home.yaml"]).assert_code(0);
    assert_eq!(watcher.requests().len(), 1, "none with --no-notify");
    // None if the state cannot be saved: the next pass would repeat everything.
    lab.write("state-is-a-file", "");
    let path = lab.path("state-is-a-file").join("home.json");
    lab.run(&["-s", path.to_str().unwrap(), "home.yaml"]);
    assert_eq!(watcher.requests().len(), 1);
}

#[test]
fn the_daemon_sends_heartbeats() {
    let (lab, watcher, web) = (Lab::new(), Receiver::new(Behaviour::Answer(200)), Service::open());
    let site = Site::new("HomeLab")
        .option(&format!("heartbeat_url: \"{}\"", watcher.url("/ping/t0ken")))
        .option("heartbeat_every_n_secs: 1");
    lab.write("home.yaml", site.watch_service("web", &web).text());
    let daemon = lab.start(&["run", "-vvv", "home.yaml"]);
    watcher.wait_for(3);
    let output = daemon.stop();
    output.assert_code(0);
    assert!(!output.text().contains("t0ken"), "{}", output.text());
}
