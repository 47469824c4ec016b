//! The state file that a run leaves behind.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use apmon_core::{Clock as _, SystemClock};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::{Value, json};

/// APMonitor's keys that hold a local time.
const TIMES: &[&str] = &[
    "last_checked",
    "last_notified",
    "last_alarm_started",
    "last_successful_heartbeat",
];

pub struct StateFile(PathBuf);

impl StateFile {
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path with `suffix` appended.
    pub fn with_suffix(&self, suffix: &str) -> PathBuf {
        PathBuf::from(format!("{}{suffix}", self.0.display()))
    }

    pub fn exists(&self) -> bool {
        self.0.exists()
    }

    /// The daemon's database for the same site.
    pub fn database(&self) -> PathBuf {
        self.0.with_extension("db")
    }

    /// Reads the content; of a database the parts that tests need, in the same shape.
    pub fn read(&self) -> Value {
        #[cfg(feature = "sqlite")]
        if self.database().exists() {
            return super::database::read(&self.database());
        }
        let text = fs::read_to_string(&self.0).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
    }

    pub fn write(&self, value: &Value) {
        fs::create_dir_all(self.0.parent().unwrap()).unwrap();
        fs::write(&self.0, format!("{value:#}\n")).unwrap();
    }

    /// The notifications in the outbox.
    pub fn outbox(&self) -> Vec<Value> {
        self.read()["apmon"]["outbox"].as_array().unwrap().clone()
    }

    /// The content of a record.
    pub fn record(&self, key: &str) -> Value {
        self.read()["apmon"]["records"][key]["content"].clone()
    }

    /// Reads a local time of a monitor.
    pub fn time(&self, monitor: &str, key: &str) -> Timestamp {
        let value = &self.read()[monitor][key];
        let text = value
            .as_str()
            .unwrap_or_else(|| panic!("{monitor} {key}: {value}"));
        let local: DateTime = text.parse().unwrap();
        local.to_zoned(TimeZone::UTC).unwrap().timestamp()
    }

    /// Shifts all times into the past, as if that much time had passed.
    pub fn age(&self, by: Duration) {
        let mut state = self.read();
        for (name, monitor) in state.as_object_mut().unwrap() {
            if name == "apmon" {
                continue;
            }
            let Some(monitor) = monitor.as_object_mut() else {
                continue;
            };
            for (key, value) in monitor {
                if let (true, Some(text)) = (TIMES.contains(&key.as_str()), value.as_str()) {
                    let local: DateTime = text.parse().unwrap();
                    *value = json!((local - by).to_string());
                }
            }
        }
        self.write(&state);
    }
}

/// The local time `by` ago, as a state file holds it.
pub fn ago(by: Duration) -> String {
    let now = SystemClock::new().now().wall;
    TimeZone::UTC.to_datetime(now - by).to_string()
}
