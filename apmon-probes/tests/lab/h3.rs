//! HTTP/3 servers of our own.

use std::{future::Future, net::SocketAddr, sync::Arc};

use bytes::{Buf as _, Bytes};
use quinn::{
    Connection, ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig, TokioRuntime,
    crypto::{CryptoError, HmacKey, rustls::QuicServerConfig},
};
use rustls::ServerConfig;
use tokio::sync::mpsc;

pub fn config(config: &Arc<ServerConfig>) -> Arc<quinn::ServerConfig> {
    let crypto = QuicServerConfig::try_from(Arc::clone(config)).unwrap();
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    // How long silence may last is for the check to decide.
    let mut transport = quinn::TransportConfig::default();
    transport.max_idle_timeout(None);
    config.transport_config(Arc::new(transport));
    Arc::new(config)
}

/// Starts a server that accepts the `n`th connection (from 0) with `configs(n)`,
/// and runs `serve` on it once the handshake is complete. The receiver gets
/// whether each handshake succeeded.
pub fn server<F>(
    configs: impl Fn(usize) -> Arc<quinn::ServerConfig> + Send + 'static,
    serve: impl Fn(Connection) -> F + Send + Sync + 'static,
) -> (SocketAddr, mpsc::UnboundedReceiver<bool>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let endpoint = endpoint("127.0.0.1:0".parse().unwrap(), Some(configs(0)));
    let address = endpoint.local_addr().unwrap();
    let (sender, handshakes) = mpsc::unbounded_channel();
    let serve = Arc::new(serve);
    tokio::spawn(async move {
        let mut count = 0;
        while let Some(incoming) = endpoint.accept().await {
            let Ok(connecting) = incoming.accept_with(configs(count)) else {
                continue;
            };
            count += 1;
            let (serve, sender) = (Arc::clone(&serve), sender.clone());
            tokio::spawn(async move {
                let connection = connecting.await;
                let _ = sender.send(connection.is_ok());
                if let Ok(connection) = connection {
                    serve(connection).await;
                }
            });
        }
    });
    (address, handshakes)
}

/// Computes each answer from the text of the request: `METHOD PATH`, headers, blank
/// line, body.
pub async fn answer(
    connection: Connection,
    answer: impl Fn(&str) -> (u16, Vec<(&'static str, String)>, String),
) {
    let connection = h3_quinn::Connection::new(connection);
    let Ok(mut connection) = h3::server::Connection::<_, Bytes>::new(connection).await else {
        return;
    };
    while let Ok(Some(resolver)) = connection.accept().await {
        let Ok((request, mut stream)) = resolver.resolve_request().await else {
            return;
        };
        let mut text = format!("{} {}\n", request.method(), request.uri());
        for (name, value) in request.headers() {
            text += &format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()));
        }
        text.push('\n');
        while let Ok(Some(mut piece)) = stream.recv_data().await {
            let piece = piece.copy_to_bytes(piece.remaining());
            text += &String::from_utf8_lossy(&piece);
        }
        let (status, headers, body) = answer(&text);
        let mut response = hyper::Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(name, value);
        }
        let _ = stream.send_response(response.body(()).unwrap()).await;
        let _ = stream.send_data(body.into()).await;
        let _ = stream.finish().await;
    }
}

/// An endpoint that shares its key for stateless resets with every other endpoint
/// on the same port.
pub fn endpoint(address: SocketAddr, config: Option<Arc<quinn::ServerConfig>>) -> Endpoint {
    let mut own = EndpointConfig::new(Arc::new(Key));
    own.cid_generator(|| Box::new(Ids(0)));
    let socket = std::net::UdpSocket::bind(address).unwrap();
    let config = config.map(|config| (*config).clone());
    Endpoint::new(own, config, socket, Arc::new(TokioRuntime)).unwrap()
}

struct Key;

impl HmacKey for Key {
    fn sign(&self, data: &[u8], signature: &mut [u8]) {
        signature.fill(0x5a);
        for (at, byte) in data.iter().enumerate() {
            signature[at % 32] ^= byte;
        }
    }

    fn signature_len(&self) -> usize {
        32
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let mut own = [0; 32];
        self.sign(data, &mut own);
        (own == signature).then_some(()).ok_or(CryptoError)
    }
}

struct Ids(u64);

impl ConnectionIdGenerator for Ids {
    fn generate_cid(&mut self) -> ConnectionId {
        self.0 += 1;
        ConnectionId::new(&self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes())
    }

    fn cid_len(&self) -> usize {
        8
    }

    fn cid_lifetime(&self) -> Option<std::time::Duration> {
        None
    }
}
