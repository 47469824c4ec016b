//! Recorded devices that snmpsim replays.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use super::service::{Service, at_a_free_port, loopback};

/// What `cargo xtask recordings` makes them from. It writes all of it into the
/// file `complete` once it is done.
const MADE_FROM: [&str; 3] = [
    include_str!("recordings/requirements.txt"),
    include_str!("recordings/devices.txt"),
    include_str!("recordings/unpack.py"),
];

/// One agent that is all recorded devices: which one it is says the community.
/// It speaks versions 1 and 2c, and answers one request after another, some
/// 2,500 varbinds a second: the interface table of a switch with 50 ports takes
/// it half a second.
pub struct Recordings {
    _service: Service,
    _directory: TempDir,
    port: u16,
}

impl Recordings {
    /// On 127.0.0.1. Several may run at a time; each takes a second to start.
    #[track_caller]
    pub fn start() -> Self {
        let place = place();
        at_a_free_port(|port| {
            let directory = tempfile::tempdir().unwrap();
            // By the interpreter and with relative names: so the place may move.
            let mut command = Command::new(place.join("venv/bin/python"));
            command
                .arg("venv/bin/snmpsim-command-responder")
                .args(["--data-dir=data", "--cache-dir=cache"])
                .args(["--logging-method=stderr", "--log-level=error"])
                .arg(format!("--agent-udpv4-endpoint=127.0.0.1:{port}"))
                .current_dir(&place)
                .env("HOME", directory.path())
                // Else root must name somebody, who may not get to the place.
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

    /// The devices' names, which are their communities.
    pub fn names() -> impl Iterator<Item = &'static str> {
        let lines = MADE_FROM[1].lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.split(' ').next().unwrap())
    }

    /// The recording itself: a line a value, `OID|tag|value` (for the tags see
    /// snmpsim; one with `x` stands before hexadecimal digits).
    #[track_caller]
    pub fn text(name: &str) -> String {
        let path = place().join(format!("data/{name}.snmprec"));
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Where they are, below the directory that cargo builds in.
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
