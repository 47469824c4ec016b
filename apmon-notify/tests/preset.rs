//! The requests of each preset, received by a real HTTP server and compared with
//! snapshots. The names in them would break a template that is parsed after it
//! was filled.
//!
//! The services themselves are not contacted: the requests follow their published
//! formats (`about` in each file of `src/preset`).

#![allow(clippy::unwrap_used)] // what fails here is a test

mod names;
mod server;
mod timing;

use std::time::Duration;

use apmon_core::{DeliveryError, Notification, NotificationKind, Notifier, Secret};
use apmon_notify::{HttpClient, PresetName, Webhook, WebhookOptions};
use names::names;
use server::{Behaviour, Received, Server, answer};
use timing::LONG;

const HOSTILE: &str = "R&D's \"web\"\n{{token}} }} \\ <!channel> ünï 😀 ${HOME} %0A";

/// Options that may be shown.
const PLAIN: [(&str, &str); 4] = [
    ("message_thread_id", "77"),
    ("priority", "2"),
    ("sound", "siren"),
    ("tags", "home, lab"),
];

fn preset(name: &str) -> PresetName {
    PresetName::find(name).unwrap()
}

fn options(preset: PresetName, url: &str) -> WebhookOptions {
    let values = preset.options().map(|name| {
        let value = match name {
            "url" => url.to_owned(),
            "room" => "!R00M:example.org".to_owned(),
            "token" => "t0k:EN".to_owned(),
            name => match PLAIN.iter().find(|(plain, _)| *plain == name) {
                Some((_, value)) => (*value).to_owned(),
                None => format!("{name}-s3cret"),
            },
        };
        (name.to_owned(), Secret::new(value))
    });
    WebhookOptions {
        preset: Some(preset),
        values: values.collect(),
        ..WebhookOptions::default()
    }
}

fn notification(kind: NotificationKind, number: u32) -> Notification {
    let name = HOSTILE.replace('\n', "\\n");
    let text = match kind {
        NotificationKind::Outage => {
            format!("{name} in HomeLab new outage: no answer (http://h/) at 2:00 PM, down for 0 secs")
        }
        NotificationKind::Reminder => {
            format!("{name} in HomeLab is down: no answer (http://h/) at 2:10 PM, down for 10 mins 0 secs")
        }
        _ => format!("{name} in HomeLab is UP (http://h/) at 2:18 PM, outage lasted 18 mins 0 secs"),
    };
    Notification {
        id: format!("49f5d52a29d669c18210-{number}"),
        incident: "49f5d52a29d669c18210".into(),
        kind,
        site: "HomeLab".into(),
        monitor: HOSTILE.into(),
        address: "http://h/?a=b&c".into(),
        text,
        number,
        at: "2026-02-11T14:18:00Z".parse().unwrap(),
        since: Some("2026-02-11T14:00:00Z".parse().unwrap()),
        lasted: None,
        next_reminder: None,
        subject: Default::default(),
        covers: Vec::new(),
        ended: None,
    }
}

fn incident() -> [Notification; 3] {
    [
        notification(NotificationKind::Outage, 1),
        notification(NotificationKind::Reminder, 2),
        notification(NotificationKind::Recovery, 3),
    ]
}

fn shown(received: &Received) -> String {
    let headers = received.headers.iter();
    let mut headers: Vec<_> = headers
        .filter(|(name, _)| !["host", "user-agent", "accept", "content-length"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {value}\n"))
        .collect();
    headers.sort();
    let body = match serde_json::from_str::<serde_json::Value>(&received.body) {
        Ok(tree) => format!("{tree:#}"),
        Err(_) => received.body.clone(),
    };
    format!("{}\n{}\n{body}\n", received.request_line, headers.concat())
}

async fn received(preset: PresetName) -> Vec<Received> {
    let server = Server::answering("200 OK");
    let options = options(preset, &server.url("/at"));
    let webhook = Webhook::new(&options, HttpClient::new(names()), LONG).unwrap();
    for notification in incident() {
        let key = format!("{}-webhook:127.0.0.1", notification.id);
        webhook.deliver(&notification, &key).await.unwrap();
    }
    server.received()
}

/// The one request that `notification` makes.
async fn sent(preset: PresetName, notification: &Notification) -> Received {
    let server = Server::answering("200 OK");
    let webhook = Webhook::new(&options(preset, &server.url("")), HttpClient::new(names()), LONG).unwrap();
    webhook.deliver(notification, "key").await.unwrap();
    let [received] = &server.received()[..] else {
        panic!()
    };
    received.clone()
}

fn json(received: &Received) -> serde_json::Value {
    serde_json::from_str(&received.body).unwrap()
}

#[tokio::test]
async fn each_preset_sends_these_requests() {
    for preset in PresetName::all() {
        let requests: Vec<_> = received(preset).await.iter().map(shown).collect();
        insta::assert_snapshot!(preset.as_str(), requests.join("\n----\n\n"));
    }
}

/// The notification was refused at first, and is delivered after the end of its incident.
#[tokio::test]
async fn a_late_first_notification_of_an_ended_incident_opens_no_alert() {
    let ended: jiff::Timestamp = "2026-02-11T14:20:00Z".parse().unwrap();
    for kind in [
        NotificationKind::Outage,
        NotificationKind::Reminder,
        NotificationKind::Unknown,
    ] {
        let late = Notification {
            ended: Some(ended),
            ..notification(kind, 1)
        };
        let pagerduty = sent(preset("pagerduty"), &late).await;
        assert_eq!(json(&pagerduty)["event_action"], "resolve", "{late:?}");
        assert_eq!(json(&pagerduty)["dedup_key"], late.incident);
        let opsgenie = sent(preset("opsgenie"), &late).await;
        let close = format!("/v2/alerts/{}/close?identifierType=alias", late.incident);
        assert!(opsgenie.request_line.contains(&close), "{opsgenie:?}");
        let alertmanager = json(&sent(preset("alertmanager"), &late).await);
        assert_eq!(alertmanager[0]["endsAt"], ended.to_string());
        // An end before the start would be refused.
        let corrected = Notification {
            ended: Some("2026-02-11T13:00:00Z".parse().unwrap()),
            ..late
        };
        let alertmanager = json(&sent(preset("alertmanager"), &corrected).await);
        assert_eq!(alertmanager[0]["endsAt"], alertmanager[0]["startsAt"]);
    }
}

/// Alertmanager identifies an alert by its labels.
#[tokio::test]
async fn the_last_notification_closes_the_alert_that_the_first_one_opened() {
    use NotificationKind::{Known, NoLongerWatched, Outage, Recovery, Reminder, Unknown};
    for (first, last) in [(Outage, Recovery), (Reminder, NoLongerWatched), (Unknown, Known)] {
        let opened = json(&sent(preset("alertmanager"), &notification(first, 1)).await);
        let moved = Notification {
            address: "http://elsewhere/".into(),
            ..notification(last, 2)
        };
        let closed = json(&sent(preset("alertmanager"), &moved).await);
        assert_eq!(opened[0]["labels"], closed[0]["labels"]);
        assert_eq!(opened[0]["startsAt"], closed[0]["startsAt"]);
        assert_eq!(closed[0]["endsAt"], "2026-02-11T14:18:00Z");
        assert_eq!(opened[0]["endsAt"], "2026-03-13T14:18:00Z");
    }
}

/// Alertmanager ignores an end that is in the future by its own clock. It gets the true one all
/// the same, and an earlier one only where its clock turns out to be slow.
#[tokio::test]
async fn an_end_that_a_slow_clock_would_ignore_is_sent_again() {
    let closed = async |date: &str, ended: Option<&str>| {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: {date}\r\n\r\n");
        let server = Server::start(vec![Behaviour::AnswersAll(answer)]);
        let options = options(preset("alertmanager"), &server.url(""));
        let webhook = Webhook::new(&options, HttpClient::new(names()), LONG).unwrap();
        let mut end = notification(NotificationKind::Recovery, 2);
        end.at = "2026-02-11T14:18:00.9Z".parse().unwrap();
        end.ended = ended.map(|ended| ended.parse().unwrap());
        webhook.deliver(&end, "key").await.unwrap();
        let ends: Vec<_> = server
            .received()
            .iter()
            .map(|received| json(received)[0]["endsAt"].as_str().unwrap().to_owned())
            .collect();
        ends
    };
    let (end, began) = ("2026-02-11T14:18:00Z", "2026-02-11T14:00:00Z");
    for (date, ended, ends) in [
        ("Wed, 11 Feb 2026 14:18:00 GMT", None, vec![end]),
        ("Wed, 11 Feb 2026 15:18:00 GMT", None, vec![end]),
        (
            "Wed, 11 Feb 2026 14:17:58 GMT",
            None,
            vec![end, "2026-02-11T14:17:58Z"],
        ),
        ("Wed, 11 Feb 2026 13:00:00 GMT", None, vec![end, began]),
        ("yesterday", None, vec![end]),
        // An end that could not be sent at its time.
        (
            "Wed, 11 Feb 2026 14:18:00 GMT",
            Some("2026-02-11T14:05:00Z"),
            vec!["2026-02-11T14:05:00Z"],
        ),
    ] {
        assert_eq!(closed(date, ended).await, ends, "{date}");
    }
}

/// Slack and others answer 200 to a notification that they did not take.
#[tokio::test]
async fn an_error_in_an_answer_with_status_200_is_not_a_delivery() {
    let answered = async |name: &str, body: &str, success_body: Option<&str>| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        let server = Server::start(vec![Behaviour::Answers(head + body)]);
        let mut options = options(preset(name), &server.url("/"));
        options.success_body = success_body.map(Secret::new);
        let webhook = Webhook::new(&options, HttpClient::new(names()), LONG).unwrap();
        webhook.deliver(&incident()[0], "key").await
    };
    let failed = r#"{"ok":false,"error":"channel_not_found"}"#;
    for (name, body) in [
        ("slack", "no_channel"),
        ("slack", failed),
        ("slack", "<html>Sign in</html>"),
        (
            "teams",
            "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429",
        ),
        ("teams", r#"{"error":{"code":"WorkflowTriggerIsNotEnabled"}}"#),
        ("telegram", r#"{"ok":false,"error_code":400}"#),
        (
            "pushover",
            r#"{"status":0,"errors":["user identifier is invalid"]}"#,
        ),
        ("matrix", r#"{"errcode":"M_FORBIDDEN"}"#),
        ("pagerduty", r#"{"status":"invalid event","errors":["x"]}"#),
    ] {
        let error = answered(name, body, None).await.unwrap_err();
        let shown = format!("answered 200 OK, but did not take the notification (answer: {body})");
        assert!(error.to_string().ends_with(&shown), "{name}: {error}");
        assert!(matches!(error, DeliveryError::Retryable { .. }), "{error:?}");
    }
    // The word that is required may be part of an error.
    assert!(answered("slack", failed, Some("ok")).await.is_err());
    for (name, body) in [
        ("slack", "ok"),
        ("slack", "OK\n"),
        ("slack", ""),
        ("slack", r#"{"success":true}"#),
        ("teams", "1"),
        ("teams", r#"{"id":7}"#),
        ("telegram", r#"{"ok":true,"result":{}}"#),
        ("pushover", r#"{"status":1,"request":"x"}"#),
        ("matrix", r#"{"event_id":"$x"}"#),
        ("pagerduty", r#"{"status":"success","dedup_key":"x"}"#),
        ("discord", r#"{"id":"7","content":"error"}"#),
        ("gotify", r#"{"id":7,"message":"error"}"#),
    ] {
        answered(name, body, None)
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// The priority of the operator is that of an outage. A recovery wakes nobody.
#[tokio::test]
async fn a_priority_is_that_of_outages() {
    let sent = async |name: &str, priority: Option<&str>, kind: NotificationKind| {
        let server = Server::answering("200 OK");
        let mut options = options(preset(name), &server.url(""));
        match priority {
            Some(priority) => options.values.insert("priority".into(), Secret::new(priority)),
            None => options.values.remove("priority"),
        };
        let webhook = Webhook::new(&options, HttpClient::new(names()), LONG).unwrap();
        webhook.deliver(&notification(kind, 1), "key").await.unwrap();
        server.received().remove(0)
    };
    use NotificationKind::{Outage, Recovery, Reminder};
    for (priority, kind, number) in [
        (Some("5"), Outage, 5),
        (Some("max"), Reminder, 5),
        (Some("5"), Recovery, 3),
        (Some("low"), Recovery, 2),
        (None, Outage, 4),
        (None, Recovery, 3),
    ] {
        let body = json(&sent("ntfy", priority, kind.clone()).await);
        assert_eq!(body["priority"], number, "{priority:?} {kind:?}");
    }
    let tags = json(&sent("ntfy", None, Outage).await)["tags"].clone();
    assert_eq!(tags, serde_json::json!(["red_circle", "home", "lab"]));
    for (priority, kind, form) in [
        (Some("2"), Outage, "&priority=2&retry=60&expire=3600&sound=siren"),
        (
            Some("emergency"),
            Reminder,
            "&priority=2&retry=60&expire=3600&sound=siren",
        ),
        (Some("emergency"), Recovery, "&priority=0&sound=siren"),
        (Some("-1"), Recovery, "&priority=-1&sound=siren"),
        (Some("high"), Outage, "&priority=1&sound=siren"),
        (None, Outage, "&sound=siren"),
    ] {
        let body = sent("pushover", priority, kind.clone()).await.body;
        let rest = body.split_once("&priority").map_or_else(
            || body[body.find("&sound").unwrap()..].to_owned(),
            |(_, rest)| format!("&priority{rest}"),
        );
        let rest = rest.split("&timestamp").next().unwrap();
        assert_eq!(rest, form, "{priority:?} {kind:?}");
    }
    let thread = json(&sent("telegram", None, Outage).await)["message_thread_id"].clone();
    assert_eq!(thread, 77);
}

/// Services refuse or cut longer texts, and their limits apply to the encoded text.
#[tokio::test]
async fn the_length_of_every_text_is_limited() {
    for preset in PresetName::all() {
        let name = "a&b".repeat(20_000);
        let endless = Notification {
            text: format!("{name} is down"),
            address: format!("http://{name}/"),
            monitor: name,
            ..notification(NotificationKind::Outage, 1)
        };
        let received = sent(preset, &endless).await;
        if preset.as_str() == "slack" {
            let text = json(&received)["text"].as_str().unwrap().len();
            assert!((10_450..="**\n".len() + 500 + 10_000).contains(&text), "{text}");
        }
        let (labels, most) = match preset.as_str() {
            "alertmanager" => (60_000, 12_000),
            _ => (0, 25_000),
        };
        let length = received.body.len() - labels;
        assert!(length < most, "{} {length}", preset.as_str());
    }
}

/// Discord answers 204 before it has validated the notification, unless asked to wait.
#[tokio::test]
async fn discord_is_asked_to_wait_in_any_thread() {
    for (query, sent) in [
        ("", "?wait=true"),
        ("?thread_id=77", "?thread_id=77&wait=true"),
        ("?wait=false&thread_id=77", "?thread_id=77&wait=true"),
    ] {
        let server = Server::answering("200 OK");
        let options = options(preset("discord"), &server.url(&format!("/hook{query}")));
        let webhook = Webhook::new(&options, HttpClient::new(names()), LONG).unwrap();
        webhook.deliver(&incident()[0], "key").await.unwrap();
        let expected = format!("POST /hook{sent} HTTP/1.1");
        assert_eq!(server.received()[0].request_line, expected);
    }
}

/// The name of a monitor appears unchanged wherever it is inserted.
#[tokio::test]
async fn no_name_breaks_a_body() {
    for preset in PresetName::all() {
        for received in received(preset).await {
            if received.header("content-type") == Some("application/json") {
                let tree: serde_json::Value = serde_json::from_str(&received.body).unwrap();
                assert!(tree.is_object() || tree.is_array());
            }
            let body = received.body.replace("t0k:EN", "");
            assert!(
                body.contains("{{token}}") || body.contains("%7B%7Btoken%7D%7D"),
                "{body}"
            );
        }
    }
}

#[tokio::test]
async fn an_option_that_is_not_set_is_left_out() {
    let server = Server::answering("200 OK");
    let mut options = options(preset("ntfy"), &server.url(""));
    options.values.remove("token");
    let webhook = Webhook::new(&options, HttpClient::new(names()), LONG).unwrap();
    webhook.deliver(&incident()[0], "key").await.unwrap();
    assert_eq!(server.received()[0].header("authorization"), None);
}

#[tokio::test]
async fn the_wait_that_a_busy_service_asks_for_is_passed_on() {
    let body = r#"{"ok":false,"parameters":{"retry_after":7}}"#;
    let length = body.len();
    let busy = format!("HTTP/1.1 429 Too Many Requests\r\nContent-Length: {length}\r\n\r\n{body}");
    let server = Server::start(vec![Behaviour::Answers(busy)]);
    let options = options(preset("telegram"), &server.url(""));
    let webhook = Webhook::new(&options, HttpClient::new(names()), LONG).unwrap();
    let error = webhook.deliver(&incident()[0], "key").await.unwrap_err();
    let DeliveryError::Retryable { retry_after, reason } = error else {
        panic!("{error}")
    };
    assert_eq!(retry_after, Some(Duration::from_secs(7)), "{reason}");
}

#[tokio::test]
async fn no_secret_is_shown() {
    for preset in PresetName::all() {
        let echo = "HTTP/1.1 400 Bad Request\r\nContent-Length: 54\r\n\r\nt0k:EN is wrong, routing_key-s3cret and /at-s3cret too";
        let server = Server::start(vec![Behaviour::Answers(echo.into())]);
        let mut options = options(preset, &server.url("/at-s3cret"));
        options
            .headers
            .insert("X-Extra".into(), Secret::new("extra-s3cret"));
        let webhook = Webhook::new(&options, HttpClient::new(names()), LONG).unwrap();
        let mut lines = Vec::new();
        let result = webhook
            .deliver_with_transcript(&incident()[0], "key", &mut lines)
            .await;
        let all = format!("{}\n{:?} {webhook:?}", lines.join("\n"), result.unwrap_err());
        let secret = |name: &&str| PLAIN.iter().all(|(plain, _)| plain != name);
        let given = preset.options().filter(secret).map(|name| match name {
            "token" => "t0k:EN".to_owned(),
            "url" => "at-s3cret".to_owned(),
            "room" => "R00M".to_owned(),
            name => format!("{name}-s3cret"),
        });
        for secret in given.chain(["extra-s3cret".into()]) {
            assert!(!all.contains(&secret), "{} {secret} {all}", preset.as_str());
        }
        assert!(all.contains("> x-extra: ***"), "{all}");
        assert!(all.contains("< 400 Bad Request"), "{all}");
    }
}

#[tokio::test]
async fn redirects_of_a_put_are_not_followed() {
    let server = Server::start(vec![answer("307 Temporary Redirect", "Location: /elsewhere\r\n")]);
    let options = options(preset("matrix"), &server.url(""));
    let webhook = Webhook::new(&options, HttpClient::new(names()), LONG).unwrap();
    let error = webhook.deliver(&incident()[0], "key").await.unwrap_err();
    assert!(
        error.to_string().ends_with("redirects of a PUT are not followed"),
        "{error}"
    );
    assert_eq!(server.received().len(), 1);
}
