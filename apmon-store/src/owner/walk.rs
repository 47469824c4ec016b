//! The way from the root to a state file, link by link.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Component, Path, PathBuf},
};

use super::{Facts, Flaw, Place, STICKY, User, files_of, flaw, matters_in_shared_directory};

/// More links than the system itself follows.
const MAX_LINKS: u32 = 40;

/// Everything on the way to the state file at `path`, and beside it, that others may write.
pub(super) fn flaws(path: &Path, user: &User) -> Vec<Flaw> {
    let Ok(path) = std::path::absolute(path) else {
        return Vec::new(); // without a present directory nothing can be opened either
    };
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mut flaws: Vec<Flaw> = Vec::new();
    for (path, place) in way_to(directory) {
        // A way with links or `..` may pass a directory twice.
        if !flaws.iter().any(|flaw| flaw.path == path) {
            flaws.extend(check(path, place, user));
        }
    }
    let is_shared = fs::metadata(directory).is_ok_and(|found| found.mode() & STICKY != 0);
    let files = files_of(&path).into_iter();
    let of_files = files.filter_map(|(path, place)| check(path, place, user));
    flaws.extend(of_files.filter(|flaw| !is_shared || matters_in_shared_directory(flaw)));
    flaws
}

fn check(path: PathBuf, place: Place, user: &User) -> Option<Flaw> {
    let found = fs::symlink_metadata(&path).ok()?;
    let facts = Facts {
        uid: found.uid(),
        gid: found.gid(),
        mode: found.mode(),
    };
    let kind = flaw(place, facts, user)?;
    Some(Flaw { path, place, kind })
}

/// The directories and links that lead to `directory`, as far as they exist; last the directory
/// itself.
fn way_to(directory: &Path) -> Vec<(PathBuf, Place)> {
    let mut way = vec![(PathBuf::from("/"), Place::Above)];
    let mut present = PathBuf::from("/");
    let mut rest = reversed(directory);
    let mut links = 0;
    while let Some(name) = rest.pop() {
        if name == ".." {
            present.pop();
            continue;
        }
        let next = present.join(name);
        let Ok(found) = fs::symlink_metadata(&next) else {
            // What is missing is created in the last directory, which decides.
            return way;
        };
        way.push((next.clone(), Place::Above));
        if found.is_symlink() {
            links += 1;
            let Ok(target) = fs::read_link(&next) else {
                return way;
            };
            if links > MAX_LINKS {
                return way;
            }
            if target.is_absolute() {
                present = PathBuf::from("/");
            }
            rest.extend(reversed(&target));
        } else {
            present = next;
        }
    }
    for (_, place) in way.iter_mut().filter(|(path, _)| *path == present) {
        *place = Place::Directory;
    }
    way
}

/// The names of a path, the last one first; `..` is one of them.
fn reversed(path: &Path) -> Vec<OsString> {
    let names = path.components().rev();
    names
        .filter(|name| matches!(name, Component::Normal(_) | Component::ParentDir))
        .map(|name| name.as_os_str().to_owned())
        .collect()
}
