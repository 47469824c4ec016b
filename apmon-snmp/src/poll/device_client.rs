//! A client of one device: name resolution, sessions, and failures with their class.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use apmon_core::{Check, Failure, FailureClass, Names, OwnNetwork, Services};
use apmon_snmp_client::{Agents, Credentials, Secret, Session, SnmpError, User};
use tokio::time::Instant;

use super::error::PollError;
use crate::target::Target;

/// The client with which a monitor reaches its device.
pub(crate) struct DeviceClient {
    target: Target,
    names: Arc<dyn Names>,
    network: Arc<dyn OwnNetwork>,
    agents: Arc<Agents>,
}

impl DeviceClient {
    pub(crate) fn new(target: Target, services: &Services) -> Self {
        Self {
            target,
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

    /// Opens a session with the device that lasts until the check's deadline.
    pub(crate) async fn session(&self, check: &Check) -> Result<(Session, IpAddr), Failure> {
        let target = &self.target;
        let to = target
            .remote
            .socket_address(check, &*self.names, target.port)
            .await?;
        let agent = self.agents.at(to, &target.credentials);
        let session = Session::open(to, Arc::clone(&target.credentials), agent, check.deadline());
        match session.await {
            Ok(session) => Ok((session, to.ip())),
            Err(error) => Err(self.failure(check, to.ip(), &error.into())),
        }
    }

    /// Opens a session for the tables of one VLAN, which Cisco devices show only to the
    /// community `community@vlan`.
    pub(crate) async fn vlan_session(&self, to: IpAddr, vlan: u32, deadline: Instant) -> Option<Session> {
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
        let to = SocketAddr::new(to, self.target.port);
        let agent = self.agents.at(to, &self.target.credentials);
        let session = Session::open(to, Arc::new(credentials), agent, deadline).await;
        let mut session = session.ok()?;
        session.keep_engine_on_timeout();
        Some(session)
    }

    /// The failure of a check, attributed to the device or to this machine's network.
    pub(crate) fn failure(&self, check: &Check, to: IpAddr, error: &PollError) -> Failure {
        let class = match error {
            PollError::Restarted => FailureClass::Closed,
            PollError::Snmp(error) => match error {
                SnmpError::NoAnswer { request } => {
                    let failure =
                        check.expired(|timeout| format!("snmp: no answer within {timeout} ({request})"));
                    return self.network.blame(to, failure);
                }
                SnmpError::Io { step, source } => return self.network.failure(step, to, source),
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
