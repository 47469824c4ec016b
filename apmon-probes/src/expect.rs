//! Searches an answer for what is expected: bytes, piece by piece as they arrive.

use apmon_core::{
    Check, Failure, FailureClass,
    config::Text,
    text::{excerpt, printable},
};
use memchr::memmem::Finder;

/// How many bytes of an answer are kept for `--explain`.
const MAX_SHOWN: usize = 200;
/// How many more are kept, to recognise a secret that begins among them.
const MAX_CUT: usize = 1024;

/// Bytes that an answer must contain.
pub(crate) struct Expect {
    finder: Finder<'static>,
}

impl Expect {
    /// Expects a text.
    pub(crate) fn new(text: &Text) -> Self {
        Self {
            finder: Finder::new(text.as_str()).into_owned(),
        }
    }

    /// Expects bytes, which need not be text.
    pub(crate) fn of_bytes(bytes: Vec<u8>) -> Self {
        Self {
            finder: Finder::new(&bytes).into_owned(),
        }
    }

    /// Whether `bytes` contain what is expected.
    pub(crate) fn is_in(&self, bytes: &[u8]) -> bool {
        self.finder.find(bytes).is_some()
    }

    /// What is expected, in quotes, as a failure reason shows it.
    pub(crate) fn quoted(&self) -> String {
        format!(
            "\"{}\"",
            excerpt(&String::from_utf8_lossy(self.finder.needle()), 60)
        )
    }
}

/// The search of an answer while it arrives. It keeps no more of the answer than
/// it needs.
pub(crate) struct Search<'a> {
    expect: Option<&'a Expect>,
    /// The end of what was searched: a match may span two pieces.
    tail: Vec<u8>,
    /// The beginning of the answer, for `--explain`.
    head: Option<Vec<u8>>,
    seen: usize,
}

impl<'a> Search<'a> {
    pub(crate) fn new(expect: Option<&'a Expect>, check: &Check) -> Self {
        Self {
            expect,
            tail: Vec::new(),
            head: check.is_traced().then(Vec::new),
            seen: 0,
        }
    }

    /// The number of bytes received so far.
    pub(crate) fn seen(&self) -> usize {
        self.seen
    }

    /// Searches the next piece. Returns whether what is expected has now arrived.
    pub(crate) fn feed(&mut self, piece: &[u8]) -> bool {
        self.seen += piece.len();
        if let Some(head) = &mut self.head {
            let room = (MAX_SHOWN + MAX_CUT).saturating_sub(head.len());
            head.extend_from_slice(&piece[..piece.len().min(room)]);
        }
        let Some(expect) = self.expect else {
            return false;
        };
        if expect.is_in(piece) {
            return true;
        }
        let overlap = expect.finder.needle().len() - 1;
        let before = self.tail.len();
        self.tail.extend_from_slice(&piece[..piece.len().min(overlap)]);
        if before > 0 && expect.is_in(&self.tail) {
            return true;
        }
        if piece.len() >= overlap {
            self.tail.clear();
            self.tail.extend_from_slice(&piece[piece.len() - overlap..]);
        } else {
            self.tail.drain(..self.tail.len().saturating_sub(overlap));
        }
        false
    }

    /// Adds what arrived to the trace of `--explain`.
    pub(crate) fn explain(&self, check: &Check, step: &str) {
        if let Some(head) = &self.head {
            check.step(step, || match self.seen {
                0 => "nothing".to_owned(),
                _ => {
                    // Masked before it is cut: half a secret would not be recognised.
                    let text = String::from_utf8_lossy(head);
                    let text = match head.len() < self.seen {
                        true => check.mask().hide_cut(&text),
                        false => check.mask().hide(&text),
                    };
                    let end = text.floor_char_boundary(MAX_SHOWN);
                    let more = if end < text.len() || head.len() < self.seen {
                        "..."
                    } else {
                        ""
                    };
                    format!("{}: {}{more}", bytes(self.seen), printable(&text[..end]))
                }
            });
        }
    }

    fn quoted(&self) -> String {
        self.expect.map(Expect::quoted).unwrap_or_default()
    }

    /// The failure of a complete answer without what is expected.
    pub(crate) fn missing(&self) -> Failure {
        Failure::new(
            FailureClass::Content,
            format!("{} not found in {}", self.quoted(), bytes(self.seen)),
        )
    }

    /// The failure of an answer that ended early, without what is expected.
    pub(crate) fn closed(&self) -> Failure {
        Failure::new(
            FailureClass::Closed,
            format!("closed after {} without {}", bytes(self.seen), self.quoted()),
        )
    }

    /// The failure of an answer that is incomplete at the deadline.
    pub(crate) fn late(&self, check: &Check) -> Failure {
        if self.seen == 0 {
            return check.timed_out("receive");
        }
        check.expired(|timeout| {
            format!(
                "{} not in the {} received within {timeout}",
                self.quoted(),
                bytes(self.seen)
            )
        })
    }

    /// The failure of an answer that is longer than the part that is read.
    pub(crate) fn too_long(&self) -> Failure {
        Failure::new(
            FailureClass::Content,
            format!("{} not in the first {}", self.quoted(), bytes(self.seen)),
        )
    }
}

/// A number of bytes in words: `1 byte`, `2 bytes`.
fn bytes(count: usize) -> String {
    match count {
        1 => "1 byte".to_owned(),
        _ => format!("{count} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn expect(needle: &str) -> Expect {
        Expect {
            finder: Finder::new(needle).into_owned(),
        }
    }

    proptest! {
        #[test]
        fn a_match_is_found_however_the_answer_is_cut(needle in "[ab]{1,5}", pieces in prop::collection::vec("[ab]{0,6}", 0..12)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let _guard = runtime.enter();
            let expect = expect(&needle);
            let mut search = Search::new(Some(&expect), &crate::recorder::check(Duration::from_secs(20)));
            let mut so_far = String::new();
            for piece in &pieces {
                so_far += piece;
                let found = search.feed(piece.as_bytes());
                prop_assert_eq!(found, so_far.contains(&needle), "{} in {}", needle, so_far);
                if found {
                    break;
                }
                prop_assert_eq!(search.seen(), so_far.len());
                prop_assert!(search.tail.len() < needle.len());
            }
        }
    }
}
