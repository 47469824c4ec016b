//! Whom to ask, and how: an address with the options of a site file, or a
//! site file's monitor.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use apmon_core::{
    Check, Clock as _, Services, SystemClock,
    config::{self, ProcessEnvironment},
    text::without_userinfo,
};
use apmon_snmp::{Agent, Credentials, Session, SnmpError, Target};
use clap::Args;
use serde_json::{Map, Value};

use super::target::{Kinds, target_of};
use crate::{kinds, options::seconds, site};

/// Where the options say nothing.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Secrets that need not stand on the command line.
const COMMUNITY: &str = "APMON_SNMP_COMMUNITY";
const AUTH_PASSWORD: &str = "APMON_SNMP_AUTH_PASSWORD";
const PRIV_PASSWORD: &str = "APMON_SNMP_PRIV_PASSWORD";

/// Whom to ask.
#[derive(Args)]
pub(super) struct AgentArgs {
    /// A device (switch.lan, 192.168.1.6:1161, snmp://community@host); with --config a monitor's name.
    #[arg(value_name = "ADDRESS|MONITOR")]
    target: String,
    /// A site file: ask as this monitor of it does.
    #[arg(long, value_name = "CONFIG", conflicts_with_all = HOW)]
    config: Option<PathBuf>,
    /// Seconds to wait for the device; of a walk, for each answer. [default: 20, with --config the monitor's max_try_secs]
    #[arg(short, long, value_name = "SECS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// Community of SNMPv1 and v2c. Better in $APMON_SNMP_COMMUNITY: what stands here, everybody on this machine can see. [default: public]
    #[arg(short, long)]
    community: Option<String>,
    /// File that holds the community.
    #[arg(long, value_name = "FILE")]
    community_file: Option<String>,
    /// Version of SNMP: 1, 2c or 3. [default: 3 with --user, else 2c]
    #[arg(short = 'v', long)]
    version: Option<String>,
    /// User of SNMPv3.
    #[arg(short, long)]
    user: Option<String>,
    /// How messages are signed: md5, sha1, sha224, sha256, sha384, sha512.
    #[arg(short, long, value_name = "PROTOCOL")]
    auth_protocol: Option<String>,
    /// File that holds the password for signing. [default: $APMON_SNMP_AUTH_PASSWORD itself]
    #[arg(long, value_name = "FILE")]
    auth_password_file: Option<String>,
    /// How messages are encrypted: des, aes128, aes192, aes256, or Cisco's aes192c, aes256c.
    #[arg(short = 'x', long, value_name = "PROTOCOL")]
    priv_protocol: Option<String>,
    /// File that holds the password for encryption. [default: $APMON_SNMP_PRIV_PASSWORD itself]
    #[arg(long, value_name = "FILE")]
    priv_password_file: Option<String>,
    /// Context of SNMPv3.
    #[arg(short = 'n', long)]
    context: Option<String>,
}

/// What a monitor has in its site file.
const HOW: [&str; 9] = [
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

/// Why there is nothing to show.
pub(super) enum Trouble {
    /// Nobody was asked.
    Usage(anyhow::Error),
    /// The device, or the way to it.
    Device(String),
}

/// Whom it is that is asked.
pub(super) struct Asked {
    pub(super) target: Target,
    pub(super) timeout: Duration,
    pub(super) services: Services,
}

impl AgentArgs {
    /// What messages are about.
    pub(super) fn shown(&self) -> PathBuf {
        match self.target.rsplit_once('@') {
            // Whatever stands before the last @ may be a password.
            Some((before, host)) if self.config.is_none() && !before.contains("://") => {
                format!("***@{host}").into()
            }
            _ => without_userinfo(&self.target).into(),
        }
    }

    /// Reads what was given.
    pub(super) fn read(&self) -> Result<Asked, Trouble> {
        let read = match &self.config {
            Some(config) => self.of_site_file(config),
            None => self.of_command_line(),
        };
        let (target, timeout) = read.map_err(Trouble::Usage)?;
        Ok(Asked {
            target,
            timeout: self.timeout.unwrap_or(timeout),
            services: kinds::services(),
        })
    }

    fn of_site_file(&self, path: &Path) -> anyhow::Result<(Target, Duration)> {
        let kinds = Kinds::all();
        let file = config::load(path, &kinds.table(), &ProcessEnvironment)?;
        let monitor = site::monitor_called(&file, &self.target)?;
        match target_of(monitor) {
            Some(target) => Ok((target, monitor.max_try.value.duration())),
            None => anyhow::bail!("it is of type {}, which asks no SNMP agent", monitor.kind),
        }
    }

    /// The options stand in a site file of one monitor, to be read as all are:
    /// by the same rules, with the same messages.
    fn of_command_line(&self) -> anyhow::Result<(Target, Duration)> {
        anyhow::ensure!(
            !site::is_site_file(&self.target),
            "a site file goes with --config, and a monitor's name in its place"
        );
        let kinds = Kinds::all();
        let file = site::of_one(self.section(&ProcessEnvironment), &kinds.table())?;
        let target = file.monitors.first().and_then(target_of);
        let target = target.ok_or_else(|| anyhow::anyhow!("it asks no SNMP agent"))?;
        Ok((target, TIMEOUT))
    }

    fn section(&self, environment: &dyn config::Environment) -> Map<String, Value> {
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
        for (option, value) in HOW.iter().zip(given) {
            if let Some(value) = value {
                section.insert((*option).to_owned(), value.clone().into());
            }
        }
        // Those who were given a user do not mean the community that is there
        // for all other devices, nor the other way round.
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

/// `switch.lan`, `192.168.1.6:1161`, `2001:db8::6`, `[2001:db8::6]:1161` as the
/// site file has them.
fn url(target: &str) -> String {
    match target {
        target if target.contains("://") => target.to_owned(),
        target if target.parse::<std::net::Ipv6Addr>().is_ok() => format!("snmp://[{target}]"),
        target => format!("snmp://{target}"),
    }
}

impl Asked {
    /// A look that begins now.
    pub(super) fn check(&self) -> Check {
        let now = SystemClock::new().now();
        Check::new(now.mono, now, self.timeout)
    }

    /// An open way to the device.
    pub(super) async fn session(&self) -> Result<Session, Trouble> {
        let (check, names) = (self.check(), self.services.names());
        let target = &self.target;
        let to = target.remote.socket_address(&check, &*names, target.port).await;
        let to = to.map_err(|failure| Trouble::Device(failure.reason))?;
        let credentials = Arc::clone(&target.credentials);
        let session = Session::open(to, credentials, Arc::<Agent>::default(), check.deadline()).await;
        session.map_err(|error| self.trouble(&error))
    }

    /// Why the device was not read.
    pub(super) fn trouble(&self, error: &SnmpError) -> Trouble {
        Trouble::Device(match error {
            SnmpError::NoAnswer { asked } => {
                let hint = match &*self.target.credentials {
                    Credentials::V1(_) | Credentials::V2c(_) => "; a wrong community gets none",
                    Credentials::V3(_) => "",
                };
                let secs = self.timeout.as_secs_f64();
                format!("snmp: no answer within {secs} secs ({asked}){hint}")
            }
            error => format!("snmp: {error}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_host_is_an_address() {
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
