//! Sessions with an SNMPv3 agent: the requests they send, and the answers they accept.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{sync::Arc, time::Duration};

use apmon_snmp_client::{
    Agent, Credentials, Oid, Secret, Session, SnmpError, User, Value,
    message::{Pdu, PduKind, Scoped, V3Message},
    usm::{AuthProtocol, PrivProtocol},
};
use tokio::time::Instant;

use lab::{
    Behaviour, Device, LabAgent,
    agent::device::{IF_ENTRY, SYSTEM},
    each,
};

/// A deadline that no successful read reaches.
const PATIENCE: Duration = Duration::from_secs(30);
/// The deadline of reads that are to fail, long enough for retries.
const SHORT: Duration = Duration::from_millis(1_300);
/// The delay that a busy machine may add.
const GRACE: Duration = Duration::from_millis(1_500);

fn bare() -> User {
    User {
        name: "bare".to_owned(),
        auth: None,
        privacy: None,
        context: String::new(),
    }
}

fn signing() -> User {
    User {
        name: "signing".to_owned(),
        auth: Some((AuthProtocol::Sha1, Secret::new("maplesyrup"))),
        ..bare()
    }
}

fn sealing() -> User {
    User {
        name: "sealing".to_owned(),
        privacy: Some((PrivProtocol::Aes128, Secret::new("maple pancake"))),
        ..signing()
    }
}

fn users() -> [User; 3] {
    [bare(), signing(), sealing()]
}

fn start() -> LabAgent {
    let agent = LabAgent::start(Device::switch(48, 0));
    for user in users() {
        agent.state().engine.admit(user);
    }
    agent
}

async fn session(agent: &LabAgent, user: User, known: &Arc<Agent>, within: Duration) -> Session {
    let credentials = Arc::new(Credentials::V3(user));
    Session::open(
        agent.address(),
        credentials,
        Arc::clone(known),
        Instant::now() + within,
    )
    .await
    .unwrap()
}

/// Reads a column, and asserts that it is complete and correct.
async fn read(
    agent: &LabAgent,
    user: User,
    known: &Arc<Agent>,
    within: Duration,
) -> Result<Session, SnmpError> {
    let began = Instant::now();
    let mut session = session(agent, user, known, within).await;
    let root = Oid::join(&IF_ENTRY, &[16]);
    let column = session.walk(&root, 1_000).await;
    assert!(began.elapsed() < within + GRACE, "{:?}", began.elapsed());
    let column = column?;
    let rows: Vec<(Vec<u32>, Value)> = column
        .rows
        .into_iter()
        .map(|row| (row.index, row.value))
        .collect();
    assert_eq!(rows, agent.state().device.below(&root));
    assert_eq!(column.failure, None);
    Ok(session)
}

#[tokio::test]
async fn every_security_level_is_read_and_an_engine_is_discovered_once() {
    let agent = start();
    for user in users() {
        let known = Arc::default();
        let first = read(&agent, user.clone(), &known, PATIENCE).await.unwrap();
        let second = read(&agent, user, &known, PATIENCE).await.unwrap();
        assert_eq!(first.stats().round_trips, second.stats().round_trips + 1);
        assert_eq!((first.stats().retries, second.stats().retries), (0, 0));
        assert!(first.stats().longest <= 1_400, "{:?}", first.stats());
    }
}

#[tokio::test]
async fn an_agent_that_restarts_during_a_walk_is_still_read() {
    let agent = start();
    for user in users() {
        for at in 1..5 {
            agent.set(Behaviour {
                restarts_at: Some(at),
                ..Behaviour::default()
            });
            read(&agent, user.clone(), &Arc::default(), PATIENCE)
                .await
                .unwrap();
        }
    }
}

#[tokio::test]
async fn another_device_at_the_address_is_read_with_its_own_engine() {
    let agent = start();
    for (user, id) in users().into_iter().zip([
        b"\x80\x00\x00\x09one",
        b"\x80\x00\x00\x09two",
        b"\x80\x00\x00\x09six",
    ]) {
        let known = Arc::default();
        read(&agent, user.clone(), &known, PATIENCE).await.unwrap();
        agent.state().engine.replace(id);
        let session = read(&agent, user, &known, PATIENCE).await.unwrap();
        assert_eq!(session.stats().retries, 0);
    }
}

#[tokio::test]
async fn another_device_that_sends_no_report_is_discovered_in_the_next_session() {
    let agent = start();
    let known = Arc::default();
    read(&agent, signing(), &known, PATIENCE).await.unwrap();
    agent.state().engine.replace(b"\x80\x00\x00\x09one");
    agent.set(Behaviour {
        silent_from: Some(1),
        ..Behaviour::default()
    });
    read(&agent, signing(), &known, SHORT).await.unwrap_err();
    agent.set(Behaviour::default());
    let session = read(&agent, signing(), &known, PATIENCE).await.unwrap();
    assert_eq!(session.stats().retries, 0);
}

#[tokio::test]
async fn each_fault_has_an_error_of_its_own() {
    let agent = start();
    let other = |word: &str| Secret::new(word);
    let sealing = sealing();
    type Expected = fn(&SnmpError) -> bool;
    let cases: [(User, Expected); 8] = [
        (
            User {
                name: "nobody".to_owned(),
                ..bare()
            },
            |error| matches!(error, SnmpError::UnknownUser),
        ),
        (
            User {
                name: "nobody".to_owned(),
                ..signing()
            },
            |error| matches!(error, SnmpError::UnknownUser),
        ),
        (
            User {
                auth: Some((AuthProtocol::Sha1, other("marble syrup"))),
                ..signing()
            },
            |error| matches!(error, SnmpError::WrongKey),
        ),
        (
            User {
                auth: Some((AuthProtocol::Md5, other("maplesyrup"))),
                ..signing()
            },
            |error| matches!(error, SnmpError::WrongKey),
        ),
        (
            User {
                privacy: Some((PrivProtocol::Aes128, other("marble pancake"))),
                ..sealing.clone()
            },
            |error| matches!(error, SnmpError::WrongPrivacyKey),
        ),
        (
            User {
                auth: None,
                ..signing()
            },
            |error| matches!(error, SnmpError::Level { .. }),
        ),
        (
            User {
                privacy: sealing.privacy.clone(),
                ..signing()
            },
            |error| matches!(error, SnmpError::Level { .. }),
        ),
        (
            User {
                context: "elsewhere".to_owned(),
                ..sealing
            },
            |error| matches!(error, SnmpError::UnknownContext),
        ),
    ];
    for (user, is_right) in cases {
        let began = Instant::now();
        let Err(error) = read(&agent, user.clone(), &Arc::default(), PATIENCE).await else {
            panic!("{user:?} was answered");
        };
        assert!(is_right(&error), "{error}: {user:?}");
        assert!(began.elapsed() < PATIENCE / 2, "the error comes at once");
    }
}

#[tokio::test]
async fn a_user_who_encrypts_without_signing_sends_nothing() {
    let agent = start();
    let user = User {
        auth: None,
        ..sealing()
    };
    let deadline = Instant::now() + PATIENCE;
    let session = Session::open(
        agent.address(),
        Arc::new(Credentials::V3(user)),
        Arc::default(),
        deadline,
    )
    .await;
    assert!(matches!(session.unwrap_err(), SnmpError::ClearText));
    assert_eq!(agent.requests(), 0);
}

#[tokio::test]
async fn a_session_gives_up_on_an_agent_that_contradicts_itself() {
    let agent = start();
    agent.set(Behaviour {
        always_restarts: true,
        ..Behaviour::default()
    });
    let error = read(&agent, sealing(), &Arc::default(), PATIENCE)
        .await
        .unwrap_err();
    assert!(matches!(error, SnmpError::TimeWindow), "{error}");
    assert!(agent.requests() < 10, "{}", agent.requests());
    agent.set(Behaviour {
        denies_engine: true,
        ..Behaviour::default()
    });
    let error = read(&agent, sealing(), &Arc::default(), PATIENCE)
        .await
        .unwrap_err();
    assert!(matches!(error, SnmpError::UnknownEngine), "{error}");
    assert!(agent.requests() < 10, "{}", agent.requests());
}

#[tokio::test]
async fn an_answer_that_is_not_secured_as_the_request_is_ignored() {
    let usual = Behaviour::default;
    let behaviours = [
        (
            1,
            Behaviour {
                unsigned: true,
                ..usual()
            },
        ),
        (
            2,
            Behaviour {
                unencrypted: true,
                ..usual()
            },
        ),
        (
            0,
            Behaviour {
                wrong_engine: true,
                ..usual()
            },
        ),
        (
            1,
            Behaviour {
                old_time: true,
                ..usual()
            },
        ),
        (
            0,
            Behaviour {
                other_request: true,
                ..usual()
            },
        ),
        (
            0,
            Behaviour {
                replays: true,
                ..usual()
            },
        ),
    ];
    let cases = behaviours.into_iter().flat_map(|(from, behaviour)| {
        users()
            .into_iter()
            .skip(from)
            .map(move |user| (user, behaviour.clone()))
    });
    each(cases, async |(user, behaviour)| {
        let agent = start();
        let known = Arc::default();
        let name = [Oid::join(&SYSTEM, &[5, 0])];
        let ask = async || {
            let mut session = session(&agent, user.clone(), &known, PATIENCE).await;
            session.get(&name).await.unwrap();
        };
        ask().await;
        agent.set(behaviour.clone());
        if behaviour.replays {
            // The answer that is replayed.
            ask().await;
        }
        let Err(error) = read(&agent, user.clone(), &known, SHORT).await else {
            panic!("{user:?} accepts it: {behaviour:?}");
        };
        let is_expected = match error {
            // The agent answers signed requests correctly.
            SnmpError::NoAnswerEncrypted => behaviour.unencrypted || behaviour.other_request,
            SnmpError::NoAnswer { .. } => true,
            _ => false,
        };
        assert!(is_expected, "{error}: {user:?} {behaviour:?}");
        agent.set(Behaviour::default());
        read(&agent, user.clone(), &known, PATIENCE).await.unwrap();
    })
    .await;
}

/// A report that answers no request.
fn report(counter: u32, engine_id: &[u8]) -> Vec<u8> {
    let mut pdu = Pdu::request(
        PduKind::Report,
        0,
        &[Oid::from([1, 3, 6, 1, 6, 3, 15, 1, 1, counter, 0])],
    );
    pdu.varbinds[0].value = Value::Counter32(1);
    let scoped = Scoped {
        engine_id: engine_id.to_vec(),
        context: Vec::new(),
        pdu,
    };
    let data = scoped.encode();
    let message = V3Message {
        id: 77,
        max_size: 65_507,
        is_signed: false,
        is_encrypted: false,
        is_reportable: false,
        engine_id,
        boots: 9,
        time: 9,
        user: b"",
        signature: 0..0,
        salt: b"",
        data: &data,
    };
    message.encode(0).0
}

#[tokio::test]
async fn reports_that_answer_no_request_change_nothing() {
    let agent = start();
    let noise: Vec<Vec<u8>> = (0..8_u8)
        .flat_map(|n| (1..=6).map(move |counter| report(counter, &[0x80, 0, 0, 9, n])))
        .collect();
    agent.set(Behaviour {
        noise,
        ..Behaviour::default()
    });
    for user in users() {
        let session = read(&agent, user, &Arc::default(), PATIENCE).await.unwrap();
        assert_eq!(session.stats().retries, 0);
    }
}

/// An agent that answers nothing, and sends reports without end to whoever sends it something.
#[tokio::test]
async fn a_flood_of_reports_ends_the_session() {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let reports: Vec<Vec<u8>> = (1..=6).map(|counter| report(counter, b"\x80\0\0\x09x")).collect();
    let flood = tokio::spawn(async move {
        let (_, to) = socket.recv_from(&mut [0; 2048]).await.unwrap();
        for report in reports.iter().cycle() {
            let _ = socket.send_to(report, to).await;
            tokio::task::yield_now().await;
        }
    });
    let credentials = Arc::new(Credentials::V3(sealing()));
    let deadline = Instant::now() + PATIENCE;
    let mut session = Session::open(address, credentials, Arc::default(), deadline)
        .await
        .unwrap();
    let column = Oid::join(&IF_ENTRY, &[16]);
    let error = session.walk(&column, 1_000).await.unwrap_err();
    assert!(matches!(error, SnmpError::Flood(10_000)), "{error}");
    flood.abort();
}
