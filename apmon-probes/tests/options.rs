//! The errors of the kinds about their options, word for word.
#![cfg(all(feature = "dns", feature = "quic"))]
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use apmon_probes::KINDS;

fn errors(section: &str) -> Vec<String> {
    match lab::parse(section) {
        Ok(_) => Vec::new(),
        Err(error) => error
            .to_string()
            .lines()
            .map(|line| line.strip_prefix("lab.yaml:").unwrap().to_owned())
            .collect(),
    }
}

#[track_caller]
fn one(section: &str, message: &str) {
    assert_eq!(errors(&format!("{section}\nname: x")), [message], "{section}");
}

#[test]
fn a_default_that_is_written_out_is_not_a_change() {
    let checksum = |section: &str| lab::parse(section).unwrap().monitors[0].checksum.clone();
    let http = "name: x\ntype: http\naddress: https://h/\nsend: x";
    let written = format!("{http}\nignore_ssl_expiry: no\ncontent_type: text/plain; charset=utf-8");
    assert_eq!(checksum(http), checksum(&written));
    assert_ne!(
        checksum(http),
        checksum(&format!("{http}\nignore_ssl_expiry: yes"))
    );
    let tcp = "name: x\ntype: tcp\naddress: tcp://h:1\nsend: x";
    assert_eq!(checksum(tcp), checksum(&format!("{tcp}\ncontent_type: text")));
    let ping = "name: x\ntype: ping\naddress: h";
    assert_eq!(checksum(ping), checksum(&format!("{ping}\ncount: 1")));
    for other in ["count: 2", "max_loss_pct: 100", "max_rtt_ms: 1000"] {
        assert_ne!(checksum(ping), checksum(&format!("{ping}\n{other}")), "{other}");
    }
}

#[test]
fn a_list_of_invalid_pins_is_not_called_empty_too() {
    let found = errors("name: x\ntype: http\naddress: https://h/\nssl_fingerprint: [aa]");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("SHA-256"), "{found:?}");
}

#[test]
fn an_ipv6_zone_is_named_as_what_is_not_supported() {
    for (kind, before, after) in [
        ("ping", "", ""),
        ("tcp", "tcp://[", "]:22"),
        ("tcp", "tls://[", "]:443"),
        ("udp", "udp://[", "]:53\nsend: x"),
        ("dns", "dns://[", "]\nquery: lan"),
        ("http", "http://[", "]/"),
        ("quic", "https://[", "]/"),
    ] {
        let section = format!("name: x\ntype: {kind}\naddress: {before}fe80::1%eth0{after}");
        let found = errors(&section);
        let wanted =
            "has a zone (%eth0), which apmon does not support; use another address of the host, or its name";
        assert!(
            matches!(&found[..], [one] if one.contains(wanted)),
            "{section}: {found:?}"
        );
    }
}

#[test]
fn valid_sections_are_accepted() {
    for good in [
        "type: ping\naddress: 192.168.1.1",
        "type: ping\naddress: '::1'",
        "type: ping\naddress: nas.lan",
        "type: ping\naddress: nas.lan\ncount: 100\nmax_loss_pct: 0\nmax_rtt_ms: 1",
        "type: ping\naddress: nas.lan\ncount: '5'\nmax_loss_pct: 100\nmax_rtt_ms: 60000",
        "type: tcp\naddress: tcp://nas.lan:22",
        "type: tcp\naddress: tcp://[::1]:22/",
        "type: tcp\naddress: tcp://10.0.0.1:25\nsend: \"EHLO x\\r\\n\"\nexpect: '250'",
        "type: tcp\naddress: tcp://10.0.0.1:25\nsend: '01:02 ff'\ncontent_type: hex",
        "type: udp\naddress: udp://10.0.0.1:514\nsend: AQI\ncontent_type: base64",
        "type: dns\naddress: dns://192.168.1.1\nquery: nas.lan",
        "type: dns\naddress: dns://[::1]:5353\nquery: münchen.example.\nrecord_type: mx\nexpect: 10 mail",
        "type: dns\naddress: dns://ns.lan\nquery: 192.168.1.1\nrecord_type: ptr",
        "type: dns\naddress: dns://ns.lan\nquery: .\nrecord_type: NS",
        "type: http\naddress: http://u:p@nas.lan:8080/a?b=c",
        "type: http\naddress: https://10.0.0.1\nssl_fingerprint: E85260E8F8E85629CFA4D023EA0AE8DD3CE8CCC0040B054A4753C2A5AB269296",
        "type: http\naddress: https://10.0.0.1\nignore_ssl_expiry: ok",
        "type: http\naddress: http://10.0.0.1\nsend: '{}'\ncontent_type: application/json",
        "type: quic\naddress: https://fast.example.com/log\nsend: Test message",
        "type: http\naddress: http://10.0.0.1\nssl_verify: no\nsni: www.example.com\nhost: '[::1]:80'",
        "type: http\naddress: http://10.0.0.1\nhttp_version: 1.1",
    ] {
        assert_eq!(errors(&format!("{good}\nname: x")), [""; 0], "{good}");
    }
}

#[test]
fn an_all_digit_fingerprint_keeps_its_text_and_a_list_is_a_list() {
    let digits = "1234567890".repeat(6) + "1e10";
    let colons = "AB:".repeat(31) + "cd";
    for value in [digits.clone(), format!("\n  - {digits}\n  - '{colons}'")] {
        let section = format!("type: http\nname: x\naddress: https://h/\nssl_fingerprint: {value}");
        assert_eq!(errors(&section), [""; 0], "{section}");
    }
}

#[test]
fn the_same_pin_written_differently_is_the_same_monitor() {
    let checksum = |pin: String| {
        let section = format!("type: http\nname: x\naddress: https://h/\nssl_fingerprint: '{pin}'");
        lab::parse(&section).unwrap().monitors[0].checksum.clone()
    };
    assert_eq!(checksum("ab".repeat(32)), checksum("AB:".repeat(31) + "ab"));
    assert_ne!(checksum("ab".repeat(32)), checksum("ac".repeat(32)));
}

#[test]
fn errors_in_addresses() {
    one(
        "type: ping\naddress: http://nas.lan",
        "5:14: monitor \"x\": \"address\" must be a host name or an IPv4 or IPv6 address, without a scheme",
    );
    one(
        "type: ping\naddress: 10.0.0.256",
        "5:14: monitor \"x\": \"address\" is not an IPv4 address, which consists of four numbers from 0 to 255",
    );
    one(
        "type: tcp\naddress: tcp://nas.lan",
        "5:14: monitor \"x\": \"address\" has no port; write tcp://host:port",
    );
    one(
        "type: tcp\naddress: tcp://nas.lan:22/ssh",
        "5:14: monitor \"x\": \"address\" must not contain a path; write tcp://host:port",
    );
    one(
        "type: tcp\naddress: tcp://root:pw@nas.lan:22",
        "5:14: monitor \"x\": \"address\" must not contain a user name or password; write tcp://host:port",
    );
    one(
        "type: udp\nsend: x\naddress: tcp://nas.lan:22",
        "6:14: monitor \"x\": \"address\" must begin with udp://, not tcp:// (here: tcp://nas.lan:22)",
    );
    one(
        "type: quic\naddress: http://nas.lan/",
        "5:14: monitor \"x\": \"address\" must begin with https://, not http:// (here: http://nas.lan/)",
    );
}

#[test]
fn errors_in_dns_questions() {
    let dns = "type: dns\naddress: dns://192.168.1.1";
    one(dns, "4:5: monitor \"x\": \"query\" is missing");
    one(
        &format!("{dns}\nquery: http://nas.lan/"),
        "6:12: monitor \"x\": \"query\" must be a host name such as nas.lab.example",
    );
    one(
        &format!("{dns}\nquery: 192.168.1.1"),
        "6:12: monitor \"x\": \"query\" is an IP address, but A records belong to names; use record_type: PTR to look up \
         the name of an address",
    );
    one(
        &format!("{dns}\nquery: nas.lan\nrecord_type: ANY"),
        "7:18: monitor \"x\": \"record_type\" must be A or AAAA or CNAME or MX or NS or PTR or SOA or SRV or TXT or \
         CAA, not \"ANY\"",
    );
    one(
        "type: dns\naddress: dns://192.168.1.1/nas.lan\nquery: nas.lan",
        "5:14: monitor \"x\": \"address\" must not contain a path; write dns://host:port",
    );
}

#[test]
fn a_record_type_in_another_case_is_not_a_change() {
    let checksum = |more: &str| {
        let section = format!("type: dns\nname: x\naddress: dns://h\nquery: nas.lan\n{more}");
        lab::parse(section.trim_end()).unwrap().monitors[0]
            .checksum
            .clone()
    };
    assert_eq!(checksum(""), checksum("record_type: a"));
    assert_ne!(checksum(""), checksum("record_type: AAAA"));
}

#[test]
fn errors_in_send() {
    one(
        "type: udp\naddress: udp://h:1",
        "4:5: monitor \"x\": \"send\" is missing",
    );
    one(
        "type: tcp\naddress: tcp://h:1\ncontent_type: hex",
        "6:5: monitor \"x\": \"content_type\" needs \"send\"",
    );
    one(
        "type: http\naddress: http://h/\ncontent_type: text/html",
        "6:5: monitor \"x\": \"content_type\" needs \"send\"",
    );
    one(
        "type: tcp\naddress: tcp://h:1\nsend: 01 0g\ncontent_type: hex",
        "6:11: monitor \"x\": \"send\" is not valid hex: 'g' at character 5",
    );
    one(
        "type: udp\naddress: udp://h:1\nsend: A*\ncontent_type: base64",
        "6:11: monitor \"x\": \"send\" is not valid base64: '*' at character 2",
    );
    one(
        "type: tcp\naddress: tcp://h:1\nsend: ''",
        "6:11: monitor \"x\": \"send\" must not be empty",
    );
    one(
        "type: udp\naddress: udp://h:1\nsend: x\ncontent_type: binary",
        "7:19: monitor \"x\": \"content_type\" must be text or hex or base64, not \"binary\"",
    );
    one(
        "type: http\naddress: http://h/\nsend: x\ncontent_type: \"a\\nb\"",
        "7:19: monitor \"x\": \"content_type\" must be a MIME type such as application/json",
    );
    one(
        &format!("type: udp\naddress: udp://h:1\nsend: {}", "x".repeat(65_508)),
        "6:11: monitor \"x\": \"send\" must fit one datagram of at most 65507 bytes, but has 65508",
    );
}

#[test]
fn errors_in_expect() {
    one(
        "type: tcp\naddress: tcp://h:1\nexpect: ''",
        "6:13: monitor \"x\": \"expect\" must not be empty",
    );
    let owners: Vec<_> = KINDS
        .iter()
        .filter(|kind| kind.fields().contains(&"expect"))
        .map(|kind| kind.name())
        .collect();
    one(
        "type: ping\naddress: h\nexpect: x",
        &format!(
            "6:5: monitor \"x\": \"expect\" is not an option of type ping; it belongs to {}",
            owners.join(", ")
        ),
    );
}

#[test]
fn errors_in_numbers() {
    for (option, message) in [
        (
            "count: 0",
            "6:12: monitor \"x\": \"count\" must be 1 to 100, not 0",
        ),
        (
            "count: 101",
            "6:12: monitor \"x\": \"count\" must be 1 to 100, not 101",
        ),
        (
            "count: few",
            "6:12: monitor \"x\": \"count\" must be a whole number, not \"few\"",
        ),
        (
            "max_loss_pct: 101",
            "6:19: monitor \"x\": \"max_loss_pct\" must be 0 to 100, not 101",
        ),
        (
            "max_loss_pct: -1",
            "6:19: monitor \"x\": \"max_loss_pct\" must be 0 to 100, not -1",
        ),
        (
            "max_rtt_ms: 0",
            "6:17: monitor \"x\": \"max_rtt_ms\" must be 1 to 4294967295, not 0",
        ),
    ] {
        one(&format!("type: ping\naddress: h\n{option}"), message);
    }
    one(
        "type: tcp\naddress: tcp://h:1\ncount: 5",
        "6:5: monitor \"x\": \"count\" is not an option of type tcp; it belongs to ping",
    );
}

#[test]
fn errors_in_pins() {
    one(
        "type: http\naddress: https://h/\nssl_fingerprint: []",
        "6:22: monitor \"x\": \"ssl_fingerprint\" must not be an empty list",
    );
    one(
        "type: http\naddress: https://h/\nssl_fingerprint: da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "6:22: monitor \"x\": \"ssl_fingerprint\" must be a SHA-256 fingerprint: 64 hex digits, with or without \
         colons; this has 40 digits, like a SHA-1 fingerprint",
    );
    one(
        "type: http\naddress: https://h/\nssl_fingerprint: sha256",
        "6:22: monitor \"x\": \"ssl_fingerprint\" must be a SHA-256 fingerprint: 64 hex digits, with or without \
         colons; 's' at character 1 is neither",
    );
    one(
        &format!(
            "type: http\naddress: https://h/\nssl_fingerprint: [aa, {}]",
            "b".repeat(64)
        ),
        "6:23: monitor \"x\": \"ssl_fingerprint\" must be a SHA-256 fingerprint: 64 hex digits, with or without \
         colons; this has 2 digits",
    );
    one(
        &format!(
            "type: http\naddress: http://h/\nssl_fingerprint: {}",
            "a".repeat(64)
        ),
        "6:5: monitor \"x\": \"ssl_fingerprint\" needs an address that begins with https://",
    );
    one(
        "type: udp\naddress: udp://h:1\nsend: x\nignore_ssl_expiry: yes",
        "7:5: monitor \"x\": \"ignore_ssl_expiry\" is not an option of type udp; it belongs to tcp, dns, http, quic",
    );
}

#[test]
fn all_errors_of_a_section_are_reported_together() {
    let all = errors(
        "type: http\nname: x\naddress: ftp://h/\nexpect: ''\nssl_fingerprint: zz\nignore_ssl_expiry: maybe\n\
         content_type: text/html",
    );
    assert_eq!(all.len(), 5, "{all:#?}");
}

#[test]
fn errors_in_names_and_versions_of_servers() {
    for (options, message) in [
        (
            "host: a/b",
            "6:11: monitor \"x\": \"host\" must be a host name, with :port if the server expects one in the Host header",
        ),
        (
            "host: user@h",
            "6:11: monitor \"x\": \"host\" must be a host name, with :port if the server expects one in the Host header",
        ),
        (
            "host: h\nheaders: {Host: h}",
            "6:5: monitor \"x\": \"host\" sets the Host header, which \"headers\" contains too",
        ),
        (
            "sni: 192.0.2.1",
            "6:10: monitor \"x\": \"sni\" must be a host name such as www.example.com, without a port",
        ),
        (
            "http_version: 3",
            "6:19: monitor \"x\": \"http_version\" must be 1.0, 1.1 or 2 (for HTTP/3, use type: quic)",
        ),
    ] {
        one(&format!("type: http\naddress: https://h/\n{options}"), message);
    }
    one(
        "type: quic\naddress: https://h/\nhttp_version: 2",
        "6:5: monitor \"x\": \"http_version\" cannot be chosen: quic always speaks HTTP/3",
    );
    one(
        "type: http\naddress: http://h/\nhttp_version: 2\nproxy: http://p:1",
        "6:5: monitor \"x\": \"http_version\" must not be 2 for http:// through a proxy",
    );
    one(
        "type: tcp\naddress: tcp://h:1\nsni: www.example.com",
        "6:5: monitor \"x\": \"sni\" needs an address that begins with tls://, or starttls",
    );
}
