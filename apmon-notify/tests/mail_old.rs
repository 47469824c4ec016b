//! Mail servers that are old or odd, but take the mail of every other client.

#![cfg(feature = "mail")]
#![allow(clippy::unwrap_used)] // what fails here is a test

mod mail_options;
mod names;
mod smtp_server;
mod timing;

use apmon_core::{DeliveryError, Notifier};
use mail_options::{outage, plain, server_at, to};
use serde_json::{Value, json};
use smtp_server::{Behaviour, Reply, Server, well_behaved};
use timing::LONG;

const OPS: &str = "ops@example.com";

async fn deliver(behaviour: Behaviour, more: Value) -> (Server, Result<(), DeliveryError>) {
    let server = Server::start(vec![behaviour]);
    let mail = to(OPS, &server_at("127.0.0.1", server.port, more, LONG));
    let result = mail.deliver(&outage(), "k").await;
    (server, result)
}

#[tokio::test]
async fn a_server_that_knows_only_helo_gets_its_mail() {
    for behaviour in [
        (|command| match command {
            "EHLO" => Reply("502 unimplemented\r\n"),
            _ => well_behaved(command),
        }) as Behaviour,
        |command| match command {
            "EHLO" => Reply("500 what\r\n"),
            _ => well_behaved(command),
        },
    ] {
        let (server, result) = deliver(behaviour, json!({"use_tls": false})).await;
        result.unwrap();
        assert_eq!(server.connections(), 1);
        assert_eq!(server.lines("HELO ").len(), 1);
        assert_eq!(server.lines("RCPT TO:<ops@example.com>").len(), 1);

        let (server, result) = deliver(behaviour, json!({})).await;
        let error = result.unwrap_err();
        assert!(
            error.to_string().ends_with(
                "the server knows no STARTTLS; nothing is sent unencrypted unless use_tls: no is set"
            ),
            "{error}"
        );
        assert!(server.lines("HELO").is_empty() && server.lines("MAIL").is_empty());

        let login = json!({"use_tls": false, "smtp_username": "apmon", "smtp_password": "s3cret"});
        let (server, result) = deliver(behaviour, login).await;
        let error = result.unwrap_err();
        assert!(
            error.to_string().contains("login: the server offers no login"),
            "{error}"
        );
        assert!(server.lines("AUTH").is_empty() && server.lines("MAIL").is_empty());
    }
    let (_, result) = deliver(
        |command| match command {
            "EHLO" | "HELO" => Reply("554 5.7.1 not you\r\n"),
            _ => well_behaved(command),
        },
        json!({"use_tls": false}),
    )
    .await;
    let error = result.unwrap_err();
    assert!(
        error.to_string().ends_with("HELO: answered 554 5.7.1 not you"),
        "{error}"
    );
}

#[tokio::test]
async fn a_greeting_without_text_or_in_latin_1_is_one() {
    for behaviour in [
        (|command| match command {
            "" => Reply("220\r\n"),
            "EHLO" => Reply("250\r\n"),
            "RSET" | "MAIL" | "RCPT" => Reply("250\n"),
            _ => well_behaved(command),
        }) as Behaviour,
        |command| match command {
            "" => Reply("220-one\n220-two\n220 three\n"),
            _ => well_behaved(command),
        },
    ] {
        let (_, result) = deliver(behaviour, json!({"use_tls": false})).await;
        result.unwrap();
    }
}

#[tokio::test]
async fn a_second_answer_is_not_taken_for_the_next_one() {
    let (server, result) = deliver(
        |command| match command {
            "MAIL" => Reply("250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n"),
            _ => well_behaved(command),
        },
        json!({"use_tls": false}),
    )
    .await;
    let error = result.unwrap_err();
    let reason = "RCPT TO: the server sent more than one answer to the command before it";
    assert!(error.to_string().ends_with(reason), "{error}");
    assert!(server.lines("DATA").is_empty());
}

fn account(more: &Value) -> Value {
    let mut options = json!({"use_tls": false, "smtp_username": "apmon", "smtp_password": "s3cret-token"});
    options
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    options
}

#[tokio::test]
async fn cram_md5_proves_the_password_without_sending_it() {
    let (server, result) = deliver(
        |command| match command {
            "EHLO" => Reply("250-old\r\n250 AUTH CRAM-MD5\r\n"),
            // <1896.697170952@postoffice.reston.mci.net>
            "AUTH" => Reply("334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+\r\n"),
            _ => well_behaved(command),
        },
        account(&json!({})),
    )
    .await;
    result.unwrap();
    assert_eq!(server.lines("AUTH"), ["AUTH CRAM-MD5"]);
    let answer = server.lines("YXBtb24g"); // "apmon "
    assert_eq!(answer.len(), 1);
    assert!(!answer[0].contains("czNjcmV0"), "{answer:?}");
}

/// Without TLS, everybody on the path reads what PLAIN and LOGIN send. A server that stores hashes
/// cannot check the proof of CRAM-MD5, although it may offer it.
#[tokio::test]
async fn in_clear_text_the_password_is_not_shown_where_a_proof_will_do() {
    let (server, result) = deliver(
        |command| match command {
            "EHLO" => Reply("250-old\r\n250 AUTH PLAIN LOGIN CRAM-MD5\r\n"),
            "AUTH" => Reply("334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+\r\n"),
            _ => well_behaved(command),
        },
        account(&json!({})),
    )
    .await;
    result.unwrap();
    assert_eq!(server.lines("AUTH"), ["AUTH CRAM-MD5"]);

    let refusing = |command: &str| match command {
        "EHLO" => Reply("250-old\r\n250 AUTH PLAIN LOGIN CRAM-MD5\r\n"),
        "AUTH" => Reply("535 5.7.8 no\r\n"),
        _ => well_behaved(command),
    };
    let (server, result) = deliver(refusing, account(&json!({}))).await;
    assert!(
        matches!(result, Err(DeliveryError::Permanent { .. })),
        "{result:?}"
    );
    let sent = server.lines("AUTH");
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert!(sent[1].starts_with("AUTH PLAIN "), "{sent:?}");
    let (server, _) = deliver(refusing, account(&json!({"smtp_auth": "cram-md5"}))).await;
    assert_eq!(server.lines("AUTH"), ["AUTH CRAM-MD5"]);
}

#[tokio::test]
async fn an_access_token_is_sent_as_xoauth2_where_it_is_wanted() {
    let offer = |command: &str| match command {
        "EHLO" => Reply("250-new\r\n250 AUTH PLAIN LOGIN XOAUTH2\r\n"),
        "AUTH" => Reply("235 welcome\r\n"),
        _ => well_behaved(command),
    };
    let (server, result) = deliver(offer, account(&json!({"smtp_auth": "xoauth2"}))).await;
    result.unwrap();
    // user=apmon^Aauth=Bearer s3cret-token^A^A
    let sent = "AUTH XOAUTH2 dXNlcj1hcG1vbgFhdXRoPUJlYXJlciBzM2NyZXQtdG9rZW4BAQ==";
    assert_eq!(server.lines("AUTH"), [sent]);

    let (server, result) = deliver(
        |command| match command {
            "EHLO" => Reply("250-new\r\n250 AUTH XOAUTH2\r\n"),
            "AUTH" => Reply("334 eyJzdGF0dXMiOiI0MDEifQ==\r\n"),
            "" => Reply("220 new\r\n"),
            "MAIL" => Reply("250 ok\r\n"),
            _ => well_behaved(command),
        },
        account(&json!({"smtp_auth": "cram-md5"})),
    )
    .await;
    let error = result.unwrap_err();
    let reason = "login: the server offers XOAUTH2, but not CRAM-MD5, which smtp_auth demands";
    assert!(error.to_string().ends_with(reason), "{error}");
    assert!(server.lines("AUTH").is_empty());
}

/// The next mechanism is tried if the server does not have what it offers, but not after a wrong
/// password.
#[tokio::test]
async fn a_mechanism_that_does_not_work_is_followed_by_the_next() {
    let (server, result) = deliver(
        |command| match command {
            "EHLO" => Reply("250-odd\r\n250-AUTH=LOGIN PLAIN\r\n250 AUTH GSSAPI LOGIN\r\n"),
            "AUTH" => Reply("504 5.5.4 not this one\r\n"),
            _ => well_behaved(command),
        },
        account(&json!({})),
    )
    .await;
    let error = result.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("login: answered 504 5.5.4 not this one"),
        "{error}"
    );
    assert_eq!(server.lines("AUTH").len(), 2, "PLAIN, then LOGIN");

    let (server, result) = deliver(
        |command| match command {
            "EHLO" => Reply("250-odd\r\n250 AUTH LOGIN PLAIN\r\n"),
            "AUTH" => Reply("535 5.7.8 wrong\r\n"),
            _ => well_behaved(command),
        },
        account(&json!({})),
    )
    .await;
    assert!(
        matches!(result, Err(DeliveryError::Permanent { .. })),
        "{result:?}"
    );
    assert_eq!(server.lines("AUTH").len(), 1);
}

/// The password is read for each delivery, so that a new one counts at once.
#[tokio::test]
async fn the_password_may_be_in_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("password");
    let server = Server::start(vec![|command| match command {
        "EHLO" => Reply("250-odd\r\n250 AUTH PLAIN\r\n"),
        "AUTH" => Reply("535 5.7.8 apmon/old-s3cret is wrong\r\n"),
        _ => well_behaved(command),
    }]);
    let options = json!({"use_tls": false, "smtp_username": "apmon", "smtp_password_file": path});
    let mail = to(OPS, &server_at("127.0.0.1", server.port, options, LONG));
    let error = mail.deliver(&outage(), "k").await.unwrap_err();
    let origin = format!("127.0.0.1:{}", server.port);
    let missing = format!(
        "{origin}: smtp_password_file: {} cannot be read: No such file or directory (os error 2)",
        path.display()
    );
    assert_eq!(error, DeliveryError::retryable(missing));
    assert_eq!(server.connections(), 0);
    std::fs::write(&path, "old-s3cret\n").unwrap();
    let error = mail.deliver(&outage(), "k").await.unwrap_err();
    assert_eq!(
        error,
        DeliveryError::permanent(format!("{origin}: login: answered 535 5.7.8 apmon/*** is wrong"))
    );
    std::fs::write(&path, "new-s3cret\n").unwrap();
    let _ = mail.deliver(&outage(), "k").await;
    // \0apmon\0 and the password
    let sent = [
        "AUTH PLAIN AGFwbW9uAG9sZC1zM2NyZXQ=",
        "AUTH PLAIN AGFwbW9uAG5ldy1zM2NyZXQ=",
    ];
    assert_eq!(server.lines("AUTH"), sent);
}

#[tokio::test]
async fn a_large_answer_in_many_lines_is_read() {
    let server = Server::start(vec![|command| match command {
        "EHLO" => Reply("250-a\r\n250-SIZE 300\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 CHUNKING\r\n"),
        "." => Reply("250-2.0.0 taken\r\n250 as 7\r\n"),
        _ => well_behaved(command),
    }]);
    let mail = to(OPS, &plain(server.port, LONG));
    assert_eq!(mail.send(&outage(), "k").await.unwrap(), "250 2.0.0 taken as 7");
}
