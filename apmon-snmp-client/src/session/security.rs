//! SNMPv3: signing and encrypting requests, checking answers and reports.

use crate::{
    agent::Agent,
    credential::User,
    engine::Engine,
    error::SnmpError,
    message::{Pdu, PduKind, Scoped, V3Message},
    oid::Oid,
    usm::AuthKey,
};

/// The longest answer that a session accepts, in octets: as much as fits into a datagram.
const MAX_SIZE: i32 = 65_507;

/// The subtree of the counters that reports name (RFC 3414, section 5).
const USM_STATS: &[u32] = &[1, 3, 6, 1, 6, 3, 15, 1, 1];

/// The counter of unknown contexts (RFC 3413, section 7: snmpUnknownContexts).
const UNKNOWN_CONTEXTS: &[u32] = &[1, 3, 6, 1, 6, 3, 12, 1, 5];

/// The security of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Level {
    /// Signed and encrypted as the user's credentials say.
    Full,
    /// Only signed, to distinguish a wrong privacy key from an agent that is gone.
    Signed,
}

/// The meaning of an incoming message.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// An answer to the request.
    Answer(Pdu),
    /// A report that supplied the missing engine or clock, so the request is sent again. The
    /// error is returned if that does not help.
    Resend(SnmpError),
    /// A message that is not for this session, or not to be trusted.
    Ignored,
}

/// Encodes a request of `user`. Without an engine, it encodes the request for engine
/// discovery (RFC 3414, section 4).
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
        // Only a signed message states the engine's clock.
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

/// Decodes and checks a datagram for `user`, whose request had this `level`. The state of
/// the engine in `agent` is updated.
pub(crate) fn open(
    user: &User,
    agent: &Agent,
    datagram: &[u8],
    message: &V3Message<'_>,
    level: Level,
) -> Result<Incoming, SnmpError> {
    let known = agent.notes().engine.clone();
    let is_ours = known
        .as_ref()
        .is_some_and(|engine| engine.id == message.engine_id);
    let is_genuine = is_genuine(user, known.as_deref(), datagram, message);
    if message.is_signed && !is_genuine {
        return Ok(Incoming::Ignored);
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
                return Ok(Incoming::Ignored);
            };
            decrypted = plain;
            &decrypted
        }
        _ => return Ok(Incoming::Ignored),
    };
    let scoped = match Scoped::decode(data) {
        Ok(scoped) => scoped,
        // The agent could decrypt the request; the answer cannot be decrypted here.
        Err(_) if message.is_encrypted => return Err(SnmpError::WrongPrivacyKey),
        Err(_) if user.auth.is_some() && !is_genuine => return Ok(Incoming::Ignored),
        Err(malformed) => return Err(malformed.into()),
    };
    if scoped.pdu.kind == PduKind::Report {
        return report(user, agent, known.as_deref(), message, is_genuine, &scoped.pdu);
    }
    let Some(engine) = known.as_deref().filter(|_| is_ours) else {
        return Ok(Incoming::Ignored);
    };
    let must_be_encrypted = engine.privacy.is_some() && level == Level::Full;
    if engine.auth.is_some() != is_genuine || must_be_encrypted != message.is_encrypted {
        return Ok(Incoming::Ignored);
    }
    if is_genuine {
        if !engine.is_in_time(message.boots, message.time) {
            return Ok(Incoming::Ignored);
        }
        if (message.boots, message.time) > (engine.boots, engine.time) {
            agent.notes().engine = Some(engine.synchronised(message.boots, message.time).into());
        }
    }
    match scoped.pdu.kind {
        PduKind::Response if scoped.pdu.request_id == message.id => Ok(Incoming::Answer(scoped.pdu)),
        _ => Ok(Incoming::Ignored),
    }
}

/// Whether the message is signed with the user's key on the known engine.
fn is_genuine(user: &User, known: Option<&Engine>, datagram: &[u8], message: &V3Message<'_>) -> bool {
    let Some(engine) = known.filter(|engine| engine.id == message.engine_id) else {
        return false;
    };
    let signer = engine.auth.as_ref().filter(|_| message.is_signed);
    message.user == user.name.as_bytes()
        && signer.is_some_and(|key| key.verify(datagram, message.signature.clone()))
}

/// Whether `datagram` is a signed answer or report to a request that was only signed. An
/// agent that does not know the user or the key cannot sign one.
pub(crate) fn is_signed_answer(user: &User, agent: &Agent, datagram: &[u8], message: &V3Message<'_>) -> bool {
    let known = agent.notes().engine.clone();
    is_genuine(user, known.as_deref(), datagram, message)
        && known.is_some_and(|engine| engine.is_in_time(message.boots, message.time))
}

/// Handles a report, in which the agent says what was wrong (RFC 3414, section 3.2).
fn report(
    user: &User,
    agent: &Agent,
    known: Option<&Engine>,
    message: &V3Message<'_>,
    is_genuine: bool,
    pdu: &Pdu,
) -> Result<Incoming, SnmpError> {
    let Some(varbind) = pdu.varbinds.first() else {
        return Ok(Incoming::Ignored);
    };
    match varbind.oid.below(USM_STATS) {
        // unknownEngineIDs, or any report on a request without an engine: both contain the
        // engine ID.
        Some(which) if which[0] == 4 || known.is_none() => {
            if message.engine_id.is_empty() || message.engine_id.len() > 32 {
                return Ok(Incoming::Ignored);
            }
            if known.is_none_or(|engine| engine.id != message.engine_id) {
                let engine = Engine::new(user, agent.keys(), message.engine_id, message.boots, message.time);
                agent.notes().engine = Some(engine.into());
            }
            Ok(Incoming::Resend(SnmpError::UnknownEngine))
        }
        // notInTimeWindows: trusted only if it is signed.
        Some([2, ..]) if is_genuine => {
            let engine = known.map(|engine| engine.synchronised(message.boots, message.time));
            agent.notes().engine = engine.map(Into::into);
            Ok(Incoming::Resend(SnmpError::TimeWindow))
        }
        Some([2, ..]) => Ok(Incoming::Ignored),
        Some([1, ..]) => Err(SnmpError::Level { level: user.level() }),
        Some([3, ..]) => Err(SnmpError::UnknownUser),
        Some([5, ..]) => Err(SnmpError::WrongKey),
        Some([6, ..]) => Err(SnmpError::WrongPrivacyKey),
        // All other reports are signed.
        _ if !is_genuine && user.auth.is_some() => Ok(Incoming::Ignored),
        _ if varbind.oid.starts_with(UNKNOWN_CONTEXTS) => Err(SnmpError::UnknownContext),
        _ => Err(SnmpError::Report(Oid::from(varbind.oid.parts()))),
    }
}

/// Returns the answer in a message, for the fuzz targets.
pub(crate) fn answer(user: &User, agent: &Agent, datagram: &[u8], message: &V3Message<'_>) -> Option<Pdu> {
    match open(user, agent, datagram, message, Level::Full) {
        Ok(Incoming::Answer(pdu)) => Some(pdu),
        _ => None,
    }
}
