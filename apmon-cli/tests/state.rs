//! The state that a pass keeps for the next one: the file, its path, its lock.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used)] // a panic fails the test

mod support;

use std::{fs, time::Duration};

use apmon_core::{Clock as _, SystemClock};
use serde_json::{Value, json};
use support::{Behaviour, Lab, Receiver, Service, Site, ago, run, wait_until, without_times};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn the_state_file_has_all_keys_of_apmonitor_and_one_of_our_own() {
    let (lab, web) = (Lab::new(), Service::open());
    lab.write(
        "home.yaml",
        Site::new("HomeLab").watch_service("web", &web).text(),
    );
    lab.run(&["home.yaml"]).assert_code(0);
    let state = lab.state("home").read();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&state), ["web", "execution_time", "execution_ms", "apmon"]);
    assert_eq!(
        keys(&state["web"]),
        [
            "is_up",
            "last_checked",
            "last_response_time_ms",
            "last_notified",
            "last_alarm_started",
            "last_successful_heartbeat",
            "down_count",
            "notified_count",
            "error_reason",
            "last_config_checksum"
        ]
    );
    assert_eq!(state["web"]["is_up"], true);
    assert!(state["web"]["last_response_time_ms"].is_f64());
    assert!(state["execution_ms"].is_u64());
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(lab.path("state")), 0o755);
    assert_eq!(mode(lab.path("state/home.statefile.json")), 0o600);
    // Whatever the umask.
    let deep = ["-s", "a/b/own.json", "home.yaml"];
    run(lab.apmon_after("umask 077", &deep)).assert_code(0);
    for made in ["a", "a/b"] {
        assert_eq!(mode(lab.path(made)), 0o755, "{made}");
    }
}

#[test]
fn a_second_pass_leaves_the_site_to_the_first_and_a_daemon_is_refused() {
    // It accepts connections and never sends what is expected.
    let (lab, silent) = (Lab::new(), Service::open());
    let site = Site::new("HomeLab").option("max_try_secs: 60").watch(&format!(
        "type: tcp, name: silent, address: \"{}\", expect: hello",
        silent.address()
    ));
    lab.write("home.yaml", site.text());
    let first = lab.start(&["home.yaml"]);
    let lock = lab.state("home").with_suffix(".lock");
    wait_until("the first pass's lock", || {
        fs::read_to_string(&lock).ok().filter(|text| text.ends_with('\n'))
    });
    // Another site runs all the same.
    lab.write(
        "other.yaml",
        Site::new("Other").watch_service("web", &silent).text(),
    );
    for configs in [&["home.yaml"][..], &["home.yaml", "other.yaml"]] {
        let output = lab.run(configs);
        output.assert_code(0);
        assert_eq!(output.out, [""; 0], "{}", output.text());
        assert_eq!(output.err.len(), 1, "{}", output.text());
        let (before, after) = output.logged("WARN")[0].split_once(" secs ").unwrap();
        assert!(
            before.starts_with("home.yaml: another pass has been at work for "),
            "{}",
            output.text()
        );
        assert_eq!(
            after,
            format!("(process {}); this one leaves the site to it", first.pid())
        );
    }
    assert!(lab.state("other").exists());
    let error = format!("home.statefile.json.lock is held by process {}", first.pid());
    lab.run(&["run", "home.yaml"])
        .assert_code(1)
        .assert_only_error(&error);
    drop(first);
    // The lock ends with its process, even if that is killed.
    let quick = Site::new("HomeLab").watch_service("silent", &silent);
    lab.write("home.yaml", quick.text());
    lab.run(&["home.yaml"]).assert_code(0);
}

#[test]
fn a_pass_that_hangs_is_an_error_of_the_next_one() {
    let (lab, silent) = (Lab::new(), Service::open());
    let site = Site::new("HomeLab")
        .option("max_retries: 1")
        .option("max_try_secs: 30")
        .watch(&format!(
            "type: tcp, name: silent, address: \"{}\", expect: hello",
            silent.address()
        ));
    lab.write("home.yaml", site.text());
    let first = lab.start(&["home.yaml"]);
    let lock = lab.state("home").with_suffix(".lock");
    let text = wait_until("the first pass's lock", || {
        fs::read_to_string(&lock)
            .ok()
            .filter(|text| text.contains("secs\n"))
    });
    // It says that it began long ago.
    let since = text.lines().nth(1).unwrap().split([' ', ',']).nth(2).unwrap();
    let long_ago = SystemClock::new().now().wall - jiff::SignedDuration::from_hours(1);
    fs::write(&lock, text.replace(since, &long_ago.to_string())).unwrap();
    let output = lab.run(&["home.yaml"]);
    output.assert_code(1);
    assert_eq!(output.err.len(), 1, "{}", output.text());
    let error = &output.err[0];
    assert!(
        error.starts_with("ERROR home.yaml: another pass has been at work for 1 hrs 0 mins (process ")
            && error.contains("), and a pass ends within 2 mins ")
            && error.contains("; if it hangs, end it: it holds "),
        "{error}"
    );
    drop(first);
}

#[test]
fn two_site_files_do_not_share_a_state_file() {
    let (lab, web) = (Lab::new(), Service::open());
    let text = Site::new("HomeLab").watch_service("web", &web).text();
    lab.write("home.yaml", &text);
    fs::create_dir(lab.path("other")).unwrap();
    lab.write("other/home.yaml", &text);
    let mut daemon = lab.start(&["run", "-v", "home.yaml", "other/home.yaml"]);
    let error = daemon.wait_for_err("ERROR other/home.yaml: ");
    assert!(
        error.ends_with("home.statefile.db; rename one of the two site files"),
        "{error}"
    );
    daemon.wait_for_err("ERROR 1 of 2 sites is not running");
    daemon.wait_for_err("INFO site{file=home.yaml}: HomeLab: watching 1 monitor");
}

#[test]
fn state_is_kept_where_the_arguments_and_the_environment_say() {
    let (lab, web) = (Lab::new(), Service::open());
    lab.write(
        "my.home.yml",
        Site::new("HomeLab").watch_service("web", &web).text(),
    );
    lab.run(&["my.home.yml"]).assert_code(0);
    assert!(lab.state("my.home").exists());
    let mut command = lab.apmon(&["my.home.yml"]);
    let two = format!("{}:/nowhere", lab.path("first").display());
    command.env("STATE_DIRECTORY", two);
    run(command).assert_code(0);
    assert!(lab.path("first/my.home.statefile.json").exists());
    lab.run(&["-s", "deep/down/own.state", "my.home.yml"])
        .assert_code(0);
    assert!(lab.path("deep/down/own.state").exists());
}

#[test]
fn a_state_file_of_apmonitor_is_continued() {
    let (lab, receiver, web) = (
        Lab::new(),
        Receiver::new(Behaviour::Answer(200)),
        Service::closed(),
    );
    let site = Site::new("HomeLab").webhook(&receiver.url("/hook"));
    lab.write("home.yaml", site.watch_service("web", &web).text());
    let state = lab.state("home");
    state.write(&json!({
        "web": {
            "is_up": false,
            "last_checked": ago(MINUTE),
            "last_response_time_ms": 12,
            "last_notified": ago(5 * MINUTE),
            "last_alarm_started": ago(125 * MINUTE),
            "last_successful_heartbeat": null,
            "down_count": 125,
            "notified_count": 13,
            "error_reason": "Connection refused",
            "last_config_checksum": "6f1ed002ab5595859014ebf0951522d9a8e0a3a9b7a5b5d4c3b2a19080706050",
            "port_state": {"oper": "up", "mac": null}
        },
        "statefile_version": 3,
        "execution_time": ago(MINUTE),
        "execution_ms": 2113
    }));

    let output = lab.run(&["home.yaml"]);
    output.assert_code(0);
    assert_eq!(
        output.text(),
        "exit: 0\n--- stdout\n\n--- stderr\n",
        "no alert is repeated"
    );
    let read = state.read();
    assert_eq!(read["web"]["down_count"], 126);
    assert_eq!(read["web"]["notified_count"], 13);
    assert_eq!(read["web"]["port_state"], json!({"oper": "up", "mac": null}));
    assert_eq!(read["statefile_version"], 3);

    state.age(5 * MINUTE);
    let output = lab.run(&["home.yaml"]);
    assert_eq!(
        without_times(&output.out[0]),
        format!(
            "##### DOWN: web in HomeLab is down: connect: connection refused ({}) at TIME, down for 2 hrs 10 mins #####",
            web.address()
        )
    );
    web.reopen();
    state.age(MINUTE);
    let output = lab.run(&["home.yaml"]);
    assert_eq!(
        without_times(&output.out[0]),
        format!(
            "##### RECOVERY: web in HomeLab is UP ({}) at TIME, outage lasted 2 hrs 11 mins #####",
            web.address()
        )
    );
    assert_eq!(receiver.requests().len(), 2);
}

#[test]
fn a_damaged_state_file_is_set_aside_and_the_previous_one_is_used() {
    let (lab, receiver, web) = (
        Lab::new(),
        Receiver::new(Behaviour::Answer(200)),
        Service::closed(),
    );
    let site = Site::new("HomeLab").webhook(&receiver.url("/hook"));
    lab.write("home.yaml", site.watch_service("web", &web).text());
    lab.run(&["home.yaml"]).assert_code(0);
    let state = lab.state("home");
    assert!(state.with_suffix(".old").exists());
    fs::write(state.path(), "{\"web\": {\"is_up\": fal").unwrap();

    let output = lab.run(&["home.yaml"]);
    output.assert_code(0);
    assert_eq!(output.out, [""; 0], "the outage is not sent again");
    let errors = output.logged("ERROR");
    assert_eq!(errors.len(), 2, "{}", output.text());
    assert!(
        errors[0].contains("home.statefile.json is DAMAGED (") && errors[0].contains(".corrupt-"),
        "{}",
        output.text()
    );
    assert!(
        errors[1].contains("the state before the last commit is used, from "),
        "{}",
        output.text()
    );
    let aside: Vec<_> = lab
        .state_directory()
        .into_iter()
        .filter(|name| name.starts_with("home.statefile.json.corrupt-"))
        .collect();
    assert_eq!(aside.len(), 1);
    assert_eq!(
        fs::read_to_string(lab.path(&format!("state/{}", aside[0]))).unwrap(),
        "{\"web\": {\"is_up\": fal"
    );
    assert_eq!(state.read()["web"]["is_up"], false);
    assert_eq!(lab.run(&["home.yaml"]).err, [""; 0], "logged once");
    assert_eq!(receiver.requests().len(), 1);
}

#[test]
fn a_state_file_that_is_not_a_regular_file_keeps_the_site_from_running() {
    let (lab, web) = (Lab::new(), Service::open());
    lab.write(
        "home.yaml",
        Site::new("HomeLab").watch_service("web", &web).text(),
    );
    fs::create_dir_all(lab.path("state/home.statefile.json")).unwrap();
    lab.run(&["home.yaml"])
        .assert_code(1)
        .assert_only_error("home.statefile.json: not a regular file");
}

#[test]
fn without_a_writable_state_file_a_pass_still_monitors_and_notifies() {
    let (lab, receiver, web) = (
        Lab::new(),
        Receiver::new(Behaviour::Answer(200)),
        Service::closed(),
    );
    let site = Site::new("HomeLab").webhook(&receiver.url("/hook"));
    lab.write("home.yaml", site.watch_service("web", &web).text());
    lab.write("file", "in the way");
    fs::create_dir(lab.path("mount")).unwrap();
    let state = |directory: &str| {
        lab.path(directory)
            .join("home.statefile.json")
            .display()
            .to_string()
    };
    let mount = |options: &str| format!("mount -t tmpfs -o {options} none {}", lab.path("mount").display());
    let full = format!(
        "{} && {{ head -c 100000 /dev/zero >{} 2>/dev/null; true; }}",
        mount("size=16k"),
        lab.path("mount/filler").display()
    );
    // Like a dying SD card: the lock file exists, and nothing can be written.
    let gone_read_only = format!(
        "{} && touch {2}/home.statefile.json.lock && {} {2}",
        mount("size=64k"),
        "mount -o remount,ro",
        lab.path("mount").display()
    );
    let (below, mounted) = (state("file/below"), state("mount"));
    for (what, command) in [
        (
            "a file in place of the directory",
            lab.apmon(&["-s", &below, "home.yaml"]),
        ),
        (
            "read-only",
            lab.apmon_with_mounts(&mount("ro"), &["-s", &mounted, "home.yaml"]),
        ),
        (
            "gone read-only",
            lab.apmon_with_mounts(&gone_read_only, &["-s", &mounted, "home.yaml"]),
        ),
        (
            "full",
            lab.apmon_with_mounts(&full, &["-s", &mounted, "home.yaml"]),
        ),
    ] {
        let before = receiver.requests().len();
        let output = run(command);
        output.assert_code(1);
        assert_eq!(output.out.len(), 1, "{what}: {}", output.text());
        assert!(
            output.out[0].starts_with("##### NEW OUTAGE: web in HomeLab "),
            "{what}"
        );
        let errors = output.logged("ERROR");
        assert_eq!(errors.len(), 2, "logged once, {what}: {}", output.text());
        assert_eq!(
            errors[1],
            "home.yaml: the state is not saved: the next pass repeats the checks and notifications of this one"
        );
        assert!(
            errors[0].starts_with("state cannot be saved (")
                && errors[0].ends_with("); monitoring and alerting continue from memory"),
            "{what}: {}",
            output.text()
        );
        assert_eq!(receiver.requests().len(), before + 1, "{what}");
    }
}

/// With no writable state file and a receiver that is down, a notification is lost.
#[test]
fn a_pass_that_loses_notifications_exits_1() {
    let (lab, receiver, web) = (
        Lab::new(),
        Receiver::new(Behaviour::Answer(500)),
        Service::closed(),
    );
    let site = Site::new("HomeLab")
        .option("max_try_secs: 2") // the time a pass has for deliveries
        .webhook(&receiver.url("/hook"));
    lab.write("home.yaml", site.watch_service("web", &web).text());
    lab.write("file", "in the way");
    let output = lab.run(&["-s", "file/below/home.statefile.json", "home.yaml"]);
    output.assert_code(1);
    let errors = output.logged("ERROR");
    assert_eq!(
        errors[errors.len() - 2],
        "home.yaml: 1 notification LOST: not delivered, and the state could not be saved",
        "{}",
        output.text()
    );
    // With a state file nothing is lost.
    let output = lab.run(&["home.yaml"]);
    output.assert_code(0);
    assert!(output.logged("ERROR").is_empty(), "{}", output.text());
}

#[test]
fn state_of_another_user_is_one_clear_line() {
    use std::os::unix::fs::PermissionsExt as _;
    let (lab, web) = (Lab::new(), Service::open());
    lab.write(
        "home.yaml",
        Site::new("HomeLab").watch_service("web", &web).text(),
    );
    lab.run(&["home.yaml"]).assert_code(0);
    let state = lab.state("home");
    for path in [state.path().to_owned(), state.with_suffix(".lock")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
    }
    let error = "home.statefile.json nor its lock: Permission denied";
    run(lab.apmon_without_privileges(&["home.yaml"]))
        .assert_code(1)
        .assert_only_error(error);
    // The daemon does not start without the state it would import.
    run(lab.apmon_without_privileges(&["run", "home.yaml"]))
        .assert_code(1)
        .assert_only_error("home.statefile.json: Permission denied");
}

#[test]
fn the_daemon_imports_the_state_of_passes_and_repeats_no_outage() {
    let (lab, receiver, web) = (
        Lab::new(),
        Receiver::new(Behaviour::Answer(200)),
        Service::closed(),
    );
    let site = Site::new("HomeLab")
        .option("check_every_n_secs: 1")
        .webhook(&receiver.url("/hook"));
    lab.write("home.yaml", site.watch_service("web", &web).text());
    let output = lab.run(&["home.yaml"]);
    assert!(output.out[0].starts_with("##### NEW OUTAGE: web in HomeLab "));
    receiver.wait_for(1);

    let mut daemon = lab.start(&["run", "-vv", "home.yaml"]);
    daemon.wait_for_err("DEBUG web: Down: ");
    web.reopen();
    let recovery = daemon.wait_for_out("##### RECOVERY: ");
    let output = daemon.stop();
    output.assert_code(0);
    assert_eq!(output.out, [recovery], "no second outage");
    receiver.wait_for(2);
    let names = lab.state_directory();
    assert!(
        names.contains(&"home.statefile.json.imported".to_owned()),
        "{names:?}"
    );
    assert!(!names.contains(&"home.statefile.json".to_owned()), "{names:?}");

    // Later passes use the database, which has the history.
    web.close();
    std::thread::sleep(Duration::from_millis(1_100)); // the check is due again
    let output = lab.run(&["home.yaml"]);
    assert!(output.out[0].starts_with("##### NEW OUTAGE: web in HomeLab "));
    assert!(!lab.state("home").path().exists());
    let history = apmon_store::History::open(lab.state("home").database()).unwrap();
    let ever = jiff::Timestamp::MIN..=jiff::Timestamp::MAX;
    let incidents = history.incidents(Some("web"), &ever).unwrap();
    let ends: Vec<_> = incidents
        .iter()
        .map(|it| (it.notifications, it.ended.is_some()))
        .collect();
    assert_eq!(ends, [(2, true), (1, false)]);
    assert!(history.results("web").unwrap().len() >= 3);
    assert_eq!(history.deliveries(None, &ever).unwrap().len(), 2);

    // With -s FILE.json the daemon keeps JSON too.
    let mut daemon = lab.start(&["run", "-vv", "-s", "own.json", "home.yaml"]);
    daemon.wait_for_err("DEBUG web: Down: ");
    daemon.stop().assert_code(0);
    let text = fs::read_to_string(lab.path("own.json")).unwrap();
    assert!(text.contains("\"is_up\": false"), "{text}");
}
