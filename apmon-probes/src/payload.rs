//! The options `send` and `expect` as bytes: text, hex or base64.

use apmon_core::{
    Secret,
    config::{Section, Text},
};
use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::expect::Expect;

/// The encoding of bytes in a site file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// The text itself, in UTF-8. In double quotes YAML turns `\r\n` into a line end.
    #[default]
    Text,
    /// Two hex digits per byte; whitespace and colons are ignored.
    Hex,
    /// Base64 (RFC 4648 section 4), with or without padding; whitespace is ignored.
    Base64,
}

/// The error of decoding a text. Its message continues the sentence that begins
/// with `"send"`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("is not valid hex: '{}' at character {at}", .found.escape_debug())]
    InvalidHex { found: char, at: usize },
    #[error("is not valid hex: odd number of digits ({digits})")]
    OddDigits { digits: usize },
    #[error("is not valid base64: '{}' at character {at}", .found.escape_debug())]
    InvalidBase64 { found: char, at: usize },
    #[error("is not valid base64: it ends in the middle of a byte")]
    IncompleteBase64,
}

/// Decodes `text`.
pub(crate) fn decode(encoding: Encoding, text: &str) -> Result<Vec<u8>, DecodeError> {
    match encoding {
        Encoding::Text => Ok(text.as_bytes().to_vec()),
        Encoding::Hex => decode_hex(text),
        Encoding::Base64 => decode_base64(text),
    }
}

fn decode_hex(text: &str) -> Result<Vec<u8>, DecodeError> {
    let mut digits = Vec::with_capacity(text.len());
    for (at, found) in text.chars().enumerate() {
        match found.to_digit(16) {
            Some(digit) => digits.push(digit as u8),
            None if found == ':' || found.is_ascii_whitespace() => {}
            None => return Err(DecodeError::InvalidHex { found, at: at + 1 }),
        }
    }
    if !digits.len().is_multiple_of(2) {
        return Err(DecodeError::OddDigits { digits: digits.len() });
    }
    Ok(digits
        .chunks_exact(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect())
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        // Some encoders leave garbage in the unused bits of the last character.
        .with_decode_allow_trailing_bits(true),
);

fn decode_base64(text: &str) -> Result<Vec<u8>, DecodeError> {
    let mut symbols = Vec::with_capacity(text.len());
    let mut positions = Vec::with_capacity(text.len());
    for (at, found) in text.chars().enumerate() {
        match u8::try_from(found) {
            Ok(space) if space.is_ascii_whitespace() => {}
            Ok(symbol) if symbol.is_ascii() => {
                symbols.push(symbol);
                positions.push(at + 1);
            }
            _ => return Err(DecodeError::InvalidBase64 { found, at: at + 1 }),
        }
    }
    BASE64.decode(&symbols).map_err(|error| match error {
        base64::DecodeError::InvalidByte(offset, byte)
        | base64::DecodeError::InvalidLastSymbol(offset, byte) => DecodeError::InvalidBase64 {
            found: char::from(byte),
            at: positions.get(offset).copied().unwrap_or(0),
        },
        base64::DecodeError::InvalidLength(_) | base64::DecodeError::InvalidPadding => {
            DecodeError::IncompleteBase64
        }
    })
}

/// Reads the options `expect` and `expect_type` of a section.
pub(crate) fn read_expect(
    section: &mut Section<'_>,
    expect: Option<&Text>,
    expect_type: Encoding,
) -> Option<Expect> {
    if section.has("expect_type") && !section.has("expect") {
        section.misplaced("expect_type", "needs \"expect\"");
    }
    match decode(expect_type, expect?.as_str()) {
        Ok(bytes) if bytes.is_empty() => {
            section.error("expect", "must not be empty");
            None
        }
        Ok(bytes) => Some(match expect_type {
            Encoding::Text => Expect::of_text(expect?.as_str()),
            Encoding::Hex | Encoding::Base64 => Expect::of_bytes(&bytes),
        }),
        Err(error) => {
            section.error("expect", error);
            None
        }
    }
}

/// Reads the options `send` and `content_type` of a section.
pub(crate) fn read_send(
    section: &mut Section<'_>,
    send: Option<&Secret>,
    content_type: Encoding,
) -> Option<Vec<u8>> {
    if section.has("content_type") && !section.has("send") {
        section.misplaced("content_type", "needs \"send\"");
    }
    let text = send?;
    match decode(content_type, text.reveal()) {
        Ok(bytes) if bytes.is_empty() => {
            section.error("send", "must not be empty");
            None
        }
        Ok(bytes) => Some(bytes),
        Err(error) => {
            section.error("send", error);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_decoded_by_their_encoding() {
        for (encoding, text, bytes) in [
            (Encoding::Text, "EHLO x\r\n", &b"EHLO x\r\n"[..]),
            (Encoding::Hex, "01 02:0aFF", &[1, 2, 10, 255]),
            (Encoding::Hex, "", &[]),
            (Encoding::Base64, "AQIK/w==", &[1, 2, 10, 255]),
            (Encoding::Base64, "AQIK/w", &[1, 2, 10, 255]),
            (Encoding::Base64, "AQ IK\n/w", &[1, 2, 10, 255]),
        ] {
            assert_eq!(decode(encoding, text).unwrap(), bytes, "{text}");
        }
    }

    #[test]
    fn an_invalid_character_is_reported_with_its_position() {
        for (encoding, text, message) in [
            (Encoding::Hex, "01 0x", "is not valid hex: 'x' at character 5"),
            (Encoding::Hex, "ü", "is not valid hex: 'ü' at character 1"),
            (Encoding::Hex, "010", "is not valid hex: odd number of digits (3)"),
            (
                Encoding::Base64,
                "AQ I*",
                "is not valid base64: '*' at character 5",
            ),
            (
                Encoding::Base64,
                "AQIü",
                "is not valid base64: 'ü' at character 4",
            ),
            (
                Encoding::Base64,
                "AQIKA",
                "is not valid base64: it ends in the middle of a byte",
            ),
        ] {
            assert_eq!(decode(encoding, text).unwrap_err().to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn decoders_never_panic(text in any::<String>()) {
            let _ = decode(Encoding::Hex, &text);
            let _ = decode(Encoding::Base64, &text);
        }

        #[test]
        fn almost_valid_texts_never_panic(text in "[0-9a-fA-F:= +/]{0,40}\\PC?") {
            let _ = decode(Encoding::Hex, &text);
            let _ = decode(Encoding::Base64, &text);
        }

        #[test]
        fn hex_decodes_to_the_encoded_bytes(bytes in any::<Vec<u8>>()) {
            let text: String = bytes.iter().map(|byte| format!("{byte:02x}:")).collect();
            prop_assert_eq!(decode(Encoding::Hex, &text).unwrap(), bytes);
        }

        #[test]
        fn base64_decodes_to_the_encoded_bytes_with_and_without_padding(bytes in any::<Vec<u8>>()) {
            let padded = base64::prelude::BASE64_STANDARD.encode(&bytes);
            let bare = base64::prelude::BASE64_STANDARD_NO_PAD.encode(&bytes);
            prop_assert_eq!(&decode(Encoding::Base64, &padded).unwrap(), &bytes);
            prop_assert_eq!(&decode(Encoding::Base64, &bare).unwrap(), &bytes);
        }
    }
}
