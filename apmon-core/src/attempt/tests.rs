use std::{collections::HashMap, future::pending, sync::Mutex};

use async_trait::async_trait;

use super::*;
use crate::{
    config::{Remote, ResolveOptions},
    monitor::{Monitor as _, ProbeMonitor, Watch},
    names::Names,
    network::OwnNetwork,
    outcome::{Verdict, WarningLevel},
    time::{Clock as _, SystemClock},
};

mod onward;

const TIMEOUT: Duration = Duration::from_secs(20);

/// What a host does at one of its addresses.
#[derive(Clone, Copy)]
enum Behaviour {
    Answers(Duration),
    Refuses,
    Silent,
    /// Accepts the connection, and never answers.
    Hangs,
    /// Answers with a wrong status.
    Fails,
    /// This machine has no route there.
    Unroutable,
    /// The answer leads to another host, which fails.
    Leads(&'static str),
}

use Behaviour::{Answers, Fails, Hangs, Leads, Refuses, Silent, Unroutable};

const PROMPT: Behaviour = Answers(Duration::from_millis(5));

/// A host with a name, and the network between us and it.
struct TestHost {
    remote: Remote,
    addresses: Vec<IpAddr>,
    behaviour: HashMap<IpAddr, Behaviour>,
    /// Addresses that this machine does not have.
    missing: Vec<IpAddr>,
    /// The addresses that were tried, and from where.
    tried: Mutex<Vec<(Option<IpAddr>, Option<IpAddr>)>>,
}

#[async_trait]
impl Names for TestHost {
    async fn addresses(&self, name: &str, _: ResolveOptions, _: Instant) -> Result<Vec<IpAddr>, Failure> {
        assert!(name.ends_with(".lan"), "{name}");
        Ok(self.addresses.clone())
    }

    async fn name_of(&self, _: IpAddr, _: Instant) -> Option<String> {
        None
    }
}

impl OwnNetwork for TestHost {
    fn fault(&self, _: IpAddr) -> Option<Failure> {
        None
    }

    fn has(&self, address: IpAddr) -> bool {
        !self.missing.contains(&address)
    }
}

#[async_trait]
impl Probe for TestHost {
    async fn probe(&self, check: &Check) -> Outcome {
        let address = check.address();
        let source = check.source(address.unwrap_or(IpAddr::from([127, 0, 0, 1])));
        self.tried.lock().unwrap().push((address, source));
        let Some(address) = address else {
            return Outcome::fail(FailureClass::Status, "status 500");
        };
        check.step("probe", || format!("at {address}"));
        let silent = async |step| match check.within(step, pending::<()>()).await {
            Ok(()) => Outcome::default(),
            Err(failure) => failure.into(),
        };
        match self.behaviour[&address] {
            Answers(time) => {
                tokio::time::sleep(time).await;
                check.reached();
                Outcome::up(time)
            }
            Refuses => Outcome::fail(FailureClass::Refused, "connect: connection refused"),
            Silent => silent("connect").await,
            Hangs => {
                check.reached();
                silent("receive").await
            }
            Fails => {
                check.reached();
                Outcome::fail(FailureClass::Status, "status 500")
            }
            Unroutable => Outcome::fail(FailureClass::NoRoute, "no route to that network from here"),
            Leads(to) => {
                check.reached();
                check.moved_to(Some(to.parse().unwrap()));
                Outcome::fail(FailureClass::Refused, "connect: connection refused")
            }
        }
    }

    fn target(&self) -> Option<ProbeTarget<'_>> {
        Some(ProbeTarget {
            remote: &self.remote,
            names: self,
            network: self,
        })
    }
}

fn host(behaviour: &[(&str, Behaviour)]) -> TestHost {
    let behaviour: Vec<_> = behaviour
        .iter()
        .map(|(address, behaviour)| (address.parse().unwrap(), *behaviour))
        .collect();
    TestHost {
        remote: remote("nas.lan"),
        addresses: behaviour.iter().map(|(address, _)| *address).collect(),
        behaviour: behaviour.into_iter().collect(),
        missing: Vec::new(),
        tried: Mutex::default(),
    }
}

fn remote(host: &str) -> Remote {
    Remote {
        host: Host::parse(host).unwrap(),
        resolve: ResolveOptions::default(),
    }
}

fn new_check(timeout: Duration) -> Check {
    let now = SystemClock::new().now();
    Check::new(now.mono, now, timeout).with_last_steps()
}

/// The outcome, the addresses that were tried, and how long it took.
async fn check_with(host: TestHost, reach: Reach, timeout: Duration) -> (Outcome, Vec<String>, Duration) {
    let watch = Watch {
        reach: reach.shared(),
        ..Watch::new("nas", "test", "nas.lan")
    };
    let host = Arc::new(host);
    let began = Instant::now();
    let monitor = ProbeMonitor::new(watch, Arc::clone(&host));
    let outcome = monitor.check(&new_check(timeout)).await.outcome;
    let tried = host.tried.lock().unwrap();
    let tried = tried.iter().map(|(address, _)| match address {
        Some(address) => address.to_string(),
        None => "none".to_owned(),
    });
    (outcome, tried.collect(), began.elapsed())
}

async fn check(behaviour: &[(&str, Behaviour)]) -> (Outcome, Vec<String>, Duration) {
    check_with(host(behaviour), Reach::default(), TIMEOUT).await
}

fn all() -> Reach {
    Reach::new(Addresses::All, SourceAddresses::default())
}

fn reason(outcome: &Outcome) -> &str {
    outcome.failure().map_or("up", |failure| &failure.reason)
}

#[tokio::test(start_paused = true)]
async fn a_dead_address_is_followed_by_the_next_one_and_noted() {
    let (outcome, tried, _) = check(&[("192.0.2.1", Refuses), ("192.0.2.2", PROMPT)]).await;
    assert_eq!(outcome.verdict(), Verdict::Up);
    assert_eq!(tried, ["192.0.2.1", "192.0.2.2"]);
    let [note] = &outcome.warnings[..] else {
        panic!("{:?}", outcome.warnings)
    };
    assert_eq!(
        (note.class, note.level, note.text.as_str()),
        (
            WarningClass::Address,
            WarningLevel::Note,
            "192.0.2.1 cannot be reached: connect: connection refused"
        )
    );
    assert!(!outcome.is_degraded());
}

#[tokio::test(start_paused = true)]
async fn a_silent_address_has_its_share_of_the_time() {
    let (outcome, _, took) = check(&[
        ("192.0.2.1", Silent),
        ("192.0.2.2", Silent),
        ("192.0.2.3", Silent),
        ("192.0.2.4", PROMPT),
    ])
    .await;
    assert_eq!(reason(&outcome), "up");
    // 20 / 4, 15 / 3, 10 / 2
    assert_eq!(took, Duration::from_millis(15_005));
    let texts: Vec<_> = outcome
        .warnings
        .iter()
        .map(|warning| warning.text.as_str())
        .collect();
    assert_eq!(
        texts,
        ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
            .map(|address| format!("{address} cannot be reached: connect: no answer within 5 secs"))
    );
}

#[tokio::test(start_paused = true)]
async fn what_refuses_leaves_its_share_to_the_others() {
    let (outcome, _, took) = check(&[("192.0.2.1", Refuses), ("192.0.2.2", Silent)]).await;
    assert_eq!(took, TIMEOUT);
    assert_eq!(
        reason(&outcome),
        "connect: connection refused (192.0.2.1); connect: no answer within 20 secs (192.0.2.2)"
    );
    assert_eq!(outcome.failure().unwrap().class, FailureClass::Refused);
}

#[tokio::test(start_paused = true)]
async fn a_share_is_at_least_a_second() {
    let silent = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"].map(|address| (address, Silent));
    let timeout = Duration::from_millis(2500);
    let (outcome, tried, took) = check_with(host(&silent), Reach::default(), timeout).await;
    assert_eq!(took, timeout);
    assert_eq!(tried.len(), 3);
    assert_eq!(
        reason(&outcome),
        "connect: no answer within 1 secs (192.0.2.1, 192.0.2.2); connect: no answer within 0.5 secs (192.0.2.3); \
         1 more address was not tried"
    );
    let (_, tried, _) = check_with(host(&silent), Reach::default(), Duration::from_millis(700)).await;
    assert_eq!(tried, ["192.0.2.1"]);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_answers_badly_is_not_tried_at_another_address() {
    for (behaviour, expected) in [
        (Fails, "status 500 (192.0.2.2)"),
        (Hangs, "receive: no answer within 20 secs (192.0.2.2)"),
        // The reason is about another host.
        (
            Leads("198.51.100.7"),
            "connect: connection refused (198.51.100.7)",
        ),
    ] {
        let addresses = [
            ("192.0.2.1", Refuses),
            ("192.0.2.2", behaviour),
            ("192.0.2.3", PROMPT),
        ];
        let (outcome, tried, _) = check(&addresses).await;
        assert_eq!(reason(&outcome), expected);
        assert_eq!(tried, ["192.0.2.1", "192.0.2.2"]);
        assert_eq!(outcome.warnings.len(), 1, "{expected}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_answers_has_all_the_time_that_is_left() {
    let (outcome, _, took) = check(&[("192.0.2.1", Silent), ("192.0.2.2", Hangs)]).await;
    assert_eq!(took, TIMEOUT);
    assert_eq!(reason(&outcome), "receive: no answer within 20 secs (192.0.2.2)");
    let slow = Answers(Duration::from_secs(9));
    let (outcome, ..) = check(&[("192.0.2.1", slow), ("192.0.2.2", Refuses)]).await;
    assert_eq!(reason(&outcome), "up");
}

#[tokio::test(start_paused = true)]
async fn a_name_with_one_address_names_it_and_has_all_the_time() {
    let (outcome, _, took) = check(&[("192.0.2.1", Silent)]).await;
    assert_eq!(took, TIMEOUT);
    assert_eq!(reason(&outcome), "connect: no answer within 20 secs (192.0.2.1)");
}

#[tokio::test(start_paused = true)]
async fn a_literal_address_is_checked_as_it_is() {
    let host = TestHost {
        remote: remote("192.0.2.1"),
        ..host(&[])
    };
    let (outcome, tried, _) = check_with(host, Reach::default(), TIMEOUT).await;
    assert_eq!(
        (reason(&outcome), &tried[..]),
        ("status 500", &["none".to_owned()][..])
    );
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_ours_counts_only_if_there_is_no_other() {
    let (outcome, ..) = check(&[("192.0.2.1", Refuses), ("2001:db8::1", Unroutable)]).await;
    assert_eq!(outcome.verdict(), Verdict::Down, "{}", reason(&outcome));
    assert_eq!(
        reason(&outcome),
        "connect: connection refused (192.0.2.1); no route to that network from here (2001:db8::1)"
    );
    let (outcome, ..) = check(&[("192.0.2.1", Unroutable), ("2001:db8::1", Unroutable)]).await;
    assert_eq!(outcome.verdict(), Verdict::Unknown);
    assert_eq!(
        reason(&outcome),
        "no route to that network from here (192.0.2.1, 2001:db8::1)"
    );
    // Nobody can do anything about it: no note.
    let (outcome, ..) = check(&[("192.0.2.1", Unroutable), ("2001:db8::1", PROMPT)]).await;
    assert_eq!((reason(&outcome), outcome.warnings.len()), ("up", 0));
}

#[tokio::test(start_paused = true)]
async fn with_first_no_other_address_is_tried() {
    let reach = Reach::new(Addresses::First, SourceAddresses::default());
    let two = host(&[("192.0.2.1", Silent), ("192.0.2.2", PROMPT)]);
    let (outcome, tried, took) = check_with(two, reach, TIMEOUT).await;
    assert_eq!(took, TIMEOUT);
    assert_eq!(tried, ["192.0.2.1"]);
    assert_eq!(reason(&outcome), "connect: no answer within 20 secs (192.0.2.1)");
}

#[tokio::test(start_paused = true)]
async fn with_all_each_address_must_answer() {
    let slow = Answers(Duration::from_secs(12));
    let both = host(&[("192.0.2.1", slow), ("192.0.2.2", PROMPT)]);
    let (outcome, _, took) = check_with(both, all(), TIMEOUT).await;
    assert_eq!((reason(&outcome), took), ("up", Duration::from_secs(12)));
    assert_eq!(outcome.latency, Some(Duration::from_secs(12)));

    let three = host(&[("192.0.2.1", PROMPT), ("192.0.2.2", Silent), ("192.0.2.3", Fails)]);
    let (outcome, _, took) = check_with(three, all(), TIMEOUT).await;
    assert_eq!((outcome.verdict(), took), (Verdict::Down, TIMEOUT));
    assert_eq!(
        reason(&outcome),
        "2 of 3 addresses: connect: no answer within 20 secs (192.0.2.2); status 500 (192.0.2.3)"
    );
    assert_eq!(outcome.latency, None);

    let ours = host(&[("192.0.2.1", PROMPT), ("2001:db8::1", Unroutable)]);
    let (outcome, ..) = check_with(ours, all(), TIMEOUT).await;
    assert_eq!(outcome.verdict(), Verdict::Unknown);
}

#[test]
fn a_warning_of_some_addresses_names_them() {
    let up = |warnings: &[&str]| {
        let mut outcome = Outcome::up(Duration::ZERO);
        let all = warnings.iter();
        outcome.warnings = all
            .map(|text| Warning::degrades(WarningClass::Expiry, *text))
            .collect();
        outcome
    };
    let all = [("192.0.2.1", up(&["old", "odd"])), ("192.0.2.2", up(&["odd"]))];
    let all = all.map(|(address, outcome)| (address.parse().unwrap(), outcome));
    let together = Attempts::together(all.to_vec());
    assert_eq!(together.warning_text().as_deref(), Some("old (192.0.2.1); odd"));
}

#[tokio::test(start_paused = true)]
async fn a_source_address_must_be_one_of_this_machine() {
    let source: SourceAddresses = serde_json::from_str(r#"["198.51.100.1", "2001:db8::99"]"#).unwrap();
    let reach = Reach::new(Addresses::Any, source);
    let both = || host(&[("192.0.2.1", Refuses), ("2001:db8::1", PROMPT)]);
    let at_both = both();
    let monitor = ProbeMonitor::new(
        Watch {
            reach: reach.shared(),
            ..Watch::new("nas", "test", "nas.lan")
        },
        Arc::new(at_both),
    );
    let outcome = monitor.check(&new_check(TIMEOUT)).await.outcome;
    assert_eq!(reason(&outcome), "up");

    let lacking = TestHost {
        missing: vec!["2001:db8::99".parse().unwrap()],
        ..both()
    };
    let (outcome, tried, _) = check_with(lacking, reach, TIMEOUT).await;
    assert_eq!(outcome.verdict(), Verdict::Unknown);
    assert_eq!(
        reason(&outcome),
        "source_address 2001:db8::99 is not an address of this machine"
    );
    assert!(tried.is_empty());

    // A literal address is checked from it too, and its reason does not name it.
    let literal = TestHost {
        remote: remote("192.0.2.1"),
        ..host(&[("192.0.2.1", Refuses)])
    };
    let literal = Arc::new(literal);
    let checked = super::check(&*literal, literal.target().unwrap(), reach, &new_check(TIMEOUT)).await;
    assert_eq!(reason(&checked), "connect: connection refused");
    assert_eq!(
        *literal.tried.lock().unwrap(),
        [(
            Some("192.0.2.1".parse().unwrap()),
            Some("198.51.100.1".parse().unwrap())
        )]
    );
}

#[tokio::test(start_paused = true)]
async fn the_steps_of_all_attempts_are_those_of_the_check() {
    let host = host(&[("192.0.2.1", Refuses), ("192.0.2.2", Fails)]);
    let check = new_check(TIMEOUT);
    let outcome = super::check(&host, host.target().unwrap(), Reach::default(), &check).await;
    assert!(outcome.failure().is_some());
    let steps = check.last_steps().unwrap();
    let texts: Vec<_> = steps.iter().map(|step| step.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "nas.lan is 192.0.2.1, 192.0.2.2",
            "at 192.0.2.1",
            "192.0.2.1 failed: connect: connection refused; the next one",
            "at 192.0.2.2"
        ]
    );
}

#[test]
fn the_families_take_turns_and_ipv4_begins() {
    let parse = |addresses: &[&str]| -> Vec<IpAddr> {
        addresses.iter().map(|address| address.parse().unwrap()).collect()
    };
    let ordered = in_turn(parse(&[
        "2001:db8::1",
        "2001:db8::2",
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.1",
        "192.0.2.3",
    ]));
    assert_eq!(
        ordered,
        parse(&[
            "192.0.2.1",
            "2001:db8::1",
            "192.0.2.2",
            "2001:db8::2",
            "192.0.2.3"
        ])
    );
    assert_eq!(in_turn(Vec::new()), parse(&[]));
}

#[test]
fn a_reason_names_an_address_once() {
    let address = "10.0.0.1".parse().unwrap();
    for (reason, named_reason) in [
        (
            "connect: connection refused",
            "connect: connection refused (10.0.0.1)",
        ),
        ("no route to 10.0.0.1 from here", "no route to 10.0.0.1 from here"),
        ("10.0.0.1: refused", "10.0.0.1: refused"),
        ("no route to 10.0.0.11", "no route to 10.0.0.11 (10.0.0.1)"),
        ("no route to 110.0.0.1", "no route to 110.0.0.1 (10.0.0.1)"),
    ] {
        let failure = Failure::new(FailureClass::Refused, reason);
        assert_eq!(named(failure, Some(address)).reason, named_reason);
    }
}

#[test]
fn many_reasons_become_a_short_one() {
    let failed: Vec<(IpAddr, Failure)> = (1..=40)
        .map(|n: u8| {
            let failure = Failure::new(FailureClass::TimedOut, format!("no reply within {} secs", n % 8));
            (IpAddr::from([192, 0, 2, n]), failure)
        })
        .collect();
    let reason = combined(&failed).unwrap().reason;
    assert!(reason.ends_with("; 25 more addresses failed"), "{reason}");
    assert!(reason.len() < 400, "{reason}");
    assert!(
        reason.contains("no reply within 1 secs (192.0.2.1, 192.0.2.9"),
        "{reason}"
    );
}
