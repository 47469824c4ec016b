//! Reading the model from the file's text.

use std::{collections::HashMap, sync::Arc, time::Duration};

use apmon_core::{MonitorState, OutboxEntry, OwnState, StateRecord, memory::STATE_KEYS};
use jiff::{Timestamp, tz::TimeZone};
use serde::{
    Deserialize, Deserializer as _,
    de::{DeserializeOwned, MapAccess, Visitor},
};
use serde_json::{Map, Value};

use super::local_time;
use crate::{
    model::{Loaded, Model},
    warning::Warnings,
};

/// The version of the content of `apmon`.
pub(super) const VERSION: u64 = 1;

/// The longest response time that is accepted: 30 years.
pub(super) const MAX_RESPONSE_MS: f64 = 1e12;

/// Why a text is not a state file.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The text is damaged, with the reason.
    Damaged(String),
    /// A newer version: using it would lose content that we do not know.
    Newer(u64),
}

/// Reads a state file; `place` names it in warnings.
pub(super) fn from_bytes(bytes: &[u8], zone: &TimeZone, place: &str) -> Result<Loaded, ReadError> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if text.is_empty() {
        return Err(ReadError::Damaged("it is empty".into()));
    }
    let mut reader = Reader {
        zone,
        warnings: Warnings::new(place),
    };
    let mut json = serde_json::Deserializer::from_slice(text);
    let file = json
        .deserialize_map(TopLevel(&mut reader))
        .and_then(|file| json.end().map(|()| file))
        // Everything below the top level is read as it comes, so only the top
        // level can be of the wrong type.
        .map_err(|error| match error.classify() {
            serde_json::error::Category::Data => ReadError::Damaged("it is not a JSON object".into()),
            _ => ReadError::Damaged(error.to_string()),
        })?;
    let model = reader.file(file)?;
    let warnings = reader.warnings.into_list();
    Ok(Loaded { model, warnings })
}

fn state_record(value: &Value) -> Option<StateRecord> {
    Some(StateRecord {
        version: u32::try_from(value.get("version")?.as_u64()?).ok()?,
        json: value.get("content")?.to_string().into(),
    })
}

struct Reader<'a> {
    zone: &'a TimeZone,
    warnings: Warnings<'a>,
}

/// The top level: monitors already read, the rest as it came.
#[derive(Default)]
struct FileContent {
    model: Model,
    own: Value,
    ended: Value,
    took: Value,
}

/// Reads one key after the other, so that of ten thousand monitors only one at a
/// time is held as JSON.
struct TopLevel<'r, 'a>(&'r mut Reader<'a>);

impl<'de> Visitor<'de> for TopLevel<'_, '_> {
    type Value = FileContent;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FileContent, A::Error> {
        let mut file = FileContent::default();
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            match (key.as_str(), value) {
                ("apmon", value) => file.own = value,
                ("execution_time", value) => file.ended = value,
                ("execution_ms", value) => file.took = value,
                (_, Value::Object(fields)) => {
                    let state = self.0.monitor(&key, fields);
                    file.model.monitors.insert(key, state.into());
                }
                (_, value) => {
                    file.model.foreign.insert(key, value);
                }
            }
        }
        Ok(file)
    }
}

impl Reader<'_> {
    fn warn(&mut self, text: &str) {
        self.warnings.add(text);
    }

    fn file(&mut self, file: FileContent) -> Result<Model, ReadError> {
        let FileContent {
            mut model,
            own,
            ended,
            took,
        } = file;
        // Only both together are useful; the next pass writes them anew.
        model.pass = ended
            .as_str()
            .and_then(|text| local_time::parse(text, self.zone))
            .zip(response_time(&took));
        match own {
            Value::Null => {}
            Value::Object(own) => self.own(own, &mut model)?,
            _ => self.warn("\"apmon\" is not an object: ignored"),
        }
        Ok(model)
    }

    fn own(&mut self, own: Map<String, Value>, model: &mut Model) -> Result<(), ReadError> {
        let version = own.get("version").and_then(Value::as_u64).unwrap_or(VERSION);
        if version > VERSION {
            return Err(ReadError::Newer(version));
        }
        for (key, value) in own {
            match key.as_str() {
                "epoch" => match value.as_u64() {
                    Some(epoch) => model.epoch = epoch,
                    None => self.warn("\"apmon\": \"epoch\" is not a number: counting starts over"),
                },
                "commit" => model.number = value.as_u64().unwrap_or(0),
                "records" => {
                    let records = self.section::<HashMap<String, Value>>(&key, value);
                    for (key, record) in records.unwrap_or_default() {
                        match state_record(&record) {
                            Some(record) => drop(model.records.insert(key, record)),
                            None => {
                                self.warn(&format!("\"apmon\": record \"{key}\" cannot be read: ignored"))
                            }
                        }
                    }
                }
                "outbox" | "unread" => self.notifications(&key, value, model),
                "monitors" => {
                    let Some(additions) = self.section::<HashMap<String, Value>>("monitors", value) else {
                        continue;
                    };
                    for (name, value) in additions {
                        let Some(state) = model.monitors.get_mut(&name) else {
                            continue;
                        };
                        match serde_json::from_value::<OwnState>(value) {
                            Ok(own) => Arc::make_mut(state).own = own,
                            Err(error) => {
                                self.warn(&format!("\"apmon\": monitor \"{name}\": {error}: ignored"));
                            }
                        }
                    }
                }
                "exact" => {
                    let exact = self.section::<HashMap<String, HashMap<String, Timestamp>>>(&key, value);
                    for (name, moments) in exact.unwrap_or_default() {
                        if let Some(state) = model.monitors.get_mut(&name) {
                            self.make_exact(Arc::make_mut(state), moments);
                        }
                    }
                }
                "counts" => {
                    let counts = self.section::<HashMap<String, String>>(&key, value);
                    for (name, counts) in counts.unwrap_or_default() {
                        if let Some(state) = model.monitors.get_mut(&name) {
                            Arc::make_mut(state).memory.counts = Some(counts.into());
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn make_exact(&self, state: &mut MonitorState, exact: HashMap<String, Timestamp>) {
        for (key, exact) in exact {
            let field = match key.as_str() {
                "last_checked" => &mut state.last_checked,
                "last_notified" => &mut state.last_notified,
                "last_alarm_started" => &mut state.last_alarm_started,
                "last_successful_heartbeat" => &mut state.last_successful_heartbeat,
                _ => continue,
            };
            if let Some(parsed) = field {
                local_time::make_exact(parsed, exact, self.zone);
            }
        }
    }

    fn notifications(&mut self, key: &str, value: Value, model: &mut Model) {
        for value in self.section::<Vec<Value>>(key, value).unwrap_or_default() {
            match OutboxEntry::deserialize(&value) {
                Ok(entry) => {
                    model.outbox.upsert(entry);
                }
                Err(error) => {
                    self.warn(&format!(
                        "\"apmon\": an undelivered notification cannot be read and is not sent: {error}; \
                         it is kept under \"unread\""
                    ));
                    model.unread.push(value);
                }
            }
        }
    }

    fn section<T: DeserializeOwned>(&mut self, key: &str, value: Value) -> Option<T> {
        match serde_json::from_value(value) {
            Ok(section) => Some(section),
            Err(error) => {
                self.warn(&format!("\"apmon\": \"{key}\": {error}: ignored"));
                None
            }
        }
    }

    fn monitor(&mut self, name: &str, fields: Map<String, Value>) -> MonitorState {
        let mut state = MonitorState::default();
        for (key, value) in fields {
            if value.is_null() && STATE_KEYS.contains(&key.as_str()) {
                continue;
            }
            let read = match key.as_str() {
                "is_up" => set(&mut state.is_up, yes_or_no(&value), "yes or no"),
                "last_checked" => self.time(&mut state.last_checked, &value),
                "last_response_time_ms" => set(
                    &mut state.last_response_time,
                    response_time(&value),
                    "a number of milliseconds",
                ),
                "last_notified" => self.time(&mut state.last_notified, &value),
                "last_alarm_started" => self.time(&mut state.last_alarm_started, &value),
                "last_successful_heartbeat" => self.time(&mut state.last_successful_heartbeat, &value),
                "down_count" => set_count(&mut state.down_count, &value),
                "notified_count" => set_count(&mut state.notified_count, &value),
                "error_reason" => set(&mut state.error_reason, text(&value), "text"),
                "last_config_checksum" => set(
                    &mut state.last_config_checksum,
                    text(&value).map(Into::into),
                    "text",
                ),
                _ => {
                    state.memory.kept.insert(key, value.to_string().into());
                    continue;
                }
            };
            if let Err(expected) = read {
                self.warn(&format!(
                    "monitor \"{name}\": \"{key}\" is not {expected}: ignored"
                ));
            }
        }
        state
    }

    fn time(&self, field: &mut Option<Timestamp>, value: &Value) -> Result<(), &'static str> {
        let read = value.as_str().and_then(|text| local_time::parse(text, self.zone));
        set(field, read, "a time")
    }
}

/// Stores a value that could be read; the error names what was expected.
fn set<T>(field: &mut Option<T>, read: Option<T>, expected: &'static str) -> Result<(), &'static str> {
    *field = read;
    field.as_ref().map(|_| ()).ok_or(expected)
}

fn set_count(field: &mut u32, value: &Value) -> Result<(), &'static str> {
    let read = value
        .as_f64()
        .filter(|n| n.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(n));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // just checked
    let count = read.map(|n| n as u32);
    *field = count.ok_or("a count")?;
    Ok(())
}

fn yes_or_no(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(is) => Some(*is),
        Value::Number(n) if n.as_f64() == Some(0.0) => Some(false),
        Value::Number(n) if n.as_f64() == Some(1.0) => Some(true),
        _ => None,
    }
}

fn response_time(value: &Value) -> Option<Duration> {
    let millis = value.as_f64().filter(|ms| (0.0..=MAX_RESPONSE_MS).contains(ms))?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // just checked
    let micros = (millis * 1_000.0).round() as u64;
    Some(Duration::from_micros(micros))
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}
