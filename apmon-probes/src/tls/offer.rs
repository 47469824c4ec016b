//! What a server offers, once a handshake with it has failed.

use std::net::{IpAddr, SocketAddr};

use apmon_core::{Check, Failure};
use apmon_tls::AsyncConnect;
use rustls::pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream};

use super::Tls;
use crate::{
    http::{proxy::Proxy, target::Target},
    starttls::StartTls,
};

/// What leads to TLS on a new connection.
#[derive(Clone, Copy)]
pub(crate) enum Prelude<'a> {
    /// Nothing: TLS begins at once.
    None,
    /// The dialogue of a protocol.
    StartTls(StartTls),
    /// A tunnel through a proxy.
    Proxy(&'a Proxy, &'a Target),
}

/// Both ends of a connection, without its own port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) peer: SocketAddr,
    own: IpAddr,
}

impl Place {
    /// `None` if the connection is closed already.
    pub(super) fn of(stream: &TcpStream) -> Option<Self> {
        Some(Self {
            peer: stream.peer_addr().ok()?,
            own: stream.local_addr().ok()?.ip(),
        })
    }

    async fn connect(self) -> std::io::Result<TcpStream> {
        let socket = match self.peer {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.bind(SocketAddr::new(self.own, 0))?;
        let stream = socket.connect(self.peer).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Tls {
    /// The failure with what the server offers.
    pub(super) async fn explained(
        &self,
        failure: Failure,
        name: &ServerName<'_>,
        place: Option<Place>,
        prelude: Prelude<'_>,
        check: &Check,
    ) -> Failure {
        let Some(place) = place else { return failure };
        let connect = Connect {
            place,
            prelude,
            check,
        };
        let peer = (place.peer, name);
        let offer = self.offers.of(peer, &failure.reason, check.deadline(), connect);
        let Some(offer) = offer.await else {
            check.step("tls", || "what the server offers instead is not known".to_owned());
            return failure;
        };
        let text = offer.in_words("ssl_legacy", self.is_legacy);
        check.step("tls", || text.clone());
        Failure::new(failure.class, format!("{}; {text}", failure.reason))
    }
}

/// Connects again to where a handshake has failed.
struct Connect<'a> {
    place: Place,
    prelude: Prelude<'a>,
    check: &'a Check,
}

impl AsyncConnect for Connect<'_> {
    type Stream = TcpStream;

    async fn connect(&mut self) -> Option<TcpStream> {
        let mut stream = self.place.connect().await.ok()?;
        match self.prelude {
            Prelude::None => {}
            Prelude::StartTls(protocol) => protocol.ask(&mut stream, self.check).await.ok()?,
            Prelude::Proxy(proxy, target) => {
                let status = proxy.tunnel(&mut stream, target).await.ok()?;
                matches!(status.code, Some(200..=299)).then_some(())?;
            }
        }
        Some(stream)
    }
}
