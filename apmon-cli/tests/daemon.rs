//! The daemon: `apmon run [OPTIONS] <CONFIG>...`.
#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use std::{io::ErrorKind, os::unix::net::UnixDatagram, time::Duration};

use serde_json::json;
use support::{
    Lab, Manner, Process, Receiver, SOON, Service, Signal, Site, message_of, sentence, timeless, until,
};

/// Looked at every second, told to the receiver.
fn site(name: &str, receiver: &Receiver) -> Site {
    Site::new(name)
        .option("check_every_n_secs: 1")
        .webhook(&receiver.url("/hook"))
}

/// A target that takes connections and never says what is expected.
fn watch_silent(site: Site, name: &str, silent: &Service) -> Site {
    site.watch(&format!(
        "type: tcp, name: {name}, address: \"{}\", expect: hello",
        silent.address()
    ))
}

#[test]
fn an_outage_its_reminders_and_its_end_are_told() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Manner::Answer(200)), Service::open());
    let site = site("HomeLab", &receiver).option("notify_every_n_secs: 1");
    lab.write("home.yaml", site.watch_service("web", &web).text());
    let mut daemon = lab.start(&["run", "-vv", "home.yaml"]);
    daemon.until_err("DEBUG web: Up in ");
    web.go_away();
    let outage = daemon.until_out("##### NEW OUTAGE: ");
    let reminder = daemon.until_out("##### DOWN: ");
    web.come_back();
    let recovery = daemon.until_out("##### RECOVERY: ");
    let address = web.address();
    assert_eq!(
        timeless(&outage),
        format!(
            "##### NEW OUTAGE: web in HomeLab new outage: connect: connection refused ({address}) at TIME, down for 0 secs #####"
        )
    );
    // A second, and as long as it stood still besides.
    let seconds = reminder.rsplit(' ').nth(2).unwrap();
    assert!((1..60).contains(&seconds.parse::<u64>().unwrap()), "{reminder}");
    assert_eq!(
        timeless(&reminder),
        format!(
            "##### DOWN: web in HomeLab is down: connect: connection refused ({address}) at TIME, down for {seconds} secs #####"
        )
    );
    assert!(
        timeless(&recovery).starts_with(&format!(
            "##### RECOVERY: web in HomeLab is UP ({address}) at TIME, outage lasted "
        )),
        "{recovery}"
    );
    let last = sentence(&recovery);
    let told: Vec<_> = until("the recovery", || {
        let told: Vec<_> = receiver.requests().iter().map(message_of).collect();
        (told.last() == Some(&last)).then_some(told)
    });
    // A reminder of the moment in which the outage ended may have been dropped.
    let dropped: Vec<_> = daemon
        .err()
        .iter()
        .filter_map(|line| line.split_once("its outage is over: "))
        .map(|(_, text)| text.split(" channel=").next().unwrap().to_owned())
        .collect();
    let said: Vec<_> = daemon.out().iter().map(|line| sentence(line)).collect();
    let expected: Vec<_> = said.into_iter().filter(|text| !dropped.contains(text)).collect();
    assert_eq!(told, expected);
    let ended = daemon.stop();
    ended.assert_code(0);
    assert_eq!(lab.state("home").outbox(), [json!(null); 0]);
}

#[test]
fn sighup_reads_the_site_file_again() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Manner::Answer(200)), Service::open());
    lab.write(
        "home.yaml",
        site("HomeLab", &receiver).watch_service("web", &web).text(),
    );
    let mut daemon = lab.start(&["run", "-v", "home.yaml"]);
    daemon.until_err("INFO HomeLab: watching 1 monitors");
    daemon.signal(Signal::Hangup);
    // Nothing has changed: only the signal can be why.
    daemon.until_err("site file reloaded changed=0 watched=1");
}

#[test]
fn a_changed_site_file_is_noticed() {
    let (lab, receiver) = (Lab::new(), Receiver::new(Manner::Answer(200)));
    let (web, nas, printer) = (Service::open(), Service::closed(), Service::closed());
    let home = || site("HomeLab", &receiver).watch_service("web", &web);
    lab.write("home.yaml", home().watch_service("printer", &printer).text());
    let mut daemon = lab.start(&["run", "-vv", "home.yaml"]);
    daemon.until_out("NEW OUTAGE: printer in HomeLab ");
    daemon.until_err("DEBUG web: Up in ");
    lab.replace("home.yaml", home().watch_service("nas", &nas).text());
    daemon.until_err("site file reloaded changed=1 watched=2");
    daemon.until_out("##### NO LONGER WATCHED: printer in HomeLab is no longer watched at ");
    daemon.until_out("NEW OUTAGE: nas in HomeLab ");
    web.go_away();
    daemon.until_out("NEW OUTAGE: web in HomeLab ");
    receiver.until(4);
}

#[test]
fn a_site_file_with_mistakes_is_refused_and_the_old_one_goes_on() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Manner::Answer(200)), Service::open());
    let good = site("HomeLab", &receiver).watch_service("web", &web).text();
    lab.write("home.yaml", &good);
    let mut daemon = lab.start(&["run", "-vv", "home.yaml"]);
    daemon.until_err("DEBUG web: Up in ");
    lab.replace(
        "home.yaml",
        good.replace("type: tcp", "type: tcp, chekc_every_n_secs: 5"),
    );
    daemon.until_err("ERROR home.yaml: refused; the site goes on as it was");
    daemon.until_err("unknown option \"chekc_every_n_secs\"; did you mean \"check_every_n_secs\"?");
    web.go_away();
    daemon.until_out("NEW OUTAGE: web in HomeLab ");
    lab.replace("home.yaml", "site: [");
    daemon.signal(Signal::Hangup);
    until("the second refusal", || {
        let errors = daemon.err();
        let refusals = errors
            .iter()
            .filter(|line| line.contains("refused; the site goes on"));
        (refusals.count() == 2).then_some(())
    });
    web.come_back();
    daemon.until_out("RECOVERY: web in HomeLab ");
    daemon.stop().assert_code(0);
}

#[test]
fn sigterm_ends_soon_while_a_look_and_a_webhook_hang() {
    let (lab, receiver) = (Lab::new(), Receiver::new(Manner::Hang));
    let (web, silent) = (Service::closed(), Service::open());
    let site = site("HomeLab", &receiver)
        .option("max_try_secs: 60")
        .watch_service("web", &web);
    lab.write("home.yaml", watch_silent(site, "silent", &silent).text());
    let mut daemon = lab.start(&["run", "-vv", "home.yaml"]);
    let outage = daemon.until_out("NEW OUTAGE: web in HomeLab ");
    receiver.until(1);
    let ended = daemon.stop();
    ended.assert_code(0);
    assert!(ended.took < SOON, "{:?}", ended.took);
    // Its last words have two seconds at most: who takes longer stood still.
    let stood_still = ended.took > Duration::from_secs(2);
    assert!(
        stood_still
            || ended
                .text()
                .contains("WARN 1 messages are not delivered yet; the next start sends them"),
        "{}",
        ended.text()
    );
    let state = lab.state("home");
    assert_eq!(state.read()["web"]["is_up"], false);
    let waiting = state.outbox();
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0]["notification"]["text"], sentence(&outage));
    // What was looked at since the last commit is there as well.
    assert!(state.read()["web"]["down_count"].as_u64() >= Some(1));
}

#[test]
fn sigint_ends_it_too() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Manner::Answer(200)), Service::open());
    lab.write(
        "home.yaml",
        site("HomeLab", &receiver).watch_service("web", &web).text(),
    );
    let mut daemon = lab.start(&["run", "-vv", "home.yaml"]);
    daemon.until_err("DEBUG web: Up in ");
    daemon.signal(Signal::Interrupt);
    let ended = daemon.wait();
    ended.assert_code(0);
    assert_eq!(ended.out, [""; 0]);
    assert_eq!(lab.state("home").read()["web"]["is_up"], true);
}

#[test]
fn an_outage_that_was_not_delivered_before_kill_9_is_delivered_once_after_it() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Manner::Answer(503)), Service::closed());
    lab.write(
        "home.yaml",
        site("HomeLab", &receiver).watch_service("web", &web).text(),
    );
    let mut daemon = lab.start(&["run", "home.yaml"]);
    let outage = daemon.until_out("NEW OUTAGE: web in HomeLab ");
    let key = receiver.until(1)[0].key().to_owned();
    receiver.set(Manner::Hang);
    daemon.signal(Signal::Kill);
    assert_eq!(daemon.wait().code, None);

    receiver.set(Manner::Answer(200));
    let mut daemon = lab.start(&["run", "-vv", "home.yaml"]);
    daemon.until_err("DEBUG message delivered ");
    daemon.until_err("DEBUG web: Down: ");
    let state = lab.state("home");
    until("an empty outbox", || state.outbox().is_empty().then_some(()));
    let ended = daemon.stop();
    ended.assert_code(0);
    assert_eq!(ended.out, [""; 0], "no second outage");
    let requests = receiver.requests();
    let delivered: Vec<_> = requests
        .iter()
        .filter(|request| request.manner == Manner::Answer(200))
        .collect();
    assert_eq!(delivered.len(), 1, "{requests:#?}");
    assert!(
        requests.iter().all(|request| request.key() == key),
        "{requests:#?}"
    );
    assert_eq!(message_of(delivered[0]), sentence(&outage));
}

#[test]
fn a_second_instance_is_told_who_the_first_is() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Manner::Answer(200)), Service::open());
    lab.write(
        "home.yaml",
        site("HomeLab", &receiver).watch_service("web", &web).text(),
    );
    let mut first = lab.start(&["run", "-v", "home.yaml"]);
    first.until_err("watching 1 monitors");
    let state = lab.state("home");
    until("the database", || state.database().exists().then_some(()));
    let said = format!("home.statefile.db.lock is held by process {}", first.pid());
    lab.run(&["run", "home.yaml"])
        .assert_code(1)
        .assert_only_error(&said);
    lab.run(&["home.yaml"]).assert_code(1).assert_only_error(&said);
    first.stop().assert_code(0);
    lab.run(&["home.yaml"]).assert_code(0);
}

/// What systemd is told.
struct Systemd(UnixDatagram);

impl Systemd {
    fn until(&self, wanted: &str) -> String {
        let mut buffer = [0; 512];
        until(wanted, || match self.0.recv(&mut buffer) {
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
fn systemd_is_told_of_readiness_life_reload_and_end() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Manner::Answer(200)), Service::open());
    lab.write(
        "home.yaml",
        site("HomeLab", &receiver).watch_service("web", &web).text(),
    );
    let socket = UnixDatagram::bind(lab.path("notify")).unwrap();
    socket.set_nonblocking(true).unwrap();
    let systemd = Systemd(socket);
    let mut command = lab.apmon_after("export WATCHDOG_PID=$$", &["run", "home.yaml"]);
    command
        .env("NOTIFY_SOCKET", lab.path("notify"))
        .env("WATCHDOG_USEC", "300000");
    let daemon = Process::start(command);
    assert_eq!(systemd.until("READY=1"), "READY=1\n");
    assert!(lab.state("home").beside(".lock").exists(), "ready means running");
    systemd.until("WATCHDOG=1");
    systemd.until("WATCHDOG=1");
    daemon.signal(Signal::Hangup);
    let reloading = systemd.until("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    systemd.until("READY=1");
    systemd.until("WATCHDOG=1");
    daemon.signal(Signal::Terminate);
    systemd.until("STOPPING=1");
    daemon.wait().assert_code(0);
}

#[test]
fn a_broken_site_starts_when_its_file_is_mended() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Manner::Answer(200)), Service::closed());
    let text = |name| site(name, &receiver).watch_service("web", &web).text();
    lab.write("one.yaml", text("One"));
    lab.write("two.yaml", text("Two").replace("address", "adress"));
    let mut daemon = lab.start(&["run", "one.yaml", "two.yaml"]);
    daemon.until_err("unknown option \"adress\"; did you mean \"address\"?");
    daemon.until_err("1 of 2 sites do not run yet; they are tried again");
    daemon.until_out("NEW OUTAGE: web in One ");
    lab.replace("two.yaml", text("Two"));
    daemon.until_out("NEW OUTAGE: web in Two ");
    receiver.until(2);
    daemon.stop().assert_code(0);
    assert_eq!(lab.state("two").read()["web"]["is_up"], false);
}

#[test]
fn a_site_whose_lock_is_held_starts_when_it_is_free() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Manner::Answer(200)), Service::open());
    for name in ["One", "Two"] {
        let text = site(name, &receiver).watch_service("web", &web).text();
        lab.write(&format!("{}.yaml", name.to_lowercase()), text);
    }
    let mut holder = lab.start(&["run", "-v", "two.yaml"]);
    holder.until_err("Two: watching 1 monitors");
    let mut both = lab.start(&["run", "-v", "one.yaml", "two.yaml"]);
    both.until_err("1 of 2 sites do not run yet; they are tried again");
    both.until_err("One: watching 1 monitors");
    holder.stop().assert_code(0);
    both.until_err("Two: watching 1 monitors");
    // With several sites each line of the log tells its own.
    both.until_err("site{file=two.yaml}: web: Up");
    let ended = both.stop();
    ended.assert_code(0);
    for file in ["one.yaml", "two.yaml"] {
        let of_its_end =
            |line: &&String| line.contains(&format!("site{{file={file}}}: ")) && line.contains(" looks in ");
        assert_eq!(ended.err.iter().filter(of_its_end).count(), 1, "{:?}", ended.err);
    }
}

#[test]
fn a_reader_that_does_not_read_stops_nothing() {
    let (lab, receiver) = (Lab::new(), Receiver::new(Manner::Answer(200)));
    let mut many = site("HomeLab", &receiver)
        .option("notify_every_n_secs: 1")
        .option("check_every_n_secs: 1");
    let closed: Vec<_> = (0..150).map(|_| Service::closed()).collect();
    for (i, service) in closed.iter().enumerate() {
        many = many.watch_service(&format!("web{i}"), service);
    }
    lab.write("home.yaml", many.text());
    let mut command = lab.apmon(&["run", "home.yaml"]);
    // A pipe holds 64 KiB, and nobody reads from this one.
    let mut child = command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let requests = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| receiver.until(1200)));
    child.kill().unwrap();
    child.wait().unwrap();
    let told: usize = requests
        .expect("messages go on")
        .iter()
        .map(|request| request.body.len())
        .sum();
    assert!(told > 100_000, "more was told than a pipe holds: {told} bytes");
}

#[test]
fn without_any_site_that_can_run_it_ends() {
    let lab = Lab::new();
    lab.write("one.yaml", "site: [");
    let ended = lab.run(&["run", "one.yaml", "two.yaml"]);
    ended.assert_code(1);
    assert_eq!(ended.logged("ERROR").len(), 2, "{}", ended.text());
    lab.run(&["run", "one.yaml"])
        .assert_code(1)
        .assert_only_error("one.yaml:1:");
}

#[test]
fn a_webhook_that_hangs_delays_no_check() {
    let (lab, receiver) = (Lab::new(), Receiver::new(Manner::Hang));
    let (web, nas) = (Service::open(), Service::closed());
    let site = site("HomeLab", &receiver)
        .option("max_try_secs: 60")
        .watch_service("web", &web)
        .watch_service("nas", &nas);
    lab.write("home.yaml", site.text());
    let daemon = lab.start(&["run", "-vv", "home.yaml"]);
    receiver.until(1);
    let checks = |name: &str| {
        let part = format!("DEBUG {name}: ");
        daemon.err().iter().filter(|line| line.contains(&part)).count()
    };
    let before = [checks("web"), checks("nas")];
    until("three more looks at each", || {
        assert_eq!(receiver.under_way(), 1, "the webhook must go on hanging");
        let [web, nas] = [checks("web") - before[0], checks("nas") - before[1]];
        (web >= 3 && nas >= 3).then_some(())
    });
    let log = daemon.err();
    assert!(
        !log.iter().any(|line| line.contains("not delivered")),
        "the webhook must go on hanging: {log:#?}"
    );
}

#[test]
fn a_target_that_hangs_delays_no_other() {
    let (lab, receiver) = (Lab::new(), Receiver::new(Manner::Answer(200)));
    let (web, silent) = (Service::open(), Service::open());
    let site = site("HomeLab", &receiver)
        .option("max_try_secs: 60")
        .watch_service("web", &web);
    lab.write("home.yaml", watch_silent(site, "silent", &silent).text());
    let mut daemon = lab.start(&["run", "-vv", "home.yaml"]);
    daemon.until_err("DEBUG web: Up in ");
    web.go_away();
    daemon.until_out("NEW OUTAGE: web in HomeLab ");
    web.come_back();
    daemon.until_out("RECOVERY: web in HomeLab ");
    assert!(!daemon.err().iter().any(|line| line.contains("silent: ")));
}

#[test]
fn without_a_place_for_state_it_watches_and_tells() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Manner::Answer(200)), Service::closed());
    lab.write(
        "home.yaml",
        site("HomeLab", &receiver).watch_service("web", &web).text(),
    );
    lab.write("file", "in the way");
    let mut daemon = lab.start(&["run", "-s", "file/below/home.json", "home.yaml"]);
    daemon.until_out("NEW OUTAGE: web in HomeLab ");
    web.come_back();
    daemon.until_out("RECOVERY: web in HomeLab ");
    receiver.until(2);
    let ended = daemon.stop();
    ended.assert_code(0);
    let errors = ended.logged("ERROR");
    assert_eq!(errors.len(), 1, "said once: {}", ended.text());
    assert!(
        errors[0].ends_with("; monitoring and alerting continue from memory"),
        "{}",
        ended.text()
    );
}

#[test]
fn what_cannot_be_printed_is_told_all_the_same() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Manner::Answer(200)), Service::closed());
    lab.write(
        "home.yaml",
        site("HomeLab", &receiver).watch_service("web", &web).text(),
    );
    let command = lab.apmon_after("exec >/dev/full", &["run", "home.yaml"]);
    let daemon = Process::start(command);
    receiver.until(1);
    web.come_back();
    let requests = receiver.until(2);
    assert!(message_of(&requests[1]).starts_with("web in HomeLab is UP "));
    daemon.stop().assert_code(0);
}

#[test]
fn a_change_to_unknown_and_back_is_logged_once_each() {
    let (lab, web) = (Lab::new(), Service::open());
    let unknown = "type: tcp, name: web, address: \"tcp://255.255.255.255:9\", check_every_n_secs: 1";
    lab.write("home.yaml", Site::new("HomeLab").watch(unknown).text());
    let mut daemon = lab.start(&["run", "-v", "home.yaml"]);
    daemon.until_err("INFO web: Unknown: connect: no route");
    std::thread::sleep(Duration::from_millis(2500));
    let site = Site::new("HomeLab").watch(&unknown.replace("tcp://255.255.255.255:9", &web.address()));
    lab.replace("home.yaml", site.text());
    daemon.until_err("INFO web: Up in ");
    let ended = daemon.stop();
    let checks = ended
        .logged("INFO")
        .iter()
        .filter(|line| line.starts_with("web: "))
        .count();
    assert_eq!(checks, 2, "{}", ended.text());
}
