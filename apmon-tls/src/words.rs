//! Names of enum variants as words, for reasons that a person reads.

/// The words of a variant's name, without its fields: `handshake failure` for
/// `HandshakeFailure`, `unknown CA` for `UnknownCA`.
///
/// rustls names the alerts of a standard this way, which has no other text for them.
pub(crate) fn words(name: &str) -> String {
    let name = name.split(['(', '{']).next().unwrap_or_default().trim_end();
    let letters: Vec<char> = name.chars().collect();
    let mut words: Vec<String> = Vec::new();
    for (i, letter) in letters.iter().enumerate() {
        let after_lower = i > 0 && !letters[i - 1].is_uppercase();
        let before_lower = letters.get(i + 1).is_some_and(|next| next.is_lowercase());
        match words.last_mut() {
            Some(word) if !(letter.is_uppercase() && (after_lower || before_lower)) => word.push(*letter),
            _ => words.push(letter.to_string()),
        }
    }
    let is_acronym = |word: &str| word.len() > 1 && !word.chars().any(char::is_lowercase);
    let words = words.into_iter().map(|word| match is_acronym(&word) {
        true => word,
        false => word.to_lowercase(),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_variant_becomes_words() {
        for (name, expected) in [
            ("HandshakeFailure", "handshake failure"),
            ("UnknownCA", "unknown CA"),
            ("UnknownPSKIdentity", "unknown PSK identity"),
            ("UnsupportedCriticalExtension", "unsupported critical extension"),
            (
                "ServerRejectedEncryptedClientHello(Some([1]))",
                "server rejected encrypted client hello",
            ),
            ("InvalidCertificate { why: 1 }", "invalid certificate"),
            ("already in words", "already in words"),
            ("", ""),
        ] {
            assert_eq!(words(name), expected);
        }
    }
}
