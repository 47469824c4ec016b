//! One daemon for each site file.

use std::{
    fs::{self, File},
    os::unix::{ffi::OsStrExt as _, fs::OpenOptionsExt as _},
};

use rustix::fs::{FlockOperation, fcntl_lock};

use crate::{
    command_by_hand, in_own_namespace, lab, start,
    support::{Process, Service, wait_until},
    write_site,
};

#[test]
fn a_second_daemon_waits_for_the_first_one_of_the_same_file() {
    let (lab, receiver, web) = lab();
    write_site(&lab, "home.yaml", "HomeLab", &receiver, &web);
    write_site(&lab, "office.yaml", "Office", &receiver, &Service::open());
    let first = start(&lab, &["home.yaml"], &receiver);
    let mut second = lab.start(&["run", "-v", "office.yaml", "home.yaml"]);
    let expected = format!(
        "another apmon is running this site: the daemon of process {}",
        first.pid()
    );
    second.wait_for_err(&expected);
    second.wait_for_err("Office: watching 1 monitor");
    first.stop().assert_code(0);
    second.wait_for_err("HomeLab: watching 1 monitor");
    second.stop().assert_code(0);
}

#[test]
fn of_daemons_that_start_at_the_same_moment_one_runs() {
    let (lab, receiver, web) = lab();
    write_site(&lab, "home.yaml", "HomeLab", &receiver, &web);
    for round in 0..5 {
        let start = |n: usize| {
            let state = format!("{round}-{n}.db");
            Process::start(command_by_hand(&lab, &["run", "-v", "-s", &state, "home.yaml"]))
        };
        let mut daemons: Vec<Process> = (0..4).map(start).collect();
        let mut refused = 0;
        wait_until("three that are refused", || {
            while let Some(at) = daemons.iter_mut().position(Process::has_exited) {
                let output = daemons.remove(at).wait();
                output.assert_code(1);
                let text = output.text();
                assert!(text.contains("another apmon is running this site"), "{text}");
                refused += 1;
            }
            (refused == 3).then_some(())
        });
        let mut last = daemons.remove(0);
        last.wait_for_err("HomeLab: watching 1 monitor");
        last.stop().assert_code(0);
    }
}

/// Otherwise each of two that start together could refuse to run because of the other.
#[test]
fn one_that_is_refused_does_not_lock_the_state_that_the_other_is_about_to_lock() {
    let (lab, receiver, web) = lab();
    write_site(&lab, "home.yaml", "HomeLab", &receiver, &web);
    fs::create_dir(lab.path("run")).unwrap();
    // As a daemon that has claimed the site file, and nothing else yet.
    let file = lab.path("home.yaml").canonicalize().unwrap();
    let hash = file
        .as_os_str()
        .as_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600);
    let claim = options
        .open(lab.path("run").join(format!(".{hash:016x}.claim")))
        .unwrap();
    fcntl_lock(&claim, FlockOperation::NonBlockingLockExclusive).unwrap();
    let started = "another apmon is running this site, or has just started to; try again when it has ended";
    for arguments in [&["run", "home.yaml"][..], &["home.yaml"]] {
        lab.run(arguments).assert_code(1).assert_only_error(started);
        assert!(!lab.path("state").exists(), "no lock file was made");
    }
    // Once it has locked its state, its process is named.
    fs::create_dir(lab.path("state")).unwrap();
    let lock = lab.path("state/home.statefile.db.lock");
    fs::write(&lock, format!("{}\n", std::process::id())).unwrap();
    let held = format!(
        "another apmon is running this site: {} is held by process {}",
        lock.display(),
        std::process::id()
    );
    lab.run(&["run", "home.yaml"])
        .assert_code(1)
        .assert_only_error(&held);
    drop(claim);
    let mut daemon = lab.start(&["run", "-v", "home.yaml"]);
    daemon.wait_for_err("HomeLab: watching 1 monitor");
    daemon.stop().assert_code(0);
}

/// Each is process 1 in a namespace of its own, as in a container.
#[test]
fn daemons_in_containers_that_share_a_registry_are_told_apart() {
    let (lab, receiver, web) = lab();
    write_site(&lab, "home.yaml", "HomeLab", &receiver, &web);
    let output = in_own_namespace(
        &lab,
        "unset STATE_DIRECTORY
         in=\"setpriv --pdeathsig KILL unshare --pid --fork --kill-child $0\"
         $in run -v -s one.db home.yaml >one.out 2>one.err & one=$!
         until grep -qs OUTAGE one.out; do sleep 0.1; done
         $in run -s two.db home.yaml; echo $?
         $in -s three.json home.yaml; echo $?
         \"$0\" status HomeLab | sed -n 2p
         ls /run/apmon | wc -l
         kill -KILL $one; wait $one",
    );
    let text = output.text();
    assert_eq!(output.out[..2], ["1", "1"], "{text}");
    assert!(output.out[2].starts_with("daemon since "), "{text}");
    assert_eq!(output.out[3], "1", "{text}");
    let refused = "another apmon is running this site: the daemon of process 1, whose state is in ";
    // The shell says that it was killed.
    let refusals = output.err.iter().filter(|line| line.contains(refused));
    assert_eq!(refusals.count(), 2, "{text}");
}
