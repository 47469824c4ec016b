//! A daemon whose state others damage, and a daemon at its limits: it continues from memory, says
//! so, and nothing is forgotten.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used)] // a panic fails the test

mod support;

use std::{fs, path::Path, process::Command};

use support::{Behaviour, Lab, Process, Receiver, Service, Signal, Site, wait_until};

fn lab(receiver: &Receiver, web: &Service) -> Lab {
    let lab = Lab::new();
    let site = Site::every_second("HomeLab", receiver).watch_service("web", web);
    lab.write("home.yaml", site.text());
    lab
}

/// What is done to a database, and how.
type Deed = (&'static str, fn(&Path));

fn cut_off(path: &Path) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
}

#[test]
fn an_outage_whose_state_others_damage_has_its_recovery_after_a_kill() {
    let deeds: [Deed; 6] = [
        ("removed", |path| fs::remove_file(path).unwrap()),
        ("cut off", cut_off),
        ("emptied", |path| fs::write(path, "").unwrap()),
        ("overwritten", |path| {
            let length = usize::try_from(fs::metadata(path).unwrap().len()).unwrap();
            fs::write(path, vec![0xa5; length]).unwrap();
        }),
        ("a log of garbage", |path| {
            fs::write(path.with_extension("db-wal"), vec![0xa5; 40_000]).unwrap();
            fs::write(path.with_extension("db-shm"), "").unwrap();
        }),
        ("all but the database removed", |path| {
            for suffix in ["db-wal", "db-shm", "db-journal"] {
                let _ = fs::remove_file(path.with_extension(suffix));
            }
            cut_off(path);
        }),
    ];
    for (what, deed) in deeds {
        let (receiver, web) = (Receiver::new(Behaviour::Answer(200)), Service::closed());
        let lab = lab(&receiver, &web);
        let mut daemon = lab.start(&["run", "home.yaml"]);
        daemon.wait_for_out("##### NEW OUTAGE: web in HomeLab ");
        receiver.wait_for(1);
        deed(&lab.state("home").database());
        daemon.wait_for_err("all states and notifications");
        lab.run(&["status", "home.yaml"]).assert_code(0);
        // The line is written before the commit.
        wait_until("the new state", || {
            let history = apmon_store::History::open(lab.state("home").database()).ok()?;
            history
                .state("web")
                .ok()??
                .is_up
                .map(|is_up| assert!(!is_up, "{what}"))
        });
        daemon.signal(Signal::Kill);
        drop(daemon);
        web.reopen();
        let mut daemon = lab.start(&["run", "home.yaml"]);
        daemon.wait_for_out("##### RECOVERY: web in HomeLab ");
        receiver.wait_for(2);
        let output = daemon.stop();
        output.assert_code(0);
        assert_eq!(output.out.len(), 1, "{what}: {}", output.text());
        assert_eq!(output.err, [""; 0], "{what}");
    }
}

#[test]
fn a_stopped_daemon_leaves_its_state_in_one_file() {
    let (receiver, web) = (Receiver::new(Behaviour::Answer(200)), Service::closed());
    let lab = lab(&receiver, &web);
    let mut daemon = lab.start(&["run", "home.yaml"]);
    daemon.wait_for_out("##### NEW OUTAGE: web in HomeLab ");
    receiver.wait_for(1);
    daemon.stop().assert_code(0);
    let names = lab.state_directory();
    assert_eq!(
        names,
        [
            "home.statefile.db",
            "home.statefile.db.lock",
            "home.statefile.json.lock"
        ]
    );
}

/// A limit of the size of files, also of a single byte.
#[test]
fn a_limit_of_file_sizes_ends_nothing() {
    for (limit, arguments) in [
        ("ulimit -f 1", &["run", "home.yaml"][..]),
        ("ulimit -f 0", &["run", "home.yaml"]),
        ("ulimit -f 0", &["run", "-s", "own.json", "home.yaml"]),
    ] {
        let (receiver, web) = (Receiver::new(Behaviour::Answer(200)), Service::closed());
        let lab = lab(&receiver, &web);
        let mut daemon = Process::start(lab.apmon_after(limit, arguments));
        daemon.wait_for_err("ERROR state cannot be saved (");
        daemon.wait_for_out("##### NEW OUTAGE: web in HomeLab ");
        web.reopen();
        daemon.wait_for_out("##### RECOVERY: web in HomeLab ");
        receiver.wait_for(2);
        let output = daemon.stop();
        // It stops with state that is not on disk.
        output.assert_code(1);
        let unsaved = output
            .err
            .iter()
            .find(|line| line.contains("state cannot be saved ("))
            .unwrap();
        assert!(
            unsaved.contains("ulimit -f") || unsaved.contains("File too large"),
            "{}",
            output.text()
        );
    }
}

#[test]
fn a_limit_of_cpu_time_is_reported_once_and_monitoring_continues() {
    let (receiver, web) = (Receiver::new(Behaviour::Answer(200)), Service::open());
    let lab = lab(&receiver, &web);
    let mut daemon = lab.start_daemon(1);
    let signal = |name: &str| {
        let command = format!("kill -s {name} {}", daemon.pid());
        assert!(
            Command::new("sh")
                .args(["-c", &command])
                .status()
                .unwrap()
                .success()
        );
    };
    for name in ["XCPU", "XFSZ", "PIPE", "XCPU"] {
        signal(name);
    }
    daemon.wait_for_err("ERROR the limit of CPU time (ulimit -t) is reached");
    web.close();
    daemon.wait_for_out("##### NEW OUTAGE: web in HomeLab ");
    let output = daemon.stop();
    output.assert_code(0);
    assert_eq!(output.logged("ERROR").len(), 1, "{}", output.text());
}
