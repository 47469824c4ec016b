//! `dns`: does a name server give the right answer?
//!
//! The probe queries the server directly: over UDP, then over TCP if the answer
//! does not fit a datagram. The system's resolver is used only to find the
//! server itself when it is given by name.

mod answer;
mod exchange;
mod question;
mod record;

use std::{net::SocketAddr, sync::Arc};

use apmon_core::{
    Blueprint, Check, Failure, Kind, Outcome, Phase, Probe, ProbeTarget,
    config::{Section, Text},
    text::excerpt,
};
use async_trait::async_trait;
use hickory_proto::{op::Message, rr::Record};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::{answer::Parsed, exchange::Exchange, question::Question};
use crate::{
    endpoint::{self, Endpoint},
    local::Local,
    recorder::CheckRecorder,
};

pub use self::question::RecordKind;

const PORT: u16 = 53;

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
    /// so that 10.0.0.1 does not match 10.0.0.10. Only TXT and CAA are
    /// case-sensitive.
    pub expect: Option<Text>,
}

/// The kind `dns`.
#[derive(Debug)]
pub struct Dns;

impl Kind for Dns {
    type Options = DnsOptions;

    fn name(&self) -> &'static str {
        "dns"
    }

    fn summary(&self) -> &'static str {
        "queries a name server and checks the records in its answer"
    }

    fn address(&self) -> &'static str {
        "dns://server[:port], port 53 by default"
    }

    fn example(&self) -> &'static str {
        "type: dns\nname: lab-dns\naddress: dns://192.168.1.1\nquery: nas.lab.example\n\
         record_type: A\nexpect: 192.168.1.10\n"
    }

    fn schemes(&self) -> &'static [&'static str] {
        &["dns"]
    }

    fn compile(&self, options: DnsOptions, section: &mut Section<'_>) -> Option<Blueprint> {
        let text = section.require("query", options.query.as_ref());
        let question = match text.map(|text| Question::new(text.as_str(), options.record_type)) {
            None => None,
            Some(Ok(question)) => Some(question),
            Some(Err(error)) => {
                section.error("query", error);
                None
            }
        };
        let endpoint = section
            .address_url(&["dns"])
            .and_then(|url| Endpoint::of(&url, section, Some(PORT)))?;
        let plan = Arc::new(Plan {
            endpoint,
            question: question?,
            expect: options.expect.map(Text::into_string),
        });
        Some(Blueprint::probe(move |services| DnsProbe {
            plan: Arc::clone(&plan),
            local: services.shared(),
        }))
    }
}

struct Plan {
    endpoint: Endpoint,
    question: Question,
    expect: Option<String>,
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
        let Plan {
            endpoint,
            question,
            expect,
        } = &*self.plan;
        let to = endpoint.to(check, recorder)?;
        let exchange = Exchange::new(question, check)?;
        let answer = match exchange.over_udp(to, &self.local.network).await? {
            Some(answer) => {
                recorder.done(Phase::FirstByte);
                answer
            }
            None => {
                recorder.done(Phase::FirstByte);
                check.step("receive", || "truncated; retrying over TCP".to_owned());
                // Boxed: few answers are that long.
                let answer = Box::pin(self.over_tcp(to, &exchange, check, recorder)).await;
                let answer = answer.map_err(|failure| {
                    let reason = format!("answer truncated, retry over TCP failed: {}", failure.reason);
                    Failure::new(failure.class, reason)
                })?;
                recorder.done(Phase::Transfer);
                answer
            }
        };
        explain(check, &answer);
        let records = answer::requested_records(&answer, question)?;
        recorder.measured("records", records.len() as f64);
        answer::judge(&records, question, expect.as_deref())
    }

    async fn over_tcp(
        &self,
        to: SocketAddr,
        exchange: &Exchange<'_>,
        check: &Check,
        recorder: &mut CheckRecorder,
    ) -> Result<Message, Failure> {
        let stream = endpoint::connect(to, check, recorder, &self.local).await?;
        exchange.over_tcp(stream).await
    }
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
        if let Ok(records) = answer::requested_records(&answer, &question) {
            std::hint::black_box(answer::judge(&records, &question, Some("needle"))).ok();
        }
    }
}

#[cfg(test)]
mod tests;
