//! Real mail servers: Python's aiosmtpd. They write each accepted e-mail to a file,
//! parsed by Python's own `email`.

#![allow(dead_code)] // not every test file uses everything

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// Debian's own Python, since another one would not find Debian's packages.
const PYTHON: &str = "/usr/bin/python3";

pub struct Lab {
    child: Child,
    directory: TempDir,
    ports: Value,
}

impl Lab {
    /// Starts the servers on ports that the kernel picks.
    pub fn start() -> Self {
        Self::start_with_tls_at(0)
    }

    pub fn start_with_tls_at(port: u16) -> Self {
        let directory = tempfile::tempdir().unwrap();
        // The tests of apmon-cli start it as well.
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../apmon-notify/tests");
        // A killed test drops nothing, so the kernel ends the server.
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "--", PYTHON])
            .arg(tests.join("lab/mail.py"))
            .arg(directory.path())
            .args(["localhost.pem", "localhost.key"].map(|name| tests.join("certs").join(name)))
            .arg(port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test needs setpriv (apt install util-linux)");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let ports = serde_json::from_str(&line)
            .expect("this test needs Debian's aiosmtpd (apt install python3-aiosmtpd); see above");
        Self {
            child,
            directory,
            ports,
        }
    }

    pub fn port(&self, kind: &str) -> u16 {
        self.ports[kind].as_u64().unwrap().try_into().unwrap()
    }

    /// The accepted e-mails, in order.
    pub fn mails(&self) -> Vec<Value> {
        let files = fs::read_dir(self.directory.path()).unwrap();
        let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|suffix| suffix == "json"));
        files.sort();
        let read = |file: &PathBuf| serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        files.iter().map(read).collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
