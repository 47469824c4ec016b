//! A target or receiver that repeats a secret does not make apmon show it.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used)] // a panic fails the test

mod support;

use support::{Behaviour, Lab, Receiver, Site, run, wait_until};

/// The secrets, and `key1:pa55/w` and `api-key7:` in Base64.
const SECRETS: &[&str] = &[
    "pa55",
    "h34der",
    "b0dy",
    "t0ken",
    "api-key7",
    "a2V5MTpwYTU1L3",
    "YXBpLWtleTc",
];

#[track_caller]
fn assert_no_secret(text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret} in:\n{text}");
    }
}

#[test]
fn the_answer_of_an_echoing_server_is_masked() {
    let (lab, echo) = (Lab::new(), Receiver::new(Behaviour::Echo(500)));
    for login in ["key1:pa55%2Fw", "api-key7:", "api-key7"] {
        let target = echo.url("/page").replace("://", &format!("://{login}@"));
        for more in [&["--explain"][..], &["--json", "--explain"], &["-vvv"]] {
            let send = "{\"token\": \"t0ken/1\", \"b\": \"b0dy b0dy\"}";
            let (send, expect) = (format!("send={send}"), "expect_status=200");
            let output = lab.run(&[&["check", &target, "--set", &send, "--set", expect], more].concat());
            output.assert_code(2);
            assert_no_secret(&output.text());
        }
    }
    assert!(echo.requests()[0].body.contains("t0ken"), "the secrets were used");
    let text = format!(
        "site: {{name: s}}\nmonitors: [{{type: http, name: a, address: \"{}\", headers: {{X-Key: \"h34der\", X-Token: \"${{TOKEN}}\"}}}}]\n",
        echo.url("/")
    );
    lab.write("home.yaml", text);
    for more in [&["--explain"][..], &["--json", "--explain"]] {
        let mut command = lab.apmon(&[&["check", "home.yaml"], more].concat());
        command.env("TOKEN", "t0ken of mine");
        let output = run(command);
        output.assert_code(2);
        assert_no_secret(&output.text());
        assert!(output.text().contains("***"), "{}", output.text());
    }
}

#[test]
fn a_value_from_the_environment_is_shown_of_no_option() {
    let (lab, echo) = (Lab::new(), Receiver::new(Behaviour::Echo(500)));
    let site = Site::new("HomeLab")
        .option("check_every_n_secs: 1")
        .webhook_with("endpoint_url: \"${HOOK}\", request_method: POST, request_encoding: JSON")
        .watch("type: http, name: web, address: \"${ADDRESS}\", expect: \"${EXPECT}\"");
    lab.write("home.yaml", site.text());
    let started = |arguments: &[&str]| {
        let mut command = lab.apmon(arguments);
        command
            .env("HOOK", echo.url("/t0ken?key=t0ken"))
            .env("ADDRESS", echo.url("/t0ken/x?key=pa55"))
            .env("EXPECT", "b0dy");
        command
    };
    for (arguments, code) in [
        (&["--test-config", "-vvvv", "home.yaml"][..], 0),
        (&["check", "--explain", "-vvvv", "home.yaml"], 2),
        (&["--test-webhooks", "-vvvv", "home.yaml"], 1),
        (&["-vvvv", "home.yaml"], 0),
    ] {
        let output = run(started(arguments));
        assert_no_secret(&output.text());
        output.assert_code(code);
    }
    let daemon = support::Process::start(started(&["run", "-vvvv", "home.yaml"]));
    wait_until("a check", || {
        let lines = daemon.err();
        lines.iter().any(|line| line.contains("web: Down")).then_some(())
    });
    for arguments in [&["status"][..], &["status", "--json"], &["history", "--json"]] {
        assert_no_secret(&run(started(arguments)).text());
    }
    assert_no_secret(&daemon.stop().text());
    for name in lab.state_directory() {
        let kept = std::fs::read(lab.path("state").join(name)).unwrap();
        assert_no_secret(&String::from_utf8_lossy(&kept));
    }
}

#[test]
fn arguments_in_the_wrong_place_show_no_password() {
    let lab = Lab::new();
    for arguments in [
        &["pin", "key1:pa55@127.0.0.1"][..],
        &["pin", "https:key1:pa55@127.0.0.1"],
        &["pin", "https:/key1:pa55@127.0.0.1:1"],
        &["pin", "https://api-key7:@127.0.0.1:1"],
        &["http://key1:pa55@127.0.0.1/"],
        &["run", "http://key1:pa55@127.0.0.1/"],
        &["status", "http://key1:pa55@127.0.0.1/"],
        &["check", "web", "web", "http://key1:pa55@127.0.0.1/"],
        &["check", "http://127.0.0.1:1/", "--set", "passwrod t0ken"],
        &["check", "http://127.0.0.1:1/", "--set", "passwrod: t0ken=x"],
        &[
            "check",
            "http://127.0.0.1:1/",
            "--timeout",
            "http://key1:pa55@127.0.0.1/",
        ],
        &["snmp", "ports", "pa55@127.0.0.1:x"],
        &["snmp", "ports", "key1:pa55@127.0.0.1"],
        &["snmp", "ports", "snmp://key1:pa55@127.0.0.1"],
    ] {
        let output = lab.run(arguments);
        assert_ne!(output.code, Some(0), "{arguments:?}");
        assert_no_secret(&output.text());
    }
}

#[test]
fn a_program_with_a_token_in_its_place_shows_none() {
    let lab = Lab::new();
    lab.write(
        "home.yaml",
        "site:\n  name: s\n  outage_commands:\n  - {program: '/bin/curl https://hooks.example.com/t0ken'}\n\
         monitors: [{type: ping, name: a, address: 127.0.0.1}]\n",
    );
    for (arguments, code) in [
        (&["--test-config", "home.yaml"][..], 0),
        (&["notify", "test", "home.yaml"], 1),
    ] {
        let output = lab.run(arguments);
        output.assert_code(code);
        assert_no_secret(&output.text());
        assert!(output.text().contains("curl ***"), "{}", output.text());
    }
}
