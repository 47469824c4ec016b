//! The credentials for an agent: a community, or a user.

use crate::{
    secret::Secret,
    usm::{AuthProtocol, PrivProtocol},
};

/// The version of SNMP, and the community or user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Credentials {
    /// SNMPv1, with a community: a password sent in clear text.
    V1(Secret),
    /// SNMPv2c, with a community: a password sent in clear text.
    V2c(Secret),
    /// SNMPv3, with a user.
    V3(User),
}

/// A user of SNMPv3's user-based security model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// The user name.
    pub name: String,
    /// The protocol and password for signing. Without them, anyone can claim to be this user.
    pub auth: Option<(AuthProtocol, Secret)>,
    /// The protocol and password for encryption. They require `auth`.
    pub privacy: Option<(PrivProtocol, Secret)>,
    /// The context of requests, which is usually empty.
    pub context: String,
}

impl User {
    /// The security level, as errors name it.
    pub(crate) fn level(&self) -> &'static str {
        match (&self.auth, &self.privacy) {
            (None, _) => "without signing (noAuthNoPriv)",
            (_, None) => "without encryption (authNoPriv)",
            _ => "with encryption (authPriv)",
        }
    }
}
