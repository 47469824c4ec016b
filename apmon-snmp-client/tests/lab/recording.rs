//! Recorded devices, replayed by snmpsim.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use super::service::{Service, at_a_free_port, loopback};

/// The files from which `cargo xtask recordings` makes the recordings. It writes all of them
/// to the file `complete` when it is done.
const MADE_FROM: [&str; 3] = [
    include_str!("recordings/requirements.txt"),
    include_str!("recordings/devices.txt"),
    include_str!("recordings/unpack.py"),
];

/// An agent that replays all recorded devices; the community chooses one. It speaks versions 1
/// and 2c, and answers one request after another, some 2,500 varbinds per second, which is half
/// a second for the interface table of a switch with 50 ports.
pub struct Recordings {
    _service: Service,
    _directory: TempDir,
    port: u16,
}

impl Recordings {
    /// Starts the agent on 127.0.0.1, which takes a second. Several may run at a time.
    #[track_caller]
    pub fn start() -> Self {
        let place = place();
        at_a_free_port(|port| {
            let directory = tempfile::tempdir().unwrap();
            // With the interpreter and relative names, so that the directory may move.
            let mut command = Command::new(place.join("venv/bin/python"));
            command
                .arg("venv/bin/snmpsim-command-responder")
                .args(["--data-dir=data", "--cache-dir=cache"])
                .args(["--logging-method=stderr", "--log-level=error"])
                .arg(format!("--agent-udpv4-endpoint=127.0.0.1:{port}"))
                .current_dir(&place)
                .env("HOME", directory.path())
                // Otherwise root must name a user, who may not have access.
                .env("SNMPSIM_ALLOW_ROOT", "true");
            let service = Service::start("snmpsim", &command, directory.path(), port)?;
            Ok(Self {
                _service: service,
                _directory: directory,
                port,
            })
        })
    }

    pub fn address(&self) -> SocketAddr {
        loopback(self.port)
    }

    /// The names of the devices, which are their communities.
    pub fn names() -> impl Iterator<Item = &'static str> {
        let lines = MADE_FROM[1].lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.split(' ').next().unwrap())
    }

    /// The recording itself, with a line `OID|tag|value` for each value. The tags are snmpsim's; an
    /// `x` in one means hexadecimal digits.
    #[track_caller]
    pub fn text(name: &str) -> String {
        let path = place().join(format!("data/{name}.snmprec"));
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// The directory of the recordings, below cargo's target directory.
#[track_caller]
fn place() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let place = target.join("snmpsim");
    let complete = fs::read_to_string(place.join("complete")).unwrap_or_default();
    assert!(
        complete == MADE_FROM.concat(),
        "this test needs the recorded devices: cargo xtask recordings"
    );
    place
}
