//! The StartTLS operation of LDAP, in BER (X.690 section 8.1).

/// The request: `LDAPMessage { 1, extendedReq { 1.3.6.1.4.1.1466.20037 } }`.
pub(super) fn request() -> Vec<u8> {
    const OID: &[u8] = b"1.3.6.1.4.1.1466.20037";
    let mut request = vec![
        0x30,
        OID.len() as u8 + 7,
        0x02,
        1,
        1,
        0x77,
        OID.len() as u8 + 2,
        0x80,
        OID.len() as u8,
    ];
    request.extend_from_slice(OID);
    request
}

/// The length of the element that begins here, header included; `None` while the
/// header is incomplete.
pub(super) fn element_length(bytes: &[u8]) -> Option<usize> {
    let (header, content) = header(bytes)?;
    Some(header.saturating_add(content))
}

/// The lengths of an element's header and content.
fn header(bytes: &[u8]) -> Option<(usize, usize)> {
    let first = usize::from(*bytes.get(1)?);
    if first < 0x80 {
        return Some((2, first));
    }
    let count = first & 0x7f;
    if count > 4 {
        return Some((2, usize::MAX)); // longer than anything
    }
    let digits = bytes.get(2..2 + count)?;
    let length = digits
        .iter()
        .fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
    Some((2 + count, length))
}

/// An element's tag, its content, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (head, content) = header(bytes)?;
    let end = head.checked_add(content)?;
    Some((*bytes.first()?, bytes.get(head..end)?, &bytes[end..]))
}

/// The result code of an ExtendedResponse.
pub(super) fn result_code(message: &[u8]) -> Option<u32> {
    let (0x30, content, _) = element(message)? else {
        return None;
    };
    let (0x02, _, rest) = element(content)? else {
        return None;
    };
    let (0x78, response, _) = element(rest)? else {
        return None;
    };
    let (0x0a, code, _) = element(response)? else {
        return None;
    };
    (1..=4)
        .contains(&code.len())
        .then(|| code.iter().fold(0, |code, byte| code << 8 | u32::from(*byte)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const YES: &[u8] = &[0x30, 12, 2, 1, 1, 0x78, 7, 0x0a, 1, 0, 4, 0, 4, 0];

    #[test]
    fn the_result_code_is_read() {
        assert_eq!(result_code(YES), Some(0));
    }

    proptest! {
        #[test]
        fn no_answer_of_a_directory_panics(bytes in any::<Vec<u8>>()) {
            let _ = (result_code(&bytes), element_length(&bytes));
        }

        #[test]
        fn no_damaged_answer_panics(at in 0..YES.len(), byte in any::<u8>(), cut in 0..YES.len()) {
            let mut bytes = YES.to_vec();
            bytes[at] = byte;
            let _ = (result_code(&bytes), result_code(&bytes[..cut]));
        }
    }
}
