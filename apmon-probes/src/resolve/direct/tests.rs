use std::net::SocketAddr;

use apmon_core::{FailureClass, config::AddressFamily};
use hickory_resolver::{
    Name,
    config::NameServerConfig,
    proto::{
        op::{Message, MessageType, ResponseCode},
        rr::{RData, Record, RecordType, rdata},
        xfer::Protocol,
    },
};
use tokio::net::UdpSocket;

use super::*;

fn hosts(text: &str) -> HostsFile {
    HostsFile::read(text)
}

/// A resolver that queries `server` only, with one search domain.
fn resolver(server: SocketAddr) -> Resolver {
    let mut config = ResolverConfig::new();
    config.add_name_server(NameServerConfig::new(server, Protocol::Udp));
    config.add_search(Name::from_ascii("lan.").unwrap());
    let mut options = ResolverOpts::default();
    options.ndots = 1;
    Resolver::fixed(Sources::new(
        hosts("192.0.2.7 nas\n::1 six localhost\n127.0.0.1 localhost"),
        config,
        options,
    ))
}

/// A name server that answers with `answer`, on a thread of its own as a real one
/// would be.
fn name_server(answer: fn(&str, RecordType) -> Answer) -> SocketAddr {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 1500];
        loop {
            let (n, from) = socket.recv_from(&mut buffer).unwrap();
            let mut message = Message::from_vec(&buffer[..n]).unwrap();
            let query = message.queries()[0].clone();
            message.set_message_type(MessageType::Response);
            match answer(&query.name().to_utf8(), query.query_type()) {
                Answer::Code(code) => {
                    message.set_response_code(code);
                }
                Answer::Address(data) => {
                    message.add_answer(Record::from_rdata(query.name().clone(), 60, data));
                }
                Answer::None => continue,
            }
            socket.send_to(&message.to_vec().unwrap(), from).unwrap();
        }
    });
    address
}

enum Answer {
    Code(ResponseCode),
    Address(RData),
    None,
}

fn v4(last: u8) -> Answer {
    Answer::Address(RData::A(rdata::A::new(192, 0, 2, last)))
}

fn v6(address: &str) -> Answer {
    Answer::Address(RData::AAAA(address.parse().unwrap()))
}

/// The tests need this process not to stand still for longer.
const STALL: Duration = Duration::from_secs(5);

/// The deadline for a name that is found, or denied.
const LONG: Duration = Duration::from_secs(20);

async fn addresses(
    resolver: &Resolver,
    name: &str,
    family: AddressFamily,
    timeout: Duration,
) -> Result<Vec<IpAddr>, Failure> {
    let options = ResolveOptions {
        family,
        ..ResolveOptions::default()
    };
    resolver.addresses(name, options, Instant::now() + timeout).await
}

async fn ask(resolver: &Resolver, name: &str) -> Result<String, Failure> {
    ask_within(resolver, name, LONG).await
}

async fn ask_within(resolver: &Resolver, name: &str, timeout: Duration) -> Result<String, Failure> {
    let ips = addresses(resolver, name, AddressFamily::Any, timeout).await?;
    Ok(ips[0].to_string())
}

#[tokio::test]
async fn names_are_found_in_hosts_and_dns() {
    let server = name_server(|name, kind| match (name, kind) {
        ("web.lan.", RecordType::A) => v4(1),
        ("a.b.", RecordType::A) => v4(2),
        ("my_nas.lan.", RecordType::A) => v4(3),
        ("six.lan.", RecordType::AAAA) => v6("2001:db8::6"),
        ("six.lan.", _) => Answer::Code(ResponseCode::NoError),
        _ => Answer::Code(ResponseCode::NXDomain),
    });
    let resolver = resolver(server);
    for (name, address) in [
        ("nas", "192.0.2.7"),
        ("NAS", "192.0.2.7"),
        ("localhost", "127.0.0.1"),
        ("LOCALHOST.", "127.0.0.1"),
        ("printer.localhost", "127.0.0.1"),
        ("web", "192.0.2.1"),
        ("web.lan", "192.0.2.1"),
        ("a.b", "192.0.2.2"),
        ("my_nas", "192.0.2.3"),
        ("six.lan", "2001:db8::6"),
    ] {
        assert_eq!(ask(&resolver, name).await.unwrap(), address, "{name}");
    }
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_down_and_a_failing_name_server_is_not() {
    let server = name_server(|name, _| match name {
        "failing.example." => Answer::Code(ResponseCode::ServFail),
        "refused.example." => Answer::Code(ResponseCode::Refused),
        // One name's absence must not cover another's failure.
        "half.lan." => Answer::Code(ResponseCode::ServFail),
        "empty.example." => Answer::Code(ResponseCode::NoError),
        _ => Answer::Code(ResponseCode::NXDomain),
    });
    let resolver = resolver(server);
    for (name, class) in [
        ("gone.example", FailureClass::NoSuchName),
        // It has no SOA: a server that knows nothing of the name says the same.
        ("empty.example", FailureClass::Resolver),
        ("failing.example", FailureClass::Resolver),
        ("refused.example", FailureClass::Resolver),
        ("half", FailureClass::Resolver),
    ] {
        let failure = ask(&resolver, name).await.unwrap_err();
        assert_eq!(failure.class, class, "{failure}");
        assert!(failure.reason.starts_with("resolve: "), "{failure}");
    }
    let failure = ask(&resolver, "gone.example").await.unwrap_err();
    assert_eq!(failure.reason, "resolve: no such name: gone.example");
}

#[tokio::test]
async fn a_silent_name_server_delays_nobody_and_is_our_own_fault() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let resolver = Arc::new(resolver(silent.local_addr().unwrap()));
    let start = Instant::now();
    let lookups: Vec<_> = (0..1_000)
        .map(|n| {
            let resolver = Arc::clone(&resolver);
            tokio::spawn(async move { ask_within(&resolver, &format!("host{n}.example"), STALL).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(ask(&resolver, "localhost").await.unwrap(), "127.0.0.1");
    assert_eq!(ask(&resolver, "nas").await.unwrap(), "192.0.2.7");
    // None of the others has ended before.
    assert!(start.elapsed() < STALL, "{:?}", start.elapsed());
    for lookup in lookups {
        let failure = lookup.await.unwrap().unwrap_err();
        assert_eq!(failure.class, FailureClass::Resolver, "{failure}");
    }
    // Not one after another: that takes a thousand times as long.
    assert!(start.elapsed() < STALL * 2, "{:?}", start.elapsed());
}

#[tokio::test]
async fn three_thousand_names_at_once_are_all_answered() {
    let server = name_server(|_, kind| match kind {
        RecordType::A => v4(9),
        _ => Answer::None,
    });
    let resolver = Arc::new(resolver(server));
    let lookups: Vec<_> = (0..3_000)
        .map(|n| {
            let resolver = Arc::clone(&resolver);
            tokio::spawn(async move { ask_within(&resolver, &format!("host{n}.example"), LONG * 3).await })
        })
        .collect();
    let start = Instant::now();
    let mut lost = Vec::new();
    for lookup in lookups {
        if let Err(failure) = lookup.await.unwrap() {
            lost.push(failure.reason);
        }
    }
    assert!(
        lost.is_empty(),
        "{} lost after {:?}: {:?}",
        lost.len(),
        start.elapsed(),
        lost.first()
    );
}

#[tokio::test]
async fn without_a_name_server_the_hosts_file_still_works() {
    let resolver = Resolver::fixed(Sources {
        hosts: hosts("192.0.2.7 nas"),
        dns: Err("no usable /etc/resolv.conf (gone)".to_owned()),
    });
    assert_eq!(ask(&resolver, "nas").await.unwrap(), "192.0.2.7");
    assert_eq!(ask(&resolver, "localhost").await.unwrap(), "127.0.0.1");
    let failure = ask(&resolver, "web.lan").await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Resolver);
    assert_eq!(failure.reason, "resolve: no usable /etc/resolv.conf (gone)");
}

#[tokio::test]
async fn localhost_is_known_without_a_name_server() {
    assert_eq!(ask(&Resolver::default(), "localhost").await.unwrap(), "127.0.0.1");
}

#[test]
fn files_that_the_c_library_accepts_are_accepted() {
    let hosts = b"127.0.0.9 printer.lan\n# M\xfcller\n10.0.0.300 nobody.lan\n127.0.0.8 nas.lan # here\n";
    let resolv_conf = b"# r\xe9seau\nnameserver 127.0.0.53\ndomain\noptions foo ndots:3\n".to_vec();
    let sources = Sources::of_files(Ok(resolv_conf), hosts);
    let found = |name| sources.hosts.addresses(name, AddressFamily::Any);
    assert_eq!(found("printer.lan"), [IpAddr::from([127, 0, 0, 9])]);
    assert_eq!(found("nas.lan"), [IpAddr::from([127, 0, 0, 8])]);
    assert!(found("nobody.lan").is_empty());
    assert_eq!(sources.dns.as_ref().map(|dns| dns.ndots), Ok(3));
    let without = Sources::of_files(Err("gone".to_owned()), hosts);
    assert_eq!(without.dns.err().unwrap(), "no usable /etc/resolv.conf (gone)");
}

#[tokio::test]
async fn a_name_has_all_its_addresses_with_ipv4_first() {
    let server = name_server(|name, kind| match (name, kind) {
        ("dual.example.", RecordType::A) => v4(1),
        ("dual.example.", RecordType::AAAA) => v6("2001:db8::1"),
        _ => Answer::Code(ResponseCode::NXDomain),
    });
    let resolver = resolver(server);
    for (family, expected) in [
        (AddressFamily::Any, &["192.0.2.1", "2001:db8::1"][..]),
        (AddressFamily::Ipv4, &["192.0.2.1"]),
        (AddressFamily::Ipv6, &["2001:db8::1"]),
    ] {
        // The second time from the cache.
        for _ in 0..2 {
            let ips = addresses(&resolver, "dual.example", family, LONG).await.unwrap();
            let ips: Vec<_> = ips.iter().map(ToString::to_string).collect();
            assert_eq!(ips, expected, "{family:?}");
        }
    }
    let localhost = addresses(&resolver, "printer.localhost", AddressFamily::Any, LONG).await;
    let both: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    assert_eq!(localhost.unwrap(), both);
}

#[tokio::test]
async fn ipv4_is_enough_if_the_name_server_fails_or_is_silent_about_ipv6() {
    let server = name_server(|name, kind| match (name, kind) {
        (_, RecordType::A) => v4(1),
        ("failing.example.", _) => Answer::Code(ResponseCode::ServFail),
        _ => Answer::None,
    });
    let resolver = resolver(server);
    for name in ["failing.example", "silent.example"] {
        let start = Instant::now();
        let ips = addresses(&resolver, name, AddressFamily::Any, LONG)
            .await
            .unwrap();
        assert_eq!(ips, [IpAddr::from([192, 0, 2, 1])], "{name}");
        assert!(start.elapsed() < STALL, "{name}: {:?}", start.elapsed());
    }
}

#[test]
fn one_bad_line_of_resolv_conf_does_not_disable_dns() {
    let file = b"# r\xe9seau\noptions foo ndots:3\ndomain\nsearch lan\nnameserver 127.0.0.53\ngarbage\n";
    let dns = Sources::of_files(Ok(file.to_vec()), b"").dns.unwrap();
    assert_eq!(dns.ndots, 3);
    assert_eq!(dns.client.config().name_servers().len(), 2, "udp and tcp");
    assert_eq!(dns.client.config().search().len(), 1);
}

#[test]
fn the_reason_is_known_if_resolv_conf_names_no_server() {
    let reason = Sources::of_files(Ok(b"search lan\n".to_vec()), b"")
        .dns
        .err()
        .unwrap();
    assert!(reason.starts_with("no usable /etc/resolv.conf ("), "{reason}");
}
