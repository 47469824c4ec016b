//! The disk that holds the state: a small one, which can be full, or the
//! machine's own, on which a commit takes as long as it does in production.

use std::{
    fs,
    io::{ErrorKind, Seek as _, SeekFrom, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use super::damage::Damage;
use crate::{
    fault::{During, Fault},
    process,
};

/// Enough for a database, damaged ones that were set aside, and little else.
const SIZE: &str = "size=12m";
const FILLER: &str = "filler";

/// The kind of disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum DiskKind {
    /// A tmpfs in a mount namespace of our own. It can be full, and a write takes no time.
    Small,
    /// The disk of `target`. A kill can interrupt a commit.
    Own,
}

impl DiskKind {
    /// Its name in the summary.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Small => "a small disk",
            Self::Own => "a real disk",
        }
    }
}

pub(super) struct Disk {
    place: PathBuf,
    kind: DiskKind,
}

impl Disk {
    pub(super) fn prepare(kind: DiskKind, place: &Path) -> Result<Self, Fault> {
        fs::create_dir_all(place).during(format!("make {}", place.display()))?;
        let disk = Self {
            place: place.to_owned(),
            kind,
        };
        if kind == DiskKind::Own {
            return Ok(disk);
        }
        mount(SIZE, place)?;
        // A disk that cannot be full would prove nothing.
        disk.fill()?;
        let taken = fs::write(disk.place.join("more"), [0; 4096]);
        disk.free()?;
        let _ = fs::remove_file(disk.place.join("more"));
        match taken {
            Err(error) if error.kind() == ErrorKind::StorageFull => Ok(disk),
            Err(error) => Err(Fault::new(format!(
                "writing to a full disk failed, but not for lack of space: {error}"
            ))),
            Ok(()) => Err(Fault::new("writing to a full disk did not fail")),
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    /// Fills the disk, so that every write fails.
    pub(super) fn fill(&self) -> Result<(), Fault> {
        let mut filler = fs::File::create(self.place.join(FILLER)).during("fill the disk")?;
        for bytes in [&[0_u8; 65_536][..], &[0; 4096], &[0; 64]] {
            loop {
                match filler.write(bytes) {
                    Ok(1..) => {}
                    Ok(0) => break,
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(error).during("fill the disk"),
                }
            }
        }
        Ok(())
    }

    pub(super) fn free(&self) -> Result<(), Fault> {
        match fs::remove_file(self.place.join(FILLER)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error).during("free the disk"),
            _ => Ok(()),
        }
    }

    /// Sizes and times of the state's files: they change with each write.
    pub(super) fn trace(&self) -> Vec<Option<(u64, SystemTime)>> {
        ["state.db-journal", "state.db", "state.json.new", "state.json"]
            .iter()
            .map(|name| {
                let metadata = fs::metadata(self.place.join(name)).ok()?;
                Some((metadata.len(), metadata.modified().ok()?))
            })
            .collect()
    }

    /// Does this to the files of the state `name`. Returns whether apmon has something to repair.
    pub(super) fn damage(&self, name: &str, damage: Damage) -> Result<bool, Fault> {
        let path = self.place.join(name);
        let garbage = [0xa5; 20_000];
        let is_database = name.ends_with(".db");
        let Ok(length) = fs::metadata(&path).map(|metadata| metadata.len()) else {
            return Ok(false); // nothing is written yet
        };
        let beside = |suffix| self.place.join(format!("{name}{suffix}"));
        let open = || fs::OpenOptions::new().write(true).open(&path);
        match damage {
            Damage::Remove => fs::remove_file(&path),
            Damage::CutOff => open().and_then(|file| file.set_len(length / 2)),
            Damage::Overwrite => open().and_then(|mut file| {
                file.seek(SeekFrom::Start(length / 3))?;
                file.write_all(&garbage)
            }),
            Damage::Replace => {
                fs::write(beside(".other"), garbage).and_then(|()| fs::rename(beside(".other"), &path))
            }
            Damage::Log | Damage::Journal if !is_database => return Ok(false),
            Damage::Log => fs::write(beside("-wal"), garbage),
            // In the middle of a commit this would be apmon's own journal.
            Damage::Journal => fs::write(beside(".other"), garbage)
                .and_then(|()| fs::rename(beside(".other"), beside("-journal"))),
        }
        .during(format!("damage {name}"))?;
        Ok(true)
    }

    /// Lets everybody write the directory, or its owner alone.
    pub(super) fn open_to_others(&self, is_open: bool) -> Result<(), Fault> {
        let mode = if is_open { 0o777 } else { 0o755 };
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(&self.place, permissions).during("change the mode of the state's directory")
    }

    /// Copies its files to `place`, where they remain after the round.
    pub(super) fn save(&self, place: &Path) -> Result<(), Fault> {
        fs::create_dir_all(place).during(format!("make {}", place.display()))?;
        let files = fs::read_dir(&self.place).during("list the disk")?;
        for file in files.flatten().filter(|file| file.path().is_file()) {
            if file.file_name() != FILLER {
                fs::copy(file.path(), place.join(file.file_name())).during("copy the state")?;
            }
        }
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.kind == DiskKind::Small {
            process::works(Command::new("umount").arg("--lazy").arg(&self.place));
        }
    }
}

/// Mounts a tmpfs.
pub(super) fn mount(options: &str, place: &Path) -> Result<(), Fault> {
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", options, "none"]).arg(place);
    process::output(&mut mount).map(|_| ())
}
