//! Options and notifications for the tests of mail.

#![allow(dead_code)] // not every test file uses everything

use std::time::Duration;

use apmon_core::{Notification, NotificationKind};
use apmon_notify::{Mail, MailServer};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::{names::names, timing::LONG};

/// A mail server at `host` with the further options `more`.
pub fn server_at(host: &str, port: u16, more: Value, timeout: Duration) -> MailServer {
    let mut options = json!({"smtp_host": host, "smtp_port": port, "from_address": "apmon@lan.example"});
    let more = more.as_object().unwrap().clone();
    options.as_object_mut().unwrap().extend(more);
    MailServer::new(&serde_json::from_value(options).unwrap(), names(), timeout).unwrap()
}

pub fn server(port: u16, more: Value) -> MailServer {
    server_at("127.0.0.1", port, more, LONG)
}

pub fn plain(port: u16, timeout: Duration) -> MailServer {
    server_at("127.0.0.1", port, json!({"use_tls": false}), timeout)
}

pub fn to(address: &str, server: &MailServer) -> Mail {
    let options = serde_json::from_value(json!({"email": address})).unwrap();
    Mail::new(&options, server.clone(), TimeZone::UTC).unwrap()
}

pub fn notification(kind: NotificationKind, number: u32) -> Notification {
    Notification {
        id: format!("7f-{number}"),
        incident: "7f".into(),
        kind,
        site: "Hömelab".into(),
        monitor: "wéb".into(),
        address: "http://192.168.1.12/".into(),
        text: "wéb in Hömelab new outage: refused (http://192.168.1.12/) at 2:15 PM, down for 0 secs".into(),
        number,
        at: "2026-02-11T14:15:00Z".parse().unwrap(),
        since: Some("2026-02-11T14:15:00Z".parse().unwrap()),
        lasted: Some(Duration::ZERO),
        next_reminder: None,
        subject: Default::default(),
        covers: Vec::new(),
        ended: None,
    }
}

pub fn outage() -> Notification {
    notification(NotificationKind::Outage, 1)
}

/// The key with which the outbox sends a notification to this recipient.
pub fn key(notification: &Notification, address: &str) -> String {
    format!("{}-mail:{address}", notification.id)
}
