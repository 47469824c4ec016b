//! A thousand names asked of a name server that never answers, in a network
//! namespace with a resolv.conf of its own, beside a hundred responding neighbours.

use std::{path::Path, time::Duration};

use super::{
    Row, cost, median,
    rig::Rig,
    space::{SPACE, Space},
    write_site,
};
use crate::fault::Fault;

pub(super) fn rows(folder: &Path, _: &Rig) -> Result<Vec<Row>, Fault> {
    let _taken_down_at_the_end = Space::make()?;
    // Nothing listens inside the namespace: a refused connection is an answer.
    let living =
        |i: usize| format!("type: tcp, name: m{i}, address: \"tcp://127.0.0.1:9\", check_every_n_secs: 1");
    let lost = |i: usize| {
        format!("type: tcp, name: lost{i}, address: \"tcp://host{i}.lan.example:80\", check_every_n_secs: 5")
    };
    let neighbours = folder.join("neighbours.yaml");
    write_site(&neighbours, "max_retries: 9", (0..100).map(living))?;
    let others = folder.join("names.yaml");
    write_site(&others, "max_try_secs: 4, max_retries: 9", (0..1000).map(lost))?;
    let (warm_up, window) = (Duration::from_secs(2), Duration::from_secs(13));
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let alone = cost::measure_in(SPACE, &[&neighbours], warm_up, window)?;
        without.push(alone.lateness("neighbours", "p99")?);
        let beside = cost::measure_in(SPACE, &[&neighbours, &others], warm_up, window)?;
        with.push(beside.lateness("neighbours", "p99")?);
    }
    Ok(vec![Row::new(
        "1,000 names asked of a silent name server: 100 neighbours' checks late by p99",
        format!("{:.1} ms ({:.1} ms without them)", median(with), median(without)),
        "unchanged",
    )])
}
