//! Reading single values.

use std::collections::VecDeque;

use crate::{
    agent::Notes,
    ber::NULL,
    error::SnmpError,
    message::{ErrorStatus, PduKind},
    oid::Oid,
    operation::{Answer, Limits, Operation, Request},
    value::{Value, Varbind},
};

/// The most values requested at once: even with texts among them, the answer stays below
/// 1,400 octets.
const AT_ONCE: usize = 20;

/// The operation that reads single values by their OIDs.
#[derive(Debug)]
pub(crate) struct Gets {
    oids: Vec<Oid>,
    values: Vec<Value>,
    /// The sets of positions in `oids` that are still to be requested.
    waiting: VecDeque<Vec<usize>>,
}

impl Gets {
    pub(crate) fn new(oids: &[Oid]) -> Self {
        let places: Vec<usize> = (0..oids.len()).collect();
        Self {
            oids: oids.to_vec(),
            values: vec![Value::Unreadable(NULL); oids.len()],
            waiting: places.chunks(AT_ONCE).map(<[usize]>::to_vec).collect(),
        }
    }

    /// The values, in the order of the OIDs.
    pub(crate) fn finish(self) -> Vec<Varbind> {
        let pairs = self.oids.into_iter().zip(self.values);
        pairs.map(|(oid, value)| Varbind { oid, value }).collect()
    }
}

impl Operation for Gets {
    fn next(&mut self, limits: Limits) -> Option<Request> {
        let mut places = self.waiting.pop_front()?;
        if places.len() > limits.most_varbinds {
            let rest = places.split_off(limits.most_varbinds);
            self.waiting.push_front(rest);
        }
        let oids = places.iter().map(|place| self.oids[*place].clone()).collect();
        Some(Request {
            kind: PduKind::Get,
            repetitions: 1,
            oids,
            tag: 0,
            places,
        })
    }

    fn answered(&mut self, mut request: Request, answer: Answer, notes: &mut Notes) -> Result<(), SnmpError> {
        let mut places = std::mem::take(&mut request.places);
        let pdu = answer.pdu;
        let status = ErrorStatus(pdu.error_status);
        let at = usize::try_from(pdu.error_index)
            .ok()
            .and_then(|index| index.checked_sub(1));
        match status {
            ErrorStatus(0) => {
                let asked = places.len();
                // Matched by OID, not by position: some agents answer in another order.
                for varbind in pdu.varbinds {
                    places.retain(|place| {
                        let is_it = self.oids[*place] == varbind.oid;
                        if is_it {
                            self.values[*place] = varbind.value.clone();
                        }
                        !is_it
                    });
                }
                // After a partial answer, the rest is requested separately.
                match places.len() < asked {
                    true => self.requeue(places),
                    false => self.requeue_halves(places),
                }
            }
            // SNMPv1: one absent value makes the whole request fail.
            ErrorStatus::NO_SUCH_NAME if at.is_some_and(|at| at < places.len()) => {
                let absent = places.remove(at.unwrap_or(0));
                self.values[absent] = Value::NoSuchObject;
                self.requeue(places);
            }
            ErrorStatus::NO_SUCH_NAME if places.len() == 1 => self.values[places[0]] = Value::NoSuchObject,
            ErrorStatus::AUTHORIZATION => return Err(request.refused(pdu.error_status)),
            _ => {
                if status == ErrorStatus::TOO_BIG {
                    notes.at_most(places.len() / 2);
                }
                self.requeue_halves(places);
            }
        }
        Ok(())
    }
}

impl Gets {
    /// Requests each half separately, as one of the values is at fault. A single value is
    /// given up.
    fn requeue_halves(&mut self, mut places: Vec<usize>) {
        if places.len() > 1 {
            let rest = places.split_off(places.len() / 2);
            self.requeue(places);
            self.requeue(rest);
        }
    }

    fn requeue(&mut self, places: Vec<usize>) {
        if !places.is_empty() {
            self.waiting.push_back(places);
        }
    }
}
