use std::path::PathBuf;

use apmon_core::{ChecksStatus, DeliveryCounts, NotificationStatus, OutboxStatus};

use super::*;
use crate::{
    api::ApiError,
    location::{Search, SiteLocation},
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Central European time in winter.
fn zone() -> TimeZone {
    TimeZone::posix("CET-1").unwrap()
}

fn monitor(name: &str, state: Condition, since: &str, reason: &str) -> MonitorStatus {
    MonitorStatus {
        name: name.into(),
        state,
        since: Some(at(since)),
        reason: (!reason.is_empty()).then(|| reason.into()),
        last_checked: Some(at("2026-11-21T13:04:48Z")),
        next_check: Some(at("2026-11-21T13:05:48Z")),
        max_retries: Some(3),
        alarms: Some(true),
        ..MonitorStatus::default()
    }
}

fn home() -> SiteStatus {
    let up = |name, since| monitor(name, Condition::Up, since, "");
    SiteStatus {
        site: "Home".into(),
        at: at("2026-11-21T13:05:00Z"),
        started: Some(at("2026-11-18T09:00:00Z")),
        no_notify: false,
        unsaved: false,
        checks: Some(ChecksStatus {
            ended: 51_204,
            missed: 0,
            late_p50_ms: 0.51,
            late_p99_ms: 1.62,
            late_max_ms: 3.1,
        }),
        monitors: vec![
            up("gateway", "2026-11-18T09:00:02Z"),
            MonitorStatus {
                reason: None,
                since: None,
                last_checked: None,
                checking: true,
                ..monitor("new-thing", Condition::Pending, "2026-11-21T13:05:00Z", "")
            },
            MonitorStatus {
                next_reminder: Some(at("2026-11-21T13:09:13Z")),
                notified_count: 2,
                ..monitor(
                    "nas-ssh",
                    Condition::Down,
                    "2026-11-21T13:01:11Z",
                    "connect: connection refused",
                )
            },
            MonitorStatus {
                next_check: Some(at("2026-11-21T13:05:00.4Z")),
                unknown_since: Some(at("2026-11-21T13:02:00Z")),
                ..monitor(
                    "backup",
                    Condition::Down,
                    "2025-12-24T18:00:00Z",
                    "no answer within 20 s",
                )
            },
            MonitorStatus {
                alarms: Some(false),
                ..monitor(
                    "printer",
                    Condition::Down,
                    "2026-11-20T07:00:00Z",
                    "connect: no route to host",
                )
            },
            MonitorStatus {
                down_count: 1,
                ..monitor(
                    "wiki",
                    Condition::Soft,
                    "2026-11-20T07:00:00Z",
                    "status 503 Service Unavailable",
                )
            },
            monitor(
                "a-switch-with-a-name-that-has-no-end-in-the-basement",
                Condition::Unknown,
                "2026-11-21T13:00:00Z",
                "our own resolver did not answer: \u{1b}[31m127.0.0.53 timed out after five seconds of silence",
            ),
            up("nas", "2026-11-21T08:00:00Z"),
        ],
        channels: Vec::new(),
        outbox: OutboxStatus::default(),
    }
}

fn shown(status: SiteStatus, daemon_error: Option<ApiError>) -> String {
    let location = SiteLocation {
        stem: "home".into(),
        config: None,
        state_file: PathBuf::from("/var/lib/apmon/home.statefile.db"),
        is_guess: false,
        daemon: None,
        search: Search {
            searched: ["/run/apmon", "/var/tmp/APMonitor"].map(PathBuf::from).to_vec(),
            unsearched: vec![("/var/lib/apmon".into(), "Permission denied (os error 13)".into())],
        },
    };
    let report = SiteReport {
        location,
        status,
        daemon_error,
    };
    let text = render(&report, &zone(), Some(100));
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    text
}

fn notification(n: i64, channel: &str, refused: bool) -> NotificationStatus {
    NotificationStatus {
        channel: channel.into(),
        id: format!("i-{n}"),
        monitor: "nas-ssh".into(),
        text: "nas-ssh in Home new outage: connect: connection refused (tcp://192.168.1.10:22) at 2:01 PM, down for 0 secs"
            .into(),
        at: at("2026-11-21T13:01:11Z") + jiff::SignedDuration::from_secs(n),
        attempts: 3,
        refused,
        last_error: Some("answered 404 Not Found".into()),
    }
}

#[test]
fn a_daemon_with_problems() {
    let status = SiteStatus {
        channels: vec![
            ChannelStatus {
                id: "mail:ops@example.com".into(),
                last_delivered: Some(at("2026-11-20T07:00:01Z")),
                counts: DeliveryCounts {
                    delivered: 4,
                    ..DeliveryCounts::default()
                },
                ..ChannelStatus::default()
            },
            ChannelStatus {
                id: "webhook:hooks.example.com".into(),
                waiting: 12,
                refused: 1,
                next_try: Some(at("2026-11-21T13:05:42Z")),
                failing_since: Some(at("2026-11-21T13:01:12Z")),
                failures: 5,
                last_error: Some(
                    "https://hooks.example.com: answered 503 Service Unavailable, and a long text".into(),
                ),
                ..ChannelStatus::default()
            },
            ChannelStatus {
                id: "syslog:/dev/log".into(),
                ..ChannelStatus::default()
            },
        ],
        outbox: OutboxStatus {
            waiting: 12,
            refused: 1,
            oldest: (0..8)
                .map(|n| notification(n, "webhook:hooks.example.com", n == 1))
                .collect(),
        },
        ..home()
    };
    insta::assert_snapshot!(shown(status, None));
}

#[test]
fn a_status_from_the_state_file() {
    let mut status = SiteStatus {
        started: None,
        checks: None,
        ..home()
    };
    for monitor in &mut status.monitors {
        monitor.next_check = None;
        monitor.next_reminder = None;
        monitor.checking = false;
        monitor.max_retries = None;
        monitor.alarms = None;
    }
    insta::assert_snapshot!(shown(status, Some(ApiError::NotFound)));
}

#[test]
fn the_parts_of_a_monitor_are_listed_like_monitors() {
    let mut status = home();
    status.monitors.retain(|monitor| monitor.state == Condition::Up);
    let part = |name, state, reason| monitor(name, state, "2026-11-21T13:01:11Z", reason);
    status.monitors[0].parts = vec![
        part("gateway/Gi1/0/1", Condition::Up, ""),
        part("gateway/Gi1/0/2", Condition::Down, "no link"),
    ];
    insta::assert_snapshot!(shown(status, None));
}

#[test]
fn a_daemon_without_problems() {
    let mut status = home();
    status.monitors.retain(|monitor| monitor.state == Condition::Up);
    insta::assert_snapshot!(shown(status, None));
}

#[test]
fn no_notify_and_unsaved_state_are_shown() {
    let status = SiteStatus {
        no_notify: true,
        unsaved: true,
        monitors: home().monitors.drain(..1).collect(),
        ..home()
    };
    insta::assert_snapshot!(shown(status, None));
    let text = shown(home(), Some(ApiError::Denied));
    let line = text.lines().nth(1).unwrap();
    assert_eq!(
        line,
        "the daemon answers only its own user and group; as of 14:04:48, 12s ago"
    );
}
