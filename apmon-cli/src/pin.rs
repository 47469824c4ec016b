//! `apmon pin`: shows a server's certificates, and pins the first one in a site file.

mod edit;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use apmon_core::{
    Check, Clock as _, SystemClock,
    config::{MAX_FILE_BYTES, MonitorEntry, ProcessEnvironment},
    input_file::read_file,
    text::printable,
};
use apmon_probes::{
    StartTls,
    pin::{By, CertificateSummary, PinTarget},
};
use clap::{Args, ValueEnum};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::json;

use crate::{console, kinds, location, options::seconds, plural::count};

/// Arguments of `apmon pin`.
#[derive(Args)]
pub(crate) struct PinArgs {
    /// An https:// or tls:// address; tcp://host:port with --starttls.
    #[arg(value_name = "URL")]
    address: String,
    /// Use HTTP/3: the certificate presented over QUIC.
    #[arg(long, conflicts_with = "starttls")]
    quic: bool,
    /// The protocol in which to ask the service for TLS.
    #[arg(long, value_name = "PROTOCOL", value_enum)]
    starttls: Option<Protocol>,
    /// Speak the TLS of old devices too, as a monitor with ssl_legacy: yes does.
    #[arg(long, conflicts_with = "quic")]
    ssl_legacy: bool,
    /// Ask for this host name (SNI) instead of the address's, as a monitor with sni does.
    #[arg(long, value_name = "HOST")]
    sni: Option<String>,
    /// Pin the monitors of this server in a site file; the rest of the file stays unchanged.
    #[arg(long, value_name = "CONFIG")]
    write: Option<PathBuf>,
    /// Pin only this monitor; with --write.
    #[arg(long, value_name = "NAME", requires = "write")]
    monitor: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Deadline for the connection.
    #[arg(long, value_name = "SECS", value_parser = seconds, default_value = "20")]
    timeout: Duration,
}

#[derive(Clone, Copy, ValueEnum)]
enum Protocol {
    Smtp,
    Imap,
    Pop3,
    Ftp,
    Ldap,
}

impl From<Protocol> for StartTls {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Smtp => Self::Smtp,
            Protocol::Imap => Self::Imap,
            Protocol::Pop3 => Self::Pop3,
            Protocol::Ftp => Self::Ftp,
            Protocol::Ldap => Self::Ldap,
        }
    }
}

/// Fetches and prints the certificates, and pins the first one if asked to.
pub(crate) fn run(args: &PinArgs) -> anyhow::Result<ExitCode> {
    let by = match (args.quic, args.starttls) {
        (true, _) => By::Quic,
        (false, Some(protocol)) => By::StartTls(protocol.into()),
        (false, None) => By::Tls,
    };
    let shown_address = apmon_core::text::without_userinfo(&args.address);
    let shown_address = printable(&shown_address);
    let mut target = PinTarget::read(&args.address, by)
        .map_err(|wrong| anyhow::anyhow!("{shown_address} {wrong}"))?
        .legacy(args.ssl_legacy);
    if let Some(name) = &args.sni {
        target = target
            .sni(name)
            .map_err(|wrong| anyhow::anyhow!("--sni {wrong}"))?;
    }
    let write_to = args.write.as_deref().map(location::site_file).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let chain = runtime.block_on(async {
        let now = SystemClock::new().now();
        let check = Check::new(now.mono, now, args.timeout);
        tokio::time::timeout_at(
            check.deadline() + Duration::from_secs(1),
            target.certificates(&check),
        )
        .await
    });
    runtime.shutdown_background();
    let chain = chain
        .map_err(|_| anyhow::anyhow!("no answer within {} secs", args.timeout.as_secs_f64()))
        .and_then(|chain| chain.map_err(|failure| anyhow::anyhow!("{}", printable(&failure.reason))))
        .with_context(|| shown_address.to_string())?;
    let leaf = chain.first().context("the server presents no certificate")?;
    if args.json {
        console::line(&console::ascii_controls(&format!("{:#}", as_json(&chain))));
    } else {
        console::line(&as_text(&shown_address, &chain));
    }
    if let Some(path) = &write_to {
        let pin = leaf.fingerprint.in_pairs();
        for done in write(path, &target, args.monitor.as_deref(), &pin)? {
            // With --json, stdout is for JSON only.
            match args.json {
                true => tracing::info!("{done}"),
                false => console::line(&done),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn as_text(address: &str, chain: &[CertificateSummary]) -> String {
    let mut text = format!("{address} presents {}\n", count(chain.len(), "certificate"));
    for (at, certificate) in chain.iter().enumerate() {
        let names = match certificate.names.len() {
            0 => "no host".to_owned(),
            _ => certificate.names.join(", "),
        };
        let (from, until) = certificate.valid;
        let rows = [
            ("subject", certificate.subject.clone()),
            ("issuer", certificate.issuer.clone()),
            ("for", names),
            (
                "valid",
                format!(
                    "{} to {} ({})",
                    date(from),
                    date(until),
                    remaining(certificate.valid)
                ),
            ),
            ("sha-256", certificate.fingerprint.in_pairs()),
        ];
        text.push('\n');
        for (i, (name, value)) in rows.iter().enumerate() {
            let number = match i {
                0 => (at + 1).to_string(),
                _ => String::new(),
            };
            text.push_str(&format!("{number:<3}{name:<9}{}\n", printable(value)));
        }
    }
    if let Some(leaf) = chain.first() {
        text.push_str(&format!(
            "\nTo pin the first one, after comparing it with the fingerprint on the server itself:\n\n    ssl_fingerprint: \"{}\"",
            leaf.fingerprint.in_pairs()
        ));
    }
    text
}

fn as_json(chain: &[CertificateSummary]) -> serde_json::Value {
    chain
        .iter()
        .map(|certificate| {
            json!({
                "subject": certificate.subject,
                "issuer": certificate.issuer,
                "names": certificate.names,
                "not_before": date(certificate.valid.0),
                "not_after": date(certificate.valid.1),
                "sha256": certificate.fingerprint.in_pairs(),
            })
        })
        .collect()
}

/// The date in UTC, as in certificates.
fn date(second: i64) -> String {
    Timestamp::from_second(second).map_or_else(
        |_| "?".to_owned(),
        |at| at.to_zoned(TimeZone::UTC).date().to_string(),
    )
}

fn remaining((from, until): (i64, i64)) -> String {
    const DAY: i64 = 24 * 60 * 60;
    let now = SystemClock::new().now().wall.as_second();
    if now < from {
        return "not valid yet".to_owned();
    }
    match (until - now).div_euclid(DAY) {
        ..0 => format!("expired {} ago", count((now - until) / DAY, "day")),
        0 => "less than 1 day left".to_owned(),
        days => format!("{} left", count(days, "day")),
    }
}

/// Pins the monitors of the server, and returns a line for each.
fn write(path: &Path, target: &PinTarget, only: Option<&str>, pin: &str) -> anyhow::Result<Vec<String>> {
    let shown = path.display().to_string();
    let shown = printable(&shown);
    let file = kinds::tables().load(path, &ProcessEnvironment)?;
    let before = read_file(path, MAX_FILE_BYTES).with_context(|| shown.to_string())?;
    // With its byte order mark, if it has one: the rest of the file stays unchanged.
    let before = String::from_utf8(before).with_context(|| shown.to_string())?;
    let is_chosen = |monitor: &&MonitorEntry| match only {
        Some(name) => monitor.name == name,
        None => target.is_at(monitor.kind, &monitor.address),
    };
    let monitors: Vec<_> = file.monitors.iter().filter(is_chosen).collect();
    if monitors.is_empty() {
        match only {
            Some(name) => anyhow::bail!("{shown}: no monitor is called \"{}\"", printable(name)),
            None => {
                anyhow::bail!("{shown}: no monitor uses TLS at that host and port; choose one with --monitor")
            }
        }
    }
    let reader = edit::SiteReader {
        path,
        tables: kinds::tables(),
        environment: &ProcessEnvironment,
    };
    let (mut text, mut done) = (before.clone(), Vec::new());
    for monitor in &monitors {
        let name = printable(&monitor.name);
        let edited = edit::set_option(&reader, &text, &monitor.name, "ssl_fingerprint", pin)?;
        done.push(match edited == text {
            true => format!("{shown}: monitor \"{name}\" already has this pin"),
            false => format!("{shown}: monitor \"{name}\" is pinned"),
        });
        text = edited;
    }
    if text != before {
        edit::write_file(path, &before, &text)?;
    }
    Ok(done)
}
