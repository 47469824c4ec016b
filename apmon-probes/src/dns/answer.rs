//! Parsing and judging an answer. Pure: bytes in, a verdict out.

use apmon_core::{Failure, FailureClass, text::excerpt};
use hickory_proto::{
    op::{Header, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{DNSClass, Name, RData, Record, RecordType},
    serialize::binary::{BinDecodable as _, BinDecoder},
};

use super::{
    question::{Question, RecordKind},
    rcode::Rcode,
    record,
};

/// The minimum size of a record: a name of one byte, type, class, TTL, length
/// (RFC 1035 section 4.1.3).
const MIN_RECORD: usize = 11;

/// Received bytes, parsed as an answer to our question.
pub(super) enum Parsed {
    Answer(Message),
    /// The answer did not fit. The part received serves when no longer one is
    /// to be had.
    Truncated(Result<Message, String>),
    /// Not an answer to us, and why not; ours may still arrive.
    Unrelated(&'static str),
    /// Our answer, but malformed.
    Malformed(String),
}

/// Parses `bytes` and checks that they answer the question (RFC 5452 section
/// 9.1). The socket has already checked the sender.
pub(super) fn parse(bytes: &[u8], id: u16, question: &Question) -> Parsed {
    let mut decoder = BinDecoder::new(bytes);
    let Ok(header) = Header::read(&mut decoder) else {
        return Parsed::Unrelated("not a DNS message");
    };
    if header.id() != id {
        return Parsed::Unrelated("a different ID");
    }
    if header.message_type() != MessageType::Response {
        return Parsed::Unrelated("a query, not a response");
    }
    if header.op_code() != OpCode::Query {
        return Parsed::Unrelated("a different opcode");
    }
    match header.query_count() {
        1 => match Query::read(&mut decoder) {
            Ok(query) if is_same(&query, &question.query) => {}
            _ => return Parsed::Unrelated("an answer to a different question"),
        },
        // A server that cannot parse a question cannot repeat it; one without
        // EDNS support often returns only the header (RFC 6891 section 7).
        0 if matches!(
            header.response_code(),
            ResponseCode::FormErr | ResponseCode::NotImp
        ) => {}
        _ => return Parsed::Unrelated("an answer to a different question"),
    }
    let records = [
        header.answer_count(),
        header.name_server_count(),
        header.additional_count(),
    ];
    let records: usize = records.iter().map(|n| usize::from(*n)).sum();
    // Checked first: the decoder allocates as many records as are announced.
    let message = if records * MIN_RECORD > bytes.len() - decoder.index() {
        Err(format!("truncated: the header announces {records} records"))
    } else {
        Message::from_vec(bytes).map_err(|error| error.to_string())
    };
    match message {
        // Often cut in the middle of a record, which is not an error.
        message if header.truncated() => Parsed::Truncated(message),
        Ok(message) => Parsed::Answer(message),
        Err(error) => Parsed::Malformed(error),
    }
}

/// Whether two questions are the same. Names compare case-insensitively: a
/// server need not preserve our case.
fn is_same(a: &Query, b: &Query) -> bool {
    a.name() == b.name() && a.query_type() == b.query_type() && a.query_class() == b.query_class()
}

/// The records that were requested: those of the name itself, or of the name
/// that it is an alias for. If a response code is `wanted`, it decides, and there may be none.
pub(super) fn requested_records<'a>(
    answer: &'a Message,
    question: &Question,
    wanted: Option<Rcode>,
) -> Result<Vec<&'a RData>, Failure> {
    let Question {
        query, kind, shown, ..
    } = question;
    let (target, records) = follow_aliases(answer.answers(), query);
    let alias = |target: &Name| {
        let target = excerpt(target.to_ascii().trim_end_matches('.'), 80);
        format!("{target} (the target of the alias {shown})")
    };
    let name = target.map_or_else(|| shown.clone(), alias);
    if let Some(wanted) = wanted {
        let (got, _) = describe_code(answer.response_code());
        return match wanted.is(answer.response_code()) {
            true => Ok(records),
            false => Err(Failure::new(
                FailureClass::Status,
                format!("{got} for {name}, not {wanted}"),
            )),
        };
    }
    match answer.response_code() {
        ResponseCode::NoError => {}
        ResponseCode::NXDomain => {
            let reason = format!("NXDOMAIN: no such name: {name}");
            return Err(Failure::new(FailureClass::NoSuchName, reason));
        }
        code => {
            let (name, meaning) = describe_code(code);
            return Err(Failure::new(FailureClass::Status, format!("{name}: {meaning}")));
        }
    }
    if !records.is_empty() {
        return Ok(records);
    }
    if let Some(servers) = referral(answer) {
        return Err(Failure::new(
            FailureClass::Status,
            format!(
                "lame: the server has no data for {shown} and refers to {}",
                excerpt(&servers, 80)
            ),
        ));
    }
    Err(Failure::new(
        FailureClass::Content,
        format!("no {kind} record for {name}"),
    ))
}

/// Follows aliases (RFC 1034 section 3.6.2), in whatever order they are listed.
/// Returns the final target, if there are any aliases, and its records.
fn follow_aliases<'a>(answers: &'a [Record], query: &Query) -> (Option<&'a Name>, Vec<&'a RData>) {
    let records_of = |name: &Name, kind: RecordType| {
        let name = name.clone();
        answers.iter().filter(move |record| {
            record.record_type() == kind && record.dns_class() == DNSClass::IN && *record.name() == name
        })
    };
    let mut target = None;
    // At most as many steps as records, so that circular aliases end as well.
    for _ in 0..=answers.len() {
        let name = target.unwrap_or(query.name());
        let records: Vec<_> = records_of(name, query.query_type()).map(Record::data).collect();
        if !records.is_empty() {
            return (target, records);
        }
        let next = records_of(name, RecordType::CNAME).find_map(|record| record.data().as_cname());
        match next {
            Some(next) => target = Some(&next.0),
            None => break,
        }
    }
    (target, Vec::new())
}

/// The name servers to which a server without an answer of its own refers. (An
/// empty answer with a SOA record says that there is no such record: RFC 2308
/// section 2.2.)
fn referral(answer: &Message) -> Option<String> {
    let authority = answer.name_servers();
    let has_soa = authority
        .iter()
        .any(|record| record.record_type() == RecordType::SOA);
    if answer.authoritative() || !answer.answers().is_empty() || has_soa {
        return None;
    }
    let servers: Vec<_> = authority
        .iter()
        .filter_map(|record| record.data().as_ns())
        .map(|server| server.0.to_ascii())
        .collect();
    (!servers.is_empty()).then(|| servers.join(", "))
}

/// Judges whether `expect` is among the records.
pub(super) fn judge(records: &[&RData], question: &Question, expect: Option<&str>) -> Result<(), Failure> {
    let Some(expect) = expect else {
        return Ok(());
    };
    if records.iter().any(|data| record::contains(data, expect)) {
        return Ok(());
    }
    let Question { kind, shown, .. } = question;
    if records.is_empty() {
        return Err(Failure::new(
            FailureClass::Content,
            format!("no {kind} record for {shown}"),
        ));
    }
    // The first few fill any excerpt.
    let listed: Vec<_> = records.iter().take(20).map(|data| record::short(data)).collect();
    Err(Failure::new(
        FailureClass::Content,
        format!(
            "\"{}\" is not among the {kind} records of {shown}: {}",
            excerpt(expect, 60),
            excerpt(&listed.join(", "), 120)
        ),
    ))
}

/// The name of a response code, as `dig` prints it, and its meaning.
pub(super) fn describe_code(code: ResponseCode) -> (String, &'static str) {
    let (name, meaning) = match code {
        ResponseCode::NoError => ("NOERROR", "no error"),
        ResponseCode::FormErr => ("FORMERR", "the server cannot parse the query"),
        ResponseCode::ServFail => ("SERVFAIL", "the server could not get an answer"),
        ResponseCode::NXDomain => ("NXDOMAIN", "there is no such name"),
        ResponseCode::NotImp => ("NOTIMP", "the server does not support this kind of query"),
        ResponseCode::Refused => ("REFUSED", "the server refuses to answer this query"),
        ResponseCode::NotAuth => ("NOTAUTH", "the server is not authoritative for the zone"),
        ResponseCode::BADVERS => ("BADVERS", "the server does not support EDNS version 0"),
        ResponseCode::BADCOOKIE => ("BADCOOKIE", "the server requires a DNS cookie"),
        other => return (format!("rcode {}", u16::from(other)), other.to_str()),
    };
    (name.to_owned(), meaning)
}

/// The flags that are set, as `dig` prints them.
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

/// The ID and the question in `bytes`, which then answer it (for fuzzing).
pub(super) fn any_question(bytes: &[u8]) -> Option<(u16, Question)> {
    let mut decoder = BinDecoder::new(bytes);
    let id = Header::read(&mut decoder).ok()?.id();
    let query = Query::read(&mut decoder).unwrap_or_default();
    Some((id, Question::of(query, RecordKind::A, "x".to_owned())?))
}
