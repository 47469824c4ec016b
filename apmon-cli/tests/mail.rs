//! Mail as an operator sees it: real mails to a real server (aiosmtpd).

#![allow(clippy::unwrap_used)] // what fails here is a test

#[path = "../../apmon-notify/tests/lab/mod.rs"]
mod lab;
mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{Ended, Lab, Service, Site};

const MINUTE: Duration = Duration::from_secs(60);

fn site(web: &Service, port: u16, recipients: &str) -> Site {
    Site::new("HomeLab")
        .option(&format!(
            "email_server: {{smtp_host: 127.0.0.1, smtp_port: {port}, from_address: apmon@lan.example, use_tls: no}}"
        ))
        .option(&format!("outage_emails: [{recipients}]"))
        .watch_service("web", web)
        .watch(&format!("type: tcp, name: quiet, address: \"{}\", email: no", web.address()))
}

/// Recipient and subject of each mail.
fn told(mails: &[Value]) -> Vec<(&str, &str)> {
    let told = mails.iter().map(|mail| {
        let to = mail["to"][0].as_str().unwrap();
        (to, mail["headers"]["subject"].as_str().unwrap())
    });
    let mut told: Vec<_> = told.collect();
    told.sort_unstable();
    told
}

#[test]
fn an_outage_and_its_recovery_arrive_as_mails() {
    let (lab, post, web) = (Lab::new(), lab::Lab::start(), Service::open());
    let recipients = "{email: ops@example.com}, {email: boss@example.com, email_recoveries: no}, \
                      {email: night@example.com, email_outages: no}";
    lab.write("home.yaml", site(&web, post.port("plain"), recipients).text());
    lab.run(&["home.yaml"]).assert_code(0);
    assert!(post.mails().is_empty());
    web.go_away();
    lab.state("home").age(MINUTE);
    lab.run(&["home.yaml"]).assert_code(0);
    assert_eq!(
        told(&post.mails()),
        [
            ("boss@example.com", "[OUTAGE] web in HomeLab"),
            ("ops@example.com", "[OUTAGE] web in HomeLab"),
        ]
    );
    web.come_back();
    lab.state("home").age(MINUTE);
    lab.run(&["home.yaml"]).assert_code(0);
    let mails = post.mails();
    assert_eq!(
        told(&mails),
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
fn what_the_mail_server_missed_comes_later() {
    let (lab, post, web) = (Lab::new(), lab::Lab::start(), Service::open());
    web.go_away();
    let recipient = "{email: ops@example.com}";
    // So long a pass tries.
    let in_vain = site(&web, 1, recipient).option("max_try_secs: 2");
    lab.write("home.yaml", in_vain.text());
    let ended = lab.run(&["home.yaml"]);
    assert!(
        ended.text().contains("127.0.0.1:1: connect: "),
        "{}",
        ended.text()
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
    let ended = lab.run(&["--test-emails", "home.yaml"]);
    ended.assert_code(0);
    let off = " (in earnest not sent: email_reminders is no)";
    let line =
        |to: &str, kind: &str, off: &str| format!("HomeLab: mail:{to}@example.com: {kind}: taken{off}");
    assert_eq!(
        verdicts(&ended),
        [
            format!("HomeLab: mail goes by 127.0.0.1:{port} (in clear), from apmon@lan.example"),
            line("ops", "outage", ""),
            line("ops", "reminder", ""),
            line("ops", "recovery", ""),
            line("ops", "unknown", ""),
            line("ops", "known", ""),
            line("ops", "no longer watched", ""),
            line("boss", "outage", ""),
            line("boss", "reminder", off),
            line("boss", "recovery", ""),
            line("boss", "unknown", ""),
            line("boss", "known", ""),
            line("boss", "no longer watched", ""),
        ]
    );
    for shown in [
        "  > Subject: [OUTAGE] apmon test in HomeLab",
        "  > Subject: [REMINDER 1] apmon test in HomeLab",
        "  < 250 2.0.0 taken as 12",
    ] {
        assert!(ended.out.iter().any(|line| line == shown), "{}", ended.text());
    }
    let mails = post.mails();
    assert_eq!(mails.len(), 12);
    // What a mail says of the next reminder is seen as well.
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

/// What is printed beside what was sent and answered.
fn verdicts(ended: &Ended) -> Vec<String> {
    let lines = ended.out.iter().filter(|line| !line.starts_with(' '));
    lines.cloned().collect()
}

#[test]
fn a_test_mail_that_fails_says_why_and_no_secret() {
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
    let ended = lab.run(&["--test-emails", "home.yaml"]);
    ended.assert_code(1);
    let refused = |kind: &str| {
        format!(
            "HomeLab: mail:ops@example.com: {kind}: FAILED: 127.0.0.1:{port}: login: answered 535 5.7.8 no such user"
        )
    };
    assert_eq!(
        verdicts(&ended),
        [
            format!(
                "HomeLab: mail goes by 127.0.0.1:{port} (STARTTLS, certificate not verified, login as apmon), from apmon@lan.example"
            ),
            refused("outage"),
            refused("reminder"),
            refused("recovery"),
            refused("unknown"),
            refused("known"),
            refused("no longer watched"),
        ]
    );
    assert!(!ended.text().contains("s3cret"), "{}", ended.text());
    lab.write("home.yaml", text("s3cret-päss"));
    lab.run(&["--test-emails", "home.yaml"]).assert_code(0);
}

#[test]
fn the_daemon_says_at_its_start_that_the_server_does_not_take_mail() {
    let (lab, post, web) = (Lab::new(), lab::Lab::start(), Service::open());
    let port = post.port("starttls");
    let server =
        format!("email_server: {{smtp_host: 127.0.0.1, smtp_port: {port}, from_address: a@b.example}}");
    let site = site(&web, port, "{email: ops@example.com}").option(&server);
    lab.write("home.yaml", site.text());
    let mut apmon = lab.start(&["run", "home.yaml"]);
    apmon.until_err("email_server does not take mail now: 127.0.0.1");
    apmon.stop().assert_code(0);
}
