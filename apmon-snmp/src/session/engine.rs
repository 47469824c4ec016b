//! SNMPv3: what must be known of an agent's engine before it can be asked.

use apmon_core::Secret;
use tokio::time::Instant;

use crate::{
    agent::Agent,
    credential::User,
    error::SnmpError,
    message::{Pdu, PduKind, Scoped, V3Message},
    oid::Oid,
    usm::{AuthKey, Keyring, PrivKey},
};

/// The longest answer we can take: what fits into a datagram.
const MAX_SIZE: i32 = 65_507;

/// RFC 3414, section 2.2.3.
const TIME_WINDOW: u32 = 150;

/// RFC 3414, section 5: the counters that a report names.
const USM_STATS: &[u32] = &[1, 3, 6, 1, 6, 3, 15, 1, 1];

/// RFC 3413, section 7 (snmpTargetMIB's snmpUnknownContexts is .5).
const UNKNOWN_CONTEXTS: &[u32] = &[1, 3, 6, 1, 6, 3, 12, 1, 5];

/// An engine as it was last heard of, and the user's keys on it.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    id: Vec<u8>,
    boots: u32,
    time: u32,
    /// When it had that time.
    heard: Instant,
    auth: Option<AuthKey>,
    privacy: Option<PrivKey>,
}

impl Engine {
    fn new(user: &User, keys: &Keyring, id: &[u8], boots: u32, time: u32) -> Self {
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
            heard: Instant::now(),
            auth,
            privacy: privacy.flatten(),
        }
    }

    /// Its user encrypts.
    pub(crate) fn encrypts(&self) -> bool {
        self.privacy.is_some()
    }

    fn now(&self) -> u32 {
        let since = self.heard.elapsed().as_secs();
        self.time.saturating_add(u32::try_from(since).unwrap_or(u32::MAX))
    }

    /// It said so itself, signed where the user signs.
    fn synchronised(&self, boots: u32, time: u32) -> Self {
        Self {
            boots,
            time,
            heard: Instant::now(),
            ..self.clone()
        }
    }

    /// RFC 3414, section 3.2.7b: as whoever asked sees it.
    fn is_in_time(&self, boots: u32, time: u32) -> bool {
        match boots.cmp(&self.boots) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Equal => time.saturating_add(TIME_WINDOW) >= self.now(),
        }
    }
}

/// How a message is secured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Level {
    /// As the user does.
    Full,
    /// Signed only: to tell a wrong privacy key from an agent that is gone.
    Signed,
}

/// What an incoming message means.
#[derive(Debug)]
pub(crate) enum Heard {
    /// The answer.
    Answer(Pdu),
    /// What was missing is known now: ask again. With what it is should that
    /// not help.
    AskAgain(SnmpError),
    /// Not for us, or not to be believed.
    Nothing,
}

/// A request of `user`, ready to be sent. Without an engine it is the one that
/// makes an agent say who it is (RFC 3414, section 4).
pub(crate) fn seal(user: &User, engine: Option<&Engine>, agent: &Agent, pdu: &Pdu, level: Level) -> Vec<u8> {
    let Some(engine) = engine else {
        let nothing = Pdu::request(PduKind::Get, pdu.request_id, []);
        let scoped = scoped(&[], "", nothing);
        return message(pdu.request_id, &scoped).encode(0).0;
    };
    let scoped = scoped(&engine.id, &user.context, pdu.clone());
    let (boots, time) = (engine.boots, engine.now());
    let privacy = engine.privacy.as_ref().filter(|_| level == Level::Full);
    let sealed = privacy.map(|key| key.encrypt(&scoped, boots, time, agent.next_salt()));
    let (data, salt) = match &sealed {
        Some((data, salt)) => (data.as_slice(), salt.as_slice()),
        None => (scoped.as_slice(), [].as_slice()),
    };
    let message = V3Message {
        is_signed: engine.auth.is_some(),
        is_encrypted: sealed.is_some(),
        engine_id: &engine.id,
        // An engine whose user does not sign need not be told its time.
        boots: if engine.auth.is_some() { boots } else { 0 },
        time: if engine.auth.is_some() { time } else { 0 },
        user: user.name.as_bytes(),
        salt,
        ..message(pdu.request_id, data)
    };
    let mac_len = engine.auth.as_ref().map_or(0, AuthKey::mac_len);
    let (mut octets, place) = message.encode(mac_len);
    if let Some(key) = &engine.auth {
        key.sign(&mut octets, place);
    }
    octets
}

fn scoped(engine_id: &[u8], context: &str, pdu: Pdu) -> Vec<u8> {
    let scoped = Scoped {
        engine_id: engine_id.to_vec(),
        context: context.as_bytes().to_vec(),
        pdu,
    };
    scoped.encode()
}

fn message(id: i32, data: &[u8]) -> V3Message<'_> {
    V3Message {
        id,
        max_size: MAX_SIZE,
        is_signed: false,
        is_encrypted: false,
        is_reportable: true,
        engine_id: &[],
        boots: 0,
        time: 0,
        user: &[],
        signature: 0..0,
        salt: &[],
        data,
    }
}

/// What `datagram` means for `user`, who asked at `level`. What is learned of
/// the engine is noted.
pub(crate) fn open(
    user: &User,
    agent: &Agent,
    datagram: &[u8],
    message: &V3Message<'_>,
    level: Level,
) -> Result<Heard, SnmpError> {
    let known = agent.notes().engine.clone();
    let is_ours = known
        .as_ref()
        .is_some_and(|engine| engine.id == message.engine_id);
    let is_genuine = is_genuine(user, known.as_deref(), datagram, message);
    if message.is_signed && !is_genuine {
        return Ok(Heard::Nothing);
    }
    let decrypted;
    let data = match (&known, message.is_encrypted) {
        (_, false) => message.data,
        (Some(engine), true) if is_genuine => {
            let key = engine.privacy.as_ref();
            let plain = key.and_then(|key| {
                key.decrypt(message.data, message.salt, message.boots, message.time)
                    .ok()
            });
            let Some(plain) = plain else {
                return Ok(Heard::Nothing);
            };
            decrypted = plain;
            &decrypted
        }
        _ => return Ok(Heard::Nothing),
    };
    let scoped = match Scoped::decode(data) {
        Ok(scoped) => scoped,
        // The agent could read us: it is we who cannot.
        Err(_) if message.is_encrypted => return Err(SnmpError::WrongPrivacyKey),
        Err(_) if user.auth.is_some() && !is_genuine => return Ok(Heard::Nothing),
        Err(malformed) => return Err(malformed.into()),
    };
    if scoped.pdu.kind == PduKind::Report {
        return report(user, agent, known.as_deref(), message, is_genuine, &scoped.pdu);
    }
    let Some(engine) = known.as_deref().filter(|_| is_ours) else {
        return Ok(Heard::Nothing);
    };
    let must_be_encrypted = engine.privacy.is_some() && level == Level::Full;
    if engine.auth.is_some() != is_genuine || must_be_encrypted != message.is_encrypted {
        return Ok(Heard::Nothing);
    }
    if is_genuine {
        if !engine.is_in_time(message.boots, message.time) {
            return Ok(Heard::Nothing);
        }
        if (message.boots, message.time) > (engine.boots, engine.time) {
            agent.notes().engine = Some(engine.synchronised(message.boots, message.time).into());
        }
    }
    match scoped.pdu.kind {
        PduKind::Response if scoped.pdu.request_id == message.id => Ok(Heard::Answer(scoped.pdu)),
        _ => Ok(Heard::Nothing),
    }
}

/// The user's key on the engine we know signed it.
fn is_genuine(user: &User, known: Option<&Engine>, datagram: &[u8], message: &V3Message<'_>) -> bool {
    let Some(engine) = known.filter(|engine| engine.id == message.engine_id) else {
        return false;
    };
    let signer = engine.auth.as_ref().filter(|_| message.is_signed);
    message.user == user.name.as_bytes()
        && signer.is_some_and(|key| key.verify(datagram, message.signature.clone()))
}

/// The agent answered, whatever, to a question that was only signed: with an
/// answer or, signed, with a report. Else it does not know the user, or its key.
pub(crate) fn is_answered(user: &User, agent: &Agent, datagram: &[u8], message: &V3Message<'_>) -> bool {
    let known = agent.notes().engine.clone();
    is_genuine(user, known.as_deref(), datagram, message)
        && known.is_some_and(|engine| engine.is_in_time(message.boots, message.time))
}

/// RFC 3414, section 3.2: what the agent found wrong.
fn report(
    user: &User,
    agent: &Agent,
    known: Option<&Engine>,
    message: &V3Message<'_>,
    is_genuine: bool,
    pdu: &Pdu,
) -> Result<Heard, SnmpError> {
    let Some(varbind) = pdu.varbinds.first() else {
        return Ok(Heard::Nothing);
    };
    match varbind.oid.below(USM_STATS) {
        // unknownEngineIDs, or another report to a request that names no engine:
        // both say who it is.
        Some(which) if which[0] == 4 || known.is_none() => {
            if message.engine_id.is_empty() || message.engine_id.len() > 32 {
                return Ok(Heard::Nothing);
            }
            if known.is_none_or(|engine| engine.id != message.engine_id) {
                let engine = Engine::new(user, agent.keys(), message.engine_id, message.boots, message.time);
                agent.notes().engine = Some(engine.into());
            }
            Ok(Heard::AskAgain(SnmpError::UnknownEngine))
        }
        // notInTimeWindows: to be believed only if it is signed.
        Some([2, ..]) if is_genuine => {
            let engine = known.map(|engine| engine.synchronised(message.boots, message.time));
            agent.notes().engine = engine.map(Into::into);
            Ok(Heard::AskAgain(SnmpError::TimeWindow))
        }
        Some([2, ..]) => Ok(Heard::Nothing),
        Some([1, ..]) => Err(SnmpError::Level { level: user.level() }),
        Some([3, ..]) => Err(SnmpError::UnknownUser),
        Some([5, ..]) => Err(SnmpError::WrongKey),
        Some([6, ..]) => Err(SnmpError::WrongPrivacyKey),
        // All others the agent can sign, and does.
        _ if !is_genuine && user.auth.is_some() => Ok(Heard::Nothing),
        _ if varbind.oid.starts_with(UNKNOWN_CONTEXTS) => Err(SnmpError::UnknownContext),
        _ => Err(SnmpError::Report(Oid::from(varbind.oid.parts()))),
    }
}

/// So often an agent may say that something is missing before it is believed
/// that it always will.
pub(crate) const PATIENCE: u32 = 3;

/// For the fuzz targets: the answer that a message holds.
pub(crate) fn heard(user: &User, agent: &Agent, datagram: &[u8], message: &V3Message<'_>) -> Option<Pdu> {
    match open(user, agent, datagram, message, Level::Full) {
        Ok(Heard::Answer(pdu)) => Some(pdu),
        _ => None,
    }
}
