//! What one connection may make a check read and do. A deadline bounds time
//! alone: a hostile server could keep this process's only thread busy until then.
//!
//! A [`Meter`] counts what passes, whatever reads it. A peer that exceeds the budget
//! gets no more of this process's time, and the check ends with the reason. Until
//! then, the reader pauses after each [`TURN`] of work, so that timers fire and
//! the other checks go on.

mod framing;
mod metered;

use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Context,
};

use apmon_core::{Failure, FailureClass};

pub(crate) use self::{framing::Framing, metered::Metered};

/// The most bytes before an answer begins: handshake, interim answers, the head.
pub(crate) const MAX_HEAD: u64 = 1024 * 1024;

/// The most bytes in all: more than an answer of 4 MiB with all that surrounds it.
pub(crate) const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// The most interim answers (RFC 9110 section 15.2).
pub(crate) const MAX_INTERIM: u64 = 100;

/// The most frames, TLS records, gzip members or datagrams that carry nothing.
pub(crate) const MAX_EMPTY: u64 = 10_000;

/// The most datagrams of a server, during a check, that belong to no connection of QUIC.
#[cfg(feature = "quic")]
pub(crate) const MAX_STRAY: u64 = 100_000;

/// The number of datagrams after which their reader pauses.
pub(crate) const DATAGRAMS_AT_ONCE: u64 = 16;

/// The most frames, TLS records or pieces of a body of any kind. Small devices send
/// their pages byte by byte, and so do programs that flush a log with each letter. With
/// TLS, half a megabyte of these takes all of [`MAX_BYTES`].
pub(crate) const MAX_FRAMES: u64 = 500_000;

/// The bytes on the wire that each byte of data may take beyond [`MAX_HEAD`]. A TLS
/// record for each byte takes 23 to 30.
const PER_BYTE: u64 = 64;

/// The work after which a reader pauses, in bytes: well below a millisecond.
const TURN: u64 = 16 * 1024;

/// The work that a frame means, in bytes.
const FRAME: u64 = 64;

/// How a server has exceeded its budget.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Flood {
    #[error("the server has sent more than {MAX_HEAD} bytes without an answer")]
    Head,
    #[error("the server has sent more than {MAX_BYTES} bytes")]
    Bytes,
    #[error("the server has sent more than {MAX_INTERIM} interim answers")]
    Interim,
    #[error("the server has sent more than {MAX_EMPTY} frames that carry no data")]
    EmptyFrames,
    #[error("the server has sent more than {MAX_FRAMES} frames")]
    Frames,
    #[error("the server has sent more than {MAX_EMPTY} TLS records that carry no data")]
    EmptyRecords,
    #[error("the server has sent more than {MAX_FRAMES} TLS records")]
    Records,
    #[error("the server has sent more than {MAX_HEAD} bytes of TLS that carry no data")]
    Overhead,
    #[cfg(feature = "quic")]
    #[error("the server has sent more than {MAX_EMPTY} datagrams before the handshake was complete")]
    Datagrams,
    #[cfg(feature = "quic")]
    #[error("the server has sent more than {MAX_EMPTY} datagrams that carry no data")]
    EmptyDatagrams,
    #[cfg(feature = "quic")]
    #[error("the server has sent more than {MAX_STRAY} datagrams that belong to no connection")]
    Strays,
}

impl Flood {
    /// The failure of a check during `step`.
    pub(crate) fn failure(self, step: &str) -> Failure {
        Failure::new(FailureClass::Protocol, format!("{step}: {self}"))
    }
}

/// What passed in one piece.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Passed {
    /// Bytes on the wire.
    pub(crate) bytes: u64,
    /// Bytes decrypted.
    pub(crate) data: u64,
    /// Interim answers.
    pub(crate) interim: u64,
    /// Frames.
    pub(crate) frames: u64,
    /// Frames among them that carry no data.
    pub(crate) empty: u64,
    /// TLS records.
    pub(crate) records: u64,
}

/// The budget of one connection. A clone is the same budget.
#[derive(Clone, Default, Debug)]
pub(crate) struct Meter(Arc<Mutex<Counts>>);

#[derive(Default, Debug)]
struct Counts {
    total: Passed,
    has_answer: bool,
    flood: Option<Flood>,
    asks_certificate: bool,
    /// The work since the last pause.
    turn: u64,
    pauses: u64,
}

impl Meter {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer begins: more bytes are allowed from here on.
    pub(crate) fn answer_begins(&self) {
        self.counts().has_answer = true;
    }

    /// Whether the answer has begun.
    #[cfg(feature = "quic")]
    pub(crate) fn has_answer(&self) -> bool {
        self.counts().has_answer
    }

    /// Adds what has passed. An error is final.
    pub(crate) fn add(&self, passed: Passed) -> Result<(), Flood> {
        let mut counts = self.counts();
        counts.turn += passed.bytes + (passed.frames + passed.interim + passed.records) * FRAME;
        let total = &mut counts.total;
        total.bytes += passed.bytes;
        total.data += passed.data;
        total.interim += passed.interim;
        total.frames += passed.frames;
        total.empty += passed.empty;
        total.records += passed.records;
        if counts.flood.is_none() {
            counts.flood = exceeded(&counts.total, counts.has_answer);
        }
        counts.flood.map_or(Ok(()), Err)
    }

    /// How the budget was exceeded, if it was. A library that reads through the meter
    /// may show another error for it.
    pub(crate) fn flood(&self) -> Option<Flood> {
        self.counts().flood
    }

    /// The server has asked for a certificate in the TLS handshake. No check has one.
    pub(crate) fn certificate_asked(&self) {
        self.counts().asks_certificate = true;
    }

    /// Whether the server has asked for a certificate. If it then refuses the
    /// connection, that is why.
    pub(crate) fn asks_certificate(&self) -> bool {
        self.counts().asks_certificate
    }

    /// Whether the reader must pause now. The task is woken once timers have fired.
    pub(crate) fn pauses(&self, context: &mut Context<'_>) -> bool {
        {
            let mut counts = self.counts();
            if counts.turn < TURN {
                return false;
            }
            counts.turn = 0;
            counts.pauses += 1;
        }
        pause(context);
        true
    }
}

/// Wakes the task once timers have fired. The caller returns `Pending`.
pub(crate) fn pause(context: &mut Context<'_>) {
    // Its first poll asks the runtime to wake this task after the others.
    let _ = pin!(tokio::task::yield_now()).poll(context);
}

/// How `total` exceeds the budget. Each record with data carries a byte of it.
fn exceeded(total: &Passed, has_answer: bool) -> Option<Flood> {
    let empty_records = total.records.saturating_sub(total.data);
    let is_tls = total.records > 0;
    [
        (total.interim > MAX_INTERIM, Flood::Interim),
        (total.empty > MAX_EMPTY, Flood::EmptyFrames),
        (total.frames > MAX_FRAMES, Flood::Frames),
        (empty_records > MAX_EMPTY, Flood::EmptyRecords),
        (total.records > MAX_FRAMES, Flood::Records),
        (!has_answer && total.bytes > MAX_HEAD, Flood::Head),
        (
            is_tls && total.bytes > MAX_HEAD + PER_BYTE * total.data,
            Flood::Overhead,
        ),
        (total.bytes > MAX_BYTES, Flood::Bytes),
    ]
    .into_iter()
    .find_map(|(exceeds, flood)| exceeds.then_some(flood))
}

#[cfg(test)]
mod tests;
