//! One query to a server and its answer, over UDP or a connection.

use std::{
    io::{self, Read as _},
    net::SocketAddr,
};

use apmon_core::{Check, Failure, FailureClass, OwnNetwork as _, text::excerpt};
use hickory_proto::op::Message;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, Interest},
    net::UdpSocket,
    time::Instant,
};

use super::{
    answer::{Parsed, parse},
    question::Question,
};
use crate::{
    budget::{DATAGRAMS_AT_ONCE, MAX_EMPTY},
    network::Network,
    udp,
};

/// Whether the query says what the client knows of EDNS (RFC 6891).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Edns {
    Yes,
    No,
}

/// The most messages over a connection that do not answer the query.
const MAX_UNRELATED: u32 = 16;

/// A query in progress.
pub(super) struct Exchange<'a> {
    question: &'a Question,
    id: u16,
    edns: Edns,
    check: &'a Check,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(question: &'a Question, edns: Edns, check: &'a Check) -> Result<Self, Failure> {
        Ok(Self {
            question,
            id: random_id()?,
            edns,
            check,
        })
    }

    fn query(&self) -> Vec<u8> {
        self.question.message(self.id, self.edns == Edns::Yes)
    }

    /// Queries over UDP. Returns `None` if the answer did not fit a datagram.
    pub(super) async fn over_udp(
        &self,
        to: SocketAddr,
        network: &Network,
    ) -> Result<Option<Message>, Failure> {
        let check = self.check;
        let socket = udp::connect(to, check, network).await?;
        let network = check.network(network, to.ip());
        let query = self.query();
        check
            .within("send", socket.send(&query))
            .await?
            .map_err(|error| network.failure("send", to.ip(), &error))?;
        check.step("send", || {
            format!("{} to {to}, ID {}, {} bytes", self.question, self.id, query.len())
        });
        let mut ignored = 0_u64;
        let mut reason = "";
        loop {
            if ignored == MAX_EMPTY {
                return Err(Failure::new(
                    FailureClass::Protocol,
                    format!("receive: {ignored} datagrams do not answer the query (the last: {reason})"),
                ));
            }
            if ignored % DATAGRAMS_AT_ONCE == DATAGRAMS_AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
            let next = tokio::time::timeout_at(check.deadline(), self.next(&socket)).await;
            // Ends even in a flood that never lets the timer fire.
            let late = ignored > 0 && Instant::now() >= check.deadline();
            let (Ok(next), false) = (next, late) else {
                return Err(check.expired(|timeout| match ignored {
                    0 => format!("receive: no answer within {timeout}"),
                    1 => format!("receive: no answer within {timeout}; ignored 1 datagram ({reason})"),
                    _ => format!(
                        "receive: no answer within {timeout}; ignored {ignored} datagrams (the last: {reason})"
                    ),
                }));
            };
            let parsed = next.map_err(|error| network.failure("receive", to.ip(), &error))?;
            if !matches!(parsed, Parsed::Unrelated(_)) {
                check.reached();
            }
            match parsed {
                Parsed::Answer(answer) => return Ok(Some(answer)),
                Parsed::Truncated(_) => return Ok(None),
                Parsed::Malformed(error) => return Err(malformed(&error)),
                Parsed::Unrelated(why) => {
                    check.step("receive", || format!("ignored a datagram: {why}"));
                    ignored += 1;
                    reason = why;
                }
            }
        }
    }

    /// Receives the next datagram. The buffer lives on the stack of the call that
    /// finds one, so a waiting check holds none.
    async fn next(&self, socket: &UdpSocket) -> io::Result<Parsed> {
        // A refusal sets only the error readiness of a socket.
        let interest = Interest::READABLE | Interest::ERROR;
        socket
            .async_io(interest, || {
                let mut buffer = [0; 65_536];
                let n = (&*SockRef::from(socket)).read(&mut buffer)?;
                Ok(parse(&buffer[..n], self.id, self.question))
            })
            .await
    }

    /// Queries over a connection (RFC 7766), whether encrypted or not. `failed` explains an error
    /// of the connection.
    pub(super) async fn over_stream<S>(
        &self,
        mut stream: S,
        failed: impl FnOnce(&io::Error) -> Failure,
    ) -> Result<Message, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let query = self.query();
        let mut framed = (query.len() as u16).to_be_bytes().to_vec();
        framed.extend_from_slice(&query);
        let exchange = async {
            stream.write_all(&framed).await?;
            stream.flush().await?;
            let mut unrelated = 0;
            loop {
                let length = stream.read_u16().await?;
                let mut bytes = vec![0; usize::from(length)];
                stream.read_exact(&mut bytes).await?;
                match parse(&bytes, self.id, self.question) {
                    Parsed::Unrelated(why) if unrelated < MAX_UNRELATED => {
                        self.check.step("receive", || format!("ignored a message: {why}"));
                        unrelated += 1;
                    }
                    parsed => return Ok(parsed),
                }
            }
        };
        let parsed = self.check.within("receive", exchange).await?;
        match parsed.map_err(|error: io::Error| failed(&error))? {
            Parsed::Answer(answer) => Ok(answer),
            // No longer answer is to be had: this one has to do.
            Parsed::Truncated(message) => message.map_err(|error| malformed(&error)),
            Parsed::Malformed(error) => Err(malformed(&error)),
            Parsed::Unrelated(why) => Err(Failure::new(
                FailureClass::Protocol,
                format!(
                    "receive: more than {MAX_UNRELATED} messages do not answer the query (the last: {why})"
                ),
            )),
        }
    }
}

fn malformed(error: &str) -> Failure {
    Failure::new(
        FailureClass::Protocol,
        format!("receive: malformed answer: {}", excerpt(error, 120)),
    )
}

/// An ID that nobody can guess without seeing the query (RFC 5452 section 4.3).
fn random_id() -> Result<u16, Failure> {
    let mut id = [0; 2];
    match apmon_tls::provider().secure_random.fill(&mut id) {
        Ok(()) => Ok(u16::from_be_bytes(id)),
        Err(_) => Err(Failure::new(
            FailureClass::Resources,
            "the system's random number generator failed",
        )),
    }
}
