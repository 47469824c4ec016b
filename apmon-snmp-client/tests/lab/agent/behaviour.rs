//! How an agent behaves, other than it should.

use std::{ops::Bound, time::Duration};

use apmon_snmp_client::{
    Oid, Value, Varbind,
    message::{ErrorStatus, Pdu, PduKind},
};

use super::{Device, is_seen, refusal, response};

/// What is wrong with an agent; by default nothing. Requests are counted from
/// 1, from when the mood was set.
#[derive(Clone, Debug, Default)]
pub struct Behaviour {
    /// From this request on it is dead.
    pub silent_from: Option<usize>,
    /// It is slow.
    pub delay: Duration,
    /// Every so many requests, one gets lost, and its answer.
    pub loses_requests: Option<usize>,
    pub loses_replies: Option<usize>,
    pub doubles: bool,
    /// Each answer waits for the next request.
    pub is_late: bool,
    /// The first answer, whatever is asked.
    pub replays: bool,
    /// Comes before each answer.
    pub noise: Vec<Vec<u8>>,
    /// From a port that was not asked.
    pub other_port: bool,
    pub wrong_id: bool,
    pub wrong_community: bool,
    pub damage: Option<Damage>,

    /// Its longest answer, octets.
    pub octets: Option<usize>,
    /// tooBig, where others would cut an answer to GETBULK.
    pub never_cuts: bool,
    /// With more varbinds an answer is too big.
    pub too_big_above: Option<usize>,
    /// It answers a GETBULK by so many varbinds, and a GET or GETNEXT, too.
    pub varbinds: Option<usize>,
    /// What it answers to GETBULK.
    pub bulk: Option<ErrorStatus>,
    /// noSuchName where v2c has endOfMibView.
    pub no_such_name: bool,
    /// Each two rows of a column come in the wrong order.
    pub swaps_rows: bool,
    /// What comes after it is what comes after the other.
    pub loops: Option<(Oid, Oid)>,
    /// Below it there is always a next.
    pub endless: Option<Oid>,
    /// Counters have no octets.
    pub empty_counters: bool,

    /// SNMPv3: boots once more before this request.
    pub restarts_at: Option<usize>,
    /// At each request.
    pub always_restarts: bool,
    pub wrong_engine: bool,
    pub unsigned: bool,
    pub unencrypted: bool,
    /// It never knows the engine id it has just told.
    pub denies_engine: bool,
    /// Answers by the time of a day ago.
    pub old_time: bool,
    /// SNMPv3: answers with the right message id and another request id.
    pub other_request: bool,
}

/// What happens to an answer's octets on the way.
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
                Err(_) => unreachable!("only who says no names a place"),
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

    /// What comes next after each, as often as is asked for; or the place of
    /// one after which nothing comes.
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
        // The agent's order: of rows 2n and 2n+1 the second comes first. Rows are
        // as far apart as their last sub-identifiers.
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
