//! The output of a program, with its arguments masked: they may be secrets.

use apmon_core::{Secret, text::excerpt};
use tokio::io::{AsyncRead, AsyncReadExt};

/// How much of the output is shown, in bytes.
const MAX_SHOWN: usize = 1024;
/// The shortest argument that is masked, in characters; a shorter one is no secret.
const MIN_LENGTH: usize = 4;
/// An argument of fewer bytes is masked only where it stands alone: as a part of other words it would
/// make ordinary texts unreadable, and betray itself by what is left of them.
const MIN_INSIDE_WORD: usize = 8;

/// The arguments as they may appear in the output: each as a whole, and the value
/// of one such as `--key=s3cret`.
pub(super) struct ArgumentMasks<'a>(Vec<&'a [u8]>);

impl<'a> ArgumentMasks<'a> {
    pub(super) fn of(args: &'a [Secret]) -> Self {
        let all = args.iter().map(Secret::reveal).flat_map(|text| {
            let value = text.split_once('=').map(|(_, value)| value);
            // The output may lack the whitespace around it.
            [Some(text.trim()), value.map(str::trim)]
        });
        let long = all.flatten().filter(|text| text.chars().count() >= MIN_LENGTH);
        Self(long.map(str::as_bytes).collect())
    }

    fn longest(&self) -> usize {
        self.0.iter().map(|mask| mask.len()).max().unwrap_or_default()
    }

    /// The first bytes of `output`, with every byte that belongs to an argument
    /// masked, even where arguments overlap.
    fn apply(&self, output: &[u8]) -> Vec<u8> {
        let mut hidden = vec![false; output.len()];
        for mask in &self.0 {
            let windows = output.windows(mask.len()).enumerate();
            for (at, _) in windows.filter(|(_, window)| window == mask) {
                let end = at + mask.len();
                if mask.len() >= MIN_INSIDE_WORD || stands_alone(output, at, end) {
                    hidden[at..end].fill(true);
                }
            }
        }
        let (mut shown, mut was_hidden) = (Vec::with_capacity(MAX_SHOWN), false);
        // An argument that begins before this limit was captured whole, so it matched.
        for (byte, hidden) in output.iter().zip(hidden).take(MAX_SHOWN) {
            match (hidden, was_hidden) {
                (false, _) => shown.push(*byte),
                (true, false) => shown.extend(b"***"),
                (true, true) => {}
            }
            was_hidden = hidden;
        }
        shown
    }
}

/// Whether no letter or digit is beside `text[at..end]`, of whatever script, unless it has none there
/// itself. What follows the captured text is not known.
fn stands_alone(text: &[u8], at: usize, end: usize) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || !byte.is_ascii();
    let joins = |one: Option<&u8>, other: Option<&u8>| one.is_some_and(is_word) && other.is_some_and(is_word);
    let before = at.checked_sub(1).and_then(|before| text.get(before));
    !joins(before, text.get(at)) && !joins(text.get(end - 1), text.get(end))
}

/// The beginnings of the standard output and the standard error of a program.
#[derive(Default)]
pub(super) struct CapturedOutput {
    out: Vec<u8>,
    err: Vec<u8>,
}

impl CapturedOutput {
    /// Reads both until they end.
    pub(super) async fn capture(
        &mut self,
        out: Option<impl AsyncRead + Unpin>,
        err: Option<impl AsyncRead + Unpin>,
        masks: &ArgumentMasks<'_>,
    ) {
        let room = MAX_SHOWN + masks.longest();
        tokio::join!(
            receive(out, &mut self.out, room),
            receive(err, &mut self.err, room)
        );
    }

    /// The output with arguments masked; empty if there is none.
    pub(super) fn shown(&self, masks: &ArgumentMasks<'_>) -> String {
        // Errors are on stderr, so that comes first.
        let mut all = masks.apply(&self.err);
        all.extend(masks.apply(&self.out));
        excerpt(String::from_utf8_lossy(&all).trim(), MAX_SHOWN)
    }
}

/// Keeps the beginning and reads the rest, so that the program can go on writing.
async fn receive(from: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>, limit: usize) {
    let Some(mut from) = from else { return };
    let mut chunk = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut chunk).await {
        let room = limit.saturating_sub(kept.len()).min(n);
        kept.extend_from_slice(&chunk[..room]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(args: &[&str], err: &str) -> String {
        let args: Vec<_> = args.iter().map(|text| Secret::new(*text)).collect();
        let output = CapturedOutput {
            out: Vec::new(),
            err: err.into(),
        };
        output.shown(&ArgumentMasks::of(&args))
    }

    #[test]
    fn overlapping_arguments_are_masked_as_a_whole() {
        let args = ["SECR", "SECRETARG", "SECRETARG2"];
        assert_eq!(
            shown(&args, "a SECRETARG2 b SECRETARG c SECR"),
            "a *** b *** c ***"
        );
        assert_eq!(shown(&["abcdefgh", "efghijkl"], "xabcdefghijklx"), "x***x");
        assert_eq!(shown(&["aaaaaaaa"], "aaaaaaaaaa"), "***");
    }

    #[test]
    fn a_short_argument_is_masked_only_where_it_stands_alone() {
        let args = ["send", "2345", "pässe", "--mode=fast"];
        for (text, expected) in [
            (
                "cannot send: sender 12345 resends",
                "cannot ***: sender 12345 resends",
            ),
            ("pin=2345; 23456", "pin=***; 23456"),
            ("send-mail, send_mail", "***-mail, ***_mail"),
            ("pässe reisepässe pässen", "*** reisepässe pässen"),
            ("faster, not fast", "faster, not ***"),
            ("send", "***"),
        ] {
            assert_eq!(shown(&args, text), expected);
        }
        // Signs may be beside a word.
        assert_eq!(shown(&["//;;"], "a//;;b"), "a***b");
        assert_eq!(shown(&["s3cretarg"], "its3cretargs"), "it***s");
    }

    #[test]
    fn the_value_after_an_equals_sign_is_masked_by_itself() {
        let args = ["--key=s3cret", " padded "];
        assert_eq!(
            shown(&args, "wrong key s3cret, not padded"),
            "wrong key ***, not ***"
        );
        assert_eq!(shown(&args, "what is --key=s3cret?"), "what is ***?");
    }

    #[test]
    fn up_to_three_characters_are_not_masked() {
        assert_eq!(
            shown(&["-v", "a", "", "pin", "pins"], "-v: a pin, pins"),
            "-v: a pin, ***"
        );
    }
}
