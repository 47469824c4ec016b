//! How a daemon makes itself known.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use apmon_core::{config::ProcessEnvironment, text::printable};

use super::{
    Entry, Registries, claim,
    entry::{open, read},
    lock::{is_locked, lock},
    of_this_user,
    trust::{Directory, Refused},
};

/// How many names are tried: others may have taken one in a directory that several
/// users share.
const NAMES: usize = 16;

/// The entry of a running site. The file stays when this is dropped, without its lock.
#[must_use]
pub(crate) struct Registration {
    path: PathBuf,
    /// Holds the lock.
    file: File,
    entry: Entry,
    /// Why the registries before this one cannot be used.
    refusals: Vec<String>,
    /// Whether only commands with the same environment read this registry.
    is_private: bool,
}

impl Registration {
    /// The entry as it is registered.
    pub(crate) fn entry(&self) -> &Entry {
        &self.entry
    }

    /// The directory in which it is registered.
    pub(crate) fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// Why the registries that come before this one cannot be used, if any.
    pub(crate) fn refusals(&self) -> Option<String> {
        (!self.refusals.is_empty()).then(|| self.refusals.join("; "))
    }

    /// Whether only commands with the same environment, as those of a unit, read this registry.
    pub(crate) fn is_private(&self) -> bool {
        self.is_private
    }

    /// Whether the entry is still there: somebody may have emptied the directory.
    pub(crate) fn is_present(&self) -> bool {
        has_name(&self.file, &self.path)
    }

    /// Replaces the entry: the site has another name, or a link to its file another target.
    /// On failure the former entry stays.
    pub(crate) fn replace(&mut self, entry: &Entry) -> Result<(), String> {
        let new = register(entry)?;
        if new.path != self.path {
            let _ = fs::remove_file(&self.path);
        }
        *self = new;
        Ok(())
    }
}

/// Registers a site in the first registry that this process may write to.
///
/// # Errors
/// If there is none: why each of them cannot be used.
pub(crate) fn register(entry: &Entry) -> Result<Registration, String> {
    let mut refusals = Vec::new();
    let registries = Registries::of(&ProcessEnvironment, of_this_user());
    for (directory, is_private) in registries.in_order() {
        match register_in(directory, entry) {
            Ok(registration) => {
                return Ok(Registration {
                    refusals,
                    is_private,
                    ..registration
                });
            }
            Err(refused) => {
                let shown = directory.display().to_string();
                refusals.push(format!("{}: {refused}", printable(&shown)));
            }
        }
    }
    Err(refusals.join("; "))
}

/// Registers a site in this registry, and replaces what an earlier daemon of the same
/// user left there.
pub(super) fn register_in(directory: &Path, entry: &Entry) -> Result<Registration, Refused> {
    make(directory)?;
    let trusted = Directory::open(directory)?;
    let mut last = None;
    for n in 0..NAMES {
        let name = name_of(entry, n);
        // In containers that share the directory, all daemons may have the same process id.
        if is_of_running(&trusted.path().join(&name)) {
            last = Some(io::ErrorKind::AlreadyExists.into());
            continue;
        }
        match publish(trusted.path(), &name, entry) {
            Ok((path, file)) => {
                sweep(&trusted, &path, entry);
                return Ok(Registration {
                    path,
                    file,
                    entry: entry.clone(),
                    refusals: Vec::new(),
                    is_private: false,
                });
            }
            Err(error) => last = Some(error),
        }
        // A directory that cannot be written to is the same for every name.
        let is_taken = |error: &io::Error| {
            matches!(
                error.kind(),
                io::ErrorKind::AlreadyExists | io::ErrorKind::IsADirectory | io::ErrorKind::NotFound
            ) || fs::symlink_metadata(trusted.path().join(&name)).is_ok()
        };
        if !last.as_ref().is_some_and(is_taken) {
            break;
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AlreadyExists.into()).into())
}

/// Whether a running daemon has the entry of this name.
fn is_of_running(path: &Path) -> bool {
    open(path).is_ok_and(|file| is_locked(&file).is_ok_and(|locked| locked))
}

/// Whether the open file is the one that has this name.
pub(super) fn has_name(file: &File, path: &Path) -> bool {
    let there = fs::symlink_metadata(path);
    there.is_ok_and(|there| file.metadata().is_ok_and(|own| is_same(&own, &there)))
}

#[cfg(unix)]
fn is_same(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same(_: &fs::Metadata, _: &fs::Metadata) -> bool {
    true
}

pub(super) fn make(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o755);
    match builder.create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if directory.is_dir() => {
            tracing::debug!("{}: {error}", directory.display());
            Ok(())
        }
        Err(error) => Err(error),
        Ok(()) => {
            // Whatever the umask: other users may read which sites are running.
            #[cfg(unix)]
            fs::set_permissions(directory, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
            Ok(())
        }
    }
}

/// `home-1f3a….4711.json`: for people, and different for each site and process.
fn name_of(entry: &Entry, n: usize) -> String {
    let stem = entry.file.given.file_stem().unwrap_or_default().to_string_lossy();
    let stem: String = stem
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c))
        .take(40)
        .collect();
    let hash = fnv(entry.file.real.as_os_str().as_encoded_bytes());
    let more = match n {
        0 => String::new(),
        n => format!(".{n}"),
    };
    format!("{stem}-{hash:016x}.{}{more}.json", entry.pid)
}

/// Whether [`publish`] gives a name of this form to an entry that it writes: `.home-1f3a….4711.json`.
/// Other hidden files belong to somebody else.
fn is_half_written(name: &[u8]) -> bool {
    let parts = std::str::from_utf8(name).ok().and_then(|name| {
        let (stem, rest) = name.strip_prefix('.')?.strip_suffix(".json")?.split_once('.')?;
        Some((stem.rsplit_once('-')?, rest))
    });
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_hash = |text: &str| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    parts.is_some_and(|((stem, hash), rest)| {
        let is_plain = stem
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        let (pid, more) = rest.split_once('.').unwrap_or((rest, "0"));
        is_plain && is_hash(hash) && is_number(pid) && is_number(more)
    })
}

/// FNV-1a, so that the names of two site files of one stem differ.
pub(super) fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Writes an entry and locks it before it has its name: readers find it locked and
/// complete, or not at all.
fn publish(directory: &Path, name: &str, entry: &Entry) -> io::Result<(PathBuf, File)> {
    let path = directory.join(name);
    let new = directory.join(format!(".{name}"));
    let mut options = File::options();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o644).custom_flags(libc::O_NOFOLLOW);
    }
    let mut file = options.open(&new)?;
    let published = (|| {
        #[cfg(unix)]
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        lock(&file)?;
        file.write_all(entry.text().as_bytes())?;
        fs::rename(&new, &path)
    })();
    match published {
        Ok(()) => Ok((path, file)),
        Err(error) => {
            let _ = fs::remove_file(&new);
            Err(error)
        }
    }
}

/// Removes the entries of this site file, and those half written, that no daemon holds, and the claims
/// of site files that are gone.
fn sweep(directory: &Directory, kept: &Path, entry: &Entry) {
    claim::sweep(directory);
    for file in fs::read_dir(directory.path()).into_iter().flatten().flatten() {
        let path = file.path();
        let is_left_over = match is_half_written(file.file_name().as_encoded_bytes()) {
            true => open(&path).is_ok_and(|file| {
                let is_ours = file.metadata().is_ok_and(|metadata| directory.counts(&metadata));
                is_ours && is_locked(&file).is_ok_and(|locked| !locked)
            }),
            false => read(&path, directory).is_ok_and(|found| {
                found.is_some_and(|found| !found.live && found.entry.file.is_same(&entry.file))
            }),
        };
        if path != kept && is_left_over {
            // Those of other users stay.
            let _ = fs::remove_file(&path);
        }
    }
}
