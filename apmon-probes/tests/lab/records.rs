//! TLS records that no library sends, after an honest handshake.

use std::sync::Arc;

use rustls::{
    ConnectionTrafficSecrets, ContentType, ProtocolVersion, ServerConfig, SupportedCipherSuite,
    crypto::cipher::{MessageEncrypter, OutboundChunks, OutboundPlainMessage},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::TlsAcceptor;

/// A server's side of TLS 1.3 that seals whatever it is given.
pub struct Sealer {
    encrypter: Box<dyn MessageEncrypter>,
    number: u64,
}

impl Sealer {
    fn record(&mut self, kind: ContentType, payload: &[u8]) -> Vec<u8> {
        let message = OutboundPlainMessage {
            typ: kind,
            version: ProtocolVersion::TLSv1_3,
            payload: OutboundChunks::Single(payload),
        };
        let sealed = self.encrypter.encrypt(message, self.number).unwrap();
        self.number += 1;
        sealed.encode()
    }
}

/// Accepts a connection, reads a request, and sends `once` as data and then records of `again`:
/// without end, or as many as `end` says, and then its data.
pub async fn pour(
    config: Arc<ServerConfig>,
    stream: TcpStream,
    once: &[u8],
    (kind, again): (ContentType, Vec<u8>),
    end: Option<(u64, &[u8])>,
) {
    let mut config = (*config).clone();
    config.enable_secret_extraction = true;
    let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(stream).await else {
        return;
    };
    let _ = stream.read(&mut [0; 4096]).await;
    let (mut stream, session) = stream.into_inner();
    let Some(SupportedCipherSuite::Tls13(suite)) = session.negotiated_cipher_suite() else {
        panic!("TLS 1.3 was not negotiated")
    };
    let (number, secrets) = session.dangerous_extract_secrets().unwrap().tx;
    let (ConnectionTrafficSecrets::Aes128Gcm { key, iv }
    | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
    | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv }) = secrets
    else {
        panic!("another cipher")
    };
    let mut sealer = Sealer {
        encrypter: suite.aead_alg.encrypter(key, iv),
        number,
    };
    let mut piece = match once.is_empty() {
        true => Vec::new(),
        false => sealer.record(ContentType::ApplicationData, once),
    };
    let count = end.map_or(u64::MAX, |(count, _)| sealer.number + count);
    while stream.write_all(&piece).await.is_ok() && sealer.number < count {
        piece.clear();
        while piece.len() < 16 * 1024 && sealer.number < count {
            piece.extend(sealer.record(kind, &again));
        }
    }
    if let Some((_, end)) = end {
        let _ = stream
            .write_all(&sealer.record(ContentType::ApplicationData, end))
            .await;
        // Until the client closes: what it has sent must not reset the connection.
        while stream.read(&mut [0; 4096]).await.is_ok_and(|count| count > 0) {}
    }
}
