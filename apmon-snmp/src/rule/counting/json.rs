//! The remembered counters as JSON. As it is written at every check, it is short: a port is
//! a row `[source, age, mask, counter, ...]`, where `age` is in milliseconds before `at`,
//! and bit `n` of `mask` is set if counter `n` has 64 bits.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{COLUMNS, Counts, Sum, step::StoredCounter};
use crate::rule::restart::Uptimes;

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct StoredCounts {
    v: u32,
    /// The time of the last check, in milliseconds since 1970.
    at: i64,
    /// The uptimes of host and agent, in hundredths of a second.
    up: (Option<u32>, Option<u32>),
    /// Each sum and its age.
    sums: BTreeMap<String, (u64, u64)>,
    /// Each counter, whether it has 64 bits, and its age.
    named: BTreeMap<String, (u64, u8, u64)>,
    ports: Vec<(u32, u64, u32, [Option<u64>; COLUMNS])>,
}

impl Counts {
    /// Parses remembered counters. Unreadable text means that nothing is remembered.
    pub(crate) fn read(text: Option<&str>) -> Self {
        text.and_then(|text| serde_json::from_str(text).ok())
            .and_then(from_stored)
            .unwrap_or_default()
    }

    /// Formats the counters; `None` if there is nothing to remember.
    pub(crate) fn to_json(&self) -> Option<String> {
        let at = self.at?;
        let age = |read_at: Timestamp| {
            let age = Duration::try_from(at.duration_since(read_at)).unwrap_or_default();
            u64::try_from(age.as_millis()).unwrap_or(u64::MAX)
        };
        let mut ports = Vec::new();
        for (source, row) in &self.ports {
            let mut rows: BTreeMap<u64, (u32, [Option<u64>; COLUMNS])> = BTreeMap::new();
            for (column, it) in row.iter().enumerate() {
                let Some(it) = it else { continue };
                let (mask, values) = rows.entry(age(it.at)).or_default();
                *mask |= u32::from(it.is_64) << column;
                values[column] = Some(it.value);
            }
            let rows = rows.into_iter();
            ports.extend(rows.map(|(age, (mask, values))| (*source, age, mask, values)));
        }
        let (sums, named) = (self.sums.iter(), self.named.iter());
        let written = StoredCounts {
            v: VERSION,
            at: at.as_millisecond(),
            up: (self.uptimes.host, self.uptimes.agent),
            sums: sums
                .map(|(name, sum)| (name.clone(), (sum.value, age(sum.at))))
                .collect(),
            named: named
                .map(|(name, it)| (name.clone(), (it.value, u8::from(it.is_64), age(it.at))))
                .collect(),
            ports,
        };
        Some(serde_json::to_string(&written).expect("numbers can be written as JSON"))
    }
}

fn from_stored(written: StoredCounts) -> Option<Counts> {
    if written.v != VERSION {
        return None;
    }
    let at = Timestamp::from_millisecond(written.at).ok()?;
    let (host, agent) = written.up;
    let mut counts = Counts {
        at: Some(at),
        uptimes: Uptimes { host, agent },
        ..Counts::default()
    };
    let before = |age: u64| at.checked_sub(Duration::from_millis(age)).ok();
    for (name, (value, age)) in written.sums {
        counts.sums.insert(
            name,
            Sum {
                value,
                at: before(age)?,
            },
        );
    }
    for (name, (value, is_64, age)) in written.named {
        let at = before(age)?;
        let is_64 = is_64 != 0;
        counts.named.insert(name, StoredCounter { value, is_64, at });
    }
    for (source, age, mask, values) in written.ports {
        let at = before(age)?;
        let row = counts.ports.entry(source).or_default();
        for (column, value) in values.into_iter().enumerate() {
            if let Some(value) = value {
                let is_64 = mask >> column & 1 == 1;
                row[column] = Some(StoredCounter { value, is_64, at });
            }
        }
    }
    Some(counts)
}
