use std::net::Ipv4Addr;

use hickory_proto::{
    op::{MessageType, Query, ResponseCode},
    rr::{DNSClass, Name, RData, RecordType, rdata},
};
use proptest::prelude::*;

use super::*;

const ID: u16 = 4711;

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn question(text: &str, kind: RecordKind) -> Question {
    Question::new(text, kind).unwrap()
}

fn a(owner: &str, last: u8) -> Record {
    Record::from_rdata(name(owner), 60, RData::A(Ipv4Addr::new(192, 0, 2, last).into()))
}

fn cname(owner: &str, target: &str) -> Record {
    Record::from_rdata(name(owner), 60, RData::CNAME(rdata::CNAME(name(target))))
}

fn ns(owner: &str, target: &str) -> Record {
    Record::from_rdata(name(owner), 60, RData::NS(rdata::NS(name(target))))
}

/// An encoded answer to `question`, modified by `change`.
fn answer(question: &Question, change: impl FnOnce(&mut Message)) -> Vec<u8> {
    let mut message = Message::new();
    message
        .set_id(ID)
        .set_message_type(MessageType::Response)
        .add_query(question.query.clone());
    change(&mut message);
    message.to_vec().unwrap()
}

/// The result of parsing and judging `bytes`, in one line.
fn verdict(bytes: &[u8], question: &Question, expect: Option<&str>) -> String {
    let message = match answer::parse(bytes, ID, question) {
        Parsed::Answer(message) => message,
        Parsed::Truncated(_) => return "truncated".to_owned(),
        Parsed::Unrelated(why) => return format!("ignored: {why}"),
        Parsed::Malformed(error) => return format!("malformed: {error}"),
    };
    let records = answer::requested_records(&message, question, None);
    match records.and_then(|records| answer::judge(&records, question, expect).map(|()| records.len())) {
        Ok(count) => format!("up: {count}"),
        Err(failure) => format!("{}: {failure}", failure.class.as_str()),
    }
}

#[track_caller]
fn check_verdict(change: impl FnOnce(&mut Message), expected: &str) {
    let question = question("web.example", RecordKind::A);
    let bytes = answer(&question, change);
    assert_eq!(verdict(&bytes, &question, None), expected);
}

#[test]
fn an_answer_must_match_id_direction_opcode_and_question() {
    use hickory_proto::op::OpCode;
    let ours = a("web.example.", 1);
    check_verdict(|m| _ = m.add_answer(ours.clone()), "up: 1");
    check_verdict(|m| _ = m.set_id(ID + 1), "ignored: a different ID");
    check_verdict(
        |m| _ = m.set_message_type(MessageType::Query),
        "ignored: a query, not a response",
    );
    check_verdict(
        |m| _ = m.set_op_code(OpCode::Notify),
        "ignored: a different opcode",
    );
    let other = "ignored: an answer to a different question";
    check_verdict(|m| _ = m.take_queries(), other);
    check_verdict(
        |m| _ = m.queries_mut()[0].set_name(name("web.example.org.")),
        other,
    );
    check_verdict(|m| _ = m.queries_mut()[0].set_query_type(RecordType::AAAA), other);
    check_verdict(|m| _ = m.queries_mut()[0].set_query_class(DNSClass::CH), other);
    check_verdict(|m| m.queries_mut().push(Query::new()), other);
    // The server may change upper and lower case.
    check_verdict(
        |m| {
            m.queries_mut()[0].set_name(name("WEB.example."));
            m.add_answer(a("wEb.ExAmPlE.", 1));
        },
        "up: 1",
    );
    let question = question("web.example", RecordKind::A);
    for bytes in [&b""[..], b"x", &ID.to_be_bytes()] {
        assert_eq!(verdict(bytes, &question, None), "ignored: not a DNS message");
    }
}

#[test]
fn a_bare_header_is_an_answer_only_if_the_query_could_not_be_parsed() {
    let bare = |code| {
        move |m: &mut Message| {
            m.take_queries();
            m.set_response_code(code);
        }
    };
    check_verdict(
        bare(ResponseCode::FormErr),
        "status: FORMERR: the server cannot parse the query",
    );
    check_verdict(
        bare(ResponseCode::NXDomain),
        "ignored: an answer to a different question",
    );
}

#[test]
fn each_kind_of_failure_has_its_reason() {
    for (code, expected) in [
        (
            ResponseCode::NXDomain,
            "no_such_name: NXDOMAIN: no such name: web.example",
        ),
        (
            ResponseCode::ServFail,
            "status: SERVFAIL: the server could not get an answer",
        ),
        (
            ResponseCode::Refused,
            "status: REFUSED: the server refuses to answer this query",
        ),
        (
            ResponseCode::NotAuth,
            "status: NOTAUTH: the server is not authoritative for the zone",
        ),
        (
            ResponseCode::Unknown(11),
            "status: rcode 11: Unknown response code",
        ),
    ] {
        check_verdict(|m| _ = m.set_response_code(code), expected);
    }
    check_verdict(|_| {}, "content: no A record for web.example");
    check_verdict(
        |m| {
            m.add_name_server(ns("example.", "ns1.example."));
            m.add_name_server(ns("example.", "ns2.example."));
        },
        "status: lame: the server has no data for web.example and refers to ns1.example., ns2.example.",
    );
    // From the zone's own server, the same records only name its other servers.
    check_verdict(
        |m| {
            m.set_authoritative(true);
            m.add_name_server(ns("example.", "ns1.example."));
        },
        "content: no A record for web.example",
    );
}

#[test]
fn aliases_are_followed_in_any_order_and_never_in_circles() {
    check_verdict(
        |m| {
            m.add_answer(a("c.example.", 1));
            m.add_answer(cname("B.example.", "c.example."));
            m.add_answer(cname("web.example.", "b.example."));
            m.add_answer(a("unasked.example.", 2));
        },
        "up: 1",
    );
    check_verdict(
        |m| {
            m.add_answer(cname("web.example.", "b.example."));
            m.add_answer(cname("b.example.", "web.example."));
        },
        // Any of the names would do; this is where following stopped.
        "content: no A record for b.example (the target of the alias web.example)",
    );
    check_verdict(
        |m| {
            m.add_answer(cname("web.example.", "gone.example."));
            m.set_response_code(ResponseCode::NXDomain);
        },
        "no_such_name: NXDOMAIN: no such name: gone.example (the target of the alias web.example)",
    );
    check_verdict(
        |m| _ = m.add_answer(a("other.example.", 1)),
        "content: no A record for web.example",
    );
    let question = question("web.example", RecordKind::Cname);
    let bytes = answer(&question, |m| {
        m.add_answer(cname("web.example.", "b.example."));
    });
    assert_eq!(verdict(&bytes, &question, Some("B.example.")), "up: 1");
}

#[test]
fn a_truncated_answer_is_recognized_wherever_it_was_cut() {
    let question = question("web.example", RecordKind::A);
    let bytes = answer(&question, |m| {
        m.set_truncated(true);
        m.add_answer(a("web.example.", 1));
    });
    for end in bytes.len() - 10..bytes.len() {
        assert_eq!(verdict(&bytes[..end], &question, None), "truncated");
    }
}

#[test]
fn a_malformed_answer_is_reported() {
    let question = question("web.example", RecordKind::A);
    let bytes = answer(&question, |m| _ = m.add_answer(a("web.example.", 1)));
    let cut = verdict(&bytes[..bytes.len() - 1], &question, None);
    assert!(cut.starts_with("malformed: "), "{cut}");
    let mut many = bytes;
    many[6..8].copy_from_slice(&[0xff, 0xff]);
    assert_eq!(
        verdict(&many, &question, None),
        "malformed: truncated: the header announces 65535 records"
    );
}

#[test]
fn expect_is_searched_in_the_text_that_dig_prints() {
    let txt = |pieces: &[&str]| RData::TXT(rdata::TXT::new(pieces.iter().map(|s| (*s).to_owned()).collect()));
    let mx = RData::MX(rdata::MX::new(10, name("Mail.example.")));
    let spf = txt(&["v=spf1 \"x\\y\"; ", "-all\u{fc}\n"]);
    let soa = rdata::SOA::new(name("ns.example."), name("root.example."), 7, 1, 2, 3, 4);
    let srv = RData::SRV(rdata::SRV::new(1, 2, 5060, name("sip.example.")));
    let v4 = RData::A(Ipv4Addr::new(10, 0, 0, 10).into());
    let v6 = RData::AAAA("2001:db8::1".parse().unwrap());
    let caa = RData::CAA(rdata::CAA::new_issue(false, Some(name("ca.example")), Vec::new()));
    for (data, shown) in [
        (&mx, "10 Mail.example."),
        (&spf, r#""v=spf1 \"x\\y\"; " "-all\195\188\010""#),
        (&RData::SOA(soa), "ns.example. root.example. 7 1 2 3 4"),
        (&srv, "1 2 5060 sip.example."),
        (&v4, "10.0.0.10"),
        (&caa, r#"0 issue "ca.example""#),
        (&RData::OPT(rdata::OPT::default()), ""), // has no text form, and must not panic
    ] {
        assert_eq!(record::short(data), shown);
        assert!(record::contains(data, shown), "{shown}");
    }
    for (data, expect, is_contained) in [
        (&mx, "10 mail.EXAMPLE", true),
        (&mx, "20", false),
        (&spf, "v=spf1 \"x\\y\"; -all\u{fc}", true),
        (&spf, "V=SPF1", false),
        (&v4, "10.0.0.1", false),
        (&v4, "10.0.0.", true),
        (&v4, "::ffff:10.0.0.10", false),
        (&v6, "2001:0DB8:0:0::1", true),
        (&v6, "2001:DB8:", true),
        (&v4, "10.0.0.0/24", true),
        (&v4, "10.0.0.10/32", true),
        (&v4, "10.0.0.11/32", false),
        (&v4, "10.0.1.0/24", false),
        (&v4, "0.0.0.0/0", true),
        (&v4, "::/0", false),
        (&v4, "10.0.0.0/33", false),
        (&v6, "2001:db8::/64", true),
        (&v6, "2001:db9::/64", false),
        (&mx, "10 *.example.", true),
        (&mx, "* mail.*", true),
        (&mx, "*MAIL*", true),
        (&mx, "mail.*", false),
        (&mx, "*.example", false),
        (&mx, "10*l*l*l*", false),
        (&spf, "v=spf1 *-all*", true),
        (&spf, "V=SPF1*", false),
    ] {
        assert_eq!(record::contains(data, expect), is_contained, "{data} {expect}");
    }
}

#[test]
fn a_missing_record_is_reported_with_the_first_of_those_received() {
    let question = question("web.example", RecordKind::A);
    let bytes = answer(&question, |m| {
        for last in 0..200 {
            m.add_answer(a("web.example.", last));
        }
    });
    let verdict = verdict(&bytes, &question, Some("10.0.0.1"));
    let listed = "content: \"10.0.0.1\" is not among the A records of web.example: 192.0.2.0, 192.0.2.1, ";
    assert!(verdict.starts_with(listed), "{verdict}");
    assert!(verdict.ends_with("...") && verdict.len() < 250, "{verdict}");
}

#[test]
fn control_characters_from_a_server_do_not_reach_the_terminal() {
    let mut labels: Vec<&[u8]> = vec![b"a\x1b[2J\n\xe2\x80\xae"];
    labels.push(b"example");
    let mut nasty = Name::from_labels(labels).unwrap();
    nasty.set_fqdn(true);
    let record = Record::from_rdata(nasty.clone(), 60, RData::PTR(rdata::PTR(nasty)));
    let line = record::line(&record);
    assert!(
        line.is_ascii() && !line.contains(|c: char| c.is_control()),
        "{line:?}"
    );
}

#[test]
fn a_question_is_a_name_or_for_ptr_an_address() {
    let parsed = |text: &str, kind| Question::new(text, kind).map(|question| question.to_string());
    for (text, kind, name) in [
        ("nas.lab.example", RecordKind::A, "A nas.lab.example."),
        ("nas.lab.example.", RecordKind::Aaaa, "AAAA nas.lab.example."),
        ("my_nas", RecordKind::A, "A my_nas."),
        ("münchen.example", RecordKind::Mx, "MX xn--mnchen-3ya.example."),
        ("_sip._tcp.example", RecordKind::Srv, "SRV _sip._tcp.example."),
        (".", RecordKind::Ns, "NS ."),
        ("192.0.2.7", RecordKind::Ptr, "PTR 7.2.0.192.in-addr.arpa."),
        (
            "2001:db8::1",
            RecordKind::Ptr,
            "PTR 1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.",
        ),
        (
            "7.2.0.192.in-addr.arpa",
            RecordKind::Ptr,
            "PTR 7.2.0.192.in-addr.arpa.",
        ),
    ] {
        assert_eq!(parsed(text, kind).unwrap(), name);
    }
    assert_eq!(question(".", RecordKind::Ns).shown, ".");
    assert_eq!(question("a.example.", RecordKind::A).shown, "a.example");
    let long = "x.".repeat(130);
    for text in [
        "a b",
        "a..b",
        "-a",
        &"x".repeat(64),
        &long,
        "http://x/",
        "192.0.2.7",
    ] {
        assert!(parsed(text, RecordKind::A).is_err(), "{text}");
    }
}

#[test]
fn a_query_advertises_room_for_1232_bytes() {
    let bytes = question("web.example", RecordKind::Txt).message(ID, true);
    let sent = Message::from_vec(&bytes).unwrap();
    assert_eq!((sent.id(), sent.message_type()), (ID, MessageType::Query));
    assert!(sent.recursion_desired());
    assert_eq!(sent.extensions().as_ref().unwrap().max_payload(), 1232);
    let query = sent.query().unwrap();
    assert_eq!(
        (query.name(), query.query_type()),
        (&name("web.example."), RecordType::TXT)
    );
    // Some servers are older than that.
    let bytes = question("web.example", RecordKind::Txt).message(ID, false);
    let sent = Message::from_vec(&bytes).unwrap();
    assert_eq!((sent.id(), sent.query()), (ID, Some(query)));
    assert!(sent.recursion_desired() && sent.extensions().is_none());
}

#[test]
fn the_expected_response_code_decides() {
    let question = question("web.example", RecordKind::A);
    let judged = |code, wanted: &str, expect| {
        let bytes = answer(&question, |m| {
            m.set_response_code(code);
            if code == ResponseCode::NoError && expect != Some("nothing") {
                m.add_answer(a("web.example.", 1));
            }
        });
        let Parsed::Answer(message) = answer::parse(&bytes, ID, &question) else {
            panic!()
        };
        let wanted = serde_json::from_value(wanted.into()).unwrap();
        let records = answer::requested_records(&message, &question, Some(wanted));
        let judged = records.and_then(|records| answer::judge(&records, &question, expect));
        judged.map_or_else(|failure| failure.reason, |()| "up".to_owned())
    };
    for (code, wanted, expect, verdict) in [
        (ResponseCode::NXDomain, "NXDOMAIN", None, "up"),
        (ResponseCode::Refused, "5", None, "up"),
        (ResponseCode::NoError, "NOERROR", None, "up"),
        (ResponseCode::NoError, "NOERROR", Some("192.0.2.1"), "up"),
        (
            ResponseCode::NoError,
            "NXDOMAIN",
            None,
            "NOERROR for web.example, not NXDOMAIN",
        ),
        (
            ResponseCode::ServFail,
            "REFUSED",
            None,
            "SERVFAIL for web.example, not REFUSED",
        ),
        (
            ResponseCode::NoError,
            "NOERROR",
            Some("nothing"),
            "no A record for web.example",
        ),
    ] {
        assert_eq!(judged(code, wanted, expect), verdict, "{code} {wanted}");
    }
}

/// Answers of different shapes, in which bytes are then changed.
fn samples() -> Vec<Vec<u8>> {
    let question = question("web.example", RecordKind::A);
    let plain = answer(&question, |m| _ = m.add_answer(a("web.example.", 1)));
    let referral = answer(&question, |m| {
        m.add_answer(cname("web.example.", "b.example."));
        m.add_name_server(ns("example.", "ns1.example."));
        m.add_additional(a("ns1.example.", 1));
    });
    vec![plain, referral]
}

proptest! {
    #[test]
    fn arbitrary_bytes_cause_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz(&bytes);
    }

    #[test]
    fn a_modified_answer_causes_no_panic(
        at in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let samples = samples();
        let mut bytes = at.get(&samples).clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        fuzz(&bytes);
    }
}
