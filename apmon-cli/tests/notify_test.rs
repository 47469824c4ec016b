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
    let output = lab.run(&["--test-webhooks", "good.yaml"]);
    output.assert_code(0);
    assert_eq!(verdicts(&output), all_accepted("Good", "webhook:127.0.0.1"));
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

    let output = lab.run(&["--test-webhooks", "bad.yaml", "good.yaml"]);
    output.assert_code(1);
    let lines = verdicts(&output);
    assert_eq!(lines.len(), 13, "{}", output.text());
    assert!(
        lines[0].starts_with("Bad: webhook:127.0.0.1: outage: FAILED: "),
        "{}",
        output.text()
    );
    assert_eq!(lines[1..7], all_accepted("Bad", "webhook:127.0.0.1#2"));
    assert_eq!(lines[7..], all_accepted("Good", "webhook:127.0.0.1"));
    let output = lab.run(&["notify", "test", "bad.yaml", "webhook:127.0.0.1#2"]);
    output.assert_code(0);
    assert_eq!(verdicts(&output), all_accepted("Bad", "webhook:127.0.0.1#2"));
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
    assert_eq!(requests.len(), 6);
    assert!(requests.iter().all(|request| request.path == "/pager"));

    let site = |name: &str| Site::new(name).watch_service("web", &web);
    lab.write("none.yaml", site("None").text());
    let program = site("Program").option("outage_commands: [program: /bin/true]");
    lab.write("program.yaml", program.text());
    let no_channels = "None: no channel to test; the site has no channels";
    for (arguments, code, expected) in [
        (&["notify", "test", "none.yaml"][..], 0, no_channels),
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
            0,
            "Program: no webhook to test; known channels: exec:true",
        ),
        (
            &["--test-emails", "program.yaml"],
            0,
            "Program: no e-mail recipient to test; known channels: exec:true",
        ),
    ] {
        let output = lab.run(arguments);
        output.assert_code(code);
        assert_eq!(output.out, [expected], "{arguments:?}");
    }
    assert_eq!(receiver.requests().len(), 6, "no other request");
}
