//! The new text replaces the old one, or the file stays unchanged.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
};

use crate::pin::edit::write_file;

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn the_new_text_keeps_the_permission_bits() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("site.yaml");
    for bits in [0o600, 0o640, 0o644, 0o664] {
        fs::write(&path, "\u{feff}old\r\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(bits)).unwrap();
        let before = fs::metadata(&path).unwrap();
        write_file(&path, "\u{feff}old\r\n", "\u{feff}new\r\n").unwrap();
        let after = fs::metadata(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "\u{feff}new\r\n");
        assert_eq!(after.mode(), before.mode());
        assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
        assert_ne!(after.ino(), before.ino(), "it is another file, renamed");
        assert_eq!(names(directory.path()), ["site.yaml"]);
    }
}

#[test]
fn the_owner_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("site.yaml");
    fs::write(&path, "old").unwrap();
    // Another owner, if the tests run as root.
    let _ = std::os::unix::fs::chown(&path, Some(12), Some(34));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let before = fs::metadata(&path).unwrap();
    write_file(&path, "old", "new").unwrap();
    let after = fs::metadata(&path).unwrap();
    assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
    assert_eq!(after.mode() & 0o777, 0o640);
}

#[test]
fn a_link_is_followed_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let real = directory.path().join("real");
    fs::create_dir(&real).unwrap();
    fs::write(real.join("site.yaml"), "old").unwrap();
    let link = directory.path().join("link.yaml");
    symlink("real/site.yaml", &link).unwrap();
    write_file(&link, "old", "new").unwrap();
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("real/site.yaml"));
    assert_eq!(fs::read_to_string(real.join("site.yaml")).unwrap(), "new");
    assert_eq!(names(&real), ["site.yaml"]);
}

#[test]
fn a_file_that_was_changed_meanwhile_is_left_unchanged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("site.yaml");
    for present in ["", "ol", "olde", "\u{feff}old", "new"] {
        fs::write(&path, present).unwrap();
        let error = write_file(&path, "old", "new").unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with(": changed meanwhile; nothing was written"),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), present);
        assert_eq!(names(directory.path()), ["site.yaml"]);
    }
}

#[test]
fn anything_but_a_regular_file_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let error = write_file(directory.path(), "old", "new").unwrap_err();
    assert!(error.to_string().ends_with(": not a regular file"), "{error}");
    let path = directory.path().join("none.yaml");
    let error = write_file(&path, "old", "new").unwrap_err();
    assert_eq!(error.to_string(), format!("cannot find {}", path.display()));
    assert!(names(directory.path()).is_empty());
}

#[test]
fn an_existing_temporary_file_is_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("site.yaml");
    fs::write(&path, "old").unwrap();
    let name = format!(".site.yaml.{}-0.new", std::process::id());
    symlink("/nonexistent/elsewhere", directory.path().join(&name)).unwrap();
    write_file(&path, "old", "new").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(names(directory.path()), [name.as_str(), "site.yaml"]);
}
