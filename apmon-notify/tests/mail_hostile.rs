//! Mail servers that are slow, refuse, hang up or misbehave.

#![cfg(feature = "mail")]
#![allow(clippy::unwrap_used)] // what fails here is a test

mod mail_options;
mod names;
mod timing;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Barrier, Mutex},
    thread,
    time::Duration,
};

use apmon_core::{DeliveryError, Notifier};
use mail_options::{key, outage, plain, server_at, to};
use serde_json::json;
use timing::{LONG, STALL};

const OPS: &str = "ops@example.com";

/// How the server reacts to a command.
#[derive(Clone)]
enum Reaction {
    Reply(&'static str),
    ReplyLate(Duration, &'static str),
    /// Replies between two meetings with the test.
    ReplyBetween(&'static Barrier, &'static str),
    Nothing,
    HangUp,
    ReplyForever(&'static str),
}

use Reaction::{HangUp, Nothing, Reply, ReplyBetween, ReplyForever, ReplyLate};

/// The reaction to the first word of a command; "" stands for the connection
/// itself, "." for the end of an e-mail.
type Behaviour = fn(&str) -> Reaction;

fn well_behaved(command: &str) -> Reaction {
    Reply(match command {
        "" => "220 hostile\r\n",
        "EHLO" => "250-hostile\r\n250 8BITMIME\r\n",
        "DATA" => "354 go on\r\n",
        "." => "250 2.0.0 taken\r\n",
        "QUIT" => "221 bye\r\n",
        _ => "250 ok\r\n",
    })
}

#[derive(Default)]
struct Record {
    connections: usize,
    /// The lines received, with the number of their connection.
    lines: Vec<(usize, String)>,
}

struct Server {
    port: u16,
    record: Arc<Mutex<Record>>,
}

impl Server {
    /// Starts a server that treats each connection with the next of `behaviours`, and
    /// all further ones with the last.
    fn start(behaviours: Vec<Behaviour>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let record = Arc::new(Mutex::new(Record::default()));
        let shared = Arc::clone(&record);
        thread::spawn(move || {
            for (n, stream) in listener.incoming().enumerate() {
                let (stream, record) = (stream.unwrap(), Arc::clone(&shared));
                record.lock().unwrap().connections += 1;
                let behaviour = behaviours[n.min(behaviours.len() - 1)];
                thread::spawn(move || serve(stream, n, behaviour, &record));
            }
        });
        Self { port, record }
    }

    fn connections(&self) -> usize {
        self.record.lock().unwrap().connections
    }

    fn lines(&self, prefix: &str) -> Vec<String> {
        let record = self.record.lock().unwrap();
        let lines = record.lines.iter().map(|(_, line)| line.clone());
        lines.filter(|line| line.starts_with(prefix)).collect()
    }
}

fn serve(mut stream: TcpStream, n: usize, behaviour: Behaviour, record: &Mutex<Record>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut in_mail = false;
    let mut command = String::new();
    loop {
        let reaction = behaviour(&command);
        let starts_mail = command == "DATA" && matches!(reaction, Reply(text) if text.starts_with("354"));
        match reaction {
            Reply(text) => drop(stream.write_all(text.as_bytes())),
            ReplyLate(wait, text) => {
                thread::sleep(wait);
                let _ = stream.write_all(text.as_bytes());
            }
            ReplyBetween(meeting, text) => {
                meeting.wait();
                let _ = stream.write_all(text.as_bytes());
                meeting.wait();
            }
            Nothing => {}
            HangUp => return,
            ReplyForever(text) => while stream.write_all(text.as_bytes()).is_ok() {},
        }
        in_mail |= starts_mail;
        loop {
            let Some(Ok(line)) = lines.next() else { return };
            record.lock().unwrap().lines.push((n, line.clone()));
            if !in_mail {
                command = line.split(' ').next().unwrap().to_owned();
                break;
            }
            if line == "." {
                in_mail = false;
                command = line;
                break;
            }
        }
    }
}

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
