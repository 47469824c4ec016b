//! A wall clock that can be set, for single processes.

use std::{fs, path::PathBuf, process::Command};

use super::Lab;

/// A fake wall clock. The monotonic clock stays real.
pub struct FakeTime {
    file: PathBuf,
    library: String,
}

impl FakeTime {
    /// A clock that shows the real time until it is set.
    ///
    /// # Panics
    /// Panics without libfaketime: a test that cannot run fails.
    pub fn new(lab: &Lab) -> Self {
        let output = Command::new("faketime")
            .args(["-f", "+0s", "sh", "-c", "echo $LD_PRELOAD"])
            .output()
            .expect("faketime is required; `cargo xtask test` or `apt install faketime` installs it");
        let library = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        assert!(
            output.status.success() && !library.is_empty(),
            "faketime does not set LD_PRELOAD"
        );
        let time = Self {
            file: lab.path("time"),
            library,
        };
        time.set(0);
        time
    }

    /// Sets the wall clock `offset` seconds off the real time.
    pub fn set(&self, offset: i64) {
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{offset:+}")).unwrap();
        fs::rename(new, &self.file).unwrap();
    }

    /// Makes a command use this clock.
    pub fn apply_to(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
}
