//! Switches: the cost of a poll in requests, in time compared with net-snmp's own
//! tools, and in CPU for a thousand switches.

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

/// The first check of each switch comes within the first minute.
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

/// One figure of a program, by name.
fn of(figures: &std::collections::HashMap<String, f64>, name: &str) -> Result<f64, Fault> {
    let figure = figures.get(name).copied();
    figure.ok_or_else(|| Fault::new(format!("the bench did not print {name}")))
}

fn switch() -> Result<Row, Fault> {
    let printed = figures(Command::new(program()).arg("switch"))?;
    Ok(Row::new(
        format!(
            "poll of 48 ports, 100 stations: round trips, of them for the interfaces' columns, longest answer (the most of 20 polls: {:.0}, {:.0}, {:.0} B)",
            of(&printed, "round_trips_max")?,
            of(&printed, "interfaces_max")?,
            of(&printed, "longest_max")?
        ),
        format!(
            "{:.0}, {:.0}, {:.0} B",
            of(&printed, "round_trips")?,
            of(&printed, "interfaces")?,
            of(&printed, "longest")?
        ),
        "40, 16, 1,400 B",
    ))
}

/// A real agent that has 601 interfaces.
fn cables(folder: &Path) -> Result<Row, Fault> {
    let _space = CableSpace::make(folder)?;
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
        // Independent of this machine's own agent.
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
    let printed = figures(&mut beside)?;
    let (ours, theirs) = (of(&printed, "ours")?, of(&printed, "theirs")?);
    let walks = theirs - of(&printed, "starts")?;
    Ok(Row::new(
        format!(
            "poll of 601 interfaces, wall time ({:.0} ms of it CPU): share of the walks' time; of that without starting 12 programs",
            of(&printed, "cpu")?
        ),
        format!("{ours:.0} ms: {:.2}; {:.2}", ours / theirs, ours / walks),
        "0.75",
    )
    .beside(format!(
        "snmpbulkwalk -Cr50, 12 columns: {theirs:.0} ms; {walks:.0} ms"
    )))
}

fn keys() -> Result<Row, Fault> {
    let printed = figures(Command::new(program()).arg("keys"))?;
    Ok(Row::new(
        "SNMPv3: both keys of one user on one engine: MD5, SHA-1, SHA-256, SHA-512",
        format!(
            "{:.1}, {:.1}, {:.1}, {:.1} ms",
            of(&printed, "md5")?,
            of(&printed, "sha1")?,
            of(&printed, "sha256")?,
            of(&printed, "sha512")?
        ),
        "-",
    ))
}

/// A thousand switches, each polled once a minute.
fn thousand(folder: &Path) -> Result<Vec<Row>, Fault> {
    let log = fs::File::create(folder.join("agents.log")).during("write agents.log")?;
    let _agents = Running::start("the agents", program(), |command| {
        command.args(["agent", &AGENTS.to_string(), &AGENT_PORT.to_string()]);
        command.stdout(log)
    })?;
    let is_ready = || {
        let log = fs::read_to_string(folder.join("agents.log"));
        log.is_ok_and(|log| log.contains("ready"))
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
        let measured = cost::measure(&[&site], WARM_UP, WINDOW)?;
        measured.must_be_up()?;
        rows.push(Row::new(
            format!("1,000 switches of 48 ports each minute ({version}): share of a core; memory"),
            format!(
                "{:.1} %; {:.0} MB",
                measured.cpu * 100.0 / WINDOW.as_secs_f64(),
                measured.peak / 1024.0
            ),
            "20 %",
        ));
    }
    Ok(rows)
}

/// The address of the `i`th agent.
fn address(i: usize) -> String {
    format!("127.1.{}.{}:{AGENT_PORT}", (i + 1) / 256, (i + 1) % 256)
}

/// A network namespace with cables; taken down when dropped.
struct CableSpace;

impl CableSpace {
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
        let laid = process::works(Command::new("ip").args(["-n", SPACE, "-batch"]).arg(&batch));
        match add && laid {
            true => Ok(space),
            false => Err(Fault::new("ip could not create the cables (bench needs root)")),
        }
    }
}

impl Drop for CableSpace {
    fn drop(&mut self) {
        process::works(Command::new("ip").args(["netns", "del", SPACE]));
    }
}
