//! `ping`: does the host answer an ICMP echo?

mod count;
mod notice;
mod options;
mod packet;
mod socket;
mod table;

use std::{sync::Arc, time::Duration};

use apmon_core::{
    Blueprint, Check, Domain, Failure, FailureClass, Kind, Outcome, OwnNetwork as _, Probe,
    config::{Host, Remote, Section},
};
use async_trait::async_trait;
use tokio::time::Instant;

pub use self::options::{Packets, Percent, PingOptions};
use self::{
    count::{PacketCounts, millis},
    options::Plan,
    packet::Family,
    socket::{Echoes, Sockets},
    table::{Answer, Arrival},
};
use crate::{endpoint, local::Local, recorder::CheckRecorder};

/// Between two packets of one look.
const GAP: Duration = Duration::from_millis(200);

/// So long the last replies are waited for once anything was heard. A router
/// that has no way says so of a few packets only.
const TAIL: Duration = Duration::from_secs(2);

/// The kind `ping`.
#[derive(Debug)]
pub struct Ping;

impl Kind for Ping {
    type Options = PingOptions;

    fn name(&self) -> &'static str {
        "ping"
    }

    fn summary(&self) -> &'static str {
        "sends ICMP echo requests and waits for their replies"
    }

    fn address(&self) -> &'static str {
        "a host name, IPv4 or IPv6 address"
    }

    fn example(&self) -> &'static str {
        "type: ping\nname: router\naddress: 192.168.1.1\n"
    }

    fn schemes(&self) -> &'static [&'static str] {
        &[""]
    }

    fn compile(&self, options: PingOptions, section: &mut Section<'_>) -> Option<Blueprint> {
        if section.address().is_empty() {
            return None; // complained of already
        }
        let Some(host) = Host::parse(section.address()) else {
            let hint = match section.address().contains("://") {
                true => ", without a scheme",
                false => "",
            };
            section.error(
                "address",
                format!("must be a host name, IPv4 or IPv6 address{hint}"),
            );
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
        let mut recorder = CheckRecorder::start();
        let result = self.check(check, &mut recorder).await;
        recorder.finish(result, &self.local.network)
    }
}

impl PingProbe {
    async fn check(&self, check: &Check, recorder: &mut CheckRecorder) -> Result<(), Failure> {
        let to = endpoint::address(&self.remote, check, recorder, &self.local).await?;
        let mut counts = PacketCounts::new();
        let asked = match self.sockets.echoes(to) {
            Ok(mut echoes) => self.ask(&mut echoes, check, &mut counts).await,
            Err(failure) => Err(failure),
        };
        let judged = asked.and_then(|()| {
            counts.measure(&self.plan, recorder);
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
                let failure = self.local.network.blame(to, failure);
                check.step("ping", || failure.reason.clone());
                Err(failure)
            }
        }
    }

    /// Sends the packets and waits until nothing more is to be expected.
    async fn ask(
        &self,
        echoes: &mut Echoes<'_>,
        check: &Check,
        counts: &mut PacketCounts,
    ) -> Result<(), Failure> {
        let count = usize::from(self.plan.count);
        let left = check.deadline().saturating_duration_since(Instant::now());
        // Half the time is for sending, so that the last one can be answered.
        let gap = GAP.min(left / 2 / u32::from(self.plan.count));
        let mut next = Instant::now();
        let mut end = check.deadline();
        let mut tail = false;
        loop {
            for arrival in echoes.take() {
                explain(check, arrival);
                counts.arrived(arrival);
            }
            let all = counts.count() >= count;
            if all && counts.is_settled() {
                return Ok(());
            }
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            if all && !tail && counts.is_heard() {
                tail = true;
                end = end.min(now + TAIL);
            }
            if !all && now >= next {
                match echoes.send(check).await {
                    Ok(true) => counts.sent(),
                    // Its turn did not come.
                    Ok(false) => return Ok(()),
                    Err(failure) => return Err(failure),
                }
                next = Instant::now() + gap;
                continue;
            }
            let until = if all { end } else { end.min(next) };
            // What it was, the next round sees.
            let _ = tokio::time::timeout_at(until, echoes.arrived()).await;
        }
    }

    fn judge(&self, check: &Check, counts: &PacketCounts) -> Result<(), Failure> {
        if self.plan.count > 1 {
            check.step("ping", || counts.summary());
        }
        let silent = check.expired(|timeout| format!("no reply within {timeout}"));
        // This process stood still: what was lost, we lost.
        let own = silent.class.domain() == Domain::Own && !counts.is_settled();
        if own {
            return Err(silent);
        }
        if counts.is_answered() {
            return counts.judge(&self.plan);
        }
        Err(match counts.notice() {
            Some((notice, from)) => notice.failure(from, self.local.network.is_own(from)),
            None if counts.count() == 0 => {
                Failure::new(FailureClass::Resources, "send: no turn before the deadline")
            }
            None => silent,
        })
    }
}

fn explain(check: &Check, arrival: Arrival) {
    check.step("ping", || match arrival.answer {
        Answer::Reply(time) => format!("reply {} after {:.3} ms", arrival.place + 1, millis(time)),
        Answer::Notice { notice, from } => notice.remark(from),
    });
}

/// Everything that reads bytes from outside.
pub(crate) fn fuzz(bytes: &[u8]) {
    for family in [Family::V4, Family::V6] {
        // Unused, they would not be called at all.
        std::hint::black_box(packet::raw(family, bytes));
        std::hint::black_box(packet::message(family, bytes));
        std::hint::black_box(packet::quoted(family, bytes));
    }
}

#[cfg(test)]
mod tests;
