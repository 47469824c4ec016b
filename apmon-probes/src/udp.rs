//! `udp`: is it answered, or at least not refused?

use std::{
    io::{self, Read as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use apmon_core::{
    Blueprint, Check, Failure, FailureClass, Kind, Outcome, OwnNetwork as _, Phase, Probe, Secret,
    config::{Section, Text},
    errno,
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use socket2::SockRef;
use tokio::{io::Interest, net::UdpSocket, time::Instant};

use crate::{
    endpoint::Endpoint,
    errqueue,
    expect::{Expect, Search},
    local::Local,
    network::Network,
    payload::{self, Encoding},
    recorder::{CheckRecorder, seconds},
};

/// The largest datagram over IPv4.
const MAX_DATAGRAM: usize = 65_507;

/// So long an ICMP refusal is waited for where no answer is expected.
const REFUSAL: Duration = Duration::from_millis(250);

/// Options of `type: udp`.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct UdpOptions {
    /// The datagram to send; at most 65507 bytes.
    #[schemars(required)]
    pub send: Option<Secret>,
    /// How `send` is written. Default `text`.
    #[serde(default)]
    pub content_type: Encoding,
    /// Must appear in one datagram of the answer; others are ignored. Without
    /// it the monitor is up once the datagram is sent and no ICMP refusal has
    /// come back within 250 ms: it cannot tell whether anybody listens behind
    /// a firewall that drops.
    pub expect: Option<Text>,
    /// How `expect` is written. Default `text`, whatever `content_type` says.
    /// (An addition.)
    #[serde(default)]
    pub expect_type: Encoding,
}

/// The kind `udp`.
#[derive(Debug)]
pub struct Udp;

impl Kind for Udp {
    type Options = UdpOptions;

    fn name(&self) -> &'static str {
        "udp"
    }

    fn summary(&self) -> &'static str {
        "sends a datagram to a UDP port and searches the answers"
    }

    fn address(&self) -> &'static str {
        "udp://host:port"
    }

    fn example(&self) -> &'static str {
        "type: udp\nname: lab-syslog\naddress: udp://192.168.1.10:514\nsend: apmon was here\n"
    }

    fn schemes(&self) -> &'static [&'static str] {
        &["udp"]
    }

    fn compile(&self, options: UdpOptions, section: &mut Section<'_>) -> Option<Blueprint> {
        let send = payload::read(section, options.send.as_ref(), options.content_type);
        section.require("send", options.send.as_ref());
        if let Some(bytes) = &send
            && bytes.len() > MAX_DATAGRAM
        {
            section.error(
                "send",
                format!(
                    "must fit one datagram of {MAX_DATAGRAM} bytes; this has {}",
                    bytes.len()
                ),
            );
        }
        let expect = payload::expected(section, options.expect.as_ref(), options.expect_type);
        let endpoint = Endpoint::read(section, "udp")?;
        let plan = Arc::new(Plan {
            endpoint,
            send: send?,
            expect,
        });
        Some(Blueprint::probe(move |services| UdpProbe {
            plan: Arc::clone(&plan),
            local: services.shared(),
        }))
    }
}

struct Plan {
    endpoint: Endpoint,
    send: Vec<u8>,
    expect: Option<Expect>,
}

struct UdpProbe {
    plan: Arc<Plan>,
    local: Arc<Local>,
}

#[async_trait]
impl Probe for UdpProbe {
    async fn probe(&self, check: &Check) -> Outcome {
        let mut recorder = CheckRecorder::start();
        let result = self.check(check, &mut recorder).await;
        recorder.finish(result, &self.local.network)
    }
}

impl UdpProbe {
    async fn check(&self, check: &Check, recorder: &mut CheckRecorder) -> Result<(), Failure> {
        let to = self.plan.endpoint.resolve(check, recorder, &self.local).await?;
        self.exchange(to, check, recorder).await
    }

    async fn exchange(
        &self,
        to: SocketAddr,
        check: &Check,
        recorder: &mut CheckRecorder,
    ) -> Result<(), Failure> {
        let plan = &*self.plan;
        let network = &self.local.network;
        let failed = |step| move |error: io::Error| network.failure(step, to.ip(), &error);
        let socket = connected(to, network).await?;
        check
            .within("send", socket.send(&plan.send))
            .await?
            .map_err(failed("send"))?;
        check.step("send", || format!("{} bytes to {to}", plan.send.len()));
        match &plan.expect {
            Some(expect) => {
                let found = receive(&socket, check, recorder, expect).await?;
                found.map_err(failed("receive"))
            }
            None => {
                recorder.stop();
                let until = check.deadline().min(Instant::now() + REFUSAL);
                // Any answer at all proves more than silence does.
                match tokio::time::timeout_at(until, next(&socket, check, None)).await {
                    Ok(answer) => drop(answer.map_err(failed("receive"))?),
                    Err(_) => {
                        check.step("receive", || "no refusal, no answer".to_owned());
                        // Silence is fine, but not that of a pulled cable.
                        if let Some(trouble) = network.trouble(to.ip()) {
                            return Err(trouble);
                        }
                    }
                }
                Ok(())
            }
        }
    }
}

/// A socket that speaks with `to` alone, from a port the kernel picks.
/// Connected, so that a refusal finds its way back to it.
pub(crate) async fn connected(to: SocketAddr, network: &Network) -> Result<UdpSocket, Failure> {
    let any: IpAddr = match to {
        _ if to.is_ipv4() => Ipv4Addr::UNSPECIFIED.into(),
        _ => Ipv6Addr::UNSPECIFIED.into(),
    };
    // Without it the kernel keeps to itself that a host is unreachable: to UDP
    // that is no lasting error (RFC 1122 section 4.1.3.3).
    let socket = UdpSocket::bind((any, 0))
        .await
        .and_then(|socket| errqueue::enable(&socket, to.is_ipv4()).map(|()| socket))
        .map_err(|error| errno::failure("open", &error))?;
    let failed = |error| network.failure("send", to.ip(), &error);
    socket.connect(to).await.map_err(failed)?;
    Ok(socket)
}

/// Waits for a datagram that holds what is expected.
async fn receive(
    socket: &UdpSocket,
    check: &Check,
    recorder: &mut CheckRecorder,
    expect: &Expect,
) -> Result<io::Result<()>, Failure> {
    let mut others = 0_u64;
    loop {
        let answer = tokio::time::timeout_at(check.deadline(), next(socket, check, Some(expect))).await;
        // A flood that never lets the timer in still ends.
        let late = others > 0 && Instant::now() >= check.deadline();
        let (Ok(found), false) = (answer, late) else {
            return Err(match others {
                0 => check.timed_out("receive"),
                _ => Failure::new(
                    FailureClass::Content,
                    format!(
                        "{} in none of {others} datagrams received within {}",
                        expect.quoted(),
                        seconds(check.timeout)
                    ),
                ),
            });
        };
        match found {
            Ok(true) => {
                recorder.done(Phase::FirstByte);
                return Ok(Ok(()));
            }
            Ok(false) => others += 1,
            Err(error) => return Ok(Err(error)),
        }
    }
}

/// Takes the next datagram; whether it is the one. The buffer lives on the
/// stack of the call that finds one there, so a look that waits holds none.
async fn next(socket: &UdpSocket, check: &Check, expect: Option<&Expect>) -> io::Result<bool> {
    // A refusal alone makes a socket not readable, only broken.
    let interest = Interest::READABLE | Interest::ERROR;
    socket
        .async_io(interest, || {
            let mut buffer = [0; 65_536];
            let n = (&*SockRef::from(socket)).read(&mut buffer)?;
            let mut search = Search::new(expect, check);
            let found = search.feed(&buffer[..n]);
            search.explain(check, "receive");
            Ok(found)
        })
        .await
}
