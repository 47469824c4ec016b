use proptest::prelude::*;

use super::*;

const NONCE: Nonce = *b"twenty-four random bytes";

fn ipv4_packet(words: u8, protocol: u8, fragment: u16, to: [u8; 4], inner: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; usize::from(words) * 4];
    packet[0] = 0x40 | words;
    packet[6..8].copy_from_slice(&fragment.to_be_bytes());
    packet[9] = protocol;
    packet[16..20].copy_from_slice(&to);
    packet.extend(inner);
    packet
}

fn ipv6_packet(next: u8, to: Ipv6Addr, inner: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; IPV6_HEADER];
    packet[0] = 0x60;
    packet[6] = next;
    packet[24..40].copy_from_slice(&to.octets());
    packet.extend(inner);
    packet
}

fn reply(family: Family) -> Vec<u8> {
    let mut packet = request(family, 7, 9, &NONCE).to_vec();
    packet[0] = family.reply();
    packet
}

fn error(kind: u8, code: u8, inner: &[u8]) -> Vec<u8> {
    let mut packet = vec![kind, code, 0, 0, 0, 0, 0, 0];
    packet.extend(inner);
    packet
}

fn ours(payload: &[u8]) -> Echo<'_> {
    Echo {
        identifier: 7,
        sequence: 9,
        payload,
    }
}

#[test]
fn a_request_holds_identifier_sequence_number_nonce_and_over_ipv4_the_checksum() {
    let v4 = request(Family::V4, 0x1234, 0xabcd, &NONCE);
    assert_eq!((v4[0], v4[1]), (8, 0));
    assert_eq!(v4[4..8], [0x12, 0x34, 0xab, 0xcd]);
    assert_eq!(v4[8..], NONCE);
    assert_eq!(checksum(&v4), 0);
    let v6 = request(Family::V6, 0x1234, 0xabcd, &NONCE);
    assert_eq!(v6[..8], [128, 0, 0, 0, 0x12, 0x34, 0xab, 0xcd]);
}

#[test]
fn the_checksum_matches_the_example_of_rfc_1071() {
    // The example of RFC 1071, section 3: the sum of these words is ddf2.
    assert_eq!(
        checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]),
        !0xddf2
    );
    assert_eq!(checksum(&[0xff]), !0xff00);
    assert_eq!(checksum(&[]), 0xffff);
}

#[test]
fn replies_are_parsed_after_ip_headers_of_any_length() {
    for words in [5, 6, 15] {
        let packet = ipv4_packet(words, 1, 0, [10, 0, 0, 1], &reply(Family::V4));
        assert_eq!(
            parse_raw(Family::V4, &packet),
            Some(Message::Reply(ours(&NONCE))),
            "{words}"
        );
    }
    let bare = reply(Family::V4);
    assert_eq!(parse_icmp(Family::V4, &bare), Some(Message::Reply(ours(&NONCE))));
    let v6 = reply(Family::V6);
    assert_eq!(parse_raw(Family::V6, &v6), Some(Message::Reply(ours(&NONCE))));
}

#[test]
fn packets_that_do_not_answer_a_request_are_ignored() {
    let v4 = reply(Family::V4);
    for (what, packet) in [
        ("nothing", Vec::new()),
        (
            "a header cut short",
            ipv4_packet(5, 1, 0, [0; 4], &[])[..19].to_vec(),
        ),
        ("no ICMP part", ipv4_packet(5, 1, 0, [0; 4], &[])),
        ("a header shorter than a header", {
            let mut packet = ipv4_packet(5, 1, 0, [0; 4], &v4);
            packet[0] = 0x44;
            packet
        }),
        ("a header longer than the packet", {
            let mut packet = ipv4_packet(5, 1, 0, [0; 4], &v4[..8]);
            packet[0] = 0x4f;
            packet
        }),
        ("IP of another version", {
            let mut packet = ipv4_packet(5, 1, 0, [0; 4], &v4);
            packet[0] = 0x65;
            packet
        }),
        ("another protocol", ipv4_packet(5, 17, 0, [0; 4], &v4)),
        ("a later fragment", ipv4_packet(5, 1, 1, [0; 4], &v4)),
        ("a reply cut short", ipv4_packet(5, 1, 0, [0; 4], &v4[..7])),
        ("a reply with a code", {
            let mut inner = v4.clone();
            inner[1] = 1;
            ipv4_packet(5, 1, 0, [0; 4], &inner)
        }),
        (
            "a request",
            ipv4_packet(5, 1, 0, [0; 4], &request(Family::V4, 7, 9, &NONCE)),
        ),
        (
            "an error that quotes nothing",
            ipv4_packet(5, 1, 0, [0; 4], &error(3, 1, &[])),
        ),
        (
            "an error about a reply",
            ipv4_packet(5, 1, 0, [0; 4], &error(3, 1, &ipv4_packet(5, 1, 0, [0; 4], &v4))),
        ),
        (
            "an error about TCP",
            ipv4_packet(5, 1, 0, [0; 4], &error(3, 1, &ipv4_packet(5, 6, 0, [0; 4], &v4))),
        ),
    ] {
        assert_eq!(parse_raw(Family::V4, &packet), None, "{what}");
    }
    let inner = request(Family::V6, 7, 9, &NONCE);
    for (what, packet) in [
        ("a neighbour advertisement", vec![136; 32]),
        ("a request", inner.to_vec()),
        (
            "an error about UDP",
            error(1, 3, &ipv6_packet(17, Ipv6Addr::LOCALHOST, &inner)),
        ),
        ("an error that quotes half a header", error(1, 3, &[0x60; 39])),
    ] {
        assert_eq!(parse_raw(Family::V6, &packet), None, "{what}");
    }
}

#[test]
fn an_error_identifies_the_request_it_is_about() {
    // RFC 792 guarantees eight bytes of the quoted packet after its IP header.
    for quote in [8, 20, 32] {
        let inner = &request(Family::V4, 7, 9, &NONCE)[..quote];
        let echo = ours(&NONCE[..quote - 8]);
        for (kind, code) in [(3, 1), (3, 13), (11, 0), (5, 1)] {
            let quoted = ipv4_packet(6, 1, 0, [192, 0, 2, 9], inner);
            let packet = ipv4_packet(5, 1, 0, [10, 0, 0, 1], &error(kind, code, &quoted));
            let family = Family::V4;
            let expected = Message::Error {
                error: IcmpError { family, kind, code },
                to: [192, 0, 2, 9].into(),
                echo,
            };
            assert_eq!(parse_raw(family, &packet), Some(expected));
        }
    }
    let to: Ipv6Addr = "2001:db8::9".parse().unwrap();
    let packet = error(1, 3, &ipv6_packet(58, to, &request(Family::V6, 7, 9, &NONCE)));
    let family = Family::V6;
    let expected = Message::Error {
        error: IcmpError {
            family,
            kind: 1,
            code: 3,
        },
        to: to.into(),
        echo: ours(&NONCE),
    };
    assert_eq!(parse_raw(family, &packet), Some(expected));
}

proptest! {
    #[test]
    fn arbitrary_bytes_cause_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        crate::fuzzing::icmp(&bytes);
    }

    /// The same with bytes that resemble ICMP.
    #[test]
    fn arbitrary_bytes_after_valid_headers_cause_no_panic(
        words in 0_u8..16,
        kind in prop::sample::select(vec![0_u8, 3, 5, 11, 129, 1]),
        inner in proptest::collection::vec(any::<u8>(), 0..100),
        cut in 0_usize..200,
    ) {
        let mut quoted = ipv4_packet(5, 1, 0, [1, 2, 3, 4], &inner);
        quoted[0] = 0x40 | words;
        let mut packet = ipv4_packet(words.max(5), 1, 0, [1, 2, 3, 4], &error(kind, 0, &quoted));
        packet.truncate(cut);
        crate::fuzzing::icmp(&packet);
    }

    #[test]
    fn a_reply_returns_what_was_sent(identifier: u16, sequence: u16, nonce: Nonce) {
        for family in [Family::V4, Family::V6] {
            let mut packet = request(family, identifier, sequence, &nonce);
            packet[0] = family.reply();
            let echo = Echo { identifier, sequence, payload: &nonce };
            prop_assert_eq!(parse_icmp(family, &packet), Some(Message::Reply(echo)));
        }
    }
}
