//! The faults of a lab agent.

use std::{ops::Bound, time::Duration};

use apmon_snmp_client::{
    Oid, Value, Varbind,
    message::{ErrorStatus, Pdu, PduKind},
};

use super::{Device, is_seen, refusal, response};

/// The faults of an agent, by default none. Requests are counted from 1, beginning when the
/// behaviour is set.
#[derive(Clone, Debug, Default)]
pub struct Behaviour {
    /// The request from which on the agent is silent.
    pub silent_from: Option<usize>,
    /// The time until each answer.
    pub delay: Duration,
    /// Loses every nth request.
    pub loses_requests: Option<usize>,
    /// Loses every nth answer.
    pub loses_replies: Option<usize>,
    /// Sends each answer twice.
    pub doubles: bool,
    /// Holds each answer back until the next request.
    pub is_late: bool,
    /// Sends the first answer to every request.
    pub replays: bool,
    /// The datagrams sent before each answer.
    pub noise: Vec<Vec<u8>>,
    /// Answers from another port.
    pub other_port: bool,
    pub wrong_id: bool,
    pub wrong_community: bool,
    pub damage: Option<Damage>,

    /// The octets of the longest answer.
    pub octets: Option<usize>,
    /// Answers a GETBULK with tooBig instead of cutting the answer.
    pub never_cuts: bool,
    /// The number of varbinds above which an answer is too big.
    pub too_big_above: Option<usize>,
    /// The varbinds of the longest answer to any kind of request.
    pub varbinds: Option<usize>,
    /// The error status of answers to GETBULK.
    pub bulk: Option<ErrorStatus>,
    /// Answers noSuchName instead of v2c's endOfMibView.
    pub no_such_name: bool,
    /// Swaps the rows of each pair.
    pub swaps_rows: bool,
    /// Continues after the first OID as if after the second.
    pub loops: Option<(Oid, Oid)>,
    /// The root of a table that never ends.
    pub endless: Option<Oid>,
    /// Sends counters without octets.
    pub empty_counters: bool,

    /// SNMPv3: restarts before this request.
    pub restarts_at: Option<usize>,
    /// SNMPv3: restarts before each request.
    pub always_restarts: bool,
    pub wrong_engine: bool,
    pub unsigned: bool,
    pub unencrypted: bool,
    /// SNMPv3: rejects the engine ID that it announces.
    pub denies_engine: bool,
    /// SNMPv3: answers with the time of a day ago.
    pub old_time: bool,
    /// SNMPv3: answers with the right message ID but another request ID.
    pub other_request: bool,
}

/// Damage to the octets of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    Empty,
    CutShort,
    Noise,
    IndefiniteLength,
    LengthTooLarge,
    ManyTags,
}

impl Damage {
    pub const ALL: [Self; 6] = [
        Self::Empty,
        Self::CutShort,
        Self::Noise,
        Self::IndefiniteLength,
        Self::LengthTooLarge,
        Self::ManyTags,
    ];

    pub fn apply(self, octets: &mut Vec<u8>) {
        match self {
            Self::Empty => octets.clear(),
            Self::CutShort => octets.truncate(octets.len() - 3),
            Self::Noise => octets.iter_mut().enumerate().for_each(|(i, octet)| {
                *octet = u8::try_from(i * 37 % 251).unwrap();
            }),
            Self::IndefiniteLength => octets[1] = 0x80,
            Self::LengthTooLarge => octets.splice(1..2, [0x84, 0xff, 0xff, 0xff, 0xff]).for_each(drop),
            Self::ManyTags => octets.iter_mut().for_each(|octet| *octet = 0x30),
        }
    }
}

impl Behaviour {
    pub(super) fn respond(&self, device: &Device, request: &Pdu, is_v1: bool) -> Pdu {
        let says_no = is_v1 || self.no_such_name;
        if request.kind == PduKind::GetBulk
            && let Some(status) = self.bulk
        {
            return refusal(request, status, 1);
        }
        let mut answer = match request.kind {
            PduKind::Get => Vec::new(),
            PduKind::GetNext | PduKind::GetBulk => match self.rows(device, request, is_v1) {
                Ok(rows) => rows,
                Err(place) if says_no => return refusal(request, ErrorStatus::NO_SUCH_NAME, place + 1),
                Err(_) => unreachable!("only an agent that answers noSuchName names a place"),
            },
            _ => return refusal(request, ErrorStatus::GENERAL, 0),
        };
        if request.kind == PduKind::Get {
            for (place, Varbind { oid, .. }) in request.varbinds.iter().enumerate() {
                let value = device.table.get(oid).filter(|value| is_seen(value, is_v1));
                match value {
                    Some(value) => answer.push(Varbind::new(oid.clone(), self.shown(value))),
                    None if says_no => return refusal(request, ErrorStatus::NO_SUCH_NAME, place + 1),
                    None => answer.push(Varbind::new(oid.clone(), Value::NoSuchInstance)),
                }
            }
        }
        answer.truncate(self.varbinds.unwrap_or(usize::MAX));
        response(request, answer)
    }

    /// The rows that follow each OID, as many as were requested; or the position of an OID that
    /// nothing follows.
    fn rows(&self, device: &Device, request: &Pdu, is_v1: bool) -> Result<Vec<Varbind>, usize> {
        let repetitions = match request.kind {
            PduKind::GetBulk => request.error_index.clamp(0, 1_000),
            _ => 1,
        };
        let mut at: Vec<Oid> = request
            .varbinds
            .iter()
            .map(|varbind| varbind.oid.clone())
            .collect();
        let mut answer = Vec::new();
        for _ in 0..repetitions {
            for (place, oid) in at.iter_mut().enumerate() {
                match self.next(device, oid, is_v1) {
                    Some((next, value)) => {
                        answer.push(Varbind::new(next.clone(), self.shown(&value)));
                        *oid = next;
                    }
                    None if is_v1 || self.no_such_name => return Err(place),
                    None => answer.push(Varbind::new(oid.clone(), Value::EndOfMibView)),
                }
            }
        }
        Ok(answer)
    }

    fn next(&self, device: &Device, oid: &Oid, is_v1: bool) -> Option<(Oid, Value)> {
        if let Some(root) = &self.endless
            && oid.starts_with(root.parts())
        {
            let last = oid.below(root.parts()).map_or(0, |index| index[0]);
            return Some((Oid::join(root.parts(), &[last + 1]), Value::Integer(1)));
        }
        if let Some((from, to)) = &self.loops
            && oid == from
        {
            return self.next(device, to, is_v1);
        }
        let in_order = |oid: &Oid| {
            let mut after = device
                .table
                .range::<Oid, _>((Bound::Excluded(oid), Bound::Unbounded));
            let found = after.find(|(_, value)| is_seen(value, is_v1));
            found.map(|(oid, value)| (oid.clone(), value.clone()))
        };
        if !self.swaps_rows {
            return in_order(oid);
        }
        // Rows 2n and 2n+1, by their last sub-identifiers, change places.
        let swapped = |oid: &Oid| -> Option<Oid> {
            let mut parts = oid.parts().to_vec();
            *parts.last_mut()? ^= 1;
            let other = Oid::new(parts);
            device.table.contains_key(&other).then_some(other)
        };
        let place = match device.table.contains_key(oid) {
            true => swapped(oid).unwrap_or_else(|| oid.clone()),
            false => oid.clone(),
        };
        let (next, value) = in_order(&place)?;
        match swapped(&next) {
            Some(other) => Some((other.clone(), device.table[&other].clone())),
            None => Some((next, value)),
        }
    }

    fn shown(&self, value: &Value) -> Value {
        match value {
            Value::Counter32(_) if self.empty_counters => Value::Unreadable(0x41),
            Value::Counter64(_) if self.empty_counters => Value::Unreadable(0x46),
            value => value.clone(),
        }
    }
}
