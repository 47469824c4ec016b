//! `tcp`: does a service accept a connection and answer as expected? Also over
//! TLS.

use std::{future::poll_fn, io, pin::Pin, sync::Arc, task::Poll, time::Duration};

use apmon_core::{
    Blueprint, Both, Check, Failure, FailureClass, Kind, Outcome, Phase, Probe, ProbeTarget, Secret,
    config::{Section, Text},
    errno,
};
use async_trait::async_trait;
use rustls::pki_types::ServerName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
    time::Instant,
};

use crate::{
    budget::{Framing, Metered},
    endpoint::Endpoint,
    expect::{Expect, Search},
    local::Local,
    payload::{self, Encoding},
    recorder::CheckRecorder,
    starttls::StartTls,
    tls::{self, Prelude, SecureStream, Tls, TlsOptions},
};

/// How much of an answer is searched, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// How long to listen after the verdict: for `--explain`, and for an orderly close.
const LINGER: Duration = Duration::from_millis(250);

/// How long a server that has asked for a certificate and then says nothing may take to refuse.
/// Most say something at once, so that few checks take that long.
const MAX_REFUSAL: Duration = Duration::from_secs(5);

/// Options of `type: tcp`.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct TcpOptions {
    /// Data to send once connected. Without `expect` the monitor is up as soon as
    /// the data has been sent. Line endings need double quotes: `"EHLO x\r\n"`.
    pub send: Option<Secret>,
    /// Encoding of `send`. Default `text`.
    #[serde(default)]
    pub content_type: Encoding,
    /// Text that must appear in what the service sends (in the first 64 KiB,
    /// before it closes the connection). Without it the monitor is up once
    /// connected (with TLS: once the handshake is complete).
    pub expect: Option<Text>,
    /// Encoding of `expect`. Default `text`, whatever `content_type` is.
    /// (An addition.)
    #[serde(default)]
    pub expect_type: Encoding,
    /// Protocol used to ask the service for TLS; `send` and `expect` then apply
    /// inside TLS. For a service that speaks TLS from the first byte, use the
    /// address `tls://host:port` instead. (An addition.)
    pub starttls: Option<StartTls>,
}

/// What fits one segment on any network: the last part of more would wait for an
/// acknowledgement.
const ONE_SEGMENT: usize = 1200;

/// The kind `tcp`.
#[derive(Debug)]
pub struct Tcp;

impl Kind for Tcp {
    type Options = Both<TcpOptions, TlsOptions>;

    fn name(&self) -> &'static str {
        "tcp"
    }

    fn summary(&self) -> &'static str {
        "connects to a TCP port, optionally over TLS; can send data and search the answer"
    }

    fn address(&self) -> &'static str {
        "tcp://host:port or tls://host:port"
    }

    fn example(&self) -> &'static str {
        "type: tcp\nname: nas-ssh\naddress: tcp://192.168.1.10:22\nexpect: SSH-2.0\n"
    }

    fn schemes(&self) -> &'static [&'static str] {
        &["tcp", "tls"]
    }

    fn compile(&self, Both(options, tls): Self::Options, section: &mut Section<'_>) -> Option<Blueprint> {
        let send = payload::read_send(section, options.send.as_ref(), options.content_type, false);
        let expect = payload::read_expect(section, options.expect.as_ref(), options.expect_type);
        let url = section.address_url(&["tcp", "tls"]);
        let is_implicit = url.as_ref().is_some_and(|url| url.scheme() == "tls");
        if is_implicit && section.has("starttls") {
            section.misplaced(
                "starttls",
                "is only for tcp://; tls:// uses TLS from the first byte",
            );
        }
        let uses_tls = is_implicit || section.has("starttls");
        let tls = tls.plan(
            section,
            &[],
            (!uses_tls && url.is_some()).then_some("needs an address that begins with tls://, or starttls"),
            false,
        );
        let endpoint = Endpoint::of(&url?, section, None)?;
        let tls = match uses_tls {
            true => Some(tls?),
            false => None,
        };
        let plan = Arc::new(Plan {
            tls: tls.map(|tls| {
                let name = tls.name_instead_of(tls::server_name(&endpoint.remote.host));
                Box::new((name, tls))
            }),
            starttls: options.starttls,
            endpoint,
            send,
            expect: expect.map(Box::new),
        });
        Some(Blueprint::probe(move |services| TcpProbe {
            plan: Arc::clone(&plan),
            local: services.shared(),
        }))
    }
}

struct Plan {
    endpoint: Endpoint,
    starttls: Option<StartTls>,
    /// Boxed, as most monitors of this kind have none.
    tls: Option<Box<(ServerName<'static>, Tls)>>,
    send: Option<Vec<u8>>,
    expect: Option<Box<Expect>>,
}

struct TcpProbe {
    plan: Arc<Plan>,
    local: Arc<Local>,
}

#[async_trait]
impl Probe for TcpProbe {
    async fn probe(&self, check: &Check) -> Outcome {
        let mut recorder = CheckRecorder::of(check);
        let result = self.check(check, &mut recorder).await;
        recorder.finish(result, check, &self.local.network)
    }

    fn target(&self) -> Option<ProbeTarget<'_>> {
        Some(self.local.target(&self.plan.endpoint.remote))
    }
}

impl TcpProbe {
    async fn check(&self, check: &Check, recorder: &mut CheckRecorder) -> Result<(), Failure> {
        let plan = &*self.plan;
        let fits_one_segment = plan.send.as_ref().is_none_or(|send| send.len() <= ONE_SEGMENT);
        let mut stream = match plan.tls.is_none() && fits_one_segment {
            true => plan.endpoint.open(check, recorder, &self.local).await?,
            false => plan.endpoint.connect(check, recorder, &self.local).await?,
        };
        if let Some((name, tls)) = plan.tls.as_deref() {
            // Boxed: a check that waits for a dead host needs no memory for it.
            return Box::pin(over_tls(plan, name, tls, stream, check, recorder)).await;
        }
        if let Some(send) = &plan.send {
            check
                .within("send", stream.write_all(send))
                .await?
                .map_err(|error| errno::failure("send", &error))?;
            check.step("send", || format!("{} bytes", send.len()));
        }
        let mut search = Search::new(plan.expect.as_deref(), check);
        if plan.expect.is_some() {
            let result = receive(&stream, check, recorder, &mut search).await;
            search.explain(check, "receive");
            result
        } else {
            recorder.stop();
            if check.is_traced() {
                // What arrives now does not affect the verdict, nor does an error.
                let _ = tokio::time::timeout(LINGER, receive(&stream, check, recorder, &mut search)).await;
                search.explain(check, "receive");
            }
            Ok(())
        }
    }
}

async fn over_tls(
    plan: &Plan,
    name: &ServerName<'static>,
    tls: &Tls,
    mut stream: TcpStream,
    check: &Check,
    recorder: &mut CheckRecorder,
) -> Result<(), Failure> {
    if let Some(starttls) = plan.starttls {
        starttls.ask(&mut stream, check).await?;
    }
    let prelude = plan.starttls.map_or(Prelude::None, Prelude::StartTls);
    let stream = tls
        .handshake(name.clone(), stream, prelude, check, recorder)
        .await?;
    let meter = stream.meter().clone();
    meter.answer_begins();
    let mut stream = Metered::decrypted(stream, Framing::Plain, meter);
    if let Some(send) = &plan.send {
        let sent = async {
            stream.write_all(send).await?;
            stream.flush().await
        };
        check
            .within("send", sent)
            .await?
            .map_err(|error| tls::failure("send", &error, stream.meter()))?;
        check.step("send", || format!("{} bytes", send.len()));
    }
    let mut search = Search::new(plan.expect.as_deref(), check);
    if plan.expect.is_some() {
        let result = receive_over_tls(&mut stream, check, recorder, &mut search).await;
        search.explain(check, "receive");
        return result;
    }
    recorder.stop();
    if stream.meter().asks_certificate() {
        verdict_on_us(&mut stream, check).await?;
    }
    if check.is_traced() {
        let received = receive_over_tls(&mut stream, check, recorder, &mut search);
        // What arrives now does not affect the verdict, nor does an error.
        let _ = tokio::time::timeout(LINGER, received).await;
        search.explain(check, "receive");
    }
    if plan.send.is_some() {
        let until = check.deadline().min(Instant::now() + LINGER);
        // The data is sent, and the verdict is final.
        let _ = tokio::time::timeout_at(until, close(&mut stream)).await;
    }
    Ok(())
}

/// Waits until a server that has asked for a certificate accepts that there is none, or refuses:
/// in TLS 1.3 it says so after the handshake. One that wants none but says nothing is accepted
/// after a while.
async fn verdict_on_us(stream: &mut Metered<SecureStream<TcpStream>>, check: &Check) -> Result<(), Failure> {
    let until = check.deadline().min(Instant::now() + MAX_REFUSAL);
    let answer = poll_fn(|context| {
        let mut byte = [0];
        // What is read is lost: nothing is expected here.
        match Pin::new(&mut *stream).poll_read(context, &mut ReadBuf::new(&mut byte)) {
            Poll::Pending if !stream.get_ref().may_be_refused() => Poll::Ready(Ok(())),
            poll => poll,
        }
    });
    let answer = tokio::time::timeout_at(until, answer).await;
    let failure = match answer {
        Ok(Err(error)) => tls::failure("receive", &error, stream.meter()),
        Ok(Ok(())) | Err(_) => return Ok(()),
    };
    match failure.class {
        FailureClass::Tls => Err(failure),
        _ => Ok(()),
    }
}

/// Closes the connection in an orderly way. Unread data from the server (the
/// tickets of TLS 1.3) would make the kernel reset the connection, which may
/// discard what was sent.
async fn close(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    stream.shutdown().await?;
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// Reads decrypted data until what is expected has arrived.
async fn receive_over_tls(
    stream: &mut Metered<impl AsyncRead + Unpin>,
    check: &Check,
    recorder: &mut CheckRecorder,
    search: &mut Search<'_>,
) -> Result<(), Failure> {
    let mut buffer = vec![0; 4 * 1024];
    loop {
        let room = buffer.len().min(MAX_ANSWER - search.seen());
        let Ok(read) = tokio::time::timeout_at(check.deadline(), stream.read(&mut buffer[..room])).await
        else {
            return Err(search.late(check));
        };
        let n = match read {
            Ok(0) => return Err(search.closed()),
            Ok(n) => n,
            // Many servers close without a close_notify alert.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(search.closed()),
            Err(error) => return Err(tls::failure("receive", &error, stream.meter())),
        };
        if search.seen() == 0 {
            recorder.done(Phase::FirstByte);
        }
        if search.feed(&buffer[..n]) {
            recorder.done(Phase::Transfer);
            return Ok(());
        }
        if search.seen() >= MAX_ANSWER {
            return Err(search.too_long());
        }
    }
}

/// Reads until what is expected has arrived.
async fn receive(
    stream: &TcpStream,
    check: &Check,
    recorder: &mut CheckRecorder,
    search: &mut Search<'_>,
) -> Result<(), Failure> {
    loop {
        let Ok(readable) = tokio::time::timeout_at(check.deadline(), stream.readable()).await else {
            return Err(search.late(check));
        };
        let failed = |error| errno::failure("receive", &error);
        readable.map_err(failed)?;
        let was_silent = search.seen() == 0;
        let result = read_available(stream, search);
        if was_silent && search.seen() > 0 {
            recorder.done(Phase::FirstByte);
        }
        match result.map_err(failed)? {
            ReadResult::Found => {
                recorder.done(Phase::Transfer);
                return Ok(());
            }
            ReadResult::Closed => return Err(search.closed()),
            ReadResult::NotYet if search.seen() >= MAX_ANSWER => return Err(search.too_long()),
            ReadResult::NotYet => {}
        }
    }
}

enum ReadResult {
    Found,
    Closed,
    NotYet,
}

/// Reads what has arrived. The buffer lives on the stack of this call, so a
/// waiting check holds none.
fn read_available(stream: &TcpStream, search: &mut Search<'_>) -> io::Result<ReadResult> {
    let mut buffer = [0; 8 * 1024];
    while search.seen() < MAX_ANSWER {
        let room = buffer.len().min(MAX_ANSWER - search.seen());
        match stream.try_read(&mut buffer[..room]) {
            Ok(0) => return Ok(ReadResult::Closed),
            Ok(n) if search.feed(&buffer[..n]) => return Ok(ReadResult::Found),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(ReadResult::NotYet)
}

#[cfg(test)]
mod tests {
    use apmon_core::config::{Host, Remote, ResolveOptions};

    use super::*;

    #[tokio::test]
    async fn a_waiting_check_takes_little_memory() {
        let probe = TcpProbe {
            plan: Arc::new(Plan {
                endpoint: Endpoint {
                    remote: Remote {
                        host: Host::Name("nas.lan".to_owned()),
                        resolve: ResolveOptions::default(),
                    },
                    port: 22,
                },
                starttls: None,
                tls: None,
                send: None,
                expect: None,
            }),
            local: Arc::default(),
        };
        let check = crate::recorder::check(Duration::from_secs(20));
        let size = size_of_val(&probe.check(&check, &mut CheckRecorder::start()));
        assert!(size < 1_024, "{size}");
    }
}
