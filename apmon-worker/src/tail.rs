//! The last output of a child.

/// How much of the output is kept, in bytes.
const MOST: usize = 4096;

/// The end of what a child wrote to its standard error.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    bytes: Vec<u8>,
}

impl Tail {
    /// Adds output.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        // Not each time, or every byte would move 4,096 others.
        if self.bytes.len() > 4 * MOST {
            self.bytes.drain(..self.bytes.len() - MOST);
        }
    }

    /// The text that is kept, at most 4,096 bytes of output. Characters that could control a
    /// terminal are replaced: C code may print the bytes it was given.
    pub(crate) fn text(&self) -> String {
        let kept = &self.bytes[self.bytes.len().saturating_sub(MOST)..];
        let text = String::from_utf8_lossy(kept);
        let printable = text.trim().chars().map(|c| match c {
            '\n' => c,
            '\t' => ' ',
            c if c.is_control() => char::REPLACEMENT_CHARACTER,
            c => c,
        });
        printable.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_the_output_is_kept() {
        let mut tail = Tail::default();
        for i in 0..100_000 {
            tail.push(format!("line {i}\n").as_bytes());
        }
        let text = tail.text();
        assert!(text.ends_with("line 99998\nline 99999"), "{text}");
        assert!((4_000..=MOST).contains(&text.len()), "{}", text.len());
    }

    #[test]
    fn one_long_output_is_cut_at_its_beginning() {
        let mut tail = Tail::default();
        tail.push(&[b'a'; 100_000]);
        tail.push(b"b");
        assert_eq!(tail.text(), format!("{}b", "a".repeat(MOST - 1)));
    }

    #[test]
    fn control_characters_and_broken_characters_are_replaced() {
        let mut tail = Tail::default();
        tail.push(b"\x1b[31mred\x07\tB\xc3\xbcro\xff\r\nend\n");
        assert_eq!(tail.text(), "\u{fffd}[31mred\u{fffd} Büro\u{fffd}\u{fffd}\nend");
    }
}
