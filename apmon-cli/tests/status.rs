//! `apmon status`, `apmon history` and `apmon notify retry`, beside a running
//! daemon and without one.
#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::PathBuf,
};

use serde_json::Value;
use support::{Ended, Lab, Manner, Process, Receiver, Service, Signal, Site, run, until};

/// Looked at every second, told to the receiver.
fn site(receiver: &Receiver) -> Site {
    Site::new("HomeLab")
        .option("check_every_n_secs: 1")
        .webhook(&receiver.url("/hook"))
}

fn json(ended: &Ended) -> Value {
    let text = ended.out.join("\n");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {}", ended.text()))
}

/// The only site of `apmon status --json`.
fn status(lab: &Lab, arguments: &[&str]) -> Value {
    let ended = lab.run(&[&["status", "--json"], arguments].concat());
    ended.assert_code(0);
    let mut all = json(&ended);
    assert_eq!(all["sites"].as_array().unwrap().len(), 1, "{all}");
    all["sites"][0].take()
}

fn socket(lab: &Lab) -> PathBuf {
    lab.path("state/home.statefile.sock")
}

/// A daemon that has looked at everything once and told what it found.
fn daemon(lab: &Lab, checks: u64) -> Process {
    let daemon = lab.start(&["run", "home.yaml"]);
    until("the first looks", || {
        let ended = lab.run(&["status", "--json", "home.yaml"]);
        let checked = json(&ended)["sites"][0]["looks"]["ended"].as_u64();
        checked.filter(|checked| *checked >= checks)
    });
    daemon
}

#[test]
fn a_daemon_tells_how_things_are() {
    let (lab, receiver) = (Lab::new(), Receiver::new(Manner::Answer(200)));
    let (web, nas) = (Service::open(), Service::closed());
    let site = site(&receiver)
        .watch_service("web", &web)
        .watch_service("nas", &nas);
    lab.write("home.yaml", site.text());
    let daemon = daemon(&lab, 2);
    receiver.until(1);
    let there = socket(&lab).symlink_metadata().unwrap();
    assert!(there.file_type().is_socket());
    assert_eq!(there.permissions().mode() & 0o777, 0o660);

    let home = until("the delivery", || {
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

    let ended = lab.run(&["status", "home.yaml"]);
    ended.assert_code(0);
    assert_eq!(ended.err, [""; 0]);
    assert_eq!(ended.out[0], "HomeLab: 2 monitors: 1 up, 1 down; outbox: empty");
    assert!(ended.out[1].starts_with("daemon since "), "{}", ended.text());
    assert!(
        ended.out[4].starts_with("down   nas      "),
        "problems first: {}",
        ended.text()
    );
    assert!(ended.out[5].starts_with("up     web      "), "{}", ended.text());

    daemon.stop().assert_code(0);
    assert!(!socket(&lab).exists(), "a clean end leaves none");
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
    let ended = lab.run(&["status"]);
    assert_eq!(ended.out[0], "home: 2 monitors: 1 up, 1 down; outbox: empty");
    assert!(
        ended.out[1].starts_with("no daemon runs; as of "),
        "{}",
        ended.text()
    );
}

#[test]
fn what_passes_remember_is_shown_and_of_all_sites_where_none_is_named() {
    let (lab, web) = (Lab::new(), Service::open());
    for stem in ["a", "b"] {
        let site = Site::new(&format!("Site {stem}")).watch_service("web", &web);
        lab.write(&format!("{stem}.yaml"), site.text());
        lab.run(&[&format!("{stem}.yaml")]).assert_code(0);
    }
    let ended = lab.run(&["status"]);
    ended.assert_code(0);
    let heads: Vec<_> = ended
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
    let ended = lab.run(&["status", "b.yaml"]);
    assert_eq!(ended.out[0], "Site b: 1 monitor: 1 up; outbox: empty");
    // One that cannot be read does not hide the others, and is left as it is.
    fs::write(lab.state("a").path(), "{").unwrap();
    let ended = lab.run(&["status"]);
    ended.assert_code(1);
    assert_eq!(ended.out[0], "b: 1 monitor: 1 up; outbox: empty");
    let errors = ended.logged("ERROR");
    assert!(
        errors.len() == 1 && errors[0].contains("a.statefile.json: EOF while parsing"),
        "{}",
        ended.text()
    );
    assert_eq!(fs::read_to_string(lab.state("a").path()).unwrap(), "{");
}

#[test]
fn where_there_is_nothing_to_see_that_is_said() {
    let lab = Lab::new();
    lab.run(&["status"])
        .assert_code(1)
        .assert_only_error("no site has its state in ");
    lab.write("home.yaml", "");
    lab.run(&["status", "home.yaml"])
        .assert_code(1)
        .assert_only_error("state/home.statefile.json: there is no such state file; no daemon runs");
    lab.run(&["history", "home.yaml"])
        .assert_code(1)
        .assert_only_error("state/home.statefile.json: there is no such state file");
    for wrong in [
        &["status", "-s", "x.db", "a.yaml", "b.yaml"][..],
        &["history", "web", "nas"],
        &["history", "--csv", "--json"],
        &["history", "--days", "0"],
        &["notify", "retry"],
    ] {
        let ended = lab.run(wrong);
        ended.assert_code(2);
        assert!(ended.err[0].starts_with("error: "), "{}", ended.text());
    }
}

#[test]
fn a_killed_daemon_leaves_a_socket_that_is_in_nobodys_way() {
    let (lab, web) = (Lab::new(), Service::closed());
    let site = Site::new("HomeLab")
        .option("check_every_n_secs: 1")
        .watch_service("web", &web);
    lab.write("home.yaml", site.text());
    let mut first = daemon(&lab, 1);
    first.until_out("NEW OUTAGE: web "); // it is on disk
    first.signal(Signal::Kill);
    first.wait();
    assert!(socket(&lab).exists());
    let ended = lab.run(&["status", "home.yaml"]);
    ended.assert_code(0);
    assert!(ended.out[1].starts_with("no daemon runs"), "{}", ended.text());
    let second = daemon(&lab, 1);
    assert_eq!(status(&lab, &[])["source"], "daemon");
    let ended = second.stop();
    ended.assert_code(0);
    assert_eq!(ended.logged("WARN"), [""; 0]);
}

#[test]
fn without_a_socket_monitoring_goes_on_and_status_reads_the_state_file() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Manner::Answer(200)), Service::closed());
    lab.write("home.yaml", site(&receiver).watch_service("web", &web).text());
    // No socket may have so long a name.
    let state = format!("{}/home.db", "long".repeat(30));
    let mut daemon = lab.start(&["run", "-s", &state, "home.yaml"]);
    daemon.until_out("NEW OUTAGE: web in HomeLab ");
    daemon.until_err("home.sock: path must be shorter than");
    receiver.until(1);
    let ended = lab.run(&["status", "-s", &state, "home.yaml"]);
    ended.assert_code(0);
    assert!(
        ended.out[0].starts_with("HomeLab: 1 monitor: "),
        "{}",
        ended.text()
    );
    // What needs the daemon says what stands in the way.
    lab.run(&["notify", "retry", "-s", &state, "home.yaml"])
        .assert_code(1)
        .assert_only_error("another apmon runs this site");
    let ended = daemon.stop();
    ended.assert_code(0);
    assert_eq!(ended.logged("WARN").len(), 1, "{}", ended.text());
}

#[test]
fn who_may_not_is_told_so() {
    let (lab, web) = (Lab::new(), Service::closed());
    let site = Site::new("HomeLab")
        .option("check_every_n_secs: 1")
        .watch_service("web", &web);
    lab.write("home.yaml", site.text());
    let mut daemon = daemon(&lab, 1);
    daemon.until_out("NEW OUTAGE: web "); // it is on disk
    let shut = |mode| {
        for file in ["home.statefile.db", "home.statefile.sock"] {
            let path = lab.path(&format!("state/{file}"));
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    shut(0o000);
    run(lab.apmon_without_privileges(&["status"]))
        .assert_code(1)
        .assert_only_error("home.statefile.db: Permission denied (os error 13); the daemon answers its own user and group only");
    run(lab.apmon_without_privileges(&["history"]))
        .assert_code(1)
        .assert_only_error("home.statefile.db: Permission denied");
    run(lab.apmon_without_privileges(&["notify", "retry", "home.yaml"]))
        .assert_code(1)
        .assert_only_error("home: the daemon answers its own user and group only");
    shut(0o600);
    run(lab.apmon_without_privileges(&["status"])).assert_code(0);
    drop(daemon);
}

#[test]
fn a_refused_message_is_sent_again_by_the_daemon_that_is_asked_to() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Manner::Answer(404)), Service::closed());
    lab.write("home.yaml", site(&receiver).watch_service("web", &web).text());
    let mut daemon = daemon(&lab, 1);
    daemon.until_err("message refused");
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
    receiver.set(Manner::Answer(200));
    let ended = lab.run(&["notify", "retry", "home.yaml", "webhook:example.com"]);
    ended
        .assert_code(1)
        .assert_only_error("home: no such channel: webhook:example.com; there is webhook:127.0.0.1");
    let ended = lab.run(&["notify", "retry", "home.yaml", "webhook:127.0.0.1"]);
    ended.assert_code(0);
    assert_eq!(ended.out, ["home: 1 message is tried again now"]);
    let requests = receiver.until(2);
    assert_eq!(requests[0].key(), requests[1].key());
    until("an empty outbox", || {
        let shown = lab.run(&["status"]);
        shown.out[0].ends_with("outbox: empty").then_some(())
    });
    let ended = lab.run(&["notify", "retry", "home.yaml"]);
    assert_eq!(ended.out, ["home: no message waits"]);
    daemon.stop().assert_code(0);
}

#[test]
fn what_waits_is_tried_again_for_a_channel_by_its_name() {
    let (lab, web) = (Lab::new(), Service::open());
    let hook = "preset: slack, url: \"http://127.0.0.1:1/hook\", name: chat";
    lab.write(
        "home.yaml",
        Site::new("HomeLab")
            .webhook_with(hook)
            .watch_service("web", &web)
            .text(),
    );
    lab.run(&["notify", "retry", "home.yaml", "chat"]).assert_code(0);
    lab.run(&["notify", "retry", "home.yaml", "chap"]).assert_code(1);
    let daemon = lab.start(&["run", "home.yaml"]);
    let said = until("the daemon's answer", || {
        let ended = lab.run(&["notify", "retry", "home.yaml", "chat"]);
        let said = ended.out.join("");
        (!said.contains("no daemon")).then_some(said)
    });
    assert_eq!(said, "home: no message waits");
    lab.run(&["notify", "retry", "home.yaml", "chap"]).assert_code(1);
    daemon.stop().assert_code(0);
}

#[test]
fn a_refused_message_is_sent_again_by_the_next_pass_that_is_asked_for_it() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Manner::Answer(404)), Service::closed());
    let site = Site::new("HomeLab").webhook(&receiver.url("/hook"));
    lab.write("home.yaml", site.watch_service("web", &web).text());
    let ended = lab.run(&["notify", "retry", "home.yaml"]);
    ended.assert_code(0);
    assert_eq!(ended.out, ["home: no daemon runs, and no message waits"]);
    assert!(!lab.path("state").exists(), "asking makes no state");
    lab.run(&["home.yaml"]).assert_code(0);
    receiver.set(Manner::Answer(200));
    lab.run(&["home.yaml"]).assert_code(0);
    assert_eq!(receiver.requests().len(), 1, "its half hour is not over");
    lab.run(&["notify", "retry", "home.yaml", "mail:x"])
        .assert_code(1)
        .assert_only_error("no such channel: mail:x; there are webhook:127.0.0.1");
    let ended = lab.run(&["notify", "retry", "home.yaml", "webhook:127.0.0.1"]);
    assert_eq!(
        ended.out,
        ["home: no daemon runs; the next pass or start tries 1 message"]
    );
    assert_eq!(receiver.requests().len(), 1);
    lab.run(&["home.yaml"]).assert_code(0);
    assert_eq!(receiver.requests().len(), 2);
    assert_eq!(lab.state("home").outbox(), [serde_json::json!(null); 0]);
}

#[test]
fn a_history_is_read_beside_the_daemon() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Manner::Answer(200)), Service::open());
    let nas = Service::open();
    let site = site(&receiver)
        .watch_service("web", &web)
        .watch_service("nas", &nas);
    lab.write("home.yaml", site.text());
    let mut daemon = daemon(&lab, 2);
    web.go_away();
    daemon.until_out("NEW OUTAGE: web ");
    web.come_back();
    daemon.until_out("RECOVERY: web ");
    receiver.until(2);
    let home = until("both deliveries", || {
        let ended = lab.run(&["history", "--json", "home.yaml"]);
        ended.assert_code(0);
        let home = json(&ended)["sites"][0].clone();
        (home["monitors"][1]["incidents"][0]["delivered"] == 2).then_some(home)
    });
    assert_eq!(home["site"], "HomeLab");
    let [nas_past, web_past] = &home["monitors"].as_array().unwrap()[..] else {
        panic!("{home}")
    };
    assert_eq!(nas_past["incidents"].as_array().unwrap().len(), 0);
    let incident = &web_past["incidents"][0];
    assert_eq!(
        (&incident["kind"], &incident["ongoing"]),
        (&"outage".into(), &false.into())
    );
    assert_eq!(
        (&incident["messages"], &incident["reason"]),
        (&2.into(), &"connect: connection refused".into())
    );
    let day = &web_past["days"].as_array().unwrap().last().unwrap();
    let down = day["down_secs"].as_f64().unwrap();
    let lasted = incident["duration_secs"].as_f64().unwrap();
    // The sums are of whole microseconds, and end with the last look on disk.
    assert!(down > 0.0 && down <= lasted + 0.001, "{down} of {lasted}");
    assert!(day["up_percent"].as_f64().unwrap() < 100.0);

    let only = lab.run(&["history", "web"]);
    only.assert_code(0);
    assert_eq!(only.out[0], "web in home: availability by year, month and day");
    let both = lab.run(&["history", "home.yaml", "web"]);
    assert_eq!(both.out[0], "web in HomeLab: availability by year, month and day");
    assert!(
        both.out.last().unwrap().ends_with("connect: connection refused"),
        "{}",
        both.text()
    );
    let csv = lab.run(&["history", "--csv", "--days", "1", "home.yaml", "web"]);
    let records: Vec<_> = csv
        .out
        .iter()
        .map(|line| line.split(',').next().unwrap())
        .collect();
    assert_eq!(records, ["record", "incident", "day", "month", "year"]);
    assert!(csv.out.iter().all(|line| line.ends_with('\r')), "{}", csv.text());
    assert!(
        csv.out.iter().all(|line| line.split(',').count() == 17),
        "{}",
        csv.text()
    );
    let ports = lab.run(&["history", "--ports", "home.yaml", "web"]);
    ports.assert_code(0);
    assert_eq!(
        ports.out,
        [
            "web in HomeLab: changes at ports in the last 400 days",
            "",
            "none"
        ]
    );
    let ports = lab.run(&["history", "--ports", "--csv", "home.yaml"]);
    assert_eq!(
        ports.out,
        ["site,monitor,at,port_index,port,kind,before,after,told\r"]
    );
    let ports = json(&lab.run(&["history", "--ports", "--json", "home.yaml", "web"]));
    assert_eq!(
        ports["sites"][0]["monitors"],
        serde_json::json!([{"monitor": "web", "port_changes": []}])
    );
    lab.run(&["history", "wen"])
        .assert_code(1)
        .assert_only_error("no monitor \"wen\" was watched; did you mean \"web\"?");
    let whole = lab.run(&["history"]);
    assert!(whole.out[0].starts_with("home: availability"), "{}", whole.text());
    assert!(
        whole.out.iter().any(|line| line.starts_with("nas      100 %")),
        "{}",
        whole.text()
    );
    daemon.stop().assert_code(0);
    lab.run(&["history", "web"]).assert_code(0);
}

#[test]
fn a_json_file_keeps_no_history_and_that_is_said() {
    let (lab, web) = (Lab::new(), Service::open());
    lab.write(
        "home.yaml",
        Site::new("HomeLab").watch_service("web", &web).text(),
    );
    lab.run(&["home.yaml"]).assert_code(0);
    lab.run(&["history"]).assert_code(1).assert_only_error(
        "home.statefile.json keeps no history: that is in a database, as apmon run makes it, and a pass with -s FILE.db",
    );
    lab.run(&["-s", "home.db", "home.yaml"]).assert_code(0);
    let ended = lab.run(&["history", "-s", "home.db", "home.yaml"]);
    ended.assert_code(0);
    assert!(
        ended.out[0].starts_with("HomeLab: availability"),
        "{}",
        ended.text()
    );
}
