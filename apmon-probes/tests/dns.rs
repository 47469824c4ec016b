//! `dns` against unbound, a real name server.
#![cfg(feature = "dns")]
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use apmon_core::{FailureClass, Metric, Outcome, Phase, Verdict};

use lab::{LONG, check, explain, pki::Pki, reason};

/// A real name server with a small zone, on its own port.
struct Unbound {
    child: Child,
    address: SocketAddr,
    /// Where it answers over TLS, with the certificate `dns`.
    tls: Option<(SocketAddr, Pki)>,
    _directory: tempfile::TempDir,
}

impl Drop for Unbound {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A record set too large for a datagram: ten texts of 250 letters.
fn big_record_set() -> String {
    let mut lines = String::new();
    for n in 0..10 {
        let text = char::from(b'a' + n).to_string().repeat(250);
        writeln!(lines, "  local-data: 'big.lab.example. 60 IN TXT \"{text}\"'").unwrap();
    }
    lines
}

/// A port that is free for both protocols and below the kernel's ephemeral range,
/// so that it stays free until the server binds it.
fn free_server_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let port = 20_000 + (std::process::id() * 16 + NEXT.fetch_add(1, Relaxed)) % 12_000;
        let address = SocketAddr::from(([127, 0, 0, 1], port as u16));
        if std::net::UdpSocket::bind(address).is_ok() && std::net::TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

impl Unbound {
    async fn start() -> Self {
        Self::start_as(None).await
    }

    async fn start_with_tls() -> Self {
        let pki = Pki::new();
        pki.leaf("dns");
        Self::start_as(Some((free_server_address(), pki))).await
    }

    async fn start_as(tls: Option<(SocketAddr, Pki)>) -> Self {
        let address = free_server_address();
        let tls_options = tls.as_ref().map_or_else(String::new, |(at, pki)| {
            format!(
                "  interface: 127.0.0.1@{0}\n  tls-port: {0}\n  tls-service-key: {1}\n  tls-service-pem: {2}\n",
                at.port(),
                pki.path("dns.key").display(),
                pki.path("dns.pem").display()
            )
        });
        let directory = tempfile::tempdir().unwrap();
        let port = address.port();
        let zone = r#"
  local-zone: "lab.example." static
  local-data: "lab.example. 60 IN SOA ns.lab.example. root.lab.example. 7 3600 600 86400 60"
  local-data: "lab.example. 60 IN NS ns.lab.example."
  local-data: "lab.example. 60 IN MX 10 mail.lab.example."
  local-data: "lab.example. 60 IN MX 20 backup.lab.example."
  local-data: 'lab.example. 60 IN CAA 0 issue "ca.example"'
  local-data: 'lab.example. 60 IN TXT "v=spf1 -all"'
  local-data: "_sip._udp.lab.example. 60 IN SRV 1 2 5060 sip.lab.example."
  local-data: "web.lab.example. 60 IN A 192.0.2.10"
  local-data: "web.lab.example. 60 IN A 192.0.2.11"
  local-data: "web.lab.example. 60 IN AAAA 2001:db8::10"
  local-data: "xn--mnchen-3ya.lab.example. 60 IN A 192.0.2.12"
  local-data: "alias.lab.example. 60 IN CNAME web.lab.example."
  local-data-ptr: "192.0.2.10 60 web.lab.example"
  local-data-ptr: "2001:db8::10 60 web.lab.example"
  local-zone: "gone.example." always_nxdomain
  local-zone: "secret.example." refuse
"#;
        let config = format!(
            "server:\n  username: ''\n  chroot: ''\n  directory: {}\n  pidfile: ''\n  use-syslog: no\n\
             \x20 interface: 127.0.0.1@{port}\n{tls_options}  do-daemonize: no\n  module-config: iterator\n{zone}{}\
             remote-control:\n  control-enable: no\n\
             auth-zone:\n  name: zone.example\n  zonefile: zone\n  for-upstream: no\n",
            directory.path().display(),
            big_record_set()
        );
        let zone = "zone.example. 60 IN SOA ns.zone.example. root.zone.example. 7 3600 600 86400 60\n\
                    zone.example. 60 IN NS ns.zone.example.\n\
                    first.zone.example. 60 IN CNAME second.zone.example.\n\
                    second.zone.example. 60 IN CNAME web.zone.example.\n\
                    web.zone.example. 60 IN A 192.0.2.20\n\
                    dangling.zone.example. 60 IN CNAME gone.zone.example.\n\
                    sub.zone.example. 60 IN NS ns.sub.zone.example.\n\
                    ns.sub.zone.example. 60 IN A 192.0.2.21\n";
        std::fs::write(directory.path().join("zone"), zone).unwrap();
        let file = directory.path().join("unbound.conf");
        std::fs::write(&file, config).unwrap();
        // Debian keeps it in root's PATH only.
        let program = match Path::new("/usr/sbin/unbound") {
            path if path.exists() => path,
            _ => Path::new("unbound"),
        };
        let child = Command::new(program)
            .args(["-d", "-c"])
            .arg(&file)
            .stderr(Stdio::null())
            .spawn()
            .expect("this test needs unbound (apt install unbound)");
        let server = Self {
            child,
            address,
            tls,
            _directory: directory,
        };
        server.wait_until_it_answers().await;
        server
    }

    async fn wait_until_it_answers(&self) {
        let mut last = String::new();
        for _ in 0..200 {
            let outcome = self.check("query: web.lab.example").await;
            if outcome.verdict() == Verdict::Up {
                return;
            }
            last = reason(&outcome).to_owned();
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("unbound does not answer: {last}");
    }

    fn section(&self, options: &str) -> String {
        section(self.address, options)
    }

    async fn check(&self, options: &str) -> Outcome {
        check(&self.section(options), LONG).await
    }
}

fn section(server: SocketAddr, options: &str) -> String {
    format!("type: dns\nname: x\naddress: dns://{server}\n{options}")
}

fn records(outcome: &Outcome) -> Option<f64> {
    let metric = outcome.metrics.iter().find(|metric| metric.name == "records");
    metric.map(Metric::value)
}

#[tokio::test]
async fn every_record_type_is_answered_by_a_real_server() {
    let server = Unbound::start().await;
    for (options, count) in [
        ("query: web.lab.example", 2.0),
        ("query: WEB.Lab.Example.\nexpect: 192.0.2.11", 2.0),
        ("query: münchen.lab.example\nexpect: 192.0.2.12", 1.0),
        ("query: first.zone.example\nexpect: 192.0.2.20", 1.0),
        (
            "query: web.lab.example\nrecord_type: aaaa\nexpect: '2001:DB8:0::10'",
            1.0,
        ),
        (
            "query: lab.example\nrecord_type: Mx\nexpect: 10 mail.lab.example.",
            2.0,
        ),
        (
            "query: lab.example\nrecord_type: NS\nexpect: ns.lab.example.",
            1.0,
        ),
        (
            "query: lab.example\nrecord_type: SOA\nexpect: ns.lab.example. root.lab.example. 7 ",
            1.0,
        ),
        (
            "query: lab.example\nrecord_type: CAA\nexpect: '0 issue \"ca.example\"'",
            1.0,
        ),
        ("query: lab.example\nrecord_type: TXT\nexpect: v=spf1 -all", 1.0),
        (
            "query: _sip._udp.lab.example\nrecord_type: SRV\nexpect: 1 2 5060 sip.lab.example.",
            1.0,
        ),
        (
            "query: alias.lab.example\nrecord_type: CNAME\nexpect: web.lab.example.",
            1.0,
        ),
        (
            "query: 192.0.2.10\nrecord_type: PTR\nexpect: web.lab.example.",
            1.0,
        ),
        (
            "query: '2001:db8::10'\nrecord_type: ptr\nexpect: web.lab.example.",
            1.0,
        ),
        (
            "query: 10.2.0.192.in-addr.arpa\nrecord_type: PTR\nexpect: web.lab.example.",
            1.0,
        ),
    ] {
        let outcome = server.check(options).await;
        assert_eq!(reason(&outcome), "up", "{options}");
        assert_eq!(records(&outcome), Some(count), "{options}");
        let phases: Vec<_> = outcome.phases.iter().map(|(phase, _)| *phase).collect();
        assert_eq!(phases, [Phase::FirstByte], "{options}");
    }
}

#[tokio::test]
async fn a_response_code_a_network_or_a_pattern_may_be_expected() {
    let server = Unbound::start().await;
    for (options, expected) in [
        ("query: no.lab.example\nexpect_rcode: NXDOMAIN", "up"),
        ("query: www.secret.example\nexpect_rcode: refused", "up"),
        (
            "query: web.lab.example\nrecord_type: TXT\nexpect_rcode: NOERROR",
            "up",
        ),
        (
            "query: web.lab.example\nexpect_rcode: NXDOMAIN",
            "NOERROR for web.lab.example, not NXDOMAIN",
        ),
        ("query: web.lab.example\nexpect: 192.0.2.0/28", "up"),
        (
            "query: web.lab.example\nrecord_type: AAAA\nexpect: '2001:db8::/32'",
            "up",
        ),
        (
            "query: lab.example\nrecord_type: MX\nexpect: '10 *.lab.example.'",
            "up",
        ),
        (
            "query: web.lab.example\nrecord_type: AAAA\nexpect: '2001:db9::/32'",
            "\"2001:db9::/32\" is not among the AAAA records of web.lab.example: 2001:db8::10",
        ),
    ] {
        assert_eq!(reason(&server.check(options).await), expected, "{options}");
    }
}

#[tokio::test]
async fn a_server_may_be_asked_over_tcp() {
    let server = Unbound::start().await;
    let outcome = server
        .check("query: web.lab.example\ntransport: tcp\nexpect: 192.0.2.11")
        .await;
    assert_eq!(reason(&outcome), "up");
    let phases: Vec<_> = outcome.phases.iter().map(|(phase, _)| *phase).collect();
    assert_eq!(phases, [Phase::Connect, Phase::FirstByte]);
}

#[tokio::test]
async fn a_server_may_be_asked_over_tls_with_its_certificate_pinned() {
    let server = Unbound::start_with_tls().await;
    let (at, pki) = server.tls.as_ref().unwrap();
    let (at, pin) = (*at, pki.pin("dns"));
    let options = |pin: &str| {
        format!("query: web.lab.example\ntransport: tls\nexpect: 192.0.2.11\nssl_fingerprint: {pin}")
    };
    let outcome = check(&section(at, &options(&pin)), LONG).await;
    assert_eq!(reason(&outcome), "up");
    let phases: Vec<_> = outcome.phases.iter().map(|(phase, _)| *phase).collect();
    assert_eq!(phases, [Phase::Connect, Phase::Tls, Phase::FirstByte]);
    assert!(
        outcome
            .metrics
            .iter()
            .any(|metric| metric.name == "ssl_expiry_days")
    );
    let outcome = check(&section(at, &options(&"0".repeat(64))), LONG).await;
    assert_eq!(
        reason(&outcome),
        format!("certificate is not the pinned one (got {pin})")
    );
}

#[tokio::test]
async fn negative_answers_of_a_real_server_are_distinguished() {
    use FailureClass::{Content, NoSuchName, Status};
    let server = Unbound::start().await;
    for (options, class, expected) in [
        (
            "query: no.lab.example.",
            NoSuchName,
            "NXDOMAIN: no such name: no.lab.example",
        ),
        (
            "query: a.gone.example",
            NoSuchName,
            "NXDOMAIN: no such name: a.gone.example",
        ),
        (
            "query: dangling.zone.example",
            Content, // unbound answers this with NOERROR
            "no A record for gone.zone.example (the target of the alias dangling.zone.example)",
        ),
        (
            "query: first.zone.example\nrecord_type: MX",
            Content,
            "no MX record for web.zone.example (the target of the alias first.zone.example)",
        ),
        (
            "query: web.sub.zone.example",
            Status,
            "lame: the server has no data for web.sub.zone.example and refers to ns.sub.zone.example.",
        ),
        (
            "query: www.secret.example",
            Status,
            "REFUSED: the server refuses to answer this query",
        ),
        (
            "query: web.lab.example\nrecord_type: TXT",
            Content,
            "no TXT record for web.lab.example",
        ),
        (
            "query: web.lab.example\nrecord_type: AAAA\nexpect: '2001:db8::1'",
            Content,
            "\"2001:db8::1\" is not among the AAAA records of web.lab.example: 2001:db8::10",
        ),
    ] {
        let outcome = server.check(options).await;
        assert_eq!(reason(&outcome), expected, "{options}");
        assert_eq!(outcome.failure().unwrap().class, class, "{options}");
    }
}

#[tokio::test]
async fn an_answer_too_long_for_a_datagram_is_fetched_over_tcp() {
    let server = Unbound::start().await;
    let last = "j".repeat(250);
    let options = format!("query: big.lab.example\nrecord_type: TXT\nexpect: {last}");
    let (outcome, steps) = explain(&server.section(&options), LONG).await;
    assert_eq!(reason(&outcome), "up");
    assert_eq!(records(&outcome), Some(10.0));
    let phases: Vec<_> = outcome.phases.iter().map(|(phase, _)| *phase).collect();
    assert_eq!(phases, [Phase::FirstByte, Phase::Connect, Phase::Transfer]);
    assert!(steps.contains("receive: truncated; retrying over TCP"), "{steps}");
}

#[tokio::test]
async fn explain_shows_the_query_the_flags_and_every_record() {
    let server = Unbound::start().await;
    let options = "query: lab.example\nrecord_type: MX\nexpect: 10 mail";
    let (outcome, steps) = explain(&server.section(options), LONG).await;
    assert_eq!(reason(&outcome), "up");
    let lines: Vec<_> = steps.lines().collect();
    assert!(lines[0].starts_with(&format!("send: MX lab.example. to {}, ID ", server.address)));
    assert!(lines[0].ends_with(", 40 bytes"), "{steps}");
    assert_eq!(
        lines[1],
        "receive: NOERROR; flags qr aa rd ra; answer 2, authority 0, additional 0"
    );
    let mut records = lines[2..].to_vec();
    records.sort_unstable();
    assert_eq!(
        records,
        [
            "answer: lab.example. 60 IN MX 10 mail.lab.example.",
            "answer: lab.example. 60 IN MX 20 backup.lab.example.",
        ]
    );
}
