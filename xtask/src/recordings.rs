//! `cargo xtask recordings`: the recorded devices that the SNMP tests replay,
//! in a Python environment of their own below the target directory.

use std::{
    fs::{self, File},
    path::Path,
    process::Command,
};

use crate::{
    fault::{During, Fault},
    package::{self, Needed, needed},
    process, workspace,
};

/// Debian's own Python, even if another one is earlier in PATH: a hand-built
/// Python often lacks the database that indexes the recordings.
const PYTHON: &str = "/usr/bin/python3";
pub(crate) const VENV: Needed = needed("/usr/bin/python3:ensurepip", "python3-venv");
pub(crate) const GDBM: Needed = needed("/usr/bin/python3:dbm.gnu", "python3-gdbm");

/// The sources of the recordings, which the tests list too (`tests/lab/recording.rs`).
const SOURCES: &str = "apmon-snmp-client/tests/lab/recordings";
const REQUIREMENTS: &str = "requirements.txt";
const DEVICES: &str = "devices.txt";
const UNPACK: &str = "unpack.py";

pub(crate) fn run(arguments: &[String]) -> Result<(), Fault> {
    crate::no_arguments(arguments)?;
    package::install(&[VENV, GDBM])?;
    install()
}

/// Makes the recordings, unless they exist and are made from the current sources.
pub(crate) fn install() -> Result<(), Fault> {
    let sources = workspace::root().join(SOURCES);
    let mut made_from = String::new();
    for file in [REQUIREMENTS, DEVICES, UNPACK] {
        made_from += &workspace::read(&sources.join(file))?;
    }
    let target = workspace::target();
    fs::create_dir_all(&target).during(format!("make {}", workspace::shown(&target)))?;
    // Held until this returns: another run may make them at the same time.
    let lock = File::create(target.join("snmpsim.lock")).during("make target/snmpsim.lock")?;
    lock.lock().during("lock target/snmpsim.lock")?;
    let place = target.join("snmpsim");
    let complete = place.join("complete");
    if fs::read_to_string(&complete).is_ok_and(|text| text == made_from) {
        return Ok(());
    }
    println!("== installing the recorded devices");
    if place.exists() {
        fs::remove_dir_all(&place).during(format!("remove {}", workspace::shown(&place)))?;
    }
    make(&place, &sources).during("install the recorded devices for the SNMP tests from PyPI")?;
    workspace::write(&complete, &made_from)
}

fn make(place: &Path, sources: &Path) -> Result<(), Fault> {
    let venv = place.join("venv");
    process::run(Command::new(PYTHON).args(["-m", "venv"]).arg(&venv))?;
    let python = venv.join("bin/python");
    let pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--requirement"];
    process::run(Command::new(&python).args(pip).arg(sources.join(REQUIREMENTS)))?;
    process::run(
        Command::new(&python)
            .current_dir(place)
            .arg(sources.join(UNPACK))
            .arg(sources.join(DEVICES)),
    )
}
