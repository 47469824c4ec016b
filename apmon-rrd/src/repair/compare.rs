//! Comparing a file's schema with the one that would be created now.

use super::Difference;
use crate::{
    rows::Rows,
    schema::{DataSource, Round, Schema},
    template::{FileKind, Template},
    writer::is_before_13,
};

/// An archive by its place, and how many rows it lacks, or has too many.
pub(super) type RowChange = (usize, i64);

/// How a file differs from what would be created now. What it has besides does not count:
/// interfaces that are gone, archives of another program.
pub(super) fn compare(kind: FileKind, step: u64, rows: &Rows, schema: &Schema) -> Vec<Difference> {
    if is_before_13(kind, schema) {
        return vec![Difference::BeforeApmonitor13];
    }
    if schema.step != step {
        return vec![Difference::Step {
            is: schema.step,
            wanted: step,
        }];
    }
    let template = match kind {
        FileKind::Availability => Template::Availability,
        FileKind::Snmp => Template::Snmp {
            interfaces: Vec::new(),
        },
        FileKind::Metrics => Template::Metrics { sources: Vec::new() },
    };
    let mut differences = Vec::new();
    let missing = missing(&template.sources(step), schema);
    if !missing.is_empty() {
        differences.push(Difference::Sources(missing));
    }
    let (changes, archives) = row_changes(&template.rows(rows).rounds(step), &schema.rounds);
    let (more, fewer): (Vec<RowChange>, Vec<RowChange>) = changes.into_iter().partition(|it| it.1 < 0);
    if !fewer.is_empty() {
        differences.push(Difference::FewerRows(fewer));
    }
    if !more.is_empty() {
        differences.push(Difference::MoreRows(more));
    }
    if archives > 0 {
        differences.push(Difference::Archives { missing: archives });
    }
    let heartbeat = step.saturating_mul(2);
    let others = schema
        .sources
        .iter()
        .filter(|source| source.heartbeat != heartbeat);
    let others: Vec<(String, u64)> = others.map(|source| (source.name.clone(), heartbeat)).collect();
    if !others.is_empty() {
        differences.push(Difference::Heartbeats(others));
    }
    differences
}

fn missing(wanted: &[DataSource], schema: &Schema) -> Vec<DataSource> {
    let has = |name: &str| schema.sources.iter().any(|source| source.name == name);
    wanted
        .iter()
        .filter(|source| !has(&source.name))
        .cloned()
        .collect()
}

/// The changes of rows that make the archives of a file as long as wanted, and how many archives it
/// lacks. Of several alike (a step of an hour has three of an hour), the first is compared with the
/// first.
fn row_changes(wanted: &[Round], is: &[Round]) -> (Vec<RowChange>, usize) {
    let mut taken = vec![false; is.len()];
    let mut changes = Vec::new();
    let mut missing = 0;
    for round in wanted {
        let alike = |(place, other): &(usize, &Round)| {
            !taken[*place] && (other.consolidation, other.steps) == (round.consolidation, round.steps)
        };
        let Some((place, other)) = is.iter().enumerate().find(alike) else {
            missing += 1;
            continue;
        };
        taken[place] = true;
        let signed = |rows: u64| i64::try_from(rows).unwrap_or(i64::MAX);
        let change = signed(round.rows).saturating_sub(signed(other.rows));
        if change != 0 {
            changes.push((place, change));
        }
    }
    (changes, missing)
}
