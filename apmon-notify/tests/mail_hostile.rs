//! Mail servers that are slow, refuse, hang up or misbehave.

#![cfg(feature = "mail")]
#![allow(clippy::unwrap_used)] // what fails here is a test

mod mail_options;
mod names;
mod smtp_server;
mod timing;

use std::{sync::Barrier, time::Duration};

use apmon_core::{DeliveryError, Notifier};
use mail_options::{key, outage, plain, server_at, to};
use serde_json::json;
use smtp_server::{
    Behaviour, HangUp, Nothing, Reply, ReplyBetween, ReplyForever, ReplyLate, Server, well_behaved,
};
use timing::{LONG, STALL};

const OPS: &str = "ops@example.com";

async fn deliver(server: &Server, timeout: Duration) -> Result<(), DeliveryError> {
    let notification = outage();
    to(OPS, &plain(server.port, timeout))
        .deliver(&notification, &key(&notification, OPS))
        .await
}

fn retryable(reason: &str, server: &Server) -> DeliveryError {
    DeliveryError::retryable(format!("127.0.0.1:{}: {reason}", server.port))
}

fn permanent(reason: &str, server: &Server) -> DeliveryError {
    DeliveryError::permanent(format!("127.0.0.1:{}: {reason}", server.port))
}

#[tokio::test]
async fn silence_at_any_step_ends_at_the_deadline() {
    let silent: [(Behaviour, &str); 5] = [
        (|_| Nothing, "greeting"),
        (
            |command| {
                if command == "MAIL" {
                    Nothing
                } else {
                    well_behaved(command)
                }
            },
            "MAIL FROM",
        ),
        (
            |command| {
                if command == "RCPT" {
                    Nothing
                } else {
                    well_behaved(command)
                }
            },
            "RCPT TO",
        ),
        (
            |command| {
                if command == "DATA" {
                    Nothing
                } else {
                    well_behaved(command)
                }
            },
            "DATA",
        ),
        (
            |command| {
                if command == "." {
                    Nothing
                } else {
                    well_behaved(command)
                }
            },
            "message",
        ),
    ];
    let deliveries = silent.map(|(behaviour, step)| {
        tokio::spawn(async move {
            let server = Server::start(vec![behaviour]);
            let error = deliver(&server, STALL).await.unwrap_err();
            assert_eq!(
                error,
                retryable(&format!("{step}: no answer within 5 secs"), &server)
            );
        })
    });
    for delivery in deliveries {
        delivery.await.unwrap();
    }
}

#[tokio::test]
async fn a_slow_greeting_is_awaited() {
    let server = Server::start(vec![|command| match command {
        "" => ReplyLate(Duration::from_millis(300), "220-wait\r\n220 hostile\r\n"),
        _ => well_behaved(command),
    }]);
    deliver(&server, LONG).await.unwrap();
}

#[tokio::test]
async fn a_temporary_refusal_is_retried_and_a_permanent_one_is_not() {
    let server = Server::start(vec![
        |command| match command {
            "RCPT" => Reply("451 4.7.1 greylisted, come again\r\n"),
            _ => well_behaved(command),
        },
        well_behaved,
    ]);
    let mail = to(OPS, &plain(server.port, LONG));
    let notification = outage();
    let key = key(&notification, OPS);
    let error = mail.deliver(&notification, &key).await.unwrap_err();
    assert_eq!(
        error,
        retryable("RCPT TO: answered 451 4.7.1 greylisted, come again", &server)
    );
    mail.deliver(&notification, &key).await.unwrap();

    for (behaviour, reason) in [
        (
            (|command| match command {
                "RCPT" => Reply("550-5.1.1 no such\r\n550 5.1.1 mailbox\r\n"),
                _ => well_behaved(command),
            }) as Behaviour,
            "RCPT TO: answered 550 5.1.1 no such mailbox",
        ),
        (
            |command| match command {
                "." => Reply("554 5.7.1 spam\r\n"),
                _ => well_behaved(command),
            },
            "message: answered 554 5.7.1 spam",
        ),
    ] {
        let server = Server::start(vec![behaviour]);
        assert_eq!(
            deliver(&server, LONG).await.unwrap_err(),
            permanent(reason, &server)
        );
    }
}

#[tokio::test]
async fn after_a_lost_answer_the_same_mail_is_sent_again() {
    let server = Server::start(vec![
        |command| match command {
            "." => HangUp,
            _ => well_behaved(command),
        },
        well_behaved,
    ]);
    let error = deliver(&server, LONG).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Retryable { .. }), "{error:?}");
    assert!(error.to_string().contains(": message: "), "{error}");
    deliver(&server, LONG).await.unwrap();
    for header in ["Message-ID: ", "Date: ", "Subject: "] {
        let sent = server.lines(header);
        assert_eq!(sent.len(), 2);
        assert_eq!(sent[0], sent[1], "{header}");
    }
}

#[tokio::test]
async fn a_server_that_is_shutting_down_is_retried() {
    let server = Server::start(vec![|_| Reply("421 4.3.2 going down\r\n")]);
    let error = deliver(&server, LONG).await.unwrap_err();
    assert_eq!(
        error,
        retryable("greeting: answered 421 4.3.2 going down", &server)
    );
    let server = Server::start(vec![|_| HangUp]);
    let error = deliver(&server, LONG).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Retryable { .. }), "{error:?}");
}

/// No e-mail is lost if the server has closed an idle connection.
#[tokio::test]
async fn a_dead_idle_connection_is_replaced_at_once() {
    for dying in [
        (|command| match command {
            "RSET" => Reply("421 4.4.2 idle too long\r\n"),
            _ => well_behaved(command),
        }) as Behaviour,
        |command| match command {
            "RSET" => HangUp,
            _ => well_behaved(command),
        },
        |command| match command {
            "RSET" => Nothing,
            _ => well_behaved(command),
        },
    ] {
        let server = Server::start(vec![dying, well_behaved]);
        let mail = to(OPS, &plain(server.port, LONG));
        mail.deliver(&outage(), "a").await.unwrap();
        mail.deliver(&outage(), "b").await.unwrap();
        assert_eq!(server.connections(), 2);
    }
}

/// The answer to an aborted e-mail must not be taken for the answer to the next.
#[tokio::test]
async fn a_late_answer_is_not_read() {
    static MEETING: Barrier = Barrier::new(2);
    let server = Server::start(vec![
        |command| match command {
            "." => ReplyBetween(&MEETING, "250 2.0.0 taken after all\r\n"),
            _ => well_behaved(command),
        },
        |command| match command {
            "RCPT" => Reply("550 5.1.1 no\r\n"),
            _ => well_behaved(command),
        },
    ]);
    let mail = to(OPS, &plain(server.port, STALL));
    let error = mail.deliver(&outage(), "a").await.unwrap_err();
    assert_eq!(error, retryable("message: no answer within 5 secs", &server));
    MEETING.wait();
    MEETING.wait();
    let error = mail.deliver(&outage(), "b").await.unwrap_err();
    assert_eq!(error, permanent("RCPT TO: answered 550 5.1.1 no", &server));
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn an_intermediate_answer_to_a_mail_is_not_success() {
    let server = Server::start(vec![|command| match command {
        "." => Reply("354 and now?\r\n"),
        _ => well_behaved(command),
    }]);
    let error = deliver(&server, LONG).await.unwrap_err();
    assert_eq!(error, retryable("message: answered 354 and now?", &server));
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    for behaviour in [
        (|command| match command {
            "" => ReplyForever("220-x\r\n"),
            _ => well_behaved(command),
        }) as Behaviour,
        |command| match command {
            "" => ReplyForever("xxxxxxxx"),
            _ => well_behaved(command),
        },
    ] {
        let server = Server::start(vec![behaviour]);
        for more in [json!({"use_tls": false}), json!({})] {
            let mail = to(OPS, &server_at("127.0.0.1", server.port, more, LONG));
            let error = mail.deliver(&outage(), "k").await.unwrap_err();
            assert!(matches!(error, DeliveryError::Retryable { .. }), "{error:?}");
            assert!(error.to_string().len() < 400, "{error}");
        }
    }
}

#[tokio::test]
async fn data_sent_before_tls_is_not_used() {
    let server = Server::start(vec![|command| match command {
        "EHLO" => Reply("250-hostile\r\n250 STARTTLS\r\n"),
        "STARTTLS" => Reply("220 go on\r\n250 hostile\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n"),
        _ => well_behaved(command),
    }]);
    let mail = to(
        OPS,
        &server_at("127.0.0.1", server.port, json!({"smtp_verify_tls": false}), LONG),
    );
    let error = mail.deliver(&outage(), "k").await.unwrap_err();
    assert_eq!(
        error,
        retryable(
            "STARTTLS: unencrypted data followed the answer; someone may be tampering with the connection",
            &server
        )
    );
}

#[tokio::test]
async fn a_password_repeated_by_the_server_is_masked() {
    let server = Server::start(vec![|command| match command {
        "EHLO" => Reply("250-hostile\r\n250 AUTH PLAIN\r\n"),
        "AUTH" => Reply("535 5.7.8 apmon:s3cret is wrong\r\n"),
        _ => well_behaved(command),
    }]);
    let login = json!({"use_tls": false, "smtp_username": "apmon", "smtp_password": "s3cret"});
    let mail = to(OPS, &server_at("127.0.0.1", server.port, login, LONG));
    let error = mail.deliver(&outage(), "k").await.unwrap_err();
    assert_eq!(
        error,
        permanent("login: answered 535 5.7.8 apmon:*** is wrong", &server)
    );
}

/// `AUTH PLAIN` and `AUTH LOGIN` carry the password in Base64.
#[tokio::test]
async fn a_login_line_repeated_by_the_server_is_masked() {
    let server = Server::start(vec![|command| match command {
        "EHLO" => Reply("250-hostile\r\n250 AUTH PLAIN\r\n"),
        "AUTH" => Reply("535 what is AUTH PLAIN AGFwbW9uAHMzY3JldA== or czNjcmV0\r\n"),
        _ => well_behaved(command),
    }]);
    let login = json!({"use_tls": false, "smtp_username": "apmon", "smtp_password": "s3cret"});
    let mail = to(OPS, &server_at("127.0.0.1", server.port, login, LONG));
    let error = mail.deliver(&outage(), "k").await.unwrap_err();
    let reason = "login: answered 535 what is AUTH PLAIN ***== or ***";
    assert_eq!(error, permanent(reason, &server));
}

/// A long reply has several lines, and a line end may be in the middle of what it repeats.
#[tokio::test]
async fn a_login_line_repeated_over_several_lines_is_masked() {
    let login = json!({"use_tls": false, "smtp_username": "apmon", "smtp_password": "s3cret"});
    for (behaviour, reason) in [
        (
            (|command| match command {
                "EHLO" => Reply("250-hostile\r\n250 AUTH PLAIN\r\n"),
                "AUTH" => {
                    Reply("535-5.7.8 what is AUTH PLAIN AGFwbW9uAH\r\n535-5.7.8 MzY3Jl\r\n535 5.7.8 dA==\r\n")
                }
                _ => well_behaved(command),
            }) as Behaviour,
            "login: answered 535 5.7.8 what is AUTH PLAIN ***==",
        ),
        (
            |command| match command {
                "EHLO" => Reply("250-hostile\r\n250 AUTH PLAIN\r\n"),
                "AUTH" => Reply("535-wrong: s3c\r\n535-ret \r\n535 sorry\r\n"),
                _ => well_behaved(command),
            },
            "login: answered 535 wrong: *** sorry",
        ),
    ] {
        let server = Server::start(vec![behaviour]);
        let mail = to(OPS, &server_at("127.0.0.1", server.port, login.clone(), LONG));
        let error = mail.deliver(&outage(), "k").await.unwrap_err();
        assert_eq!(error, permanent(reason, &server));
    }
    let server = Server::start(vec![|command| match command {
        "EHLO" => Reply("250-hostile\r\n250 AUTH PLAIN\r\n"),
        "." => Reply("250-taken from s3\r\n250 cret\r\n"),
        _ => well_behaved(command),
    }]);
    let mail = to(OPS, &server_at("127.0.0.1", server.port, login, LONG));
    assert_eq!(mail.send(&outage(), "k").await.unwrap(), "250 taken from ***");
}

#[tokio::test]
async fn at_most_four_connections_are_open_at_once() {
    let server = Server::start(vec![|command| match command {
        "." => ReplyLate(Duration::from_millis(200), "250 taken\r\n"),
        _ => well_behaved(command),
    }]);
    let shared = plain(server.port, LONG);
    let tasks: Vec<_> = (0..12)
        .map(|n| {
            let mail = to(&format!("u{n}@example.com"), &shared);
            tokio::spawn(async move { mail.deliver(&outage(), &format!("k{n}")).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert!(server.connections() <= 4, "{}", server.connections());
    assert_eq!(server.lines("RCPT").len(), 12);
}

/// The seeds of the fuzz targets, which `cargo xtask fuzz` continues from.
#[test]
fn the_seeds_of_the_fuzz_targets_cause_no_panic() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let mut count = 0;
    for (target, run) in [
        ("mail", apmon_notify::fuzzing::mail as fn(&[u8])),
        ("receiver_answer", apmon_notify::fuzzing::answer),
    ] {
        for file in std::fs::read_dir(corpus.join(target)).unwrap() {
            run(&std::fs::read(file.unwrap().path()).unwrap());
            count += 1;
        }
    }
    assert!(count >= 7, "{count}");
}

proptest::proptest! {
    #[test]
    fn a_dialogue_ends_whatever_the_server_says(lines in "((220|235|250|334|354|421|535)[- ]?[ -~]{0,30}\r?\n){0,12}", bytes: Vec<u8>) {
        apmon_notify::fuzzing::mail(lines.as_bytes());
        apmon_notify::fuzzing::mail(&bytes);
        apmon_notify::fuzzing::answer(&bytes);
    }
}
