//! TLS servers that record what arrives after the handshake.

use std::{future::Future, net::SocketAddr, pin::Pin, sync::Arc};

use rustls::ServerConfig;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::LONG;

/// A dialogue before TLS begins.
pub type Prelude = fn(&mut TcpStream) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

/// No dialogue before TLS.
pub fn without_prelude(_: &mut TcpStream) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
    Box::pin(async {})
}

/// What arrived over TLS on one connection.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    pub handshake: bool,
    pub bytes: String,
    /// The error that ended the connection; `None` for an orderly end.
    pub end: Option<std::io::ErrorKind>,
}

/// A server that records each connection.
pub struct Tap {
    pub address: SocketAddr,
    connections: mpsc::UnboundedReceiver<Seen>,
}

impl Tap {
    /// Starts a server that accepts the `n`th connection (from 0) with
    /// `config(n)`, answers the first bytes with `answer`, and reads to the end.
    pub async fn start(
        prelude: Prelude,
        config: impl Fn(usize) -> Arc<ServerConfig> + Send + 'static,
        answer: impl Into<String>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, connections) = mpsc::unbounded_channel();
        let answer: Arc<str> = answer.into().into();
        tokio::spawn(async move {
            let mut count = 0;
            while let Ok((mut stream, _)) = listener.accept().await {
                let acceptor = TlsAcceptor::from(config(count));
                let (sender, answer) = (sender.clone(), Arc::clone(&answer));
                count += 1;
                tokio::spawn(async move {
                    prelude(&mut stream).await;
                    let seen = match acceptor.accept(stream).await {
                        Ok(stream) => serve(stream, &answer).await,
                        Err(_) => Seen {
                            handshake: false,
                            bytes: String::new(),
                            end: None,
                        },
                    };
                    let _ = sender.send(seen);
                });
            }
        });
        Self { address, connections }
    }

    /// Starts a server that accepts every connection with `config`.
    pub async fn of(config: Arc<ServerConfig>, answer: impl Into<String>) -> Self {
        Self::start(without_prelude, move |_| Arc::clone(&config), answer).await
    }

    /// What arrived on the next connection that has ended.
    pub async fn seen(&mut self) -> Seen {
        let seen = tokio::time::timeout(LONG, self.connections.recv()).await;
        seen.expect("a connection ends").unwrap()
    }
}

async fn serve(mut stream: TlsStream<TcpStream>, answer: &str) -> Seen {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    let mut end = None;
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) => break,
            Ok(n) => {
                let is_first = bytes.is_empty();
                bytes.extend_from_slice(&buffer[..n]);
                if is_first {
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.flush().await;
                }
            }
            Err(error) => {
                end = Some(error.kind());
                break;
            }
        }
    }
    Seen {
        handshake: true,
        bytes: String::from_utf8_lossy(&bytes).into_owned(),
        end,
    }
}

/// Starts a server that runs `serve` once the handshake is complete.
pub async fn tls_server<F, S>(config: Arc<ServerConfig>, serve: S) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
    S: Fn(TlsStream<TcpStream>) -> F + Clone + Send + Sync + 'static,
{
    super::tcp_server(move |stream| {
        let (acceptor, serve) = (TlsAcceptor::from(Arc::clone(&config)), serve.clone());
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream).await;
            }
        }
    })
    .await
}
