//! Asking for single values.

use std::collections::VecDeque;

use crate::{
    agent::Notes,
    error::SnmpError,
    message::{ErrorStatus, PduKind},
    oid::Oid,
    session::{Answer, Errand, Limits, Request},
    value::{Value, Varbind},
};

/// So many values are asked for at once: with texts among them, an answer
/// stays below 1,400 octets.
const AT_ONCE: usize = 20;

/// Some values, by their names.
#[derive(Debug)]
pub(crate) struct Gets {
    oids: Vec<Oid>,
    values: Vec<Value>,
    /// Places in `oids` that are still to be asked for, in parts.
    waiting: VecDeque<Vec<usize>>,
}

impl Gets {
    pub(crate) fn new(oids: &[Oid]) -> Self {
        let places: Vec<usize> = (0..oids.len()).collect();
        Self {
            oids: oids.to_vec(),
            values: vec![Value::NoSuchObject; oids.len()],
            waiting: places.chunks(AT_ONCE).map(<[usize]>::to_vec).collect(),
        }
    }

    /// The values, in the order of the names.
    pub(crate) fn finish(self) -> Vec<Varbind> {
        let pairs = self.oids.into_iter().zip(self.values);
        pairs.map(|(oid, value)| Varbind { oid, value }).collect()
    }
}

impl Errand for Gets {
    fn next(&mut self, limits: Limits) -> Option<Request> {
        let mut places = self.waiting.pop_front()?;
        if places.len() > limits.most_varbinds {
            let rest = places.split_off(limits.most_varbinds);
            self.waiting.push_front(rest);
        }
        let oids = places.iter().map(|place| self.oids[*place].clone()).collect();
        Some(Request {
            kind: PduKind::Get,
            repetitions: 0,
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
                // By name, not by place: some agents answer in another order.
                for varbind in pdu.varbinds {
                    let place = places.iter().find(|place| self.oids[**place] == varbind.oid);
                    if let Some(place) = place {
                        self.values[*place] = varbind.value;
                    }
                }
            }
            // SNMPv1: one that is not there spoils the others' answer.
            ErrorStatus::NO_SUCH_NAME if at.is_some_and(|at| at < places.len()) => {
                places.remove(at.unwrap_or(0));
                self.again(places);
            }
            _ if places.len() > 1 => {
                if status == ErrorStatus::TOO_BIG {
                    notes.lower(places.len() / 2);
                }
                // One of them may be the trouble.
                let rest = places.split_off(places.len() / 2);
                self.again(places);
                self.again(rest);
            }
            ErrorStatus::AUTHORIZATION => return Err(request.refused(pdu.error_status)),
            // This one cannot be had.
            _ => {}
        }
        Ok(())
    }
}

impl Gets {
    fn again(&mut self, places: Vec<usize>) {
        if !places.is_empty() {
            self.waiting.push_back(places);
        }
    }
}
