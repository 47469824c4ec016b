//! The wall clock is set back by an hour: no false outage, and no silence.
#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use apmon_core::{Clock as _, SystemClock};
use support::{
    FakeTime, Lab, Manner, Process, Receiver, SOON, Service, Site, message_of, run, timeless, until,
};

const HOUR: i64 = 3600;

/// By how many seconds the time of the last look differs from the right one.
fn offset(lab: &Lab) -> i64 {
    let checked = lab.state("home").time("web", "last_checked");
    checked.duration_since(SystemClock::new().now().wall).as_secs()
}

fn assert_set_back(lab: &Lab) {
    let offset = offset(lab);
    assert!((-HOUR - 60..=-HOUR + 60).contains(&offset), "{offset}");
}

#[test]
fn between_two_passes_nothing_is_told_that_is_not_so() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Manner::Answer(200)), Service::open());
    let time = FakeTime::new(&lab);
    let site = Site::new("HomeLab").webhook(&receiver.url("/hook"));
    lab.write("home.yaml", site.watch_service("web", &web).text());
    let pass = || {
        let mut command = lab.apmon(&["home.yaml"]);
        time.rule(&mut command);
        let ended = run(command);
        ended.assert_code(0);
        assert_eq!(ended.err, [""; 0], "{}", ended.text());
        ended.out
    };
    assert_eq!(pass(), [""; 0]);
    assert!(offset(&lab).abs() < 60, "the right time at first");
    time.set(-HOUR);
    assert_eq!(pass(), [""; 0], "no false outage");
    assert_set_back(&lab);
    web.go_away();
    time.set(-HOUR + 60);
    assert_eq!(pass().len(), 1, "a true one is told");
    assert_eq!(receiver.requests().len(), 1);
}

#[test]
fn between_two_passes_reminders_and_the_end_of_an_outage_still_come() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Manner::Answer(200)), Service::closed());
    let time = FakeTime::new(&lab);
    let site = Site::new("HomeLab").webhook(&receiver.url("/hook"));
    lab.write("home.yaml", site.watch_service("web", &web).text());
    let pass_at = |offset| {
        time.set(offset);
        let mut command = lab.apmon(&["home.yaml"]);
        time.rule(&mut command);
        let ended = run(command);
        ended.assert_code(0);
        ended.out
    };
    assert!(pass_at(0)[0].starts_with("##### NEW OUTAGE: "));
    assert_eq!(pass_at(-HOUR), [""; 0], "it is the same outage");
    assert_set_back(&lab);
    // Ten minutes later the reminder is due, whatever the clock says.
    let reminder = pass_at(-HOUR + 600);
    assert!(
        reminder.len() == 1 && reminder[0].starts_with("##### DOWN: web in HomeLab is down: "),
        "{reminder:?}"
    );
    web.come_back();
    let recovery = pass_at(-HOUR + 660);
    assert!(
        recovery.len() == 1
            && timeless(&recovery[0]).ends_with(" at TIME, outage lasted 11 mins N secs #####"),
        "{recovery:?}"
    );
    let told: Vec<_> = receiver.requests().iter().map(message_of).collect();
    assert_eq!(told.len(), 3, "{told:#?}");
}

#[test]
fn within_a_daemon_nothing_but_the_time_of_day_changes() {
    let (lab, receiver) = (Lab::new(), Receiver::new(Manner::Answer(200)));
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
    time.rule(&mut command);
    let mut daemon = Process::start(command);
    daemon.until_out("##### NEW OUTAGE: nas in HomeLab ");
    daemon.until_err("DEBUG web: Up in ");
    assert_eq!(daemon.out().len(), 1);
    time.set(-HOUR);
    let reminders = until("two reminders", || {
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
    nas.come_back();
    let recovery = daemon.until_out("##### RECOVERY: nas in HomeLab ");
    assert!((4..60).contains(&lasted(&recovery)), "{recovery}");
    web.go_away();
    daemon.until_out("##### NEW OUTAGE: web in HomeLab ");
    receiver.until(5);
    let said = daemon.out();
    assert!(
        said.iter()
            .all(|line| line.contains("nas in HomeLab") || line == said.last().unwrap()),
        "no false outage: {said:#?}"
    );
    let ended = daemon.stop();
    ended.assert_code(0);
    assert!(ended.took < SOON, "{:?}", ended.took);
}
