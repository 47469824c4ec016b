//! `ping`: does the host answer an ICMP echo?

mod buffer;
mod sockets;

use std::sync::Arc;

use apmon_core::{
    Blueprint, Failure, FailureClass, Kind, Look, Outcome, Probe,
    config::{Host, Section},
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use surge_ping::SurgeError;

use self::sockets::{Reply, Sockets};
use crate::{course::Course, endpoint::Remote, errno, resolve::Resolver};

/// So many packets one look may send: a second one only where a number was in
/// use, or a router's remark has taken the place of the answer.
const MAX_TRIES: usize = 16;

/// `type: ping` has no options of its own.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct PingOptions {}

/// The kind `ping`.
#[derive(Debug)]
pub struct Ping;

impl Kind for Ping {
    type Options = PingOptions;

    fn name(&self) -> &'static str {
        "ping"
    }

    fn summary(&self) -> &'static str {
        "sends one ICMP echo request and waits for its reply"
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

    fn compile(&self, _: PingOptions, section: &mut Section<'_>) -> Option<Blueprint> {
        if section.address().is_empty() {
            return None; // complained of already
        }
        let Some(host) = Host::parse(section.address()) else {
            let hint = match section.address().contains("://") {
                true => ", without a scheme",
                false => "",
            };
            section.mistake(
                "address",
                format!("must be a host name, IPv4 or IPv6 address{hint}"),
            );
            return None;
        };
        let remote = Remote::read(section, host)?;
        Some(Blueprint::probe(move |tools| PingProbe {
            remote: remote.clone(),
            sockets: tools.shared(),
            resolver: tools.shared(),
        }))
    }
}

struct PingProbe {
    remote: Remote,
    sockets: Arc<Sockets>,
    resolver: Arc<Resolver>,
}

#[async_trait]
impl Probe for PingProbe {
    async fn probe(&self, look: &Look) -> Outcome {
        let mut course = Course::start();
        let result = self.look(look, &mut course).await;
        course.finish(result)
    }
}

impl PingProbe {
    async fn look(&self, look: &Look, course: &mut Course) -> Result<(), Failure> {
        let to = self.remote.address(look, course, &self.resolver).await?;
        let client = self.sockets.client(to)?;
        for _ in 0..MAX_TRIES {
            let echo = self.sockets.echo(&client, to, look.timeout);
            let answer = match tokio::time::timeout_at(look.deadline(), echo).await {
                Err(_) | Ok(Err(SurgeError::Timeout { .. })) => return Err(silent(look)),
                // Another look at this host waits for the same number.
                Ok(Err(SurgeError::IdenticalRequests { .. })) => continue,
                Ok(answer) => answer.map_err(|error| failure(&error))?,
            };
            match answer {
                Reply::Echo => {
                    look.step("ping", || format!("reply from {to}"));
                    return Ok(());
                }
                Reply::Unreachable(words) => {
                    return Err(Failure::new(FailureClass::Unreachable, words));
                }
                Reply::Remark(words) => look.step("ping", || words),
            }
        }
        Err(silent(look))
    }
}

fn silent(look: &Look) -> Failure {
    let failure = look.expired(|timeout| format!("no reply within {timeout}"));
    look.step("ping", || failure.reason.clone());
    failure
}

fn failure(error: &SurgeError) -> Failure {
    match error {
        SurgeError::IOError(error) => errno::failure("send", error),
        other => Failure::new(FailureClass::Resources, format!("ping: {other}")),
    }
}

#[cfg(test)]
mod tests;
