//! Test notifications: `apmon notify test` and `--test-webhooks`.
#![cfg(feature = "mail")]
#![allow(clippy::unwrap_used)] // a panic fails the test

mod support;

use support::{Behaviour, Lab, Output, Receiver, Service, Site, notification_of, without_times};

#[test]
fn a_test_notification_goes_to_all_webhooks() {
    let (lab, good, bad) = (
        Lab::new(),
        Receiver::new(Behaviour::Answer(200)),
        Receiver::new(Behaviour::Answer(500)),
    );
    let web = Service::open();
    lab.write(
        "good.yaml",
        Site::new("Good")
            .webhook(&good.url("/hook"))
            .watch_service("web", &web)
            .text(),
    );
    lab.write(
        "bad.yaml",
        Site::new("Bad")
            .webhook(&bad.url("/hook?token=s3cret"))
            .webhook(&good.url("/hook"))
            .watch_service("web", &web)
            .text(),
    );
    let verdicts = |output: &Output| -> Vec<String> {
        let lines = output.out.iter().filter(|line| !line.starts_with(' '));
        lines.cloned().collect()
    };
    let all_accepted = |site: &str, channel: &str| {
        let kinds = [
            "outage",
            "reminder",
            "recovery",
            "unknown",
            "known",
            "no longer monitored",
        ];
        kinds.map(|kind| format!("{site}: {channel}: {kind}: accepted"))
    };
    let summary = |line: &str| vec![line.to_owned()];
    let one = "the channel accepted the test";
    let output = lab.run(&["notify", "test", "--all", "good.yaml"]);
    output.assert_code(0);
    let expected = [all_accepted("Good", "webhook:127.0.0.1").to_vec(), summary(one)].concat();
    assert_eq!(verdicts(&output), expected);
    let sent: Vec<_> = good
        .requests()
        .iter()
        .map(|request| without_times(&notification_of(request)))
        .collect();
    assert_eq!(
        sent,
        [
            "apmon test in Good new outage: this is a test, nothing is down (test) at TIME, down for 0 secs",
            "apmon test in Good is down: this is a test, nothing is down (test) at TIME, down for 1 mins N secs",
            "apmon test in Good is UP (test) at TIME, outage lasted 1 mins N secs",
            "apmon test in Good cannot be checked: this is a test, nothing is down (test) at TIME, unknown for 1 mins N secs",
            "apmon test in Good can be checked again and is UP (test) at TIME, was unknown for 1 mins N secs",
            "apmon test in Good is no longer watched at TIME (was down for 1 mins 0 secs)",
        ]
    );
    assert!(
        output.out[0].starts_with("  > POST http://127.0.0.1:"),
        "{}",
        output.text()
    );
    assert!(
        output.out.iter().any(|line| line.starts_with("  < 200")),
        "{}",
        output.text()
    );

    // One notification to each, unless all kinds are asked for.
    let output = lab.run(&["--test-webhooks", "bad.yaml", "good.yaml"]);
    output.assert_code(1);
    let lines = verdicts(&output);
    assert!(
        lines[0].starts_with("Bad: webhook:127.0.0.1: outage: FAILED: "),
        "{}",
        output.text()
    );
    assert_eq!(
        lines[1..],
        [
            "Bad: webhook:127.0.0.1#2: outage: accepted",
            "Good: webhook:127.0.0.1: outage: accepted",
            "2 of 3 channels accepted the test; FAILED: Bad: webhook:127.0.0.1",
        ]
    );
    let output = lab.run(&[
        "notify",
        "test",
        "--kind",
        "known",
        "bad.yaml",
        "webhook:127.0.0.1#2",
    ]);
    output.assert_code(0);
    assert_eq!(
        verdicts(&output),
        ["Bad: webhook:127.0.0.1#2: known: accepted", one]
    );
    let output = lab.run(&["notify", "test", "--all", "bad.yaml"]);
    output.assert_code(1);
    let lines = verdicts(&output);
    assert_eq!(lines.len(), 8, "{}", output.text());
    assert_eq!(lines[1..7], all_accepted("Bad", "webhook:127.0.0.1#2"));
    assert_eq!(
        lines[7],
        "1 of 2 channels accepted the test; FAILED: Bad: webhook:127.0.0.1"
    );
    let output = lab.run(&["notify", "test", "bad.yaml", "webhook:elsewhere"]);
    output.assert_code(1);
    assert_eq!(
        output.out,
        ["Bad: no channel webhook:elsewhere to test; known channels: webhook:127.0.0.1, webhook:127.0.0.1#2"]
    );
    assert!(!output.text().contains("s3cret"));
    assert!(!lab.path("state").exists(), "no state is kept");
}

#[test]
fn a_channel_is_tested_by_its_name_and_an_unknown_one_is_an_error() {
    let (lab, receiver, web) = (
        Lab::new(),
        Receiver::new(Behaviour::Answer(200)),
        Service::closed(),
    );
    let hook = |name: &str| {
        format!(
            "endpoint_url: \"{}\", request_method: POST, request_encoding: JSON, name: {name}",
            receiver.url(&format!("/{name}"))
        )
    };
    let two = Site::new("Two")
        .webhook_with(&hook("chat"))
        .webhook_with(&hook("pager"));
    lab.write("two.yaml", two.watch_service("web", &web).text());
    lab.run(&["notify", "test", "-vvv", "two.yaml", "pager"])
        .assert_code(0);
    let requests = receiver.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests.iter().all(|request| request.path == "/pager"));

    let site = |name: &str| Site::new(name).watch_service("web", &web);
    lab.write("none.yaml", site("None").text());
    let program = site("Program").option("outage_commands: [program: /bin/true]");
    lab.write("program.yaml", program.text());
    let no_channels = "None: no channel to test; the site has no channels";
    for (arguments, code, expected) in [
        (&["notify", "test", "none.yaml"][..], 1, no_channels),
        (
            &["notify", "test", "none.yaml", "chat"],
            1,
            "None: no channel chat to test; the site has no channels",
        ),
        (
            &["notify", "test", "program.yaml", "chat"],
            1,
            "Program: no channel chat to test; known channels: exec:true",
        ),
        (
            &["--test-webhooks", "program.yaml"],
            1,
            "Program: no webhook to test; known channels: exec:true",
        ),
        (
            &["--test-emails", "program.yaml"],
            1,
            "Program: no e-mail recipient to test; known channels: exec:true",
        ),
    ] {
        let output = lab.run(arguments);
        output.assert_code(code);
        assert_eq!(output.out, [expected], "{arguments:?}");
    }
    assert_eq!(receiver.requests().len(), 1, "no other request");
}

/// The outage of a test must not stay open at a service that keeps incidents.
#[test]
fn a_service_that_keeps_incidents_also_gets_the_end_of_the_test() {
    let (lab, receiver, web) = (
        Lab::new(),
        Receiver::new(Behaviour::Answer(202)),
        Service::closed(),
    );
    let pager = format!(
        "preset: pagerduty, routing_key: k3y, url: \"{}\"",
        receiver.url("")
    );
    let site = Site::new("Home").webhook_with(&pager).watch_service("web", &web);
    lab.write("home.yaml", site.text());
    let sent = |arguments: &[&str]| {
        let before = receiver.requests().len();
        lab.run(arguments).assert_code(0);
        let requests = receiver.requests();
        let bodies = requests[before..].iter().map(|request| {
            let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
            (
                body["event_action"].as_str().unwrap().to_owned(),
                body["dedup_key"].as_str().unwrap().to_owned(),
            )
        });
        bodies.collect::<Vec<_>>()
    };
    let test = sent(&["notify", "test", "home.yaml"]);
    let actions: Vec<_> = test.iter().map(|(action, _)| action.as_str()).collect();
    assert_eq!(actions, ["trigger", "resolve"]);
    assert_eq!(test[0].1, test[1].1);
    assert_eq!(sent(&["--test-webhooks", "home.yaml"]).len(), 2);
    assert_eq!(
        sent(&["notify", "test", "--kind", "recovery", "home.yaml"]).len(),
        1
    );
    assert_eq!(
        sent(&["notify", "test", "--kind", "unknown", "home.yaml"]).len(),
        2
    );
}
