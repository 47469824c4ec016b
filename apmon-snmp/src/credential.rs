//! How an agent is asked: a community, or a user.

use apmon_core::Secret;

use crate::usm::{AuthProtocol, PrivProtocol};

/// How an agent is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Credentials {
    /// SNMPv1: a password that goes over the wire as it is.
    V1(Secret),
    /// SNMPv2c: likewise.
    V2c(Secret),
    /// SNMPv3.
    V3(User),
}

/// A user of SNMPv3's user-based security model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// Its name.
    pub name: String,
    /// How it signs; without it anybody may say that they are this user.
    pub auth: Option<(AuthProtocol, Secret)>,
    /// How it encrypts; only a user who signs can.
    pub privacy: Option<(PrivProtocol, Secret)>,
    /// The context asked; mostly empty.
    pub context: String,
}

impl User {
    /// What it may not do, in an agent's eyes.
    pub(crate) fn level(&self) -> &'static str {
        match (&self.auth, &self.privacy) {
            (None, _) => "without signing (noAuthNoPriv)",
            (_, None) => "without encryption (authNoPriv)",
            _ => "with encryption (authPriv)",
        }
    }
}
