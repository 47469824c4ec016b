//! Passwords and tokens are used, and neither printed nor kept.
#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use support::{Ended, Lab, Manner, Receiver, Service, Site, until};

const SECRETS: &[&str] = &["s3cret", "t0ken", "c3RhZmY6czNjcmV0"]; // the last is staff:s3cret in base64

#[track_caller]
fn assert_no_secret(ended: &Ended) {
    let text = ended.text();
    assert!(!SECRETS.iter().any(|secret| text.contains(secret)), "{text}");
}

#[test]
fn no_check_prints_a_password() {
    let (lab, web, down) = (Lab::new(), Receiver::new(Manner::Answer(200)), Service::closed());
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
            let ended = lab.run(&[&["check", target], more].concat());
            ended.assert_code(code);
            assert!(
                ended.text().contains("://staff:***@127.0.0.1:"),
                "{}",
                ended.text()
            );
            assert_no_secret(&ended);
        }
    }
    let request = &web.requests()[0];
    assert_eq!(
        request.header("authorization"),
        "Basic c3RhZmY6czNjcmV0",
        "it was used"
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
        let ended = lab.run(wrong);
        ended.assert_code(3);
        assert_no_secret(&ended);
    }
}

#[test]
fn no_run_of_a_site_prints_or_keeps_a_password() {
    let (lab, down) = (Lab::new(), Service::closed());
    let (hook, web) = (
        Receiver::scripted(&[Manner::Answer(500), Manner::Close], Manner::Answer(403)),
        Receiver::new(Manner::Answer(200)),
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
        let ended = lab.run(arguments);
        ended.assert_code(code);
        assert_no_secret(&ended);
    }
    let daemon = lab.start(&["run", "-vvvv", "home.yaml"]);
    until("the daemon's looks", || {
        let log = daemon.err();
        let seen = |part: &str| log.iter().any(|line| line.contains(part));
        (seen("dead: Down") && seen("heartbeat not sent")).then_some(())
    });
    assert_no_secret(&daemon.stop());
    for name in lab.state_directory() {
        let kept = std::fs::read(lab.path("state").join(name)).unwrap();
        let kept = String::from_utf8_lossy(&kept);
        assert!(!SECRETS.iter().any(|secret| kept.contains(secret)), "{kept}");
    }
    // Nor does a file that is wrong.
    lab.write(
        "wrong.yaml",
        site.text()
            .replace("name: dead", "nmae: dead")
            .replace("POST", "PUT"),
    );
    let ended = lab.run(&["--test-config", "wrong.yaml"]);
    ended.assert_code(1);
    assert_no_secret(&ended);
}
