//! `ping`: does the host answer an ICMP echo?

mod icmp_error;
mod options;
mod packet;
mod packet_counts;
mod socket;
mod table;

use std::{sync::Arc, time::Duration};

use apmon_core::{
    Blueprint, Check, Domain, Failure, FailureClass, Kind, Outcome, OwnNetwork as _, Probe, ProbeTarget,
    config::{Host, Remote, Section},
};
use async_trait::async_trait;
use tokio::time::Instant;

pub use self::options::{PacketCount, Percent, PingOptions};
use self::{
    options::Plan,
    packet::Family,
    packet_counts::{PacketCounts, millis},
    socket::{EchoRequests, Sockets},
    table::{Arrival, IcmpAnswer},
};
use crate::{endpoint, local::Local, recorder::CheckRecorder};

/// Time between two packets of one check.
const INTERVAL: Duration = Duration::from_millis(200);

/// How long to wait for the remaining replies once anything has come back.
/// A router without a route reports only a few of the packets.
const REMAINING_WAIT: Duration = Duration::from_secs(2);

/// The kind `ping`.
#[derive(Debug)]
pub struct Ping;

impl Kind for Ping {
    type Options = PingOptions;

    fn name(&self) -> &'static str {
        "ping"
    }

    fn summary(&self) -> &'static str {
        "sends ICMP echo requests and waits for the replies"
    }

    fn address(&self) -> &'static str {
        "a host name or an IPv4 or IPv6 address"
    }

    fn example(&self) -> &'static str {
        "type: ping\nname: router\naddress: 192.168.1.1\n"
    }

    fn schemes(&self) -> &'static [&'static str] {
        &[""]
    }

    fn compile(&self, options: PingOptions, section: &mut Section<'_>) -> Option<Blueprint> {
        if section.address().is_empty() {
            return None; // already reported
        }
        let Some(host) = Host::parse(section.address()) else {
            let hint = match section.address().contains("://") {
                true => ", without a scheme",
                false => "",
            };
            let general = || format!("must be a host name or an IPv4 or IPv6 address{hint}");
            let fault = Host::fault(section.address()).unwrap_or_else(general);
            section.error("address", fault);
            return None;
        };
        let remote = Remote::read(section, host)?;
        let plan = Plan::from(&options);
        Some(Blueprint::probe(move |services| PingProbe {
            remote: remote.clone(),
            plan,
            sockets: services.shared(),
            local: services.shared(),
        }))
    }
}

struct PingProbe {
    remote: Remote,
    plan: Plan,
    sockets: Arc<Sockets>,
    local: Arc<Local>,
}

#[async_trait]
impl Probe for PingProbe {
    async fn probe(&self, check: &Check) -> Outcome {
        let mut recorder = CheckRecorder::of(check);
        let result = self.check(check, &mut recorder).await;
        recorder.finish(result, check, &self.local.network)
    }

    fn target(&self) -> Option<ProbeTarget<'_>> {
        Some(self.local.target(&self.remote))
    }
}

impl PingProbe {
    async fn check(&self, check: &Check, recorder: &mut CheckRecorder) -> Result<(), Failure> {
        let to = endpoint::address(&self.remote, check, recorder)?;
        let mut counts = PacketCounts::new();
        let exchanged = match self.sockets.requests_to(to, check.source(to)) {
            Ok(mut requests) => self.exchange(&mut requests, check, &mut counts).await,
            Err(failure) => Err(failure),
        };
        let judged = exchanged.and_then(|()| {
            counts.record_metrics(&self.plan, recorder);
            self.judge(check, &counts)
        });
        match judged {
            Ok(()) => {
                if let Some(average) = counts.average() {
                    recorder.answered_in(average);
                }
                Ok(())
            }
            Err(failure) => {
                let failure = check.network(&*self.local.network, to).blame(to, failure);
                check.step("ping", || failure.reason.clone());
                Err(failure)
            }
        }
    }

    /// Sends the packets and waits until no more replies are to be expected.
    async fn exchange(
        &self,
        requests: &mut EchoRequests<'_>,
        check: &Check,
        counts: &mut PacketCounts,
    ) -> Result<(), Failure> {
        let count = usize::from(self.plan.count);
        let left = check.deadline().saturating_duration_since(Instant::now());
        // Sending takes at most half the time, so that the last packet can be answered.
        let interval = INTERVAL.min(left / 2 / u32::from(self.plan.count));
        let mut next = Instant::now();
        let mut end = check.deadline();
        let (mut is_reached, mut is_shortened) = (false, false);
        loop {
            for arrival in requests.take() {
                explain(check, arrival);
                counts.record(arrival);
            }
            if !is_reached && counts.is_any_answered() {
                is_reached = true;
                check.reached();
                (end, is_shortened) = (check.deadline(), false);
            }
            let all_sent = counts.sent() >= count;
            if all_sent && counts.are_all_settled() {
                return Ok(());
            }
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            if all_sent && !is_shortened && counts.is_any_settled() {
                is_shortened = true;
                end = end.min(now + REMAINING_WAIT);
            }
            if !all_sent && now >= next {
                match requests.send(check).await {
                    Ok(true) => counts.record_sent(),
                    // The deadline came before its turn.
                    Ok(false) => return Ok(()),
                    Err(failure) => return Err(failure),
                }
                next = Instant::now() + interval;
                continue;
            }
            let until = if all_sent { end } else { end.min(next) };
            // The next iteration sees whether it was an arrival or the timeout.
            let _ = tokio::time::timeout_at(until, requests.arrived()).await;
        }
    }

    fn judge(&self, check: &Check, counts: &PacketCounts) -> Result<(), Failure> {
        if self.plan.count > 1 {
            check.step("ping", || counts.summary());
        }
        let silent = check.expired(|timeout| match counts.is_any_altered() {
            false => format!("no reply within {timeout}"),
            true => format!(
                "no reply within {timeout} that returns what was sent: the host, or something on the way, \
                 answers with other bytes"
            ),
        });
        // This process stood still: the missing replies were lost by us.
        if silent.class.domain() == Domain::Own && !counts.are_all_settled() {
            return Err(silent);
        }
        if counts.is_any_answered() {
            return counts.judge(&self.plan);
        }
        Err(match counts.first_error() {
            Some((error, from)) => error.failure(from, self.local.network.is_own(from)),
            None if counts.sent() == 0 => Failure::new(
                FailureClass::Resources,
                "send: the deadline passed before a packet could be sent",
            ),
            None => silent,
        })
    }
}

fn explain(check: &Check, arrival: Arrival) {
    check.step("ping", || match arrival.answer {
        IcmpAnswer::Reply(time) => format!("reply {} after {:.3} ms", arrival.index + 1, millis(time)),
        IcmpAnswer::Altered { length } => {
            format!(
                "ignored reply {}: other bytes than were sent ({length})",
                arrival.index + 1
            )
        }
        IcmpAnswer::Error { error, from } => error.describe(from),
    });
}

/// Runs every parser of received bytes over `bytes`.
pub(crate) fn fuzz(bytes: &[u8]) {
    for family in [Family::V4, Family::V6] {
        // Without `black_box` the calls would be optimized away.
        std::hint::black_box(packet::parse_raw(family, bytes));
        std::hint::black_box(packet::parse_icmp(family, bytes));
        std::hint::black_box(packet::parse_quoted(family, bytes));
    }
}

#[cfg(test)]
mod tests;
