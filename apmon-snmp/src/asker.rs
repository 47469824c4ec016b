//! How a kind asks its device: finds it, opens a session, and says why that
//! failed.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use apmon_core::{Check, Failure, FailureClass, Names, OwnNetwork, Services};
use tokio::time::Instant;

use crate::{agent::Agents, credential::Credentials, error::SnmpError, session::Session, target::Target};

/// Asks one device.
pub(crate) struct Asker {
    target: Target,
    names: Arc<dyn Names>,
    network: Arc<dyn OwnNetwork>,
    agents: Arc<Agents>,
}

impl Asker {
    pub(crate) fn new(target: Target, services: &Services) -> Self {
        Self {
            target,
            names: services.names(),
            network: services.network(),
            agents: services.shared(),
        }
    }

    /// Where it is asked, as the site file has it.
    pub(crate) fn whom(&self) -> String {
        format!("{}:{}", self.target.remote.host, self.target.port)
    }

    /// Where names of stations are known.
    pub(crate) fn names(&self) -> &dyn Names {
        &*self.names
    }

    /// A session with the device, good until the look's deadline.
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
            Err(error) => Err(self.failure(check, to.ip(), &error)),
        }
    }

    /// Another session with the same device, by another community: Cisco keeps
    /// the stations of each VLAN behind `community@vlan`.
    pub(crate) async fn vlan_session(&self, to: IpAddr, vlan: u32, deadline: Instant) -> Option<Session> {
        let suffixed = |community: &apmon_core::Secret| {
            apmon_core::Secret::new(format!("{}@{vlan}", community.reveal()))
        };
        let credentials = match &*self.target.credentials {
            Credentials::V1(community) => Credentials::V1(suffixed(community)),
            Credentials::V2c(community) => Credentials::V2c(suffixed(community)),
            // RFC 3411: a context instead.
            Credentials::V3(user) => Credentials::V3(crate::credential::User {
                context: format!("vlan-{vlan}"),
                ..user.clone()
            }),
        };
        let to = SocketAddr::new(to, self.target.port);
        let agent = self.agents.at(to, &self.target.credentials);
        let session = Session::open(to, Arc::new(credentials), agent, deadline).await;
        session.ok().map(Session::into_guest)
    }

    /// Why a look at the device failed: its fault, or our own network's.
    pub(crate) fn failure(&self, check: &Check, to: IpAddr, error: &SnmpError) -> Failure {
        let class = match error {
            SnmpError::NoAnswer { asked } => {
                let failure = check.expired(|timeout| format!("snmp: no answer within {timeout} ({asked})"));
                return self.network.blame(to, failure);
            }
            SnmpError::Io { step, source } => return self.network.failure(step, to, source),
            SnmpError::Refused => FailureClass::Refused,
            SnmpError::Restarted => FailureClass::Closed,
            SnmpError::Malformed(_) => FailureClass::Protocol,
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
        };
        Failure::new(class, format!("snmp: {error}"))
    }
}
