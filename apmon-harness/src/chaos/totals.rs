//! Counts of what was done and what resulted.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use super::{
    notification::{NotificationKind, plain, read_line, read_sentence},
    record::Evidence,
};

#[derive(Clone, Default)]
pub(super) struct Totals {
    pub(super) rounds: usize,
    /// Kills by moment.
    pub(super) kills: BTreeMap<&'static str, usize>,
    /// Everything else that was done, by name.
    pub(super) faults: BTreeMap<&'static str, usize>,
    incidents: usize,
    delivered: usize,
    duplicates: usize,
    refused: usize,
    /// Time from the printed line to each channel's receipt.
    late: Vec<Duration>,
}

impl Totals {
    pub(super) fn add(&mut self, other: Self) {
        self.rounds += other.rounds;
        for (word, count) in other.kills {
            *self.kills.entry(word).or_default() += count;
        }
        for (word, count) in other.faults {
            *self.faults.entry(word).or_default() += count;
        }
        self.incidents += other.incidents;
        self.delivered += other.delivered;
        self.duplicates += other.duplicates;
        self.refused += other.refused;
        self.late.extend(other.late);
    }

    pub(super) fn killed(&self) -> usize {
        self.kills.values().sum()
    }

    /// Adds a round's evidence.
    pub(super) fn count(&mut self, evidence: &Evidence) {
        let receipts = &evidence.receipts;
        let accepted = receipts.iter().filter(|receipt| receipt.accepted);
        let ids: BTreeSet<_> = accepted.clone().map(|it| (it.channel, it.id.as_str())).collect();
        let incidents = accepted
            .clone()
            .filter(|it| it.kind == Some(NotificationKind::Outage) && it.channel == 0);
        let incidents: BTreeSet<_> = incidents.map(|it| it.incident.as_str()).collect();
        self.incidents += incidents.len();
        self.delivered += ids.len();
        self.duplicates += accepted.clone().count() - ids.len();
        self.refused += receipts.iter().filter(|receipt| !receipt.accepted).count();
        let mut first: BTreeMap<(usize, &str), Duration> = BTreeMap::new();
        for receipt in accepted {
            let at = first
                .entry((receipt.channel, plain(&receipt.text)))
                .or_insert(receipt.at);
            *at = receipt.at.min(*at);
        }
        for output in &evidence.output {
            let Some(text) = read_line(&output.text) else {
                continue;
            };
            if !matches!(
                read_sentence(text),
                Some((_, NotificationKind::Outage | NotificationKind::Recovery))
            ) {
                continue;
            }
            let channels = 0..evidence.site.channels.len();
            let arrived = channels.filter_map(|channel| first.get(&(channel, text)));
            self.late.extend(arrived.map(|at| at.saturating_sub(output.at)));
        }
    }

    /// The lateness of outages and recoveries at a percentile.
    fn late(&self, share: usize) -> Duration {
        let mut late = self.late.clone();
        late.sort();
        let at = (late.len() * share / 100).min(late.len().saturating_sub(1));
        late.get(at).copied().unwrap_or_default()
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "rounds: {}; kills: {} ({})",
            self.rounds,
            self.killed(),
            list(&self.kills)
        )?;
        writeln!(f, "other faults: {}", list(&self.faults))?;
        writeln!(
            f,
            "outages: {}; notifications delivered: {}, of them more than once with the same id: {}; attempts not accepted: {}",
            self.incidents, self.delivered, self.duplicates, self.refused
        )?;
        let [half, most, all] = [50, 99, 100].map(|share| self.late(share).as_secs_f64());
        write!(
            f,
            "from the printed line to a receiver: 50 % within {half:.2} s, 99 % within {most:.1} s, all within {all:.1} s"
        )
    }
}

fn list(counts: &BTreeMap<&'static str, usize>) -> String {
    let parts: Vec<_> = counts
        .iter()
        .map(|(word, count)| format!("{count} {word}"))
        .collect();
    parts.join(", ")
}
