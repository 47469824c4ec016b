//! The daemon of a site file is found wherever it keeps its state.
#![cfg(all(feature = "sqlite", target_os = "linux"))]
#![allow(clippy::unwrap_used)] // a panic fails the test

mod alone;
#[path = "../support/mod.rs"]
mod support;
mod user;

use std::{fs, os::unix::fs::symlink, path::PathBuf, process::Command};

use support::{Behaviour, Lab, Output, Process, Receiver, Service, Signal, Site, run, wait_until};

/// A site with one outage, of which `receiver` is notified once.
fn write_site(lab: &Lab, file: &str, name: &str, receiver: &Receiver, web: &Service) {
    let site = Site::every_second(name, receiver).watch_service("web", web);
    lab.write(file, site.text());
}

/// Without `STATE_DIRECTORY`, as a person at a terminal.
fn by_hand(lab: &Lab, arguments: &[&str]) -> Output {
    run(command_by_hand(lab, arguments))
}

fn command_by_hand(lab: &Lab, arguments: &[&str]) -> Command {
    let mut command = lab.apmon(arguments);
    command.env_remove("STATE_DIRECTORY").env("HOME", lab.path(""));
    command
}

/// A daemon whose state is in `own/`, once it has notified of the outage and is registered.
fn start(lab: &Lab, arguments: &[&str], receiver: &Receiver) -> Process {
    let state = lab.path("own/x.db").display().to_string();
    let arguments = [&["run", "-v", "-s", &state], arguments].concat();
    let daemon = Process::start(command_by_hand(lab, &arguments));
    receiver.wait_for(1);
    wait_until("the delivery", || {
        let shown = by_hand(lab, &["status", "-s", &state]);
        shown
            .out
            .first()
            .filter(|line| line.ends_with("; outbox: empty"))
            .map(drop)
    });
    daemon
}

fn entries(lab: &Lab) -> Vec<PathBuf> {
    let files = fs::read_dir(lab.path("run")).into_iter().flatten();
    let files = files.map(|file| file.unwrap().path());
    files
        .filter(|path| !path.file_name().unwrap().as_encoded_bytes().starts_with(b"."))
        .collect()
}

fn lab() -> (Lab, Receiver, Service) {
    (
        Lab::new(),
        Receiver::new(Behaviour::Answer(200)),
        Service::closed(),
    )
}

#[test]
fn every_verb_finds_the_daemon_by_any_path_and_by_the_name_of_the_site() {
    let (lab, receiver, web) = lab();
    write_site(&lab, "home.yaml", "HomeLab", &receiver, &web);
    fs::create_dir(lab.path("deep")).unwrap();
    symlink(lab.path("home.yaml"), lab.path("deep/link.yaml")).unwrap();
    let absolute = lab.path("home.yaml").display().to_string();
    let daemon = start(&lab, &["home.yaml"], &receiver);
    for config in [
        "home.yaml",
        "./deep/../home.yaml",
        "deep/link.yaml",
        "~/home.yaml",
        &absolute,
        "HomeLab",
    ] {
        let shown = by_hand(&lab, &["status", config]);
        shown.assert_code(0);
        assert!(
            shown.out[1].starts_with("daemon since "),
            "{config}: {}",
            shown.text()
        );
        let shown = by_hand(&lab, &["history", config, "web"]);
        shown.assert_code(0);
        assert!(
            shown.text().contains("connect: connection refused"),
            "{}",
            shown.text()
        );
        let retried = by_hand(&lab, &["notify", "retry", config]);
        retried.assert_code(0);
        assert!(
            retried.out[0].ends_with(": no notification is waiting"),
            "{}",
            retried.text()
        );
        let checked = by_hand(&lab, &["check", config, "web"]);
        checked.assert_code(2);
        assert!(checked.out[0].contains("is down"), "{}", checked.text());
        by_hand(&lab, &["--test-config", config]).assert_code(0);
        // A pass would announce the outage once more.
        for state in [&[][..], &["-s", "other.json"]] {
            let expected = format!("the daemon of process {}, whose state is in ", daemon.pid());
            by_hand(&lab, &[state, &[config]].concat())
                .assert_code(1)
                .assert_only_error(&expected);
        }
    }
    assert!(!lab.path("other.json").exists());
    // The list of all sites has it, too.
    let all = by_hand(&lab, &["status", "--json"]).json();
    let sites = all["sites"].as_array().unwrap().iter();
    let ours: Vec<_> = sites
        .filter(|site| site["site_file"] == absolute.as_str())
        .collect();
    assert_eq!(ours.len(), 1, "{all}");
    assert_eq!(ours[0]["source"], "daemon");
    daemon.stop().assert_code(0);
    assert_eq!(receiver.requests().len(), 1);
}

#[test]
fn a_killed_daemon_is_not_taken_for_a_running_one_and_its_state_is_found() {
    let (lab, receiver, web) = lab();
    write_site(&lab, "home.yaml", "HomeLab", &receiver, &web);
    let daemon = start(&lab, &["home.yaml"], &receiver);
    daemon.signal(Signal::Kill);
    daemon.wait();
    assert_eq!(entries(&lab).len(), 1);
    for config in ["home.yaml", "HomeLab"] {
        let shown = by_hand(&lab, &["status", config]);
        shown.assert_code(0);
        assert!(
            shown.out[0].starts_with("HomeLab: 1 monitor: 0 up, 1 down; "),
            "{}",
            shown.text()
        );
        assert!(
            shown.out[1].starts_with("no daemon is running; as of "),
            "{}",
            shown.text()
        );
        let state = format!("state file: {}", lab.path("own/x.db").display());
        assert_eq!(shown.out[2], state);
        let run = lab.path("run").display().to_string();
        assert!(
            shown.out[3].starts_with("searched ") && shown.out[3].contains(&run),
            "{}",
            shown.text()
        );
    }
    let retried = by_hand(&lab, &["notify", "retry", "HomeLab"]);
    retried.assert_code(0);
    assert!(
        retried.out[0].starts_with("home: no daemon is running (searched ")
            && retried.out[0].contains("/own/x.db, "),
        "{}",
        retried.text()
    );
    // A pass in the usual directory is warned that the state is elsewhere.
    let pass = lab.run(&["home.yaml"]);
    pass.assert_code(0);
    let warnings = pass.logged("WARN");
    assert!(
        warnings.len() == 1 && warnings[0].contains("/own/x.db is not used, and outages are reported as new"),
        "{}",
        pass.text()
    );
    lab.run(&["home.yaml"]).assert_code(0);
    // The next daemon replaces the entry.
    let again = lab.start(&["run", "-s", "own/x.db", "home.yaml"]);
    wait_until("the daemon", || {
        let shown = by_hand(&lab, &["status", "HomeLab"]);
        shown
            .out
            .get(1)
            .filter(|line| line.starts_with("daemon since "))
            .map(drop)
    });
    assert_eq!(entries(&lab).len(), 1);
    again.stop().assert_code(0);
}

#[test]
fn a_name_of_two_sites_is_an_error_that_names_both() {
    let (lab, receiver, web) = lab();
    write_site(&lab, "one.yaml", "Home", &receiver, &web);
    write_site(&lab, "two.yaml", "Home", &receiver, &web);
    let daemon = lab.start(&["run", "one.yaml", "two.yaml"]);
    wait_until("both entries", || Some(()).filter(|()| entries(&lab).len() == 2));
    let (one, two) = (lab.path("one.yaml"), lab.path("two.yaml"));
    let error = format!(
        "\"Home\" is the name of 2 sites; give one of their files instead: {}, {}",
        one.display(),
        two.display()
    );
    for verb in [
        &["status", "Home"][..],
        &["notify", "retry", "Home"],
        &["history", "Home"],
        &["Home"],
    ] {
        by_hand(&lab, verb).assert_code(1).assert_only_error(&error);
    }
    let shown = by_hand(&lab, &["status", "two.yaml"]);
    assert!(shown.out[0].starts_with("Home: 1 monitor: "), "{}", shown.text());
    let unknown = by_hand(&lab, &["status", "Hime"]);
    unknown.assert_code(1);
    assert!(
        unknown.err[0]
            .contains("Hime: no such file, and no daemon has registered a site of this name (searched ")
            && unknown.err[0].ends_with("; did you mean \"Home\"?"),
        "{}",
        unknown.text()
    );
    drop(daemon);
}

#[test]
fn a_reload_registers_the_new_name_and_logs_what_it_changes() {
    let (lab, receiver, web) = lab();
    write_site(&lab, "home.yaml", "Before", &receiver, &web);
    let mut daemon = start(&lab, &["home.yaml"], &receiver);
    daemon.wait_for_err(&format!(
        "INFO apmon {}: site file {}, state file {}",
        env!("CARGO_PKG_VERSION"),
        lab.path("home.yaml").display(),
        lab.path("own/x.db").display()
    ));
    let site = Site::every_second("After", &receiver)
        .watch_service("nas", &web)
        .watch_service("new", &web);
    lab.replace("home.yaml", site.text());
    daemon.wait_for_err("After: reloaded: added nas, new; removed web");
    wait_until("the new name", || {
        let shown = by_hand(&lab, &["status", "After"]);
        (shown.code == Some(0)).then_some(())
    });
    by_hand(&lab, &["status", "Before"]).assert_code(1);
    assert_eq!(entries(&lab).len(), 1);
    fs::rename(lab.path("home.yaml"), lab.path("away")).unwrap();
    daemon.wait_for_err("WARN home.yaml: the site file is gone (No such file or directory");
    // The daemon is found all the same.
    let shown = by_hand(&lab, &["status", "home.yaml"]);
    assert!(shown.out[1].starts_with("daemon since "), "{}", shown.text());
    fs::rename(lab.path("away"), lab.path("home.yaml")).unwrap();
    daemon.wait_for_err("INFO home.yaml: the site file is there again");
    daemon.stop().assert_code(0);
}

/// Runs a script in a mount namespace of its own, in which `/run`, `/var/lib` and `/var/tmp`
/// are empty; `$0` is apmon, and `$run` starts a daemon that does not outlive the script.
fn in_own_namespace(lab: &Lab, script: &str) -> Output {
    let mounts =
        "unset APMON_REGISTRY; for d in /run /var/lib /var/tmp; do mount -t tmpfs none $d || exit 99; done";
    run(lab.apmon_with_mounts(
        &format!("{mounts}; run=\"setpriv --pdeathsig KILL $0 run\"; {script}\nexit 0"),
        &[],
    ))
}

#[test]
fn with_the_systemd_unit_the_daemon_is_found_without_its_environment() {
    let (lab, receiver, web) = lab();
    write_site(&lab, "home.yaml", "HomeLab", &receiver, &web);
    for registry in ["/run/apmon", "/proc/none"] {
        let before = receiver.requests().len();
        let output = in_own_namespace(
            &lab,
            &format!(
                "mkdir -p /var/lib/private/apmon && chmod 700 /var/lib/private && ln -s private/apmon /var/lib/apmon
                 test {registry} = /run/apmon || mount -t tmpfs -o ro none /run
                 STATE_DIRECTORY=/var/lib/apmon RUNTIME_DIRECTORY={registry} $run home.yaml >daemon.out 2>daemon.err &
                 unset STATE_DIRECTORY RUNTIME_DIRECTORY
                 n=0; until \"$0\" status home.yaml 2>/dev/null | grep -q 'daemon since'; do
                     sleep 0.1; n=$((n+1)); test $n -lt 300 || exit 98
                 done
                 until \"$0\" status home.yaml | grep -q '1 down; outbox: empty'; do sleep 0.1; done
                 \"$0\" status | sed -n 2p
                 \"$0\" notify retry home.yaml
                 \"$0\" history home.yaml >/dev/null || echo no history
                 \"$0\" home.yaml; echo \"pass: $?\"
                 test -e /var/tmp/APMonitor && echo a second state
                 kill $!; wait $!
                 \"$0\" status home.yaml | sed -n '2,4p'
                 \"$0\" home.yaml 2>&1 >/dev/null | grep -o 'its state in .* is not used'"
            ),
        );
        let text = output.text();
        assert_eq!(output.out.len(), 7, "{text}");
        assert!(output.out[0].starts_with("daemon since "), "{text}");
        assert_eq!(output.out[1], "home: no notification is waiting");
        assert_eq!(output.out[2], "pass: 1");
        assert!(
            output.out[3].starts_with("no daemon is running; as of "),
            "{text}"
        );
        assert_eq!(output.out[4], "state file: /var/lib/apmon/home.statefile.db");
        assert!(output.out[5].contains("searched /run/apmon, "), "{text}");
        assert_eq!(
            output.out[6],
            "its state in /var/lib/apmon/home.statefile.db is not used"
        );
        assert!(
            output.err.len() == 1
                && output.err[0].contains("whose state is in /var/lib/apmon/home.statefile.db"),
            "{text}"
        );
        let log = fs::read_to_string(lab.path("daemon.err")).unwrap();
        let warned = log.contains("because it cannot be registered (/run/apmon: ");
        assert_eq!(warned, registry != "/run/apmon", "{log}");
        // One of the daemon, one of the last pass.
        receiver.wait_for(before + 2);
    }
}

#[test]
fn a_site_file_of_the_same_stem_is_another_site() {
    let (lab, receiver, web) = lab();
    write_site(&lab, "home.yaml", "HomeLab", &receiver, &web);
    fs::create_dir(lab.path("other")).unwrap();
    write_site(&lab, "other/home.yaml", "Other", &receiver, &web);
    let output = in_own_namespace(
        &lab,
        "mkdir /var/lib/apmon
         STATE_DIRECTORY=/var/lib/apmon $run home.yaml >daemon.out 2>&1 &
         unset STATE_DIRECTORY
         until grep -qs OUTAGE daemon.out; do sleep 0.1; done
         \"$0\" status other/home.yaml
         \"$0\" other/home.yaml
         \"$0\" status other/home.yaml | head -1
         kill $!; wait $!",
    );
    let text = output.text();
    assert!(
        output.err.len() == 1
            && output.err[0].contains("/var/tmp/APMonitor/home.statefile.json: no such state file"),
        "{text}"
    );
    assert!(
        output.out[0].starts_with("##### NEW OUTAGE: web in Other "),
        "{text}"
    );
    assert_eq!(output.out[1], "Other: 1 monitor: 0 up, 1 down; outbox: empty");
}

#[test]
fn without_a_registry_of_the_machine_that_of_the_user_is_used() {
    let (lab, receiver, web) = lab();
    write_site(&lab, "home.yaml", "HomeLab", &receiver, &web);
    let output = in_own_namespace(
        &lab,
        "mount -t tmpfs -o ro none /run; mkdir xdg
         unset STATE_DIRECTORY; export XDG_RUNTIME_DIR=$PWD/xdg
         $run -v -s own.db home.yaml >daemon.out 2>daemon.err &
         until grep -qs OUTAGE daemon.out; do sleep 0.1; done
         \"$0\" status HomeLab | sed -n 2p
         ls xdg/apmon | wc -l
         kill $!; wait $!",
    );
    assert!(output.out[0].starts_with("daemon since "), "{}", output.text());
    assert_eq!(output.out[1], "1");
    let log = fs::read_to_string(lab.path("daemon.err")).unwrap();
    assert!(log.contains("xdg/apmon, because of /run/apmon: "), "{log}");
    assert!(!log.contains("WARN"), "{log}");
}

#[test]
fn a_daemon_with_a_runtime_directory_of_another_name_is_found_all_the_same() {
    let (lab, receiver, web) = lab();
    write_site(&lab, "home.yaml", "HomeLab", &receiver, &web);
    for run in ["", "mount -t tmpfs -o ro none /run;"] {
        let output = in_own_namespace(
            &lab,
            &format!(
                "unset STATE_DIRECTORY; mkdir office; {run}
                 RUNTIME_DIRECTORY=$PWD/office $run -s own.db home.yaml >daemon.out 2>daemon.err &
                 until grep -qs OUTAGE daemon.out; do sleep 0.1; done
                 \"$0\" status HomeLab | grep -c 'daemon since'
                 ls office | wc -l
                 kill $!; wait $!; rm -r office own.* daemon.out"
            ),
        );
        let log = fs::read_to_string(lab.path("daemon.err")).unwrap();
        let warned = log.contains("where only commands of the same unit find this daemon (/run/apmon: ");
        let expected = match run {
            "" => (["1", "0"], false),
            _ => (["0", "1"], true),
        };
        assert_eq!(
            (&output.out[..], warned),
            (&expected.0.map(str::to_owned)[..], expected.1),
            "{} {log}",
            output.text()
        );
    }
}
