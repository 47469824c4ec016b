//! `udp`: does a service answer a datagram, or at least not refuse it?

use std::{
    io::{self, Read as _},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use apmon_core::{
    Blueprint, Check, Failure, FailureClass, Kind, Outcome, OwnNetwork as _, Phase, Probe, ProbeTarget,
    Secret,
    config::{Section, Text},
    errno,
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use socket2::SockRef;
use tokio::{io::Interest, net::UdpSocket, time::Instant};

use crate::{
    budget::{DATAGRAMS_AT_ONCE, MAX_BYTES, MAX_EMPTY},
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

/// How long to wait for an ICMP refusal if no answer is expected.
const REFUSAL_WAIT: Duration = Duration::from_millis(250);

/// Options of `type: udp`.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct UdpOptions {
    /// Datagram to send, at most 65507 bytes; `""` sends an empty one.
    #[schemars(required)]
    pub send: Option<Secret>,
    /// Encoding of `send`. Default `text`.
    #[serde(default)]
    pub content_type: Encoding,
    /// Text that must appear in one of the datagrams received; others are ignored,
    /// up to 10,000 of them or 16 MiB.
    /// Without it the monitor is up if no ICMP error arrives within 250 ms; behind
    /// a firewall that drops packets this does not show whether anything listens.
    pub expect: Option<Text>,
    /// Encoding of `expect`. Default `text`, whatever `content_type` is.
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
        let send = payload::read_send(section, options.send.as_ref(), options.content_type, true);
        section.require("send", options.send.as_ref());
        if let Some(bytes) = &send
            && bytes.len() > MAX_DATAGRAM
        {
            section.error(
                "send",
                format!(
                    "must fit one datagram of at most {MAX_DATAGRAM} bytes, but has {}",
                    bytes.len()
                ),
            );
        }
        let expect = payload::read_expect(section, options.expect.as_ref(), options.expect_type);
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
        let mut recorder = CheckRecorder::of(check);
        let result = self.check(check, &mut recorder).await;
        recorder.finish(result, check, &self.local.network)
    }

    fn target(&self) -> Option<ProbeTarget<'_>> {
        Some(self.local.target(&self.plan.endpoint.remote))
    }
}

impl UdpProbe {
    async fn check(&self, check: &Check, recorder: &mut CheckRecorder) -> Result<(), Failure> {
        let to = self.plan.endpoint.to(check, recorder)?;
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
        let way = || check.network(&**network, to.ip());
        let failed = |step| move |error: io::Error| way().failure(step, to.ip(), &error);
        let socket = connect(to, check, network).await?;
        check
            .within("send", socket.send(&plan.send))
            .await?
            .map_err(failed("send"))?;
        check.step("send", || format!("{} bytes to {to}", plan.send.len()));
        match &plan.expect {
            Some(expect) => {
                let received = receive(&socket, check, recorder, expect).await?;
                received.map_err(failed("receive"))
            }
            None => {
                recorder.stop();
                let until = check.deadline().min(Instant::now() + REFUSAL_WAIT);
                // Any answer at all proves more than silence.
                match tokio::time::timeout_at(until, next(&socket, check, None)).await {
                    Ok(answer) => {
                        answer.map_err(failed("receive"))?;
                        check.reached();
                    }
                    Err(_) => {
                        check.step("receive", || "no answer and no refusal".to_owned());
                        // Silence is fine, unless a pulled cable causes it.
                        if let Some(fault) = way().fault(to.ip()) {
                            return Err(fault);
                        }
                    }
                }
                Ok(())
            }
        }
    }
}

/// Opens a socket that exchanges datagrams with `to` only, from a port that the
/// kernel picks. It is connected, so that a refusal is reported to it.
pub(crate) async fn connect(to: SocketAddr, check: &Check, network: &Network) -> Result<UdpSocket, Failure> {
    let from = check.source(to.ip()).unwrap_or(match to {
        _ if to.is_ipv4() => Ipv4Addr::UNSPECIFIED.into(),
        _ => Ipv6Addr::UNSPECIFIED.into(),
    });
    // Without the error queue the kernel does not report an unreachable host: for
    // UDP that is a transient error (RFC 1122 section 4.1.3.3).
    let socket = UdpSocket::bind((from, 0))
        .await
        .and_then(|socket| errqueue::enable(&socket, to.is_ipv4()).map(|()| socket))
        .map_err(|error| errno::failure("open", &error))?;
    let failed = |error| {
        let network = check.network(network, to.ip());
        network.failure("send", to.ip(), &error)
    };
    socket.connect(to).await.map_err(failed)?;
    Ok(socket)
}

/// Waits for a datagram that contains what is expected.
async fn receive(
    socket: &UdpSocket,
    check: &Check,
    recorder: &mut CheckRecorder,
    expect: &Expect,
) -> Result<io::Result<()>, Failure> {
    let (mut received, mut bytes) = (0_u64, 0_u64);
    loop {
        if received == MAX_EMPTY || bytes > MAX_BYTES {
            let quoted = expect.quoted();
            return Err(Failure::new(
                FailureClass::Content,
                format!("{quoted} not in any of the first {received} datagrams received ({bytes} bytes)"),
            ));
        }
        if received % DATAGRAMS_AT_ONCE == DATAGRAMS_AT_ONCE - 1 {
            tokio::task::yield_now().await;
        }
        let answer = tokio::time::timeout_at(check.deadline(), next(socket, check, Some(expect))).await;
        // Ends even in a flood that never lets the timer fire.
        let late = received > 0 && Instant::now() >= check.deadline();
        let (Ok(found), false) = (answer, late) else {
            let (quoted, within) = (expect.quoted(), seconds(check.timeout));
            return Err(match received {
                0 => check.timed_out("receive"),
                1 => Failure::new(
                    FailureClass::Content,
                    format!("{quoted} not in the 1 datagram received within {within}"),
                ),
                _ => Failure::new(
                    FailureClass::Content,
                    format!("{quoted} not in any of the {received} datagrams received within {within}"),
                ),
            });
        };
        match found {
            Ok(Datagram { found: true, .. }) => {
                check.reached();
                recorder.done(Phase::FirstByte);
                return Ok(Ok(()));
            }
            Ok(datagram) => {
                check.reached();
                received += 1;
                bytes += datagram.length as u64;
            }
            Err(error) => return Ok(Err(error)),
        }
    }
}

/// A datagram that was received.
struct Datagram {
    length: usize,
    /// Whether it contains what is expected.
    found: bool,
}

/// Receives the next datagram. The buffer lives on the stack of the call that finds
/// one, so a waiting check holds none.
async fn next(socket: &UdpSocket, check: &Check, expect: Option<&Expect>) -> io::Result<Datagram> {
    // A refusal sets only the error readiness of a socket.
    let interest = Interest::READABLE | Interest::ERROR;
    socket
        .async_io(interest, || {
            let mut buffer = [0; 65_536];
            let n = (&*SockRef::from(socket)).read(&mut buffer)?;
            let mut search = Search::new(expect, check);
            let found = search.feed(&buffer[..n]);
            search.explain(check, "receive");
            Ok(Datagram { length: n, found })
        })
        .await
}
