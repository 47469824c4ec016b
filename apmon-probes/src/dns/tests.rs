use std::net::Ipv4Addr;

use hickory_resolver::proto::{
    op::{MessageType, Query, ResponseCode},
    rr::{DNSClass, Name, RData, RecordType, rdata},
};
use proptest::prelude::*;

use super::*;

const ID: u16 = 4711;

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn asking(text: &str, kind: RecordKind) -> Question {
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

/// An answer to `question`, changed by `change`.
fn answer(question: &Question, change: impl FnOnce(&mut Message)) -> Vec<u8> {
    let mut message = Message::new();
    message
        .set_id(ID)
        .set_message_type(MessageType::Response)
        .add_query(question.query.clone());
    change(&mut message);
    message.to_vec().unwrap()
}

/// What is made of some bytes, in one line.
fn verdict(bytes: &[u8], question: &Question, expect: Option<&str>) -> String {
    let message = match answer::read(bytes, ID, question) {
        Reading::Answer(message) => message,
        Reading::Truncated(_) => return "truncated".to_owned(),
        Reading::Stray(what) => return format!("ignored: {what}"),
        Reading::Garbled(what) => return format!("garbled: {what}"),
    };
    let found = answer::found(&message, question);
    match found.and_then(|found| answer::judge(&found, question, expect).map(|()| found.len())) {
        Ok(records) => format!("up: {records}"),
        Err(failure) => format!("{}: {failure}", failure.class.as_str()),
    }
}

#[track_caller]
fn says(change: impl FnOnce(&mut Message), expected: &str) {
    let question = asking("web.example", RecordKind::A);
    let bytes = answer(&question, change);
    assert_eq!(verdict(&bytes, &question, None), expected);
}

#[test]
fn an_answer_is_ours_by_id_direction_operation_and_question() {
    use hickory_resolver::proto::op::OpCode;
    let ours = a("web.example.", 1);
    says(|m| _ = m.add_answer(ours.clone()), "up: 1");
    says(|m| _ = m.set_id(ID + 1), "ignored: another id");
    says(
        |m| _ = m.set_message_type(MessageType::Query),
        "ignored: a question",
    );
    says(
        |m| _ = m.set_op_code(OpCode::Notify),
        "ignored: another operation",
    );
    let other = "ignored: an answer to another question";
    says(|m| _ = m.take_queries(), other);
    says(
        |m| _ = m.queries_mut()[0].set_name(name("web.example.org.")),
        other,
    );
    says(|m| _ = m.queries_mut()[0].set_query_type(RecordType::AAAA), other);
    says(|m| _ = m.queries_mut()[0].set_query_class(DNSClass::CH), other);
    says(|m| m.queries_mut().push(Query::new()), other);
    // The case is the server's own affair.
    says(
        |m| {
            m.queries_mut()[0].set_name(name("WEB.example."));
            m.add_answer(a("wEb.ExAmPlE.", 1));
        },
        "up: 1",
    );
    let question = asking("web.example", RecordKind::A);
    for bytes in [&b""[..], b"x", &ID.to_be_bytes()] {
        assert_eq!(verdict(bytes, &question, None), "ignored: no DNS message");
    }
}

#[test]
fn a_bare_header_is_an_answer_only_where_the_question_was_not_read() {
    let bare = |code| {
        move |m: &mut Message| {
            m.take_queries();
            m.set_response_code(code);
        }
    };
    says(
        bare(ResponseCode::FormErr),
        "status: FORMERR: the server cannot read the question",
    );
    says(
        bare(ResponseCode::NXDomain),
        "ignored: an answer to another question",
    );
}

#[test]
fn each_way_to_fail_has_its_reason() {
    for (code, expected) in [
        (
            ResponseCode::NXDomain,
            "no_such_name: NXDOMAIN: there is no name web.example",
        ),
        (
            ResponseCode::ServFail,
            "status: SERVFAIL: the server failed to find an answer",
        ),
        (
            ResponseCode::Refused,
            "status: REFUSED: the server refuses to answer this question",
        ),
        (
            ResponseCode::NotAuth,
            "status: NOTAUTH: the server is not responsible for the zone",
        ),
        (
            ResponseCode::Unknown(11),
            "status: rcode 11: Unknown response code",
        ),
    ] {
        says(|m| _ = m.set_response_code(code), expected);
    }
    says(|_| {}, "content: there is no A record of web.example");
    says(
        |m| {
            m.add_name_server(ns("example.", "ns1.example."));
            m.add_name_server(ns("example.", "ns2.example."));
        },
        "status: lame: the server does not know about web.example and points to ns1.example., ns2.example.",
    );
    // The same from the server of the zone only tells who else serves it.
    says(
        |m| {
            m.set_authoritative(true);
            m.add_name_server(ns("example.", "ns1.example."));
        },
        "content: there is no A record of web.example",
    );
}

#[test]
fn aliases_are_followed_in_whatever_order_and_never_in_circles() {
    says(
        |m| {
            m.add_answer(a("c.example.", 1));
            m.add_answer(cname("B.example.", "c.example."));
            m.add_answer(cname("web.example.", "b.example."));
            m.add_answer(a("unasked.example.", 2));
        },
        "up: 1",
    );
    says(
        |m| {
            m.add_answer(cname("web.example.", "b.example."));
            m.add_answer(cname("b.example.", "web.example."));
        },
        // Where the walk stopped is as good a place as any.
        "content: there is no A record of b.example, for which web.example is an alias",
    );
    says(
        |m| {
            m.add_answer(cname("web.example.", "gone.example."));
            m.set_response_code(ResponseCode::NXDomain);
        },
        "no_such_name: NXDOMAIN: there is no name gone.example, for which web.example is an alias",
    );
    says(
        |m| _ = m.add_answer(a("other.example.", 1)),
        "content: there is no A record of web.example",
    );
    let question = asking("web.example", RecordKind::Cname);
    let bytes = answer(&question, |m| {
        m.add_answer(cname("web.example.", "b.example."));
    });
    assert_eq!(verdict(&bytes, &question, Some("B.example.")), "up: 1");
}

#[test]
fn truncated_is_truncated_wherever_it_was_cut() {
    let question = asking("web.example", RecordKind::A);
    let bytes = answer(&question, |m| {
        m.set_truncated(true);
        m.add_answer(a("web.example.", 1));
    });
    for end in bytes.len() - 10..bytes.len() {
        assert_eq!(verdict(&bytes[..end], &question, None), "truncated");
    }
}

#[test]
fn what_cannot_be_read_is_told() {
    let question = asking("web.example", RecordKind::A);
    let bytes = answer(&question, |m| _ = m.add_answer(a("web.example.", 1)));
    let cut = verdict(&bytes[..bytes.len() - 1], &question, None);
    assert!(cut.starts_with("garbled: "), "{cut}");
    let mut many = bytes;
    many[6..8].copy_from_slice(&[0xff, 0xff]);
    assert_eq!(
        verdict(&many, &question, None),
        "garbled: it announces 65535 records and has not the bytes"
    );
}

#[test]
fn what_is_expected_is_searched_as_dig_shows_it() {
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
        (&RData::OPT(rdata::OPT::default()), ""), // has no text, and must not panic
    ] {
        assert_eq!(record::short(data), shown);
        assert!(record::holds(data, shown), "{shown}");
    }
    for (data, expect, held) in [
        (&mx, "10 mail.EXAMPLE", true),
        (&mx, "20", false),
        (&spf, "v=spf1 \"x\\y\"; -all\u{fc}", true),
        (&spf, "V=SPF1", false),
        (&v4, "10.0.0.1", false),
        (&v4, "10.0.0.", true),
        (&v4, "::ffff:10.0.0.10", false),
        (&v6, "2001:0DB8:0:0::1", true),
        (&v6, "2001:DB8:", true),
    ] {
        assert_eq!(record::holds(data, expect), held, "{data} {expect}");
    }
}

#[test]
fn what_is_missing_is_listed_in_short() {
    let question = asking("web.example", RecordKind::A);
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
fn what_a_server_says_drives_no_terminal() {
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
fn questions_are_names_or_for_ptr_addresses() {
    let asked = |text: &str, kind| Question::new(text, kind).map(|question| question.to_string());
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
        assert_eq!(asked(text, kind).unwrap(), name);
    }
    assert_eq!(asking(".", RecordKind::Ns).shown, ".");
    assert_eq!(asking("a.example.", RecordKind::A).shown, "a.example");
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
        assert!(asked(text, RecordKind::A).is_err(), "{text}");
    }
}

#[test]
fn a_question_is_sent_with_room_for_1232_bytes() {
    let bytes = asking("web.example", RecordKind::Txt).message(ID);
    let sent = Message::from_vec(&bytes).unwrap();
    assert_eq!((sent.id(), sent.message_type()), (ID, MessageType::Query));
    assert!(sent.recursion_desired());
    assert_eq!(sent.extensions().as_ref().unwrap().max_payload(), 1232);
    let query = sent.query().unwrap();
    assert_eq!(
        (query.name(), query.query_type()),
        (&name("web.example."), RecordType::TXT)
    );
}

/// An answer of each shape, for bytes to be changed in.
fn samples() -> Vec<Vec<u8>> {
    let question = asking("web.example", RecordKind::A);
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
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz(&bytes);
    }

    #[test]
    fn no_changed_answer_makes_it_panic(
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
