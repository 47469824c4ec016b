//! Syslog messages, received on sockets of this machine.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // what fails here is a test

mod names;

use std::{
    io::Read,
    net::{TcpListener, UdpSocket},
    os::unix::net::UnixDatagram,
    thread,
    time::Duration,
};

use apmon_core::{DeliveryError, Notification, NotificationKind, Notifier};
use apmon_notify::{Facility, Syslog, SyslogOptions};
use jiff::tz::TimeZone;
use names::names;

fn message(text: &str) -> Notification {
    Notification {
        id: "abc-1".into(),
        incident: "abc".into(),
        kind: NotificationKind::Outage,
        site: "HomeLab".into(),
        monitor: "web".into(),
        address: "http://h/".into(),
        text: text.into(),
        number: 1,
        at: "2026-02-11T14:18:00.123456789Z".parse().unwrap(),
        since: None,
        lasted: None,
        next_reminder: None,
        subject: Default::default(),
        covers: Vec::new(),
        ended: None,
    }
}

fn options(address: &str) -> SyslogOptions {
    SyslogOptions {
        address: Some(serde_json::from_value(address.into()).unwrap()),
        ..SyslogOptions::default()
    }
}

async fn send(options: &SyslogOptions, text: &str) -> Result<(), DeliveryError> {
    let syslog = Syslog::new(options, names(), Duration::from_secs(20)).unwrap();
    syslog.deliver(&message(text), "key").await
}

/// A line without the parts that depend on machine and process.
fn normalized(line: &str) -> String {
    let mut words: Vec<_> = line.splitn(8, ' ').collect();
    assert!(words.len() == 8, "{line}");
    words[2] = "HOST";
    words[4] = "PID";
    words.join(" ")
}

const WEB: &str = "<26>1 2026-02-11T14:18:00.123456Z HOST apmon PID down - web is down; ünï\\nx";

#[tokio::test]
async fn a_message_reaches_a_local_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let socket = UnixDatagram::bind(&path).unwrap();
    send(&options(path.to_str().unwrap()), "web is down; ünï\nx")
        .await
        .unwrap();
    let mut bytes = [0; 4096];
    let length = socket.recv(&mut bytes).unwrap();
    let local = message("").at.to_zoned(TimeZone::system());
    let expected = format!(
        "<26>{} apmon[{}]: web is down; ünï\\nx",
        local.strftime("%b %e %H:%M:%S"),
        std::process::id()
    );
    assert_eq!(std::str::from_utf8(&bytes[..length]).unwrap(), expected);
    drop(socket);
    let error = send(&options(path.to_str().unwrap()), "x").await.unwrap_err();
    assert!(matches!(error, DeliveryError::Retryable { .. }), "{error}");
}

#[tokio::test]
async fn a_message_is_one_datagram_and_a_refusal_is_an_error() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = format!("udp://{}", socket.local_addr().unwrap());
    let mut options = options(&address);
    options.facility = Some(Facility::Local7);
    send(&options, &"ü".repeat(3000)).await.unwrap();
    let mut bytes = [0; 8192];
    let length = socket.recv(&mut bytes).unwrap();
    let line = std::str::from_utf8(&bytes[..length]).unwrap();
    assert!(
        line.starts_with("<186>1 ") && (2046..=2048).contains(&length),
        "{line}"
    );
    drop(socket);
    let error = send(&options, "x").await.unwrap_err();
    assert!(error.to_string().contains("Connection refused"), "{error}");
}

#[tokio::test]
async fn a_message_over_tcp_is_preceded_by_its_length() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let received = thread::spawn(move || {
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        text
    });
    send(&options(&address), "web is down; ünï\nx").await.unwrap();
    let text = received.join().unwrap();
    let (length, line) = text.split_once(' ').unwrap();
    assert_eq!(length.parse::<usize>().unwrap(), line.len());
    assert_eq!(normalized(line), WEB);
    let error = send(&options(&address), "x").await.unwrap_err();
    assert!(matches!(error, DeliveryError::Retryable { .. }), "{error}");
}
