//! The wall clock of one process, which can be set (libfaketime). The
//! monotonic one goes on as it does.

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
    /// The right time, at first.
    pub(super) fn new(file: &Path) -> Result<Self, Fault> {
        // Which library it is, it knows itself.
        let mut ask = Command::new("faketime");
        let said = process::output(ask.args(["-f", "+0s", "sh", "-c", "echo $LD_PRELOAD"]))?;
        let library = said.trim().to_owned();
        if library.is_empty() {
            return Err(Fault::new("faketime does not say where its library is"));
        }
        Self::write(file, 0)?;
        Ok(Self {
            file: file.to_owned(),
            library,
        })
    }

    /// Sets the clock that `file` rules, so many seconds from the right time.
    pub(super) fn write(file: &Path, offset: i64) -> Result<(), Fault> {
        let new = file.with_extension("new");
        workspace::write(&new, &format!("{offset:+}"))?;
        fs::rename(&new, file).during(format!("rename {}", new.display()))
    }

    /// Puts a process under this clock.
    pub(super) fn rule(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
}
