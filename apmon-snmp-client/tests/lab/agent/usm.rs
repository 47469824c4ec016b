//! The agent's side of SNMPv3 (RFC 3414, section 3.2).

use apmon_snmp_client::{
    Oid, User, Value, Varbind,
    message::{Pdu, PduKind, Scoped, V3Message},
    usm::{AuthKey, PrivKey},
};
use tokio::time::Instant;

use super::State;

/// The counters of usmStats that reports name.
const UNSUPPORTED_LEVEL: u32 = 1;
const NOT_IN_TIME: u32 = 2;
const UNKNOWN_USER: u32 = 3;
const UNKNOWN_ENGINE: u32 = 4;
const WRONG_DIGEST: u32 = 5;
const UNDECIPHERABLE: u32 = 6;

/// The time window (RFC 3414, section 2.2.3).
const TIME_WINDOW: u32 = 150;

/// The agent's engine and its users.
pub struct Engine {
    id: Vec<u8>,
    boots: u32,
    clock: Instant,
    users: Vec<(User, Keys)>,
    salt: u64,
}

#[derive(Clone)]
struct Keys {
    auth: Option<AuthKey>,
    privacy: Option<PrivKey>,
}

impl Keys {
    fn of(user: &User, id: &[u8]) -> Self {
        let auth = user.auth.as_ref();
        let privacy = auth.zip(user.privacy.as_ref());
        Self {
            auth: auth.map(|(protocol, word)| AuthKey::derive(*protocol, word.reveal().as_bytes(), id)),
            privacy: privacy.map(|((auth, _), (protocol, word))| {
                PrivKey::derive(*protocol, *auth, word.reveal().as_bytes(), id)
            }),
        }
    }
}

impl Engine {
    pub fn new(id: &[u8]) -> Self {
        Self {
            id: id.to_vec(),
            boots: 7,
            clock: Instant::now(),
            users: Vec::new(),
            salt: 1,
        }
    }

    pub fn admit(&mut self, user: User) {
        let keys = Keys::of(&user, &self.id);
        self.users.push((user, keys));
    }

    /// Restarts the engine, which increases its boots.
    pub fn restart(&mut self) {
        self.boots += 1;
        self.clock = Instant::now();
    }

    /// Replaces the engine by that of another device with the same users.
    pub fn replace(&mut self, id: &[u8]) {
        self.id = id.to_vec();
        self.boots = 1;
        self.clock = Instant::now();
        for (user, keys) in &mut self.users {
            *keys = Keys::of(user, id);
        }
    }

    fn time(&self) -> u32 {
        // As if the engine had been running for a day.
        86_400 + u32::try_from(self.clock.elapsed().as_secs()).unwrap()
    }
}

/// The security of an answer.
#[derive(Clone, Default)]
struct Seal {
    user: Vec<u8>,
    auth: Option<AuthKey>,
    privacy: Option<PrivKey>,
}

impl State {
    pub(super) fn by_user(&mut self, datagram: &[u8], message: &V3Message<'_>) -> Option<Vec<u8>> {
        if self.behaviour.always_restarts {
            self.engine.restart();
        }
        let bare = Seal {
            user: message.user.to_vec(),
            ..Seal::default()
        };
        if message.engine_id != self.engine.id || self.behaviour.denies_engine {
            return self.report(message, UNKNOWN_ENGINE, &bare);
        }
        let mut users = self.engine.users.iter();
        let known = users.find(|(user, _)| user.name.as_bytes() == message.user);
        let Some((user, keys)) = known.map(|(user, keys)| (user.clone(), keys.clone())) else {
            return self.report(message, UNKNOWN_USER, &bare);
        };
        let lacks =
            (message.is_signed && keys.auth.is_none()) || (message.is_encrypted && keys.privacy.is_none());
        if lacks || message.is_signed != keys.auth.is_some() {
            return self.report(message, UNSUPPORTED_LEVEL, &bare);
        }
        if let Some(key) = &keys.auth {
            if !key.verify(datagram, message.signature.clone()) {
                return self.report(message, WRONG_DIGEST, &bare);
            }
            let is_old = message.time.abs_diff(self.engine.time()) > TIME_WINDOW;
            if message.boots != self.engine.boots || is_old {
                let signed = Seal {
                    auth: keys.auth.clone(),
                    ..bare
                };
                return self.report(message, NOT_IN_TIME, &signed);
            }
        }
        let plain = match (&keys.privacy, message.is_encrypted) {
            (Some(key), true) => key
                .decrypt(message.data, message.salt, message.boots, message.time)
                .ok()?,
            _ => message.data.to_vec(),
        };
        let seal = Seal {
            user: message.user.to_vec(),
            auth: keys.auth.filter(|_| !self.behaviour.unsigned),
            privacy: keys
                .privacy
                .filter(|_| message.is_encrypted && !self.behaviour.unencrypted && !self.behaviour.unsigned),
        };
        let Ok(scoped) = Scoped::decode(&plain) else {
            return self.report(message, UNDECIPHERABLE, &bare);
        };
        if scoped.context != user.context.as_bytes() {
            let unknown_contexts = Oid::from([1, 3, 6, 1, 6, 3, 12, 1, 5, 0]);
            return self.report_of(message, unknown_contexts, &seal);
        }
        let longest = usize::try_from(message.max_size)
            .unwrap()
            .min(self.behaviour.octets.unwrap_or(super::LONGEST));
        let overhead = 150;
        let mut pdu = self.respond(&scoped.pdu, false, |pdu| {
            let scoped = Scoped {
                engine_id: Vec::new(),
                context: Vec::new(),
                pdu: pdu.clone(),
            };
            scoped.encode().len() + overhead <= longest
        });
        if self.behaviour.other_request {
            pdu.request_id += 1;
        }
        Some(self.seal(message, pdu, &seal))
    }

    fn report(&mut self, message: &V3Message<'_>, counter: u32, seal: &Seal) -> Option<Vec<u8>> {
        self.report_of(message, Oid::from([1, 3, 6, 1, 6, 3, 15, 1, 1, counter, 0]), seal)
    }

    fn report_of(&mut self, message: &V3Message<'_>, oid: Oid, seal: &Seal) -> Option<Vec<u8>> {
        self.asked.push(PduKind::Report);
        let report = Pdu {
            kind: PduKind::Report,
            request_id: 0,
            error_status: 0,
            error_index: 0,
            varbinds: vec![Varbind::new(oid, Value::Counter32(1))],
        };
        message.is_reportable.then(|| self.seal(message, report, seal))
    }

    fn seal(&mut self, request: &V3Message<'_>, pdu: Pdu, seal: &Seal) -> Vec<u8> {
        let engine = &mut self.engine;
        engine.salt += 1;
        let id = match self.behaviour.wrong_engine {
            true => b"\x80\x00\x1f\x88\x80another".to_vec(),
            false => engine.id.clone(),
        };
        let (boots, mut time) = (engine.boots, engine.time());
        if self.behaviour.old_time {
            time -= 86_000;
        }
        let scoped = Scoped {
            engine_id: id.clone(),
            context: Vec::new(),
            pdu,
        }
        .encode();
        let sealed = seal
            .privacy
            .as_ref()
            .map(|key| key.encrypt(&scoped, boots, time, engine.salt));
        let (data, salt) = match &sealed {
            Some((data, salt)) => (data.as_slice(), salt.as_slice()),
            None => (scoped.as_slice(), [].as_slice()),
        };
        let answer = V3Message {
            id: request.id,
            max_size: 65_507,
            is_signed: seal.auth.is_some(),
            is_encrypted: sealed.is_some(),
            is_reportable: false,
            engine_id: &id,
            boots,
            time,
            user: &seal.user,
            signature: 0..0,
            salt,
            data,
        };
        let (mut octets, place) = answer.encode(seal.auth.as_ref().map_or(0, AuthKey::mac_len));
        if let Some(key) = &seal.auth {
            key.sign(&mut octets, place);
        }
        octets
    }
}
