//! The database that a daemon leaves behind.

use std::path::Path;

use apmon_store::History;
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};

/// Reads the parts that tests need, in the shape of a JSON state file.
pub fn read(path: &Path) -> Value {
    let history = History::open(path).unwrap();
    let local = |at: Option<Timestamp>| at.map(|at| TimeZone::UTC.to_datetime(at).to_string());
    let mut all = serde_json::Map::new();
    for (name, state) in history.states().unwrap() {
        let fields = json!({
            "is_up": state.is_up,
            "last_checked": local(state.last_checked),
            "last_alarm_started": local(state.last_alarm_started),
            "down_count": state.down_count,
            "notified_count": state.notified_count,
            "error_reason": state.error_reason,
        });
        all.insert(name, fields);
    }
    let records = history.records().unwrap().into_iter().map(|(key, record)| {
        let content: Value = serde_json::from_str(&record.json).unwrap();
        (key, json!({"content": content}))
    });
    let records: serde_json::Map<_, _> = records.collect();
    let own = json!({"outbox": history.outbox().unwrap(), "records": records});
    all.insert("apmon".into(), own);
    all.into()
}
