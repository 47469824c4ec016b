//! What an answer says. Pure: bytes in, a verdict out.

use apmon_core::{Failure, FailureClass, text::excerpt};
use hickory_resolver::proto::{
    op::{Header, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{DNSClass, Name, RData, Record, RecordType},
    serialize::binary::{BinDecodable as _, BinDecoder},
};

use super::{
    question::{Question, RecordKind},
    record,
};

/// The least a record takes: a name of one byte, type, class, TTL, length
/// (RFC 1035 section 4.1.3).
const LEAST_RECORD: usize = 11;

/// What some bytes are, as an answer to our question.
pub(super) enum Reading {
    Answer(Message),
    /// It did not fit. What there is of it, for where nothing longer can be had.
    Truncated(Result<Message, String>),
    /// No answer to us: whoever sent it, ours may yet come.
    Stray(&'static str),
    /// Our answer, and not to be understood.
    Garbled(String),
}

/// Reads `bytes`. Who they come from the socket has seen to; this is the rest
/// of RFC 5452 section 9.1.
pub(super) fn read(bytes: &[u8], id: u16, question: &Question) -> Reading {
    let mut decoder = BinDecoder::new(bytes);
    let Ok(header) = Header::read(&mut decoder) else {
        return Reading::Stray("no DNS message");
    };
    if header.id() != id {
        return Reading::Stray("another id");
    }
    if header.message_type() != MessageType::Response {
        return Reading::Stray("a question");
    }
    if header.op_code() != OpCode::Query {
        return Reading::Stray("another operation");
    }
    match header.query_count() {
        1 => match Query::read(&mut decoder) {
            Ok(asked) if same(&asked, &question.query) => {}
            _ => return Reading::Stray("an answer to another question"),
        },
        // A server that cannot read a question cannot repeat it; one that knows
        // no EDNS often sends its bare header back (RFC 6891 section 7).
        0 if matches!(
            header.response_code(),
            ResponseCode::FormErr | ResponseCode::NotImp
        ) => {}
        _ => return Reading::Stray("an answer to another question"),
    }
    let records = [
        header.answer_count(),
        header.name_server_count(),
        header.additional_count(),
    ];
    let records: usize = records.iter().map(|n| usize::from(*n)).sum();
    // Looked at first: the decoder makes room for as many as are announced.
    let whole = if records * LEAST_RECORD > bytes.len() - decoder.index() {
        Err(format!("it announces {records} records and has not the bytes"))
    } else {
        Message::from_vec(bytes).map_err(|error| error.to_string())
    };
    match whole {
        // Often cut in the middle of a record: that is no reason to complain.
        whole if header.truncated() => Reading::Truncated(whole),
        Ok(message) => Reading::Answer(message),
        Err(what) => Reading::Garbled(what),
    }
}

/// Names compare without regard to case: a server need not keep ours.
fn same(a: &Query, b: &Query) -> bool {
    a.name() == b.name() && a.query_type() == b.query_type() && a.query_class() == b.query_class()
}

/// The records that were asked for: the name's own, or those of the name it is
/// an alias for.
pub(super) fn found<'a>(answer: &'a Message, question: &Question) -> Result<Vec<&'a RData>, Failure> {
    let Question {
        query, kind, shown, ..
    } = question;
    let (end, found) = follow(answer.answers(), query);
    let alias = |end: &Name| {
        let end = excerpt(end.to_ascii().trim_end_matches('.'), 80);
        format!("{end}, for which {shown} is an alias")
    };
    let name = end.map_or_else(|| shown.clone(), alias);
    match answer.response_code() {
        ResponseCode::NoError => {}
        ResponseCode::NXDomain => {
            let reason = format!("NXDOMAIN: there is no name {name}");
            return Err(Failure::new(FailureClass::NoSuchName, reason));
        }
        code => {
            let (word, text) = words(code);
            return Err(Failure::new(FailureClass::Status, format!("{word}: {text}")));
        }
    }
    if !found.is_empty() {
        return Ok(found);
    }
    if let Some(servers) = referral(answer) {
        return Err(Failure::new(
            FailureClass::Status,
            format!(
                "lame: the server does not know about {shown} and points to {}",
                excerpt(&servers, 80)
            ),
        ));
    }
    Err(Failure::new(
        FailureClass::Content,
        format!("there is no {kind} record of {name}"),
    ))
}

/// Walks the aliases (RFC 1034 section 3.6.2), whatever order they stand in:
/// the name at their end, where there are any, and its records.
fn follow<'a>(answers: &'a [Record], query: &Query) -> (Option<&'a Name>, Vec<&'a RData>) {
    let of = |name: &Name, kind: RecordType| {
        let name = name.clone();
        answers.iter().filter(move |record| {
            record.record_type() == kind && record.dns_class() == DNSClass::IN && *record.name() == name
        })
    };
    let mut end = None;
    // As many steps as there are records: aliases that go round end as well.
    for _ in 0..=answers.len() {
        let name = end.unwrap_or(query.name());
        let found: Vec<_> = of(name, query.query_type()).map(Record::data).collect();
        if !found.is_empty() {
            return (end, found);
        }
        let next = of(name, RecordType::CNAME).find_map(|record| record.data().as_cname());
        match next {
            Some(next) => end = Some(&next.0),
            None => break,
        }
    }
    (end, Vec::new())
}

/// The name servers a server points to that has nothing to say itself. (An
/// empty answer with a SOA says that there is no such record: RFC 2308
/// section 2.2.)
fn referral(answer: &Message) -> Option<String> {
    let authority = answer.name_servers();
    let soa = authority
        .iter()
        .any(|record| record.record_type() == RecordType::SOA);
    if answer.authoritative() || !answer.answers().is_empty() || soa {
        return None;
    }
    let servers: Vec<_> = authority
        .iter()
        .filter_map(|record| record.data().as_ns())
        .map(|server| server.0.to_ascii())
        .collect();
    (!servers.is_empty()).then(|| servers.join(", "))
}

/// Whether what is expected is among the records.
pub(super) fn judge(found: &[&RData], question: &Question, expect: Option<&str>) -> Result<(), Failure> {
    let Some(expect) = expect else {
        return Ok(());
    };
    if found.iter().any(|data| record::holds(data, expect)) {
        return Ok(());
    }
    let Question { kind, shown, .. } = question;
    // The first few are enough for any excerpt.
    let records: Vec<_> = found.iter().take(20).map(|data| record::short(data)).collect();
    Err(Failure::new(
        FailureClass::Content,
        format!(
            "\"{}\" is not among the {kind} records of {shown}: {}",
            excerpt(expect, 60),
            excerpt(&records.join(", "), 120)
        ),
    ))
}

/// A response code as `dig` names it, and what it means.
pub(super) fn words(code: ResponseCode) -> (String, &'static str) {
    let (word, text) = match code {
        ResponseCode::NoError => ("NOERROR", "no error"),
        ResponseCode::FormErr => ("FORMERR", "the server cannot read the question"),
        ResponseCode::ServFail => ("SERVFAIL", "the server failed to find an answer"),
        ResponseCode::NXDomain => ("NXDOMAIN", "there is no such name"),
        ResponseCode::NotImp => ("NOTIMP", "the server does not know this kind of question"),
        ResponseCode::Refused => ("REFUSED", "the server refuses to answer this question"),
        ResponseCode::NotAuth => ("NOTAUTH", "the server is not responsible for the zone"),
        ResponseCode::BADVERS => ("BADVERS", "the server does not speak EDNS version 0"),
        ResponseCode::BADCOOKIE => ("BADCOOKIE", "the server wants a DNS cookie"),
        other => return (format!("rcode {}", u16::from(other)), other.to_str()),
    };
    (word.to_owned(), text)
}

/// The flags that are set, as `dig` names them.
pub(super) fn flags(answer: &Message) -> String {
    let all = [
        ("qr", answer.message_type() == MessageType::Response),
        ("aa", answer.authoritative()),
        ("tc", answer.truncated()),
        ("rd", answer.recursion_desired()),
        ("ra", answer.recursion_available()),
        ("ad", answer.authentic_data()),
        ("cd", answer.checking_disabled()),
    ];
    let set: Vec<_> = all
        .iter()
        .filter(|(_, set)| *set)
        .map(|(name, _)| *name)
        .collect();
    set.join(" ")
}

/// The id and the question in `bytes`, so that they answer it.
pub(super) fn any_question(bytes: &[u8]) -> Option<(u16, Question)> {
    let mut decoder = BinDecoder::new(bytes);
    let id = Header::read(&mut decoder).ok()?.id();
    let query = Query::read(&mut decoder).unwrap_or_default();
    Some((id, Question::of(query, RecordKind::A, "x".to_owned())?))
}
