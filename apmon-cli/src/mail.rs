//! `--test-emails`: one test message of each kind to every recipient, the real way.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use apmon_core::{
    Clock as _, Notification, NotificationKind, SystemClock,
    config::{MailProtection, OutageEmail, SiteFile},
    rule::words,
    text::printable,
};
use apmon_notify::{Mail, MailServer, mail_subject};
use jiff::tz::TimeZone;

use crate::{console, pass, site};

/// The kinds that have a switch of their own, with the number each would have.
const KINDS: [(NotificationKind, u32); 3] = [
    (NotificationKind::Outage, 1),
    (NotificationKind::Reminder, 2),
    (NotificationKind::Recovery, 3),
];

/// Sends to all recipients of all files. Exits 0 when all mails were taken.
pub(crate) fn test(configs: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut failed = false;
    for config in configs {
        match runtime.block_on(test_site(config)) {
            Ok(all_taken) => failed |= !all_taken,
            Err(error) => {
                failed = true;
                pass::say(config, &error);
            }
        }
    }
    runtime.shutdown_background();
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

async fn test_site(config: &Path) -> anyhow::Result<bool> {
    let file = site::load(config)?;
    let site = printable(&file.name);
    let Some(server) = site::mail_server(&file)? else {
        console::line(&format!("{site}: no outage_emails to test"));
        return Ok(true);
    };
    console::line(&format!("{site}: by {}", described(&file, &server)));
    let mut all_taken = true;
    for (id, mail, options) in site::recipients(&file, Some(&server))? {
        all_taken &= test_recipient(&file.name, &id, &mail, options).await;
    }
    Ok(all_taken)
}

/// `mail.example.com:587 (STARTTLS, login as ops), from ops@example.com`.
fn described(file: &SiteFile, server: &MailServer) -> String {
    let Some(options) = &file.email_server else {
        return server.origin().to_owned();
    };
    let mut manner = match options.protection() {
        MailProtection::Tls => "TLS",
        MailProtection::StartTls => "STARTTLS",
        MailProtection::None => "in clear",
    }
    .to_owned();
    if options.smtp_verify_tls == Some(false) && options.protection() != MailProtection::None {
        manner.push_str(", certificate not verified");
    }
    if let (Some(name), Some(_)) = (&options.smtp_username, &options.smtp_password) {
        manner.push_str(&format!(", login as {}", name.as_str()));
    }
    let from = options.from_address.as_ref().map_or("", |from| from.as_str());
    printable(&format!("{} ({manner}), from {from}", server.origin())).into_owned()
}

/// Sends one of each kind. After a failure the others would only fail as well,
/// and each may take its time.
async fn test_recipient(site: &str, id: &str, mail: &Mail, options: &OutageEmail) -> bool {
    let now = SystemClock::new().now().wall;
    let incident = format!("test-{}", now.as_nanosecond());
    let whose = format!("{}: {}", printable(site), printable(id));
    for (kind, number) in KINDS {
        let off = switched_off(&kind, options);
        let message = test_message(site, kind, number, &incident, now);
        let subject = mail_subject(&message);
        match mail.send(&message, &format!("{}-{id}", message.id)).await {
            Ok(answer) => console::line(&format!("{whose}: {subject}: {answer}{off}")),
            Err(error) => {
                console::line(&format!("{whose}: {subject}: FAILED: {error}"));
                return false;
            }
        }
    }
    true
}

/// What a recipient would not get but for the test.
fn switched_off(kind: &NotificationKind, options: &OutageEmail) -> &'static str {
    let (switch, words) = match kind {
        NotificationKind::Reminder => (
            options.email_reminders,
            " (in earnest not sent: email_reminders is no)",
        ),
        NotificationKind::Recovery => (
            options.email_recoveries,
            " (in earnest not sent: email_recoveries is no)",
        ),
        _ => (
            options.email_outages,
            " (in earnest not sent: email_outages is no)",
        ),
    };
    match switch {
        Some(false) => words,
        _ => "",
    }
}

fn test_message(
    site: &str,
    kind: NotificationKind,
    number: u32,
    incident: &str,
    now: jiff::Timestamp,
) -> Notification {
    let clock = words::clock(now, &TimeZone::system());
    Notification {
        id: format!("{incident}-{number}"),
        incident: incident.to_owned(),
        kind,
        site: site.to_owned(),
        monitor: "test".into(),
        address: String::new(),
        text: format!(
            "apmon test message for {} at {clock}: mail gets here, and nothing is down",
            printable(site)
        ),
        number,
        at: now,
        since: None,
        lasted: Some(Duration::ZERO),
        next_reminder: None,
    }
}
