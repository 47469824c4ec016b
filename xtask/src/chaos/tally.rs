//! What was done and what came of it, counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use super::record::{Evidence, Told, plain, read_line, read_sentence};

#[derive(Clone, Default)]
pub(super) struct Tally {
    pub(super) rounds: usize,
    /// By moment.
    pub(super) kills: BTreeMap<&'static str, usize>,
    /// Everything else that was done, by its name.
    pub(super) faults: BTreeMap<&'static str, usize>,
    incidents: usize,
    delivered: usize,
    duplicates: usize,
    refused: usize,
    /// From the printed line to each channel that has it.
    late: Vec<Duration>,
}

impl Tally {
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

    /// Counts what a round's evidence shows.
    pub(super) fn count(&mut self, evidence: &Evidence) {
        let receipts = &evidence.receipts;
        let taken = receipts.iter().filter(|receipt| receipt.taken);
        let ids: BTreeSet<_> = taken.clone().map(|it| (it.channel, it.id.as_str())).collect();
        let incidents = taken
            .clone()
            .filter(|it| it.told == Some(Told::Outage) && it.channel == 0);
        let incidents: BTreeSet<_> = incidents.map(|it| it.incident.as_str()).collect();
        self.incidents += incidents.len();
        self.delivered += ids.len();
        self.duplicates += taken.clone().count() - ids.len();
        self.refused += receipts.iter().filter(|receipt| !receipt.taken).count();
        let mut first: BTreeMap<(usize, &str), Duration> = BTreeMap::new();
        for receipt in taken {
            let at = first
                .entry((receipt.channel, plain(&receipt.text)))
                .or_insert(receipt.at);
            *at = receipt.at.min(*at);
        }
        for said in &evidence.said {
            let Some(text) = read_line(&said.text) else {
                continue;
            };
            if !matches!(read_sentence(text), Some((_, Told::Outage | Told::Recovery))) {
                continue;
            }
            let channels = 0..evidence.site.channels.len();
            let arrived = channels.filter_map(|channel| first.get(&(channel, text)));
            self.late.extend(arrived.map(|at| at.saturating_sub(said.at)));
        }
    }

    /// The `share`th of a hundred outages and recoveries was this late.
    fn late(&self, share: usize) -> Duration {
        let mut late = self.late.clone();
        late.sort();
        let at = (late.len() * share / 100).min(late.len().saturating_sub(1));
        late.get(at).copied().unwrap_or_default()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} rounds, {} times kill -9: {}",
            self.rounds,
            self.killed(),
            list(&self.kills)
        )?;
        writeln!(f, "other faults: {}", list(&self.faults))?;
        writeln!(
            f,
            "{} outages; {} messages delivered, {} of them more than once with the same id; {} tries that were not taken",
            self.incidents, self.delivered, self.duplicates, self.refused
        )?;
        let [half, most, all] = [50, 99, 100].map(|share| self.late(share).as_secs_f64());
        write!(
            f,
            "from the printed line to a receiver: half within {half:.2} s, 99 % within {most:.1} s, all within {all:.1} s"
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
