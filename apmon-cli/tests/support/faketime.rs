//! A wall clock that can be set, for one process only.

use std::{fs, path::PathBuf, process::Command};

use super::Lab;

/// The monotonic clock goes on as it does.
pub struct FakeTime {
    file: PathBuf,
    library: String,
}

impl FakeTime {
    /// The right time, at first.
    ///
    /// # Panics
    /// Without libfaketime: a test that cannot run fails.
    pub fn new(lab: &Lab) -> Self {
        let said = Command::new("faketime")
            .args(["-f", "+0s", "sh", "-c", "echo $LD_PRELOAD"])
            .output()
            .expect(
                "faketime is needed and not there; `cargo xtask test` or `apt install faketime` installs it",
            );
        let library = String::from_utf8(said.stdout).unwrap().trim().to_owned();
        assert!(
            said.status.success() && !library.is_empty(),
            "faketime does not say where its library is"
        );
        let time = Self {
            file: lab.path("time"),
            library,
        };
        time.set(0);
        time
    }

    /// Sets the wall clock so many seconds from the right time.
    pub fn set(&self, offset: i64) {
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{offset:+}")).unwrap();
        fs::rename(new, &self.file).unwrap();
    }

    /// Puts a process under this clock.
    pub fn rule(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
}
