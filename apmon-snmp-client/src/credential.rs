//! Who asks an agent: a community, or a user.

use crate::{
    secret::Secret,
    usm::{AuthProtocol, PrivProtocol},
};

/// The version of SNMP, and who asks.
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
    /// Its name.
    pub name: String,
    /// How it signs. Without it anybody may claim to be this user.
    pub auth: Option<(AuthProtocol, Secret)>,
    /// How it encrypts. A user who encrypts must sign.
    pub privacy: Option<(PrivProtocol, Secret)>,
    /// The context to ask in; mostly empty.
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
