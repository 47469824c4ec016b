//! Assigning data sources to ports: a port keeps the one of the first ifIndex it had,
//! whatever its ifIndex is now.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::rule::follow::{Identity, OwnedIdentity, follow};

/// The most absent ports whose data sources are remembered.
const MOST_ABSENT: usize = 512;

/// The data sources of a device's ports. They are kept in the state file, as
/// `port_sources`, so that samples never end up in another port's archive.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Sources {
    /// The present ports, followed by the absent ones, of which the longest absent comes
    /// first.
    known: Vec<KnownPort>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct KnownPort {
    source: u32,
    #[serde(flatten)]
    identity: OwnedIdentity,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    absent: bool,
}

/// The data source that a port's figures go to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SourceAssignment {
    /// The number in `if{index}_in`.
    pub source: u32,
    /// Whether the data source is new to this port.
    pub is_new: bool,
}

impl Sources {
    /// The state-file key.
    pub(crate) const KEY: &'static str = "port_sources";

    /// Parses the value of the state file. Unreadable text means that no port is known.
    pub(crate) fn read(text: Option<&str>) -> Self {
        let known = text.and_then(|text| serde_json::from_str(text).ok());
        let mut known: Vec<KnownPort> = known.unwrap_or_default();
        known.sort_by_key(|known| known.absent);
        Self { known }
    }

    /// Formats the value for the state file.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(&self.known).expect("numbers and texts can be written as JSON")
    }

    /// The numbers of the data sources that are or were in use.
    pub(super) fn numbers(&self) -> BTreeSet<u32> {
        self.known.iter().map(|known| known.source).collect()
    }

    /// Assigns a data source to each of these ports, in their order.
    ///
    /// A known port keeps its data source. A new port gets the one of its ifIndex or, if
    /// another port has that, the next above all numbers in use. The source of an absent port
    /// is reserved for its return, unless another port now has its ifIndex: an interface was
    /// renamed, or a PPP line was redialled.
    pub(crate) fn assign(&mut self, ports: &[Identity<'_>]) -> Vec<SourceAssignment> {
        let absent = self.known.iter().position(|known| known.absent);
        let (here, away) = self.known.split_at(absent.unwrap_or(self.known.len()));
        let mut found = follow_known(here, ports);
        let rest: Vec<usize> = (0..ports.len()).filter(|i| found[*i].is_none()).collect();
        let missing: Vec<Identity<'_>> = rest.iter().map(|i| ports[*i]).collect();
        for (i, at) in rest.into_iter().zip(follow_known(away, &missing)) {
            found[i] = at.map(|at| at + here.len());
        }

        let followed: BTreeSet<usize> = found.iter().copied().flatten().collect();
        let mut used: BTreeSet<u32> = followed.iter().map(|at| self.known[*at].source).collect();
        let mut given = BTreeSet::new();
        let mut next = Vec::with_capacity(ports.len());
        let mut assignments = Vec::with_capacity(ports.len());
        // Numbers for new ports start above all that are known or could be chosen.
        let mut highest = self.known.iter().map(|known| known.source).max().unwrap_or(0);
        highest = highest.max(ports.iter().map(|port| port.index).max().unwrap_or(0));
        for (port, at) in ports.iter().zip(&found) {
            let assignment = match at {
                Some(at) => SourceAssignment {
                    source: self.known[*at].source,
                    is_new: false,
                },
                None => {
                    let mut candidates = self.known.iter().enumerate();
                    let is_free = !used.contains(&port.index);
                    let is_left = candidates.all(|(at, known)| {
                        known.source != port.index
                            || (!followed.contains(&at) && known.identity.index == port.index)
                    });
                    let source = match is_free && is_left {
                        true => port.index,
                        false => free_after(&mut highest, &used),
                    };
                    given.insert(source);
                    SourceAssignment { source, is_new: true }
                }
            };
            used.insert(assignment.source);
            assignments.push(assignment);
            next.push(KnownPort {
                source: assignment.source,
                identity: (*port).into(),
                absent: false,
            });
        }
        let gone = self
            .known
            .iter()
            .enumerate()
            .filter(|(at, known)| !followed.contains(at) && !given.contains(&known.source));
        let mut gone: Vec<KnownPort> = gone.map(|(_, known)| known.clone()).collect();
        // Ports that have just gone come last.
        gone.sort_by_key(|known| !known.absent);
        let too_many = gone.len().saturating_sub(MOST_ABSENT);
        next.extend(gone.into_iter().skip(too_many).map(|known| KnownPort {
            absent: true,
            ..known
        }));
        self.known = next;
        assignments
    }
}

fn follow_known(known: &[KnownPort], ports: &[Identity<'_>]) -> Vec<Option<usize>> {
    let known: Vec<_> = known.iter().map(|known| known.identity.borrowed()).collect();
    follow(&known, ports)
}

/// The next number above all in use or, if there is none, the lowest free one.
fn free_after(highest: &mut u32, used: &BTreeSet<u32>) -> u32 {
    if let Some(next) = highest.checked_add(1) {
        *highest = next;
        return next;
    }
    let mut free = (1..u32::MAX).filter(|source| !used.contains(source));
    free.next().unwrap_or(u32::MAX)
}
