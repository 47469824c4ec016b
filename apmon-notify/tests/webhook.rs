//! The requests of a webhook, byte by byte, and how it judges answers.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod names;
mod server;
mod timing;
mod webhook_lab;

use std::time::Duration;

use apmon_core::{DeliveryError, Notifier, Secret};
use apmon_notify::{HttpClient, RequestEncoding, RequestMethod, Webhook, WebhookError, WebhookOptions};
use names::names;
use server::{Behaviour, Server, answer, unused_port};
use timing::LONG;
use webhook_lab::{TEXT, deliver, notification, options, post_to};

#[tokio::test]
async fn a_post_has_these_bytes_in_each_encoding() {
    use RequestEncoding::{Csvquoted, Html, Json, Url};
    let table = [
        (
            Url,
            "application/x-www-form-urlencoded",
            "m=R%26D%27s%20%22web%22%20in%20HomeLab%20is%20UP%20%28http%3A%2F%2Fh%2F%3Fa%3Db%29%20at%202%3A18%20PM\
             %3B%20%C3%BCnicode&x=1",
        ),
        (
            Html,
            "text/html; charset=utf-8",
            "m=R&amp;D&#39;s &quot;web&quot; in HomeLab is UP (http://h/?a=b) at 2:18 PM; ünicode&x=1",
        ),
        (
            Csvquoted,
            "text/plain; charset=utf-8",
            "m=\"R&D's \"\"web\"\" in HomeLab is UP (http://h/?a=b) at 2:18 PM; ünicode\"&x=1",
        ),
        (
            Json,
            "application/json",
            r#"{"message":"m=R&D's \"web\" in HomeLab is UP (http://h/?a=b) at 2:18 PM; ünicode&x=1"}"#,
        ),
    ];
    for (encoding, content_type, body) in table {
        let server = Server::answering("204 No Content");
        let mut options = options(&server.url("/hook?t=1"), RequestMethod::Post, encoding);
        options.request_prefix = Some(Secret::new("m="));
        options.request_suffix = Some(Secret::new("&x=1"));
        deliver(&options, LONG).await.unwrap();
        let [received] = &server.received()[..] else {
            panic!()
        };
        assert_eq!(received.request_line, "POST /hook?t=1 HTTP/1.1");
        assert_eq!(received.header("content-type"), Some(content_type));
        assert_eq!(received.body, body);
        assert_eq!(received.header("idempotency-key"), Some("key-1"));
        assert_eq!(
            received.header("user-agent"),
            Some(concat!("apmon/", env!("CARGO_PKG_VERSION")))
        );
    }
}

#[tokio::test]
async fn a_get_has_these_bytes_in_each_encoding() {
    use RequestEncoding::{Csvquoted, Html, Url};
    let table = [
        (
            Url,
            "R%26D%27s%20%22web%22%20in%20HomeLab%20is%20UP%20%28http%3A%2F%2Fh%2F%3Fa%3Db%29%20at%202%3A18%20PM\
             %3B%20%C3%BCnicode",
        ),
        (
            Html,
            "R%26amp%3BD%26%2339%3Bs%20%26quot%3Bweb%26quot%3B%20in%20HomeLab%20is%20UP%20\
             %28http%3A%2F%2Fh%2F%3Fa%3Db%29%20at%202%3A18%20PM%3B%20%C3%BCnicode",
        ),
        (
            Csvquoted,
            "%22R%26D%27s%20%22%22web%22%22%20in%20HomeLab%20is%20UP%20%28http%3A%2F%2Fh%2F%3Fa%3Db%29\
             %20at%202%3A18%20PM%3B%20%C3%BCnicode%22",
        ),
    ];
    for (encoding, notification) in table {
        let server = Server::answering("200 OK");
        let mut options = options(&server.url("/hook?t=1"), RequestMethod::Get, encoding);
        options.request_prefix = Some(Secret::new("&to=a b&m="));
        options.request_suffix = Some(Secret::new("&c=#x"));
        deliver(&options, LONG).await.unwrap();
        let [received] = &server.received()[..] else {
            panic!()
        };
        assert_eq!(
            received.request_line,
            format!("GET /hook?t=1&to=a%20b&m={notification}&c=%23x HTTP/1.1")
        );
        assert_eq!(received.body, "");
        assert_eq!(received.header("content-type"), None);
        assert_eq!(received.header("idempotency-key"), Some("key-1"));
    }
}

#[tokio::test]
async fn the_status_decides_whether_to_try_again() {
    let table = [
        ("200 OK", "delivered"),
        ("201 Created", "delivered"),
        ("299 Whatever", "delivered"),
        ("301 Moved Permanently", "permanent"),
        ("304 Not Modified", "permanent"),
        ("400 Bad Request", "permanent"),
        ("401 Unauthorized", "permanent"),
        ("404 Not Found", "permanent"),
        ("408 Request Timeout", "retryable"),
        ("410 Gone", "permanent"),
        ("429 Too Many Requests", "retryable"),
        ("500 Internal Server Error", "retryable"),
        ("503 Service Unavailable", "retryable"),
        ("599 Whatever", "retryable"),
    ];
    for (status, expected) in table {
        let outcome = match post_to(&Server::answering(status)).await {
            Ok(()) => "delivered",
            Err(DeliveryError::Retryable { .. }) => "retryable",
            Err(DeliveryError::Permanent { .. }) => "permanent",
            Err(_) => "something else",
        };
        assert_eq!(outcome, expected, "{status}");
    }
}

#[tokio::test]
async fn retry_after_of_a_receiver_is_passed_on() {
    let table = [
        ("Retry-After: 120\r\n", Some(120)),
        (
            "Date: Wed, 21 Oct 2026 07:28:00 GMT\r\nRetry-After: Wed, 21 Oct 2026 07:28:30 GMT\r\n",
            Some(30),
        ),
        ("Retry-After: later\r\n", None),
        ("", None),
    ];
    for status in ["429 Too Many Requests", "503 Service Unavailable"] {
        for (headers, expected) in table {
            let server = Server::start(vec![answer(status, headers)]);
            let Err(DeliveryError::Retryable { retry_after, .. }) = post_to(&server).await else {
                panic!("{status}")
            };
            assert_eq!(retry_after, expected.map(Duration::from_secs), "{headers}");
        }
    }
}

#[tokio::test]
async fn redirects_of_a_post_are_not_followed() {
    let elsewhere = Server::answering("200 OK");
    let location = format!("Location: {}\r\n", elsewhere.url("/"));
    let server = Server::start(vec![answer("307 Temporary Redirect", &location)]);
    let error = post_to(&server).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "http://127.0.0.1:{}: answered 307 Temporary Redirect; redirects of a POST are not followed",
            server.port
        )
    );
    assert!(elsewhere.received().is_empty());
}

/// A key in a header is meant for one host only.
#[tokio::test]
async fn a_get_with_headers_does_not_follow_redirects_to_other_hosts() {
    let get_from = async |server: &Server, headers: &[(&str, &str)]| {
        let mut options = options(&server.url("/?m="), RequestMethod::Get, RequestEncoding::Url);
        let headers = headers.iter();
        options.headers = headers
            .map(|(name, value)| ((*name).to_owned(), Secret::new(*value)))
            .collect();
        deliver(&options, LONG).await
    };
    let key = [("X-Api-Key", "T0KEN")];
    let elsewhere = Server::answering("200 OK");
    let redirecting = || {
        let location = format!("Location: {}\r\n", elsewhere.url("/"));
        Server::start(vec![answer("302 Found", &location)])
    };
    let server = redirecting();
    let error = get_from(&server, &key).await.unwrap_err();
    assert_eq!(
        error,
        DeliveryError::permanent(format!(
            "http://127.0.0.1:{}: redirects to another host or port, to which its \"headers\" must not be sent",
            server.port
        ))
    );
    assert!(elsewhere.received().is_empty());
    get_from(&redirecting(), &[]).await.unwrap();
    assert_eq!(elsewhere.received().len(), 1);
    let same_host = Server::start(vec![
        answer("302 Found", "Location: /there\r\n"),
        answer("200 OK", ""),
    ]);
    get_from(&same_host, &key).await.unwrap();
    let [_, redirected] = &same_host.received()[..] else {
        panic!()
    };
    assert_eq!(redirected.request_line, "GET /there HTTP/1.1");
    assert_eq!(redirected.header("x-api-key"), Some("T0KEN"));
}

#[tokio::test]
async fn secrets_repeated_in_an_answer_are_masked() {
    // The prefix, a header, the login in the URL, and an end that is cut off.
    let body =
        r#"{"user":"us3r-key","auth":"Bearer h34der","basic":"bmFtZTpwdzpwdzpwdw==","path":"/pa%2fth"} tok3"#;
    let head = format!("HTTP/1.1 400 Bad Request\r\nContent-Length: {}", body.len() + 4);
    let server = Server::start(vec![Behaviour::Answers(format!("{head}\r\n\r\n{body}"))]);
    let url = server.url("/pa%2Fth").replace("//", "//name:pw%3Apw%3Apw@");
    let mut options = options(&url, RequestMethod::Post, RequestEncoding::Url);
    options.request_prefix = Some(Secret::new("tok=tok3n-1&usr=us3r-key&m="));
    options
        .headers
        .insert("X-Auth".into(), Secret::new("Bearer h34der"));
    let webhook = Webhook::new(&options, HttpClient::new(names()), LONG).unwrap();
    let mut lines = Vec::new();
    let shown = webhook
        .deliver_with_transcript(&notification(TEXT), "key", &mut lines)
        .await;
    assert!(shown.is_err());
    assert_eq!(
        lines.last().unwrap(),
        r#"< {"user":"***","auth":"***","basic":"***==","path":"/***"} ***"#
    );
}

/// Why a service refuses is in its answer.
#[tokio::test]
async fn a_refusal_shows_the_beginning_of_the_answer_without_secrets() {
    let answering = |status: &str, body: &str| {
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
        Server::start(vec![Behaviour::Answers(head + body)])
    };
    let long = "é".repeat(150);
    for (status, body, shown) in [
        ("400 Bad Request", "invalid_token", " (answer: invalid_token)"),
        (
            "403 Forbidden",
            "no entry for path-T0KEN",
            " (answer: no entry for ***)",
        ),
        (
            "503 Busy",
            "<p>\r\n  come\t again\x1b[2J",
            " (answer: <p> come again\\u{1b}[2J)",
        ),
        ("404 Not Found", "", ""),
        ("404 Not Found", " \n", ""),
        (
            "400 Bad Request",
            &long,
            &format!(" (answer: {}...)", "é".repeat(100)),
        ),
    ] {
        let server = answering(status, body);
        let error = post_to(&server).await.unwrap_err();
        let status = status.replace("503 Busy", "503 Service Unavailable");
        let expected = format!("http://127.0.0.1:{}: answered {status}{shown}", server.port);
        assert_eq!(error.to_string(), expected);
    }
    // A secret that is cut off at the end of what arrived is masked too.
    let head = "HTTP/1.1 400 Bad Request\r\nContent-Length: 100\r\n\r\nno query-T0";
    let server = Server::start(vec![Behaviour::Answers(head.into())]);
    let error = post_to(&server).await.unwrap_err();
    assert!(error.to_string().ends_with(" (answer: no ***)"), "{error}");
}

#[tokio::test]
async fn a_refused_connection_is_retryable() {
    let (_held, port) = unused_port();
    let url = format!("http://127.0.0.1:{port}/T0KEN");
    let error = deliver(&options(&url, RequestMethod::Post, RequestEncoding::Json), LONG)
        .await
        .unwrap_err();
    assert_eq!(
        error,
        DeliveryError::retryable(format!(
            "http://127.0.0.1:{port}: Connection refused (os error 111)"
        ))
    );
}

#[tokio::test]
async fn a_silent_receiver_is_given_up_at_the_timeout() {
    let server = Server::start(vec![Behaviour::Silent]);
    let options = options(&server.url("/T0KEN"), RequestMethod::Post, RequestEncoding::Json);
    let error = deliver(&options, Duration::from_millis(300)).await.unwrap_err();
    assert_eq!(
        error,
        DeliveryError::retryable(format!(
            "http://127.0.0.1:{}: no answer within 0.3 secs",
            server.port
        ))
    );
}

#[tokio::test]
async fn a_receiver_that_hangs_up_is_retryable() {
    let server = Server::start(vec![Behaviour::Closes]);
    let error = post_to(&server).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Retryable { .. }), "{error}");
}

#[tokio::test]
async fn an_endless_answer_still_counts_as_delivered() {
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    let server = Server::start(vec![Behaviour::Endless(head.into())]);
    post_to(&server).await.unwrap();
    // An answer that stops halfway causes only a short delay.
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf";
    let server = Server::start(vec![Behaviour::Answers(head.into())]);
    post_to(&server).await.unwrap();
}

#[tokio::test]
async fn no_error_contains_a_token() {
    let (_held, refused) = unused_port();
    let mut ports = vec![refused];
    let servers: Vec<_> = [
        answer("500 T0KEN", ""),
        answer("404 Not Found", ""),
        answer("302 Found", "Location: /elsewhere-T0KEN\r\n"),
        answer("302 Found", "Location: ftp://x/T0KEN\r\n"),
        answer("302 Found", "Location: http://[T0KEN\r\n"),
        Behaviour::Silent,
        Behaviour::Closes,
        Behaviour::Answers("no HTTP\r\n\r\n".into()),
    ]
    .into_iter()
    .map(|behaviour| Server::start(vec![behaviour]))
    .collect();
    ports.extend(servers.iter().map(|server| server.port));
    let mut addresses: Vec<_> = ports
        .iter()
        .map(|port| format!("http://user:T0KEN@127.0.0.1:{port}"))
        .collect();
    addresses.push("https://user:T0KEN@name.invalid".into());
    addresses.push(format!("https://user:T0KEN@127.0.0.1:{}", ports[1]));
    for address in &addresses {
        for (method, encoding) in [
            (RequestMethod::Post, RequestEncoding::Json),
            (RequestMethod::Get, RequestEncoding::Html),
        ] {
            let mut options = options(&format!("{address}/T0KEN?T0KEN=T0KEN"), method, encoding);
            options.request_prefix = Some(Secret::new("&token=T0KEN&m="));
            options.request_suffix = Some(Secret::new("T0KEN"));
            let webhook =
                Webhook::new(&options, HttpClient::new(names()), Duration::from_millis(500)).unwrap();
            let error = webhook.deliver(&notification(TEXT), "key").await.unwrap_err();
            for shown in [error.to_string(), format!("{error:?}"), format!("{webhook:?}")] {
                assert!(!shown.contains("T0KEN"), "{shown}");
            }
            let origin = webhook.origin();
            assert!(error.to_string().starts_with(&format!("{origin}: ")), "{error}");
        }
    }
}

#[test]
fn unchecked_options_are_validated() {
    let good = || options("http://h/", RequestMethod::Post, RequestEncoding::Url);
    let error = |options: WebhookOptions| Webhook::new(&options, HttpClient::new(names()), LONG).unwrap_err();
    let missing = WebhookOptions {
        endpoint_url: None,
        ..good()
    };
    assert_eq!(error(missing).to_string(), "\"endpoint_url\" is missing");
    let json = options("http://h/", RequestMethod::Get, RequestEncoding::Json);
    assert_eq!(error(json), WebhookError::JsonByGet);
    let many = WebhookOptions {
        headers: (0..24_577)
            .map(|at| (format!("h{at}"), Secret::new("x")))
            .collect(),
        ..good()
    };
    assert_eq!(
        error(many).to_string(),
        "\"headers\" contains 24577 headers; use at most 1000"
    );
    for url in ["ftp://h/T0KEN", "T0KEN", ""] {
        let error = error(options(url, RequestMethod::Post, RequestEncoding::Url));
        assert_eq!(
            error.to_string(),
            "\"endpoint_url\" is not an http:// or https:// URL"
        );
    }
}

#[tokio::test]
async fn headers_are_sent_and_replace_ours() {
    let server = Server::answering("200 OK");
    let mut options = options(&server.url("/"), RequestMethod::Post, RequestEncoding::Url);
    for (name, value) in [("Authorization", "Bearer t"), ("content-type", "text/x-sms")] {
        options.headers.insert(name.into(), Secret::new(value));
    }
    deliver(&options, LONG).await.unwrap();
    let [received] = &server.received()[..] else {
        panic!()
    };
    assert_eq!(received.header("authorization"), Some("Bearer t"));
    let types = received.headers.iter().filter(|(name, _)| name == "content-type");
    assert_eq!(types.map(|(_, value)| value).collect::<Vec<_>>(), ["text/x-sms"]);
}

#[tokio::test]
async fn only_the_configured_statuses_mean_delivered() {
    let table = [
        ("200 OK", "delivered"),
        ("302 Found", "delivered"),
        ("202 Accepted", "answered 202 Accepted, not 200 or 302-303"),
        ("500 Internal Server Error", "answered 500 Internal Server Error"),
    ];
    for (status, expected) in table {
        let server = Server::answering(status);
        let mut options = options(&server.url("/"), RequestMethod::Post, RequestEncoding::Url);
        options.success_statuses = serde_json::from_str("[\"200\", \"302-303\"]").unwrap();
        match deliver(&options, LONG).await {
            Ok(()) => assert_eq!(expected, "delivered", "{status}"),
            Err(error) => assert!(error.to_string().ends_with(expected), "{error}"),
        }
    }
}

#[tokio::test]
async fn a_good_status_is_not_enough_if_a_text_is_required() {
    let with = |body: &str| {
        Behaviour::Answers(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    };
    let deliver_to = async |behaviour: Behaviour, timeout: Duration| {
        let server = Server::start(vec![behaviour]);
        let mut options = options(&server.url("/"), RequestMethod::Post, RequestEncoding::Url);
        options.success_body = Some(Secret::new("\"queued\""));
        deliver(&options, timeout).await
    };
    deliver_to(with("{\"state\": \"queued\"}"), LONG).await.unwrap();
    // An endless answer is abandoned once the text has arrived.
    let endless = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n\"queued\"".to_owned();
    deliver_to(Behaviour::Endless(endless.clone()), LONG)
        .await
        .unwrap();
    for behaviour in [
        with("ERROR: no credit"),
        with(""),
        Behaviour::Endless(endless.replace("queued", "lost")),
    ] {
        let error = deliver_to(behaviour, LONG).await.unwrap_err();
        assert!(matches!(error, DeliveryError::Retryable { .. }), "{error}");
        let reason = "answered 200 OK without the text of success_body";
        assert!(error.to_string().contains(reason), "{error}");
    }
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_owned();
    let error = deliver_to(Behaviour::Answers(half), LONG).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Retryable { .. }), "{error}");
}

#[tokio::test]
async fn the_timeout_of_an_entry_overrides_the_default() {
    let server = Server::start(vec![Behaviour::Silent]);
    let mut options = options(&server.url("/"), RequestMethod::Post, RequestEncoding::Url);
    options.timeout_secs = Some(apmon_core::config::Seconds::new(1));
    let error = deliver(&options, LONG).await.unwrap_err();
    assert!(error.to_string().ends_with("no answer within 1 secs"), "{error}");
}
