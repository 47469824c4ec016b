use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::atomic::{AtomicUsize, Ordering},
};

use apmon_core::Names as _;
use hickory_resolver::{
    config::{NameServerConfig, ResolverConfig, ResolverOpts},
    proto::{
        op::{Message, MessageType, ResponseCode},
        rr::{Record, rdata},
        xfer::Protocol,
    },
};

use super::*;
use crate::resolve::direct::{HostsFile, Resolver};

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(20);

/// The tests need this process not to stand still for longer.
const STALL: Duration = Duration::from_secs(5);

/// A resolver that queries `server` only, once for each name, and waits `patience`
/// for the answer.
fn resolver(server: SocketAddr, patience: Duration) -> Arc<Resolver> {
    let mut config = ResolverConfig::new();
    config.add_name_server(NameServerConfig::new(server, Protocol::Udp));
    let mut options = ResolverOpts::default();
    options.timeout = patience;
    options.attempts = 0; // besides the first
    let hosts = HostsFile::read("192.0.2.7 nas.lan nas\n127.0.0.1 localhost\n");
    Arc::new(Resolver::fixed(Sources::new(hosts, config, options)))
}

/// A name server's answer about an address.
enum Reply {
    Names(Vec<Name>),
    Code(ResponseCode),
}

/// A name server that counts its queries.
struct Server {
    at: SocketAddr,
    queries: Arc<AtomicUsize>,
}

impl Server {
    /// Answers by the address's last part, one query after another.
    fn start(answer: fn(u8) -> Reply) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = socket.local_addr().unwrap();
        let queries = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&queries);
        std::thread::spawn(move || {
            let mut buffer = [0; 1500];
            loop {
                let (n, from) = socket.recv_from(&mut buffer).unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let reply = reply(&buffer[..n], answer);
                socket.send_to(&reply, from).unwrap();
            }
        });
        Self { at, queries }
    }

    fn queries(&self) -> usize {
        self.queries.load(Ordering::SeqCst)
    }
}

fn reply(question: &[u8], answer: fn(u8) -> Reply) -> Vec<u8> {
    let mut message = Message::from_vec(question).unwrap();
    let query = message.queries()[0].clone();
    assert_eq!(query.query_type(), RecordType::PTR);
    let ip = query.name().parse_arpa_name().unwrap().addr();
    let last = match ip {
        IpAddr::V4(ip) => ip.octets()[3],
        IpAddr::V6(ip) => ip.octets()[15],
    };
    message.set_message_type(MessageType::Response);
    match answer(last) {
        Reply::Names(names) => {
            for name in names {
                let data = RData::PTR(rdata::PTR(name));
                message.add_answer(Record::from_rdata(query.name().clone(), 60, data));
            }
        }
        Reply::Code(code) => _ = message.set_response_code(code),
    }
    message.to_vec().unwrap()
}

fn names(names: &[&str]) -> Reply {
    Reply::Names(names.iter().map(|name| Name::from_ascii(name).unwrap()).collect())
}

fn ip(last: u8) -> IpAddr {
    Ipv4Addr::new(198, 51, 100, last).into()
}

async fn name_of(resolver: &Resolver, ip: IpAddr, within: Duration) -> Option<String> {
    resolver.name_of(ip, Instant::now() + within).await
}

#[tokio::test]
async fn answers_absences_and_refusals_are_remembered() {
    let server = Server::start(|last| match last {
        1 => names(&["tv.lan."]),
        2 => names(&["zebra.lan.", "ape.lan."]),
        3 => Reply::Code(ResponseCode::NXDomain),
        4 => Reply::Code(ResponseCode::ServFail),
        6 => names(&["six.lan."]),
        _ => Reply::Names(Vec::new()),
    });
    let resolver = resolver(server.at, LONG);
    let v6 = "2001:db8::6".parse().unwrap();
    for (ip, name) in [
        (ip(1), Some("tv.lan")),
        (ip(2), Some("ape.lan")),
        (ip(3), None),
        (ip(4), None),
        (ip(5), None),
        (v6, Some("six.lan")),
    ] {
        let found = name_of(&resolver, ip, LONG).await;
        assert_eq!(found.as_deref(), name, "{ip}");
        let queries = server.queries();
        assert!(queries > 0);
        // The second time nothing is queried, and nothing waited for.
        assert_eq!(resolver.name_of(ip, Instant::now()).await, found, "{ip}");
        assert_eq!(server.queries(), queries, "{ip}");
    }
    let mapped = "::ffff:198.51.100.1".parse().unwrap();
    assert_eq!(
        resolver.name_of(mapped, Instant::now()).await.as_deref(),
        Some("tv.lan")
    );
}

#[test]
fn a_name_is_remembered_for_an_hour_an_absence_for_ten_minutes_and_a_failure_for_one() {
    let now = Instant::now();
    for (answer, ttl) in [
        (PtrAnswer::Name("tv.lan".to_owned()), 3600),
        (PtrAnswer::Absent, 600),
        (PtrAnswer::Failed, 60),
        (PtrAnswer::Silence, 60),
    ] {
        let mut state = ReverseState::default();
        let name = state.record(ip(1), answer, now);
        let at = |secs| state.cache.name_of(ip(1), now + Duration::from_secs(secs));
        assert_eq!(at(ttl - 1), Some(name));
        assert_eq!(at(ttl), None);
    }
}

#[tokio::test]
async fn the_hosts_file_comes_first_and_addresses_of_this_link_are_never_queried() {
    let server = Server::start(|_| names(&["liar.lan."]));
    let resolver = resolver(server.at, LONG);
    for (ip, name) in [
        ("192.0.2.7", Some("nas.lan")),
        ("::ffff:192.0.2.7", Some("nas.lan")),
        ("127.0.0.1", Some("localhost")),
        ("127.0.0.2", None),
        ("0.0.0.0", None),
        ("169.254.1.2", None),
        ("224.0.0.251", None),
        ("255.255.255.255", None),
        ("::1", None),
        ("::", None),
        ("fe80::1", None),
        ("ff02::fb", None),
    ] {
        let found = name_of(&resolver, ip.parse().unwrap(), LONG).await;
        assert_eq!(found.as_deref(), name, "{ip}");
    }
    assert_eq!(server.queries(), 0);
}

#[tokio::test]
async fn a_name_from_the_net_is_printable_and_bounded() {
    let server = Server::start(|last| match last {
        1 => Reply::Names(vec![
            Name::from_labels([b"\x1b[2J\n <b>".as_slice(), "\u{202e}".as_bytes(), b"lan"]).unwrap(),
        ]),
        2 => Reply::Names(vec![
            Name::from_labels([[0x80_u8; 60].as_slice(), &[0xff; 60], &[7; 60], &[0; 60]]).unwrap(),
        ]),
        _ => Reply::Names(vec![Name::root()]),
    });
    let resolver = resolver(server.at, LONG);
    let evil = name_of(&resolver, ip(1), LONG).await.unwrap();
    assert!(evil.bytes().all(|byte| byte.is_ascii_graphic()), "{evil:?}");
    assert!(evil.ends_with(".lan"), "{evil}");
    let long = name_of(&resolver, ip(2), LONG).await.unwrap();
    assert!(long.len() <= 256 && long.ends_with("..."), "{long}");
    assert!(long.bytes().all(|byte| byte.is_ascii_graphic()), "{long:?}");
    assert_eq!(
        name_of(&resolver, ip(3), LONG).await,
        None,
        "the root is not a name"
    );
}

#[tokio::test]
async fn an_address_is_queried_once_for_all_callers_and_eight_at_the_same_time() {
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let resolver = resolver(silent.local_addr().unwrap(), LONG);
    let waiting: Vec<_> = (0..400_u16)
        .map(|n| {
            let resolver = Arc::clone(&resolver);
            let ip = ip(u8::try_from(n % 100).unwrap());
            tokio::spawn(async move { name_of(&resolver, ip, LONG).await })
        })
        .collect();
    // As long as the first are not answered, no others are queried.
    let mut questions = Vec::new();
    let mut buffer = [0; 1500];
    let mut next = async || {
        let (n, from) = silent.recv_from(&mut buffer).await.unwrap();
        (buffer[..n].to_vec(), from)
    };
    for _ in 0..CONCURRENT {
        questions.push(timeout(LONG, next()).await.unwrap());
    }
    assert!(
        timeout(SHORT, next()).await.is_err(),
        "more than {CONCURRENT} at once"
    );
    assert_eq!(resolver.reverse.lock().under_way.len(), 100);
    let mut asked = 0;
    while asked < 100 {
        let (question, from) = match questions.pop() {
            Some(question) => question,
            None => timeout(LONG, next()).await.unwrap(),
        };
        asked += 1;
        let reply = reply(&question, |last| names(&[&format!("host{last}.lan.")]));
        silent.send_to(&reply, from).await.unwrap();
    }
    for (n, waiting) in waiting.into_iter().enumerate() {
        let name = waiting.await.unwrap();
        assert_eq!(name, Some(format!("host{}.lan", n % 100)));
    }
    assert!(timeout(SHORT, next()).await.is_err(), "queried twice");
    assert_eq!(resolver.reverse.lock().under_way.len(), 0);
}

#[tokio::test]
async fn a_caller_that_does_not_wait_gets_the_answer_the_next_time() {
    let server = Server::start(|_| names(&["tv.lan."]));
    let resolver = resolver(server.at, LONG);
    assert_eq!(resolver.name_of(ip(1), Instant::now()).await, None);
    let end = Instant::now() + LONG;
    while resolver.name_of(ip(1), Instant::now()).await.as_deref() != Some("tv.lan") {
        assert!(Instant::now() < end, "the answer never came");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(server.queries(), 1);
}

#[tokio::test]
async fn a_silent_name_server_delays_nobody_and_is_left_alone() {
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let resolver = resolver(silent.local_addr().unwrap(), SHORT);
    let waiting: Vec<_> = (0..200)
        .map(|last| {
            let resolver = Arc::clone(&resolver);
            tokio::spawn(async move { name_of(&resolver, ip(last), LONG).await })
        })
        .collect();
    // What is known is known at once.
    assert_eq!(name_of(&resolver, ip(250), SHORT / 4).await, None);
    let nas = name_of(&resolver, [192, 0, 2, 7].into(), Duration::ZERO).await;
    assert_eq!(nas.as_deref(), Some("nas.lan"));
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), None);
    }
    assert!(resolver.reverse.lock().rests(Instant::now()));
    assert!(!resolver.reverse.lock().rests(Instant::now() + REST));
    assert_eq!(name_of(&resolver, ip(251), LONG).await, None);
    // Eight without an answer are enough, beside those that were under way by then.
    let mut queries = 0;
    while silent.try_recv_from(&mut [0; 1500]).is_ok() {
        queries += 1;
    }
    assert!((CONCURRENT..2 * CONCURRENT).contains(&queries), "{queries}");
}

#[tokio::test]
async fn a_deadline_holds_even_if_the_name_server_has_more_time() {
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let resolver = resolver(silent.local_addr().unwrap(), LONG);
    let before = Instant::now();
    assert_eq!(name_of(&resolver, ip(1), SHORT).await, None);
    assert!(before.elapsed() < STALL, "{:?}", before.elapsed());
}

#[test]
fn an_answer_ends_the_rest_and_one_more_silence_renews_it() {
    let mut state = ReverseState::default();
    let now = Instant::now();
    for _ in 0..MAX_SILENT {
        assert!(!state.rests(now));
        state.record(ip(1), PtrAnswer::Silence, now);
    }
    assert!(state.rests(now));
    let later = now + REST;
    assert!(!state.rests(later));
    state.record(ip(1), PtrAnswer::Silence, later);
    assert!(state.rests(later), "it still does not answer");
    state.record(ip(1), PtrAnswer::Absent, later);
    assert!(!state.rests(later));
    state.record(ip(1), PtrAnswer::Silence, later);
    assert!(!state.rests(later), "one alone does not count as silence");
}

#[test]
fn a_runtime_that_ends_leaves_no_query_behind() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let resolver = resolver(silent.local_addr().unwrap(), LONG);
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let first = runtime();
    for last in 0..20 {
        assert_eq!(first.block_on(name_of(&resolver, ip(last), Duration::ZERO)), None);
    }
    assert_eq!(resolver.reverse.lock().under_way.len(), 20);
    // Callers that have given up are not kept, however many come.
    assert_eq!(first.block_on(name_of(&resolver, ip(19), Duration::ZERO)), None);
    assert_eq!(resolver.reverse.lock().under_way[&ip(19)].len(), 1);
    drop(first);
    assert_eq!(resolver.reverse.lock().under_way.len(), 0);
    assert_eq!(resolver.reverse.turns.available_permits(), CONCURRENT);
}

#[tokio::test]
async fn without_a_name_server_only_the_hosts_file_has_names() {
    let resolver = Resolver::fixed(Sources::of_files(
        Err("gone".to_owned()),
        b"198.51.100.1 tv.lan\n",
    ));
    assert_eq!(name_of(&resolver, ip(1), LONG).await.as_deref(), Some("tv.lan"));
    assert_eq!(name_of(&resolver, ip(2), LONG).await, None);
}
