//! Mail servers that are slow, refuse, hang up or lie.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod mail_options;
mod names;
mod patience;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Barrier, Mutex},
    thread,
    time::Duration,
};

use apmon_core::{DeliveryError, Notifier};
use mail_options::{key, outage, plain, server_at, to};
use patience::{LONG, STALL};
use serde_json::json;

const OPS: &str = "ops@example.com";

/// What it does when told something.
#[derive(Clone)]
enum Does {
    Says(&'static str),
    SaysLate(Duration, &'static str),
    /// Between two meetings with the test.
    SaysBetween(&'static Barrier, &'static str),
    Nothing,
    HangsUp,
    TalksOn(&'static str),
}

use Does::{HangsUp, Nothing, Says, SaysBetween, SaysLate, TalksOn};

/// By the first word of a command; "" is the greeting, "." the end of a mail.
type Manner = fn(&str) -> Does;

fn good(told: &str) -> Does {
    Says(match told {
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
    /// All that came, by connection.
    told: Vec<(usize, String)>,
}

struct Server {
    port: u16,
    record: Arc<Mutex<Record>>,
}

impl Server {
    /// Each connection has the next of `manners`, the last one for good.
    fn start(manners: Vec<Manner>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let record = Arc::new(Mutex::new(Record::default()));
        let shared = Arc::clone(&record);
        thread::spawn(move || {
            for (n, stream) in listener.incoming().enumerate() {
                let (stream, record) = (stream.unwrap(), Arc::clone(&shared));
                record.lock().unwrap().connections += 1;
                let manner = manners[n.min(manners.len() - 1)];
                thread::spawn(move || serve(stream, n, manner, &record));
            }
        });
        Self { port, record }
    }

    fn connections(&self) -> usize {
        self.record.lock().unwrap().connections
    }

    fn lines(&self, prefix: &str) -> Vec<String> {
        let record = self.record.lock().unwrap();
        let lines = record.told.iter().map(|(_, line)| line.clone());
        lines.filter(|line| line.starts_with(prefix)).collect()
    }
}

fn serve(mut stream: TcpStream, n: usize, manner: Manner, record: &Mutex<Record>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut in_mail = false;
    let mut told = String::new();
    loop {
        let does = manner(&told);
        let starts_mail = told == "DATA" && matches!(does, Says(text) if text.starts_with("354"));
        match does {
            Says(text) => drop(stream.write_all(text.as_bytes())),
            SaysLate(wait, text) => {
                thread::sleep(wait);
                let _ = stream.write_all(text.as_bytes());
            }
            SaysBetween(meeting, text) => {
                meeting.wait();
                let _ = stream.write_all(text.as_bytes());
                meeting.wait();
            }
            Nothing => {}
            HangsUp => return,
            TalksOn(text) => while stream.write_all(text.as_bytes()).is_ok() {},
        }
        in_mail |= starts_mail;
        loop {
            let Some(Ok(line)) = lines.next() else { return };
            record.lock().unwrap().told.push((n, line.clone()));
            if !in_mail {
                told = line.split(' ').next().unwrap().to_owned();
                break;
            }
            if line == "." {
                in_mail = false;
                told = line;
                break;
            }
        }
    }
}

async fn deliver(server: &Server, timeout: Duration) -> Result<(), DeliveryError> {
    let message = outage();
    to(OPS, &plain(server.port, timeout))
        .deliver(&message, &key(&message, OPS))
        .await
}

fn again(reason: &str, server: &Server) -> DeliveryError {
    DeliveryError::retryable(format!("127.0.0.1:{}: {reason}", server.port))
}

fn never(reason: &str, server: &Server) -> DeliveryError {
    DeliveryError::permanent(format!("127.0.0.1:{}: {reason}", server.port))
}

#[tokio::test]
async fn silence_at_any_step_ends_in_time() {
    let silent: [(Manner, &str); 5] = [
        (|_| Nothing, "greeting"),
        (
            |told| if told == "MAIL" { Nothing } else { good(told) },
            "MAIL FROM",
        ),
        (
            |told| if told == "RCPT" { Nothing } else { good(told) },
            "RCPT TO",
        ),
        (|told| if told == "DATA" { Nothing } else { good(told) }, "DATA"),
        (|told| if told == "." { Nothing } else { good(told) }, "the mail"),
    ];
    let deliveries = silent.map(|(manner, step)| {
        tokio::spawn(async move {
            let server = Server::start(vec![manner]);
            let error = deliver(&server, STALL).await.unwrap_err();
            assert_eq!(error, again(&format!("{step}: no answer within 5 secs"), &server));
        })
    });
    for delivery in deliveries {
        delivery.await.unwrap();
    }
}

#[tokio::test]
async fn a_slow_greeting_is_waited_for() {
    let server = Server::start(vec![|told| match told {
        "" => SaysLate(Duration::from_millis(300), "220-wait\r\n220 hostile\r\n"),
        _ => good(told),
    }]);
    deliver(&server, LONG).await.unwrap();
}

#[tokio::test]
async fn what_is_put_off_is_tried_again_and_what_is_refused_is_not() {
    let server = Server::start(vec![
        |told| match told {
            "RCPT" => Says("451 4.7.1 greylisted, come again\r\n"),
            _ => good(told),
        },
        good,
    ]);
    let mail = to(OPS, &plain(server.port, LONG));
    let message = outage();
    let key = key(&message, OPS);
    let error = mail.deliver(&message, &key).await.unwrap_err();
    assert_eq!(
        error,
        again("RCPT TO: answered 451 4.7.1 greylisted, come again", &server)
    );
    mail.deliver(&message, &key).await.unwrap();

    for (manner, reason) in [
        (
            (|told| match told {
                "RCPT" => Says("550-5.1.1 no such\r\n550 5.1.1 mailbox\r\n"),
                _ => good(told),
            }) as Manner,
            "RCPT TO: answered 550 5.1.1 no such mailbox",
        ),
        (
            |told| match told {
                "." => Says("554 5.7.1 spam\r\n"),
                _ => good(told),
            },
            "the mail: answered 554 5.7.1 spam",
        ),
    ] {
        let server = Server::start(vec![manner]);
        assert_eq!(deliver(&server, LONG).await.unwrap_err(), never(reason, &server));
    }
}

#[tokio::test]
async fn an_answer_that_got_lost_repeats_the_same_mail() {
    let server = Server::start(vec![
        |told| match told {
            "." => HangsUp,
            _ => good(told),
        },
        good,
    ]);
    let error = deliver(&server, LONG).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Retryable { .. }), "{error:?}");
    assert!(error.to_string().contains(": the mail: "), "{error}");
    deliver(&server, LONG).await.unwrap();
    for header in ["Message-ID: ", "Date: ", "Subject: "] {
        let sent = server.lines(header);
        assert_eq!(sent.len(), 2);
        assert_eq!(sent[0], sent[1], "{header}");
    }
}

#[tokio::test]
async fn a_server_that_goes_down_is_tried_again() {
    let server = Server::start(vec![|_| Says("421 4.3.2 going down\r\n")]);
    let error = deliver(&server, LONG).await.unwrap_err();
    assert_eq!(error, again("greeting: answered 421 4.3.2 going down", &server));
    let server = Server::start(vec![|_| HangsUp]);
    let error = deliver(&server, LONG).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Retryable { .. }), "{error:?}");
}

/// One that was used and has been closed by the server meanwhile costs no mail.
#[tokio::test]
async fn a_used_connection_that_died_is_replaced_at_once() {
    for died in [
        (|told| match told {
            "RSET" => Says("421 4.4.2 idle too long\r\n"),
            _ => good(told),
        }) as Manner,
        |told| match told {
            "RSET" => HangsUp,
            _ => good(told),
        },
        |told| match told {
            "RSET" => Nothing,
            _ => good(told),
        },
    ] {
        let server = Server::start(vec![died, good]);
        let mail = to(OPS, &plain(server.port, LONG));
        mail.deliver(&outage(), "a").await.unwrap();
        mail.deliver(&outage(), "b").await.unwrap();
        assert_eq!(server.connections(), 2);
    }
}

/// The answer to a mail that was given up must not become that to the next.
#[tokio::test]
async fn a_late_answer_is_nobodys() {
    static MEETING: Barrier = Barrier::new(2);
    let server = Server::start(vec![
        |told| match told {
            "." => SaysBetween(&MEETING, "250 2.0.0 taken after all\r\n"),
            _ => good(told),
        },
        |told| match told {
            "RCPT" => Says("550 5.1.1 no\r\n"),
            _ => good(told),
        },
    ]);
    let mail = to(OPS, &plain(server.port, STALL));
    let error = mail.deliver(&outage(), "a").await.unwrap_err();
    assert_eq!(error, again("the mail: no answer within 5 secs", &server));
    MEETING.wait();
    MEETING.wait();
    let error = mail.deliver(&outage(), "b").await.unwrap_err();
    assert_eq!(error, never("RCPT TO: answered 550 5.1.1 no", &server));
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn more_to_be_sent_is_not_taken() {
    let server = Server::start(vec![|told| match told {
        "." => Says("354 and now?\r\n"),
        _ => good(told),
    }]);
    let error = deliver(&server, LONG).await.unwrap_err();
    assert_eq!(error, again("the mail: answered 354 and now?", &server));
}

#[tokio::test]
async fn what_has_no_end_ends() {
    for manner in [
        (|told| match told {
            "" => TalksOn("220-x\r\n"),
            _ => good(told),
        }) as Manner,
        |told| match told {
            "" => TalksOn("xxxxxxxx"),
            _ => good(told),
        },
    ] {
        let server = Server::start(vec![manner]);
        for more in [json!({"use_tls": false}), json!({})] {
            let mail = to(OPS, &server_at("127.0.0.1", server.port, more, LONG));
            let error = mail.deliver(&outage(), "k").await.unwrap_err();
            assert!(matches!(error, DeliveryError::Retryable { .. }), "{error:?}");
            assert!(error.to_string().len() < 400, "{error}");
        }
    }
}

#[tokio::test]
async fn what_was_said_before_tls_counts_for_nothing() {
    let server = Server::start(vec![|told| match told {
        "EHLO" => Says("250-hostile\r\n250 STARTTLS\r\n"),
        "STARTTLS" => Says("220 go on\r\n250 hostile\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n"),
        _ => good(told),
    }]);
    let mail = to(
        OPS,
        &server_at("127.0.0.1", server.port, json!({"smtp_verify_tls": false}), LONG),
    );
    let error = mail.deliver(&outage(), "k").await.unwrap_err();
    assert_eq!(
        error,
        again(
            "STARTTLS: more was said in clear after it, somebody on the way interferes",
            &server
        )
    );
}

#[tokio::test]
async fn a_server_that_repeats_the_password_does_not_give_it_away() {
    let server = Server::start(vec![|told| match told {
        "EHLO" => Says("250-hostile\r\n250 AUTH PLAIN\r\n"),
        "AUTH" => Says("535 5.7.8 apmon:s3cret is wrong\r\n"),
        _ => good(told),
    }]);
    let login = json!({"use_tls": false, "smtp_username": "apmon", "smtp_password": "s3cret"});
    let mail = to(OPS, &server_at("127.0.0.1", server.port, login, LONG));
    let error = mail.deliver(&outage(), "k").await.unwrap_err();
    assert_eq!(
        error,
        never("login: answered 535 5.7.8 apmon:*** is wrong", &server)
    );
}

/// `AUTH PLAIN` and `AUTH LOGIN` carry it in Base64.
#[tokio::test]
async fn nor_does_one_that_repeats_the_line_it_was_in() {
    let server = Server::start(vec![|told| match told {
        "EHLO" => Says("250-hostile\r\n250 AUTH PLAIN\r\n"),
        "AUTH" => Says("535 what is AUTH PLAIN AGFwbW9uAHMzY3JldA== or czNjcmV0\r\n"),
        _ => good(told),
    }]);
    let login = json!({"use_tls": false, "smtp_username": "apmon", "smtp_password": "s3cret"});
    let mail = to(OPS, &server_at("127.0.0.1", server.port, login, LONG));
    let error = mail.deliver(&outage(), "k").await.unwrap_err();
    let told = "login: answered 535 what is AUTH PLAIN ***== or ***";
    assert_eq!(error, never(told, &server));
}

#[tokio::test]
async fn at_most_four_connections_at_once() {
    let server = Server::start(vec![|told| match told {
        "." => SaysLate(Duration::from_millis(200), "250 taken\r\n"),
        _ => good(told),
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
