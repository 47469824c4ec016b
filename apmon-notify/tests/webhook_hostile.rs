//! Receivers of webhooks that flood, and those that are used again.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod names;
mod server;
mod timing;

use std::time::Duration;

use apmon_core::{DeliveryError, Notification, NotificationKind, Notifier, Secret};
use apmon_notify::{HttpClient, RequestEncoding, RequestMethod, Webhook, WebhookOptions};
use names::names;
use server::{Behaviour, Server, answer};
use timing::LONG;

const TEXT: &str = "web in HomeLab is UP";

fn options(url: &str, method: RequestMethod, encoding: RequestEncoding) -> WebhookOptions {
    WebhookOptions {
        endpoint_url: Some(Secret::new(url)),
        request_method: Some(method),
        request_encoding: Some(encoding),
        ..WebhookOptions::default()
    }
}

fn notification(text: &str) -> Notification {
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

async fn deliver(options: &WebhookOptions, timeout: Duration) -> Result<(), DeliveryError> {
    let webhook = Webhook::new(options, HttpClient::new(names()), timeout).unwrap();
    webhook.deliver(&notification(TEXT), "key-1").await
}

async fn post_to(server: &Server) -> Result<(), DeliveryError> {
    let options = options(
        &server.url("/path-T0KEN?query-T0KEN"),
        RequestMethod::Post,
        RequestEncoding::Url,
    );
    deliver(&options, LONG).await
}

/// The receiver must not occupy this process, whatever the timeout allows.
#[tokio::test]
async fn a_receiver_that_floods_ends_the_attempt() {
    for (flood, expected) in [
        (
            "HTTP/1.1 100 Continue\r\n\r\n",
            "the answer is longer than 1048576 bytes",
        ),
        ("HTTP/1.1 200 OK\r\na: b", ""),
        ("\r\n", ""),
    ] {
        let server = Server::start(vec![Behaviour::Repeats(flood.to_owned())]);
        let error = post_to(&server).await.unwrap_err();
        assert!(matches!(error, DeliveryError::Retryable { .. }), "{error}");
        assert!(error.to_string().ends_with(expected), "{error}");
        assert!(
            !error.to_string().contains("no answer within"),
            "{flood:?}: {error}"
        );
    }
}

#[tokio::test]
async fn a_connection_is_used_for_the_next_request() {
    let good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    // Any further connection would fail.
    let behaviours = vec![Behaviour::AnswersAll(good.to_owned()), answer("500 No", "")];
    let server = Server::start(behaviours);
    let options = options(&server.url("/"), RequestMethod::Post, RequestEncoding::Json);
    let webhook = Webhook::new(&options, HttpClient::new(names()), LONG).unwrap();
    for _ in 0..3 {
        webhook.deliver(&notification(TEXT), "key").await.unwrap();
    }
    assert_eq!(server.received().len(), 3);
}

/// Small devices receive webhooks too. An answer that is not read would be a delivery
/// that is repeated.
#[tokio::test]
async fn a_receiver_that_breaks_the_rules_of_http_has_received_it() {
    let many: String = (0..500).map(|at| format!("X-{at}: y\r\n")).collect();
    for head in [
        "X: a;\r\n b\r\n",
        "Server : old\r\n",
        "no header\r\n",
        "X: \u{1}\r\n",
        "My Server: old\r\n",
        &many,
    ] {
        let text = format!("HTTP/1.1 200 OK\r\n{head}Content-Length: 0\r\n\r\n");
        let server = Server::start(vec![Behaviour::AnswersAll(text)]);
        assert_eq!(
            post_to(&server).await.map_err(|error| error.to_string()),
            Ok(()),
            "{head}"
        );
    }
}
