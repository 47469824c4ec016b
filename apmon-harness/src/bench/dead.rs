//! Ten thousand targets that never answer, beside a hundred responding
//! neighbours: they may cost memory, but must not delay others.

use std::{path::Path, time::Duration};

use super::{
    Row, cost, median, peer,
    rig::Rig,
    space::{SPACE, Space, nobody},
    write_site,
};
use crate::fault::Fault;

const DEAD: usize = 10_000;

/// A kind, with a monitor whose target never answers and one whose check ends
/// immediately.
struct Kind {
    name: &'static str,
    silent: fn(usize) -> String,
    prompt: fn(usize) -> String,
}

const KINDS: &[Kind] = &[
    Kind {
        name: "ping",
        silent: |i| format!("type: ping, address: {}", nobody(i)),
        prompt: |i| format!("type: ping, address: {}", peer::ping_target(i)),
    },
    Kind {
        name: "tcp",
        silent: |i| format!("type: tcp, address: \"tcp://{}:80\"", nobody(i)),
        prompt: |_| "type: tcp, address: \"tcp://127.0.0.1:9\"".to_owned(),
    },
    Kind {
        name: "https",
        silent: |i| format!("type: http, address: \"https://{}/\"", nobody(i)),
        prompt: |_| "type: http, address: \"https://127.0.0.1:9/\"".to_owned(),
    },
    Kind {
        name: "quic",
        silent: |i| format!("type: quic, address: \"https://{}/\"", nobody(i)),
        prompt: |_| "type: quic, address: \"https://127.0.0.1:9/\"".to_owned(),
    },
];

pub(super) fn rows(folder: &Path, _: &Rig) -> Result<Vec<Row>, Fault> {
    let _taken_down_at_the_end = Space::make()?;
    let neighbours = folder.join("neighbours.yaml");
    // Nothing listens inside the namespace: a refused connection is an answer.
    write_site(
        &neighbours,
        "check_every_n_secs: 1, max_retries: 9",
        (0..100).map(|i| format!("type: tcp, name: m{i}, address: \"tcp://127.0.0.1:9\"")),
    )?;
    let head = "check_every_n_secs: 30, max_try_secs: 20, max_retries: 9";
    let others = folder.join("others.yaml");
    let (warm_up, window) = (Duration::from_secs(8), Duration::from_secs(4));
    let mut rows = Vec::new();
    for kind in KINDS {
        let (mut each, mut late, mut late_before) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..3 {
            let named =
                |what: fn(usize) -> String| (0..DEAD).map(move |i| format!("name: d{i}, {}", what(i)));
            write_site(&others, head, named(kind.prompt))?;
            let before = cost::measure_in(SPACE, &[&neighbours, &others], warm_up, window)?;
            write_site(&others, head, named(kind.silent))?;
            let with = cost::measure_in(SPACE, &[&neighbours, &others], warm_up, window)?;
            each.push((with.peak - before.peak) / DEAD as f64);
            late.push(with.lateness("neighbours", "p99")?);
            late_before.push(before.lateness("neighbours", "p99")?);
        }
        rows.push(Row::new(
            format!(
                "{} at 10,000 dead addresses: memory each (100 neighbours' checks late by p99 {:.1} ms, {:.1} ms beside 10,000 that end at once)",
                kind.name,
                median(late),
                median(late_before)
            ),
            format!("{:.1} kB", median(each)),
            if kind.name == "quic" { "-" } else { "6 kB" },
        ));
    }
    Ok(rows)
}
