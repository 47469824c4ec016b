//! `dns`: does a name server give the right answer?
//!
//! The probe queries the server directly: over UDP, then over TCP if the answer
//! does not fit a datagram; or over TCP or TLS alone. A server that cannot parse a
//! query with EDNS is asked again without. The system's resolver is used only to find
//! the server itself when it is given by name.

mod answer;
mod exchange;
mod question;
mod rcode;
mod record;

use std::{io, net::SocketAddr, sync::Arc};

use apmon_core::{
    Blueprint, Both, Check, Failure, Kind, Outcome, Phase, Probe, ProbeTarget,
    config::{Section, Text},
    errno,
    text::excerpt,
};
use async_trait::async_trait;
use hickory_proto::{
    op::{Message, ResponseCode},
    rr::Record,
};
use rustls::pki_types::ServerName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::{
    answer::Parsed,
    exchange::{Edns, Exchange},
    question::Question,
};
use crate::{
    budget::{Framing, Metered},
    endpoint::{self, Endpoint},
    local::Local,
    recorder::CheckRecorder,
    tls::{self, Prelude, Tls, TlsOptions},
};

pub use self::{question::RecordKind, rcode::Rcode};

const PORT: u16 = 53;
const TLS_PORT: u16 = 853;

/// How many records of each section `--explain` shows.
const MAX_SHOWN: usize = 50;

/// Options of `type: dns`.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct DnsOptions {
    /// Name to look up, in full: no search domain is appended. A trailing dot
    /// and non-ASCII letters are allowed. With `record_type: PTR` it may be an
    /// IP address, which is looked up under in-addr.arpa or ip6.arpa.
    #[schemars(required)]
    pub query: Option<Text>,
    /// The record type to query: A, AAAA, CNAME, MX, NS, PTR, SOA, SRV, TXT or CAA,
    /// in upper or lower case. Default A. Without `expect` the monitor is up if
    /// there is at least one such record; if the name is an alias (CNAME), the
    /// records of its target count.
    #[serde(default)]
    pub record_type: RecordKind,
    /// Text that must appear in one of the records as `dig +short` prints them:
    /// `10 mail.example.com.` for MX, the text itself for TXT (with or without
    /// its quotes, its parts joined). An IP address must match the whole record,
    /// so that 10.0.0.1 does not match 10.0.0.10. A network such as `10.0.0.0/24`
    /// matches the addresses in it, and a text with `*` a whole record, in which `*`
    /// stands for any text: `*.mail.example.com.`. Only TXT and CAA are
    /// case-sensitive.
    pub expect: Option<Text>,
    /// Response code that the server must return, such as NXDOMAIN or REFUSED, or
    /// its number. With NOERROR no record is required, unless `expect` is set.
    /// Default: NOERROR, and at least one record. (An addition.)
    pub expect_rcode: Option<Rcode>,
    /// How the server is asked: `udp` (then `tcp` if the answer is too long), `tcp`,
    /// or `tls` (port 853 by default). Default `udp`. (An addition.)
    #[serde(default)]
    pub transport: DnsTransport,
}

/// How a name server is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DnsTransport {
    /// By datagrams; an answer that does not fit one is fetched over TCP.
    #[default]
    Udp,
    /// Over a connection.
    Tcp,
    /// Over TLS (RFC 7858).
    Tls,
}

/// The kind `dns`.
#[derive(Debug)]
pub struct Dns;

impl Kind for Dns {
    type Options = Both<DnsOptions, TlsOptions>;

    fn name(&self) -> &'static str {
        "dns"
    }

    fn summary(&self) -> &'static str {
        "queries a name server and checks the records in its answer"
    }

    fn address(&self) -> &'static str {
        "dns://server[:port], port 53 by default (853 with `transport: tls`)"
    }

    fn example(&self) -> &'static str {
        "type: dns\nname: lab-dns\naddress: dns://192.168.1.1\nquery: nas.lab.example\n\
         record_type: A\nexpect: 192.168.1.10\n"
    }

    fn schemes(&self) -> &'static [&'static str] {
        &["dns"]
    }

    fn compile(&self, Both(options, tls): Self::Options, section: &mut Section<'_>) -> Option<Blueprint> {
        let text = section.require("query", options.query.as_ref());
        let question = match text.map(|text| Question::new(text.as_str(), options.record_type)) {
            None => None,
            Some(Ok(question)) => Some(question),
            Some(Err(error)) => {
                section.error("query", error);
                None
            }
        };
        if let Some(rcode) = options.expect_rcode
            && rcode != Rcode::NO_ERROR
            && section.has("expect")
        {
            section.misplaced(
                "expect",
                format!("needs records, and an answer with expect_rcode {rcode} has none"),
            );
        }
        let uses_tls = options.transport == DnsTransport::Tls;
        let missing = (!uses_tls && !section.is_wrong("transport")).then_some("needs \"transport: tls\"");
        let tls = tls.plan(section, &[], missing, false);
        let port = if uses_tls { TLS_PORT } else { PORT };
        let endpoint = section
            .address_url(&["dns"])
            .and_then(|url| Endpoint::of(&url, section, Some(port)))?;
        let plan = Arc::new(Plan {
            tls: match uses_tls {
                true => {
                    let tls = tls?;
                    let name = tls.name_instead_of(tls::server_name(&endpoint.remote.host));
                    Some(Box::new((name, tls)))
                }
                false => None,
            },
            transport: options.transport,
            endpoint,
            question: question?,
            expect: options.expect.map(Text::into_string),
            rcode: options.expect_rcode,
        });
        Some(Blueprint::probe(move |services| DnsProbe {
            plan: Arc::clone(&plan),
            local: services.shared(),
        }))
    }
}

struct Plan {
    endpoint: Endpoint,
    transport: DnsTransport,
    /// Boxed, as most monitors of this kind have none.
    tls: Option<Box<(ServerName<'static>, Tls)>>,
    question: Question,
    expect: Option<String>,
    rcode: Option<Rcode>,
}

struct DnsProbe {
    plan: Arc<Plan>,
    local: Arc<Local>,
}

#[async_trait]
impl Probe for DnsProbe {
    async fn probe(&self, check: &Check) -> Outcome {
        let mut recorder = CheckRecorder::of(check);
        let result = self.check(check, &mut recorder).await;
        recorder.finish(result, check, &self.local.network)
    }

    fn target(&self) -> Option<ProbeTarget<'_>> {
        Some(self.local.target(&self.plan.endpoint.remote))
    }
}

impl DnsProbe {
    async fn check(&self, check: &Check, recorder: &mut CheckRecorder) -> Result<(), Failure> {
        let plan = &*self.plan;
        let to = plan.endpoint.to(check, recorder)?;
        let mut answer = self.ask(to, Edns::Yes, check, recorder).await?;
        check.reached();
        if is_from_before_edns(&answer) {
            check.step("receive", || {
                let (code, _) = answer::describe_code(answer.response_code());
                format!("{code}; asking again without EDNS")
            });
            answer = self.ask(to, Edns::No, check, recorder).await?;
        }
        explain(check, &answer);
        let records = answer::requested_records(&answer, &plan.question, plan.rcode)?;
        recorder.measured("records", records.len() as f64);
        answer::judge(&records, &plan.question, plan.expect.as_deref())
    }

    /// Asks the server at `to`.
    async fn ask(
        &self,
        to: SocketAddr,
        edns: Edns,
        check: &Check,
        recorder: &mut CheckRecorder,
    ) -> Result<Message, Failure> {
        let exchange = Exchange::new(&self.plan.question, edns, check)?;
        if self.plan.transport != DnsTransport::Udp {
            // Boxed: a check that waits for a dead host needs no memory for it.
            let answer = Box::pin(self.over_connection(to, &exchange, check, recorder)).await?;
            recorder.done(Phase::FirstByte);
            return Ok(answer);
        }
        let Some(answer) = exchange.over_udp(to, &self.local.network).await? else {
            recorder.done(Phase::FirstByte);
            check.step("receive", || "truncated; retrying over TCP".to_owned());
            // Boxed: few answers are that long.
            let answer = Box::pin(self.over_connection(to, &exchange, check, recorder)).await;
            let answer = answer.map_err(|failure| {
                let reason = format!("answer truncated, retry over TCP failed: {}", failure.reason);
                Failure::new(failure.class, reason)
            })?;
            recorder.done(Phase::Transfer);
            return Ok(answer);
        };
        // The first byte of the answer is that of the one that counts.
        if edns == Edns::No || !is_from_before_edns(&answer) {
            recorder.done(Phase::FirstByte);
        }
        Ok(answer)
    }

    /// Asks over a connection of its own, over TLS if the plan says so.
    async fn over_connection(
        &self,
        to: SocketAddr,
        exchange: &Exchange<'_>,
        check: &Check,
        recorder: &mut CheckRecorder,
    ) -> Result<Message, Failure> {
        let stream = endpoint::connect(to, check, recorder, &self.local).await?;
        match self.plan.tls.as_deref() {
            None => {
                let failed = |error: &io::Error| errno::failure("receive", error);
                exchange.over_stream(stream, failed).await
            }
            Some((name, tls)) => {
                let stream = tls
                    .handshake(name.clone(), stream, Prelude::None, check, recorder)
                    .await?;
                let meter = stream.meter().clone();
                meter.answer_begins();
                let stream = Metered::decrypted(stream, Framing::Plain, meter.clone());
                let failed = |error: &io::Error| tls::failure("receive", error, &meter);
                exchange.over_stream(stream, failed).await
            }
        }
    }
}

/// Whether the answer is how a server from before EDNS refuses a query that has it (RFC 6891,
/// section 7).
fn is_from_before_edns(answer: &Message) -> bool {
    matches!(
        answer.response_code(),
        ResponseCode::FormErr | ResponseCode::NotImp
    )
}

/// Adds an answer to the trace, in the style of `dig`.
fn explain(check: &Check, answer: &Message) {
    if !check.is_traced() {
        return;
    }
    check.step("receive", || {
        let (code, _) = answer::describe_code(answer.response_code());
        format!(
            "{code}; flags {}; answer {}, authority {}, additional {}",
            answer::flags(answer),
            answer.answers().len(),
            answer.name_servers().len(),
            answer.additionals().len()
        )
    });
    section(check, "answer", answer.answers());
    section(check, "authority", answer.name_servers());
}

fn section(check: &Check, name: &str, records: &[Record]) {
    for record in &records[..records.len().min(MAX_SHOWN)] {
        check.step(name, || excerpt(&record::line(record), 200));
    }
    if let Some(more) = records.len().checked_sub(MAX_SHOWN).filter(|more| *more > 0) {
        check.step(name, || format!("and {more} more"));
    }
}

/// Parses `bytes` as an answer to the question they contain, and runs all that
/// is done with an answer.
pub(crate) fn fuzz(bytes: &[u8]) {
    let Some((id, question)) = answer::any_question(bytes) else {
        return;
    };
    if let Parsed::Answer(answer) | Parsed::Truncated(Ok(answer)) = answer::parse(bytes, id, &question) {
        for record in answer.answers().iter().chain(answer.name_servers()) {
            std::hint::black_box(record::line(record));
        }
        std::hint::black_box(answer::flags(&answer));
        if let Ok(records) = answer::requested_records(&answer, &question, None) {
            std::hint::black_box(answer::judge(&records, &question, Some("needle"))).ok();
        }
    }
}

#[cfg(test)]
mod tests;
