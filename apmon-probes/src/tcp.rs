//! `tcp`: does it accept, and does it say what it should?

use std::{io, sync::Arc, time::Duration};

use apmon_core::{
    Blueprint, Failure, Kind, Look, Outcome, Phase, Probe, Secret,
    config::{Section, Text},
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::{
    course::Course,
    endpoint::Endpoint,
    errno,
    expect::{Expect, Search},
    payload::{self, Encoding},
    resolve::Resolver,
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
    /// closes). Without it the monitor is up once connected.
    pub expect: Option<Text>,
}

/// The kind `tcp`.
#[derive(Debug)]
pub struct Tcp;

impl Kind for Tcp {
    type Options = TcpOptions;

    fn name(&self) -> &'static str {
        "tcp"
    }

    fn summary(&self) -> &'static str {
        "connects to a TCP port; optionally sends, and searches the answer"
    }

    fn address(&self) -> &'static str {
        "tcp://host:port"
    }

    fn example(&self) -> &'static str {
        "type: tcp\nname: nas-ssh\naddress: tcp://192.168.1.10:22\nexpect: SSH-2.0\n"
    }

    fn schemes(&self) -> &'static [&'static str] {
        &["tcp"]
    }

    fn compile(&self, options: TcpOptions, section: &mut Section<'_>) -> Option<Blueprint> {
        let send = payload::read(section, options.send.as_ref(), options.content_type);
        let endpoint = Endpoint::read(section, "tcp")?;
        let plan = Arc::new(Plan {
            endpoint,
            send,
            expect: options.expect.as_ref().map(Expect::new),
        });
        Some(Blueprint::probe(move |tools| TcpProbe {
            plan: Arc::clone(&plan),
            resolver: tools.shared(),
        }))
    }
}

struct Plan {
    endpoint: Endpoint,
    send: Option<Vec<u8>>,
    expect: Option<Expect>,
}

struct TcpProbe {
    plan: Arc<Plan>,
    resolver: Arc<Resolver>,
}

#[async_trait]
impl Probe for TcpProbe {
    async fn probe(&self, look: &Look) -> Outcome {
        let mut course = Course::start();
        let result = self.look(look, &mut course).await;
        course.finish(result)
    }
}

impl TcpProbe {
    async fn look(&self, look: &Look, course: &mut Course) -> Result<(), Failure> {
        let plan = &*self.plan;
        let mut stream = plan.endpoint.connect(look, course, &self.resolver).await?;
        if let Some(send) = &plan.send {
            look.within("send", stream.write_all(send))
                .await?
                .map_err(|error| errno::failure("send", &error))?;
            look.step("send", || format!("{} bytes", send.len()));
        }
        let mut search = Search::new(plan.expect.as_ref(), look);
        if plan.expect.is_some() {
            let result = receive(&stream, look, course, &mut search).await;
            search.explain(look, "receive");
            result
        } else {
            course.stop();
            if look.is_explained() {
                // What comes now decides nothing, nor does how it ends.
                let _ = tokio::time::timeout(LINGER, receive(&stream, look, course, &mut search)).await;
                search.explain(look, "receive");
            }
            Ok(())
        }
    }
}

/// Reads until what is expected has come.
async fn receive(
    stream: &TcpStream,
    look: &Look,
    course: &mut Course,
    search: &mut Search<'_>,
) -> Result<(), Failure> {
    loop {
        let Ok(readable) = tokio::time::timeout_at(look.deadline(), stream.readable()).await else {
            return Err(search.late(look));
        };
        let failed = |error| errno::failure("receive", &error);
        readable.map_err(failed)?;
        let silent = search.seen() == 0;
        let found = take(stream, search);
        if silent && search.seen() > 0 {
            course.done(Phase::FirstByte);
        }
        match found.map_err(failed)? {
            Took::Found => {
                course.done(Phase::Transfer);
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
    use apmon_core::config::Host;

    use super::*;
    use crate::endpoint::{Remote, Way};

    #[tokio::test]
    async fn a_look_that_waits_takes_little_room() {
        let probe = TcpProbe {
            plan: Arc::new(Plan {
                endpoint: Endpoint {
                    remote: Remote {
                        host: Host::Name("nas.lan".to_owned()),
                        way: Way::default(),
                    },
                    port: 22,
                },
                send: None,
                expect: None,
            }),
            resolver: Arc::default(),
        };
        let look = crate::course::look(Duration::from_secs(20));
        let size = size_of_val(&probe.look(&look, &mut Course::start()));
        assert!(size < 1_024, "{size}");
    }
}
