//! Each kind of check at its rate, with the real binary, compared with its peers.

use std::{path::Path, time::Duration};

use super::{Row, bare, cost, median, peer, rig::Rig, write_site};
use crate::fault::Fault;

const RUNS: usize = 3;
const WARM_UP: Duration = Duration::from_secs(7);
const WINDOW: Duration = Duration::from_secs(6);
/// For a low rate: the kernel counts in hundredths of a second, too coarse for a few checks.
const LONG_WINDOW: Duration = Duration::from_secs(60);

struct Work {
    name: &'static str,
    /// Checks a second.
    rate: usize,
    /// The time in which its CPU time is measured.
    window: Duration,
    /// The CPU time of a check, or how much of that of a peer it may be.
    budget: &'static str,
    monitor: fn(usize, &Rig) -> String,
}

const WORKS: &[Work] = &[
    Work {
        name: "tcp",
        rate: 100,
        window: LONG_WINDOW,
        budget: "-",
        monitor: tcp,
    },
    Work {
        name: "tcp",
        rate: 2_000,
        window: WINDOW,
        budget: "a sixth of blackbox_exporter",
        monitor: tcp,
    },
    Work {
        name: "tcp",
        rate: 5_000,
        window: WINDOW,
        budget: "0.07 ms",
        monitor: tcp,
    },
    Work {
        name: "http, new connection",
        rate: 2_000,
        window: WINDOW,
        budget: "0.15 ms",
        monitor: |i, _| {
            format!(
                "type: http, name: m{i}, address: \"http://{}/\", expect: ok",
                Rig::http(i)
            )
        },
    },
    Work {
        name: "https, full handshake with pin",
        rate: 500,
        window: WINDOW,
        budget: "0.75 ms",
        monitor: |i, rig| {
            let (host, pin) = (Rig::https(i), &rig.pin);
            format!("type: http, name: m{i}, address: \"https://{host}/\", ssl_fingerprint: \"{pin}\"")
        },
    },
    Work {
        name: "quic, full handshake with pin",
        rate: 200,
        window: WINDOW,
        budget: "-",
        monitor: |i, rig| {
            let (host, pin) = (Rig::quic(i), &rig.pin);
            format!("type: quic, name: m{i}, address: \"https://{host}/\", ssl_fingerprint: \"{pin}\"")
        },
    },
    Work {
        name: "ping",
        rate: 10_000,
        window: WINDOW,
        budget: "0.03 ms",
        monitor: |i, _| format!("type: ping, name: m{i}, address: {}", peer::ping_target(i)),
    },
];

fn tcp(i: usize, _: &Rig) -> String {
    format!("type: tcp, name: m{i}, address: \"tcp://{}\"", Rig::http(i))
}

pub(super) fn rows(folder: &Path, rig: &Rig) -> Result<Vec<Row>, Fault> {
    let exporter = peer::Exporter::start(folder)?;
    let mut rows = Vec::new();
    for work in WORKS {
        let word = work.name.split([',', ' ']).next().unwrap_or(work.name);
        let site = folder.join(format!("{word}.yaml"));
        write_site(
            &site,
            "check_every_n_secs: 1, max_try_secs: 2",
            (0..work.rate).map(|i| (work.monitor)(i, rig)),
        )?;
        let (mut costs, mut late) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let measured = cost::measure(&[&site], WARM_UP, work.window)?;
            measured.must_be_up()?;
            let checks = work.window.as_secs_f64() * work.rate as f64;
            costs.push(measured.cpu * 1000.0 / checks);
            late.push(measured.lateness(word, "p99")?);
        }
        let measured = median(costs);
        let peers = peers(&exporter, word, work.rate, measured, folder)?;
        let name = format!(
            "{} at {}/s (checks late by p99 {:.1} ms)",
            work.name,
            work.rate,
            median(late)
        );
        rows.push(Row::new(name, format!("{measured:.4} ms"), work.budget).beside(peers));
    }
    Ok(rows)
}

/// The peers' cost of the same check, and the ratio to ours.
fn peers(
    exporter: &peer::Exporter,
    word: &str,
    rate: usize,
    ours: f64,
    folder: &Path,
) -> Result<String, Fault> {
    let mut texts = Vec::new();
    let mut add =
        |name: &str, theirs: f64| texts.push(format!("{name} {theirs:.3} ms ({:.1}x)", theirs / ours));
    match word {
        "tcp" => {
            add("blackbox_exporter", exporter.cost("tcp_connect", &Rig::http)?);
            add("the calls alone", bare::connections(rate, &Rig::http)?);
        }
        "http" => add(
            "blackbox_exporter",
            exporter.cost("http_2xx", &|i| format!("http://{}/", Rig::http(i)))?,
        ),
        "https" => add(
            "blackbox_exporter",
            exporter.cost("http_2xx", &|i| format!("https://{}/", Rig::https(i)))?,
        ),
        // None of the peers speaks HTTP/3.
        "quic" => return Ok("-".to_owned()),
        _ => {
            add("blackbox_exporter", exporter.cost("icmp", &peer::ping_target)?);
            add("fping", peer::fping(folder)?);
        }
    }
    Ok(texts.join(", "))
}
