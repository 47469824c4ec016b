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
use crate::resolve::{HostsFile, Resolver};

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(20);

/// No test asks this process for more than not to stand still for so long.
const STALL: Duration = Duration::from_secs(5);

/// A resolver that asks `server` only, once for each name, and waits `patience`
/// for the answer.
fn resolver(server: SocketAddr, patience: Duration) -> Arc<Resolver> {
    let mut config = ResolverConfig::new();
    config.add_name_server(NameServerConfig::new(server, Protocol::Udp));
    let mut options = ResolverOpts::default();
    options.timeout = patience;
    options.attempts = 0; // besides the first
    let hosts = HostsFile::read(b"192.0.2.7 nas.lan nas\n127.0.0.1 localhost\n");
    Arc::new(Resolver::fixed(Sources::new(hosts, config, options)))
}

/// What a name server says of an address.
enum Says {
    Names(Vec<Name>),
    Code(ResponseCode),
}

/// A name server that counts the questions.
struct Server {
    at: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Server {
    /// Answers by the address's last part, each in its turn.
    fn start(answer: fn(u8) -> Says) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = socket.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut buffer = [0; 1500];
            loop {
                let (n, from) = socket.recv_from(&mut buffer).unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let reply = reply(&buffer[..n], answer);
                socket.send_to(&reply, from).unwrap();
            }
        });
        Self { at, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn reply(question: &[u8], answer: fn(u8) -> Says) -> Vec<u8> {
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
        Says::Names(names) => {
            for name in names {
                let data = RData::PTR(rdata::PTR(name));
                message.add_answer(Record::from_rdata(query.name().clone(), 60, data));
            }
        }
        Says::Code(code) => _ = message.set_response_code(code),
    }
    message.to_vec().unwrap()
}

fn names(names: &[&str]) -> Says {
    Says::Names(names.iter().map(|name| Name::from_ascii(name).unwrap()).collect())
}

fn ip(last: u8) -> IpAddr {
    Ipv4Addr::new(198, 51, 100, last).into()
}

async fn name_of(resolver: &Resolver, ip: IpAddr, within: Duration) -> Option<String> {
    resolver.name_of(ip, Instant::now() + within).await
}

#[tokio::test]
async fn an_answer_is_remembered_and_an_absence_and_a_refusal_too() {
    let server = Server::start(|last| match last {
        1 => names(&["tv.lan."]),
        2 => names(&["zebra.lan.", "ape.lan."]),
        3 => Says::Code(ResponseCode::NXDomain),
        4 => Says::Code(ResponseCode::ServFail),
        6 => names(&["six.lan."]),
        _ => Says::Names(Vec::new()),
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
        let asked = server.asked();
        assert!(asked > 0);
        // A second time nobody is asked, and nobody waited for.
        assert_eq!(resolver.name_of(ip, Instant::now()).await, found, "{ip}");
        assert_eq!(server.asked(), asked, "{ip}");
    }
    let mapped = "::ffff:198.51.100.1".parse().unwrap();
    assert_eq!(
        resolver.name_of(mapped, Instant::now()).await.as_deref(),
        Some("tv.lan")
    );
}

#[test]
fn a_name_holds_an_hour_an_absence_ten_minutes_and_trouble_a_minute() {
    let now = Instant::now();
    for (found, holds) in [
        (Found::Name("tv.lan".to_owned()), 3600),
        (Found::Absent, 600),
        (Found::Trouble, 60),
        (Found::Silence, 60),
    ] {
        let mut state = State::default();
        let name = state.learn(ip(1), found, now);
        let at = |secs| state.kept.name_of(ip(1), now + Duration::from_secs(secs));
        assert_eq!(at(holds - 1), Some(name));
        assert_eq!(at(holds), None);
    }
}

#[tokio::test]
async fn the_hosts_file_comes_first_and_this_link_s_addresses_are_no_question() {
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
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn a_name_from_the_net_drives_no_terminal_and_has_its_bounds() {
    let server = Server::start(|last| match last {
        1 => Says::Names(vec![
            Name::from_labels([b"\x1b[2J\n <b>".as_slice(), "\u{202e}".as_bytes(), b"lan"]).unwrap(),
        ]),
        2 => Says::Names(vec![
            Name::from_labels([[0x80_u8; 60].as_slice(), &[0xff; 60], &[7; 60], &[0; 60]]).unwrap(),
        ]),
        _ => Says::Names(vec![Name::root()]),
    });
    let resolver = resolver(server.at, LONG);
    let evil = name_of(&resolver, ip(1), LONG).await.unwrap();
    assert!(evil.bytes().all(|byte| byte.is_ascii_graphic()), "{evil:?}");
    assert!(evil.ends_with(".lan"), "{evil}");
    let long = name_of(&resolver, ip(2), LONG).await.unwrap();
    assert!(long.len() <= 256 && long.ends_with("..."), "{long}");
    assert!(long.bytes().all(|byte| byte.is_ascii_graphic()), "{long:?}");
    assert_eq!(name_of(&resolver, ip(3), LONG).await, None, "the root is no name");
}

#[tokio::test]
async fn one_address_is_asked_for_once_by_all_and_eight_at_the_same_time() {
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let resolver = resolver(silent.local_addr().unwrap(), LONG);
    let waiting: Vec<_> = (0..400_u16)
        .map(|n| {
            let resolver = Arc::clone(&resolver);
            let ip = ip(u8::try_from(n % 100).unwrap());
            tokio::spawn(async move { name_of(&resolver, ip, LONG).await })
        })
        .collect();
    // As long as the first are not answered, no others are asked for.
    let mut questions = Vec::new();
    let mut buffer = [0; 1500];
    let mut next = async || {
        let (n, from) = silent.recv_from(&mut buffer).await.unwrap();
        (buffer[..n].to_vec(), from)
    };
    for _ in 0..AT_ONCE {
        questions.push(timeout(LONG, next()).await.unwrap());
    }
    assert!(
        timeout(SHORT, next()).await.is_err(),
        "more than {AT_ONCE} at once"
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
    assert!(timeout(SHORT, next()).await.is_err(), "asked twice");
    assert_eq!(resolver.reverse.lock().under_way.len(), 0);
}

#[tokio::test]
async fn who_does_not_wait_finds_the_answer_the_next_time() {
    let server = Server::start(|_| names(&["tv.lan."]));
    let resolver = resolver(server.at, LONG);
    assert_eq!(resolver.name_of(ip(1), Instant::now()).await, None);
    let end = Instant::now() + LONG;
    while resolver.name_of(ip(1), Instant::now()).await.as_deref() != Some("tv.lan") {
        assert!(Instant::now() < end, "the answer never came");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn a_silent_name_server_holds_nobody_up_and_is_left_alone() {
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let resolver = resolver(silent.local_addr().unwrap(), SHORT);
    let waiting: Vec<_> = (0..200)
        .map(|last| {
            let resolver = Arc::clone(&resolver);
            tokio::spawn(async move { name_of(&resolver, ip(last), LONG).await })
        })
        .collect();
    // Who is known is known at once.
    assert_eq!(name_of(&resolver, ip(250), SHORT / 4).await, None);
    let nas = name_of(&resolver, [192, 0, 2, 7].into(), Duration::ZERO).await;
    assert_eq!(nas.as_deref(), Some("nas.lan"));
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), None);
    }
    assert!(resolver.reverse.lock().rests(Instant::now()));
    assert!(!resolver.reverse.lock().rests(Instant::now() + REST));
    assert_eq!(name_of(&resolver, ip(251), LONG).await, None);
    // Eight in vain are enough, beside those that were under way by then.
    let mut asked = 0;
    while silent.try_recv_from(&mut [0; 1500]).is_ok() {
        asked += 1;
    }
    assert!((AT_ONCE..2 * AT_ONCE).contains(&asked), "{asked}");
}

#[tokio::test]
async fn a_deadline_holds_where_the_name_server_has_more_time() {
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let resolver = resolver(silent.local_addr().unwrap(), LONG);
    let before = Instant::now();
    assert_eq!(name_of(&resolver, ip(1), SHORT).await, None);
    assert!(before.elapsed() < STALL, "{:?}", before.elapsed());
}

#[test]
fn one_answer_ends_the_rest_and_one_more_silence_renews_it() {
    let mut state = State::default();
    let now = Instant::now();
    for _ in 0..SILENT {
        assert!(!state.rests(now));
        state.learn(ip(1), Found::Silence, now);
    }
    assert!(state.rests(now));
    let later = now + REST;
    assert!(!state.rests(later));
    state.learn(ip(1), Found::Silence, later);
    assert!(state.rests(later), "it still does not answer");
    state.learn(ip(1), Found::Absent, later);
    assert!(!state.rests(later));
    state.learn(ip(1), Found::Silence, later);
    assert!(!state.rests(later), "one alone is no silence");
}

#[test]
fn a_runtime_that_ends_leaves_no_question_behind() {
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
    // Who has gone is not kept, however often somebody comes.
    assert_eq!(first.block_on(name_of(&resolver, ip(19), Duration::ZERO)), None);
    assert_eq!(resolver.reverse.lock().under_way[&ip(19)].len(), 1);
    drop(first);
    assert_eq!(resolver.reverse.lock().under_way.len(), 0);
    assert_eq!(resolver.reverse.turns.available_permits(), AT_ONCE);
}

#[tokio::test]
async fn without_a_name_server_only_the_hosts_file_names() {
    let resolver = Resolver::fixed(Sources::of_files(
        Err("gone".to_owned()),
        b"198.51.100.1 tv.lan\n",
    ));
    assert_eq!(name_of(&resolver, ip(1), LONG).await.as_deref(), Some("tv.lan"));
    assert_eq!(name_of(&resolver, ip(2), LONG).await, None);
}
