//! Heartbeats: what is sent, and which answers count as success.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod names;
mod server;
mod timing;

use apmon_core::{DeliveryError, Heartbeat, HeartbeatSender, Secret};
use apmon_notify::{HttpClient, HttpHeartbeats};
use names::names;
use server::{Behaviour, Server, answer};
use timing::LONG;

fn heartbeat(url: &str) -> Heartbeat {
    Heartbeat {
        url: Secret::new(url),
        every: None,
        options: None,
    }
}

async fn send(url: &str) -> Result<(), DeliveryError> {
    HttpHeartbeats::new(HttpClient::new(names()))
        .send(&heartbeat(url), LONG)
        .await
}

#[tokio::test]
async fn a_heartbeat_is_a_get_request() {
    let server = Server::answering("200 OK");
    send(&server.url("/ping/uuid?x=1")).await.unwrap();
    let [received] = &server.received()[..] else {
        panic!()
    };
    assert_eq!(received.request_line, "GET /ping/uuid?x=1 HTTP/1.1");
    assert_eq!(received.body, "");
    assert_eq!(received.header("idempotency-key"), None);
}

#[tokio::test]
async fn a_host_name_is_resolved() {
    let server = Server::answering("200 OK");
    send(&format!("http://localhost:{}/", server.port)).await.unwrap();
    let error = send("http://nobody.invalid/uuid").await.unwrap_err();
    assert_eq!(
        error,
        DeliveryError::retryable("http://nobody.invalid: resolve: no such name: nobody.invalid")
    );
}

#[tokio::test]
async fn redirects_are_followed_without_a_referer() {
    let end = Server::answering("200 OK");
    let location = format!("Location: {}\r\n", end.url("/there"));
    let start = Server::start(vec![answer("302 Found", &location)]);
    send(&start.url("/uuid")).await.unwrap();
    let [received] = &end.received()[..] else { panic!() };
    assert_eq!(received.request_line, "GET /there HTTP/1.1");
    assert_eq!(received.header("referer"), None);
}

#[tokio::test]
async fn ten_redirects_are_followed_and_an_eleventh_is_not() {
    let redirect = || answer("302 Found", "Location: /uuid\r\n");
    let ten: Vec<Behaviour> = (0..10)
        .map(|_| redirect())
        .chain([answer("200 OK", "")])
        .collect();
    let server = Server::start(ten);
    send(&server.url("/uuid")).await.unwrap();
    assert_eq!(server.received().len(), 11);

    let server = Server::start(vec![redirect()]);
    let error = send(&server.url("/uuid")).await.unwrap_err();
    assert_eq!(
        error,
        DeliveryError::permanent(format!(
            "http://127.0.0.1:{}: redirects more than 10 times",
            server.port
        ))
    );
    assert_eq!(server.received().len(), 11);
}

#[tokio::test]
async fn any_status_but_2xx_is_an_error() {
    for status in ["404 Not Found", "500 Internal Server Error", "304 Not Modified"] {
        let server = Server::answering(status);
        let error = send(&server.url("/uuid")).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("http://127.0.0.1:{}: answered {status}", server.port)
        );
    }
}

#[tokio::test]
async fn an_error_shows_the_beginning_of_the_answer_but_not_the_url() {
    let body = "no check uuid-T0KEN here";
    let head = format!("HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\n\r\n", body.len());
    let server = Server::start(vec![Behaviour::Answers(head + body)]);
    let error = send(&server.url("/uuid-T0KEN")).await.unwrap_err();
    let shown = "answered 404 Not Found (answer: no check *** here)";
    assert!(error.to_string().ends_with(shown), "{error}");
}

#[tokio::test]
async fn an_invalid_url_is_a_permanent_error_and_not_shown() {
    let error = send("hc-ping.com/uuid-T0KEN").await.unwrap_err();
    assert_eq!(
        error,
        DeliveryError::permanent("heartbeat_url is not a valid URL: relative URL without a base")
    );
}

#[tokio::test]
async fn one_client_sends_many_heartbeats_concurrently() {
    let server = Server::answering("200 OK");
    let heartbeats = HttpHeartbeats::new(HttpClient::new(names()));
    let tasks: Vec<_> = (0..50)
        .map(|n| {
            let (heartbeats, own) = (heartbeats.clone(), heartbeat(&server.url(&format!("/{n}"))));
            tokio::spawn(async move { heartbeats.send(&own, LONG).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(server.received().len(), 50);
}
