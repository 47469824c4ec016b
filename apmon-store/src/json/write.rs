//! Writing the file's text from the model.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::Duration,
};

use apmon_core::{MonitorState, OwnState, memory::STATE_KEYS};
use jiff::{Timestamp, tz::TimeZone};
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};
use serde_json::{Value, json};

use super::{
    local_time,
    read::{MAX_RESPONSE_MS, VERSION},
};
use crate::model::Model;

/// Writes the whole file, indented, because people open it.
pub(super) fn to_writer(mut out: &mut dyn Write, model: &Model, zone: &TimeZone) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut out, &StateFile { model, zone })?;
    out.write_all(b"\n")
}

struct StateFile<'a> {
    model: &'a Model,
    zone: &'a TimeZone,
}

impl Serialize for StateFile<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, state) in &self.model.monitors {
            map.serialize_entry(
                name,
                &Monitor {
                    state,
                    zone: self.zone,
                },
            )?;
        }
        for (key, value) in &self.model.foreign {
            map.serialize_entry(key, value)?;
        }
        let (ended, took) = self.model.pass.unzip();
        map.serialize_entry("execution_time", &local(ended, self.zone))?;
        let millis = took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        map.serialize_entry("execution_ms", &millis)?;
        map.serialize_entry("apmon", &Own(self))?;
        map.end()
    }
}

fn local(at: Option<Timestamp>, zone: &TimeZone) -> Option<String> {
    at.map(|at| local_time::format(at, zone))
}

/// Milliseconds, with microseconds as decimals.
fn millis(duration: Duration) -> f64 {
    #[allow(clippy::cast_precision_loss)] // exact up to 285 years
    let millis = duration.as_micros() as f64 / 1_000.0;
    millis.min(MAX_RESPONSE_MS)
}

struct Monitor<'a> {
    state: &'a MonitorState,
    zone: &'a TimeZone,
}

impl Serialize for Monitor<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { state, zone } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("is_up", &state.is_up)?;
        map.serialize_entry("last_checked", &local(state.last_checked, zone))?;
        map.serialize_entry("last_response_time_ms", &state.last_response_time.map(millis))?;
        map.serialize_entry("last_notified", &local(state.last_notified, zone))?;
        map.serialize_entry("last_alarm_started", &local(state.last_alarm_started, zone))?;
        map.serialize_entry(
            "last_successful_heartbeat",
            &local(state.last_successful_heartbeat, zone),
        )?;
        map.serialize_entry("down_count", &state.down_count)?;
        map.serialize_entry("notified_count", &state.notified_count)?;
        map.serialize_entry("error_reason", &state.error_reason)?;
        map.serialize_entry("last_config_checksum", &state.last_config_checksum.as_deref())?;
        for (key, text) in &state.memory.kept {
            // Whatever an embedder's engine lets through, the file stays readable.
            if STATE_KEYS.contains(&key.as_str()) {
                continue;
            }
            if let Ok(value) = serde_json::from_str::<Value>(text) {
                map.serialize_entry(key, &value)?;
            }
        }
        map.end()
    }
}

/// The content of `apmon`: what APMonitor's format has no place for.
struct Own<'a>(&'a StateFile<'a>);

impl Serialize for Own<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let StateFile { model, zone } = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("version", &VERSION)?;
        map.serialize_entry("epoch", &model.epoch)?;
        if model.number != 0 {
            map.serialize_entry("commit", &model.number)?;
        }
        map.serialize_entry("outbox", &Notifications(model))?;
        if !model.unread.is_empty() {
            map.serialize_entry("unread", &model.unread)?;
        }
        if !model.records.is_empty() {
            map.serialize_entry("records", &StateRecords(model))?;
        }
        map.serialize_entry("monitors", &Additions(model))?;
        let counts = counts(model);
        if !counts.is_empty() {
            map.serialize_entry("counts", &counts)?;
        }
        let exact = exact_moments(model, zone);
        if !exact.is_empty() {
            map.serialize_entry("exact", &exact)?;
        }
        map.end()
    }
}

/// State that belongs to no monitor, by key.
struct StateRecords<'a>(&'a Model);

impl Serialize for StateRecords<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, record) in &self.0.records {
            // Whatever an embedder passes, the file stays readable.
            if let Ok(content) = serde_json::from_str::<Value>(&record.json) {
                map.serialize_entry(key, &json!({"version": record.version, "content": content}))?;
            }
        }
        map.end()
    }
}

/// Counts as text: as JSON they would fill the file with thousands of lines of one
/// number.
fn counts(model: &Model) -> BTreeMap<&str, &str> {
    let monitors = model.monitors.iter();
    monitors
        .filter_map(|(name, state)| Some((name.as_str(), state.memory.counts.as_deref()?)))
        .collect()
}

/// The moments whose local time is ambiguous.
fn exact_moments<'a>(
    model: &'a Model,
    zone: &TimeZone,
) -> BTreeMap<&'a str, BTreeMap<&'static str, Timestamp>> {
    let mut exact: BTreeMap<&str, BTreeMap<_, _>> = BTreeMap::new();
    for (name, state) in &model.monitors {
        for (key, at) in [
            ("last_checked", state.last_checked),
            ("last_notified", state.last_notified),
            ("last_alarm_started", state.last_alarm_started),
            ("last_successful_heartbeat", state.last_successful_heartbeat),
        ] {
            if let Some(at) = at.filter(|at| local_time::is_ambiguous(*at, zone)) {
                exact.entry(name).or_default().insert(key, at);
            }
        }
    }
    exact
}

struct Notifications<'a>(&'a Model);

impl Serialize for Notifications<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for entry in self.0.outbox.iter() {
            list.serialize_element(entry)?;
        }
        list.end()
    }
}

struct Additions<'a>(&'a Model);

impl Serialize for Additions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let nothing = OwnState::default();
        let mut map = serializer.serialize_map(None)?;
        for (name, state) in &self.0.monitors {
            if state.own != nothing {
                map.serialize_entry(name, &state.own)?;
            }
        }
        map.end()
    }
}
