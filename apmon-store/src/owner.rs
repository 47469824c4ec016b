//! Whose a state file is, and who else may write it.
//!
//! A user who may write a state file decides what apmon believes and sends, and one who may write
//! its directory, or one above it, may exchange the file. So all of them must belong to
//! root or to the user of this process. Then nobody else can exchange a name between this check
//! and the use of the file.

#[cfg(unix)]
mod walk;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::file::display;
#[cfg(unix)]
use crate::{file::beside, path::Format};

/// Suffixes of the files that SQLite reads with a database.
#[cfg(unix)]
const READ_BY_SQLITE: [&str; 3] = ["-journal", "-wal", "-shm"];

/// Suffixes of the files that are made anew, or that apmon can do without.
#[cfg(unix)]
const SPARE: [&str; 4] = [".lock", ".old", ".new", ".old.tmp"];

/// Why a state file is not used: other users than root and that of this process may write it, its
/// directory, or a directory above.
#[derive(Debug)]
pub struct Untrusted {
    /// The user of this process.
    user: u32,
    /// At least one.
    flaws: Vec<Flaw>,
}

/// A file or directory that others may write.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Flaw {
    path: PathBuf,
    place: Place,
    kind: FlawKind,
}

/// What a path is to a state file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// A directory above that of the state file.
    Above,
    /// Its directory.
    Directory,
    /// The state file, or one beside it that is read with it.
    File,
    /// A file beside it that is made anew, or that apmon can do without.
    Spare,
    /// The socket, which the group may write; apmon can do without it.
    Socket,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum FlawKind {
    /// It belongs to this other user.
    Owner(u32),
    /// These permissions let others write it.
    Mode(u32),
    /// It is a link to another file.
    Link,
}

/// What decides: owner, group and mode of a file, as `lstat` returns them.
#[cfg(unix)]
#[derive(Clone, Copy, Debug)]
struct Facts {
    uid: u32,
    gid: u32,
    mode: u32,
}

/// The user of this process.
#[cfg(unix)]
#[derive(Clone, Copy, Debug)]
struct User {
    uid: u32,
    gid: u32,
    /// In a user namespace, the owner that the system reports for users outside it, above all
    /// for root.
    outside: Option<u32>,
}

/// Checks who may write the state file at `path` and the files beside it that belong to it. What
/// does not exist yet may be created. In a directory like `/tmp`, where everybody
/// may create files and only their owner may remove them, the files decide; of those that apmon
/// makes anew, or can do without, another user may have taken the names. There a name may also be
/// taken after this check, so the stores check each file again when they open it ([`Trust`]).
///
/// [`Trust`]: crate::Trust
///
/// On systems other than Unix everything is accepted.
///
/// # Errors
/// When another user than root and that of this process may write the file or its directory.
pub fn check(path: impl AsRef<Path>) -> Result<(), Untrusted> {
    #[cfg(unix)]
    {
        let user = User::present();
        let flaws = walk::flaws(path.as_ref(), &user);
        if !flaws.is_empty() {
            return Err(Untrusted {
                user: user.uid,
                flaws,
            });
        }
    }
    let _ = path;
    Ok(())
}

#[cfg(unix)]
impl User {
    fn present() -> Self {
        Self {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            outside: outside_uid(),
        }
    }

    fn is_trusted(&self, uid: u32) -> bool {
        uid == 0 || uid == self.uid
    }

    /// Whether the group is this user's own, in which nobody else is.
    fn is_own_group(&self, gid: u32) -> bool {
        gid == 0 || (gid == self.gid && self.gid == self.uid)
    }
}

/// The owner reported for users that have no number in the present user namespace.
#[cfg(unix)]
fn outside_uid() -> Option<u32> {
    let map = std::fs::read_to_string("/proc/self/uid_map").ok()?;
    let all = ["0", "0", "4294967295"];
    if map.split_whitespace().eq(all) {
        return None;
    }
    let uid = std::fs::read_to_string("/proc/sys/kernel/overflowuid").ok()?;
    uid.trim().parse().ok()
}

/// In a directory with this bit everybody may remove only their own files.
#[cfg(unix)]
const STICKY: u32 = 0o1000;

/// Decides about one path.
#[cfg(unix)]
fn flaw(place: Place, facts: Facts, user: &User) -> Option<FlawKind> {
    const TYPE: u32 = 0o170_000;
    const DIRECTORY: u32 = 0o040_000;
    const LINK: u32 = 0o120_000;
    const SOCKET: u32 = 0o140_000;
    let is_outside = place == Place::Above && user.outside == Some(facts.uid);
    if !user.is_trusted(facts.uid) && !is_outside {
        return Some(FlawKind::Owner(facts.uid));
    }
    let kind = facts.mode & TYPE;
    match place {
        // A link to a directory belongs to a trusted user, and is followed step by step.
        Place::Above | Place::Directory if kind == LINK => return None,
        Place::Above | Place::Directory if kind != DIRECTORY => return None, // that fails by itself
        // There everybody may create files, and change only their own.
        Place::Above | Place::Directory if facts.mode & STICKY != 0 => return None,
        Place::Above | Place::Directory => {}
        Place::Socket if kind == SOCKET => return None,
        Place::File | Place::Spare | Place::Socket if kind == LINK => return Some(FlawKind::Link),
        // A directory or a pipe fails by itself.
        Place::File | Place::Spare | Place::Socket => {}
    }
    let by_group = facts.mode & 0o020 != 0 && !user.is_own_group(facts.gid);
    (by_group || facts.mode & 0o002 != 0).then_some(FlawKind::Mode(facts.mode & 0o7777))
}

/// The files that belong to the state file at `path`.
#[cfg(unix)]
fn files_of(path: &Path) -> Vec<(PathBuf, Place)> {
    let spare = |base: &Path| SPARE.map(|suffix| (beside(base, suffix), Place::Spare));
    let mut files = vec![
        (path.to_owned(), Place::File),
        (path.with_extension("sock"), Place::Socket),
    ];
    files.extend(spare(path));
    if Format::of(path) == Format::Sqlite {
        files.extend(READ_BY_SQLITE.map(|suffix| (beside(path, suffix), Place::File)));
        let json = path.with_extension("json");
        // It is imported where there is no database yet.
        let place = match path.metadata().map_or(0, |database| database.len()) {
            0 => Place::File,
            _ => Place::Spare,
        };
        files.push((json.clone(), place));
        files.extend(spare(&json));
    }
    files
}

/// Whether a flaw of a file matters although everybody may create files beside it, as in `/tmp`:
/// otherwise another user could end the monitoring with an empty file.
#[cfg(unix)]
fn matters_in_shared_directory(flaw: &Flaw) -> bool {
    let is_spare = matches!(flaw.place, Place::Spare | Place::Socket);
    !(is_spare && matches!(flaw.kind, FlawKind::Owner(_)))
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = display(&self.path);
        match self.kind {
            FlawKind::Owner(uid) => write!(f, "{path} belongs to another user (uid {uid})"),
            FlawKind::Mode(mode) => write!(f, "{path} can be written by other users (mode {mode:o})"),
            FlawKind::Link => write!(f, "{path} is a symbolic link"),
        }
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the state is not trusted: ")?;
        if let [first, others @ ..] = &self.flaws[..] {
            write!(f, "{first}")?;
            match others.len() {
                0 => {}
                n => write!(f, " (and {n} more like it)")?,
            }
        }
        let commands = self.commands();
        if let Some(owner) = self.other_owner() {
            write!(f, "; run apmon as that user: sudo -u '#{owner}' apmon ...")?;
        } else if !commands.is_empty() {
            write!(f, "; if its content is yours, run: {}", commands.join(" && "))?;
        }
        Ok(())
    }
}

impl std::error::Error for Untrusted {}

impl Untrusted {
    /// For root, the user to whom the directory belongs, if nobody else owns any of it. Then it
    /// is that user's state, which is no reason to take it away.
    fn other_owner(&self) -> Option<u32> {
        let owners = self.flaws.iter().filter_map(|flaw| match flaw.kind {
            FlawKind::Owner(uid) => Some((uid, flaw.place)),
            FlawKind::Mode(_) | FlawKind::Link => None,
        });
        let mut of_directory = owners.clone().filter(|(_, place)| *place == Place::Directory);
        let (owner, _) = of_directory.next().filter(|_| self.user == 0)?;
        let is_above = |flaw: &Flaw| flaw.place == Place::Above && flaw.kind != FlawKind::Owner(owner);
        let is_only = owners.clone().all(|(uid, _)| uid == owner) && !self.flaws.iter().any(is_above);
        is_only.then_some(owner)
    }

    /// The commands that make it trusted; none for a directory above, whose owner may have
    /// reasons.
    fn commands(&self) -> Vec<String> {
        let of = |wanted: fn(FlawKind) -> bool| -> String {
            let flaws = self.flaws.iter();
            let flaws = flaws.filter(|flaw| flaw.place != Place::Above && wanted(flaw.kind));
            flaws.map(|flaw| format!(" {}", quoted(&flaw.path))).collect()
        };
        let owned = of(|kind| matches!(kind, FlawKind::Owner(_)));
        let writable = of(|kind| matches!(kind, FlawKind::Mode(_)));
        let mut commands = Vec::new();
        if !owned.is_empty() {
            commands.push(format!("chown -h {}{owned}", self.user));
        }
        if !writable.is_empty() {
            commands.push(format!("chmod go-w{writable}"));
        }
        commands
    }
}

/// The path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = display(path);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c);
    match text.chars().all(is_plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(all(test, unix))]
mod tests;
