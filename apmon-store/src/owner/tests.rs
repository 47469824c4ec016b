use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

const ALICE: User = User {
    uid: 1000,
    gid: 1000,
    outside: None,
};
const SERVICE: User = User {
    uid: 900,
    gid: 100,
    outside: None,
};

/// The user, what the path is, its owner, group and mode, and the flaw.
type Row = (User, Place, (u32, u32, u32), Option<FlawKind>);

#[test]
fn only_root_and_the_user_itself_may_write() {
    use FlawKind::{Link, Mode, Owner};
    use Place::{Above, Directory, File, Socket};
    let table: &[Row] = &[
        (ALICE, Directory, (1000, 1000, 0o040_755), None),
        (ALICE, Directory, (0, 0, 0o040_755), None),
        (ALICE, Directory, (1001, 1001, 0o040_755), Some(Owner(1001))),
        (ALICE, Directory, (1000, 1000, 0o040_777), Some(Mode(0o777))),
        // A group of its own, as many systems give to each user.
        (ALICE, Directory, (1000, 1000, 0o040_775), None),
        (ALICE, Directory, (1000, 50, 0o040_775), Some(Mode(0o775))),
        (SERVICE, Directory, (900, 100, 0o040_775), Some(Mode(0o775))),
        (ALICE, Directory, (0, 0, 0o041_777), None),
        (ALICE, Directory, (1001, 1001, 0o041_777), Some(Owner(1001))),
        (ALICE, Above, (0, 50, 0o042_775), Some(Mode(0o2775))),
        (ALICE, Above, (1001, 0, 0o120_777), Some(Owner(1001))),
        (ALICE, Above, (0, 0, 0o120_777), None),
        (ALICE, File, (1000, 50, 0o100_644), None),
        (ALICE, File, (0, 0, 0o100_600), None),
        (ALICE, File, (1001, 0, 0o100_600), Some(Owner(1001))),
        (ALICE, File, (1000, 50, 0o100_664), Some(Mode(0o664))),
        (ALICE, File, (1000, 1000, 0o120_777), Some(Link)),
        (ALICE, File, (1000, 1000, 0o010_600), None),
        (ALICE, File, (1001, 1000, 0o010_600), Some(Owner(1001))),
        (ALICE, Socket, (1000, 50, 0o140_660), None),
        (ALICE, Socket, (1001, 50, 0o140_660), Some(Owner(1001))),
        (ALICE, Socket, (1000, 50, 0o100_666), Some(Mode(0o666))),
    ];
    for (user, place, (uid, gid, mode), expected) in table {
        let facts = Facts {
            uid: *uid,
            gid: *gid,
            mode: *mode,
        };
        assert_eq!(flaw(*place, facts, user), *expected, "{place:?} {facts:?}");
    }
}

#[test]
fn in_a_user_namespace_what_belongs_to_nobody_in_it_may_be_above() {
    let user = User {
        outside: Some(65534),
        ..ALICE
    };
    let facts = Facts {
        uid: 65534,
        gid: 65534,
        mode: 0o040_755,
    };
    assert_eq!(flaw(Place::Above, facts, &user), None);
    assert_eq!(flaw(Place::Directory, facts, &user), Some(FlawKind::Owner(65534)));
    assert_eq!(flaw(Place::Above, facts, &ALICE), Some(FlawKind::Owner(65534)));
}

fn set_mode(path: &Path, mode: u32) {
    let permissions = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(path, permissions).expect("the test's own file");
}

#[test]
fn what_does_not_exist_yet_is_trusted_where_it_can_be_created() {
    let directory = tempfile::tempdir().unwrap();
    check(directory.path().join("new/deeper/x.statefile.db")).unwrap();
    set_mode(directory.path(), 0o777);
    check(directory.path().join("new/deeper/x.statefile.db")).unwrap_err();
    set_mode(directory.path(), 0o1777);
    check(directory.path().join("new/deeper/x.statefile.db")).unwrap();
}

#[test]
fn links_to_the_directory_are_followed_and_links_in_place_of_files_are_not_trusted() {
    let directory = tempfile::tempdir().unwrap();
    let real = directory.path().join("real");
    std::fs::create_dir(&real).unwrap();
    symlink("real", directory.path().join("link")).unwrap();
    let state = directory.path().join("link/../link/s.db");
    check(&state).unwrap();
    set_mode(&real, 0o777);
    let error = check(&state).unwrap_err().to_string();
    let shown = real.display().to_string();
    assert_eq!(
        error,
        format!(
            "the state is not trusted: {shown} can be written by other users (mode 777); if its content is yours, run: chmod go-w {shown}"
        )
    );
    set_mode(&real, 0o755);
    let victim = directory.path().join("victim");
    std::fs::write(&victim, "").unwrap();
    for name in [
        "s.db",
        "s.db-journal",
        "s.db-wal",
        "s.db.lock",
        "s.json",
        "s.json.old",
        "s.sock",
    ] {
        let link = real.join(name);
        symlink(&victim, &link).unwrap();
        let error = check(&state).unwrap_err().to_string();
        assert!(error.contains(&format!("{name} is a symbolic link")), "{error}");
        std::fs::remove_file(link).unwrap();
    }
}

#[test]
fn other_files_may_be_writable() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("s.statefile.json");
    for name in [
        "s.statefile.mrtg.cfg",
        "s.statefile.json.corrupt-1",
        "s.statefile.json",
    ] {
        let path = directory.path().join(name);
        std::fs::write(&path, "").unwrap();
        set_mode(&path, 0o666);
        assert_eq!(check(&state).is_err(), name == "s.statefile.json", "{name}");
    }
}

#[test]
fn one_line_names_the_first_flaw_and_the_commands_for_all() {
    let flaw = |path: &str, place, kind| Flaw {
        path: path.into(),
        place,
        kind,
    };
    let untrusted = Untrusted {
        user: 900,
        flaws: vec![
            flaw("/s", Place::Directory, FlawKind::Owner(1000)),
            flaw("/s/it's x.json", Place::File, FlawKind::Owner(1000)),
            flaw("/s/x.json.old", Place::File, FlawKind::Mode(0o666)),
        ],
    };
    assert_eq!(
        untrusted.to_string(),
        r"the state is not trusted: /s belongs to another user (uid 1000) (and 2 more like it); if its content is yours, run: chown -h 900 /s '/s/it'\''s x.json' && chmod go-w /s/x.json.old"
    );
    let above = Untrusted {
        user: 0,
        flaws: vec![flaw("/home/a", Place::Above, FlawKind::Owner(1000))],
    };
    assert_eq!(
        above.to_string(),
        "the state is not trusted: /home/a belongs to another user (uid 1000)"
    );
}

#[test]
fn for_root_the_hint_is_to_run_as_the_user_whose_directory_it_is() {
    let flaw = |path: &str, place, uid| Flaw {
        path: path.into(),
        place,
        kind: FlawKind::Owner(uid),
    };
    let text = |flaws| Untrusted { user: 0, flaws }.to_string();
    assert_eq!(
        text(vec![
            flaw("/s", Place::Directory, 1000),
            flaw("/s/x.json", Place::File, 1000)
        ]),
        "the state is not trusted: /s belongs to another user (uid 1000) (and 1 more like it); run apmon as that user: sudo -u '#1000' apmon ..."
    );
    let home = text(vec![
        flaw("/home/a", Place::Above, 1000),
        flaw("/home/a/s", Place::Directory, 1000),
    ]);
    assert!(home.ends_with("sudo -u '#1000' apmon ..."), "{home}");
    // As either of them it would not run.
    let two = text(vec![
        flaw("/s", Place::Directory, 1000),
        flaw("/s/x.json", Place::File, 1001),
    ]);
    assert!(two.ends_with("run: chown -h 0 /s /s/x.json"), "{two}");
    // The directory is root's.
    let file = text(vec![flaw("/s/x.json", Place::File, 1000)]);
    assert!(file.ends_with("run: chown -h 0 /s/x.json"), "{file}");
}
