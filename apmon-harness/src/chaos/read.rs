//! Reads apmon's state. While apmon writes it, outbox, states and history may be of different
//! moments; a round is judged by what is there after apmon has stopped.

use std::path::Path;

use apmon_core::{DeliveryFate, IncidentKind, NotificationKind, OutboxEntry, StoreError};
use apmon_store::{Format, read_snapshot};
use jiff::{Timestamp, tz::TimeZone};

use super::record::{History, Incident, Stored, Waiting};
use crate::{
    fault::{During as _, Fault},
    workspace,
};

/// Reads the state file at `path`, a database or JSON.
pub(super) fn read(path: &Path) -> Result<Stored, Fault> {
    // There is no file before the first commit.
    if !path.exists() {
        return Ok(Stored::default());
    }
    let stored = stored(path).map_err(|error| error.one_line());
    stored.during(format!("read {}", workspace::shown(path)))
}

fn stored(path: &Path) -> Result<Stored, StoreError> {
    // The process runs with `TZ=UTC`.
    let snapshot = read_snapshot(path, &TimeZone::UTC)?;
    // A value that its own store cannot read has been damaged.
    if let Some(warning) = snapshot.warnings.first() {
        return Err(StoreError::Damaged {
            place: path.display().to_string(),
            reason: warning.clone(),
        });
    }
    let states = snapshot.monitors.iter();
    Ok(Stored {
        outbox: snapshot.outbox.iter().map(waiting).collect(),
        states: states.map(|(name, state)| (name.clone(), state.is_up)).collect(),
        history: match Format::of(path) {
            Format::Json => None,
            Format::Sqlite => Some(history(path)?),
        },
    })
}

fn waiting(entry: &OutboxEntry) -> Waiting {
    Waiting {
        channel: entry.channel.clone(),
        key: entry.key(),
        is_reminder: entry.notification.kind == NotificationKind::Reminder,
    }
}

fn history(path: &Path) -> Result<History, StoreError> {
    let history = apmon_store::History::open(path)?;
    let ever = Timestamp::MIN..=Timestamp::MAX;
    let incidents = history.incidents(None, &ever)?.into_iter();
    let outages = incidents.filter(|incident| incident.kind == IncidentKind::Outage);
    let deliveries = history.deliveries(None, &ever)?.into_iter();
    let delivered = deliveries.filter(|delivery| delivery.fate == DeliveryFate::Delivered);
    Ok(History {
        incidents: outages
            .map(|incident| Incident {
                id: incident.id,
                monitor: incident.monitor,
                ended: incident.ended.is_some(),
                notifications: incident.notifications,
            })
            .collect(),
        delivered: delivered
            .map(|delivery| {
                let key = format!("{}-{}", delivery.notification, delivery.channel);
                (delivery.channel, key)
            })
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use apmon_core::{Commit, Delivery, MonitorState, Records, StateStore as _};
    use apmon_store::SqliteStore;

    use super::*;

    const JSON: &str = r#"{
        "m01": {"is_up": false, "down_count": 1},
        "m02": {"is_up": null, "down_count": 0},
        "apmon": {"version": 1, "epoch": 1, "outbox": [{
            "channel": "mail:ops@chaos.example",
            "notification": {
                "id": "ab-2", "incident": "ab", "kind": "reminder", "site": "Chaos", "monitor": "m01",
                "address": "h", "text": "m01 in Chaos is down: x", "number": 2,
                "at": "2026-02-11T14:15:00Z", "since": null
            }
        }]}
    }"#;

    #[test]
    fn a_json_file_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        assert!(read(&path).unwrap().states.is_empty());
        fs::write(&path, JSON).unwrap();
        let stored = read(&path).unwrap();
        assert_eq!(stored.states, [("m01".into(), Some(false)), ("m02".into(), None)]);
        assert_eq!(stored.outbox.len(), 1);
        let waiting = &stored.outbox[0];
        assert_eq!(waiting.channel, "mail:ops@chaos.example");
        assert_eq!(waiting.key, "ab-2-mail:ops@chaos.example");
        assert!(waiting.is_reminder);
        assert!(stored.history.is_none());
    }

    #[test]
    fn a_damaged_file_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        for text in ["{", r#"{"m01": {"is_up": "perhaps"}}"#] {
            fs::write(&path, text).unwrap();
            assert!(read(&path).is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn a_database_is_read_with_its_history() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        let store = SqliteStore::open(&path, TimeZone::UTC, None).unwrap();
        let epoch = store.load().await.unwrap().epoch;
        // In 2100, so that nothing is pruned.
        let at = Timestamp::from_second(4_102_452_000).unwrap();
        let incident = |id: &str, kind| apmon_core::Incident {
            id: id.into(),
            monitor: "m01".into(),
            kind,
            started: at,
            ended: Some(at),
            reason: None,
            notifications: 2,
        };
        let delivery = |notification: &str, fate| Delivery {
            channel: "webhook:h".into(),
            notification: notification.into(),
            incident: "ab".into(),
            monitor: "m01".into(),
            label: "DOWN".into(),
            at,
            tries: 1,
            fate,
            error: None,
        };
        let is_down = MonitorState {
            is_up: Some(false),
            ..MonitorState::default()
        };
        let records = Records {
            incidents: [
                incident("ab", IncidentKind::Outage),
                incident("cd", IncidentKind::Unknown),
            ]
            .into(),
            deliveries: [
                delivery("ab-1", DeliveryFate::Delivered),
                delivery("ab-2", DeliveryFate::Refused),
            ]
            .into(),
            ..Records::default()
        };
        let commit = Commit {
            epoch,
            states: vec![("m01".into(), is_down.into())],
            history: records.into(),
            ..Commit::default()
        };
        store.commit(&commit).await.unwrap();
        let stored = read(&path).unwrap();
        assert_eq!(stored.states, [("m01".into(), Some(false))]);
        let history = stored.history.unwrap();
        assert_eq!(history.incidents.len(), 1);
        let outage = &history.incidents[0];
        assert_eq!((&*outage.id, outage.ended, outage.notifications), ("ab", true, 2));
        assert_eq!(history.delivered, [("webhook:h".into(), "ab-1-webhook:h".into())]);
    }
}
