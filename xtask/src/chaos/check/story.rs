//! What each channel heard of each monitor: first deliveries, by time.

use std::collections::BTreeMap;

use crate::chaos::record::{Evidence, Receipt, Told, plain};

pub(super) struct Story<'a> {
    /// By channel and monitor.
    firsts: Vec<Vec<Vec<&'a Receipt>>>,
    names: Vec<&'a str>,
}

/// An incident as a webhook was told of it.
pub(super) struct Heard {
    pub(super) ended: bool,
    /// The highest number that arrived.
    pub(super) messages: u32,
}

impl<'a> Story<'a> {
    pub(super) fn new(evidence: &'a Evidence) -> Self {
        let names: Vec<&str> = evidence.site.monitors.iter().map(|it| it.name.as_str()).collect();
        let mut taken: Vec<_> = evidence.receipts.iter().filter(|receipt| receipt.taken).collect();
        taken.sort_by_key(|receipt| receipt.at);
        let mut firsts = vec![vec![Vec::new(); names.len()]; evidence.site.channels.len()];
        let mut seen = std::collections::BTreeSet::new();
        for receipt in taken {
            let place = names.iter().position(|name| *name == receipt.monitor);
            if let Some(place) = place
                && seen.insert((receipt.channel, receipt.id.as_str()))
            {
                firsts[receipt.channel][place].push(receipt);
            }
        }
        Self { firsts, names }
    }

    pub(super) fn place(&self, monitor: &str) -> Option<usize> {
        self.names.iter().position(|name| *name == monitor)
    }

    /// Channel, monitor, and what was heard.
    pub(super) fn all(&self) -> impl Iterator<Item = (usize, &'a str, &[&'a Receipt])> {
        let channels = self.firsts.iter().enumerate();
        channels.flat_map(|(channel, monitors)| {
            let heard = self.names.iter().zip(monitors);
            heard.map(move |(name, firsts)| (channel, *name, firsts.as_slice()))
        })
    }

    pub(super) fn at(&self, channel: usize, place: usize) -> &[&'a Receipt] {
        &self.firsts[channel][place]
    }

    /// The sentences of one kind, and how often each was told.
    pub(super) fn texts(&self, channel: usize, place: usize, told: Told) -> BTreeMap<&'a str, usize> {
        let mut texts = BTreeMap::new();
        let firsts = self.firsts[channel][place].iter();
        for receipt in firsts.filter(|receipt| receipt.told == Some(told)) {
            *texts.entry(plain(&receipt.text)).or_default() += 1;
        }
        texts
    }

    /// All incidents that a webhook heard of, by id.
    pub(super) fn incidents_at(&self, channel: usize) -> BTreeMap<&'a str, Heard> {
        let mut incidents = BTreeMap::new();
        for receipt in self.firsts[channel].iter().flatten() {
            let heard = incidents.entry(receipt.incident.as_str()).or_insert(Heard {
                ended: false,
                messages: 0,
            });
            heard.ended |= receipt.told == Some(Told::Recovery);
            heard.messages = heard.messages.max(number_of(receipt));
        }
        incidents
    }
}

/// `INCIDENT-NUMBER-CHANNEL`, or `INCIDENT-NUMBER-end-CHANNEL`.
fn number_of(receipt: &Receipt) -> u32 {
    let rest = receipt.id.strip_prefix(receipt.incident.as_str()).unwrap_or("");
    let mut parts = rest.split('-').skip(1);
    parts.next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Incidents in the order in which they were heard of.
pub(super) fn incidents<'a>(firsts: &[&'a Receipt]) -> Vec<&'a str> {
    let mut incidents: Vec<&str> = Vec::new();
    for receipt in firsts {
        if !incidents.contains(&receipt.incident.as_str()) {
            incidents.push(&receipt.incident);
        }
    }
    incidents
}
