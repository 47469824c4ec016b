//! Daemons and entries of other users. The tests need root.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, chown},
};

use crate::{
    by_hand, entries, lab, start,
    support::{Process, run, wait_until},
    write_site,
};

/// A user who is neither root nor the one of the tests.
const OTHER: u32 = 54_321;

#[test]
fn entries_of_other_users_are_not_believed() {
    let (lab, receiver, web) = lab();
    write_site(&lab, "home.yaml", "HomeLab", &receiver, &web);
    let daemon = start(&lab, &["home.yaml"], &receiver);
    let entry = entries(&lab).remove(0);
    let is_found = || by_hand(&lab, &["status", "HomeLab"]).code == Some(0);
    assert!(is_found());
    fs::set_permissions(&entry, Permissions::from_mode(0o666)).unwrap();
    assert!(!is_found(), "others may write to it");
    fs::set_permissions(&entry, Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(lab.path("run"), Permissions::from_mode(0o777)).unwrap();
    let output = by_hand(&lab, &["status", "home.yaml"]);
    output.assert_code(1);
    assert!(
        output.text().contains("/run (other users may write to it)"),
        "{}",
        output.text()
    );
    fs::set_permissions(lab.path("run"), Permissions::from_mode(0o755)).unwrap();
    chown(&entry, Some(OTHER), None).unwrap();
    assert!(!is_found(), "it belongs to another user");
    let output = by_hand(&lab, &["status", "home.yaml"]);
    output.assert_code(1);
    assert!(
        output.text().contains("no daemon is running (searched "),
        "{}",
        output.text()
    );
    // As systemd does for the user of a unit: the directory is his, and root made it.
    chown(lab.path("run"), Some(OTHER), None).unwrap();
    assert!(is_found(), "root gave the directory to this user");
    fs::set_permissions(lab.path(""), Permissions::from_mode(0o777)).unwrap();
    assert!(!is_found(), "anybody could have made the directory");
    drop(daemon);
}

#[test]
fn a_daemon_of_another_user_does_not_keep_a_site_from_running() {
    let (lab, receiver, web) = lab();
    write_site(&lab, "home.yaml", "HomeLab", &receiver, &web);
    // As in /var/tmp, anybody could have made the directory of the state.
    fs::set_permissions(lab.path(""), Permissions::from_mode(0o1777)).unwrap();
    fs::create_dir(lab.path("state")).unwrap();
    chown(lab.path("state"), Some(OTHER), Some(OTHER)).unwrap();
    fs::set_permissions(lab.path("home.yaml"), Permissions::from_mode(0o644)).unwrap();
    let mut command = lab.apmon_as(OTHER, &["run", "--trust-state-dir", "home.yaml"]);
    command.env("APMON_REGISTRY", "/proc/none");
    let daemon = Process::start(command);
    let socket = lab.path("state/home.statefile.sock");
    wait_until("the socket", || socket.exists().then_some(()));
    let pass = lab.run(&["-s", "own.json", "home.yaml"]);
    pass.assert_code(0);
    // Nor is anything believed that it says.
    let database = "state/home.statefile.db";
    wait_until("the state", || lab.path(database).exists().then_some(()));
    // Only its owner's state could be shown otherwise, so that its owner's daemon may be asked.
    let is_shown = || {
        let status = lab.run(&["status", "-s", database]);
        status.assert_code(0);
        assert!(status.out[1].starts_with("daemon since "), "{}", status.text());
    };
    is_shown();
    let retry = lab.run(&["notify", "retry", "-s", database, "home.yaml"]);
    retry.assert_code(0);
    // One that is neither the owner of the state nor of its directory.
    let foreign =
        "what listens on the socket belongs to another user (uid 54321), who does not own the state";
    chown(lab.path("state"), Some(0), None).unwrap();
    is_shown();
    chown(lab.path(database), Some(OTHER + 1), None).unwrap();
    let status = lab.run(&["status", "-s", database]);
    status.assert_code(0);
    assert!(status.text().contains(foreign), "{}", status.text());
    lab.run(&["notify", "retry", "-s", database, "home.yaml"])
        .assert_code(1)
        .assert_only_error(foreign);
    chown(lab.path("state"), Some(OTHER), None).unwrap();
    is_shown();
    chown(lab.path(database), Some(OTHER), None).unwrap();
    // Root gave it to the other user.
    fs::set_permissions(lab.path(""), Permissions::from_mode(0o755)).unwrap();
    lab.run(&["-s", "own.json", "home.yaml"])
        .assert_code(1)
        .assert_only_error("another apmon is running this site: the daemon of process ");
    is_shown();
    drop(daemon);
}

/// As with APMonitor's default: nobody gave the directory to the user whose daemon runs there.
#[test]
fn root_and_the_group_ask_the_daemon_of_a_user_below_var_tmp() {
    let (lab, receiver, web) = lab();
    write_site(&lab, "home.yaml", "HomeLab", &receiver, &web);
    fs::set_permissions(lab.path(""), Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(lab.path("home.yaml"), Permissions::from_mode(0o644)).unwrap();
    let script = r#"
        unset APMON_REGISTRY STATE_DIRECTORY
        for d in /run /var/lib /var/tmp; do mount -t tmpfs -o mode=755 none $d || exit 99; done
        chmod 1777 /var/tmp
        exec 3<"$0"
        as() { uid=$1; gid=$2; shift 2; setpriv --reuid $uid --regid $gid --clear-groups /proc/self/fd/3 "$@" 2>&1; }
        by() { echo "== $*"; as "$@"; echo "= $?"; }
        setpriv --pdeathsig KILL --reuid 54321 --regid 54321 --clear-groups /proc/self/fd/3 run -v home.yaml >daemon.out 2>daemon.err &
        until grep -qs OUTAGE daemon.out; do sleep 0.1; done
        until as 54321 54321 status home.yaml | grep -q 'outbox: empty'; do sleep 0.1; done
        for user in '0 0' '54322 54321' '54322 54322'; do
            for what in 'status home.yaml' status 'notify retry home.yaml'; do by $user $what; done
        done
        by 0 0 -s own.json home.yaml
        kill $!; wait $!
        exit 0"#;
    let output = run(lab.apmon_with_mounts_of_root(script));
    let text = output.text();
    output.assert_code(0);
    let all = output.out.join("\n");
    let of = |what: &str| {
        let (_, after) = all
            .split_once(&format!("== {what}\n"))
            .unwrap_or_else(|| panic!("{what}: {text}"));
        after.split("\n== ").next().unwrap().to_owned()
    };
    for user in ["0 0", "54322 54321"] {
        for what in ["status home.yaml", "status"] {
            let status = of(&format!("{user} {what}"));
            assert!(
                status.contains("daemon since ") && status.ends_with("= 0"),
                "{status}"
            );
        }
        let retry = of(&format!("{user} notify retry home.yaml"));
        assert!(
            retry.contains("no notification is waiting") && retry.ends_with("= 0"),
            "{retry}"
        );
    }
    let status = of("54322 54322 status home.yaml");
    assert!(
        status.contains("the daemon answers only its own user and group"),
        "{status}"
    );
    // It would be easy to say that a site is running.
    let pass = of("0 0 -s own.json home.yaml");
    assert!(pass.contains("NEW OUTAGE") && pass.contains("= 0"), "{pass}");
}

/// Locks an entry as root and then is another user, whose socket lists a site that does not run.
const IMPOSTOR: &str = r#"
import fcntl, json, os, socket, sys
entry, path, user, site = sys.argv[1:]
lock = open(entry, "r+")
fcntl.lockf(lock, fcntl.LOCK_EX)
os.setgid(int(user))
os.setuid(int(user))
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen()
listed = {"site": "Home", "site_file": site, "given": site, "running": False, "reason": "so he says"}
body = json.dumps({"pid": 1, "sites": [listed]}).encode()
print("listening", flush=True)
while True:
    stream, _ = listener.accept()
    # Who does not believe him asks nothing.
    if stream.recv(65536):
        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    stream.close()
"#;

#[test]
fn what_another_user_says_of_the_sites_of_a_daemon_is_not_believed() {
    let (lab, receiver, web) = lab();
    write_site(&lab, "home.yaml", "HomeLab", &receiver, &web);
    lab.run(&["-s", "own.json", "home.yaml"]).assert_code(0);
    // As in /var/tmp, anybody could have made the directory of the socket.
    fs::set_permissions(lab.path(""), Permissions::from_mode(0o1777)).unwrap();
    fs::create_dir(lab.path("foreign")).unwrap();
    chown(lab.path("foreign"), Some(OTHER), Some(OTHER)).unwrap();
    fs::create_dir_all(lab.path("run")).unwrap();
    let text = |path: &str| lab.path(path).display().to_string();
    let entry = serde_json::json!({
        "version": 1,
        "site": "Other",
        "site_file": "/etc/apmon/other.yaml",
        "given": "/etc/apmon/other.yaml",
        "state_file": text("foreign/x.db"),
        "socket": text("foreign/x.sock"),
        "pid": 1,
        "started": "2026-12-01T09:00:00Z",
    });
    lab.write("run/x.json", entry.to_string());
    let mut command = std::process::Command::new("python3");
    command.args([
        "-c",
        IMPOSTOR,
        &text("run/x.json"),
        &text("foreign/x.sock"),
        &OTHER.to_string(),
        &text("home.yaml"),
    ]);
    let mut impostor = Process::start(command);
    impostor.wait_for_out("listening");
    let status = || lab.run(&["status", "-s", "own.json", "home.yaml"]);
    assert!(
        status().out[1].starts_with("no daemon is running; "),
        "{}",
        status().text()
    );
    // Root gave the directory to him: what he says counts.
    fs::set_permissions(lab.path(""), Permissions::from_mode(0o755)).unwrap();
    assert!(status().text().contains("so he says"), "{}", status().text());
    drop(impostor);
}

/// The daemon of a unit with `User=`, and what root, its own user and a third user find by hand.
#[test]
fn the_daemon_of_a_unit_with_its_own_user_is_found_by_all_who_may_ask_it() {
    let (lab, receiver, web) = lab();
    write_site(&lab, "home.yaml", "HomeLab", &receiver, &web);
    fs::set_permissions(lab.path(""), Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(lab.path("home.yaml"), Permissions::from_mode(0o644)).unwrap();
    let script = r#"
        unset APMON_REGISTRY STATE_DIRECTORY
        for d in /run /var/lib /var/tmp; do mount -t tmpfs -o mode=755 none $d || exit 99; done
        chmod 1777 /var/tmp
        for d in /run/apmon /var/lib/apmon; do mkdir $d; chown 54321:54321 $d; done
        exec 3<"$0"
        as() { user=$1; shift; setpriv --reuid $user --regid $user --clear-groups /proc/self/fd/3 "$@" 2>&1; }
        by() { echo "== $*"; as "$@"; echo "= $?"; }
        export STATE_DIRECTORY=/var/lib/apmon RUNTIME_DIRECTORY=/run/apmon
        setpriv --pdeathsig KILL --reuid 54321 --regid 54321 --clear-groups /proc/self/fd/3 run -v home.yaml >daemon.out 2>daemon.err &
        unset STATE_DIRECTORY RUNTIME_DIRECTORY
        until grep -qs OUTAGE daemon.out; do sleep 0.1; done
        until as 0 status HomeLab | grep -q 'outbox: empty'; do sleep 0.1; done
        for user in 0 54321 54322; do
            for what in HomeLab home.yaml; do
                by $user status $what; by $user notify retry $what; by $user history $what; by $user $what
            done
        done
        kill $!; wait $!
        exit 0"#;
    let output = run(lab.apmon_with_mounts_of_root(script));
    let text = output.text();
    output.assert_code(0);
    let all = output.out.join("\n");
    let of = |what: &str| {
        let (_, after) = all
            .split_once(&format!("== {what}\n"))
            .unwrap_or_else(|| panic!("{what}: {text}"));
        after.split("\n== ").next().unwrap().to_owned()
    };
    for what in ["HomeLab", "home.yaml"] {
        for user in [0, 54_321] {
            let status = of(&format!("{user} status {what}"));
            assert!(
                status.contains("daemon since ") && status.ends_with("= 0"),
                "{status}"
            );
            let retry = of(&format!("{user} notify retry {what}"));
            assert!(
                retry.contains("no notification is waiting") && retry.ends_with("= 0"),
                "{retry}"
            );
            let history = of(&format!("{user} history {what}"));
            assert!(history.contains("web") && history.ends_with("= 0"), "{history}");
        }
        let status = of(&format!("54322 status {what}"));
        let denied = "the daemon answers only its own user and group";
        assert!(status.contains(denied) && status.ends_with("= 1"), "{status}");
        let retry = of(&format!("54322 notify retry {what}"));
        assert!(retry.contains(denied) && retry.ends_with("= 1"), "{retry}");
        let history = of(&format!("54322 history {what}"));
        assert!(
            history.contains("/var/lib/apmon/home.statefile.db") && history.ends_with("= 1"),
            "{history}"
        );
        for user in [0, 54_321, OTHER + 1] {
            let pass = of(&format!("{user} {what}"));
            let refused = "another apmon is running this site: the daemon of process ";
            assert!(pass.contains(refused) && pass.ends_with("= 1"), "{pass}");
        }
    }
    assert_eq!(receiver.requests().len(), 1, "nobody sent a second notification");
}
