//! The site: its monitors and its channels.

use std::{fmt::Write as _, net::Ipv4Addr, path::Path, time::Duration};

use super::{
    hostile::FLOODS,
    notification::{NotificationKind, SITE_NAME},
};
use crate::{fault::Fault, workspace};

/// Time between two checks of a monitor.
pub(super) const EVERY: Duration = Duration::from_secs(1);
/// The answer of a target that is up.
pub(super) const GREETING: &str = "up";

const MONITORS: u8 = 20;
const PORT: u16 = 7007;
const MAIL_PORT: u16 = 7025;

/// A recipient of notifications.
#[derive(Clone, Debug)]
pub(super) struct Channel {
    /// apmon's id for it.
    pub(super) id: String,
    pub(super) is_mail: bool,
    pub(super) reminders: bool,
    pub(super) recoveries: bool,
}

/// A monitor of the site.
#[derive(Clone, Debug)]
pub(super) struct Monitor {
    pub(super) name: String,
    pub(super) address: Ipv4Addr,
    /// Consecutive failed checks before an outage.
    pub(super) checks: u32,
    /// Whether its target is down by the content of its answer, whose length is
    /// the number of the period. The other targets close their port.
    pub(super) fails_by_content: bool,
    /// Whether mail about it is off.
    pub(super) no_mail: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) channels: Vec<Channel>,
    pub(super) monitors: Vec<Monitor>,
    network: [u8; 3],
}

impl Site {
    /// A site on loopback addresses that no other run uses at the same time.
    pub(super) fn new() -> Self {
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let network = [127, 64 + high % 128, low];
        let hook = |n: u8| Channel {
            id: format!("webhook:{}", at(network, n)),
            is_mail: false,
            reminders: true,
            recoveries: true,
        };
        let mail = |name: &str, reminders, recoveries| Channel {
            id: format!("mail:{name}@chaos.example"),
            is_mail: true,
            reminders,
            recoveries,
        };
        Self {
            channels: vec![
                hook(2),
                hook(3),
                mail("ops", false, true),
                mail("boss", true, false),
            ],
            monitors: (0..MONITORS)
                .map(|n| Monitor {
                    name: format!("m{n:02}"),
                    address: at(network, 10 + n),
                    checks: 1 + u32::from(n % 2),
                    fails_by_content: n % 10 < 7,
                    no_mail: n == MONITORS - 1,
                })
                .collect(),
            network,
        }
    }

    /// The address of the `n`th webhook receiver.
    pub(super) fn hook(&self, n: u8) -> (Ipv4Addr, u16) {
        (at(self.network, 2 + n), PORT)
    }

    pub(super) fn mail_server(&self) -> (Ipv4Addr, u16) {
        (at(self.network, 1), MAIL_PORT)
    }

    /// The addresses of the servers of [`FLOODS`].
    pub(super) fn hostile(&self) -> Vec<(Ipv4Addr, u16)> {
        (0..)
            .zip(FLOODS)
            .map(|(n, _)| (at(self.network, 40 + n), PORT))
            .collect()
    }

    pub(super) fn port(&self) -> u16 {
        PORT
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), Fault> {
        let ((mail, mail_port), (json, _), (url, _)) = (self.mail_server(), self.hook(0), self.hook(1));
        let mut text = format!(
            "\
site:
  name: {SITE_NAME}
  check_every_n_secs: 1
  max_try_secs: 2
  notify_every_n_secs: 2
  after_every_n_notifications: 2
  # A clock step of an hour must not make a monitor unknown.
  unknown_after_secs: 1000000
  email_server: {{smtp_host: {mail}, smtp_port: {mail_port}, from_address: apmon@chaos.example, use_tls: no}}
  outage_emails:
    - {{email: ops@chaos.example, email_reminders: no}}
    - {{email: boss@chaos.example, email_recoveries: no}}
  outage_webhooks:
    - {{endpoint_url: \"http://{json}:{PORT}/json\", request_method: POST, request_encoding: JSON}}
    - {{endpoint_url: \"http://{url}:{PORT}/url?\", request_method: GET, request_encoding: URL}}
monitors:
"
        );
        for monitor in &self.monitors {
            let expect = if monitor.fails_by_content {
                ", expect: up"
            } else {
                ""
            };
            let email = if monitor.no_mail { ", email: no" } else { "" };
            let _ = writeln!(
                text,
                "  - {{type: tcp, name: {}, address: \"tcp://{}:{PORT}\", max_retries: {}{expect}{email}}}",
                monitor.name, monitor.address, monitor.checks
            );
        }
        // They are never up, and never announced.
        for (flood, (address, port)) in FLOODS.iter().zip(self.hostile()) {
            let _ = writeln!(
                text,
                "  - {{type: http, name: {}, address: \"http://{address}:{port}/\", expect: needle, \
                 max_retries: 1000000}}",
                flood.name
            );
        }
        workspace::write(path, &text)
    }
}

impl Channel {
    /// Whether the channel's switches let notifications of a kind through.
    pub(super) fn takes(&self, kind: NotificationKind) -> bool {
        match kind {
            NotificationKind::Outage => true,
            NotificationKind::Reminder(_) => self.reminders,
            NotificationKind::Recovery => self.recoveries,
        }
    }

    /// Whether the channel gets notifications about `monitor`.
    pub(super) fn covers(&self, monitor: &Monitor) -> bool {
        !(self.is_mail && monitor.no_mail)
    }
}

impl Monitor {
    /// How long a state must last while apmon runs to be noticed for certain. A
    /// process makes its first check within [`EVERY`]; a busy machine is slower.
    pub(super) fn certain_after(&self, is_up: bool) -> Duration {
        let checks = if is_up { 1 } else { self.checks };
        EVERY * checks + Duration::from_secs(2)
    }
}

fn at([a, b, c]: [u8; 3], d: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}
