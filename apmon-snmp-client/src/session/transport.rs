//! The UDP socket of a session.

use std::{
    cell::RefCell,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::{io::Interest, net::UdpSocket, time::Instant};

use crate::error::SnmpError;

/// A UDP socket that is connected to one agent.
#[derive(Debug)]
pub(super) struct Transport(UdpSocket);

thread_local! {
    /// A buffer for one datagram, shared by all sessions of a thread.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 65_536]);
}

impl Transport {
    /// Opens a socket to `address`, at the address `ours` of this machine if that is given.
    pub(super) async fn open(address: SocketAddr, ours: Option<IpAddr>) -> Result<Self, SnmpError> {
        let ours = ours.unwrap_or(match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        });
        let failed = |step| move |source| SnmpError::Io { step, source };
        let socket = UdpSocket::bind((ours, 0)).await.map_err(failed("socket"))?;
        // A connected socket accepts datagrams only from its peer, and reports ICMP errors.
        socket.connect(address).await.map_err(failed("connect"))?;
        Ok(Self(socket))
    }

    pub(super) async fn send(&self, octets: &[u8], deadline: Instant) -> Result<(), SnmpError> {
        match tokio::time::timeout_at(deadline, self.0.send(octets)).await {
            Ok(Ok(_)) => Ok(()),
            // The ICMP error is a reply to an earlier request.
            Ok(Err(source)) if source.kind() == io::ErrorKind::ConnectionRefused => Err(SnmpError::Refused),
            Ok(Err(source)) => Err(SnmpError::Io { step: "send", source }),
            Err(_) => Err(SnmpError::NoAnswer {
                request: "the request could not be sent".to_owned(),
            }),
        }
    }

    /// Waits for a datagram until `until`, and returns whether one may have arrived. An ICMP
    /// error does not make the socket readable, but sets its error state.
    pub(super) async fn readable(&self, until: Instant) -> Result<bool, SnmpError> {
        let interest = Interest::READABLE | Interest::ERROR;
        let Ok(ready) = tokio::time::timeout_at(until, self.0.ready(interest)).await else {
            return Ok(false);
        };
        if ready.map_err(received)?.is_error() {
            if let Some(error) = self.0.take_error().map_err(received)? {
                return Err(received(error));
            }
            // The error was already returned.
            let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
            let _ = self.0.try_io(Interest::ERROR, nothing);
        }
        Ok(true)
    }

    /// Passes the next datagram that has arrived to `take`.
    pub(super) fn receive<T>(
        &self,
        take: impl FnOnce(&[u8]) -> Result<T, SnmpError>,
    ) -> Result<Option<T>, SnmpError> {
        BUFFER.with_borrow_mut(|buffer| match self.0.try_recv(buffer) {
            Ok(length) => take(&buffer[..length]).map(Some),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(source) => Err(received(source)),
        })
    }
}

fn received(source: io::Error) -> SnmpError {
    match source.kind() {
        io::ErrorKind::ConnectionRefused => SnmpError::Refused,
        _ => SnmpError::Io {
            step: "receive",
            source,
        },
    }
}
