//! An agent's SNMPv3 engine: its clock, and a user's keys for it.

use std::cmp::Ordering;

use tokio::time::Instant;

use crate::{
    credential::User,
    secret::Secret,
    usm::{AuthKey, Keyring, PrivKey},
};

/// The age, in seconds, beyond which a message counts as a replay (RFC 3414, section
/// 2.2.3).
const TIME_WINDOW: u32 = 150;

/// The last known state of an engine, and one user's keys for it.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    pub(crate) id: Vec<u8>,
    /// The number of times that the engine was started.
    pub(crate) boots: u32,
    /// The seconds since it was last started, as of `synchronised_at`.
    pub(crate) time: u32,
    synchronised_at: Instant,
    pub(crate) auth: Option<AuthKey>,
    pub(crate) privacy: Option<PrivKey>,
}

impl Engine {
    pub(crate) fn new(user: &User, keys: &Keyring, id: &[u8], boots: u32, time: u32) -> Self {
        let derived = user.auth.as_ref().map(|(protocol, password)| {
            let master = |password: &Secret| keys.key(*protocol, password.reveal().as_bytes());
            let privacy = user.privacy.as_ref();
            let privacy = privacy.map(|(cipher, secret)| PrivKey::localize(*cipher, &master(secret), id));
            (AuthKey::localize(&master(password), id), privacy)
        });
        let (auth, privacy) = derived.unzip();
        Self {
            id: id.to_vec(),
            boots,
            time,
            synchronised_at: Instant::now(),
            auth,
            privacy: privacy.flatten(),
        }
    }

    /// Whether the user encrypts.
    pub(crate) fn encrypts(&self) -> bool {
        self.privacy.is_some()
    }

    /// The engine's current time, by this machine's clock.
    pub(crate) fn now(&self) -> u32 {
        let since = self.synchronised_at.elapsed().as_secs();
        self.time.saturating_add(u32::try_from(since).unwrap_or(u32::MAX))
    }

    /// The same engine, synchronised with the clock that it states in a message. The message
    /// must be signed if the user signs.
    pub(crate) fn synchronised(&self, boots: u32, time: u32) -> Self {
        Self {
            boots,
            time,
            synchronised_at: Instant::now(),
            ..self.clone()
        }
    }

    /// Whether a message with these clock values is fresh (RFC 3414, section 3.2.7b: the check
    /// on the non-authoritative side).
    pub(crate) fn is_in_time(&self, boots: u32, time: u32) -> bool {
        match boots.cmp(&self.boots) {
            Ordering::Less => false,
            Ordering::Greater => true,
            Ordering::Equal => time.saturating_add(TIME_WINDOW) >= self.now(),
        }
    }
}
