//! The program that speaks old TLS, and where it is.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The name of the program.
pub const HELPER: &str = "apmon-tls-legacy";

static CHOSEN: OnceLock<PathBuf> = OnceLock::new();

/// Has the program at `path` used, instead of the one that [`find_helper`] would find: for
/// programs that embed apmon and are installed elsewhere. The first call counts.
pub fn use_helper(path: PathBuf) {
    let _ = CHOSEN.set(path);
}

/// Finds the program: beside this one, in `libexec/apmon` or `lib/apmon` of the same
/// installation, or in `PATH`.
#[must_use]
pub fn find_helper() -> Option<PathBuf> {
    if let Some(chosen) = CHOSEN.get() {
        return Some(chosen.clone());
    }
    let own = env::current_exe().ok();
    let own = own.as_deref().and_then(Path::parent);
    let beside = own
        .into_iter()
        .flat_map(|own| ["", "../libexec/apmon", "../lib/apmon"].map(|place| own.join(place).join(HELPER)));
    let path = env::var_os("PATH").unwrap_or_default();
    // A relative directory in PATH would depend on where this process happens to be.
    let in_path = env::split_paths(&path)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(HELPER))
        .collect::<Vec<_>>();
    beside.chain(in_path).find(|path| path.is_file())
}

/// How the program is started: without the environment, which may hold secrets of the
/// site file, and without the system's configuration of OpenSSL, which often forbids
/// what it is for.
pub(super) fn command(path: &Path) -> Command {
    let mut command = Command::new(path);
    command
        .env_clear()
        .env("OPENSSL_CONF", "/dev/null")
        .current_dir("/");
    command
}
