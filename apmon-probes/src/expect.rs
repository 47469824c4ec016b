//! Searches an answer for what is expected, text or bytes, piece by piece as they
//! arrive.

pub(crate) mod charset;

use apmon_core::{
    Check, Failure, FailureClass,
    config::Text,
    text::{excerpt, printable},
};
use encoding_rs::Encoding;
use memchr::memmem::Finder;

use self::charset::Decoder;

/// How many bytes of an answer are kept for `--explain`.
const MAX_SHOWN: usize = 200;
/// How many more are kept, to recognise a secret that begins among them.
const MAX_CUT: usize = 1024;

/// What an answer must contain.
pub(crate) struct Expect {
    finder: Finder<'static>,
    /// Whether it is text, which an answer may hold in any encoding.
    is_text: bool,
}

impl Expect {
    /// Expects a text.
    pub(crate) fn new(text: &Text) -> Self {
        Self::of_text(text.as_str())
    }

    /// Expects a text.
    pub(crate) fn of_text(text: &str) -> Self {
        Self {
            finder: Finder::new(text).into_owned(),
            is_text: true,
        }
    }

    /// Expects bytes, which need not be text.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        Self {
            finder: Finder::new(bytes).into_owned(),
            is_text: false,
        }
    }

    /// Whether `bytes` contain what is expected.
    pub(crate) fn is_in(&self, bytes: &[u8]) -> bool {
        self.finder.find(bytes).is_some()
    }

    /// Whether the text may have other bytes in `encoding` than in UTF-8.
    fn differs_in(&self, encoding: Option<&'static Encoding>) -> bool {
        let is_ascii_alike = encoding.is_none_or(Encoding::is_ascii_compatible);
        self.is_text && !(is_ascii_alike && self.finder.needle().is_ascii())
    }

    /// What is expected, in quotes, as a failure reason shows it.
    pub(crate) fn quoted(&self) -> String {
        format!(
            "\"{}\"",
            excerpt(&String::from_utf8_lossy(self.finder.needle()), 60)
        )
    }
}

/// The end of what was searched: a match may span two pieces.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    /// Whether what is expected ends in the next piece.
    fn feed(&mut self, expect: &Expect, piece: &[u8]) -> bool {
        if expect.is_in(piece) {
            return true;
        }
        let overlap = expect.finder.needle().len() - 1;
        let before = self.0.len();
        self.0.extend_from_slice(&piece[..piece.len().min(overlap)]);
        if before > 0 && expect.is_in(&self.0) {
            return true;
        }
        if piece.len() >= overlap {
            self.0.clear();
            self.0.extend_from_slice(&piece[piece.len() - overlap..]);
        } else {
            self.0.drain(..self.0.len().saturating_sub(overlap));
        }
        false
    }
}

/// What is known of the encoding of an answer.
enum Charset {
    /// Its first bytes, which may declare it, and what a header says.
    Unknown(Vec<u8>, Option<&'static Encoding>),
    Known(Option<&'static Encoding>),
}

/// The search of an answer while it arrives. It keeps no more of the answer than
/// it needs. A text is searched for as it is, in UTF-8, and in the answer's encoding.
pub(crate) struct Search<'a> {
    expect: Option<&'a Expect>,
    tail: Tail,
    charset: Charset,
    /// Decodes the answer, and the end of its text, if that may differ from UTF-8.
    decoded: Option<Box<(Decoder, Tail)>>,
    /// The beginning of the answer, for `--explain`.
    head: Option<Vec<u8>>,
    seen: usize,
}

impl<'a> Search<'a> {
    /// Begins a search of an answer whose encoding nothing declares.
    pub(crate) fn new(expect: Option<&'a Expect>, check: &Check) -> Self {
        let mut search = Self::begin(expect, Charset::Known(None), check);
        search.decode();
        search
    }

    /// Begins a search of a page, whose encoding a header or the page itself may declare.
    pub(crate) fn of_page(
        expect: Option<&'a Expect>,
        header: Option<&'static Encoding>,
        check: &Check,
    ) -> Self {
        let mut search = Self::begin(expect, Charset::Unknown(Vec::new(), header), check);
        search.guess();
        search
    }

    fn begin(expect: Option<&'a Expect>, charset: Charset, check: &Check) -> Self {
        Self {
            expect,
            tail: Tail::default(),
            charset,
            decoded: None,
            head: check.is_traced().then(Vec::new),
            seen: 0,
        }
    }

    /// Begins anew with another form of the same page.
    pub(crate) fn restart(&mut self, header: Option<&'static Encoding>) {
        self.tail = Tail::default();
        self.charset = Charset::Unknown(Vec::new(), header);
        self.decoded = None;
        self.head = self.head.take().map(|_| Vec::new());
        self.seen = 0;
        self.guess();
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
        if self.tail.feed(expect, piece) {
            return true;
        }
        if self.feed_decoded(piece) {
            return true;
        }
        let is_decided = match &mut self.charset {
            Charset::Known(_) => false,
            Charset::Unknown(bytes, header) => {
                bytes.extend_from_slice(piece);
                !charset::may_change(*header, bytes)
            }
        };
        is_decided && self.end()
    }

    /// Nothing more arrives, or the encoding is known. Returns whether what is expected
    /// is in what was held back until then.
    pub(crate) fn end(&mut self) -> bool {
        let Charset::Unknown(bytes, header) = &mut self.charset else {
            return false;
        };
        let bytes = std::mem::take(bytes);
        let declared = charset::declared(*header, &bytes);
        self.charset = Charset::Known(declared);
        if declared.is_none() {
            return false; // the guess was right
        }
        self.decode();
        self.feed_decoded(&bytes)
    }

    /// Decodes a page as if nothing declared its encoding, until something does.
    fn guess(&mut self) {
        if let (Charset::Unknown(_, None), Some(expect)) = (&self.charset, self.expect)
            && expect.differs_in(None)
        {
            self.decoded = Some(Box::new((Decoder::new(None), Tail::default())));
        }
    }

    /// Decodes from here on, if there is need.
    fn decode(&mut self) {
        let Charset::Known(encoding) = &self.charset else {
            return;
        };
        let differs = self.expect.is_some_and(|expect| expect.differs_in(*encoding));
        self.decoded = differs.then(|| Box::new((Decoder::new(*encoding), Tail::default())));
    }

    fn feed_decoded(&mut self, piece: &[u8]) -> bool {
        let (Some(decoded), Some(expect)) = (&mut self.decoded, self.expect) else {
            return false;
        };
        let (decoder, tail) = &mut **decoded;
        let mut found = false;
        decoder.feed(piece, |text| {
            found = tail.feed(expect, text);
            !found
        });
        found
    }

    /// Adds what arrived to the trace of `--explain`.
    pub(crate) fn explain(&self, check: &Check, step: &str) {
        if let Some(head) = &self.head {
            check.step(step, || match self.seen {
                0 => "nothing".to_owned(),
                _ => {
                    // Masked before it is cut: half a secret would not be recognised.
                    let encoding = match &self.charset {
                        Charset::Known(encoding) => *encoding,
                        Charset::Unknown(_, header) => charset::declared(*header, head),
                    };
                    let text = charset::shown(encoding, head);
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

/// Searches `bytes` as a page that declares its encoding, for the fuzz target.
pub(crate) fn fuzz(bytes: &[u8]) {
    let (header, page) = bytes.split_at(bytes.len() / 4);
    let header = charset::of_content_type(header);
    let encoding = charset::declared(header, page);
    let mut decoder = Decoder::new(encoding);
    for piece in page.chunks(7) {
        decoder.feed(piece, |text| std::str::from_utf8(text).is_ok());
    }
    std::hint::black_box(charset::shown(encoding, page));
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
        Expect::of_text(needle)
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
                prop_assert!(search.tail.0.len() < needle.len());
            }
        }
    }

    /// Whether a page is found to contain `needle`, cut into pieces of `size`.
    fn finds(needle: &str, content_type: &str, page: &[u8], size: usize) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let _guard = runtime.enter();
        let check = crate::recorder::check(Duration::from_secs(20));
        let (expect, header) = (expect(needle), charset::of_content_type(content_type.as_bytes()));
        let mut search = Search::of_page(Some(&expect), header, &check);
        page.chunks(size).any(|piece| search.feed(piece)) || search.end()
    }

    #[test]
    fn text_is_found_in_the_encoding_of_the_page() {
        let latin1 = b"<p>Ger\xe4t l\xe4uft</p>";
        let japanese = b"\x82\xb1\x82\xf1\x82\xc9\x82\xbf\x82\xcd"; // konnichiwa in Shift_JIS
        let utf16: Vec<u8> = "\u{feff}Gerät"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        for size in [1, 2, 5, 4096] {
            for header in [
                "",
                "text/html",
                "charset=iso-8859-1",
                "charset=utf-8",
                "charset=wrong",
            ] {
                assert!(finds("Gerät", header, latin1, size), "{header}");
                assert!(
                    finds("Gerät läuft", header, "Gerät läuft".as_bytes(), size),
                    "{header}"
                );
                assert!(!finds("Gerät steht", header, latin1, size), "{header}");
            }
            assert!(finds("にち", "charset=shift_jis", japanese, size));
            let declared = [b"<meta charset=sjis>", &japanese[..]].concat();
            assert!(finds("にち", "text/html", &declared, size));
            assert!(!finds("にち", "text/html", japanese, size));
            for needle in ["Ger", "Gerät"] {
                assert!(finds(needle, "", &utf16, size));
                assert!(finds(needle, "charset=utf-16", &utf16, size));
                assert!(finds(needle, "charset=utf-16", &utf16[2..], size));
                assert!(!finds(needle, "charset=utf-8", &utf16[2..], size));
            }
        }
        // A letter of another script is not taken for two of this one.
        assert!(!finds("é¢", "", "颀".as_bytes(), 1), "U+9880 is e9 a2 80");
    }

    #[test]
    fn bytes_are_found_as_they_are_and_no_other_way() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let _guard = runtime.enter();
        let check = crate::recorder::check(Duration::from_secs(20));
        let expect = Expect::of_bytes("ä".as_bytes());
        assert!(!Search::new(Some(&expect), &check).feed(b"\xe4"));
        assert!(Search::new(Some(&expect), &check).feed("ä".as_bytes()));
    }
}
