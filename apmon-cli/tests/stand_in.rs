//! Channels that stand in for others, and apmon's own sign of life: the real
//! binary and real receivers.
#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use support::{Lab, Manner, Receiver, Request, Service, Site, message_of, sentence, until};

/// Told to `first`, and in its stead to `second`.
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
fn what_a_receiver_refuses_goes_to_its_stand_in() {
    let (lab, web) = (Lab::new(), Service::closed());
    let (first, second) = (
        Receiver::new(Manner::Answer(403)),
        Receiver::new(Manner::Answer(200)),
    );
    lab.write(
        "home.yaml",
        site(&first, &second, 3600).watch_service("web", &web).text(),
    );
    let mut daemon = lab.start(&["run", "home.yaml"]);
    let outage = daemon.until_out("##### NEW OUTAGE: web");
    let told = second.until(1);
    assert_eq!(message_of(&told[0]), sentence(&outage));
    daemon.until_err("message not delivered, it goes to webhook:pager as well: web in HomeLab");
    // The first takes everything again: both are to hear the end.
    first.set(Manner::Answer(200));
    web.come_back();
    let recovery = sentence(&daemon.until_out("##### RECOVERY: web"));
    for receiver in [&first, &second] {
        until("the recovery", || {
            let told = receiver.requests();
            told.iter()
                .any(|request| message_of(request) == recovery)
                .then_some(())
        });
    }
    assert_eq!(second.requests().len(), 2, "and nothing else");
    daemon.stop().assert_code(0);
}

#[test]
fn a_receiver_that_is_away_for_long_has_a_stand_in() {
    let (lab, web) = (Lab::new(), Service::closed());
    let (first, second) = (
        Receiver::new(Manner::Answer(503)),
        Receiver::new(Manner::Answer(200)),
    );
    lab.write(
        "home.yaml",
        site(&first, &second, 2).watch_service("web", &web).text(),
    );
    let mut daemon = lab.start(&["run", "home.yaml"]);
    daemon.until_out("##### NEW OUTAGE: web");
    second.until(1);
    assert!(
        first.requests().len() >= 2,
        "it was tried before: 1 s after the first try, then 2"
    );
    // Killed and started anew: whoever has it may be told again, for the kill may
    // have come before that was saved; but as the same message.
    drop(daemon);
    first.set(Manner::Answer(200));
    let _daemon = lab.start(&["run", "home.yaml"]);
    until("the first to have it", || {
        let requests = first.requests();
        let taken = |request: &Request| request.manner == Manner::Answer(200);
        requests.iter().any(taken).then_some(())
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
fn a_pass_at_whose_end_all_is_well_says_so() {
    let (lab, watcher) = (Lab::new(), Receiver::new(Manner::Answer(200)));
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
    assert_eq!(watcher.requests().len(), 1, "who tells nobody does not watch");
    // State that cannot be saved: on the next pass everything is news again.
    lab.write("state-is-a-file", "");
    let path = lab.path("state-is-a-file").join("home.json");
    lab.run(&["-s", path.to_str().unwrap(), "home.yaml"]);
    assert_eq!(watcher.requests().len(), 1);
}

#[test]
fn the_daemon_says_that_it_is_well() {
    let (lab, watcher, web) = (Lab::new(), Receiver::new(Manner::Answer(200)), Service::open());
    let site = Site::new("HomeLab")
        .option(&format!("heartbeat_url: \"{}\"", watcher.url("/ping/t0ken")))
        .option("heartbeat_every_n_secs: 1");
    lab.write("home.yaml", site.watch_service("web", &web).text());
    let daemon = lab.start(&["run", "-vvv", "home.yaml"]);
    watcher.until(3);
    let ended = daemon.stop();
    ended.assert_code(0);
    assert!(!ended.text().contains("t0ken"), "{}", ended.text());
}
