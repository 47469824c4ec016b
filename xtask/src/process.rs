//! Other programs: run to their end, or in the background and stopped by their id.

use std::{
    env,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use crate::{
    fault::{During, Fault},
    workspace,
};

/// Time between two tests of a condition that is waited for.
const CHECK_EVERY: Duration = Duration::from_millis(50);

/// The cargo that runs this program, in the root of the checkout.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace::root());
    // The variables that `cargo run` sets for this package must not reach other
    // build scripts: ring's reruns when they change, and everything above it.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&*name);
        }
    }
    command
}

/// The command line as it would be typed.
pub fn shown(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program());
    let mut line = name.to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&workspace::shown(argument.as_ref()));
    }
    line
}

/// Runs a command to its end on this terminal.
///
/// # Errors
/// If it cannot be started or fails.
pub fn run(command: &mut Command) -> Result<(), Fault> {
    println!("$ {}", shown(command));
    let status = command.status().during(shown(command))?;
    succeeded(command, status)
}

/// Runs a command to its end and returns its output.
///
/// # Errors
/// If it cannot be started, fails, or prints something that is not text.
pub fn output(command: &mut Command) -> Result<String, Fault> {
    let output = command.stderr(Stdio::inherit()).output().during(shown(command))?;
    succeeded(command, output.status)?;
    String::from_utf8(output.stdout).during(format!("{}: its output", shown(command)))
}

/// Runs a command without output; whether it succeeded.
pub fn works(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn succeeded(command: &Command, status: ExitStatus) -> Result<(), Fault> {
    if status.success() {
        return Ok(());
    }
    Err(Fault::new(format!("{} failed ({status})", shown(command))))
}

/// The path of a program: from PATH, or from the directories of administration
/// programs.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let places = env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    places
        .map(|place| place.join(program))
        .find(|file| file.is_file())
}

/// Waits until `question` returns true; `false` if `limit` passes first.
pub fn wait_until(limit: Duration, mut question: impl FnMut() -> bool) -> bool {
    for _ in 0..=limit.as_millis() / CHECK_EVERY.as_millis() {
        if question() {
            return true;
        }
        thread::sleep(CHECK_EVERY);
    }
    false
}

/// A background program that ends together with this one.
pub struct Running {
    name: &'static str,
    child: Child,
    status: Option<ExitStatus>,
}

impl Running {
    /// Starts `program`. With `setpriv`, the kernel ends it even if this program
    /// is killed by SIGKILL.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(
        name: &'static str,
        program: PathBuf,
        prepare: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Result<Self, Fault> {
        let mut command = match find("setpriv") {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", "TERM", "--"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        let child = prepare(&mut command)
            .stdin(Stdio::null())
            .spawn()
            .during(format!("start {name}"))?;
        Ok(Self {
            name,
            child,
            status: None,
        })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Errors
    /// If it does not end within `limit`.
    pub fn stop(&mut self, limit: Duration) -> Result<ExitStatus, Fault> {
        if let Some(status) = self.ended() {
            return Ok(status);
        }
        let id = self.id().to_string();
        // The shell's built-in `kill` needs no package.
        works(Command::new("sh").args(["-c", "kill -TERM \"$0\"", &id]));
        wait_until(limit, || self.ended().is_some());
        self.ended().ok_or_else(|| {
            let name = self.name;
            Fault::new(format!(
                "{name} did not end within {} s of SIGTERM",
                limit.as_secs()
            ))
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.stop(Duration::from_secs(3)).is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
