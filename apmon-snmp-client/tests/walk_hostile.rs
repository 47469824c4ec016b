//! Walks of agents that answer late, incorrectly or not at all. A walk returns either the right
//! values or an error that names the fault, and always in time.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use apmon_snmp_client::{
    Agent, Column, Group, Oid, Session, SnmpError, Value,
    message::{Body, CommunityMessage, ErrorStatus, Message, Pdu, PduKind},
};
use tokio::time::Instant;

use lab::{
    Behaviour, Device, LabAgent,
    agent::{
        behaviour::Damage,
        device::{FIRST_INDEX, IF_ENTRY, IF_X_ENTRY},
    },
    each,
};

/// A deadline that no successful walk reaches.
const PATIENCE: Duration = Duration::from_secs(30);
/// The deadline of walks that are to fail, long enough for retries.
const SHORT: Duration = Duration::from_millis(1_300);
/// The delay that a busy machine may add.
const GRACE: Duration = Duration::from_millis(1_500);

const PORTS: u32 = 20;

fn columns() -> Vec<Oid> {
    vec![
        Oid::join(&IF_ENTRY, &[7]),
        Oid::join(&IF_ENTRY, &[8]),
        Oid::join(&IF_ENTRY, &[14]),
        Oid::join(&IF_X_ENTRY, &[6]),
        Oid::join(&IF_X_ENTRY, &[18]),
    ]
}

async fn read(agent: &LabAgent, known: &Arc<Agent>, within: Duration) -> Result<Vec<Column>, SnmpError> {
    let began = Instant::now();
    let credentials = Arc::new(LabAgent::community());
    let deadline = Instant::now() + within;
    let mut session = Session::open(agent.address(), credentials, Arc::clone(known), deadline).await?;
    let read = session.columns(vec![Group::new(columns(), 1_000)]).await;
    assert!(began.elapsed() < within + GRACE, "{:?}", began.elapsed());
    read.map(|mut groups| groups.remove(0))
}

fn rows(column: &Column) -> Vec<(Vec<u32>, Value)> {
    let rows = column.rows.iter();
    rows.map(|row| (row.index.clone(), row.value.clone())).collect()
}

/// Asserts that everything was read, in any order.
fn assert_complete(read: &[Column], agent: &LabAgent, behaviour: &Behaviour) {
    for (root, column) in columns().iter().zip(read) {
        let mut rows = rows(column);
        rows.sort_by(|one, other| one.0.cmp(&other.0));
        assert_eq!(rows, agent.state().device.below(root), "{root} {behaviour:?}");
        assert_eq!(column.failure, None, "{root} {behaviour:?}");
    }
}

fn response(id: i32) -> Vec<u8> {
    let mut pdu = Pdu::request(PduKind::Response, id, &columns());
    for varbind in &mut pdu.varbinds {
        varbind.oid = Oid::join(varbind.oid.parts(), &[FIRST_INDEX]);
        varbind.value = Value::Integer(666);
    }
    let message = CommunityMessage {
        is_v1: false,
        community: LabAgent::COMMUNITY.into(),
        body: Body::Pdu(pdu),
    };
    message.encode()
}

#[tokio::test]
async fn an_agent_with_tolerable_faults_is_read_completely() {
    let usual = Behaviour::default;
    let behaviours = [
        Behaviour {
            delay: Duration::from_millis(20),
            ..usual()
        },
        Behaviour {
            loses_requests: Some(2),
            ..usual()
        },
        Behaviour {
            loses_replies: Some(2),
            ..usual()
        },
        Behaviour {
            doubles: true,
            ..usual()
        },
        Behaviour {
            is_late: true,
            ..usual()
        },
        Behaviour {
            octets: Some(484),
            ..usual()
        },
        Behaviour {
            octets: Some(484),
            never_cuts: true,
            ..usual()
        },
        Behaviour {
            too_big_above: Some(12),
            never_cuts: true,
            ..usual()
        },
        Behaviour {
            too_big_above: Some(3),
            ..usual()
        },
        Behaviour {
            too_big_above: Some(1),
            never_cuts: true,
            ..usual()
        },
        Behaviour {
            varbinds: Some(23),
            ..usual()
        },
        Behaviour {
            varbinds: Some(3),
            ..usual()
        },
        Behaviour {
            varbinds: Some(1),
            ..usual()
        },
        Behaviour {
            bulk: Some(ErrorStatus::GENERAL),
            ..usual()
        },
        Behaviour {
            bulk: Some(ErrorStatus::NO_SUCH_NAME),
            ..usual()
        },
        Behaviour {
            bulk: Some(ErrorStatus::TOO_BIG),
            too_big_above: Some(1),
            ..usual()
        },
        Behaviour {
            bulk: Some(ErrorStatus::GENERAL),
            varbinds: Some(2),
            ..usual()
        },
        Behaviour {
            no_such_name: true,
            ..usual()
        },
        Behaviour {
            no_such_name: true,
            bulk: Some(ErrorStatus::NO_SUCH_NAME),
            ..usual()
        },
        Behaviour {
            swaps_rows: true,
            ..usual()
        },
        Behaviour {
            swaps_rows: true,
            varbinds: Some(4),
            ..usual()
        },
        Behaviour {
            noise: vec![vec![], vec![0x30], response(77), b"GET / HTTP/1.1".to_vec()],
            ..usual()
        },
    ];
    each(behaviours, async |behaviour| {
        let agent = LabAgent::start(Device::switch(PORTS, 0));
        // The end of the MIB is the end of these tables.
        let end = Oid::join(&IF_X_ENTRY, &[19]);
        agent.change(|device| device.table.retain(|oid, _| *oid < end));
        let known = Arc::default();
        // A late agent answers only retries: one round is enough.
        for _ in 0..if behaviour.is_late { 1 } else { 2 } {
            agent.set(behaviour.clone());
            let read = read(&agent, &known, PATIENCE).await;
            let read = read.unwrap_or_else(|error| panic!("{error}: {behaviour:?}"));
            assert_complete(&read, &agent, &behaviour);
        }
    })
    .await;
}

#[tokio::test]
async fn an_agent_without_a_valid_answer_counts_as_silent() {
    let usual = Behaviour::default;
    let behaviours = [
        Behaviour {
            silent_from: Some(1),
            ..usual()
        },
        Behaviour {
            silent_from: Some(2),
            ..usual()
        },
        Behaviour {
            wrong_id: true,
            ..usual()
        },
        Behaviour {
            wrong_community: true,
            ..usual()
        },
        Behaviour {
            other_port: true,
            ..usual()
        },
        Behaviour {
            replays: true,
            ..usual()
        },
    ];
    each(behaviours, async |behaviour| {
        let agent = LabAgent::start(Device::switch(PORTS, 0));
        agent.set(behaviour.clone());
        let known = Arc::default();
        let error = read(&agent, &known, SHORT).await.unwrap_err();
        assert!(
            matches!(error, SnmpError::NoAnswer { .. }),
            "{error}: {behaviour:?}"
        );
        // The agent recovers, and is read again.
        agent.set(Behaviour::default());
        let read = read(&agent, &known, PATIENCE).await.unwrap();
        assert_complete(&read, &agent, &behaviour);
    })
    .await;
}

#[tokio::test]
async fn an_unreadable_answer_is_reported_as_such() {
    each(Damage::ALL, async |damage| {
        let agent = LabAgent::start(Device::switch(PORTS, 0));
        agent.set(Behaviour {
            damage: Some(damage),
            ..Behaviour::default()
        });
        let error = read(&agent, &Arc::default(), SHORT).await.unwrap_err();
        assert!(matches!(error, SnmpError::Malformed(_)), "{error}: {damage:?}");
    })
    .await;
}

#[tokio::test]
async fn a_loop_is_reported_and_does_not_end_other_columns() {
    let agent = LabAgent::start(Device::switch(PORTS, 0));
    let oper = Oid::join(&IF_ENTRY, &[8]);
    let from = Oid::join(oper.parts(), &[FIRST_INDEX + 9]);
    for to in [oper.clone(), Oid::join(oper.parts(), &[FIRST_INDEX + 4])] {
        agent.set(Behaviour {
            loops: Some((from.clone(), to)),
            ..Behaviour::default()
        });
        let read = read(&agent, &Arc::default(), PATIENCE).await.unwrap();
        let failure = read[1].failure.as_deref().unwrap();
        assert!(failure.starts_with("the agent repeats itself"), "{failure}");
        assert_eq!(read[1].rows.len(), 10);
        assert!(read[0].failure.is_none() && read[0].rows.len() == 20);
    }
}

#[tokio::test]
async fn an_endless_walk_ends_at_its_limit() {
    let agent = LabAgent::start(Device::switch(PORTS, 0));
    let oper = Oid::join(&IF_ENTRY, &[8]);
    agent.set(Behaviour {
        endless: Some(oper),
        ..Behaviour::default()
    });
    let read = read(&agent, &Arc::default(), PATIENCE).await.unwrap();
    assert_eq!(read[1].failure.as_deref(), Some("more than 1000 rows"));
    assert_eq!(read[1].rows.len(), 1_000);
    assert!(read[0].failure.is_none() && read[0].rows.len() == 20);
    assert!(agent.requests() < 60, "{}", agent.requests());
}

/// As many as a poll reads of a table of stations.
#[tokio::test]
async fn a_table_of_131072_rows_is_read_up_to_its_limit() {
    const MOST: usize = 131_072;
    let agent = LabAgent::start(Device::switch(PORTS, 0));
    let oper = Oid::join(&IF_ENTRY, &[8]);
    agent.set(Behaviour {
        endless: Some(oper.clone()),
        ..Behaviour::default()
    });
    let deadline = Instant::now() + PATIENCE * 4;
    let mut session = Session::open(
        agent.address(),
        Arc::new(LabAgent::community()),
        Arc::default(),
        deadline,
    )
    .await
    .unwrap();
    let column = session.walk(&oper, MOST).await.unwrap();
    assert_eq!(column.failure.as_deref(), Some("more than 131072 rows"));
    assert_eq!(column.rows.len(), MOST);
    let indexes: std::collections::HashSet<&[u32]> = column.rows.iter().map(|row| &row.index[..]).collect();
    assert_eq!(indexes.len(), MOST, "no row twice");
    // Some dozen rows are in each answer.
    assert!(agent.requests() < MOST / 10, "{}", agent.requests());
}

#[tokio::test]
async fn a_counter_without_octets_does_not_affect_other_values() {
    let agent = LabAgent::start(Device::switch(PORTS, 0));
    agent.set(Behaviour {
        empty_counters: true,
        ..Behaviour::default()
    });
    let read = read(&agent, &Arc::default(), PATIENCE).await.unwrap();
    let found: Vec<usize> = read.iter().map(|column| column.rows.len()).collect();
    assert_eq!(found, [20, 20, 0, 0, 20]);
    assert!(read.iter().all(|column| column.failure.is_none()));
}

#[tokio::test]
async fn an_agent_that_dies_midway_does_not_look_like_an_empty_table() {
    each(1..=5, async |from| {
        let agent = LabAgent::start(Device::switch(48, 0));
        agent.set(Behaviour {
            silent_from: Some(from),
            ..Behaviour::default()
        });
        let error = read(&agent, &Arc::default(), SHORT).await.unwrap_err();
        let begins = "no answer (GETBULK of 1.3.6.1.2.1.2.2.1.7";
        assert!(error.to_string().starts_with(begins), "{error}");
    })
    .await;
}

/// A guard that stops the flood when dropped, even if the test fails.
struct Flood(Arc<AtomicBool>, Option<thread::JoinHandle<()>>);

impl Drop for Flood {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
        if let Some(thread) = self.1.take() {
            let _ = thread.join();
        }
    }
}

/// Starts an agent that answers the first request with wrong answers without end, with
/// a pause after each eight of them. Each has this many varbinds.
fn flooding(pause: Duration, varbinds: usize) -> (SocketAddr, Flood) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let ends = Arc::clone(&is_over);
    let thread = thread::spawn(move || {
        let mut buffer = [0; 1_500];
        let Ok((length, from)) = socket.recv_from(&mut buffer) else {
            return;
        };
        let Ok(Message::Community(message)) = Message::decode(&buffer[..length]) else {
            return;
        };
        let Body::Pdu(request) = message.body else { return };
        let mut pdu = Pdu::request(PduKind::Response, request.request_id ^ 0x4000_0000, &columns());
        pdu.varbinds = pdu.varbinds.into_iter().cycle().take(varbinds).collect();
        let message = CommunityMessage {
            is_v1: false,
            community: LabAgent::COMMUNITY.into(),
            body: Body::Pdu(pdu),
        };
        let wrong = message.encode();
        while !ends.load(Ordering::SeqCst) {
            for _ in 0..8 {
                let _ = socket.send_to(&wrong, from);
            }
            if !pause.is_zero() {
                thread::sleep(pause);
            }
        }
    });
    (address, Flood(is_over, Some(thread)))
}

#[tokio::test]
async fn a_flood_ends_the_session_and_leaves_time_for_others() {
    // The long ones have 52 kB.
    for (varbinds, expected, at_once) in [
        (5, "more than 10000 datagrams do not answer any request", 16),
        (3_000, "more than 16777216 octets do not answer any request", 1),
    ] {
        flood_ends(varbinds, expected, at_once).await;
    }
}

async fn flood_ends(varbinds: usize, expected: &str, at_once: usize) {
    let (address, _flood) = flooding(Duration::ZERO, varbinds);
    let turns = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&turns);
    let other = tokio::spawn(async move {
        loop {
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
        }
    });
    let deadline = Instant::now() + PATIENCE;
    let mut session = Session::open(address, Arc::new(LabAgent::community()), Arc::default(), deadline)
        .await
        .unwrap();
    let error = session.walk(&columns()[0], 10).await.unwrap_err();
    other.abort();
    assert_eq!(error.to_string(), expected);
    // Eight datagrams at a time may be all that there is so far; sixteen are a turn, or 16 kB.
    let turns = turns.load(Ordering::SeqCst);
    let datagrams = if at_once == 1 { 300 } else { 10_000 };
    assert!(turns >= datagrams / at_once, "{turns}");
}

#[tokio::test]
async fn a_flood_does_not_hide_the_deadline() {
    let (address, _flood) = flooding(Duration::from_millis(5), 5);
    let began = Instant::now();
    let deadline = Instant::now() + SHORT;
    let mut session = Session::open(address, Arc::new(LabAgent::community()), Arc::default(), deadline)
        .await
        .unwrap();
    let error = session.walk(&columns()[0], 10).await.unwrap_err();
    assert!(matches!(error, SnmpError::NoAnswer { .. }), "{error}");
    assert!(began.elapsed() < SHORT + GRACE, "{:?}", began.elapsed());
    assert!(session.stats().retries > 0, "requests were sent again meanwhile");
}
