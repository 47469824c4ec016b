//! TLS servers that tell what they saw behind the handshake.

use std::{future::Future, net::SocketAddr, pin::Pin, sync::Arc};

use rustls::ServerConfig;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::LONG;

/// What is said before TLS.
pub type Prelude = fn(&mut TcpStream) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

pub fn at_once(_: &mut TcpStream) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
    Box::pin(async {})
}

/// What came within TLS by one connection.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    pub handshake: bool,
    pub bytes: String,
    /// How it ended.
    pub end: Option<std::io::ErrorKind>,
}

pub struct Tap {
    pub address: SocketAddr,
    told: mpsc::UnboundedReceiver<Seen>,
}

impl Tap {
    /// A server that takes the `n`th connection (from 0) as `config(n)` says,
    /// answers what comes first with `answer`, and reads to the end.
    pub async fn start(
        prelude: Prelude,
        config: impl Fn(usize) -> Arc<ServerConfig> + Send + 'static,
        answer: impl Into<String>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, told) = mpsc::unbounded_channel();
        let answer: Arc<str> = answer.into().into();
        tokio::spawn(async move {
            let mut count = 0;
            while let Ok((mut stream, _)) = listener.accept().await {
                let acceptor = TlsAcceptor::from(config(count));
                let (tell, answer) = (tell.clone(), Arc::clone(&answer));
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
                    let _ = tell.send(seen);
                });
            }
        });
        Self { address, told }
    }

    /// The same, always as `config` says.
    pub async fn of(config: Arc<ServerConfig>, answer: impl Into<String>) -> Self {
        Self::start(at_once, move |_| Arc::clone(&config), answer).await
    }

    /// What came by the next connection that has ended.
    pub async fn seen(&mut self) -> Seen {
        let seen = tokio::time::timeout(LONG, self.told.recv()).await;
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
                let first = bytes.is_empty();
                bytes.extend_from_slice(&buffer[..n]);
                if first {
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

/// A server that does `serve` once the handshake is done.
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
