//! A client of one device: name resolution, sessions, and failures with their class.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use apmon_core::{
    Attempts, Check, Failure, FailureClass, Names, Outcome, OwnNetwork, ProbeTarget, Reach, Services,
    Stopwatch, Warning, config::Addresses,
};
use apmon_snmp_client::{Agents, Credentials, Oid, Secret, Session, SnmpError, User};
use futures_util::future::join_all;
use tokio::time::Instant;

use super::error::PollError;
use crate::{mib, target::Target};

/// The client with which a monitor reaches its device.
pub(crate) struct DeviceClient {
    target: Target,
    reach: Reach,
    names: Arc<dyn Names>,
    network: Arc<dyn OwnNetwork>,
    agents: Arc<Agents>,
}

/// A session with a device, at the address that answers.
pub(crate) struct OpenDevice<'c> {
    pub(crate) session: Session,
    pub(crate) to: IpAddr,
    /// The check, at that address.
    pub(crate) check: Check,
    attempts: Attempts<'c>,
}

impl OpenDevice<'_> {
    /// Completes the outcome of the check: its reason names the address of a device with a name,
    /// and notes name the addresses that were tried before.
    pub(crate) fn finish(&mut self, outcome: &mut Outcome) {
        if let Some(failure) = outcome.failure() {
            self.conclude(failure);
        }
        self.attempts.finish(&self.check, outcome);
    }

    /// The failure of a poll. It names the address, and those that were tried before.
    pub(crate) fn failure(&mut self, failure: Failure) -> Failure {
        self.conclude(&failure);
        self.attempts.failure(&self.check, failure)
    }

    /// A note for each address that was tried in vain.
    pub(crate) fn notes(&self) -> impl Iterator<Item = Warning> {
        self.attempts.notes()
    }

    /// Adds the failure to those of the addresses, if nothing was answered at this one: nothing
    /// was requested of the last one before the poll.
    fn conclude(&mut self, failure: &Failure) {
        if self.session.stats().round_trips > 0 {
            self.check.reached();
        }
        self.attempts.goes_on(&self.check, failure);
    }
}

impl DeviceClient {
    pub(crate) fn new(target: Target, reach: Reach, services: &Services) -> Self {
        Self {
            target,
            reach,
            names: services.names(),
            network: services.network(),
            agents: services.shared(),
        }
    }

    /// The agent's host and port as in the site file: `switch.lan:161`.
    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.target.remote.host, self.target.port)
    }

    /// The resolver for the names of stations.
    pub(crate) fn names(&self) -> &dyn Names {
        &*self.names
    }

    /// Opens a session with the device that lasts until the check's deadline, at the first of its
    /// addresses that answers.
    pub(crate) async fn open<'c>(&self, check: &'c Check) -> Result<OpenDevice<'c>, Failure> {
        let target = ProbeTarget {
            remote: &self.target.remote,
            names: &*self.names,
            network: &*self.network,
        };
        let mut attempts = Attempts::of(target, self.reach, check).await?;
        if self.reach.addresses == Addresses::All && attempts.are_several() {
            return self.open_if_all_answer(attempts).await;
        }
        while let Some(check) = attempts.next_check() {
            let Some(to) = check.address() else { break };
            let session = match attempts.is_last() {
                // The poll itself shows whether it answers.
                true => self.session(&check, to).await,
                false => self.answered_session(&check, to).await,
            };
            match session {
                Ok(session) => {
                    return Ok(OpenDevice {
                        session,
                        to,
                        check,
                        attempts,
                    });
                }
                Err(failure) if attempts.goes_on(&check, &failure) => {}
                Err(failure) => return Err(attempts.failure(&check, failure)),
            }
        }
        Err(attempts.all_failed())
    }

    /// Opens a session at one of the addresses if all of them answer.
    async fn open_if_all_answer<'c>(&self, mut attempts: Attempts<'c>) -> Result<OpenDevice<'c>, Failure> {
        let stopwatch = Stopwatch::start();
        let checks = attempts.all();
        let at_each = checks.iter().map(async |check| {
            let to = check.address()?;
            Some((to, self.answered_session(check, to).await))
        });
        let sessions = join_all(at_each).await;
        let (mut outcomes, mut open) = (Vec::new(), None);
        for (check, answered) in checks.into_iter().zip(sessions) {
            let Some((to, answered)) = answered else { continue };
            let outcome = match answered {
                Ok(session) => {
                    open.get_or_insert((session, to, check));
                    Outcome::up(stopwatch.elapsed())
                }
                Err(failure) => failure.into(),
            };
            outcomes.push((to, outcome));
        }
        match (open, Attempts::together(outcomes).failure()) {
            (Some((session, to, check)), None) => Ok(OpenDevice {
                session,
                to,
                check,
                attempts,
            }),
            (_, Some(failure)) => Err(failure.clone()),
            (None, None) => Err(attempts.all_failed()),
        }
    }

    async fn session(&self, check: &Check, to: IpAddr) -> Result<Session, Failure> {
        let at = SocketAddr::new(to, self.target.port);
        let credentials = Arc::clone(&self.target.credentials);
        let agent = self.agents.at(at, &credentials);
        Session::open_from(check.source(to), at, credentials, agent, check.deadline())
            .await
            .map_err(|error| self.failure(check, to, &error.into()))
    }

    /// A session with an agent that has answered a request.
    async fn answered_session(&self, check: &Check, to: IpAddr) -> Result<Session, Failure> {
        let mut session = self.session(check, to).await?;
        match session.get(&[Oid::join(mib::SYS_UP_TIME, &[0])]).await {
            Ok(_) => {
                check.reached();
                session.set_deadline(check.deadline());
                Ok(session)
            }
            Err(error @ (SnmpError::NoAnswer { .. } | SnmpError::Refused | SnmpError::Io { .. })) => {
                Err(self.failure(check, to, &error.into()))
            }
            // This is an answer too. The poll gets it once more, and reports it.
            Err(_) => {
                check.reached();
                self.session(check, to).await
            }
        }
    }

    /// Opens a session for the tables of one VLAN, which Cisco devices show only to the
    /// community `community@vlan`.
    pub(crate) async fn vlan_session(
        &self,
        check: &Check,
        to: IpAddr,
        vlan: u32,
        deadline: Instant,
    ) -> Option<Session> {
        let suffixed = |community: &Secret| Secret::new(format!("{}@{vlan}", community.reveal()));
        let credentials = match &*self.target.credentials {
            Credentials::V1(community) => Credentials::V1(suffixed(community)),
            Credentials::V2c(community) => Credentials::V2c(suffixed(community)),
            // RFC 3411: SNMPv3 uses a context instead.
            Credentials::V3(user) => Credentials::V3(User {
                context: format!("vlan-{vlan}"),
                ..user.clone()
            }),
        };
        let at = SocketAddr::new(to, self.target.port);
        let agent = self.agents.at(at, &self.target.credentials);
        let session = Session::open_from(check.source(to), at, Arc::new(credentials), agent, deadline).await;
        let mut session = session.ok()?;
        session.keep_engine_on_timeout();
        Some(session)
    }

    /// The failure of a check, attributed to the device or to this machine's network.
    pub(crate) fn failure(&self, check: &Check, to: IpAddr, error: &PollError) -> Failure {
        let network = check.network(&*self.network, to);
        let class = match error {
            PollError::Restarted => FailureClass::Closed,
            PollError::Snmp(error) => match error {
                SnmpError::NoAnswer { request } => {
                    let failure =
                        check.expired(|timeout| format!("snmp: no answer within {timeout} ({request})"));
                    return network.blame(to, failure);
                }
                SnmpError::Io { step, source } => return network.failure(step, to, source),
                SnmpError::Refused => FailureClass::Refused,
                SnmpError::Status { .. } => FailureClass::Status,
                SnmpError::NoAnswerEncrypted
                | SnmpError::UnknownUser
                | SnmpError::WrongKey
                | SnmpError::WrongPrivacyKey
                | SnmpError::TimeWindow
                | SnmpError::UnknownEngine
                | SnmpError::ClearText
                | SnmpError::Level { .. }
                | SnmpError::UnknownContext
                | SnmpError::Report(_) => FailureClass::Denied,
                _ => FailureClass::Protocol,
            },
        };
        Failure::new(class, format!("snmp: {error}"))
    }
}
