//! A network in which names have several addresses, and servers of every protocol at one of them.

use std::{net::SocketAddr, sync::Arc};

use apmon_core::{Outcome, WarningClass, WarningLevel};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream, UdpSocket},
};

use super::{Certificate, namespace::TestNetwork, ok, read_request};

/// Nothing listens at 127.0.0.5, and 10.88.0.9 is silent.
pub const HOSTS: &str = "127.0.0.1 localhost
127.0.0.1 alive
127.0.0.5 refusing
127.0.0.1 refusing
10.88.0.9 silent
127.0.0.1 silent
10.77.0.9 absent
127.0.0.1 absent
127.0.0.1 second
127.0.0.5 second
::1 families
127.0.0.5 families
127.0.0.6 families
127.0.0.1 families
2001:db8::7 unroutable
127.0.0.1 unroutable
127.0.0.5 dead
127.0.0.6 dead
10.88.0.9 dumb
10.88.0.8 dumb
2001:db8::7 nowhere
198.51.100.7 nowhere
";

pub fn network(network: &TestNetwork) {
    network.allow_nobody();
    network.names(HOSTS);
    network.near("route add 10.88.0.0/16 via 10.77.0.2");
    network.far("route add blackhole 10.88.0.0/16");
    network.set_far("ipv4/ip_forward", "1");
    network.near("addr add 10.77.0.3/16 dev near0");
}

/// Servers of every protocol at 127.0.0.1, that report from where they are asked.
pub struct Servers {
    pub tcp: u16,
    pub http: u16,
    pub https: u16,
    pub udp: u16,
    pub dns: u16,
    pub quic: u16,
    /// A certificate for TLS.
    _certificate: Certificate,
}

/// An answer of a name server to whatever it is asked: an address.
fn dns_answer(query: &[u8]) -> Vec<u8> {
    let end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
    let mut answer = query[..2].to_vec();
    answer.extend([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
    answer.extend(&query[12..end]);
    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
    answer
}

async fn udp_server(answer: impl Fn(&[u8], SocketAddr) -> Vec<u8> + Send + 'static) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        loop {
            let (n, from) = socket.recv_from(&mut buffer).await.unwrap();
            let _ = socket.send_to(&answer(&buffer[..n], from), from).await;
        }
    });
    port
}

impl Servers {
    pub async fn start() -> Self {
        let certificate = Certificate::good();
        let config = certificate.server_config();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp_port = tcp.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, from)) = tcp.accept().await {
                let _ = stream.write_all(format!("from {}\n", from.ip()).as_bytes()).await;
            }
        });
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http_port = http.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, from)) = http.accept().await {
                tokio::spawn(serve_http(stream, from));
            }
        });
        let tap = super::tap::Tap::of(config, ok("")).await;
        let mut quic = (*certificate.server_config()).clone();
        quic.alpn_protocols = vec![b"h3".to_vec()];
        let quic = super::h3::config(&Arc::new(quic));
        let (quic, handshakes) = super::h3::server(
            move |_| Arc::clone(&quic),
            |connection| {
                let from = format!("from {}", connection.remote_address().ip());
                super::h3::answer(connection, move |_| (200, Vec::new(), from.clone()))
            },
        );
        std::mem::forget(handshakes);
        let https = tap.address.port();
        std::mem::forget(tap);
        Self {
            tcp: tcp_port,
            http: http_port,
            https,
            udp: udp_server(|_, from| format!("from {}", from.ip()).into_bytes()).await,
            dns: udp_server(|query, _| dns_answer(query)).await,
            quic: quic.port(),
            _certificate: certificate,
        }
    }

    /// A section for every kind at `host`, which is up only if the peer answers.
    pub fn sections(&self, host: &str) -> Vec<String> {
        let Self {
            tcp,
            http,
            https,
            udp,
            dns,
            quic,
            ..
        } = self;
        vec![
            format!("type: ping\nname: x\naddress: {host}"),
            format!("type: ping\nname: x\naddress: {host}\ncount: 3"),
            format!("type: tcp\nname: x\naddress: tcp://{host}:{tcp}"),
            format!("type: tcp\nname: x\naddress: tcp://{host}:{tcp}\nexpect: from"),
            format!("type: tcp\nname: x\naddress: tls://{host}:{https}"),
            format!("type: udp\nname: x\naddress: udp://{host}:{udp}\nsend: x\nexpect: from"),
            format!("type: dns\nname: x\naddress: dns://{host}:{dns}\nquery: web.example"),
            format!("type: http\nname: x\naddress: http://{host}:{http}/"),
            format!("type: http\nname: x\naddress: https://{host}:{https}/"),
            format!("type: quic\nname: x\naddress: https://{host}:{quic}/"),
            format!("type: http\nname: x\naddress: http://127.0.0.1:{http}/\nproxy: http://{host}:{http}"),
        ]
    }
}

/// Answers a request with the address that it came from. A path `/to/HOST:PORT` redirects there.
async fn serve_http(mut stream: TcpStream, from: SocketAddr) {
    let request = read_request(&mut stream).await;
    let path = request.split(' ').nth(1).unwrap_or_default();
    let answer = match path.split_once("/to/") {
        Some((_, place)) => {
            format!("HTTP/1.1 302 Found\r\nLocation: http://{place}/\r\nContent-Length: 0\r\n\r\n")
        }
        None if path.ends_with("/wrong") => {
            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_owned()
        }
        None => ok(&format!("from {}", from.ip())),
    };
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

pub fn notes(outcome: &Outcome) -> Vec<&str> {
    let notes = outcome.warnings.iter();
    notes
        .map(|note| {
            assert_eq!(
                (note.class, note.level),
                (WarningClass::Address, WarningLevel::Note)
            );
            note.text.as_str()
        })
        .collect()
}
