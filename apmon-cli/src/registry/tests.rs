//! Registries in a directory of their own.
#![cfg(target_os = "linux")]

use std::{
    fs::{self, Permissions},
    os::unix::{
        ffi::OsStringExt as _,
        fs::{PermissionsExt as _, symlink},
    },
};

use super::{register::register_in, *};

fn entry(file: &Path, site: &str) -> Entry {
    Entry {
        file: SitePath::of(file),
        site: site.to_owned(),
        state_file: PathBuf::from("/var/lib/apmon/home.statefile.db"),
        socket: PathBuf::from("/var/lib/apmon/home.statefile.sock"),
        pid: std::process::id(),
        started: "2026-11-21T13:05:00Z".parse().unwrap(),
    }
}

fn home() -> Entry {
    entry(Path::new("/etc/apmon/home.yaml"), "Home")
}

fn names(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = names
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn an_entry_is_live_while_it_is_registered_and_stays_afterwards() {
    let directory = tempfile::tempdir().unwrap();
    let registry = directory.path().join("apmon");
    let registration = register_in(&registry, &home()).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&registry), 0o755);
    let [name] = &names(&registry)[..] else {
        panic!("one file")
    };
    assert_eq!(mode(&registry.join(name)), 0o644);
    let found = entries(&registry).unwrap();
    assert_eq!((&found[0].entry, found[0].live), (&home(), true));
    drop(registration);
    let found = entries(&registry).unwrap();
    assert_eq!((&found[0].entry, found[0].live), (&home(), false));
    // The next daemon of the same file replaces it, those of others stay.
    let office = entry(Path::new("/etc/apmon/office.yaml"), "Office");
    let _office = register_in(&registry, &office).unwrap();
    let again = Entry { pid: 4711, ..home() };
    let _again = register_in(&registry, &again).unwrap();
    let mut found = entries(&registry).unwrap();
    found.sort_by_key(|found| found.entry.site.clone());
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!((&found[0].entry, found[0].live), (&again, true));
    assert_eq!((&found[1].entry, found[1].live), (&office, true));
    assert_eq!(names(&registry).len(), 2);
}

#[test]
fn a_reader_that_holds_an_entry_open_does_not_make_it_live() {
    let directory = tempfile::tempdir().unwrap();
    let registry = directory.path().join("apmon");
    drop(register_in(&registry, &home()).unwrap());
    let path = registry.join(&names(&registry)[0]);
    let reader = fs::File::open(path).unwrap();
    reader.lock().unwrap();
    assert!(lock::lock(&reader).is_err(), "a reader cannot lock for writing");
    assert!(!entries(&registry).unwrap()[0].live);
}

#[test]
fn an_entry_of_a_running_daemon_is_not_replaced_by_another_of_the_same_process_id() {
    let directory = tempfile::tempdir().unwrap();
    let registry = directory.path().join("apmon");
    let first = register_in(&registry, &home()).unwrap();
    let second = register_in(&registry, &home()).unwrap();
    assert!(first.is_present() && second.is_present());
    assert_eq!(names(&registry).len(), 2);
}

#[test]
fn a_daemon_claims_a_site_file_alone_and_passes_claim_it_together() {
    use super::claim::{Claimed, Locked};
    let claim_in = |registry: &Path, file: &SitePath, alone| -> Result<Vec<Locked>, Claimed> {
        let mut locked = Vec::new();
        super::claim::claim_in(registry, file, alone, &mut locked).map(|()| locked)
    };
    let directory = tempfile::tempdir().unwrap();
    let registry = directory.path().join("apmon");
    let file = |path: &str| SitePath::of(Path::new(path));
    let (home, office) = (file("/etc/apmon/home.yaml"), file("/etc/apmon/office.yaml"));
    let is_free = |file: &SitePath, alone| claim_in(&registry, file, alone).is_ok();
    assert!(
        claim_in(&registry, &home, true).unwrap().is_empty(),
        "no registry"
    );
    fs::create_dir(&registry).unwrap();
    assert!(claim_in(&registry, &home, false).unwrap().is_empty());
    assert_eq!(names(&registry), [""; 0], "a pass makes nothing");

    let daemon = claim_in(&registry, &home, true).unwrap();
    assert_eq!(daemon.len(), 1);
    assert!(!is_free(&home, true) && !is_free(&home, false));
    assert!(is_free(&office, true));
    // The same by another path.
    let link = SitePath {
        given: "/home/me/home.yaml".into(),
        ..home.clone()
    };
    assert!(!is_free(&link, true));
    drop(daemon);

    let pass = claim_in(&registry, &home, false).unwrap();
    assert_eq!(pass.len(), 1);
    assert!(is_free(&home, false) && !is_free(&home, true));
    drop(pass);
    assert!(is_free(&home, true));

    // Others cannot open the files, and no reader takes them for entries.
    for name in names(&registry) {
        let mode = fs::metadata(registry.join(&name)).unwrap().permissions().mode();
        assert_eq!((&name[..1], mode & 0o777), (".", 0o600));
    }
    assert!(entries(&registry).unwrap().is_empty());
}

#[test]
fn a_claim_is_made_anew_where_its_file_is_gone_unless_another_process_was_faster() {
    let directory = tempfile::tempdir().unwrap();
    let registry = [directory.path().join("apmon")];
    let home = SitePath::of(Path::new("/etc/apmon/home.yaml"));
    let claim = |registry: &[PathBuf]| {
        let mut claim = claim::unclaimed(&home, true);
        claim.keep_in(registry).map(|()| claim)
    };
    let mut daemon = claim(&registry).unwrap();
    let file = registry[0].join(&names(&registry[0])[0]);
    daemon.keep_in(&registry).unwrap();
    assert!(claim(&registry).is_err(), "it was kept");
    fs::remove_dir_all(&registry[0]).unwrap();
    daemon.keep_in(&registry).unwrap();
    assert!(file.exists() && claim(&registry).is_err(), "it was made anew");
    fs::remove_file(&file).unwrap();
    let other = claim(&registry).unwrap();
    daemon.keep_in(&registry).unwrap_err();
    drop(other);
    daemon.keep_in(&registry).unwrap();
    assert!(claim(&registry).is_err());
}

#[test]
fn claims_of_site_files_that_are_gone_are_removed_by_the_next_daemon() {
    let directory = tempfile::tempdir().unwrap();
    let registry = [directory.path().join("apmon")];
    let claim = |name: &str| {
        let path = directory.path().join(name);
        fs::write(&path, "").unwrap();
        let mut claim = claim::unclaimed(&SitePath::of(&path), true);
        claim.keep_in(&registry).unwrap();
        (claim, path)
    };
    let [(running, gone), (ended, also_gone), (stopped, there)] =
        ["running.yaml", "ended.yaml", "stopped.yaml"].map(claim);
    drop((ended, stopped));
    fs::remove_file(gone).unwrap();
    fs::remove_file(&also_gone).unwrap();
    assert_eq!(names(&registry[0]).len(), 3);
    let _registration = register_in(&registry[0], &entry(&there, "Home")).unwrap();
    let mut left = names(&registry[0]);
    left.retain(|name| name.ends_with(".claim"));
    assert_eq!(left.len(), 2, "of one that runs, and of one that may run again");
    let mut again = claim::unclaimed(&SitePath::of(&also_gone), true);
    again.keep_in(&registry).unwrap();
    drop(running);
}

#[test]
fn files_that_are_not_entries_of_a_user_who_counts_are_ignored() {
    let directory = tempfile::tempdir().unwrap();
    let registry = directory.path().join("apmon");
    let registration = register_in(&registry, &home()).unwrap();
    let own = registry.join(&names(&registry)[0]);
    let text = fs::read_to_string(&own).unwrap();
    let elsewhere = directory.path().join("elsewhere.json");
    fs::write(&elsewhere, &text).unwrap();
    symlink(&elsewhere, registry.join("link.json")).unwrap();
    fs::hard_link(&elsewhere, registry.join("hard.json")).unwrap();
    fs::write(registry.join("writable.json"), &text).unwrap();
    fs::set_permissions(registry.join("writable.json"), Permissions::from_mode(0o666)).unwrap();
    fs::write(
        registry.join("version.json"),
        text.replace("\"version\": 1", "\"version\": 2"),
    )
    .unwrap();
    fs::write(registry.join("relative.json"), text.replace("/etc/apmon", "etc")).unwrap();
    fs::write(registry.join("empty.json"), "").unwrap();
    fs::write(registry.join("binary.json"), [0xff, 0]).unwrap();
    fs::write(registry.join("other"), &text).unwrap();
    fs::create_dir(registry.join("directory.json")).unwrap();
    nix::unistd::mkfifo(&registry.join("pipe.json"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let found = entries(&registry).unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    drop(registration);
    fs::set_permissions(&registry, Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(entries(&registry), Err(Refused::Writable)));
    assert!(matches!(register_in(&registry, &home()), Err(Refused::Writable)));
}

#[test]
fn a_name_that_is_taken_is_not_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let registry = directory.path().join("apmon");
    drop(register_in(&registry, &home()).unwrap());
    let name = names(&registry).remove(0);
    fs::remove_file(registry.join(&name)).unwrap();
    fs::create_dir(registry.join(&name)).unwrap();
    let _registration = register_in(&registry, &home()).unwrap();
    assert!(entries(&registry).unwrap()[0].live);
    assert!(registry.join(name).is_dir());
}

#[test]
fn a_registry_that_cannot_be_made_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "in the way").unwrap();
    let error = register_in(&file, &home()).err().unwrap();
    assert!(error.to_string().starts_with("not a directory"), "{error}");
    let error = register_in(&file.join("apmon"), &home()).err().unwrap();
    assert!(error.to_string().starts_with("Not a directory"), "{error}");
    assert!(matches!(
        entries(&directory.path().join("none")),
        Err(Refused::Missing)
    ));
}

#[test]
fn a_site_file_is_the_same_by_every_path_also_once_it_is_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().canonicalize().unwrap();
    let file = directory.join("home.yaml");
    fs::write(&file, "").unwrap();
    fs::create_dir(directory.join("deep")).unwrap();
    symlink(&file, directory.join("deep/link.yaml")).unwrap();
    symlink(&directory, directory.join("loop")).unwrap();
    let of = |path: &str| SitePath::of(&directory.join(path));
    for path in [
        "deep/link.yaml",
        "deep/../home.yaml",
        "loop/home.yaml",
        "loop/deep/link.yaml",
    ] {
        assert!(of(path).is_same(&of("home.yaml")), "{path}");
    }
    assert!(!of("other.yaml").is_same(&of("home.yaml")));
    // A link that points elsewhere by now is still the file that was given.
    let before = of("deep/link.yaml");
    fs::remove_file(directory.join("deep/link.yaml")).unwrap();
    assert!(of("deep/link.yaml").is_same(&before));
    let before = of("home.yaml");
    fs::remove_file(&file).unwrap();
    assert!(of("loop/home.yaml").is_same(&before));
}

#[test]
fn paths_that_are_not_utf_8_are_kept() {
    let name = std::ffi::OsString::from_vec(b"/etc/apmon/caf\xe9.yaml".to_vec());
    let entry = entry(Path::new(&name), "Caf\u{e9} \u{1b}[31m");
    assert_eq!(Entry::of(&entry.text()), Some(entry));
}

proptest::proptest! {
    /// Any user may write a file in a directory that they own.
    #[test]
    fn an_entry_is_read_or_ignored_whatever_it_contains(
        text: String,
        at in 0_usize..400,
        with in "[\\x00-\\x7f]{0,3}",
        to in 0_usize..20,
    ) {
        let _ = Entry::of(&text);
        let mut forged = home().text();
        let at = at.min(forged.len());
        forged.replace_range(at..(at + to).min(forged.len()), &with);
        if let Some(entry) = Entry::of(&forged) {
            proptest::prop_assert_eq!(Entry::of(&entry.text()), Some(entry));
        }
    }
}

#[test]
fn registries_are_those_of_the_unit_the_machine_and_the_user() {
    struct Variables(&'static [(&'static str, &'static str)]);
    impl Environment for Variables {
        fn variable(&self, name: &str) -> Option<String> {
            let (_, value) = self.0.iter().find(|(known, _)| *known == name)?;
            Some((*value).to_owned())
        }
    }
    type Row = (
        &'static [(&'static str, &'static str)],
        &'static [&'static str],
        &'static [&'static str],
    );
    let table: [Row; 7] = [
        // As in cron.
        (&[], &["/run/apmon", "/run/user/7/apmon"], &[]),
        (
            &[("XDG_RUNTIME_DIR", "/run/user/1000")],
            &["/run/apmon", "/run/user/1000/apmon"],
            &[],
        ),
        (
            &[
                ("RUNTIME_DIRECTORY", "/run/b:/run/apmon"),
                ("XDG_RUNTIME_DIR", ""),
            ],
            &["/run/apmon", "/run/user/7/apmon"],
            &["/run/b"],
        ),
        (
            &[("RUNTIME_DIRECTORY", "/run/b"), ("XDG_RUNTIME_DIR", "relative")],
            &["/run/apmon", "/run/user/7/apmon"],
            &["/run/b"],
        ),
        (
            &[
                ("RUNTIME_DIRECTORY", "/run/user/8/apmon"),
                ("XDG_RUNTIME_DIR", "/run/user/8"),
            ],
            &["/run/user/8/apmon", "/run/apmon"],
            &[],
        ),
        (
            &[
                ("APMON_REGISTRY", "/tmp/own"),
                ("RUNTIME_DIRECTORY", "/run/apmon"),
            ],
            &["/tmp/own"],
            &[],
        ),
        (
            &[("APMON_REGISTRY", "")],
            &["/run/apmon", "/run/user/7/apmon"],
            &[],
        ),
    ];
    for (variables, common, private) in table {
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect();
        let expected = Registries {
            common: paths(common),
            private: paths(private),
        };
        let found = Registries::of(&Variables(variables), Some("/run/user/7".into()));
        assert_eq!(found, expected, "{variables:?}");
    }
}

#[test]
fn only_entries_that_were_being_written_are_removed() {
    let directory = tempfile::tempdir().unwrap();
    let registry = directory.path().join("apmon");
    drop(register_in(&registry, &home()).unwrap());
    let name = names(&registry).remove(0);
    let theirs = [
        ".keep",
        ".half.json",
        ".a-b.c.json",
        ".home-0123456789abcdef.json",
    ];
    for file in theirs {
        fs::write(registry.join(file), "").unwrap();
    }
    let ours = [format!(".{name}"), ".-0123456789abcdef.1.2.json".to_owned()];
    for file in &ours {
        fs::write(registry.join(file), "{").unwrap();
    }
    let other = Entry { pid: 4711, ..home() };
    let _registration = register_in(&registry, &other).unwrap();
    let left = names(&registry);
    assert!(ours.iter().all(|file| !left.contains(file)), "{left:?}");
    assert!(
        theirs.iter().all(|file| left.contains(&(*file).to_owned())),
        "{left:?}"
    );
}

#[test]
fn an_entry_that_was_removed_or_replaced_is_not_present() {
    let directory = tempfile::tempdir().unwrap();
    let registry = directory.path().join("apmon");
    let registration = register_in(&registry, &home()).unwrap();
    assert!(registration.is_present());
    let path = registry.join(&names(&registry)[0]);
    fs::rename(&path, directory.path().join("away")).unwrap();
    assert!(!registration.is_present());
    fs::write(&path, "").unwrap();
    assert!(!registration.is_present());
    fs::remove_dir_all(&registry).unwrap();
    let again = register_in(&registry, &home()).unwrap();
    assert!(again.is_present() && !registration.is_present());
}
