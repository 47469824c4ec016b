//! State that other users may write is not believed.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used)] // a panic fails the test

mod support;

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown, symlink},
    path::Path,
    process::Command,
};

use support::{Behaviour, Lab, Process, Receiver, Service, Site, run, wait_until};

/// Users who are not root: that of apmon, and another one.
const USER: u32 = 54_321;
const OTHER: u32 = 54_322;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A site whose state directory exists and has this mode.
fn lab_with_state(mode: u32) -> (Lab, Service) {
    let (lab, web) = (Lab::new(), Service::open());
    lab.write(
        "home.yaml",
        Site::new("HomeLab").watch_service("web", &web).text(),
    );
    fs::create_dir(lab.path("state")).unwrap();
    set_mode(&lab.path("state"), mode);
    (lab, web)
}

#[test]
fn a_directory_that_others_may_write_is_refused_and_left_alone() {
    let (lab, _web) = lab_with_state(0o777);
    let state = lab.path("state").display().to_string();
    let error = format!(
        "home.yaml: the state is not trusted: {state} can be written by other users (mode 777); if its content is yours, run: chmod go-w {state}; otherwise name another file with -s, or accept it with --trust-state-dir"
    );
    lab.run(&["home.yaml"]).assert_code(1).assert_only_error(&error);
    lab.run(&["run", "home.yaml"])
        .assert_code(1)
        .assert_only_error(&error);
    assert_eq!(lab.state_directory(), [""; 0], "nothing is created in it");

    let output = lab.run(&["--trust-state-dir", "home.yaml"]);
    output.assert_code(0);
    let warnings = output.logged("WARN");
    assert_eq!(warnings.len(), 1, "{}", output.text());
    assert!(
        warnings[0].ends_with("; used anyway because of --trust-state-dir"),
        "{}",
        output.text()
    );
    lab.run(&["notify", "retry", "home.yaml"])
        .assert_code(1)
        .assert_only_error("the state is not trusted");

    set_mode(&lab.path("state"), 0o755);
    let output = lab.run(&["home.yaml"]);
    output.assert_code(0);
    assert_eq!(output.err, [""; 0]);
}

#[test]
fn a_directory_as_tmp_is_trusted_and_a_file_that_others_may_write_is_not() {
    let (lab, _web) = lab_with_state(0o1777);
    lab.run(&["home.yaml"]).assert_code(0);
    let state = lab.state("home");
    set_mode(state.path(), 0o666);
    lab.run(&["home.yaml"])
        .assert_code(1)
        .assert_only_error("home.statefile.json can be written by other users (mode 666)");
    set_mode(state.path(), 0o600);
    // It contains no state.
    let pages = state.path().with_extension("mrtg.cfg");
    fs::write(&pages, "").unwrap();
    set_mode(&pages, 0o666);
    lab.run(&["home.yaml"]).assert_code(0);
}

#[test]
fn nothing_is_written_through_a_link() {
    for link in [
        "home.statefile.db",
        "home.statefile.db.lock",
        "home.statefile.db-journal",
    ] {
        let (lab, _web) = lab_with_state(0o755);
        lab.write("victim", "kept");
        symlink(lab.path("victim"), lab.path("state").join(link)).unwrap();
        lab.run(&["run", "home.yaml"])
            .assert_code(1)
            .assert_only_error(&format!("{link} is a symbolic link"));
        assert_eq!(fs::read_to_string(lab.path("victim")).unwrap(), "kept");
    }
}

#[test]
fn the_socket_has_its_mode_whatever_the_umask() {
    for umask in ["umask 000", "umask 077"] {
        let (lab, _web) = lab_with_state(0o755);
        let daemon = Process::start(lab.apmon_after(umask, &["run", "home.yaml"]));
        let socket = lab.path("state/home.statefile.sock");
        wait_until("the socket", || socket.exists().then_some(()));
        let mode = fs::metadata(&socket).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o660, "{umask}");
        daemon.stop().assert_code(0);
    }
}

#[test]
fn others_read_the_state_of_a_user_all_the_same() {
    let (lab, _web) = lab_with_state(0o755);
    run(lab.apmon(&["home.yaml"])).assert_code(0);
    set_mode(&lab.path("state"), 0o777);
    lab.run(&["status", "home.yaml"]).assert_code(0);
}

/// Only root can do this, and CI does.
#[test]
fn what_belongs_to_another_user_is_refused_and_the_error_says_what_to_do() {
    let (lab, _web) = lab_with_state(0o755);
    lab.run(&["home.yaml"]).assert_code(0);
    let (state, file) = (lab.path("state"), lab.state("home").path().to_owned());
    let refused = |what: &Path, then: &str| {
        let error = format!("{} belongs to another user (uid {OTHER}); {then}", what.display());
        for arguments in [&["home.yaml"][..], &["run", "home.yaml"]] {
            lab.run(arguments).assert_code(1).assert_only_error(&error);
        }
    };
    chown(&file, Some(OTHER), None).unwrap();
    let chown_it = format!("if its content is yours, run: chown -h 0 {}", file.display());
    refused(&file, &chown_it);
    // In a directory as /tmp as well.
    fs::set_permissions(&state, fs::Permissions::from_mode(0o1777)).unwrap();
    refused(&file, &chown_it);
    fs::set_permissions(&state, fs::Permissions::from_mode(0o755)).unwrap();
    chown(&file, Some(0), None).unwrap();
    let beside = file.with_extension("json.old");
    fs::write(&beside, "{}").unwrap();
    chown(&beside, Some(OTHER), None).unwrap();
    refused(
        &beside,
        &format!("if its content is yours, run: chown -h 0 {}", beside.display()),
    );
    fs::remove_file(&beside).unwrap();
    chown(&state, Some(OTHER), None).unwrap();
    refused(
        &state,
        &format!("run apmon as that user: sudo -u '#{OTHER}' apmon ..."),
    );
    // That user may.
    set_mode(&lab.path(""), 0o755);
    set_mode(&lab.path("home.yaml"), 0o644);
    chown(&file, Some(OTHER), None).unwrap();
    run(lab.apmon_as(OTHER, &["home.yaml"])).assert_code(0);
    run(lab.apmon_as(USER, &["home.yaml"]))
        .assert_code(1)
        .assert_only_error(&format!("belongs to another user (uid {OTHER})"));
}

/// What another user can do in a directory as `/tmp` between two passes.
#[test]
fn in_a_directory_as_tmp_names_that_apmon_can_do_without_do_not_end_the_monitoring() {
    let (lab, _web) = lab_with_state(0o1777);
    set_mode(&lab.path(""), 0o755);
    set_mode(&lab.path("home.yaml"), 0o644);
    let pass = |file: &str| {
        let state = lab.path("state").join(file).display().to_string();
        run(lab.apmon_as(USER, &["-s", &state, "home.yaml"]))
    };
    let forged = "{\"web\": {\"is_up\": false, \"down_count\": 9}}";
    let plant = |names: &[&str], mode| {
        for name in names {
            let path = lab.path("state").join(name);
            // In such a directory not even root may open another user's file to create it.
            let _ = fs::remove_file(&path);
            fs::write(&path, forged).unwrap();
            set_mode(&path, mode);
            chown(&path, Some(OTHER), None).unwrap();
        }
    };
    for mode in [0o644, 0o600] {
        plant(
            &[
                "a.json.new",
                "a.json.old",
                "a.json.old.tmp",
                "a.json.lock",
                "a.sock",
            ],
            mode,
        );
        let first = pass("a.json");
        first.assert_code(0);
        let all = first.text();
        assert!(
            all.contains("a.json.lock belongs to another user (uid 54322); continuing without a lock"),
            "{all}"
        );
        assert!(
            all.contains("a.json.old is not used: it belongs to another user (uid 54322)"),
            "{all}"
        );
        // Nor can its owner hold it.
        let lock = fs::File::open(lab.path("state/a.json.lock")).unwrap();
        lock.lock().unwrap();
        pass("a.json").assert_code(0);
        let state = fs::read_to_string(lab.path("state/a.json")).unwrap();
        assert!(state.contains("\"is_up\": true"), "{state}");
        drop(lock);
        fs::remove_file(lab.path("state/a.json")).unwrap();
    }
    pass("b.db").assert_code(0);
    plant(&["b.json", "b.json.old", "b.db.old", "b.sock"], 0o644);
    pass("b.db").assert_code(0);
    // What SQLite would read with the database is another matter.
    for (name, error) in [
        ("c.db", "c.db belongs to another user (uid 54322)"),
        ("d.db-journal", "d.db-journal belongs to another user (uid 54322)"),
        ("e.db-wal", "e.db-wal belongs to another user (uid 54322)"),
        ("f.json", "f.json belongs to another user (uid 54322)"),
    ] {
        plant(&[name], 0o644);
        let state = format!("{}.db", &name[..1]);
        pass(&state).assert_code(1).assert_only_error(error);
    }
}

/// What another user can do in a directory as `/tmp` while a daemon runs there.
#[test]
fn another_user_cannot_keep_a_daemon_in_a_directory_for_all_from_saving_its_state() {
    let (lab, web, receiver) = (Lab::new(), Service::open(), Receiver::new(Behaviour::Answer(200)));
    let site = Site::every_second("HomeLab", &receiver).watch_service("web", &web);
    lab.write("home.yaml", site.text());
    fs::create_dir(lab.path("state")).unwrap();
    set_mode(&lab.path("state"), 0o1777);
    set_mode(&lab.path(""), 0o755);
    set_mode(&lab.path("home.yaml"), 0o644);
    let mut daemon = Process::start(lab.apmon_as(USER, &["run", "-v", "home.yaml"]));
    let database = lab.path("state/home.statefile.db");
    wait_until("the log", || {
        database.with_extension("db-wal").exists().then_some(())
    });
    let script = "cd state && for f in home.statefile.db-wal home.statefile.db-journal home.statefile.db; do
         rm -f $f; echo x > $f; ln -sf /etc/passwd $f; mv home.statefile.db-shm $f; done; exit 0";
    let attack = Command::new("setpriv")
        .args([
            "--reuid",
            "54322",
            "--regid",
            "54322",
            "--clear-groups",
            "sh",
            "-c",
            script,
        ])
        .current_dir(lab.path(""))
        .output()
        .unwrap();
    assert!(attack.status.success(), "{attack:?}");
    web.close();
    daemon.wait_for_out("NEW OUTAGE: web in HomeLab ");
    receiver.wait_for(1);
    wait_until("the delivery", || {
        let status = lab.run(&["status", "home.yaml"]);
        status.text().contains("outbox: empty").then_some(())
    });
    let output = daemon.stop();
    output.assert_code(0);
    assert!(output.logged("ERROR").is_empty(), "{}", output.text());
    // Otherwise the other user could take the names before the next start.
    assert_eq!(
        lab.state_directory(),
        [
            "home.statefile.db",
            "home.statefile.db-journal",
            "home.statefile.db-wal",
            "home.statefile.db.lock",
            "home.statefile.json.lock"
        ]
    );
    let status = lab.run(&["status", "home.yaml"]);
    assert!(status.text().contains("1 down"), "{}", status.text());
}
