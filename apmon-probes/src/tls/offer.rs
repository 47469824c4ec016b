//! What a server offers, once a handshake with it has failed.

use std::{net::IpAddr, net::SocketAddr, sync::PoisonError, time::Duration};

use apmon_core::{Check, Failure};
use apmon_tls::{AsyncConnect, Reach, ServerOffer};
use rustls::pki_types::ServerName;
use tokio::{
    net::{TcpSocket, TcpStream},
    time::Instant,
};

use super::Tls;
use crate::{
    http::{proxy::Proxy, target::Target},
    starttls::StartTls,
};

/// How long finding out may take. Servers answer a hello within a round trip.
const MAX_TIME: Duration = Duration::from_secs(3);

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
    peer: SocketAddr,
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

/// What was found out when a handshake failed for the first time.
#[derive(Debug)]
pub(super) struct Known {
    peer: SocketAddr,
    reason: String,
    offer: Option<ServerOffer>,
}

impl Tls {
    /// The failure with what the server offers. It is asked once per outage: as long as
    /// the same server fails in the same way, the answer is known.
    pub(super) async fn explained(
        &self,
        failure: Failure,
        name: &ServerName<'_>,
        place: Option<Place>,
        prelude: Prelude<'_>,
        check: &Check,
    ) -> Failure {
        let Some(place) = place else { return failure };
        let known = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let known = known.as_ref();
            let same = known.filter(|known| known.peer == place.peer && known.reason == failure.reason);
            same.map(|known| known.offer.clone())
        };
        let offer = match known {
            Some(offer) => offer,
            None => {
                let connect = Connect {
                    place,
                    prelude,
                    check,
                };
                let left = check.deadline().saturating_duration_since(Instant::now());
                let asked = tokio::time::timeout(left.min(MAX_TIME), apmon_tls::ask(name, connect));
                let offer = asked.await.ok().flatten();
                *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(Known {
                    peer: place.peer,
                    reason: failure.reason.clone(),
                    offer: offer.clone(),
                });
                offer
            }
        };
        let Some(offer) = offer else {
            check.step("tls", || "what the server offers instead is not known".to_owned());
            return failure;
        };
        let hint = match (offer.reach(), self.is_legacy) {
            (Reach::Legacy, false) => "; set ssl_legacy: yes to reach it",
            (Reach::Never, _) => "; apmon speaks nothing of that kind",
            (Reach::Legacy, true) | (Reach::Always, _) => "",
        };
        let text = format!("the server offers {offer}{hint}");
        check.step("tls", || text.clone());
        Failure::new(failure.class, format!("{}; {text}", failure.reason))
    }

    /// A handshake has succeeded: the next failure is a new one.
    pub(super) fn forget(&self) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
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
