//! `--test-webhooks`: one test message to every webhook, the real way.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use apmon_core::{Clock as _, Notification, NotificationKind, SystemClock, rule::words, text::printable};
use jiff::tz::TimeZone;

use crate::{
    args::CommonArgs,
    console, pass,
    site::{self, Process},
};

/// Sends to all webhooks of all files. Exits 0 when all took the message.
pub(crate) fn test(configs: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let process = Process::default();
    let mut failed = false;
    for config in configs {
        match runtime.block_on(test_site(config, &process)) {
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

async fn test_site(config: &Path, process: &Process) -> anyhow::Result<bool> {
    let file = site::load(config)?;
    let args = CommonArgs {
        verbose: 0,
        threads: None,
        statefile: None,
        no_notify: false,
    };
    let plan = site::plan(&file, &args, process)?;
    let site = printable(&plan.site).into_owned();
    let webhooks: Vec<_> = plan.channels.iter().filter(|channel| !channel.is_mail).collect();
    if webhooks.is_empty() {
        console::line(&format!("{site}: no outage_webhooks to test"));
    }
    let mut all_taken = true;
    for channel in webhooks {
        let message = test_message(&plan.site);
        let key = format!("{}-{}", message.id, channel.id);
        match channel.notifier.deliver(&message, &key).await {
            Ok(()) => console::line(&format!("{site}: {}: taken", channel.id)),
            Err(error) => {
                all_taken = false;
                console::line(&format!("{site}: {}: FAILED: {error}", channel.id));
            }
        }
    }
    Ok(all_taken)
}

fn test_message(site: &str) -> Notification {
    let now = SystemClock::new().now().wall;
    let clock = words::clock(now, &TimeZone::system());
    let incident = format!("test-{}", now.as_millisecond());
    Notification {
        id: format!("{incident}-1"),
        incident,
        kind: NotificationKind::Notice("TEST".into()),
        site: site.to_owned(),
        monitor: "test".into(),
        address: String::new(),
        text: format!(
            "apmon test message for {} at {clock}: this webhook works",
            printable(site)
        ),
        number: 1,
        at: now,
        since: None,
        lasted: None,
        next_reminder: None,
    }
}
