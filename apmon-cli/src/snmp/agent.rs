//! The agent to query: an address with the options of a site file, or a monitor of a
//! site file.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use apmon_core::{
    Check, Clock as _, Reach, Services, SystemClock,
    config::{Environment, ProcessEnvironment, Tables},
    text::without_userinfo,
};
use apmon_snmp::Target;
use apmon_snmp_client::{Credentials, Session, SnmpError};
use clap::Args;
use serde_json::{Map, Value};

use super::target::{Kinds, target_of};
use crate::{kinds, location, options::seconds, site};

/// The default timeout.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Environment variables that keep secrets off the command line.
const COMMUNITY: &str = "APMON_SNMP_COMMUNITY";
const AUTH_PASSWORD: &str = "APMON_SNMP_AUTH_PASSWORD";
const PRIV_PASSWORD: &str = "APMON_SNMP_PRIV_PASSWORD";

/// Arguments that name an agent, and how to query it.
#[derive(Args)]
pub(super) struct AgentArgs {
    /// A device (switch.lan, 192.168.1.6:1161, snmp://community@host), or a monitor's name with --config.
    #[arg(value_name = "ADDRESS|MONITOR")]
    target: String,
    /// Site file, or the name of a site that a daemon runs: query the device as the given monitor does.
    #[arg(long, value_name = "CONFIG", conflicts_with_all = MONITOR_OPTIONS)]
    config: Option<PathBuf>,
    /// Seconds to wait for the device; in a walk, for each answer. [default: 20, or the monitor's max_try_secs with --config]
    #[arg(short, long, value_name = "SECS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// Community of SNMPv1 and v2c. Prefer $APMON_SNMP_COMMUNITY: arguments are visible to everyone on this machine. [default: public]
    #[arg(short, long)]
    community: Option<String>,
    /// File with the community.
    #[arg(long, value_name = "FILE")]
    community_file: Option<String>,
    /// SNMP version: 1, 2c or 3. [default: 3 with --user, else 2c]
    #[arg(short = 'v', long)]
    version: Option<String>,
    /// SNMPv3 user.
    #[arg(short, long)]
    user: Option<String>,
    /// Authentication protocol: md5, sha1, sha224, sha256, sha384, sha512.
    #[arg(short, long, value_name = "PROTOCOL")]
    auth_protocol: Option<String>,
    /// File with the authentication password. [default: the password in $APMON_SNMP_AUTH_PASSWORD]
    #[arg(long, value_name = "FILE")]
    auth_password_file: Option<String>,
    /// Privacy protocol: des, aes128, aes192, aes256, or Cisco's aes192c, aes256c.
    #[arg(short = 'x', long, value_name = "PROTOCOL")]
    priv_protocol: Option<String>,
    /// File with the privacy password. [default: the password in $APMON_SNMP_PRIV_PASSWORD]
    #[arg(long, value_name = "FILE")]
    priv_password_file: Option<String>,
    /// SNMPv3 context.
    #[arg(short = 'n', long)]
    context: Option<String>,
}

/// The options that a monitor has in its site file.
const MONITOR_OPTIONS: [&str; 9] = [
    "community",
    "community_file",
    "version",
    "user",
    "auth_protocol",
    "auth_password_file",
    "priv_protocol",
    "priv_password_file",
    "context",
];

/// Why a query failed.
pub(super) enum QueryError {
    /// Nothing was sent: a usage error or an invalid site file.
    Usage(anyhow::Error),
    /// The device did not answer, or not as expected.
    Device(String),
}

/// An agent to query, and how long to wait for it.
pub(super) struct Query {
    pub(super) target: Target,
    pub(super) reach: Reach,
    pub(super) timeout: Duration,
    pub(super) services: Services,
}

impl AgentArgs {
    /// The target as errors show it, without secrets.
    pub(super) fn shown(&self) -> PathBuf {
        match self.config {
            None => without_userinfo(&self.target).into(),
            Some(_) => self.target.clone().into(), // a monitor's name
        }
    }

    /// Reads the arguments, and the site file if there is one.
    pub(super) fn read(&self) -> Result<Query, QueryError> {
        let read = match &self.config {
            Some(config) => self.site_file_target(config),
            None => self.command_line_target(),
        };
        let (target, reach, timeout) = read.map_err(QueryError::Usage)?;
        Ok(Query {
            target,
            reach,
            timeout: self.timeout.unwrap_or(timeout),
            services: kinds::services(),
        })
    }

    fn site_file_target(&self, path: &Path) -> anyhow::Result<(Target, Reach, Duration)> {
        let kinds = Kinds::all();
        let tables = Tables {
            kinds: &kinds.table(),
            ..crate::kinds::tables()
        };
        let file = tables.load(&location::site_file(path)?, &ProcessEnvironment)?;
        let monitor = site::monitor_called(&file, &self.target)?;
        match target_of(monitor) {
            Some(target) => Ok((target, *monitor.reach, monitor.max_try.value.duration())),
            None => anyhow::bail!(
                "the monitor is of type {}, which uses no SNMP agent",
                monitor.kind
            ),
        }
    }

    /// Puts the options into a site file of one monitor, so that they are read by the
    /// same rules, with the same errors.
    fn command_line_target(&self) -> anyhow::Result<(Target, Reach, Duration)> {
        anyhow::ensure!(
            !site::is_site_file(&self.target),
            "give the site file with --config, and a monitor's name as the argument"
        );
        let kinds = Kinds::all();
        let file = site::of_one(self.section(&ProcessEnvironment), &kinds.table())?;
        let target = file.monitors.first().and_then(target_of);
        let target = target.ok_or_else(|| anyhow::anyhow!("the address names no SNMP agent"))?;
        Ok((target, Reach::default(), TIMEOUT))
    }

    fn section(&self, environment: &dyn Environment) -> Map<String, Value> {
        let mut section = Map::new();
        section.insert("type".into(), "ports".into());
        section.insert("name".into(), "device".into());
        section.insert("address".into(), url(&self.target).into());
        let given = [
            &self.community,
            &self.community_file,
            &self.version,
            &self.user,
            &self.auth_protocol,
            &self.auth_password_file,
            &self.priv_protocol,
            &self.priv_password_file,
            &self.context,
        ];
        for (option, value) in MONITOR_OPTIONS.iter().zip(given) {
            if let Some(value) = value {
                section.insert((*option).to_owned(), value.clone().into());
            }
        }
        // With a user the community in the environment is meant for other devices,
        // and without a user the passwords are.
        let is_v3 = self.version.as_deref().map_or(self.user.is_some(), |version| {
            ["3", "v3"].iter().any(|v3| version.eq_ignore_ascii_case(v3))
        });
        let secrets = match is_v3 {
            true => &[("auth_password", AUTH_PASSWORD), ("priv_password", PRIV_PASSWORD)][..],
            false => &[("community", COMMUNITY)],
        };
        for (option, variable) in secrets {
            let is_given = section.contains_key(*option) || section.contains_key(&format!("{option}_file"));
            let is_in_address = *option == "community" && self.target.contains('@');
            if !is_given
                && !is_in_address
                && let Some(secret) = environment.variable(variable)
            {
                section.insert((*option).to_owned(), secret.into());
            }
        }
        section
    }
}

/// The URL, as a site file needs it, of `switch.lan`, `192.168.1.6:1161`,
/// `2001:db8::6` or `[2001:db8::6]:1161`.
fn url(target: &str) -> String {
    match target {
        target if target.contains("://") => target.to_owned(),
        target if target.parse::<std::net::Ipv6Addr>().is_ok() => format!("snmp://[{target}]"),
        target => format!("snmp://{target}"),
    }
}

impl Query {
    /// A check that begins now.
    pub(super) fn check(&self) -> Check {
        let now = SystemClock::new().now();
        Check::new(now.mono, now, self.timeout)
    }

    /// Opens a session with the agent.
    pub(super) async fn session(&self) -> Result<Session, QueryError> {
        let session = apmon_snmp::session(&self.target, self.reach, &self.services, &self.check()).await;
        session.map_err(|failure| QueryError::Device(failure.reason))
    }

    /// The error of a session, explained.
    pub(super) fn error(&self, error: &SnmpError) -> QueryError {
        QueryError::Device(match error {
            SnmpError::NoAnswer { request } => {
                let hint = match &*self.target.credentials {
                    Credentials::V1(_) | Credentials::V2c(_) => "; a wrong community gets no answer",
                    Credentials::V3(_) => "",
                };
                let secs = self.timeout.as_secs_f64();
                format!("snmp: no answer within {secs} secs ({request}){hint}")
            }
            error => format!("snmp: {error}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_host_becomes_a_url() {
        for (target, expected) in [
            ("switch.lan", "snmp://switch.lan"),
            ("192.168.1.6:1161", "snmp://192.168.1.6:1161"),
            ("2001:db8::6", "snmp://[2001:db8::6]"),
            ("[2001:db8::6]:1161", "snmp://[2001:db8::6]:1161"),
            ("snmp://public@switch.lan", "snmp://public@switch.lan"),
        ] {
            assert_eq!(url(target), expected);
        }
    }
}
