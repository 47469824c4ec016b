//! The character encoding of an answer, and its bytes as text.

use std::str;

use encoding_rs::{CoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use memchr::memmem;

/// How much of a page is searched for a declaration, as browsers do.
const MAX_SNIFFED: usize = 1024;

/// About how much text is passed on at once, in bytes.
const TEXT: usize = 1024;

/// The longest byte order mark.
const MARK: usize = 3;

/// The encoding of that name, in a header or a page.
pub(super) fn named(label: &[u8]) -> Option<&'static Encoding> {
    Encoding::for_label_no_replacement(label)
}

/// The `charset` of a Content-Type.
pub(crate) fn of_content_type(value: &[u8]) -> Option<&'static Encoding> {
    charset(value).and_then(named)
}

/// The encoding of a text that begins with `bytes`, as far as the bytes or a header
/// declare it. `None`: nothing does.
pub(super) fn declared(header: Option<&'static Encoding>, bytes: &[u8]) -> Option<&'static Encoding> {
    if let Some((encoding, _)) = Encoding::for_bom(bytes) {
        return Some(encoding);
    }
    match header {
        // The label alone does not say which half of a letter comes first.
        Some(encoding) if encoding == UTF_16LE && matches!(bytes, [0, second, ..] if *second > 0) => {
            Some(UTF_16BE)
        }
        Some(encoding) => Some(encoding),
        None => in_page(&bytes[..bytes.len().min(MAX_SNIFFED)]),
    }
}

/// Whether more bytes may change what [`declared`] returns.
pub(super) fn may_change(header: Option<&'static Encoding>, bytes: &[u8]) -> bool {
    let length = bytes.len();
    length < MARK || header.is_none() && length < MAX_SNIFFED && Encoding::for_bom(bytes).is_none()
}

/// The encoding that an XML declaration or a `meta` element names.
fn in_page(bytes: &[u8]) -> Option<&'static Encoding> {
    let declaration = bytes.strip_prefix(b"<?xml").and_then(|rest| {
        let end = memchr::memchr(b'>', rest)?;
        value(&rest[..end], b"encoding")
    });
    let label = declaration.or_else(|| {
        let mut rest = bytes;
        loop {
            rest = &rest[memchr::memchr(b'<', rest)? + 1..];
            if let Some(comment) = rest.strip_prefix(b"!--") {
                rest = &comment[memmem::find(comment, b"-->")?..];
                continue;
            }
            let is_meta = rest
                .get(..4)
                .is_some_and(|name| name.eq_ignore_ascii_case(b"meta"));
            if is_meta {
                let end = memchr::memchr(b'>', rest)?;
                if let Some(label) = charset(&rest[4..end]) {
                    return Some(label);
                }
            }
        }
    });
    // It was read as ASCII, so it cannot be UTF-16.
    label
        .and_then(named)
        .map(|encoding| match encoding.is_ascii_compatible() {
            true => encoding,
            false if encoding == UTF_16LE || encoding == UTF_16BE => UTF_8,
            false => encoding,
        })
}

fn charset(text: &[u8]) -> Option<&[u8]> {
    value(text, b"charset")
}

/// The value after `name` and `=` in `text`.
fn value<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = text;
    loop {
        let at = rest
            .windows(name.len())
            .position(|word| word.eq_ignore_ascii_case(name))?;
        rest = rest[at + name.len()..].trim_ascii_start();
        let Some(value) = rest.strip_prefix(b"=") else {
            continue;
        };
        let value = value.trim_ascii_start();
        let is_end = |byte: &u8| b"\"' \t\r\n;/>?".contains(byte);
        let value = match value.first() {
            Some(b'"' | b'\'') => &value[1..],
            _ => value,
        };
        let end = value.iter().position(is_end).unwrap_or(value.len());
        return Some(&value[..end]);
    }
}

/// Bytes that become text piece by piece.
pub(super) enum Decoder {
    /// In a declared encoding.
    Declared(Box<encoding_rs::Decoder>),
    /// UTF-8, and what is not is windows-1252, as where nothing is declared or where
    /// a server only says UTF-8. Holds the letter that the last piece cuts.
    Guessed(Vec<u8>),
}

impl Decoder {
    pub(super) fn new(declared: Option<&'static Encoding>) -> Self {
        match declared {
            Some(encoding) if encoding != UTF_8 => Self::Declared(Box::new(encoding.new_decoder())),
            _ => Self::Guessed(Vec::new()),
        }
    }

    /// Decodes the next bytes, and passes the text on in pieces until `wants_more`
    /// returns false.
    pub(super) fn feed(&mut self, bytes: &[u8], wants_more: impl FnMut(&[u8]) -> bool) {
        match self {
            Self::Declared(decoder) => decode(decoder, bytes, wants_more),
            Self::Guessed(cut) => guess(cut, bytes, wants_more),
        }
    }
}

fn decode(decoder: &mut encoding_rs::Decoder, mut bytes: &[u8], mut wants_more: impl FnMut(&[u8]) -> bool) {
    let mut text = [0; TEXT];
    loop {
        let (result, read, written, _) = decoder.decode_to_utf8(bytes, &mut text, false);
        bytes = &bytes[read..];
        if written > 0 && !wants_more(&text[..written]) || result == CoderResult::InputEmpty {
            return;
        }
    }
}

/// A search of each letter by itself would take longer than the peer needs to send it: they are
/// collected.
fn guess(cut: &mut Vec<u8>, bytes: &[u8], mut wants_more: impl FnMut(&[u8]) -> bool) {
    let joined;
    let bytes = match cut.is_empty() {
        true => bytes,
        false => {
            joined = [&**cut, bytes].concat();
            &joined
        }
    };
    cut.clear();
    let mut text = Vec::new();
    let mut latin = WINDOWS_1252.new_decoder_without_bom_handling();
    let mut left = bytes.len();
    for chunk in bytes.utf8_chunks() {
        let (valid, invalid) = (chunk.valid().as_bytes(), chunk.invalid());
        left -= valid.len() + invalid.len();
        let is_cut = || str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
        if text.len() + valid.len() >= TEXT {
            if !text.is_empty() && !wants_more(&text) || !valid.is_empty() && !wants_more(valid) {
                return;
            }
            text.clear();
        } else {
            text.extend_from_slice(valid);
        }
        if left == 0 && is_cut() {
            cut.extend_from_slice(invalid);
        } else if !invalid.is_empty() {
            let mut letters = [0; 16];
            let (.., written, _) = latin.decode_to_utf8(invalid, &mut letters, false);
            text.extend_from_slice(&letters[..written]);
        }
    }
    if !text.is_empty() {
        wants_more(&text);
    }
}

/// The whole of a text.
pub(super) fn shown(declared: Option<&'static Encoding>, bytes: &[u8]) -> String {
    let mut text = Vec::new();
    Decoder::new(declared).feed(bytes, |piece| {
        text.extend_from_slice(piece);
        true
    });
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use encoding_rs::{ISO_8859_15, SHIFT_JIS, UTF_16BE};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_encoding_is_found_where_it_is_declared() {
        let of = |header: &str, page: &[u8]| {
            declared(of_content_type(header.as_bytes()), page).map(Encoding::name)
        };
        for (header, name) in [
            ("text/html; charset=iso-8859-1", "windows-1252"),
            ("text/html;CHARSET = \"Latin1\"", "windows-1252"),
            ("text/html; charset='shift_jis'; x=y", "Shift_JIS"),
            ("text/html; charset=utf-16", "UTF-16LE"),
            ("charset charset=utf8", "UTF-8"),
        ] {
            assert_eq!(of(header, b"x"), Some(name), "{header}");
        }
        for header in [
            "",
            "text/html",
            "text/html; charset",
            "text/html; charset=none",
            "charset=",
        ] {
            assert_eq!(of(header, b"x"), None, "{header}");
        }
        for (page, name) in [
            (&b"<meta charset=iso-8859-15>"[..], "ISO-8859-15"),
            (b"<!doctype html><HTML><META Charset = 'EUC-JP'>", "EUC-JP"),
            (
                b"<meta name=x><meta http-equiv=Content-Type content=\"text/html; charset=windows-1251\">",
                "windows-1251",
            ),
            (b"<!-- <meta charset=big5> --><meta charset=gbk>", "GBK"),
            (
                b"<?xml version=\"1.0\" encoding='ISO-8859-2'?><meta charset=gbk>",
                "ISO-8859-2",
            ),
            (b"<meta charset=utf-16>", "UTF-8"),
        ] {
            assert_eq!(of("text/html", page), Some(name));
            // A header counts more, and a mark most.
            assert_eq!(of("text/html; charset=koi8-r", page), Some("KOI8-R"));
            assert_eq!(
                of("charset=koi8-r", &[b"\xef\xbb\xbf", page].concat()),
                Some("UTF-8")
            );
        }
        assert_eq!(of("", b"<meta charset"), None);
        assert_eq!(of("", b"<!-- <meta charset=gbk>"), None);
        assert_eq!(of("charset=utf-16", b"\0a\0b"), Some("UTF-16BE"));
        assert_eq!(of("charset=utf-16", b"\xfe\xff\0b"), Some("UTF-16BE"));
        let late = [&[b' '; MAX_SNIFFED][..], b"<meta charset=gbk>"].concat();
        assert_eq!(of("", &late), None);
    }

    fn decoded(encoding: Option<&'static Encoding>, bytes: &[u8], size: usize) -> String {
        let (mut decoder, mut text) = (Decoder::new(encoding), Vec::new());
        for piece in bytes.chunks(size) {
            decoder.feed(piece, |piece| {
                text.extend_from_slice(piece);
                true
            });
        }
        String::from_utf8(text).unwrap()
    }

    /// What a hostile page costs: each piece of text is searched by itself.
    #[test]
    fn letters_that_are_not_utf_8_are_passed_on_together() {
        for page in [
            &b"\xe4"[..],
            b"a\xe4",
            b"\xe2\x82",
            b"\xf0\x9f\x98\x80\xff",
            &[b'a'; 1025],
        ] {
            let page = page.repeat(100_000 / page.len());
            for size in [page.len(), 4096] {
                let (mut decoder, mut pieces, mut written) = (Decoder::new(None), 0, 0);
                for piece in page.chunks(size) {
                    decoder.feed(piece, |text| {
                        (pieces, written) = (pieces + 1, written + text.len());
                        true
                    });
                }
                let most = 2 * (written / TEXT + page.len().div_ceil(size));
                assert!(
                    written >= page.len() - 3 && pieces <= most,
                    "{pieces} of {written} bytes"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn text_is_decoded_however_it_is_cut(text in "[aäß€ひら]{0,20}", size in 1_usize..9) {
            for encoding in [SHIFT_JIS, ISO_8859_15, WINDOWS_1252, UTF_8] {
                let (bytes, _, unmappable) = encoding.encode(&text);
                if !unmappable {
                    prop_assert_eq!(&decoded(Some(encoding), &bytes, size), &text);
                }
            }
            let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
            prop_assert_eq!(&decoded(Some(UTF_16BE), &bytes, size), &text);
            prop_assert_eq!(&decoded(None, text.as_bytes(), size), &text);
        }

        #[test]
        fn what_is_not_utf_8_is_windows_1252(text in "[a-zäöß ]{1,5}[a-z]", size in 1_usize..9) {
            let (bytes, _, _) = WINDOWS_1252.encode(&text);
            prop_assert_eq!(decoded(None, &[&bytes, "ü€".as_bytes()].concat(), size), format!("{text}ü€"));
        }
    }
}
