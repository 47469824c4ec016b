//! Options, notifications and deliveries for the tests of webhooks.

#![allow(dead_code)] // not every test file uses everything

use std::time::Duration;

use apmon_core::{DeliveryError, Notification, NotificationKind, Notifier, Secret};
use apmon_notify::{HttpClient, RequestEncoding, RequestMethod, Webhook, WebhookOptions};

use super::{names::names, server::Server, timing::LONG};

pub const TEXT: &str = "R&D's \"web\" in HomeLab is UP (http://h/?a=b) at 2:18 PM; ünicode";

pub fn options(url: &str, method: RequestMethod, encoding: RequestEncoding) -> WebhookOptions {
    WebhookOptions {
        endpoint_url: Some(Secret::new(url)),
        request_method: Some(method),
        request_encoding: Some(encoding),
        ..WebhookOptions::default()
    }
}

pub fn notification(text: &str) -> Notification {
    Notification {
        id: "id".into(),
        incident: "i".into(),
        kind: NotificationKind::Recovery,
        site: "HomeLab".into(),
        monitor: "web".into(),
        address: "http://h/".into(),
        text: text.into(),
        number: 2,
        at: "2026-02-11T14:18:00Z".parse().unwrap(),
        since: None,
        lasted: None,
        next_reminder: None,
        subject: Default::default(),
        covers: Vec::new(),
        ended: None,
    }
}

pub async fn deliver(options: &WebhookOptions, timeout: Duration) -> Result<(), DeliveryError> {
    let webhook = Webhook::new(options, HttpClient::new(names()), timeout).unwrap();
    webhook.deliver(&notification(TEXT), "key-1").await
}

pub async fn post_to(server: &Server) -> Result<(), DeliveryError> {
    let options = options(
        &server.url("/path-T0KEN?query-T0KEN"),
        RequestMethod::Post,
        RequestEncoding::Url,
    );
    deliver(&options, LONG).await
}
