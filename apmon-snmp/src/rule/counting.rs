//! Turning an agent's counters into figures that only grow.
//!
//! An agent's counters go back to zero when they wrap at 2^32 or 2^64, when the agent is
//! restarted, when an operator clears them, and when a port is replaced. Each counter is
//! therefore compared with its last value ([`CounterStep`]), and only meaningful
//! differences are added up. A figure `continues` if its difference to the last figure of
//! that name is meaningful. After a reset, that is false for exactly one check.
//!
//! Rules for cases that APMonitor does not define:
//! - A 32-bit counter that went back has wrapped once, if the device was not restarted
//!   and the line could have carried that much since. Otherwise it was reset.
//! - A 64-bit counter that went back was reset, unless it was in the top quarter of its
//!   range and is now in the bottom quarter.
//! - A sum is never partial. It is left out while a counter is missing that was there
//!   before, and at the first check without a port that was there at the last one: the
//!   port is gone, or its row could not be read. It does not continue where one of its
//!   counters does not, and begins anew. A counter that is new adds nothing at that check.
//! - A counter missing from a check is remembered for a day.
//! - The counters of ports are kept by data source, not by ifIndex ([`Sources`]).

mod json;
mod source;
mod step;

use std::collections::BTreeMap;

use apmon_core::Metric;
use jiff::Timestamp;

pub(crate) use self::source::Sources;
use self::step::{CounterStep, StoredCounter};
use crate::rule::{
    counter_value::CounterValue,
    follow::Identity,
    restart::{Restart, Uptimes},
};

/// The time after which a counter that was not seen is forgotten, in seconds.
const FORGOTTEN_AFTER: i64 = 86_400;
/// The assumed speed of a port that does not report one, in bit/s.
const FASTEST: u64 = 100_000_000_000;
/// The size of the shortest packet on the wire, in bits (64 octets, without the gap).
const SHORTEST_PACKET: u64 = 512;

/// The number of counters of a port.
pub(crate) const COLUMNS: usize = 12;

/// The counters of a port; `None` if the agent does not report one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct PortCounts {
    pub in_octets: Option<CounterValue>,
    pub out_octets: Option<CounterValue>,
    pub in_errors: Option<CounterValue>,
    pub out_errors: Option<CounterValue>,
    pub in_ucast: Option<CounterValue>,
    pub out_ucast: Option<CounterValue>,
    pub in_multicast: Option<CounterValue>,
    pub out_multicast: Option<CounterValue>,
    pub in_broadcast: Option<CounterValue>,
    pub out_broadcast: Option<CounterValue>,
    /// The multicast and broadcast packets together, from agents that do not distinguish
    /// them.
    pub in_non_ucast: Option<CounterValue>,
    pub out_non_ucast: Option<CounterValue>,
}

impl PortCounts {
    /// The counters in the order in which they are stored.
    fn columns(&self) -> [Option<CounterValue>; COLUMNS] {
        [
            self.in_octets,
            self.out_octets,
            self.in_errors,
            self.out_errors,
            self.in_ucast,
            self.out_ucast,
            self.in_multicast,
            self.out_multicast,
            self.in_broadcast,
            self.out_broadcast,
            self.in_non_ucast,
            self.out_non_ucast,
        ]
    }
}

const IN_OCTETS: usize = 0;
const OUT_OCTETS: usize = 1;
const IN_ERRORS: usize = 2;
const OUT_ERRORS: usize = 3;
const IN_UCAST: usize = 4;
const OUT_UCAST: usize = 5;
const IN_MULTICAST: usize = 6;
const OUT_MULTICAST: usize = 7;
const IN_BROADCAST: usize = 8;
const OUT_BROADCAST: usize = 9;
const IN_NON_UCAST: usize = 10;
const OUT_NON_UCAST: usize = 11;

/// The totals over all ports, in APMonitor's order: name, columns, factor.
const TOTALS: [(&str, &[usize], u64); 8] = [
    ("total_bits_in", &[IN_OCTETS], 8),
    ("total_bits_out", &[OUT_OCTETS], 8),
    (
        "total_pkts_in",
        &[IN_UCAST, IN_MULTICAST, IN_BROADCAST, IN_NON_UCAST],
        1,
    ),
    (
        "total_pkts_out",
        &[OUT_UCAST, OUT_MULTICAST, OUT_BROADCAST, OUT_NON_UCAST],
        1,
    ),
    ("total_errors_in", &[IN_ERRORS], 1),
    ("total_errors_out", &[OUT_ERRORS], 1),
    ("total_pkts_ucast", &[IN_UCAST, OUT_UCAST], 1),
    (
        "total_pkts_bmcast",
        &[
            IN_MULTICAST,
            OUT_MULTICAST,
            IN_BROADCAST,
            OUT_BROADCAST,
            IN_NON_UCAST,
            OUT_NON_UCAST,
        ],
        1,
    ),
];

/// A port and its counters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CountedPort<'a> {
    /// The number and names of the port.
    pub identity: Identity<'a>,
    /// The speed in bit/s; `None` or 0 if the device does not report it.
    pub speed: Option<u64>,
    /// The port's counters.
    pub counts: PortCounts,
    /// Whether it has figures and is part of the totals. The others are only told apart.
    pub is_recorded: bool,
}

/// A figure that is the sum of named counters, such as the pages swapped in and out, or
/// the bytes read from each disk.
#[derive(Clone, Debug)]
pub(crate) struct NamedSum {
    /// The name of the figure.
    pub name: &'static str,
    /// The counters, each with a name that is unique within the device; `None` if a counter
    /// is missing from this check.
    pub parts: Vec<(String, Option<CounterValue>)>,
}

/// The remembered counters of an agent, stored in [`apmon_core::Memory::counts`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Counts {
    /// The time at which they were last read.
    at: Option<Timestamp>,
    uptimes: Uptimes,
    /// The counters of ports, by data source.
    ports: BTreeMap<u32, [Option<StoredCounter>; COLUMNS]>,
    named: BTreeMap<String, StoredCounter>,
    sums: BTreeMap<String, Sum>,
}

/// A sum as of the last check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Sum {
    value: u64,
    at: Timestamp,
}

/// One check of an agent's counters, which updates the remembered ones.
#[derive(Debug)]
pub(crate) struct Counting {
    now: Timestamp,
    /// The time of the last check.
    previous: Option<Timestamp>,
    restart: Restart,
    counts: Counts,
}

/// A counter of a sum at one check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    /// Its value, and its change since the last check.
    Counted(u64, CounterStep),
    /// It was there before, and is not now.
    Missing,
}

impl Counts {
    /// Starts a check. The reported uptimes show whether the device was restarted since the
    /// counters were last read.
    pub(crate) fn check(mut self, uptimes: Uptimes, now: Timestamp) -> Counting {
        // Rounded as in the state file, so that results do not depend on whether the
        // state was stored in between.
        let now = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
        let restart = self.at.map_or(Restart::No, |at| {
            uptimes.restart_since(self.uptimes, step::elapsed(at, now))
        });
        self.uptimes = Uptimes {
            // An uptime missing from this check is kept, for comparison at the next one.
            host: uptimes
                .host
                .or(self.uptimes.host.filter(|_| !restart.resets_counters())),
            agent: uptimes
                .agent
                .or(self.uptimes.agent.filter(|_| !restart.resets_counters())),
        };
        let previous = self.at.replace(now);
        Counting {
            now,
            previous,
            restart,
            counts: self,
        }
    }
}

impl Counting {
    /// The part of the device that was restarted since the last check, if any.
    pub(crate) fn restart(&self) -> Restart {
        self.restart
    }

    /// APMonitor's figures of a device's ports, in APMonitor's order: `if{index}_in` and
    /// `if{index}_out` in bytes, by data source; `tcp_retrans`; the totals. A figure is left
    /// out if all of its counters are missing.
    pub(crate) fn ports(
        &mut self,
        sources: &mut Sources,
        ports: &[CountedPort<'_>],
        tcp_retrans: Option<CounterValue>,
    ) -> Vec<Metric> {
        let identities: Vec<_> = ports.iter().map(|port| port.identity).collect();
        let assigned = sources.assign(&identities);
        let assigned = assigned.into_iter().zip(ports);
        let mut by_source: Vec<_> = assigned.filter(|(_, port)| port.is_recorded).collect();
        by_source.sort_by_key(|(assignment, _)| assignment.source);
        let mut metrics = Vec::new();
        let present: Vec<u32> = by_source.iter().map(|(it, _)| it.source).collect();
        let mut steps = vec![self.vanished(&present)];
        for (assignment, port) in by_source {
            if assignment.is_new {
                self.counts.ports.remove(&assignment.source);
            }
            let row = self.port(assignment.source, port);
            for (column, way) in [(IN_OCTETS, "in"), (OUT_OCTETS, "out")] {
                if let Some(Part::Counted(value, step)) = row[column] {
                    let name = format!("if{}_{way}", assignment.source);
                    metrics.push(Metric::counter(name, value, step.continues()));
                }
            }
            steps.push(row);
        }
        let known = sources.numbers();
        self.counts.ports.retain(|source, _| known.contains(source));
        metrics.extend(self.named(&[NamedSum {
            name: "tcp_retrans",
            parts: vec![("tcp_retrans".into(), tcp_retrans)],
        }]));
        for (name, columns, factor) in TOTALS {
            let parts = steps
                .iter()
                .flat_map(|row| columns.iter().filter_map(|it| row[*it]));
            let parts: Vec<Part> = parts.collect();
            metrics.extend(self.sum(name, &parts, factor));
        }
        metrics
    }

    /// Figures that are sums of named counters, in the given order.
    pub(crate) fn named(&mut self, sums: &[NamedSum]) -> Vec<Metric> {
        let mut metrics = Vec::new();
        for NamedSum { name, parts } in sums {
            let mut steps = Vec::new();
            for (part, current) in parts {
                let before = self.counts.named.get(part).copied();
                match self.step(before, *current, FASTEST / 8) {
                    Some((next, step)) => {
                        self.counts.named.insert(part.clone(), next);
                        steps.push(Part::Counted(next.value, step));
                    }
                    None if before.is_some() => steps.push(Part::Missing),
                    None => {}
                }
            }
            metrics.extend(self.sum(name, &steps, 1));
        }
        metrics
    }

    /// Ends the check, and returns the counters to remember.
    pub(crate) fn end(mut self) -> Counts {
        let limit = self.now.as_second().saturating_sub(FORGOTTEN_AFTER);
        let is_kept = |it: &StoredCounter| it.at.as_second() >= limit;
        self.counts.named.retain(|_, it| is_kept(it));
        for row in self.counts.ports.values_mut() {
            for column in row {
                *column = column.filter(is_kept);
            }
        }
        self.counts.ports.retain(|_, row| row.iter().any(Option::is_some));
        self.counts
    }

    /// The counters of ports that were there at the last check, and are not among these.
    fn vanished(&self, present: &[u32]) -> [Option<Part>; COLUMNS] {
        let mut vanished = [None; COLUMNS];
        let absent = self.counts.ports.iter();
        for (_, row) in absent.filter(|(source, _)| !present.contains(source)) {
            for (column, counter) in row.iter().enumerate() {
                if counter.is_some_and(|it| Some(it.at) == self.previous) {
                    vanished[column] = Some(Part::Missing);
                }
            }
        }
        vanished
    }

    fn port(&mut self, source: u32, port: &CountedPort<'_>) -> [Option<Part>; COLUMNS] {
        let mut row = self.counts.ports.get(&source).copied().unwrap_or_default();
        let bits = port.speed.filter(|speed| *speed > 0);
        let bits = bits.map_or(FASTEST, |speed| speed.saturating_add(speed / 5));
        let mut steps = [None; COLUMNS];
        for (column, current) in port.counts.columns().into_iter().enumerate() {
            let max_rate = match column {
                IN_OCTETS | OUT_OCTETS => bits / 8,
                _ => bits / SHORTEST_PACKET,
            };
            steps[column] = match self.step(row[column], current, max_rate) {
                Some((next, step)) => {
                    row[column] = Some(next);
                    Some(Part::Counted(next.value, step))
                }
                None => row[column].map(|_| Part::Missing),
            };
        }
        self.counts.ports.insert(source, row);
        steps
    }

    fn step(
        &self,
        before: Option<StoredCounter>,
        current: Option<CounterValue>,
        max_rate: u64,
    ) -> Option<(StoredCounter, CounterStep)> {
        let current = current?;
        Some(step::advance(before, current, max_rate, self.restart, self.now))
    }

    /// Adds up the counters of a sum. There is none if one of them is missing: the last sum stays,
    /// and continues if nothing but what is missing would have changed it.
    fn sum(&mut self, name: &'static str, parts: &[Part], factor: u64) -> Option<Metric> {
        let before = self.counts.sums.get(name).copied();
        let mut counted = Vec::new();
        for part in parts {
            match part {
                Part::Counted(value, step) => counted.push((*value, *step)),
                Part::Missing => return None,
            }
        }
        if counted.is_empty() {
            return None;
        }
        let grown = before.and_then(|sum| {
            Some(
                sum.value
                    .wrapping_add(growth(&counted, sum.at)?.wrapping_mul(factor)),
            )
        });
        let value = grown.unwrap_or_else(|| {
            let values = counted.iter().map(|(value, _)| *value);
            values.fold(0_u64, u64::wrapping_add).wrapping_mul(factor)
        });
        let at = self.now;
        self.counts.sums.insert(name.to_owned(), Sum { value, at });
        Some(Metric::counter(name, value, grown.is_some()))
    }
}

/// How much counters have grown together since `since`; `None` if that is not known of one, or all
/// are new.
fn growth(counted: &[(u64, CounterStep)], since: Timestamp) -> Option<u64> {
    let mut growth = None;
    for (_, step) in counted {
        match step {
            CounterStep::New => {}
            CounterStep::Continued { delta, since: then } if *then == since => {
                growth = Some(growth.unwrap_or(0_u64).wrapping_add(*delta));
            }
            CounterStep::Reset | CounterStep::Continued { .. } => return None,
        }
    }
    growth
}

#[cfg(test)]
mod tests;
