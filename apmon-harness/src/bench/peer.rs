//! The tools of the field, run as they are meant to be used.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use super::{cost, median};
use crate::{
    fault::{During, Fault},
    process::{self, Running},
    stopwatch::Stopwatch,
};

const ADDRESS: &str = "127.0.0.1:29115";
const MODULES: &str = "modules:\n  tcp_connect: {prober: tcp}\n  icmp: {prober: icmp}\n  \
    http_2xx: {prober: http, http: {tls_config: {insecure_skip_verify: true}}}\n";
const RUNS: usize = 3;
const PINGS: usize = 10_000;

/// One of many addresses of 127/8.
pub(super) fn ping_target(i: usize) -> String {
    format!("127.1.{}.{}", i / 250, i % 250 + 1)
}

/// prometheus-blackbox-exporter, queried over one persistent connection, one
/// probe after another.
pub(super) struct Exporter(Running);

impl Exporter {
    pub(super) fn start(folder: &Path) -> Result<Self, Fault> {
        let config = folder.join("blackbox.yml");
        fs::write(&config, MODULES).during("write blackbox.yml")?;
        let name = "prometheus-blackbox-exporter";
        let program = process::find(name).ok_or_else(|| Fault::new(format!("there is no {name}")))?;
        let running = Running::start(name, program, |command| {
            command
                .arg(format!("--config.file={}", config.display()))
                .arg(format!("--web.listen-address={ADDRESS}"))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
        })?;
        if !process::wait_until(Duration::from_secs(5), || TcpStream::connect(ADDRESS).is_ok()) {
            return Err(Fault::new(format!("{name} does not listen on {ADDRESS}")));
        }
        Ok(Self(running))
    }

    /// CPU milliseconds of a probe by `module`.
    pub(super) fn cost(&self, module: &str, target: &dyn Fn(usize) -> String) -> Result<f64, Fault> {
        let mut costs = Vec::new();
        for _ in 0..RUNS {
            let before = cost::cpu_of(self.0.id())?;
            let watch = Stopwatch::start();
            let (mut asked, mut failed) = (0, 0);
            let mut connection =
                BufReader::new(TcpStream::connect(ADDRESS).during("connect to the exporter")?);
            while watch.elapsed() < Duration::from_secs(4) {
                let success = ask(&mut connection, module, &target(asked)).during("ask the exporter")?;
                failed += usize::from(!success);
                asked += 1;
            }
            // A figure of failed probes would mean nothing.
            if failed * 5 > asked {
                return Err(Fault::new(format!(
                    "{failed} of {asked} probes of blackbox_exporter's {module} failed"
                )));
            }
            if failed > 0 {
                println!("   ({failed} of {asked} probes of blackbox_exporter's {module} failed)");
            }
            costs.push((cost::cpu_of(self.0.id())? - before) * 1000.0 / asked as f64);
        }
        Ok(median(costs))
    }
}

/// Makes one probe; whether it succeeded.
fn ask(connection: &mut BufReader<TcpStream>, module: &str, target: &str) -> std::io::Result<bool> {
    let request = format!("GET /probe?module={module}&target={target} HTTP/1.1\r\nHost: exporter\r\n\r\n");
    connection.get_mut().write_all(request.as_bytes())?;
    let (mut length, mut chunked) = (None, false);
    loop {
        let mut line = String::new();
        connection.read_line(&mut line)?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        length = length.or(line
            .strip_prefix("content-length:")
            .and_then(|value| value.trim().parse::<usize>().ok()));
        chunked |= line.starts_with("transfer-encoding: chunked");
    }
    let mut body = Vec::new();
    if chunked {
        loop {
            let mut line = String::new();
            connection.read_line(&mut line)?;
            let size = usize::from_str_radix(line.trim(), 16).unwrap_or(0);
            let start = body.len();
            body.resize(start + size + 2, 0);
            connection.read_exact(&mut body[start..])?;
            body.truncate(start + size); // without the line ending, which would split words
            if size == 0 {
                break;
            }
        }
    } else {
        body.resize(length.unwrap_or(0), 0);
        connection.read_exact(&mut body)?;
    }
    Ok(String::from_utf8_lossy(&body).contains("probe_success 1"))
}

/// CPU milliseconds of a ping by fping, 10,000 a second.
pub(super) fn fping(folder: &Path) -> Result<f64, Fault> {
    const ROUNDS: usize = 5;
    let list = folder.join("targets");
    let targets: Vec<_> = (0..PINGS).map(ping_target).collect();
    fs::write(&list, targets.join("\n")).during("write targets")?;
    let program = process::find("fping").ok_or_else(|| Fault::new("there is no fping"))?;
    let mut costs = Vec::new();
    for _ in 0..RUNS {
        let mut command = Command::new(&program);
        command
            .args(["-q", "-C", &ROUNDS.to_string(), "-p", "1000", "-i", "0.1", "-f"])
            .arg(&list);
        let cpu = cost::cpu_to_end(&mut command)?;
        costs.push(cpu * 1000.0 / (PINGS * ROUNDS) as f64);
    }
    Ok(median(costs))
}
