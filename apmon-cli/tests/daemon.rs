//! The daemon: `apmon run [OPTIONS] <CONFIG>...`.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used)] // a panic fails the test

mod support;

use std::{io::ErrorKind, os::unix::net::UnixDatagram, time::Duration};

use serde_json::json;
use support::{
    Behaviour, Lab, Process, Receiver, SOON, Service, Signal, Site, notification_of, sentence, wait_until,
    without_times,
};

/// Adds a monitor of a service that accepts connections and never sends what is
/// expected.
fn watch_silent(site: Site, name: &str, silent: &Service) -> Site {
    site.watch(&format!(
        "type: tcp, name: {name}, address: \"{}\", expect: hello",
        silent.address()
    ))
}

#[test]
fn an_outage_its_reminders_and_its_recovery_are_sent() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Behaviour::Answer(200)), Service::open());
    let site = Site::every_second("HomeLab", &receiver).option("notify_every_n_secs: 1");
    lab.write("home.yaml", site.watch_service("web", &web).text());
    let mut daemon = lab.start(&["run", "-vv", "home.yaml"]);
    daemon.wait_for_err("DEBUG web: Up in ");
    web.close();
    let outage = daemon.wait_for_out("##### NEW OUTAGE: ");
    let reminder = daemon.wait_for_out("##### DOWN: ");
    web.reopen();
    let recovery = daemon.wait_for_out("##### RECOVERY: ");
    let address = web.address();
    assert_eq!(
        without_times(&outage),
        format!(
            "##### NEW OUTAGE: web in HomeLab new outage: connect: connection refused ({address}) at TIME, down for 0 secs #####"
        )
    );
    // One second, or more if the machine stalled.
    let seconds = reminder.rsplit(' ').nth(2).unwrap();
    assert!((1..60).contains(&seconds.parse::<u64>().unwrap()), "{reminder}");
    assert_eq!(
        without_times(&reminder),
        format!(
            "##### DOWN: web in HomeLab is down: connect: connection refused ({address}) at TIME, down for {seconds} secs #####"
        )
    );
    assert!(
        without_times(&recovery).starts_with(&format!(
            "##### RECOVERY: web in HomeLab is UP ({address}) at TIME, outage lasted "
        )),
        "{recovery}"
    );
    let last = sentence(&recovery);
    let sent: Vec<_> = wait_until("the recovery", || {
        let sent: Vec<_> = receiver.requests().iter().map(notification_of).collect();
        (sent.last() == Some(&last)).then_some(sent)
    });
    // A reminder due just when the outage ended may have been dropped.
    let dropped: Vec<_> = daemon
        .err()
        .iter()
        .filter_map(|line| line.split_once("its outage is over: "))
        .map(|(_, text)| text.split(" channel=").next().unwrap().to_owned())
        .collect();
    let printed: Vec<_> = daemon.out().iter().map(|line| sentence(line)).collect();
    let expected: Vec<_> = printed
        .into_iter()
        .filter(|text| !dropped.contains(text))
        .collect();
    assert_eq!(sent, expected);
    let output = daemon.stop();
    output.assert_code(0);
    assert_eq!(lab.state("home").outbox(), [json!(null); 0]);
}

#[test]
fn sigterm_stops_at_once_while_a_check_and_a_webhook_hang() {
    let (lab, receiver) = (Lab::new(), Receiver::new(Behaviour::Hang));
    let (web, silent) = (Service::closed(), Service::open());
    let site = Site::every_second("HomeLab", &receiver)
        .option("max_try_secs: 60")
        .watch_service("web", &web);
    lab.write("home.yaml", watch_silent(site, "silent", &silent).text());
    let mut daemon = lab.start(&["run", "-vv", "home.yaml"]);
    let outage = daemon.wait_for_out("NEW OUTAGE: web in HomeLab ");
    receiver.wait_for(1);
    let output = daemon.stop();
    output.assert_code(0);
    assert!(output.took < SOON, "{:?}", output.took);
    // The shutdown takes two seconds at most: if it took longer, the machine stalled.
    let stalled = output.took > Duration::from_secs(2);
    assert!(
        stalled
            || output
                .text()
                .contains("WARN 1 notification not yet delivered; kept for the next start"),
        "{}",
        output.text()
    );
    let state = lab.state("home");
    assert_eq!(state.read()["web"]["is_up"], false);
    let waiting = state.outbox();
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0]["notification"]["text"], sentence(&outage));
    // Checks since the last commit are saved as well.
    assert!(state.read()["web"]["down_count"].as_u64() >= Some(1));
}

#[test]
fn sigint_stops_it_too() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Behaviour::Answer(200)), Service::open());
    lab.write(
        "home.yaml",
        Site::every_second("HomeLab", &receiver)
            .watch_service("web", &web)
            .text(),
    );
    let mut daemon = lab.start(&["run", "-vv", "home.yaml"]);
    daemon.wait_for_err("DEBUG web: Up in ");
    daemon.signal(Signal::Interrupt);
    let output = daemon.wait();
    output.assert_code(0);
    assert_eq!(output.out, [""; 0]);
    assert_eq!(lab.state("home").read()["web"]["is_up"], true);
}

#[test]
fn an_outage_undelivered_at_kill_9_is_delivered_once_after_the_restart() {
    let (lab, receiver, web) = (
        Lab::new(),
        Receiver::new(Behaviour::Answer(503)),
        Service::closed(),
    );
    lab.write(
        "home.yaml",
        Site::every_second("HomeLab", &receiver)
            .watch_service("web", &web)
            .text(),
    );
    let mut daemon = lab.start(&["run", "home.yaml"]);
    let outage = daemon.wait_for_out("NEW OUTAGE: web in HomeLab ");
    let key = receiver.wait_for(1)[0].key().to_owned();
    receiver.set(Behaviour::Hang);
    daemon.signal(Signal::Kill);
    assert_eq!(daemon.wait().code, None);

    receiver.set(Behaviour::Answer(200));
    let mut daemon = lab.start(&["run", "-vv", "home.yaml"]);
    daemon.wait_for_err("DEBUG notification delivered ");
    daemon.wait_for_err("DEBUG web: Down: ");
    let state = lab.state("home");
    wait_until("an empty outbox", || state.outbox().is_empty().then_some(()));
    let output = daemon.stop();
    output.assert_code(0);
    assert_eq!(output.out, [""; 0], "no second outage");
    let requests = receiver.requests();
    let delivered: Vec<_> = requests
        .iter()
        .filter(|request| request.behaviour == Behaviour::Answer(200))
        .collect();
    assert_eq!(delivered.len(), 1, "{requests:#?}");
    assert!(
        requests.iter().all(|request| request.key() == key),
        "{requests:#?}"
    );
    assert_eq!(notification_of(delivered[0]), sentence(&outage));
}

#[test]
fn a_second_instance_is_refused_and_names_the_first() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Behaviour::Answer(200)), Service::open());
    lab.write(
        "home.yaml",
        Site::every_second("HomeLab", &receiver)
            .watch_service("web", &web)
            .text(),
    );
    let mut first = lab.start(&["run", "-v", "home.yaml"]);
    first.wait_for_err("watching 1 monitor");
    let state = lab.state("home");
    wait_until("the database", || state.database().exists().then_some(()));
    let error = format!("home.statefile.db.lock is held by process {}", first.pid());
    lab.run(&["run", "home.yaml"])
        .assert_code(1)
        .assert_only_error(&error);
    lab.run(&["home.yaml"]).assert_code(1).assert_only_error(&error);
    first.stop().assert_code(0);
    lab.run(&["home.yaml"]).assert_code(0);
}

/// The socket on which systemd receives notifications.
struct Systemd(UnixDatagram);

impl Systemd {
    fn wait_for(&self, wanted: &str) -> String {
        let mut buffer = [0; 512];
        wait_until(wanted, || match self.0.recv(&mut buffer) {
            Ok(length) => {
                let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
                text.lines().any(|line| line == wanted).then_some(text)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        })
    }
}

#[test]
fn systemd_is_notified_of_readiness_keep_alive_reload_and_shutdown() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Behaviour::Answer(200)), Service::open());
    lab.write(
        "home.yaml",
        Site::every_second("HomeLab", &receiver)
            .watch_service("web", &web)
            .text(),
    );
    let socket = UnixDatagram::bind(lab.path("notify")).unwrap();
    socket.set_nonblocking(true).unwrap();
    let systemd = Systemd(socket);
    let mut command = lab.apmon_after("export WATCHDOG_PID=$$", &["run", "home.yaml"]);
    command
        .env("NOTIFY_SOCKET", lab.path("notify"))
        .env("WATCHDOG_USEC", "300000");
    let daemon = Process::start(command);
    assert_eq!(systemd.wait_for("READY=1"), "READY=1\n");
    assert!(
        lab.state("home").with_suffix(".lock").exists(),
        "the site runs before readiness is reported"
    );
    systemd.wait_for("WATCHDOG=1");
    systemd.wait_for("WATCHDOG=1");
    daemon.signal(Signal::Hangup);
    let reloading = systemd.wait_for("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    systemd.wait_for("READY=1");
    systemd.wait_for("WATCHDOG=1");
    daemon.signal(Signal::Terminate);
    systemd.wait_for("STOPPING=1");
    daemon.wait().assert_code(0);
}

#[test]
fn a_site_whose_lock_is_held_starts_once_it_is_free() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Behaviour::Answer(200)), Service::open());
    for name in ["One", "Two"] {
        let text = Site::every_second(name, &receiver)
            .watch_service("web", &web)
            .text();
        lab.write(&format!("{}.yaml", name.to_lowercase()), text);
    }
    let mut holder = lab.start(&["run", "-v", "two.yaml"]);
    holder.wait_for_err("Two: watching 1 monitor");
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(lab.path("state"), everybody).unwrap();
    let mut both = lab.start(&["run", "-v", "--trust-state-dir", "one.yaml", "two.yaml"]);
    both.wait_for_err("1 of 2 sites is not running yet; retrying");
    both.wait_for_err("One: watching 1 monitor");
    holder.stop().assert_code(0);
    both.wait_for_err("Two: watching 1 monitor");
    // With several sites each log line names its site.
    both.wait_for_err("site{file=two.yaml}: web: Up");
    let output = both.stop();
    output.assert_code(0);
    let warnings = output
        .err
        .iter()
        .filter(|line| line.contains("; used anyway because"));
    assert_eq!(warnings.count(), 2, "one for each site: {:?}", output.err);
    for file in ["one.yaml", "two.yaml"] {
        let is_summary = |line: &&String| {
            line.contains(&format!("site{{file={file}}}: ")) && line.contains("; started late by ")
        };
        assert_eq!(
            output.err.iter().filter(is_summary).count(),
            1,
            "{:?}",
            output.err
        );
    }
}

#[test]
fn a_stuck_reader_of_stdout_stops_nothing() {
    let (lab, receiver) = (Lab::new(), Receiver::new(Behaviour::Answer(200)));
    let mut many = Site::every_second("HomeLab", &receiver)
        .option("notify_every_n_secs: 1")
        .option("check_every_n_secs: 1");
    let closed: Vec<_> = (0..150).map(|_| Service::closed()).collect();
    for (i, service) in closed.iter().enumerate() {
        many = many.watch_service(&format!("web{i}"), service);
    }
    lab.write("home.yaml", many.text());
    let mut command = lab.apmon(&["run", "home.yaml"]);
    // A pipe holds 64 KiB, and this one is never read.
    let mut child = command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let requests = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| receiver.wait_for(1200)));
    child.kill().unwrap();
    child.wait().unwrap();
    let sent: usize = requests
        .expect("notifications are still sent")
        .iter()
        .map(|request| request.body.len())
        .sum();
    assert!(sent > 100_000, "more was sent than a pipe holds: {sent} bytes");
}

#[test]
fn without_any_site_that_can_run_it_exits() {
    let lab = Lab::new();
    lab.write("one.yaml", "site: [");
    let output = lab.run(&["run", "one.yaml", "two.yaml"]);
    output.assert_code(1);
    assert_eq!(output.logged("ERROR").len(), 2, "{}", output.text());
    lab.run(&["run", "one.yaml"])
        .assert_code(1)
        .assert_only_error("one.yaml:1:");
}

#[test]
fn a_webhook_that_hangs_delays_no_check() {
    let (lab, receiver) = (Lab::new(), Receiver::new(Behaviour::Hang));
    let (web, nas) = (Service::open(), Service::closed());
    let site = Site::every_second("HomeLab", &receiver)
        .option("max_try_secs: 60")
        .watch_service("web", &web)
        .watch_service("nas", &nas);
    lab.write("home.yaml", site.text());
    let daemon = lab.start(&["run", "-vv", "home.yaml"]);
    receiver.wait_for(1);
    let checks = |name: &str| {
        let part = format!("DEBUG {name}: ");
        daemon.err().iter().filter(|line| line.contains(&part)).count()
    };
    let before = [checks("web"), checks("nas")];
    wait_until("three more checks of each", || {
        assert_eq!(receiver.in_progress(), 1, "the webhook must still hang");
        let [web, nas] = [checks("web") - before[0], checks("nas") - before[1]];
        (web >= 3 && nas >= 3).then_some(())
    });
    let log = daemon.err();
    assert!(
        !log.iter().any(|line| line.contains("not delivered")),
        "the webhook must still hang: {log:#?}"
    );
}

#[test]
fn a_target_that_hangs_delays_no_other() {
    let (lab, receiver) = (Lab::new(), Receiver::new(Behaviour::Answer(200)));
    let (web, silent) = (Service::open(), Service::open());
    let site = Site::every_second("HomeLab", &receiver)
        .option("max_try_secs: 60")
        .watch_service("web", &web);
    lab.write("home.yaml", watch_silent(site, "silent", &silent).text());
    let mut daemon = lab.start(&["run", "-vv", "home.yaml"]);
    daemon.wait_for_err("DEBUG web: Up in ");
    web.close();
    daemon.wait_for_out("NEW OUTAGE: web in HomeLab ");
    web.reopen();
    daemon.wait_for_out("RECOVERY: web in HomeLab ");
    assert!(!daemon.err().iter().any(|line| line.contains("silent: ")));
}

#[test]
fn without_a_writable_state_file_it_still_monitors_and_notifies() {
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
    lab.write("file", "in the way");
    let mut daemon = lab.start(&["run", "-s", "file/below/home.json", "home.yaml"]);
    daemon.wait_for_out("NEW OUTAGE: web in HomeLab ");
    web.reopen();
    daemon.wait_for_out("RECOVERY: web in HomeLab ");
    receiver.wait_for(2);
    let output = daemon.stop();
    output.assert_code(1);
    let errors = output.logged("ERROR");
    assert_eq!(errors.len(), 2, "logged once: {}", output.text());
    assert_eq!(
        errors[1],
        "the state is not saved: the next start repeats the checks and notifications since the last save"
    );
    assert!(
        errors[0].ends_with("; monitoring and alerting continue from memory"),
        "{}",
        output.text()
    );
}

#[test]
fn notifications_are_sent_even_if_they_cannot_be_printed() {
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
    let command = lab.apmon_after("exec >/dev/full", &["run", "home.yaml"]);
    let daemon = Process::start(command);
    receiver.wait_for(1);
    web.reopen();
    let requests = receiver.wait_for(2);
    assert!(notification_of(&requests[1]).starts_with("web in HomeLab is UP "));
    daemon.stop().assert_code(0);
}

#[test]
fn a_change_to_unknown_and_back_is_logged_once_each() {
    let (lab, web) = (Lab::new(), Service::open());
    let unknown = "type: tcp, name: web, address: \"tcp://255.255.255.255:9\", check_every_n_secs: 1";
    lab.write("home.yaml", Site::new("HomeLab").watch(unknown).text());
    let mut daemon = lab.start(&["run", "-v", "home.yaml"]);
    daemon.wait_for_err("INFO web: Unknown: connect: no route");
    std::thread::sleep(Duration::from_millis(2500));
    let site = Site::new("HomeLab").watch(&unknown.replace("tcp://255.255.255.255:9", &web.address()));
    lab.replace("home.yaml", site.text());
    daemon.wait_for_err("INFO web: Up in ");
    let output = daemon.stop();
    let checks = output
        .logged("INFO")
        .iter()
        .filter(|line| line.starts_with("web: Unknown") || line.starts_with("web: Up"))
        .count();
    assert_eq!(checks, 2, "{}", output.text());
}
