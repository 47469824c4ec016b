//! The wall clock of one process, which can be set (libfaketime). Its
//! monotonic clock is unchanged.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    fault::{During, Fault},
    process, workspace,
};

pub(super) struct WallClock {
    file: PathBuf,
    library: String,
}

impl WallClock {
    /// A clock that starts with the right time.
    pub(super) fn new(file: &Path) -> Result<Self, Fault> {
        // faketime itself knows its library's path.
        let mut ask = Command::new("faketime");
        let output = process::output(ask.args(["-f", "+0s", "sh", "-c", "echo $LD_PRELOAD"]))?;
        let library = output.trim().to_owned();
        if library.is_empty() {
            return Err(Fault::new(
                "faketime does not set LD_PRELOAD, so its library cannot be found",
            ));
        }
        Self::write(file, 0)?;
        Ok(Self {
            file: file.to_owned(),
            library,
        })
    }

    /// Sets the clock that `file` controls, as an offset in seconds from the right time.
    pub(super) fn write(file: &Path, offset: i64) -> Result<(), Fault> {
        let new = file.with_extension("new");
        workspace::write(&new, &format!("{offset:+}"))?;
        fs::rename(&new, file).during(format!("rename {}", new.display()))
    }

    /// Makes a command use this clock.
    pub(super) fn apply(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
}
