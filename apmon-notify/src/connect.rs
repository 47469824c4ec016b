//! Connecting to a receiver, which may have several addresses.

use std::{io, net::SocketAddr};

use apmon_core::share;
use tokio::{net::TcpStream, time::Instant};

/// Where a receiver is, in the order in which to try it.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    pub(crate) addresses: Vec<SocketAddr>,
    /// Whether they are those of a name; errors then say which one they are about.
    pub(crate) of_name: bool,
}

/// Why the addresses of a receiver could not be connected to.
#[derive(Default)]
pub(crate) struct ConnectErrors(Vec<(SocketAddr, io::Error)>);

impl ConnectErrors {
    pub(crate) fn add(&mut self, address: SocketAddr, error: io::Error) {
        self.0.push((address, error));
    }

    /// All of them as one.
    pub(crate) fn into_error(mut self, of_name: bool) -> io::Error {
        if !of_name && let Some((_, error)) = self.0.pop() {
            return error;
        }
        let Some((_, first)) = self.0.first() else {
            return io::Error::other("the name has no address");
        };
        let kind = first.kind();
        let all = self
            .0
            .iter()
            .map(|(address, error)| format!("{}: {error}", address.ip()));
        io::Error::new(kind, all.collect::<Vec<_>>().join("; "))
    }
}

/// Connects to the first address that accepts before `deadline`. Each has its share of the time
/// that is left, so that one that does not answer leaves time for the others.
pub(crate) async fn connect(to: &Destination, deadline: Instant) -> io::Result<TcpStream> {
    let mut errors = ConnectErrors::default();
    for (before, address) in to.addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let time = share(left, to.addresses.len() - before);
        let error = match tokio::time::timeout(time, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error,
            Err(_) => {
                let tenths = (time.as_secs_f64() * 10.0).round() / 10.0;
                let words = format!("no answer within {tenths} secs");
                io::Error::new(io::ErrorKind::TimedOut, words)
            }
        };
        errors.add(*address, error);
    }
    Err(errors.into_error(to.of_name))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::{TcpListener, TcpSocket, UdpSocket};

    use super::*;

    const LOOPBACK: &str = "127.0.0.1:0";

    /// An address on which nothing listens.
    async fn refusing() -> SocketAddr {
        let socket = UdpSocket::bind(LOOPBACK).await.unwrap();
        socket.local_addr().unwrap()
    }

    /// A listener whose queue is full, and the connections that fill it.
    async fn silent() -> (TcpListener, Vec<TcpStream>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(LOOPBACK.parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let to = listener.local_addr().unwrap();
        let mut queue = Vec::new();
        let moment = Duration::from_millis(200);
        while let Ok(stream) = tokio::time::timeout(moment, TcpStream::connect(to)).await {
            queue.push(stream.unwrap());
            assert!(queue.len() < 1000, "the queue has no end");
        }
        (listener, queue)
    }

    fn destination(addresses: &[SocketAddr], of_name: bool) -> Destination {
        Destination {
            addresses: addresses.to_vec(),
            of_name,
        }
    }

    #[tokio::test]
    async fn the_next_address_is_tried_if_one_refuses_or_does_not_answer() {
        let listener = TcpListener::bind(LOOPBACK).await.unwrap();
        let (full, _queue) = silent().await;
        let good = listener.local_addr().unwrap();
        let all = [refusing().await, full.local_addr().unwrap(), good];
        let long = Instant::now() + Duration::from_secs(20);
        let stream = connect(&destination(&all, true), long).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);

        let soon = Instant::now() + Duration::from_millis(1500);
        let error = connect(&destination(&all[..2], true), soon).await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("127.0.0.1: Connection refused (os error 111); 127.0.0.1: no answer within 1."),
            "{text}"
        );
        let error = connect(&destination(&all[..1], false), long).await.unwrap_err();
        assert_eq!(error.to_string(), "Connection refused (os error 111)");
        let error = connect(&destination(&[], true), long).await.unwrap_err();
        assert_eq!(error.to_string(), "the name has no address");
    }
}
