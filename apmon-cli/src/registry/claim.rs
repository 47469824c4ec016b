//! Who may run a site file: a daemon alone, or passes.
//!
//! An entry says which daemon is running. Of two that start at the same moment neither
//! finds the entry of the other, so each first locks a file that belongs to the site file. The file
//! stays, so that passes take part, for as long as there is the site file. It is removed only by a
//! process that has locked it, and who locks one makes sure that it still has its name: otherwise two
//! processes could lock two files of one name.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use apmon_core::config::ProcessEnvironment;
use serde_json::{Value, json};

use super::{
    Registries, SitePath,
    entry::{path_as_json, path_of},
    lock::{is_taken, lock, lock_shared},
    of_this_user,
    register::{fnv, has_name, make},
    trust::Directory,
};

/// A claim on a site file, until it is dropped or the process ends.
#[must_use]
#[derive(Debug)]
pub(crate) struct Claim {
    file: SitePath,
    /// Whether it excludes passes too.
    alone: bool,
    locked: Vec<Locked>,
}

/// A file that this process has locked.
#[derive(Debug)]
pub(super) struct Locked {
    path: PathBuf,
    file: File,
}

/// Another process has a claim that excludes this one.
#[derive(Debug)]
pub(crate) struct Claimed;

/// Claims a site file for a daemon, in every registry that this process may write to. Without any, as
/// on systems that have none, the claim excludes nobody.
pub(crate) fn claim_alone(file: &SitePath) -> Result<Claim, Claimed> {
    claim(file, true)
}

/// Claims a site file for a pass: beside other passes, which exclude each other by the lock on their
/// state. It takes part where a daemon has made a claim before.
pub(crate) fn claim_with_others(file: &SitePath) -> Result<Claim, Claimed> {
    claim(file, false)
}

fn claim(file: &SitePath, alone: bool) -> Result<Claim, Claimed> {
    let mut claim = unclaimed(file, alone);
    claim.keep()?;
    Ok(claim)
}

/// A claim that has locked nothing yet.
pub(super) fn unclaimed(file: &SitePath, alone: bool) -> Claim {
    Claim {
        file: file.clone(),
        alone,
        locked: Vec::new(),
    }
}

impl Claim {
    /// Claims the file anew as far as that is needed: somebody may have emptied the directory, or a
    /// registry has come into being.
    ///
    /// # Errors
    /// If another process has claimed it meanwhile.
    pub(crate) fn keep(&mut self) -> Result<(), Claimed> {
        let registries = Registries::of(&ProcessEnvironment, of_this_user());
        self.keep_in(&registries.common)
    }

    pub(super) fn keep_in(&mut self, directories: &[PathBuf]) -> Result<(), Claimed> {
        self.locked.retain(|locked| has_name(&locked.file, &locked.path));
        for directory in directories {
            // Only a daemon makes a registry, and only one.
            if self.alone && self.locked.is_empty() {
                let _ = make(directory);
            }
            claim_in(directory, &self.file, self.alone, &mut self.locked)?;
        }
        Ok(())
    }

    /// Claims the site file by the paths that it has now.
    ///
    /// # Errors
    /// If another process has claimed it by one of them.
    pub(crate) fn follow(&mut self, file: &SitePath) -> Result<(), Claimed> {
        if self.file == *file {
            return Ok(());
        }
        self.file = file.clone();
        let names = names_of(file);
        self.locked.retain(|locked| {
            let name = locked.path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| names.contains(name))
        });
        self.keep()
    }
}

/// How often a file is opened again that another process has just removed.
const ATTEMPTS: usize = 8;

/// Locks the files of a site file in this registry that are not `locked` yet, as far as they can
/// be opened.
pub(super) fn claim_in(
    directory: &Path,
    file: &SitePath,
    alone: bool,
    locked: &mut Vec<Locked>,
) -> Result<(), Claimed> {
    let Ok(trusted) = Directory::open(directory) else {
        return Ok(());
    };
    for name in names_of(file) {
        let path = trusted.path().join(name);
        if locked.iter().any(|locked| locked.path == path) {
            continue;
        }
        for _ in 0..ATTEMPTS {
            let opened = open(&path, alone, alone).ok();
            let counts = |file: &File| file.metadata().is_ok_and(|metadata| trusted.counts(&metadata));
            let Some(opened) = opened.filter(counts) else {
                break;
            };
            let taken = match alone {
                true => lock(&opened),
                false => lock_shared(&opened),
            };
            match taken {
                Ok(()) if !has_name(&opened, &path) => continue,
                Ok(()) => {
                    if alone {
                        describe(&opened, file);
                    }
                    locked.push(Locked { path, file: opened });
                }
                Err(error) if is_taken(&error) => return Err(Claimed),
                Err(error) => tracing::debug!("{}: cannot be locked: {error}", path.display()),
            }
            break;
        }
    }
    Ok(())
}

/// Opens the file of a claim. Nobody but its owner and root may: who can open it can lock it.
fn open(path: &Path, writes: bool, creates: bool) -> io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(writes).create(creates);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    }
    options.open(path)
}

/// Two daemons run the same file if either path is the same.
fn names_of(file: &SitePath) -> BTreeSet<String> {
    BTreeSet::from([name_of(&file.real), name_of(&file.given)])
}

/// `.1f3a….claim`: readers of entries skip it.
fn name_of(file: &Path) -> String {
    format!(".{:016x}.claim", fnv(file.as_os_str().as_encoded_bytes()))
}

fn is_claim(name: &[u8]) -> bool {
    let hash = name
        .strip_prefix(b".")
        .and_then(|name| name.strip_suffix(b".claim"));
    hash.is_some_and(|hash| hash.len() == 16 && hash.iter().all(u8::is_ascii_hexdigit))
}

/// The longest text of a claim: two paths.
const MAX_TEXT: u64 = 128 * 1024;

/// Writes into the file of a claim of which site file it is.
fn describe(mut file: &File, site: &SitePath) {
    let object = json!({
        "site_file": path_as_json(&site.real),
        "given": path_as_json(&site.given),
    });
    // Without the text it locks as well; it is only kept for longer than it is needed.
    let _ = file
        .set_len(0)
        .and_then(|()| file.write_all(format!("{object:#}\n").as_bytes()));
}

/// The site file that is described in the file of a claim.
fn described(file: &File) -> Option<SitePath> {
    let mut text = String::new();
    file.take(MAX_TEXT).read_to_string(&mut text).ok()?;
    let object: Value = serde_json::from_str(&text).ok()?;
    Some(SitePath {
        given: path_of(&object["given"])?,
        real: path_of(&object["site_file"])?,
    })
}

/// Removes the claims of site files that are gone, unless a process has one.
pub(super) fn sweep(directory: &Directory) {
    let is_gone = |path: &Path| {
        path.symlink_metadata()
            .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    for found in fs::read_dir(directory.path()).into_iter().flatten().flatten() {
        if !is_claim(found.file_name().as_encoded_bytes()) {
            continue;
        }
        let path = found.path();
        let opened = open(&path, true, false).ok();
        let counts = |file: &File| file.metadata().is_ok_and(|metadata| directory.counts(&metadata));
        let Some(file) = opened.filter(counts) else {
            continue; // those of other users stay
        };
        let is_left_over = described(&file).is_some_and(|site| is_gone(&site.given) && is_gone(&site.real));
        if is_left_over && lock(&file).is_ok() && has_name(&file, &path) {
            let _ = fs::remove_file(&path);
        }
    }
}
