//! E-mail addresses.

use apmon_core::config::Host;

/// Whether `text` is an e-mail address (RFC 5322, simplified): one `@`, no
/// spaces, and a host name as its domain.
#[must_use]
pub(super) fn is_email_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+/=?^_`{|}~.-".contains(c);
    !local.is_empty()
        && local.len() <= 64
        && local.chars().all(atom)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && matches!(Host::parse(domain), Some(Host::Name(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn email_addresses_have_a_local_part_and_a_domain() {
        for ok in ["a@b.example", "first.last+tag@x-y.example", "root@localhost"] {
            assert!(is_email_address(ok), "{ok}");
        }
        for bad in [
            "",
            "a",
            "@b",
            "a@",
            "a b@c",
            "a@b@c",
            ".a@b",
            "a..b@c",
            "a@1.2.3.4",
            "a@b c",
        ] {
            assert!(!is_email_address(bad), "{bad}");
        }
    }
}
