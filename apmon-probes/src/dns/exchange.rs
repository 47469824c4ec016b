//! One question to a server and its answer, by UDP or TCP.

use std::{
    io::{self, Read as _},
    net::SocketAddr,
};

use apmon_core::{Check, Failure, FailureClass, OwnNetwork as _, errno, text::excerpt};
use hickory_resolver::proto::op::Message;
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, Interest},
    net::{TcpStream, UdpSocket},
    time::Instant,
};

use super::{
    answer::{Reading, read},
    question::Question,
};
use crate::{network::Network, udp};

/// A question under way.
pub(super) struct Exchange<'a> {
    question: &'a Question,
    id: u16,
    check: &'a Check,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(question: &'a Question, check: &'a Check) -> Result<Self, Failure> {
        let id = random_id()?;
        Ok(Self { question, id, check })
    }

    /// The answer that comes by UDP; `None` where it did not fit.
    pub(super) async fn by_udp(&self, to: SocketAddr, network: &Network) -> Result<Option<Message>, Failure> {
        let check = self.check;
        let socket = udp::connected(to, network).await?;
        let query = self.question.message(self.id);
        check
            .within("send", socket.send(&query))
            .await?
            .map_err(|error| network.failure("send", to.ip(), &error))?;
        check.step("send", || {
            format!("{} to {to}, id {}, {} bytes", self.question, self.id, query.len())
        });
        let mut others = 0_u64;
        let mut why = "";
        loop {
            let next = tokio::time::timeout_at(check.deadline(), self.next(&socket)).await;
            // A flood that never lets the timer in still ends.
            let late = others > 0 && Instant::now() >= check.deadline();
            let (Ok(next), false) = (next, late) else {
                return Err(check.expired(|timeout| match others {
                    0 => format!("receive: no answer within {timeout}"),
                    1 => format!("receive: no answer within {timeout}; ignored a datagram ({why})"),
                    _ => format!(
                        "receive: no answer within {timeout}; ignored {others} datagrams (the last: {why})"
                    ),
                }));
            };
            match next.map_err(|error| network.failure("receive", to.ip(), &error))? {
                Reading::Answer(answer) => return Ok(Some(answer)),
                Reading::Truncated(_) => return Ok(None),
                Reading::Garbled(what) => return Err(garbled(&what)),
                Reading::Stray(what) => {
                    check.step("receive", || format!("ignored a datagram ({what})"));
                    others += 1;
                    why = what;
                }
            }
        }
    }

    /// Takes the next datagram. The buffer lives on the stack of the call that
    /// finds one there, so a look that waits holds none.
    async fn next(&self, socket: &UdpSocket) -> io::Result<Reading> {
        // A refusal alone makes a socket not readable, only broken.
        let interest = Interest::READABLE | Interest::ERROR;
        socket
            .async_io(interest, || {
                let mut buffer = [0; 65_536];
                let n = (&*SockRef::from(socket)).read(&mut buffer)?;
                Ok(read(&buffer[..n], self.id, self.question))
            })
            .await
    }

    /// The answer that comes over a connection (RFC 7766).
    pub(super) async fn by_tcp(&self, mut stream: TcpStream) -> Result<Message, Failure> {
        let query = self.question.message(self.id);
        let mut framed = (query.len() as u16).to_be_bytes().to_vec();
        framed.extend_from_slice(&query);
        let exchange = async {
            stream.write_all(&framed).await?;
            loop {
                let length = stream.read_u16().await?;
                let mut bytes = vec![0; usize::from(length)];
                stream.read_exact(&mut bytes).await?;
                match read(&bytes, self.id, self.question) {
                    Reading::Stray(what) => {
                        self.check
                            .step("receive", || format!("ignored a message ({what})"));
                    }
                    reading => return Ok(reading),
                }
            }
        };
        let reading = self.check.within("receive", exchange).await?;
        match reading.map_err(|error: io::Error| errno::failure("receive", &error))? {
            Reading::Answer(answer) => Ok(answer),
            // There is nothing longer to ask for: what came is the answer.
            Reading::Truncated(whole) => whole.map_err(|what| garbled(&what)),
            Reading::Garbled(what) => Err(garbled(&what)),
            Reading::Stray(what) => Err(garbled(what)), // never leaves the loop
        }
    }
}

fn garbled(what: &str) -> Failure {
    Failure::new(
        FailureClass::Protocol,
        format!("receive: an answer that cannot be read: {}", excerpt(what, 120)),
    )
}

/// RFC 5452 section 4.3: who does not see the question must not guess it.
fn random_id() -> Result<u16, Failure> {
    let mut id = [0; 2];
    match apmon_tls::provider().secure_random.fill(&mut id) {
        Ok(()) => Ok(u16::from_be_bytes(id)),
        Err(_) => Err(Failure::new(
            FailureClass::Resources,
            "this machine gives no random numbers",
        )),
    }
}
