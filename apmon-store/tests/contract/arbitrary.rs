//! Any content survives: states and notifications drawn at random.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use apmon_core::{Commit, Memory, MonitorState, Notification, NotificationKind, OutboxEntry, OwnState};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{Home, entry};

/// One moment in three is near the end of summer time in 2026, when clocks show
/// an hour twice.
fn moment() -> impl Strategy<Value = Timestamp> {
    let second = prop_oneof![
        2 => 0_i64..4_000_000_000,
        1 => 1_793_505_600_i64..1_793_520_000,
    ];
    (second, 0..1_000_000_i32).prop_map(|(second, micro)| Timestamp::new(second, micro * 1_000).unwrap())
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|n| json!(n)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,4}", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_state() -> impl Strategy<Value = MonitorState> {
    let times = prop::array::uniform6(prop::option::of(moment()));
    let texts = prop::array::uniform3(prop::option::of(any::<String>()));
    let kept = prop::collection::btree_map("x_[a-z]{0,6}", json_value(), 0..3);
    let memory = (kept, prop::option::of(json_value()));
    let rest = (
        any::<Option<bool>>(),
        any::<(u32, u32)>(),
        prop::option::of(0_u64..1_000_000_000_000_000),
    );
    #[allow(clippy::needless_update)] // for fields added later
    (times, texts, memory, rest).prop_map(|(times, texts, (kept, counts), rest)| {
        let [checked, notified, started, heartbeat, unknown, removed] = times;
        let [reason, checksum, incident] = texts;
        let (is_up, (down_count, notified_count), micros) = rest;
        MonitorState {
            is_up,
            last_checked: checked,
            last_response_time: micros.map(Duration::from_micros),
            last_notified: notified,
            last_alarm_started: started,
            last_successful_heartbeat: heartbeat,
            down_count,
            notified_count,
            error_reason: reason,
            last_config_checksum: checksum.map(Into::into),
            own: OwnState {
                incident: incident.clone(),
                unknown_since: unknown,
                unknown_incident: incident,
                removed_at: removed,
                part_at: NonZeroU32::new(notified_count),
                ..OwnState::default()
            },
            memory: Memory {
                kept: kept
                    .into_iter()
                    .map(|(key, value)| (key, value.to_string().into()))
                    .collect(),
                counts: counts.map(|value| value.to_string().into()),
            },
            ..MonitorState::default()
        }
    })
}

fn any_entry() -> impl Strategy<Value = OutboxEntry> {
    let texts = prop::array::uniform7(any::<String>());
    let kind = prop_oneof![
        Just(NotificationKind::Outage),
        Just(NotificationKind::Recovery),
        any::<String>().prop_map(NotificationKind::Notice),
    ];
    (
        texts,
        kind,
        any::<(u32, u32, bool)>(),
        any::<Option<String>>(),
        moment(),
    )
        .prop_map(|(texts, kind, (number, attempts, refused), last_error, at)| {
            let [channel, id, incident, site, monitor, address, text] = texts;
            let notification = Notification {
                kind,
                number,
                at,
                since: Some(at),
                lasted: refused.then_some(Duration::new(u64::from(number), attempts % 1_000_000_000)),
                next_reminder: refused.then_some(at),
                ended: None,
                ..Notification {
                    id,
                    incident,
                    site,
                    monitor,
                    address,
                    text,
                    ..entry("", 0).notification
                }
            };
            OutboxEntry {
                channel,
                notification,
                attempts,
                last_tried: refused.then_some(at),
                last_error,
                retry_at: None,
                refused,
                addressed: Vec::new(),
            }
        })
}

/// Whatever is committed is there after reopening.
pub fn any_content_survives<H: Home>(home: impl Fn() -> H) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let monitors = prop::collection::btree_map("m[^\u{0}]*", any_state(), 0..4);
    let outbox = prop::collection::vec(any_entry(), 0..4);
    let config = ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(monitors in monitors, outbox in outbox)| {
        let home = home();
        let after = runtime.block_on(async {
            let store = home.open();
            let epoch = store.load().await.unwrap().epoch;
            let commit = Commit {
                epoch,
                states: monitors.clone().into_iter().map(|(name, state)| (name, state.into())).collect(),
                outbox: outbox.clone(),
                ..Commit::default()
            };
            store.commit(&commit).await.unwrap();
            drop(store);
            let store = home.open();
            store.load().await.unwrap()
        });
        prop_assert_eq!(after.warnings, Vec::<String>::new());
        let monitors_after: BTreeMap<_, _> = after.monitors.iter().map(|(name, state)| (name.clone(), MonitorState::clone(state))).collect();
        prop_assert_eq!(monitors_after, monitors);
        let mut expected = Vec::<OutboxEntry>::new();
        for entry in outbox {
            match expected.iter_mut().find(|known| known.key() == entry.key()) {
                Some(known) => *known = entry,
                None => expected.push(entry),
            }
        }
        prop_assert_eq!(after.outbox, expected);
    });
}
