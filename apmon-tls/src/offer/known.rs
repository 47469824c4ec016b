//! What servers were found to offer, remembered for the time of an outage.

use std::{
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use super::{AsyncConnect, ServerOffer, ask};

/// How long finding out may take. Servers answer a hello within a round trip.
const MAX_TIME: Duration = Duration::from_secs(3);

/// The most servers that are remembered: a client speaks with few, and forgets those that it
/// has reached.
const MAX_SERVERS: usize = 32;

/// The server of a handshake: the other end of the connection, which may be a proxy, and the
/// name that was asked for.
pub type Peer<'a> = (SocketAddr, &'a ServerName<'a>);

/// What servers were found to offer after a failed handshake. Each is asked once per outage:
/// as long as it fails for the same reason, the answer is remembered.
#[derive(Debug, Default)]
pub struct KnownOffers(Mutex<Vec<Known>>);

#[derive(Debug)]
struct Known {
    address: SocketAddr,
    name: ServerName<'static>,
    reason: String,
    offer: Option<ServerOffer>,
}

impl Known {
    fn is_of(&self, (address, name): Peer<'_>) -> bool {
        self.address == address && self.name == *name
    }
}

impl KnownOffers {
    fn lock(&self) -> MutexGuard<'_, Vec<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `peer` offers, with which a handshake has failed for `reason`; `None` if that is not
    /// known. `connect` opens connections to it. A tenth of the time until `deadline` is left
    /// over, in which the failure is reported.
    pub async fn of<S, C>(
        &self,
        peer: Peer<'_>,
        reason: &str,
        deadline: Instant,
        connect: C,
    ) -> Option<ServerOffer>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        C: AsyncConnect<Stream = S>,
    {
        let known = {
            let all = self.lock();
            let known = all.iter().find(|known| known.is_of(peer));
            let same = known.filter(|known| known.reason == reason);
            same.map(|known| known.offer.clone())
        };
        if let Some(offer) = known {
            return offer;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let asked = tokio::time::timeout((left * 9 / 10).min(MAX_TIME), ask(peer.1, connect));
        let offer = asked.await.ok().flatten();
        let mut all = self.lock();
        all.retain(|known| !known.is_of(peer));
        if all.len() == MAX_SERVERS {
            all.remove(0);
        }
        all.push(Known {
            address: peer.0,
            name: peer.1.to_owned(),
            reason: reason.to_owned(),
            offer: offer.clone(),
        });
        offer
    }

    /// A handshake with `peer` has succeeded: its next failure is a new one.
    pub fn forget(&self, peer: Peer<'_>) {
        self.lock().retain(|known| !known.is_of(peer));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    };

    use tokio::io::{AsyncWriteExt as _, DuplexStream};

    use super::*;

    /// Servers that refuse every hello, and how often they were asked.
    #[derive(Clone, Default)]
    struct Refusing(Arc<AtomicUsize>);

    impl AsyncConnect for Refusing {
        type Stream = DuplexStream;

        async fn connect(&mut self) -> Option<DuplexStream> {
            self.0.fetch_add(1, Relaxed);
            let (mut server, client) = tokio::io::duplex(4096);
            server.write_all(&[21, 3, 1, 0, 2, 2, 40]).await.ok()?;
            server.shutdown().await.ok()?;
            tokio::spawn(async move { tokio::io::copy(&mut server, &mut tokio::io::sink()).await });
            Some(client)
        }
    }

    fn name(text: &'static str) -> ServerName<'static> {
        ServerName::try_from(text).unwrap()
    }

    #[tokio::test]
    async fn each_server_is_asked_once_per_outage() {
        let known = KnownOffers::default();
        let server = Refusing::default();
        let (one, other): (SocketAddr, SocketAddr) =
            ("127.0.0.1:1".parse().unwrap(), "127.0.0.2:1".parse().unwrap());
        let (nas, printer) = (name("nas.lan"), name("printer.lan"));
        let ask = async |peer: (SocketAddr, &ServerName<'static>), reason: &str| {
            let before = server.0.load(Relaxed);
            let deadline = Instant::now() + Duration::from_secs(60);
            assert_eq!(known.of(peer, reason, deadline, server.clone()).await, None);
            server.0.load(Relaxed) > before
        };
        // Several addresses of a name, several names behind a proxy: each has its own answer.
        for peer in [(one, &nas), (other, &nas), (one, &printer)] {
            assert!(ask(peer, "refused").await);
        }
        for peer in [(one, &nas), (other, &nas), (one, &printer)] {
            assert!(!ask(peer, "refused").await);
        }
        assert!(ask((one, &nas), "closed").await);
        assert!(!ask((one, &nas), "closed").await);
        known.forget((one, &nas));
        assert!(!ask((other, &nas), "refused").await);
        assert!(ask((one, &nas), "closed").await);
    }

    #[tokio::test]
    async fn no_more_servers_are_remembered_than_the_limit() {
        let known = KnownOffers::default();
        let nas = name("nas.lan");
        let deadline = Instant::now() + Duration::from_secs(60);
        for port in 1..=u16::try_from(MAX_SERVERS).unwrap() + 5 {
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            known
                .of((address, &nas), "refused", deadline, Refusing::default())
                .await;
        }
        assert_eq!(known.lock().len(), MAX_SERVERS);
    }
}
