//! `tcp`: does it accept, and does it say what it should? Also behind TLS.

use std::{io, sync::Arc, time::Duration};

use apmon_core::{
    Blueprint, Both, Check, Failure, Kind, Outcome, Phase, Probe, Secret,
    config::{Section, Text},
    errno,
};
use async_trait::async_trait;
use rustls::pki_types::ServerName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::Instant,
};

use crate::{
    endpoint::Endpoint,
    expect::{Expect, Search},
    local::Local,
    payload::{self, Encoding},
    recorder::CheckRecorder,
    starttls::StartTls,
    tls::{self, Tls, TlsOptions},
};

/// So much of an answer is searched.
const MAX_ANSWER: usize = 64 * 1024;

/// So long `--explain` listens where nothing is expected.
const LINGER: Duration = Duration::from_millis(250);

/// Options of `type: tcp`.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct TcpOptions {
    /// Sent once connected. Without `expect` the monitor is up as soon as it
    /// is written. Write line ends within double quotes: `"EHLO x\r\n"`.
    pub send: Option<Secret>,
    /// How `send` is written. Default `text`.
    #[serde(default)]
    pub content_type: Encoding,
    /// Must appear in what the service sends (in the first 64 KiB, before it
    /// closes). Without it the monitor is up once connected (with TLS: once the
    /// handshake is done).
    pub expect: Option<Text>,
    /// How `expect` is written. Default `text`, whatever `content_type` says.
    /// (An addition.)
    #[serde(default)]
    pub expect_type: Encoding,
    /// The protocol in which the service is asked for TLS; `send` and `expect`
    /// then happen within TLS. A service that speaks TLS from the first byte
    /// has an address `tls://host:port` instead. (An addition.)
    pub starttls: Option<StartTls>,
}

/// The kind `tcp`.
#[derive(Debug)]
pub struct Tcp;

impl Kind for Tcp {
    type Options = Both<TcpOptions, TlsOptions>;

    fn name(&self) -> &'static str {
        "tcp"
    }

    fn summary(&self) -> &'static str {
        "connects to a TCP port, also by TLS; optionally sends, and searches the answer"
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
        let send = payload::read(section, options.send.as_ref(), options.content_type);
        let expect = payload::expected(section, options.expect.as_ref(), options.expect_type);
        let url = section.address_url(&["tcp", "tls"]);
        let at_once = url.as_ref().is_some_and(|url| url.scheme() == "tls");
        if at_once && section.has("starttls") {
            section.misplaced("starttls", "is for tcp://; tls:// speaks TLS from the first byte");
        }
        let speaks_tls = at_once || section.has("starttls");
        let tls = tls.plan(
            section,
            &[],
            (!speaks_tls && url.is_some()).then_some("needs an address that begins with tls://, or starttls"),
            false,
        );
        let endpoint = Endpoint::of(&url?, section, None)?;
        let plan = Arc::new(Plan {
            tls: match speaks_tls {
                true => Some((tls::server_name(&endpoint.remote.host), tls?)),
                false => None,
            },
            starttls: options.starttls,
            endpoint,
            send,
            expect,
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
    tls: Option<(ServerName<'static>, Tls)>,
    send: Option<Vec<u8>>,
    expect: Option<Expect>,
}

struct TcpProbe {
    plan: Arc<Plan>,
    local: Arc<Local>,
}

#[async_trait]
impl Probe for TcpProbe {
    async fn probe(&self, check: &Check) -> Outcome {
        let mut recorder = CheckRecorder::start();
        let result = self.check(check, &mut recorder).await;
        recorder.finish(result, &self.local.network)
    }
}

impl TcpProbe {
    async fn check(&self, check: &Check, recorder: &mut CheckRecorder) -> Result<(), Failure> {
        let plan = &*self.plan;
        let mut stream = plan.endpoint.connect(check, recorder, &self.local).await?;
        if let Some((name, tls)) = &plan.tls {
            // Boxed: a look that waits for a dead host needs no room for it.
            return Box::pin(over_tls(plan, name, tls, stream, check, recorder)).await;
        }
        if let Some(send) = &plan.send {
            check
                .within("send", stream.write_all(send))
                .await?
                .map_err(|error| errno::failure("send", &error))?;
            check.step("send", || format!("{} bytes", send.len()));
        }
        let mut search = Search::new(plan.expect.as_ref(), check);
        if plan.expect.is_some() {
            let result = receive(&stream, check, recorder, &mut search).await;
            search.explain(check, "receive");
            result
        } else {
            recorder.stop();
            if check.is_traced() {
                // What comes now decides nothing, nor does how it ends.
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
    let mut stream = tls.handshake(name.clone(), stream, check, recorder).await?;
    if let Some(send) = &plan.send {
        let sent = async {
            stream.write_all(send).await?;
            stream.flush().await
        };
        check
            .within("send", sent)
            .await?
            .map_err(|error| apmon_tls::failure("send", &error))?;
        check.step("send", || format!("{} bytes", send.len()));
    }
    let mut search = Search::new(plan.expect.as_ref(), check);
    if plan.expect.is_some() {
        let result = receive_within(&mut stream, check, recorder, &mut search).await;
        search.explain(check, "receive");
        return result;
    }
    recorder.stop();
    if check.is_traced() {
        let _ = tokio::time::timeout(LINGER, receive_within(&mut stream, check, recorder, &mut search)).await;
        search.explain(check, "receive");
    }
    if plan.send.is_some() {
        let until = check.deadline().min(Instant::now() + LINGER);
        // It is written, and the verdict stands.
        let _ = tokio::time::timeout_at(until, farewell(&mut stream)).await;
    }
    Ok(())
}

/// Ends in order. What the server has said and nobody has read (the tickets of
/// TLS 1.3) would have the kernel reset the connection, and what was sent may
/// go with it.
async fn farewell(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    stream.shutdown().await?;
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// Reads from within TLS until what is expected has come.
async fn receive_within(
    stream: &mut (impl AsyncRead + Unpin),
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
            // Many close without TLS's own farewell.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(search.closed()),
            Err(error) => return Err(apmon_tls::failure("receive", &error)),
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

/// Reads until what is expected has come.
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
        let silent = search.seen() == 0;
        let found = take(stream, search);
        if silent && search.seen() > 0 {
            recorder.done(Phase::FirstByte);
        }
        match found.map_err(failed)? {
            Took::Found => {
                recorder.done(Phase::Transfer);
                return Ok(());
            }
            Took::End => return Err(search.closed()),
            Took::Some if search.seen() >= MAX_ANSWER => return Err(search.too_long()),
            Took::Some => {}
        }
    }
}

enum Took {
    Found,
    End,
    Some,
}

/// Takes what has arrived. The buffer lives on the stack of this call, so a
/// look that waits holds none.
fn take(stream: &TcpStream, search: &mut Search<'_>) -> io::Result<Took> {
    let mut buffer = [0; 8 * 1024];
    while search.seen() < MAX_ANSWER {
        let room = buffer.len().min(MAX_ANSWER - search.seen());
        match stream.try_read(&mut buffer[..room]) {
            Ok(0) => return Ok(Took::End),
            Ok(n) if search.feed(&buffer[..n]) => return Ok(Took::Found),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(Took::Some)
}

#[cfg(test)]
mod tests {
    use apmon_core::config::{Host, Remote, ResolveOptions};

    use super::*;

    #[tokio::test]
    async fn a_look_that_waits_takes_little_room() {
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
