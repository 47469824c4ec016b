//! Words of other tools, and what takes their place in a site file.

use crate::text::nearest;

/// What takes the place of a foreign word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// This option.
    Option(&'static str),
    /// No option; the text says what to do.
    Other(&'static str),
}

use Place::{Option as Is, Other};

/// Options of other tools. A section that has an option of such a name reads it itself. If a word
/// is listed more than once, the first option that the section has is meant.
const OPTIONS: &[(&str, Place)] = &[
    ("interval", Is("check_every_n_secs")),
    ("check_interval", Is("check_every_n_secs")),
    ("frequency", Is("check_every_n_secs")),
    ("period", Is("check_every_n_secs")),
    ("timeout", Is("max_try_secs")),
    ("timeout_secs", Is("max_try_secs")),
    ("timeout_seconds", Is("max_try_secs")),
    ("check_timeout", Is("max_try_secs")),
    ("retries", Is("max_retries")),
    ("max_check_attempts", Is("max_retries")),
    ("attempts", Is("max_retries")),
    ("retry_interval", Is("retry_every_n_secs")),
    ("notification_interval", Is("notify_every_n_secs")),
    ("renotify_interval", Is("notify_every_n_secs")),
    ("resend_interval", Is("notify_every_n_secs")),
    ("url", Is("address")),
    ("host", Is("address")),
    ("hostname", Is("address")),
    ("ip", Is("address")),
    ("target", Is("address")),
    ("endpoint", Is("address")),
    ("server", Is("address")),
    ("url", Is("endpoint_url")),
    ("webhook_url", Is("endpoint_url")),
    ("host", Is("smtp_host")),
    ("hostname", Is("smtp_host")),
    ("server", Is("smtp_host")),
    ("port", Is("smtp_port")),
    ("username", Is("smtp_username")),
    ("user", Is("smtp_username")),
    ("password", Is("smtp_password")),
    ("pass", Is("smtp_password")),
    ("webhook_url", Is("url")),
    ("webhook", Is("url")),
    ("chat", Is("chat_id")),
    ("from", Is("from_address")),
    ("sender", Is("from_address")),
    ("to", Is("email")),
    ("recipient", Is("email")),
    ("address", Is("email")),
    ("title", Is("name")),
    ("kind", Is("type")),
    ("protocol", Is("type")),
    ("prober", Is("type")),
    ("module", Is("type")),
    ("keyword", Is("expect")),
    ("contains", Is("expect")),
    ("status", Is("expect_status")),
    ("status_code", Is("expect_status")),
    ("expected_status", Is("expect_status")),
    ("accepted_statuscodes", Is("expect_status")),
    ("valid_status_codes", Is("expect_status")),
    ("body", Is("send")),
    ("payload", Is("send")),
    ("verify_ssl", Is("ssl_verify")),
    ("tls_verify", Is("ssl_verify")),
    ("ca_file", Is("ssl_ca_file")),
    ("cert_expiry", Is("ssl_expiry_warn_days")),
    ("certificate_expiration", Is("ssl_expiry_warn_days")),
    ("expiry_notification", Is("ssl_expiry_warn_days")),
    ("ip_protocol", Is("address_family")),
    ("preferred_ip_protocol", Is("address_family")),
    ("ip_version", Is("address_family")),
    ("query_name", Is("query")),
    ("fingerprint", Is("ssl_fingerprint")),
    ("notifications", Is("alarms")),
    ("notify", Is("alarms")),
    ("webhooks", Is("outage_webhooks")),
    ("emails", Is("outage_emails")),
    ("smtp", Is("email_server")),
    (
        "enabled",
        Other("is not an option: remove a monitor that is not to be checked, or silence it with alarms: no"),
    ),
    (
        "disabled",
        Other("is not an option: remove a monitor that is not to be checked, or silence it with alarms: no"),
    ),
    (
        "active",
        Other("is not an option: remove a monitor that is not to be checked, or silence it with alarms: no"),
    ),
    (
        "tags",
        Other("is not an option: apmon has no tags; a comment (# ...) can take their place"),
    ),
    (
        "labels",
        Other("is not an option: apmon has no labels; a comment (# ...) can take their place"),
    ),
    (
        "group",
        Other("is not an option: apmon has no groups; each site file is a site of its own"),
    ),
    (
        "description",
        Other("is not an option: put it into \"name\", or into a comment (# ...)"),
    ),
    (
        "basic_auth",
        Other("is not an option: write the login into the address, http://USER:PASSWORD@HOST/"),
    ),
    (
        "username",
        Other("is not an option: write the login into the address, http://USER:PASSWORD@HOST/"),
    ),
    (
        "password",
        Other("is not an option: write the login into the address, http://USER:PASSWORD@HOST/"),
    ),
    (
        "basic_auth_user",
        Other("is not an option: write the login into the address, http://USER:PASSWORD@HOST/"),
    ),
    (
        "auth",
        Other("is not an option: write the login into the address, http://USER:PASSWORD@HOST/"),
    ),
    (
        "port",
        Other("is not an option: write the port into the address, such as tcp://HOST:PORT"),
    ),
    (
        "conditions",
        Other(
            "is not an option: \"expect\" is the text that an answer must contain, and \"expect_status\" the status",
        ),
    ),
    (
        "regex",
        Other("is not an option: \"expect\" is the text that an answer must contain; there are no patterns"),
    ),
    (
        "fail_if_body_not_matches_regexp",
        Other("is not an option: \"expect\" is the text that an answer must contain; there are no patterns"),
    ),
    (
        "alerts",
        Other(
            "is not an option: channels are listed in the section \"site\", and alarms: no silences a monitor",
        ),
    ),
    (
        "client",
        Other("is not an option: timeouts and certificates are options of the monitor itself"),
    ),
    (
        "contacts",
        Other(
            "is not an option: channels are listed in the section \"site\", and alarms: no silences a monitor",
        ),
    ),
    (
        "contact_groups",
        Other(
            "is not an option: channels are listed in the section \"site\", and alarms: no silences a monitor",
        ),
    ),
    (
        "follow_redirects",
        Other("is not an option: redirects are followed, unless expect_status lists their status"),
    ),
    (
        "no_follow_redirects",
        Other("is not an option: redirects are followed, unless expect_status lists their status"),
    ),
    (
        "max_redirects",
        Other("is not an option: up to 30 redirects are followed"),
    ),
    (
        "user_agent",
        Other("is not an option: write it into \"headers\", {User-Agent: ...}"),
    ),
    (
        "upside_down",
        Other("is not an option: a check cannot be inverted"),
    ),
    (
        "fail_if_not_ssl",
        Other("is not an option: write https:// into the address"),
    ),
    (
        "tls_config",
        Other("is not an option: see ssl_verify, ssl_ca_file and ssl_fingerprint"),
    ),
    (
        "ignore_tls",
        Other("is not an option: certificates are not verified unless ssl_verify: yes is set"),
    ),
    (
        "method",
        Other("is not an option: a request is a POST if it has \"send\", else a GET"),
    ),
    (
        "insecure",
        Other("is not an option: certificates are not verified unless ssl_verify: yes is set"),
    ),
    (
        "insecure_skip_verify",
        Other("is not an option: certificates are not verified unless ssl_verify: yes is set"),
    ),
];

/// Types of other tools, and those of services that a type checks.
const TYPES: &[(&str, &str)] = &[
    ("icmp", "ping"),
    ("https", "http"),
    ("http_2xx", "http"),
    ("http_post_2xx", "http"),
    ("tcp_connect", "tcp"),
    ("starttls", "tcp"),
    ("web", "http"),
    ("url", "http"),
    ("keyword", "http"),
    ("http3", "quic"),
    ("tls", "tcp"),
    ("ssl", "tcp"),
    ("ssh", "tcp"),
    ("smtp", "tcp"),
    ("imap", "tcp"),
    ("ftp", "tcp"),
    ("mysql", "tcp"),
];

/// Sections of whole files of other tools.
const SECTIONS: &[(&str, &str)] = &[
    ("endpoints", "Gatus"),
    ("monitorList", "Uptime Kuma"),
    ("modules", "blackbox_exporter"),
    ("scrape_configs", "Prometheus"),
];

/// The tool to whose files a section of this name belongs.
pub(super) fn tool(section: &str) -> Option<&'static str> {
    let found = SECTIONS.iter().find(|(name, _)| *name == section);
    found.map(|(_, tool)| *tool)
}

/// Whether a word is `foreign`, however its parts are joined: `retryInterval`, `retry-interval`.
fn is(word: &str, foreign: &str) -> bool {
    let letters = |text: &str| {
        let letters = text.bytes().filter(|byte| !matches!(byte, b'_' | b'-'));
        letters.map(|byte| byte.to_ascii_lowercase()).collect::<Vec<_>>()
    };
    letters(word) == letters(foreign)
}

/// What may take the place of an option of another tool, if this is one.
pub(super) fn option(word: &str) -> impl Iterator<Item = Place> {
    let places = OPTIONS.iter();
    places.filter_map(move |(foreign, place)| is(word, foreign).then_some(*place))
}

/// What may take the place of a word that is nearly an option of another tool (`intervall`).
pub(super) fn near_option(word: &str) -> impl Iterator<Item = Place> {
    let lower = word.to_ascii_lowercase();
    let options = OPTIONS.iter().filter(|(_, place)| matches!(place, Is(_)));
    // One letter is enough to be wrong about.
    let near = nearest(&lower, options.clone().map(|(foreign, _)| *foreign));
    let near = near.filter(|near| near.len().abs_diff(lower.len()) <= 1 && near.len() >= 6);
    options.filter_map(move |(foreign, place)| (near == Some(*foreign)).then_some(*place))
}

/// The kind that does what a type of another tool does.
pub(super) fn kind(word: &str) -> Option<&'static str> {
    let lower = word.to_ascii_lowercase();
    let found = TYPES.iter().find(|(foreign, _)| *foreign == lower);
    found.map(|(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_other_tools_are_known_also_with_a_typo() {
        for (word, place) in [
            ("interval", Some(Is("check_every_n_secs"))),
            ("Interval", Some(Is("check_every_n_secs"))),
            ("retryInterval", Some(Is("retry_every_n_secs"))),
            ("query-name", Some(Is("query"))),
            ("intervall", Some(Is("check_every_n_secs"))),
            ("url", Some(Is("address"))),
            ("zzz", None),
            ("name2", None),
        ] {
            let found = option(word).chain(near_option(word)).next();
            assert_eq!(found, place, "{word}");
        }
        assert_eq!((kind("icmp"), kind("docker")), (Some("ping"), None));
    }

    #[test]
    fn each_place_is_listed_once() {
        for (at, entry) in OPTIONS.iter().enumerate() {
            assert!(!OPTIONS[..at].contains(entry), "{}", entry.0);
        }
    }
}
