//! An agent's SNMPv3 engine: its clock, and a user's keys on it.

use std::cmp::Ordering;

use tokio::time::Instant;

use crate::{
    credential::User,
    secret::Secret,
    usm::{AuthKey, Keyring, PrivKey},
};

/// RFC 3414, section 2.2.3: a message older than this is a replay, seconds.
const TIME_WINDOW: u32 = 150;

/// The last known state of an engine, and one user's keys on it.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    pub(crate) id: Vec<u8>,
    /// How often it was started.
    pub(crate) boots: u32,
    /// Seconds since it was last started, at `synchronised_at`.
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

    /// Whether its user encrypts.
    pub(crate) fn encrypts(&self) -> bool {
        self.privacy.is_some()
    }

    /// Its time now, by our clock.
    pub(crate) fn now(&self) -> u32 {
        let since = self.synchronised_at.elapsed().as_secs();
        self.time.saturating_add(u32::try_from(since).unwrap_or(u32::MAX))
    }

    /// The same engine with the clock it states itself, in a message that is
    /// signed if the user signs.
    pub(crate) fn synchronised(&self, boots: u32, time: u32) -> Self {
        Self {
            boots,
            time,
            synchronised_at: Instant::now(),
            ..self.clone()
        }
    }

    /// Whether a message of that clock is fresh (RFC 3414, section 3.2.7b: the
    /// check on the side that is not authoritative).
    pub(crate) fn is_in_time(&self, boots: u32, time: u32) -> bool {
        match boots.cmp(&self.boots) {
            Ordering::Less => false,
            Ordering::Greater => true,
            Ordering::Equal => time.saturating_add(TIME_WINDOW) >= self.now(),
        }
    }
}
