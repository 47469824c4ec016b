//! Passwords and tokens are used, but neither printed nor kept.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used)] // a panic fails the test

mod support;

use support::{Behaviour, Lab, Output, Receiver, Service, Site, wait_until};

const SECRETS: &[&str] = &["s3cret", "t0ken", "c3RhZmY6czNjcmV0"]; // the last is staff:s3cret in base64

#[track_caller]
fn assert_no_secret(output: &Output) {
    let text = output.text();
    assert!(!SECRETS.iter().any(|secret| text.contains(secret)), "{text}");
}

#[test]
fn a_check_prints_no_password() {
    let (lab, web, down) = (
        Lab::new(),
        Receiver::new(Behaviour::Answer(200)),
        Service::closed(),
    );
    let with_password = |url: &str| url.replace("://", "://staff:s3cret@");
    let (up, dead) = (
        with_password(&web.url("/")),
        with_password(&format!("http://127.0.0.1:{}/", down.port())),
    );
    for (target, code) in [(&up, 0), (&dead, 2)] {
        for more in [
            &[][..],
            &["--json"],
            &["--explain"],
            &["--json", "--explain"],
            &["-vvv"],
            &["--explain", "-vvvv"],
        ] {
            let output = lab.run(&[&["check", target], more].concat());
            output.assert_code(code);
            assert!(
                output.text().contains("://staff:***@127.0.0.1:"),
                "{}",
                output.text()
            );
            assert_no_secret(&output);
        }
    }
    let request = &web.requests()[0];
    assert_eq!(
        request.header("authorization"),
        "Basic c3RhZmY6czNjcmV0",
        "the password was used"
    );
    for wrong in [
        &["check", &dead, "--set", "expcet=x"][..],
        &["check", &dead, "--set", "max_retries=0"],
        &["check", &dead, "--type", "tcp"],
        &["check", &dead, "web"],
        &["check", &dead.replace("http:", "gopher:")],
        &["check", &dead.replace("http:", "tcp:")],
        &["check", "http://staff:s3cret@127.0.0.1:port/"],
        &["check", "http://staff:s3cret/@127.0.0.1/"],
        &["check", "staff:s3cret@127.0.0.1"],
    ] {
        let output = lab.run(wrong);
        output.assert_code(3);
        assert_no_secret(&output);
    }
}

#[test]
fn a_site_prints_and_keeps_no_password() {
    let (lab, down) = (Lab::new(), Service::closed());
    let (hook, web) = (
        Receiver::scripted(
            &[Behaviour::Answer(500), Behaviour::Close],
            Behaviour::Answer(403),
        ),
        Receiver::new(Behaviour::Answer(200)),
    );
    let with_password = |url: &str| url.replace("://", "://staff:s3cret@");
    let site = Site::new("HomeLab")
        .option("check_every_n_secs: 1")
        .webhook(&with_password(&hook.url("/hook/t0ken?key=t0ken")))
        .webhook(&format!("http://staff:s3cret@127.0.0.1:{}/t0ken", down.port()))
        .watch(&format!(
            "type: http, name: dead, address: \"http://staff:s3cret@127.0.0.1:{0}/\", send: \"pass=t0ken\", heartbeat_url: \"http://staff:s3cret@127.0.0.1:{0}/t0ken\"",
            down.port()
        ))
        .watch(&format!(
            "type: http, name: live, address: \"{}\", heartbeat_url: \"http://staff:s3cret@127.0.0.1:{}/t0ken\"",
            with_password(&web.url("/")),
            down.port()
        ));
    lab.write("home.yaml", site.text());
    for (arguments, code) in [
        (&["--test-config", "-vvvv", "home.yaml"][..], 0),
        (&["check", "-vvvv", "--explain", "home.yaml"], 2),
        (&["--no-notify", "-s", "state/none.json", "-vvvv", "home.yaml"], 0),
        (&["-vvvv", "home.yaml"], 0),
        (&["--test-webhooks", "-vvvv", "home.yaml"], 1),
    ] {
        let output = lab.run(arguments);
        output.assert_code(code);
        assert_no_secret(&output);
    }
    let daemon = lab.start(&["run", "-vvvv", "home.yaml"]);
    wait_until("the daemon's checks", || {
        let log = daemon.err();
        let has = |part: &str| log.iter().any(|line| line.contains(part));
        (has("dead: Down") && has("heartbeat not sent")).then_some(())
    });
    assert_no_secret(&daemon.stop());
    for name in lab.state_directory() {
        let kept = std::fs::read(lab.path("state").join(name)).unwrap();
        let kept = String::from_utf8_lossy(&kept);
        assert!(!SECRETS.iter().any(|secret| kept.contains(secret)), "{kept}");
    }
    // Nor does an invalid file.
    lab.write(
        "wrong.yaml",
        site.text()
            .replace("name: dead", "nmae: dead")
            .replace("POST", "PUT"),
    );
    let output = lab.run(&["--test-config", "wrong.yaml"]);
    output.assert_code(1);
    assert_no_secret(&output);
}
