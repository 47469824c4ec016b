//! Searching an answer for what is expected, as bytes, as they arrive.

use apmon_core::{
    Check, Failure, FailureClass,
    config::Text,
    text::{excerpt, printable},
};
use memchr::memmem::Finder;

/// So many bytes of an answer are kept for `--explain`.
const SHOWN: usize = 200;

/// What an answer must hold.
pub(crate) struct Expect {
    finder: Finder<'static>,
}

impl Expect {
    pub(crate) fn new(text: &Text) -> Self {
        Self {
            finder: Finder::new(text.as_str()).into_owned(),
        }
    }

    /// The same of bytes that need not be text.
    pub(crate) fn of_bytes(bytes: Vec<u8>) -> Self {
        Self {
            finder: Finder::new(&bytes).into_owned(),
        }
    }

    pub(crate) fn is_in(&self, bytes: &[u8]) -> bool {
        self.finder.find(bytes).is_some()
    }

    /// As it stands in a reason.
    pub(crate) fn quoted(&self) -> String {
        format!(
            "\"{}\"",
            excerpt(&String::from_utf8_lossy(self.finder.needle()), 60)
        )
    }
}

/// An answer while it comes in. It keeps no more of it than it needs.
pub(crate) struct Search<'a> {
    expect: Option<&'a Expect>,
    /// The end of what was searched: a match may straddle two pieces.
    tail: Vec<u8>,
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

    /// Bytes so far.
    pub(crate) fn seen(&self) -> usize {
        self.seen
    }

    /// Takes the next piece; whether what is expected has now come.
    pub(crate) fn feed(&mut self, piece: &[u8]) -> bool {
        self.seen += piece.len();
        if let Some(head) = &mut self.head {
            let room = (SHOWN + 1).saturating_sub(head.len());
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

    /// Notes what came, for `--explain`.
    pub(crate) fn explain(&self, check: &Check, step: &str) {
        if let Some(head) = &self.head {
            check.step(step, || match self.seen {
                0 => "nothing".to_owned(),
                seen => {
                    let more = if head.len() > SHOWN { "..." } else { "" };
                    let head = String::from_utf8_lossy(&head[..head.len().min(SHOWN)]);
                    format!("{seen} bytes: {}{more}", printable(&head))
                }
            });
        }
    }

    fn quoted(&self) -> String {
        self.expect.map(Expect::quoted).unwrap_or_default()
    }

    /// The failure of a whole answer without it.
    pub(crate) fn missing(&self) -> Failure {
        Failure::new(
            FailureClass::Content,
            format!("{} not found in {} bytes", self.quoted(), self.seen),
        )
    }

    /// The failure of an answer that broke off without it.
    pub(crate) fn closed(&self) -> Failure {
        Failure::new(
            FailureClass::Closed,
            format!("closed after {} bytes without {}", self.seen, self.quoted()),
        )
    }

    /// The failure of an answer that had not ended by the deadline.
    pub(crate) fn late(&self, check: &Check) -> Failure {
        if self.seen == 0 {
            return check.timed_out("receive");
        }
        check.expired(|timeout| {
            format!(
                "{} not in the {} bytes received within {timeout}",
                self.quoted(),
                self.seen
            )
        })
    }

    /// The failure of an answer longer than is read.
    pub(crate) fn too_long(&self) -> Failure {
        Failure::new(
            FailureClass::Content,
            format!("{} not in the first {} bytes", self.quoted(), self.seen),
        )
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
        fn however_it_is_cut_it_is_found(needle in "[ab]{1,5}", pieces in prop::collection::vec("[ab]{0,6}", 0..12)) {
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
