//! Switches: what a poll costs in questions, in time beside net-snmp's own
//! tools, and in CPU where there are a thousand.

use std::{fs, path::Path, process::Command, process::Stdio, time::Duration};

use super::{
    Row, cost,
    engine::{figures, program},
    rig::Rig,
    write_site,
};
use crate::{
    fault::{During as _, Fault},
    process::{self, Running},
};

const AGENTS: usize = 1_000;
const AGENT_PORT: u16 = 28_161;

/// The first look at each comes within the minute; then each comes once.
const WARM_UP: Duration = Duration::from_secs(65);
const WINDOW: Duration = Duration::from_secs(60);

const SPACE: &str = "apmon-bench-snmp";
const CABLES: usize = 300;
const COMMUNITY: &str = "public";

pub(super) fn rows(folder: &Path, _: &Rig) -> Result<Vec<Row>, Fault> {
    let mut rows = vec![switch()?, cables(folder)?, keys()?];
    rows.extend(thousand(folder)?);
    Ok(rows)
}

/// One figure of a program's.
fn of(figures: &std::collections::HashMap<String, f64>, name: &str) -> Result<f64, Fault> {
    let figure = figures.get(name).copied();
    figure.ok_or_else(|| Fault::new(format!("the bench did not say {name}")))
}

fn switch() -> Result<Row, Fault> {
    let said = figures(Command::new(program()).arg("switch"))?;
    Ok(Row::new(
        format!(
            "poll of 48 ports, 100 stations: round trips, of them for the interfaces' columns, longest answer (the most of 20 polls: {:.0}, {:.0}, {:.0} B)",
            of(&said, "round_trips_max")?,
            of(&said, "interfaces_max")?,
            of(&said, "longest_max")?
        ),
        format!(
            "{:.0}, {:.0}, {:.0} B",
            of(&said, "round_trips")?,
            of(&said, "interfaces")?,
            of(&said, "longest")?
        ),
        "40, 16, 1,400 B",
    ))
}

/// A real agent that has 601 interfaces.
fn cables(folder: &Path) -> Result<Row, Fault> {
    let _space = Space::make(folder)?;
    let config = folder.join("snmpd.agent.conf");
    fs::write(&config, format!("rocommunity {COMMUNITY}\n")).during("write the agent's file")?;
    let log = fs::File::create(folder.join("snmpd.log")).during("write snmpd.log")?;
    let snmpd = process::find("snmpd").ok_or_else(|| Fault::new("there is no snmpd"))?;
    let _snmpd = Running::start("snmpd", "ip".into(), |command| {
        command.args(["netns", "exec", SPACE]).arg(snmpd);
        command
            .args(["-f", "-Le", "-c"])
            .arg(&config)
            .arg("udp:127.0.0.1:161");
        // Nothing of this machine's own agent.
        command
            .env("SNMPCONFPATH", folder)
            .env("SNMP_PERSISTENT_DIR", folder)
            .env("MIBS", "");
        command.stdout(Stdio::null()).stderr(log)
    })?;
    let answers = process::wait_until(Duration::from_secs(20), || {
        process::works(
            Command::new("ip")
                .args([
                    "netns", "exec", SPACE, "snmpget", "-v2c", "-c", COMMUNITY, "-t", "1", "-r", "0",
                ])
                .args(["127.0.0.1:161", "1.3.6.1.2.1.1.3.0"]),
        )
    });
    if !answers {
        return Err(Fault::new("snmpd does not answer; see snmpd.log"));
    }
    let mut beside = Command::new("ip");
    beside.args(["netns", "exec", SPACE]).arg(program());
    beside.args(["beside", "127.0.0.1:161", COMMUNITY, "7"]);
    let said = figures(&mut beside)?;
    let (ours, theirs) = (of(&said, "ours")?, of(&said, "theirs")?);
    let walks = theirs - of(&said, "starts")?;
    Ok(Row::new(
        format!(
            "poll of 601 interfaces, wall time ({:.0} ms of it CPU): share of the walks' time; of that without starting 12 programs",
            of(&said, "cpu")?
        ),
        format!("{ours:.0} ms: {:.2}; {:.2}", ours / theirs, ours / walks),
        "0.75",
    )
    .beside(format!(
        "snmpbulkwalk -Cr50, 12 columns: {theirs:.0} ms; {walks:.0} ms"
    )))
}

fn keys() -> Result<Row, Fault> {
    let said = figures(Command::new(program()).arg("keys"))?;
    Ok(Row::new(
        "SNMPv3: both keys of one user on one engine: MD5, SHA-1, SHA-256, SHA-512",
        format!(
            "{:.1}, {:.1}, {:.1}, {:.1} ms",
            of(&said, "md5")?,
            of(&said, "sha1")?,
            of(&said, "sha256")?,
            of(&said, "sha512")?
        ),
        "-",
    ))
}

/// A thousand switches, each asked once in a minute.
fn thousand(folder: &Path) -> Result<Vec<Row>, Fault> {
    let log = fs::File::create(folder.join("agents.log")).during("write agents.log")?;
    let _agents = Running::start("the agents", program(), |command| {
        command.args(["agent", &AGENTS.to_string(), &AGENT_PORT.to_string()]);
        command.stdout(log)
    })?;
    let is_ready = || {
        let said = fs::read_to_string(folder.join("agents.log"));
        said.is_ok_and(|said| said.contains("ready"))
    };
    if !process::wait_until(Duration::from_secs(20), is_ready) {
        return Err(Fault::new("the agents do not run; see agents.log"));
    }
    let user = "user: bench, auth_protocol: sha256, auth_password: the bench signs, priv_protocol: aes128, priv_password: the bench encrypts";
    let mut rows = Vec::new();
    for (version, credentials) in [("v2c", "community: public"), ("v3, SHA-256, AES-128", user)] {
        let site = folder.join("switches.yaml");
        let monitor = |i: usize| {
            format!(
                "type: ports, name: m{i}, address: \"snmp://{}\", {credentials}",
                address(i)
            )
        };
        write_site(&site, "check_every_n_secs: 60", (0..AGENTS).map(monitor))?;
        let watched = cost::watch(&[&site], WARM_UP, WINDOW)?;
        watched.must_be_up()?;
        rows.push(Row::new(
            format!("1,000 switches of 48 ports each minute ({version}): share of a core; memory"),
            format!(
                "{:.1} %; {:.0} MB",
                watched.cpu * 100.0 / WINDOW.as_secs_f64(),
                watched.peak / 1024.0
            ),
            "20 %",
        ));
    }
    Ok(rows)
}

/// As the agents count theirs.
fn address(i: usize) -> String {
    format!("127.1.{}.{}:{AGENT_PORT}", (i + 1) / 256, (i + 1) % 256)
}

/// A network namespace with cables; taken down when dropped.
struct Space;

impl Space {
    fn make(folder: &Path) -> Result<Self, Fault> {
        process::works(Command::new("ip").args(["netns", "del", SPACE]));
        let batch = folder.join("cables.batch");
        let cable = |i: usize| {
            format!(
                "link add veth{i} type veth peer name peer{i}\nlink set veth{i} addrgenmode none up\nlink set peer{i} addrgenmode none up\n"
            )
        };
        let lines: String = (0..CABLES).map(cable).collect();
        fs::write(&batch, format!("link set lo up\n{lines}")).during("write the cables")?;
        let add = process::works(Command::new("ip").args(["netns", "add", SPACE]));
        let space = Self;
        let lay = process::works(Command::new("ip").args(["-n", SPACE, "-batch"]).arg(&batch));
        match add && lay {
            true => Ok(space),
            false => Err(Fault::new("ip could lay no cables (bench needs to be root)")),
        }
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        process::works(Command::new("ip").args(["netns", "del", SPACE]));
    }
}
