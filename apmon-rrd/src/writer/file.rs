//! One file that is written.

use std::{collections::BTreeSet, path::PathBuf};

use apmon_core::{Mono, Reading};

use super::{
    opening::Opened,
    rows::{Added, Row, Rows},
    sample::Figure,
};
use crate::{
    archive::MetricNames,
    operation::Value,
    rows::Rows as KeptRows,
    schema::{DataSource, Schema},
    template::{FileKind, IS_UP, MetricSource, RESPONSE_TIME, Template, interface_of},
};

/// A file, and what waits to be written into it.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) kind: FileKind,
    pub(super) step: u64,
    pub(super) rows: Rows,
    pub(super) state: FileState,
    /// The sources of metrics; of no use in other files.
    pub(super) metrics: MetricNames,
    counters: BTreeSet<String>,
    /// When it is written next, if it is.
    pub(super) due: Option<Mono>,
    /// When something may be tried again that has failed.
    pub(super) not_before: Option<Mono>,
    pub(super) no_growth_before: Option<Mono>,
    /// When it may be created.
    pub(super) create_at: Option<Mono>,
    /// Failures since the last success.
    pub(super) failures: u32,
    /// Rows were lost that may have known of a reset.
    pub(super) is_broken: bool,
}

/// Whether a file is known.
#[derive(Debug)]
pub(super) enum FileState {
    Unknown,
    Missing,
    Open(Opened),
}

impl File {
    pub(super) fn new(path: PathBuf, kind: FileKind, step: u64) -> Self {
        let mut rows = Rows::default();
        if kind == FileKind::Availability {
            rows.place(RESPONSE_TIME);
            rows.place(IS_UP);
        }
        Self {
            metrics: match kind {
                FileKind::Metrics => MetricNames::read(&path),
                _ => MetricNames::default(),
            },
            path,
            kind,
            step,
            rows,
            state: FileState::Unknown,
            counters: BTreeSet::new(),
            due: None,
            not_before: None,
            no_growth_before: None,
            create_at: None,
            failures: 0,
            is_broken: false,
        }
    }

    /// Adds values for the first names.
    pub(super) fn push_values(&mut self, at: i64, values: &[Value]) -> Added {
        self.rows.push(Row {
            at,
            values: values.to_vec(),
            resets: Vec::new(),
        })
    }

    /// Adds figures, each for its own name. Returns how many have no source, too.
    pub(super) fn push_figures(&mut self, at: i64, figures: &[Figure]) -> (Added, usize) {
        let mut values = vec![Value::Unknown; self.rows.names.len()];
        let mut resets = Vec::new();
        let mut without = 0;
        for figure in figures {
            let source = match self.kind {
                FileKind::Metrics => self.metrics.source(&figure.name),
                _ => Some(figure.name.to_string()),
            };
            let Some(source) = source else {
                without += 1;
                continue;
            };
            let place = self.rows.place(&source);
            let value = match figure.reading {
                Reading::Gauge(value) => Value::Figure(value),
                Reading::Counter { value, continues } => {
                    self.counters.insert(source.clone());
                    if !continues || self.is_broken {
                        resets.push(place);
                    }
                    Value::Count(value)
                }
            };
            if values.len() <= place {
                values.resize(place + 1, Value::Unknown);
            }
            values[place] = value;
        }
        self.is_broken = false;
        let added = self.rows.push(Row { at, values, resets });
        (added, without)
    }

    /// Marks counts that are below the last one in the file, which librrd would take for a wrap: the
    /// file was filled by another program, or rows were lost.
    pub(super) fn compare_with_last(&mut self) {
        let FileState::Open(opened) = &mut self.state else {
            return;
        };
        let counts = std::mem::take(&mut opened.counts);
        if !counts.is_empty() {
            self.rows.mark_below(&counts);
        }
    }

    /// The schema of the file if it is created now.
    pub(super) fn schema(&self, rows: &KeptRows) -> Schema {
        Schema::of(&self.template(), self.step, rows)
    }

    /// The sources that the file does not have and something waits for.
    pub(super) fn missing_sources(&self, opened: &Opened) -> Vec<DataSource> {
        let all = self.template().sources(self.step);
        let is_wanted = |name: &String| match self.kind {
            // What this kind of monitor does not measure is not added to a file that lacks it.
            FileKind::Snmp => {
                let interface = interface_of(name);
                let mut names = self.rows.names.iter();
                names.any(|known| known == name || (interface.is_some() && interface_of(known) == interface))
            }
            _ => true,
        };
        all.into_iter()
            .filter(|source| !opened.sources.contains(&source.name) && is_wanted(&source.name))
            .collect()
    }

    fn template(&self) -> Template {
        match self.kind {
            FileKind::Availability => Template::Availability,
            FileKind::Snmp => {
                let mut interfaces: Vec<u32> = Vec::new();
                for number in self.rows.names.iter().filter_map(|name| interface_of(name)) {
                    if !interfaces.contains(&number) {
                        interfaces.push(number);
                    }
                }
                Template::Snmp { interfaces }
            }
            FileKind::Metrics => Template::Metrics {
                sources: self
                    .rows
                    .names
                    .iter()
                    .map(|name| MetricSource {
                        name: name.clone(),
                        is_counter: self.counters.contains(name),
                    })
                    .collect(),
            },
        }
    }
}
