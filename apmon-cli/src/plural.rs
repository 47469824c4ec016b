//! Numbers with their nouns.

use std::fmt::Display;

/// `1 check`, `2 checks`.
pub(crate) fn count<N: Display + PartialEq + From<u8>>(n: N, noun: &str) -> String {
    let ending = if n == N::from(1) { "" } else { "s" };
    format!("{n} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_is_singular() {
        let texts = [0_u64, 1, 2].map(|n| count(n, "notification"));
        assert_eq!(texts, ["0 notifications", "1 notification", "2 notifications"]);
    }
}
