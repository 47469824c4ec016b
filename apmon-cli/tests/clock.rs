//! The wall clock is set back by an hour: no false outage, and no missing alert.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used)] // a panic fails the test

mod support;

use apmon_core::{Clock as _, SystemClock};
use support::{
    Behaviour, FakeTime, Lab, Process, Receiver, SOON, Service, Site, notification_of, run, wait_until,
    without_times,
};

const HOUR: i64 = 3600;

/// How many seconds the time of the last check is off the real time.
fn offset(lab: &Lab) -> i64 {
    let checked = lab.state("home").time("web", "last_checked");
    checked.duration_since(SystemClock::new().now().wall).as_secs()
}

fn assert_set_back(lab: &Lab) {
    let offset = offset(lab);
    assert!((-HOUR - 60..=-HOUR + 60).contains(&offset), "{offset}");
}

#[test]
fn between_two_passes_there_is_no_false_outage() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Behaviour::Answer(200)), Service::open());
    let time = FakeTime::new(&lab);
    let site = Site::new("HomeLab").webhook(&receiver.url("/hook"));
    lab.write("home.yaml", site.watch_service("web", &web).text());
    let pass = || {
        let mut command = lab.apmon(&["home.yaml"]);
        time.apply_to(&mut command);
        let output = run(command);
        output.assert_code(0);
        assert_eq!(output.err, [""; 0], "{}", output.text());
        output.out
    };
    assert_eq!(pass(), [""; 0]);
    assert!(offset(&lab).abs() < 60, "the real time at first");
    time.set(-HOUR);
    assert_eq!(pass(), [""; 0], "no false outage");
    assert_set_back(&lab);
    web.close();
    time.set(-HOUR + 60);
    assert_eq!(pass().len(), 1, "a real outage is sent");
    assert_eq!(receiver.requests().len(), 1);
}

#[test]
fn between_two_passes_reminders_and_the_recovery_are_still_sent() {
    let (lab, receiver, web) = (
        Lab::new(),
        Receiver::new(Behaviour::Answer(200)),
        Service::closed(),
    );
    let time = FakeTime::new(&lab);
    let site = Site::new("HomeLab").webhook(&receiver.url("/hook"));
    lab.write("home.yaml", site.watch_service("web", &web).text());
    let pass_at = |offset| {
        time.set(offset);
        let mut command = lab.apmon(&["home.yaml"]);
        time.apply_to(&mut command);
        let output = run(command);
        output.assert_code(0);
        output.out
    };
    assert!(pass_at(0)[0].starts_with("##### NEW OUTAGE: "));
    assert_eq!(pass_at(-HOUR), [""; 0], "it is the same outage");
    assert_set_back(&lab);
    // Ten minutes later the reminder is due, although the clock shows an earlier time.
    let reminder = pass_at(-HOUR + 600);
    assert!(
        reminder.len() == 1 && reminder[0].starts_with("##### DOWN: web in HomeLab is down: "),
        "{reminder:?}"
    );
    web.reopen();
    let recovery = pass_at(-HOUR + 660);
    assert!(
        recovery.len() == 1
            && without_times(&recovery[0]).ends_with(" at TIME, outage lasted 11 mins N secs #####"),
        "{recovery:?}"
    );
    let sent: Vec<_> = receiver.requests().iter().map(notification_of).collect();
    assert_eq!(sent.len(), 3, "{sent:#?}");
}

#[test]
fn a_daemon_changes_only_the_times_it_prints() {
    let (lab, receiver) = (Lab::new(), Receiver::new(Behaviour::Answer(200)));
    let (web, nas) = (Service::open(), Service::closed());
    let time = FakeTime::new(&lab);
    let site = Site::new("HomeLab")
        .option("check_every_n_secs: 1")
        .option("notify_every_n_secs: 2")
        .webhook(&receiver.url("/hook"))
        .watch_service("web", &web)
        .watch_service("nas", &nas);
    lab.write("home.yaml", site.text());
    let mut command = lab.apmon(&["run", "-vv", "home.yaml"]);
    time.apply_to(&mut command);
    let mut daemon = Process::start(command);
    daemon.wait_for_out("##### NEW OUTAGE: nas in HomeLab ");
    daemon.wait_for_err("DEBUG web: Up in ");
    assert_eq!(daemon.out().len(), 1);
    time.set(-HOUR);
    let reminders = wait_until("two reminders", || {
        let lines = daemon.out();
        let found: Vec<_> = lines
            .into_iter()
            .filter(|line| line.contains("##### DOWN: nas in HomeLab "))
            .collect();
        (found.len() >= 2).then_some(found)
    });
    assert_set_back(&lab);
    let lasted = |line: &str| line.rsplit(' ').nth(2).unwrap().parse::<u64>().unwrap();
    let seconds: Vec<_> = reminders.iter().map(|line| lasted(line)).collect();
    assert!(
        seconds[0] >= 2 && seconds[1] >= 4 && seconds[1] < 60,
        "{reminders:#?}"
    );
    nas.reopen();
    let recovery = daemon.wait_for_out("##### RECOVERY: nas in HomeLab ");
    assert!((4..60).contains(&lasted(&recovery)), "{recovery}");
    web.close();
    daemon.wait_for_out("##### NEW OUTAGE: web in HomeLab ");
    receiver.wait_for(5);
    let printed = daemon.out();
    assert!(
        printed
            .iter()
            .all(|line| line.contains("nas in HomeLab") || line == printed.last().unwrap()),
        "no false outage: {printed:#?}"
    );
    let output = daemon.stop();
    output.assert_code(0);
    assert!(output.took < SOON, "{:?}", output.took);
}
