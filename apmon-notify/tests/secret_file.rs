//! Secrets of webhooks that are in files: read at each delivery, and masked like those in the
//! site file.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod names;
mod server;
mod site;
mod timing;

use std::{fs, path::Path};

use apmon_core::{
    DeliveryError, Notification, NotificationKind, Notifier as _, Services,
    config::{ProcessEnvironment, SiteFile, parse},
};
use apmon_notify::{CHANNELS, HttpClient, PresetName, Webhook, WebhookOptions};
use names::names;
use server::{Behaviour, Server};
use timing::LONG;

fn notification() -> Notification {
    Notification {
        id: "i-1".into(),
        incident: "i".into(),
        kind: NotificationKind::Outage,
        site: "Lab".into(),
        monitor: "door".into(),
        address: "front".into(),
        text: "door in Lab is down".into(),
        number: 1,
        at: "2026-02-11T14:18:00Z".parse().unwrap(),
        since: None,
        lasted: None,
        next_reminder: None,
        subject: Default::default(),
        covers: Vec::new(),
        ended: None,
    }
}

/// A site file in `directory` with this entry of `outage_webhooks`.
fn site(directory: &Path, entry: &str) -> Result<SiteFile, String> {
    let text = format!(
        "site:\n  name: Lab\n  outage_webhooks: [{{{entry}}}]\nmonitors: [{{type: manual, name: door, address: front}}]\n"
    );
    let path = directory.join("lab.yaml");
    let parsed = parse(&path, &text, site::KINDS, CHANNELS, &ProcessEnvironment);
    parsed.map_err(|error| error.to_string())
}

async fn deliver(file: &SiteFile) -> (Result<(), DeliveryError>, Vec<String>) {
    let services = Services::default();
    services.provide_names(names());
    let notifier = file.channels[0].build(&services, LONG);
    let mut shown = Vec::new();
    let result = notifier
        .deliver_with_transcript(&notification(), "key", &mut shown)
        .await;
    (result, shown)
}

#[tokio::test]
async fn a_token_is_read_from_its_file_at_each_delivery_and_masked() {
    let directory = tempfile::tempdir().unwrap();
    let echo =
        "HTTP/1.1 401 Unauthorized\r\nContent-Length: 41\r\n\r\nf1rst-t0ken or s3cond-t0ken is not a key.";
    let server = Server::start(vec![Behaviour::AnswersAll(echo.into())]);
    let entry = format!(
        "preset: gotify, url: '{}', token_file: secret/token",
        server.url("")
    );
    let file = site(directory.path(), &entry).unwrap();
    assert_eq!(file.channels[0].id, "webhook:127.0.0.1");
    let origin = server.url("");
    let missing = "token_file: secret/token cannot be read: No such file or directory (os error 2)";
    assert!(
        file.warnings[0]
            .text
            .ends_with(&format!("nothing is delivered without it: {}", &missing[12..])),
        "{:?}",
        file.warnings
    );
    let (result, _) = deliver(&file).await;
    assert_eq!(
        result,
        Err(DeliveryError::retryable(format!("{origin}: {missing}")))
    );

    fs::create_dir(directory.path().join("secret")).unwrap();
    let path = directory.path().join("secret/token");
    for (token, shown) in [
        ("f1rst-t0ken\n", "*** or s3cond-t0ken is not a key."),
        ("s3cond-t0ken", "f1rst-t0ken or *** is not a key."),
    ] {
        fs::write(&path, token).unwrap();
        let (result, lines) = deliver(&file).await;
        let reason = format!("{origin}: answered 401 Unauthorized (answer: {shown})");
        assert_eq!(result, Err(DeliveryError::permanent(reason)));
        assert_eq!(lines.last().unwrap(), &format!("< {shown}"));
        assert!(lines.contains(&"> x-gotify-key: ***".to_owned()), "{lines:?}");
    }
    let sent: Vec<_> = server
        .received()
        .iter()
        .map(|received| received.header("x-gotify-key").unwrap().to_owned())
        .collect();
    assert_eq!(sent, ["f1rst-t0ken", "s3cond-t0ken"]);

    fs::write(&path, "t0k\u{e9}n").unwrap();
    let (result, _) = deliver(&file).await;
    let reason = format!(
        "{origin}: the content of token_file secret/token contains characters that are not allowed in a header"
    );
    assert_eq!(result, Err(DeliveryError::retryable(reason)));
}

/// The channel's id must not change with the URL, so it has the name of the file.
#[tokio::test]
async fn a_url_may_be_in_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::answering("200 OK");
    for (entry, path) in [
        ("preset: slack, url_file: hook-url", "/services/T0/s3cret"),
        (
            "endpoint_url_file: hook-url, request_method: POST, request_encoding: JSON",
            "/hook/s3cret?a=b",
        ),
        (
            "endpoint_url_file: hook-url, request_method: GET, request_encoding: URL",
            "/hook?s3cret=",
        ),
    ] {
        let option = entry.split("_file").next().unwrap().rsplit([' ']).next().unwrap();
        let file_path = directory.path().join("hook-url");
        fs::write(&file_path, "no url\n").unwrap();
        let file = site(directory.path(), entry).unwrap();
        assert_eq!(file.channels[0].id, "webhook:hook-url");
        assert_eq!(
            file.channels[0].blueprint.target,
            format!("{option}_file hook-url")
        );
        let (result, _) = deliver(&file).await;
        let name = if option == "url" { "url" } else { "endpoint_url" };
        let reason = format!(
            "{option}_file hook-url: the content of the file is wrong: \"{name}\" is not an http:// or https:// URL"
        );
        assert_eq!(result, Err(DeliveryError::retryable(reason)));
        fs::write(&file_path, server.url(path) + "\n").unwrap();
        let (result, lines) = deliver(&file).await;
        result.unwrap();
        assert!(!lines.join("\n").contains("s3cret"), "{lines:?}");
        let line = server.received().last().unwrap().request_line.clone();
        assert!(line.contains(path), "{line}");
    }
}

#[test]
fn a_value_is_given_once_and_where_it_belongs() {
    let directory = tempfile::tempdir().unwrap();
    let error = |entry: &str| {
        let text = site(directory.path(), entry).unwrap_err();
        let lines: Vec<_> = text
            .lines()
            .map(|line| line.split_once("outage_webhooks 1: ").unwrap().1)
            .collect();
        lines.join("\n")
    };
    assert_eq!(
        error("preset: pagerduty, routing_key: a, routing_key_file: b"),
        "\"routing_key_file\" cannot be combined with routing_key; remove one of them"
    );
    assert_eq!(
        error("preset: pagerduty, token_file: b"),
        "\"routing_key\" is missing; preset pagerduty needs it\n\
         \"token_file\" is not an option of preset pagerduty (routing_key, url)"
    );
    assert_eq!(
        error(
            "endpoint_url: 'https://h/', endpoint_url_file: b, request_method: POST, request_encoding: JSON"
        ),
        "\"endpoint_url_file\" cannot be combined with endpoint_url; remove one of them"
    );
    // The URL of an own server is no secret.
    assert_eq!(
        error("preset: ntfy, topic: t, url_file: b"),
        "\"url_file\" is not an option of preset ntfy (topic, priority, tags, url, token)"
    );
}

#[tokio::test]
async fn an_embedder_may_name_files_too() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::answering("200 OK");
    let path = directory.path().join("key");
    fs::write(&path, "k3y\n").unwrap();
    let mut options = WebhookOptions {
        preset: PresetName::find("pagerduty"),
        ..WebhookOptions::default()
    };
    let path = serde_json::from_value(path.to_str().unwrap().into()).unwrap();
    options.value_files.insert("routing_key".into(), path);
    options
        .values
        .insert("url".into(), apmon_core::Secret::new(server.url("")));
    let webhook = Webhook::new(&options, HttpClient::new(names()), LONG).unwrap();
    webhook.deliver(&notification(), "key").await.unwrap();
    let body: serde_json::Value = serde_json::from_str(&server.received()[0].body).unwrap();
    assert_eq!(body["routing_key"], "k3y");
}
