//! What a program said, without its arguments: they may be secrets.

use apmon_core::{Secret, text::excerpt};
use tokio::io::{AsyncRead, AsyncReadExt};

/// So much of what it says is shown.
const KEPT_BYTES: usize = 1024;
/// What is shorter is no secret, and would turn up in half of all words.
const SHORTEST: usize = 3;

/// Arguments as they may turn up in an output: each whole, and what stands
/// behind the `=` of one such as `--key=s3cret`.
pub(super) struct Masks<'a>(Vec<&'a [u8]>);

impl<'a> Masks<'a> {
    pub(super) fn of(args: &'a [Secret]) -> Self {
        let all = args.iter().map(Secret::reveal).flat_map(|text| {
            let value = text.split_once('=').map(|(_, value)| value);
            // It may be said without the white space around it.
            [Some(text.trim()), value.map(str::trim)]
        });
        let long = all.flatten().filter(|text| text.chars().count() >= SHORTEST);
        Self(long.map(str::as_bytes).collect())
    }

    fn longest(&self) -> usize {
        self.0.iter().map(|mask| mask.len()).max().unwrap_or_default()
    }

    /// The first bytes of `said`, every byte that belongs to an argument left
    /// out, whatever other argument it overlaps.
    fn applied(&self, said: &[u8]) -> Vec<u8> {
        let mut hidden = vec![false; said.len()];
        for mask in &self.0 {
            let places = said.windows(mask.len()).enumerate();
            for (at, _) in places.filter(|(_, window)| window == mask) {
                hidden[at..at + mask.len()].fill(true);
            }
        }
        let (mut shown, mut before) = (Vec::with_capacity(KEPT_BYTES), false);
        // Of one that begins before this end all was kept, so it was found.
        for (byte, hidden) in said.iter().zip(hidden).take(KEPT_BYTES) {
            match (hidden, before) {
                (false, _) => shown.push(*byte),
                (true, false) => shown.extend(b"***"),
                (true, true) => {}
            }
            before = hidden;
        }
        shown
    }
}

/// The beginnings of the two outputs of a program.
#[derive(Default)]
pub(super) struct Said {
    out: Vec<u8>,
    err: Vec<u8>,
}

impl Said {
    /// Listens to both until they end.
    pub(super) async fn hear(
        &mut self,
        out: Option<impl AsyncRead + Unpin>,
        err: Option<impl AsyncRead + Unpin>,
        masks: &Masks<'_>,
    ) {
        let room = KEPT_BYTES + masks.longest();
        tokio::join!(
            receive(out, &mut self.out, room),
            receive(err, &mut self.err, room)
        );
    }

    /// As it may be shown; empty where it said nothing.
    pub(super) fn shown(&self, masks: &Masks<'_>) -> String {
        // What is wrong is said on stderr.
        let mut all = masks.applied(&self.err);
        all.extend(masks.applied(&self.out));
        excerpt(String::from_utf8_lossy(&all).trim(), KEPT_BYTES)
    }
}

/// The beginning is kept, the rest is read, so that it can go on writing.
async fn receive(from: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>, most: usize) {
    let Some(mut from) = from else { return };
    let mut chunk = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut chunk).await {
        let room = most.saturating_sub(kept.len()).min(n);
        kept.extend_from_slice(&chunk[..room]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(args: &[&str], err: &str) -> String {
        let args: Vec<_> = args.iter().map(|text| Secret::new(*text)).collect();
        let said = Said {
            out: Vec::new(),
            err: err.into(),
        };
        said.shown(&Masks::of(&args))
    }

    #[test]
    fn arguments_that_overlap_are_masked_whole() {
        let args = ["SECR", "SECRETARG", "SECRETARG2"];
        assert_eq!(
            shown(&args, "a SECRETARG2 b SECRETARG c SECR"),
            "a *** b *** c ***"
        );
        assert_eq!(shown(&["abcd", "cdefgh"], "xabcdefghx"), "x***x");
        assert_eq!(shown(&["aaa"], "aaaaa"), "***");
    }

    #[test]
    fn what_follows_an_equals_sign_is_masked_alone_too() {
        let args = ["--key=s3cret", " padded "];
        assert_eq!(
            shown(&args, "wrong key s3cret, not padded"),
            "wrong key ***, not ***"
        );
        assert_eq!(shown(&args, "what is --key=s3cret?"), "what is ***?");
    }

    #[test]
    fn one_or_two_characters_are_no_secret() {
        assert_eq!(shown(&["-v", "a", "", "pin"], "have a pin"), "have a ***");
    }
}
