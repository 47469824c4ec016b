//! Five servers that send at full speed and without end, beside twenty responding
//! neighbours: they may cost what their budget allows, but must not delay others.

use std::{fs, net::TcpStream, path::Path, process::Stdio, time::Duration};

use super::{Row, cost, median, rig::Rig, write_site};
use crate::{
    fault::{During as _, Fault},
    process::{self, Running},
};

const SERVERS: &str = include_str!("hostile.py");

/// The ports of the servers, with what each does and the scheme of its address.
const FLOODS: &[(u16, &str, &str)] = &[
    (28_501, "interim2", "https"),
    (28_502, "windows", "https"),
    (28_503, "letters", "https"),
    (28_504, "interim1", "http"),
    (28_505, "members", "http"),
];

const NEIGHBOURS: usize = 20;

pub(super) fn rows(folder: &Path, rig: &Rig) -> Result<Vec<Row>, Fault> {
    let _ended_at_the_end = start(folder)?;
    let neighbours = folder.join("neighbours.yaml");
    let living = |i: usize| format!("type: http, name: m{i}, address: \"http://{}\"", Rig::http(i));
    write_site(&neighbours, "check_every_n_secs: 1", (0..NEIGHBOURS).map(living))?;
    let others = folder.join("hostile.yaml");
    let hostile = FLOODS.iter().map(|(port, name, scheme)| {
        let address = format!("{scheme}://127.0.0.1:{port}/");
        let pin = match *scheme {
            "https" => format!(", ssl_fingerprint: \"{}\"", rig.pin),
            _ => String::new(),
        };
        format!("type: http, name: {name}, address: \"{address}\", expect: needle{pin}")
    });
    write_site(
        &others,
        "check_every_n_secs: 1, max_try_secs: 20, max_retries: 9",
        hostile,
    )?;
    let (mut late, mut late_alone) = (Vec::new(), Vec::new());
    let (mut peak, mut stop) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let (warm_up, window) = (Duration::from_secs(2), Duration::from_secs(18));
        let alone = cost::measure(&[&neighbours], warm_up, window)?;
        late_alone.push(alone.lateness("neighbours", "p99")?);
        let beside = cost::measure(&[&neighbours, &others], warm_up, window)?;
        late.push(beside.lateness("neighbours", "p99")?);
        peak.push(beside.peak / 1024.0);
        stop.push(beside.stop.as_secs_f64());
    }
    Ok(vec![Row::new(
        format!(
            "20 neighbours beside 5 hostile servers: checks late by p99 ({:.1} ms without them); memory; end after SIGTERM",
            median(late_alone)
        ),
        format!(
            "{:.1} ms; {:.0} MB; {:.2} s",
            median(late),
            median(peak),
            median(stop)
        ),
        "20 ms; 64 MB; 2 s",
    )])
}

/// Starts the servers, with the certificate of the rig.
fn start(folder: &Path) -> Result<Running, Fault> {
    let program = folder.join("hostile.py");
    fs::write(&program, SERVERS).during("write hostile.py")?;
    let python = process::find("python3").ok_or_else(|| Fault::new("there is no python3"))?;
    let log = fs::File::create(folder.join("hostile.log")).during("write hostile.log")?;
    let servers = Running::start("the hostile servers", python, |command| {
        command.arg(&program).arg(folder);
        command.args(FLOODS.iter().map(|(port, name, _)| format!("{name}={port}")));
        command.stdout(Stdio::null()).stderr(log)
    })?;
    let is_up = |port: u16| TcpStream::connect(("127.0.0.1", port)).is_ok();
    match process::wait_until(Duration::from_secs(10), || {
        FLOODS.iter().all(|(port, ..)| is_up(*port))
    }) {
        true => Ok(servers),
        false => Err(Fault::new(format!(
            "the hostile servers do not run; see {}",
            folder.join("hostile.log").display()
        ))),
    }
}
