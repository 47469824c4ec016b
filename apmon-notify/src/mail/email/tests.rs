use std::time::Duration;

use super::*;

fn message(kind: NotificationKind, number: u32) -> Notification {
    Notification {
        id: format!("i-{number}"),
        incident: "i".into(),
        kind,
        site: "HomeLab".into(),
        monitor: "web".into(),
        address: "http://192.168.1.12/".into(),
        text: "web in HomeLab is down: refused (http://192.168.1.12/) at 3:15 PM, down for 10 mins 0 secs"
            .into(),
        number,
        at: "2026-02-11T14:15:00Z".parse().unwrap(),
        since: Some("2026-02-11T14:05:00Z".parse().unwrap()),
        lasted: Some(Duration::from_secs(600)),
        subject: Default::default(),
        covers: Vec::new(),
        next_reminder: Some("2026-02-11T14:25:00Z".parse().unwrap()),
        ended: None,
    }
}

fn email(notification: &Notification) -> String {
    let key = format!("{}-mail:ops@example.com", notification.id);
    let email = Email {
        from: "apmon@lan.example",
        to: "ops@example.com",
        notification,
        key: &key,
        zone: &TimeZone::posix("CET-1").unwrap(),
    };
    String::from_utf8(email.bytes()).unwrap()
}

fn header<'a>(email: &'a str, name: &str) -> Option<&'a str> {
    let (head, _) = email.split_once("\r\n\r\n").unwrap();
    head.split("\r\n")
        .find_map(|line| line.strip_prefix(&format!("{name}: ")))
}

/// A body without soft line breaks (RFC 2045 section 6.7).
fn unfolded(body: &str) -> String {
    body.replace("=\r\n", "").replace("\r\n", "\n")
}

#[test]
fn a_reminder_has_these_headers_and_this_body() {
    let sent = email(&message(NotificationKind::Reminder, 4));
    let (head, body) = sent.split_once("\r\n\r\n").unwrap();
    assert_eq!(
        head.replace("\r\n", "\n"),
        "From: apmon@lan.example\n\
         To: ops@example.com\n\
         Subject: [REMINDER 3] web in HomeLab\n\
         Date: Wed, 11 Feb 2026 15:15:00 +0100\n\
         Message-ID: <bb139ce5f5795841fd307b9a286aadc6@lan.example>\n\
         In-Reply-To: <8240819ea1aa27a393e1d2d8480e8869@lan.example>\n\
         References: <8240819ea1aa27a393e1d2d8480e8869@lan.example>\n\
         Auto-Submitted: auto-generated\n\
         MIME-Version: 1.0\n\
         Content-Type: text/plain; charset=utf-8\n\
         Content-Transfer-Encoding: quoted-printable"
    );
    assert_eq!(
        unfolded(body),
        "web in HomeLab is down: refused (http://192.168.1.12/) at 3:15 PM, down for 10 mins 0 secs\n\n\
         Site:          HomeLab\n\
         Monitor:       web\n\
         Address:       http://192.168.1.12/\n\
         Since:         2026-02-11 15:05:00 CET\n\
         Duration:      10 mins 0 secs\n\
         Reminder:      3\n\
         Next reminder: 2026-02-11 15:25:00 CET"
    );
}

#[test]
fn each_kind_has_its_subject() {
    use NotificationKind::{Known, NoLongerWatched, Notice, Outage, Recovery, Reminder, Unknown};
    for (kind, number, expected) in [
        (Outage, 1, "[OUTAGE] web in HomeLab"),
        (Reminder, 4, "[REMINDER 3] web in HomeLab"),
        (Recovery, 5, "[RECOVERY] web in HomeLab"),
        (Unknown, 1, "[UNKNOWN] web in HomeLab"),
        (Known, 2, "[KNOWN] web in HomeLab"),
        (NoLongerWatched, 2, "[NO LONGER WATCHED] web in HomeLab"),
        (Notice("PORT CHANGE".into()), 1, "[PORT CHANGE] web in HomeLab"),
    ] {
        assert_eq!(mail_subject(&message(kind, number)), expected);
    }
}

#[test]
fn the_messages_of_an_incident_form_one_thread() {
    let first = email(&message(NotificationKind::Outage, 1));
    assert_eq!(header(&first, "References"), None);
    assert_eq!(header(&first, "In-Reply-To"), None);
    let id = header(&first, "Message-ID").unwrap();
    let mut ids = vec![id.to_owned()];
    for (kind, number) in [(NotificationKind::Reminder, 2), (NotificationKind::Recovery, 3)] {
        let later = email(&message(kind, number));
        assert_eq!(header(&later, "References"), Some(id));
        assert_eq!(header(&later, "In-Reply-To"), Some(id));
        ids.push(header(&later, "Message-ID").unwrap().to_owned());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3, "each has its own id");
}

#[test]
fn no_name_can_inject_a_header() {
    let hostile = "web\r\nBcc: all@example.com\r\n\r\nbody\u{202e}\0";
    for kind in [NotificationKind::Outage, NotificationKind::Notice(hostile.into())] {
        let mut message = message(kind, 1);
        message.monitor = hostile.into();
        message.site = format!("ü{hostile}");
        message.address = hostile.into();
        message.text = hostile.into();
        let sent = email(&message);
        assert!(sent.is_ascii());
        let (head, body) = sent.split_once("\r\n\r\n").unwrap();
        let names: Vec<_> = head
            .split("\r\n")
            .filter(|line| !line.starts_with(' '))
            .map(|line| line.split_once(": ").unwrap().0)
            .collect();
        assert_eq!(names.len(), 9, "{names:?}");
        assert!(!names.contains(&"Bcc"));
        assert!(
            !sent.replace("\r\n", "").contains(['\r', '\n']),
            "no bare CR or LF"
        );
        assert!(body.lines().all(|line| !line.starts_with("Bcc")), "{body}");
    }
}

#[test]
fn long_names_do_not_make_lines_too_long() {
    let mut message = message(NotificationKind::Outage, 1);
    message.monitor = "x".repeat(5000);
    message.site = "ü".repeat(5000);
    message.text = "y".repeat(5000);
    let sent = email(&message);
    let longest = sent.split("\r\n").map(str::len).max().unwrap();
    assert!(longest <= 998, "{longest}");
}

#[test]
fn unknown_values_are_left_out_of_the_body() {
    let mut message = message(NotificationKind::Notice("TEST".into()), 1);
    (message.since, message.lasted, message.next_reminder) = (None, None, None);
    message.address = String::new();
    let sent = email(&message);
    let (_, body) = sent.split_once("\r\n\r\n").unwrap();
    let body = unfolded(body);
    let labels: Vec<_> = body
        .lines()
        .skip(2)
        .map(|line| line.split_once(':').unwrap().0)
        .collect();
    assert_eq!(labels, ["Site", "Monitor"]);
}
