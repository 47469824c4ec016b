//! The first deliveries of each notification, by channel, monitor and time.

use std::collections::BTreeMap;

use crate::chaos::{
    notification::{NotificationKind, plain},
    record::{Evidence, Receipt},
};

pub(super) struct Deliveries<'a> {
    /// By channel and monitor.
    firsts: Vec<Vec<Vec<&'a Receipt>>>,
    names: Vec<&'a str>,
}

/// An incident as a webhook received it.
pub(super) struct Delivered {
    pub(super) ended: bool,
    /// The highest number that arrived.
    pub(super) notifications: u32,
}

impl<'a> Deliveries<'a> {
    pub(super) fn new(evidence: &'a Evidence) -> Self {
        let names: Vec<&str> = evidence.site.monitors.iter().map(|it| it.name.as_str()).collect();
        let mut accepted: Vec<_> = evidence
            .receipts
            .iter()
            .filter(|receipt| receipt.accepted)
            .collect();
        accepted.sort_by_key(|receipt| receipt.at);
        let mut firsts = vec![vec![Vec::new(); names.len()]; evidence.site.channels.len()];
        let mut seen = std::collections::BTreeSet::new();
        for receipt in accepted {
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

    /// Channel, monitor and deliveries.
    pub(super) fn all(&self) -> impl Iterator<Item = (usize, &'a str, &[&'a Receipt])> {
        let channels = self.firsts.iter().enumerate();
        channels.flat_map(|(channel, monitors)| {
            let deliveries = self.names.iter().zip(monitors);
            deliveries.map(move |(name, firsts)| (channel, *name, firsts.as_slice()))
        })
    }

    pub(super) fn at(&self, channel: usize, place: usize) -> &[&'a Receipt] {
        &self.firsts[channel][place]
    }

    /// The sentences of one kind, and how often each was delivered.
    pub(super) fn texts(
        &self,
        channel: usize,
        place: usize,
        kind: NotificationKind,
    ) -> BTreeMap<&'a str, usize> {
        let mut texts = BTreeMap::new();
        let firsts = self.firsts[channel][place].iter();
        for receipt in firsts.filter(|receipt| receipt.kind == Some(kind)) {
            *texts.entry(plain(&receipt.text)).or_default() += 1;
        }
        texts
    }

    /// All incidents that a webhook received, by id.
    pub(super) fn incidents_at(&self, channel: usize) -> BTreeMap<&'a str, Delivered> {
        let mut incidents = BTreeMap::new();
        for receipt in self.firsts[channel].iter().flatten() {
            let delivered = incidents.entry(receipt.incident.as_str()).or_insert(Delivered {
                ended: false,
                notifications: 0,
            });
            delivered.ended |= receipt.kind == Some(NotificationKind::Recovery);
            delivered.notifications = delivered.notifications.max(number_of(receipt));
        }
        incidents
    }
}

/// The number in an id: `INCIDENT-NUMBER-CHANNEL` or `INCIDENT-NUMBER-end-CHANNEL`.
fn number_of(receipt: &Receipt) -> u32 {
    let rest = receipt.id.strip_prefix(receipt.incident.as_str()).unwrap_or("");
    let mut parts = rest.split('-').skip(1);
    parts.next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The incidents in the order of their first notification.
pub(super) fn incidents<'a>(firsts: &[&'a Receipt]) -> Vec<&'a str> {
    let mut incidents: Vec<&str> = Vec::new();
    for receipt in firsts {
        if !incidents.contains(&receipt.incident.as_str()) {
            incidents.push(&receipt.incident);
        }
    }
    incidents
}
