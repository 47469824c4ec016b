//! `cargo xtask layout`: writes the list of functions that a pass runs, by which
//! `apmon-cli/build.rs` lays out the program of the `dist` profile.

mod trace;

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use self::trace::{Layout, executed};
use crate::{
    fault::{During, Fault},
    package::{self, needed},
    process::{self, Running},
    workspace,
};

/// How long the daemon runs: it needs some seconds to start when it is traced, and then makes
/// one check each second.
const DAEMON_RUNS: Duration = Duration::from_secs(20);

pub(crate) fn run(arguments: &[String]) -> Result<(), Fault> {
    crate::no_arguments(arguments)?;
    package::install(&[needed("valgrind", "valgrind")])?;
    let folder = workspace::target().join("layout");
    if folder.exists() {
        fs::remove_dir_all(&folder).during("empty target/layout")?;
    }
    fs::create_dir_all(&folder).during("make target/layout")?;
    let map = folder.join("link.map");
    process::run(
        process::cargo()
            .args([
                "build",
                "--profile",
                "dist",
                "--package",
                "apmon-cli",
                "--bin",
                "apmon",
            ])
            .env("APMON_LINK_MAP", &map),
    )?;
    if !map.exists() {
        return Err(Fault::new(
            "the program was not linked by rustc's own lld for x86_64-unknown-linux-gnu, which this task needs",
        ));
    }
    let layout = Layout::read(&workspace::read(&map)?)?;
    let target = Target::start()?;
    let site = folder.join("site.yaml");
    workspace::write(&site, &target.site())?;
    let traces = traces(&folder, &site)?;
    let mut names = Vec::new();
    for trace in traces {
        // Those of a pass come first; the daemon's add to them.
        for name in layout.functions(&executed(&workspace::read(&trace)?, "/apmon")?) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let list = workspace::root().join("apmon-cli/layout/x86_64-unknown-linux-gnu.txt");
    workspace::write(&list, &format!("{}\n", names.join("\n")))?;
    println!("{}: {} functions", workspace::shown(&list), names.len());
    Ok(())
}

/// Traces passes and the daemon; the passes first.
fn traces(folder: &Path, site: &Path) -> Result<Vec<PathBuf>, Fault> {
    let state = folder.join("state.json");
    let mut traces = Vec::new();
    // The first pass begins without a state, the second one continues from it.
    for pass in ["first", "second"] {
        let trace = folder.join(format!("{pass}.callgrind"));
        process::run(traced(&trace)?.arg("-s").arg(&state).arg(site))?;
        thread::sleep(Duration::from_secs(2)); // so that the monitor is due again
        traces.push(trace);
    }
    let trace = folder.join("daemon.callgrind");
    let mut daemon = traced(&trace)?;
    daemon
        .args(["run", "-s"])
        .arg(folder.join("daemon.json"))
        .arg(site);
    let valgrind = PathBuf::from(daemon.get_program());
    let mut daemon = Running::start("apmon", valgrind, |command| command.args(daemon.get_args()))?;
    thread::sleep(DAEMON_RUNS);
    daemon.stop(Duration::from_secs(30))?;
    traces.push(trace);
    Ok(traces)
}

/// The program under callgrind.
fn traced(trace: &Path) -> Result<Command, Fault> {
    let valgrind = process::find("valgrind").ok_or_else(|| Fault::new("there is no valgrind"))?;
    let mut command = Command::new(valgrind);
    command
        .args([
            "--tool=callgrind",
            "--quiet",
            "--dump-instr=yes",
            "--compress-pos=no",
            "--compress-strings=no",
        ])
        .arg(format!("--callgrind-out-file={}", trace.display()))
        .arg(workspace::target().join("dist/apmon"));
    Ok(command)
}

/// A port on loopback that accepts connections.
struct Target {
    port: u16,
}

impl Target {
    fn start() -> Result<Self, Fault> {
        let listener = TcpListener::bind("127.0.0.1:0").during("open a port")?;
        let port = listener.local_addr().during("open a port")?.port();
        thread::spawn(move || listener.incoming().for_each(drop));
        Ok(Self { port })
    }

    fn site(&self) -> String {
        format!(
            "site:\n  name: layout\n  check_every_n_secs: 1\nmonitors:\n  - type: tcp\n    name: port\n    address: tcp://127.0.0.1:{}\n",
            self.port
        )
    }
}
