//! `apmon status`, with a running daemon and without one.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used)] // a panic fails the test

mod support;

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::PathBuf,
};

use serde_json::Value;
use support::{Behaviour, Lab, Receiver, Service, Signal, Site, run, wait_until};

/// The only site of `apmon status --json`.
fn status(lab: &Lab, arguments: &[&str]) -> Value {
    let output = lab.run(&[&["status", "--json"], arguments].concat());
    output.assert_code(0);
    let mut all = output.json();
    assert_eq!(all["sites"].as_array().unwrap().len(), 1, "{all}");
    all["sites"][0].take()
}

fn socket(lab: &Lab) -> PathBuf {
    lab.path("state/home.statefile.sock")
}

#[test]
fn the_daemon_reports_the_status_and_then_the_state_file_does() {
    let (lab, receiver) = (Lab::new(), Receiver::new(Behaviour::Answer(200)));
    let (web, nas) = (Service::open(), Service::closed());
    let site = Site::every_second("HomeLab", &receiver)
        .watch_service("web", &web)
        .watch_service("nas", &nas);
    lab.write("home.yaml", site.text());
    let daemon = lab.start_daemon(2);
    receiver.wait_for(1);
    let metadata = socket(&lab).symlink_metadata().unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o660);

    let home = wait_until("the delivery", || {
        Some(status(&lab, &[])).filter(|home| home["channels"][0]["counts"]["delivered"] == 1)
    });
    assert_eq!(
        (&home["source"], &home["site"]),
        (&"daemon".into(), &"HomeLab".into())
    );
    assert!(
        home["state_file"]
            .as_str()
            .unwrap()
            .ends_with("state/home.statefile.db")
    );
    let [nas_now, web_now] = &home["monitors"].as_array().unwrap()[..] else {
        panic!("{home}")
    };
    assert_eq!(
        (&nas_now["name"], &nas_now["state"]),
        (&"nas".into(), &"down".into())
    );
    assert_eq!(nas_now["reason"], "connect: connection refused");
    assert_eq!(nas_now["address"], nas.address());
    assert!(
        nas_now["next_reminder"].as_str().unwrap().ends_with('Z'),
        "{nas_now}"
    );
    assert_eq!(
        (&web_now["state"], &web_now["reason"]),
        (&"up".into(), &Value::Null)
    );
    assert_eq!(home["outbox"]["waiting"], 0);

    let output = lab.run(&["status", "home.yaml"]);
    output.assert_code(0);
    assert_eq!(output.err, [""; 0]);
    assert_eq!(output.out[0], "HomeLab: 2 monitors: 1 up, 1 down; outbox: empty");
    assert!(output.out[1].starts_with("daemon since "), "{}", output.text());
    assert!(
        output.out[4].starts_with("down   nas      "),
        "problems first: {}",
        output.text()
    );
    assert!(output.out[5].starts_with("up     web      "), "{}", output.text());

    daemon.stop().assert_code(0);
    assert!(!socket(&lab).exists(), "a clean shutdown removes it");
    let remembered = status(&lab, &["home.yaml"]);
    assert_eq!(
        (&remembered["source"], &remembered["site"]),
        (&"store".into(), &"HomeLab".into())
    );
    for (now, then) in remembered["monitors"]
        .as_array()
        .unwrap()
        .iter()
        .zip([nas_now, web_now])
    {
        for key in ["name", "kind", "address", "state", "reason", "max_retries"] {
            assert_eq!(now[key], then[key], "{key}");
        }
    }
    let output = lab.run(&["status"]);
    assert_eq!(output.out[0], "home: 2 monitors: 1 up, 1 down; outbox: empty");
    assert!(
        output.out[1].starts_with("no daemon is running; as of "),
        "{}",
        output.text()
    );
}

#[test]
fn a_site_that_its_daemon_does_not_run_says_why() {
    let (lab, web) = (Lab::new(), Service::open());
    let text = |name| Site::new(name).watch_service("web", &web).text();
    lab.write("home.yaml", text("One"));
    lab.write("two.yaml", text("Two"));
    lab.run(&["two.yaml"]).assert_code(0);
    lab.write("two.yaml", text("Two").replace("address", "adress"));
    let mut daemon = lab.start(&["run", "home.yaml", "two.yaml"]);
    daemon.wait_for_err("1 of 2 sites is not running yet; retrying");
    wait_until("the other site", || {
        lab.run(&["status", "home.yaml"])
            .text()
            .contains("daemon since ")
            .then_some(())
    });
    let output = lab.run(&["status", "two.yaml"]);
    output.assert_code(0);
    let line = format!(
        "the daemon (process {}) does not run this site; as of ",
        daemon.pid()
    );
    assert!(output.out[1].starts_with(&line), "{}", output.text());
    assert!(
        output.out[2].starts_with("reason: two.yaml:") && output.out[2].contains("\"adress\""),
        "{}",
        output.text()
    );
    let two = status(&lab, &["two.yaml"]);
    assert_eq!(two["source"], "store");
    let error = two["daemon_error"].as_str().unwrap();
    assert!(error.contains("does not run this site: two.yaml:"), "{error}");
    daemon.stop().assert_code(0);
    let output = lab.run(&["status", "two.yaml"]);
    assert!(
        output.out[1].starts_with("no daemon is running; "),
        "{}",
        output.text()
    );
}

#[test]
fn the_state_of_passes_is_shown_for_all_sites_by_default() {
    let (lab, web) = (Lab::new(), Service::open());
    for stem in ["a", "b"] {
        let site = Site::new(&format!("Site {stem}")).watch_service("web", &web);
        lab.write(&format!("{stem}.yaml"), site.text());
        lab.run(&[&format!("{stem}.yaml")]).assert_code(0);
    }
    let output = lab.run(&["status"]);
    output.assert_code(0);
    let heads: Vec<_> = output
        .out
        .iter()
        .filter(|line| line.contains("monitor:"))
        .collect();
    assert_eq!(
        heads,
        [
            "a: 1 monitor: 1 up; outbox: empty",
            "b: 1 monitor: 1 up; outbox: empty"
        ]
    );
    let output = lab.run(&["status", "b.yaml"]);
    assert_eq!(output.out[0], "Site b: 1 monitor: 1 up; outbox: empty");
    // A file that cannot be read does not hide the others, and is left unchanged.
    fs::write(lab.state("a").path(), "{").unwrap();
    let output = lab.run(&["status"]);
    output.assert_code(1);
    assert_eq!(output.out[0], "b: 1 monitor: 1 up; outbox: empty");
    let errors = output.logged("ERROR");
    assert!(
        errors.len() == 1 && errors[0].contains("a.statefile.json: EOF while parsing"),
        "{}",
        output.text()
    );
    assert_eq!(fs::read_to_string(lab.state("a").path()).unwrap(), "{");
}

#[test]
fn missing_state_and_usage_errors_are_explained() {
    let lab = Lab::new();
    lab.run(&["status"])
        .assert_code(1)
        .assert_only_error("no site has state in ");
    lab.write("home.yaml", "");
    lab.run(&["status", "home.yaml"])
        .assert_code(1)
        .assert_only_error("state/home.statefile.json: no such state file; no daemon is running");
    lab.run(&["history", "home.yaml"])
        .assert_code(1)
        .assert_only_error("state/home.statefile.json: no such state file");
    for wrong in [
        &["status", "-s", "x.db", "a.yaml", "b.yaml"][..],
        &["history", "web", "nas"],
        &["history", "--csv", "--json"],
        &["history", "--days", "0"],
        &["notify", "retry"],
    ] {
        let output = lab.run(wrong);
        output.assert_code(2);
        assert!(output.err[0].starts_with("error: "), "{}", output.text());
    }
}

#[test]
fn the_socket_of_a_killed_daemon_is_replaced() {
    let (lab, web) = (Lab::new(), Service::closed());
    let site = Site::new("HomeLab")
        .option("check_every_n_secs: 1")
        .watch_service("web", &web);
    lab.write("home.yaml", site.text());
    let mut first = lab.start_daemon(1);
    first.wait_for_out("NEW OUTAGE: web "); // the state is on disk
    first.signal(Signal::Kill);
    first.wait();
    assert!(socket(&lab).exists());
    let output = lab.run(&["status", "home.yaml"]);
    output.assert_code(0);
    assert!(
        output.out[1].starts_with("no daemon is running"),
        "{}",
        output.text()
    );
    let second = lab.start_daemon(1);
    assert_eq!(status(&lab, &[])["source"], "daemon");
    let output = second.stop();
    output.assert_code(0);
    assert_eq!(output.logged("WARN"), [""; 0]);
}

#[test]
fn without_a_socket_monitoring_continues_and_status_reads_the_state_file() {
    let (lab, receiver, web) = (
        Lab::new(),
        Receiver::new(Behaviour::Answer(200)),
        Service::closed(),
    );
    lab.write(
        "home.yaml",
        Site::every_second("HomeLab", &receiver)
            .watch_service("web", &web)
            .text(),
    );
    // The path is too long for a socket.
    let state = format!("{}/home.db", "long".repeat(30));
    let mut daemon = lab.start(&["run", "-s", &state, "home.yaml"]);
    daemon.wait_for_out("NEW OUTAGE: web in HomeLab ");
    daemon.wait_for_err("home.sock: path must be shorter than");
    receiver.wait_for(1);
    let output = lab.run(&["status", "-s", &state, "home.yaml"]);
    output.assert_code(0);
    assert!(
        output.out[0].starts_with("HomeLab: 1 monitor: "),
        "{}",
        output.text()
    );
    // A command that needs the daemon explains the obstacle.
    lab.run(&["notify", "retry", "-s", &state, "home.yaml"])
        .assert_code(1)
        .assert_only_error("another apmon is running this site");
    let output = daemon.stop();
    output.assert_code(0);
    assert_eq!(output.logged("WARN").len(), 1, "{}", output.text());
}

#[test]
fn missing_permissions_are_explained() {
    let (lab, web) = (Lab::new(), Service::closed());
    let site = Site::new("HomeLab")
        .option("check_every_n_secs: 1")
        .watch_service("web", &web);
    lab.write("home.yaml", site.text());
    let mut daemon = lab.start_daemon(1);
    daemon.wait_for_out("NEW OUTAGE: web "); // the state is on disk
    let shut = |mode| {
        for file in ["home.statefile.db", "home.statefile.sock"] {
            let path = lab.path(&format!("state/{file}"));
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    shut(0o000);
    run(lab.apmon_without_privileges(&["status"]))
        .assert_code(1)
        .assert_only_error("home.statefile.db: Permission denied (os error 13); the daemon answers only its own user and group");
    run(lab.apmon_without_privileges(&["history"]))
        .assert_code(1)
        .assert_only_error("home.statefile.db: Permission denied");
    run(lab.apmon_without_privileges(&["notify", "retry", "home.yaml"]))
        .assert_code(1)
        .assert_only_error("home: the daemon answers only its own user and group");
    shut(0o600);
    run(lab.apmon_without_privileges(&["status"])).assert_code(0);
    drop(daemon);
}
