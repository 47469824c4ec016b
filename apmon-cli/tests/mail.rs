//! Mail from site file to mailbox: real mails to a real server (aiosmtpd).

#![cfg(all(feature = "mail", feature = "sqlite"))]
#![allow(clippy::unwrap_used)] // a panic fails the test

#[path = "../../apmon-notify/tests/lab/mod.rs"]
mod lab;
mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{Lab, Output, Service, Site};

const MINUTE: Duration = Duration::from_secs(60);

fn site(web: &Service, port: u16, recipients: &str) -> Site {
    Site::new("HomeLab")
        .option(&format!(
            "email_server: {{smtp_host: 127.0.0.1, smtp_port: {port}, from_address: apmon@lan.example, use_tls: no}}"
        ))
        .option(&format!("outage_emails: [{recipients}]"))
        .watch_service("web", web)
        .watch(&format!("type: tcp, name: no-mail, address: \"{}\", email: no", web.address()))
}

/// The recipient and the subject of each mail, sorted.
fn subjects(mails: &[Value]) -> Vec<(&str, &str)> {
    let subjects = mails.iter().map(|mail| {
        let to = mail["to"][0].as_str().unwrap();
        (to, mail["headers"]["subject"].as_str().unwrap())
    });
    let mut subjects: Vec<_> = subjects.collect();
    subjects.sort_unstable();
    subjects
}

#[test]
fn an_outage_and_its_recovery_arrive_as_mails() {
    let (lab, post, web) = (Lab::new(), lab::Lab::start(), Service::open());
    let recipients = "{email: ops@example.com}, {email: boss@example.com, email_recoveries: no}, \
                      {email: night@example.com, email_outages: no}";
    lab.write("home.yaml", site(&web, post.port("plain"), recipients).text());
    lab.run(&["home.yaml"]).assert_code(0);
    assert!(post.mails().is_empty());
    web.close();
    lab.state("home").age(MINUTE);
    lab.run(&["home.yaml"]).assert_code(0);
    assert_eq!(
        subjects(&post.mails()),
        [
            ("boss@example.com", "[OUTAGE] web in HomeLab"),
            ("ops@example.com", "[OUTAGE] web in HomeLab"),
        ]
    );
    web.reopen();
    lab.state("home").age(MINUTE);
    lab.run(&["home.yaml"]).assert_code(0);
    let mails = post.mails();
    assert_eq!(
        subjects(&mails),
        [
            ("boss@example.com", "[OUTAGE] web in HomeLab"),
            ("night@example.com", "[RECOVERY] web in HomeLab"),
            ("ops@example.com", "[OUTAGE] web in HomeLab"),
            ("ops@example.com", "[RECOVERY] web in HomeLab"),
        ]
    );
    let of_ops: Vec<_> = mails
        .iter()
        .filter(|mail| mail["to"] == json!(["ops@example.com"]))
        .collect();
    assert_eq!(
        of_ops[1]["headers"]["references"],
        of_ops[0]["headers"]["message-id"]
    );
    let body = of_ops[0]["body"].as_str().unwrap();
    for line in [
        "Site:          HomeLab\n",
        "Monitor:       web\n",
        "Duration:      0 secs\n",
        "Next reminder: ",
    ] {
        assert!(body.contains(line), "{body}");
    }
}

#[test]
fn mail_undelivered_by_one_pass_is_delivered_by_the_next() {
    let (lab, post, web) = (Lab::new(), lab::Lab::start(), Service::open());
    web.close();
    let recipient = "{email: ops@example.com}";
    // max_try_secs is the time a pass has for deliveries.
    let unreachable = site(&web, 1, recipient).option("max_try_secs: 2");
    lab.write("home.yaml", unreachable.text());
    let output = lab.run(&["home.yaml"]);
    assert!(
        output.text().contains("127.0.0.1:1: connect: "),
        "{}",
        output.text()
    );
    assert!(post.mails().is_empty());
    lab.write("home.yaml", site(&web, post.port("plain"), recipient).text());
    lab.run(&["home.yaml"]).assert_code(0);
    let mails = post.mails();
    assert_eq!(mails[0]["headers"]["subject"], "[OUTAGE] web in HomeLab");
}

#[test]
fn a_test_mail_of_each_kind_goes_to_each_recipient() {
    let (lab, post, web) = (Lab::new(), lab::Lab::start(), Service::open());
    let port = post.port("plain");
    let recipients = "{email: ops@example.com}, {email: boss@example.com, email_reminders: no}";
    lab.write("home.yaml", site(&web, port, recipients).text());
    let output = lab.run(&["notify", "test", "--all", "home.yaml"]);
    output.assert_code(0);
    let off = " (would not be sent in production: reminders are off)";
    let line =
        |to: &str, kind: &str, off: &str| format!("HomeLab: mail:{to}@example.com: {kind}: accepted{off}");
    assert_eq!(
        verdicts(&output),
        [
            format!("HomeLab: mail is sent via 127.0.0.1:{port} (clear text), from apmon@lan.example"),
            line("ops", "outage", ""),
            line("ops", "reminder", ""),
            line("ops", "recovery", ""),
            line("ops", "unknown", ""),
            line("ops", "known", ""),
            line("ops", "no longer monitored", ""),
            line("boss", "outage", ""),
            line("boss", "reminder", off),
            line("boss", "recovery", ""),
            line("boss", "unknown", ""),
            line("boss", "known", ""),
            line("boss", "no longer monitored", ""),
            "all 2 channels accepted the test".to_owned(),
        ]
    );
    for shown in [
        "  > Subject: [OUTAGE] apmon test in HomeLab",
        "  > Subject: [REMINDER 1] apmon test in HomeLab",
        "  < 250 2.0.0 taken as 12",
    ] {
        assert!(output.out.iter().any(|line| line == shown), "{}", output.text());
    }
    let mails = post.mails();
    assert_eq!(mails.len(), 12);
    // The reminders show the line about the next reminder too.
    let is_reminder = |mail: &&Value| {
        let subject = mail["headers"]["subject"].as_str().unwrap();
        subject.starts_with("[REMINDER")
    };
    for mail in mails.iter().filter(is_reminder) {
        let body = mail["body"].as_str().unwrap();
        assert!(body.contains("\nNext reminder: "), "{body}");
    }
    assert!(!lab.path("state").exists(), "no state is kept");
}

/// The lines that are not part of the SMTP dialogue.
fn verdicts(output: &Output) -> Vec<String> {
    let lines = output.out.iter().filter(|line| !line.starts_with(' '));
    lines.cloned().collect()
}

#[test]
fn a_failed_test_mail_shows_the_reason_and_no_secret() {
    let (lab, post, web) = (Lab::new(), lab::Lab::start(), Service::open());
    let port = post.port("login");
    let server = |password: &str| {
        format!(
            "email_server: {{smtp_host: 127.0.0.1, smtp_port: {port}, from_address: apmon@lan.example, \
             smtp_username: apmon, smtp_password: {password}, smtp_verify_tls: no}}"
        )
    };
    let text = |password| {
        site(&web, port, "{email: ops@example.com}")
            .option(&server(password))
            .text()
    };
    lab.write("home.yaml", text("wr0ng-s3cret"));
    let output = lab.run(&["--test-emails", "home.yaml"]);
    output.assert_code(1);
    let refused = |kind: &str| {
        format!(
            "HomeLab: mail:ops@example.com: {kind}: FAILED: 127.0.0.1:{port}: login: answered 535 5.7.8 no such user"
        )
    };
    assert_eq!(
        verdicts(&output),
        [
            format!(
                "HomeLab: mail is sent via 127.0.0.1:{port} (STARTTLS, certificate not verified, login as apmon), from apmon@lan.example"
            ),
            refused("outage"),
            "0 of 1 channel accepted the test; FAILED: HomeLab: mail:ops@example.com".to_owned(),
        ]
    );
    assert!(!output.text().contains("s3cret"), "{}", output.text());
    lab.write("home.yaml", text("s3cret-päss"));
    lab.run(&["--test-emails", "home.yaml"]).assert_code(0);
}

#[test]
fn the_daemon_warns_at_its_start_about_a_failing_mail_server() {
    let (lab, post, web) = (Lab::new(), lab::Lab::start(), Service::open());
    let port = post.port("starttls");
    let server =
        format!("email_server: {{smtp_host: 127.0.0.1, smtp_port: {port}, from_address: a@b.example}}");
    let site = site(&web, port, "{email: ops@example.com}").option(&server);
    lab.write("home.yaml", site.text());
    let mut apmon = lab.start(&["run", "home.yaml"]);
    apmon.wait_for_err("mail:ops@example.com cannot deliver now: 127.0.0.1");
    apmon.stop().assert_code(0);
}
