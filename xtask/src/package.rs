//! Installs missing Debian packages.
//!
//! Only their programs are needed: their services are not started, now or at
//! the next boot (`package/no-services.sh`).

use std::process::Command;

use crate::{
    fault::Fault,
    process::{self, find},
    workspace,
};

/// A needed program, by name or path, or a module of python3 (`python3:yaml`,
/// or `/usr/bin/python3:yaml` if only that Python counts) or perl (`perl:RRDs`),
/// and the package that contains it.
pub(crate) struct Needed {
    pub(crate) program: &'static str,
    pub(crate) package: &'static str,
}

pub(crate) const NGINX: Needed = needed("nginx", "nginx-light");
pub(crate) const DNSMASQ: Needed = needed("dnsmasq", "dnsmasq-base");
pub(crate) const CXX: Needed = needed("c++", "g++");

pub(crate) const fn needed(program: &'static str, package: &'static str) -> Needed {
    Needed { program, package }
}

impl Needed {
    fn is_there(&self) -> bool {
        let imports = |python: &str, module: &str| {
            let import = format!("import {module}");
            process::works(Command::new(python).args(["-c", &import]))
        };
        match self.program.split_once(':') {
            None => find(self.program).is_some(),
            Some(("perl", module)) => {
                process::works(Command::new("perl").args([&format!("-M{module}"), "-e", "1"]))
            }
            // Debian's own Python, or another one earlier in PATH.
            Some(("python3", module)) => imports("python3", module) || imports("/usr/bin/python3", module),
            Some((python, module)) => imports(python, module),
        }
    }
}

/// Installs missing packages with apt-get, as root or through sudo.
pub(crate) fn install(wanted: &[Needed]) -> Result<(), Fault> {
    let missing: Vec<&str> = wanted
        .iter()
        .filter(|needed| !needed.is_there())
        .map(|needed| needed.package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("== installing {}", missing.join(", "));
    let mut install = apt_get(&missing)?;
    install
        .args(["install", "-y", "--no-install-recommends"])
        .args(&missing);
    if process::run(&mut install).is_err() {
        // The usual reason: the lists of a fresh machine are empty or old.
        process::run(apt_get(&missing)?.arg("update"))?;
        process::run(&mut install)?;
    }
    for needed in wanted {
        if !needed.is_there() {
            let Needed { program, package } = needed;
            return Err(Fault::new(format!(
                "{program} is still missing after installing {package}"
            )));
        }
    }
    Ok(())
}

fn apt_get(missing: &[&str]) -> Result<Command, Fault> {
    let hint = format!("install by hand: {}", missing.join(" "));
    let Some(apt_get) = find("apt-get") else {
        return Err(Fault::new(format!("apt-get is not available; {hint}")));
    };
    let mut command = if is_root() {
        let mut command = Command::new("env");
        command.arg("DEBIAN_FRONTEND=noninteractive");
        command
    } else if let Some(sudo) = find("sudo") {
        let mut command = Command::new(sudo);
        command.args(["env", "DEBIAN_FRONTEND=noninteractive"]);
        command
    } else {
        return Err(Fault::new(format!("this needs root or sudo; {hint}")));
    };
    command.arg("sh");
    command.arg(workspace::root().join("xtask/src/package/no-services.sh"));
    command.arg(apt_get);
    Ok(command)
}

/// Whether this process is root, by the owner of its directory in /proc: the
/// standard library has no function for it.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}
