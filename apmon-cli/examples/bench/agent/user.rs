//! The agent's side of SNMPv3 (RFC 3414, section 3.2), for one user with SHA-256 and
//! AES-128.

use std::net::SocketAddr;

use apmon_core::Stopwatch;
use apmon_snmp_client::{
    Oid, Value, Varbind,
    message::{Pdu, PduKind, Scoped, V3Message},
    usm::{AuthKey, AuthProtocol, PrivKey, PrivProtocol},
};

use super::{LONGEST, RequestCounts, Table, respond};

/// The passwords in the site files of the bench.
const AUTH_PASSWORD: &[u8] = b"the bench signs";
const PRIV_PASSWORD: &[u8] = b"the bench encrypts";

/// usmStatsUnknownEngineIDs, usmStatsNotInTimeWindows.
const UNKNOWN_ENGINE: u32 = 4;
const NOT_IN_TIME: u32 = 2;

const BOOTS: u32 = 7;
/// The engine time at the start: the agent pretends to have run for a day.
const DAY: u32 = 86_400;

/// The octets of a message besides its varbinds.
const HEAD: usize = 200;

/// The SNMPv3 engine of one agent.
pub(super) struct UserEngine {
    id: Vec<u8>,
    clock: Stopwatch,
    /// Derived when first needed.
    keys: Option<(AuthKey, PrivKey)>,
    salt: u64,
}

impl UserEngine {
    pub(super) fn at(address: std::io::Result<SocketAddr>) -> Self {
        let name = address.map_or_else(|_| "nowhere".to_owned(), |address| address.to_string());
        Self {
            // RFC 3411, snmpEngineID: format 4, text assigned by the administrator.
            id: [b"\x80\x00\x7e\xd9\x04", name.as_bytes()].concat(),
            clock: Stopwatch::start(),
            keys: None,
            salt: 1,
        }
    }

    fn time(&self) -> u32 {
        DAY + self.clock.elapsed().as_secs() as u32
    }

    pub(super) fn answer(
        &mut self,
        datagram: &[u8],
        message: &V3Message<'_>,
        table: &Table,
        counts: &RequestCounts,
    ) -> Option<Vec<u8>> {
        if message.engine_id != self.id {
            return Some(self.seal(message, &report(UNKNOWN_ENGINE), false, false));
        }
        let id = &self.id;
        let (auth, privacy) = self.keys.get_or_insert_with(|| {
            let auth = AuthProtocol::Sha256;
            (
                AuthKey::derive(auth, AUTH_PASSWORD, id),
                PrivKey::derive(PrivProtocol::Aes128, auth, PRIV_PASSWORD, id),
            )
        });
        if !auth.verify(datagram, message.signature.clone()) {
            return None;
        }
        if message.boots != BOOTS || message.time.abs_diff(DAY + self.clock.elapsed().as_secs() as u32) > 150
        {
            return Some(self.seal(message, &report(NOT_IN_TIME), true, false));
        }
        let plain = privacy
            .decrypt(message.data, message.salt, message.boots, message.time)
            .ok()?;
        let request = Scoped::decode(&plain).ok()?.pdu;
        let pdu = respond(&request, table, counts, LONGEST - HEAD);
        Some(self.seal(message, &pdu, true, true))
    }

    fn seal(&mut self, request: &V3Message<'_>, pdu: &Pdu, is_signed: bool, is_encrypted: bool) -> Vec<u8> {
        self.salt += 1;
        let time = self.time();
        let scoped = Scoped {
            engine_id: self.id.clone(),
            context: Vec::new(),
            pdu: pdu.clone(),
        };
        let scoped = scoped.encode();
        let keys = self.keys.as_ref().filter(|_| is_signed);
        let sealed = keys
            .filter(|_| is_encrypted)
            .map(|(_, key)| key.encrypt(&scoped, BOOTS, time, self.salt));
        let (data, salt) = match &sealed {
            Some((data, salt)) => (data.as_slice(), salt.as_slice()),
            None => (scoped.as_slice(), [].as_slice()),
        };
        let answer = V3Message {
            id: request.id,
            max_size: 65_507,
            is_signed: keys.is_some(),
            is_encrypted: sealed.is_some(),
            is_reportable: false,
            engine_id: &self.id,
            boots: BOOTS,
            time,
            user: request.user,
            signature: 0..0,
            salt,
            data,
        };
        let (mut octets, place) = answer.encode(keys.map_or(0, |(key, _)| key.mac_len()));
        if let Some((key, _)) = keys {
            key.sign(&mut octets, place);
        }
        octets
    }
}

fn report(counter: u32) -> Pdu {
    let oid = Oid::from([1, 3, 6, 1, 6, 3, 15, 1, 1, counter, 0]);
    Pdu {
        kind: PduKind::Report,
        request_id: 0,
        error_status: 0,
        error_index: 0,
        varbinds: vec![Varbind::new(oid, Value::Counter32(1))],
    }
}
