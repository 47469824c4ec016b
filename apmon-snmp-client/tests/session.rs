//! Sessions with an agent that follows the rules, and their cost.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{sync::Arc, time::Duration};

use apmon_snmp_client::{
    Agent, Column, Credentials, Group, Oid, Secret, Session, SnmpError, Value, message::ErrorStatus,
};
use tokio::time::Instant;

use lab::{
    Behaviour, Device, LabAgent,
    agent::device::{FIRST_INDEX, IF_ENTRY, IF_X_ENTRY, SYSTEM},
};

/// A deadline that no test here reaches.
const PATIENCE: Duration = Duration::from_secs(20);

async fn session(agent: &LabAgent, credentials: Credentials, known: &Arc<Agent>) -> Session {
    let deadline = Instant::now() + PATIENCE;
    Session::open(
        agent.address(),
        Arc::new(credentials),
        Arc::clone(known),
        deadline,
    )
    .await
    .unwrap()
}

fn v1() -> Credentials {
    Credentials::V1(Secret::new(LabAgent::COMMUNITY))
}

fn column(entry: &[u32], column: u32) -> Oid {
    Oid::join(entry, &[column])
}

/// The columns that a poll of a switch reads for each port.
fn interface_columns() -> Vec<Group> {
    let states = [
        (7, &IF_ENTRY[..]),
        (8, &IF_ENTRY),
        (14, &IF_ENTRY),
        (20, &IF_ENTRY),
        (6, &IF_X_ENTRY),
        (10, &IF_X_ENTRY),
    ];
    let packets = [7, 8, 9, 11, 12, 13].map(|at| (at, &IF_X_ENTRY[..]));
    [states, packets]
        .map(|columns| Group::new(columns.map(|(at, entry)| column(entry, at)), 1_000))
        .to_vec()
}

fn rows(column: &Column) -> Vec<(Vec<u32>, Value)> {
    let rows = column.rows.iter();
    rows.map(|row| (row.index.clone(), row.value.clone())).collect()
}

#[tokio::test]
async fn values_come_in_the_order_of_their_names() {
    let agent = LabAgent::start(Device::switch(4, 0));
    let scalars: Vec<Oid> = [5, 9, 6, 5, 4].map(|at| Oid::join(&SYSTEM, &[at, 0])).to_vec();
    for (credentials, absent) in [
        (v1(), Value::NoSuchObject),
        (LabAgent::community(), Value::NoSuchInstance),
    ] {
        let mut session = session(&agent, credentials, &Arc::default()).await;
        let varbinds = session.get(&scalars).await.unwrap();
        assert!(varbinds.iter().map(|varbind| &varbind.oid).eq(&scalars));
        let text = |text: &str| Value::Octets(text.into());
        let values: Vec<Value> = varbinds.into_iter().map(|varbind| varbind.value).collect();
        let name = text("office-switch");
        assert_eq!(
            values,
            [name.clone(), absent, text("rack 2"), name, text("the operator")]
        );
    }
}

#[tokio::test]
async fn a_value_that_an_agent_leaves_out_is_asked_for_again() {
    let agent = LabAgent::start(Device::switch(30, 0));
    let scalars: Vec<Oid> = (0..30)
        .map(|at| Oid::join(&IF_ENTRY, &[8, FIRST_INDEX + at]))
        .collect();
    for behaviour in [
        Behaviour {
            varbinds: Some(7),
            ..Behaviour::default()
        },
        Behaviour {
            too_big_above: Some(4),
            ..Behaviour::default()
        },
        Behaviour {
            too_big_above: Some(1),
            ..Behaviour::default()
        },
    ] {
        agent.set(behaviour);
        let mut session = session(&agent, LabAgent::community(), &Arc::default()).await;
        let varbinds = session.get(&scalars).await.unwrap();
        assert!(
            varbinds.iter().all(|varbind| varbind.value == Value::Integer(1)),
            "{varbinds:?}"
        );
    }
    // An empty answer does not mean that a value is absent.
    agent.set(Behaviour {
        varbinds: Some(0),
        ..Behaviour::default()
    });
    let mut session = session(&agent, LabAgent::community(), &Arc::default()).await;
    let varbinds = session.get(&scalars[..3]).await.unwrap();
    assert!(
        varbinds
            .iter()
            .all(|varbind| matches!(varbind.value, Value::Unreadable(_))),
        "{varbinds:?}"
    );
}

#[tokio::test]
async fn every_column_is_read_completely() {
    let agent = LabAgent::start(Device::switch(48, 100));
    for root in [
        "1.3.6.1.2.1.2.2.1",
        "1.3.6.1.2.1.31.1.1.1",
        "1.3.6.1.2.1.17",
        "1.3.6.1.2.1.99",
    ] {
        let root: Oid = root.parse().unwrap();
        for credentials in [v1(), LabAgent::community()] {
            let is_v1 = matches!(credentials, Credentials::V1(_));
            let mut session = session(&agent, credentials, &Arc::default()).await;
            let column = session.walk(&root, 10_000).await.unwrap();
            let mut expected = agent.state().device.below(&root);
            expected.retain(|(_, value)| !is_v1 || !matches!(value, Value::Counter64(_)));
            assert_eq!(rows(&column), expected, "{root}");
            assert_eq!(column.failure, None);
        }
    }
}

#[tokio::test]
async fn the_interfaces_of_a_switch_take_at_most_16_round_trips() {
    let agent = LabAgent::start(Device::switch(48, 100));
    let mut session = session(&agent, LabAgent::community(), &Arc::default()).await;
    let groups = session.columns(interface_columns()).await.unwrap();
    for column in groups.iter().flatten() {
        assert_eq!((column.rows.len(), &column.failure), (48, &None));
    }
    let stats = session.stats();
    assert!(stats.round_trips <= 16, "{stats:?}");
    assert_eq!(stats.retries, 0);
    assert!(stats.longest <= 1_400, "{stats:?}");
    assert_eq!(stats.longest, agent.state().longest);
    assert_eq!(usize::try_from(stats.round_trips).unwrap(), agent.requests());
}

#[tokio::test]
async fn the_limits_of_an_agent_are_known_in_the_next_session() {
    let agent = LabAgent::start(Device::switch(48, 0));
    for behaviour in [
        Behaviour {
            too_big_above: Some(20),
            never_cuts: true,
            ..Behaviour::default()
        },
        Behaviour {
            octets: Some(600),
            never_cuts: true,
            ..Behaviour::default()
        },
        Behaviour {
            bulk: Some(ErrorStatus::GENERAL),
            ..Behaviour::default()
        },
    ] {
        let known = Arc::default();
        let mut refused = Vec::new();
        for _ in 0..3 {
            agent.set(behaviour.clone());
            let mut session = session(&agent, LabAgent::community(), &known).await;
            let groups = session.columns(interface_columns()).await.unwrap();
            assert!(
                groups
                    .iter()
                    .flatten()
                    .all(|column| column.rows.len() == 48 && column.failure.is_none())
            );
            refused.push(agent.state().refused);
        }
        assert!(refused[0] > 0, "{behaviour:?}");
        assert_eq!(refused[1..], [0, 0], "{behaviour:?}");
    }
}

#[tokio::test]
async fn a_change_between_two_sessions_is_read() {
    let agent = LabAgent::start(Device::switch(8, 3));
    let known = Arc::default();
    let oper = column(&IF_ENTRY, 8);
    let read = async || {
        session(&agent, LabAgent::community(), &known)
            .await
            .walk(&oper, 100)
            .await
            .unwrap()
    };
    assert_eq!(read().await.rows.len(), 8);
    agent.change(|device| {
        device.port_down(3);
        device.remove_port(8);
    });
    let column = read().await;
    assert_eq!(column.rows.len(), 7);
    assert_eq!(column.rows[2].value, Value::Integer(2));
    agent.change(|device| device.renumber(100));
    assert_eq!(read().await.rows[0].index, [FIRST_INDEX + 100]);
}

#[tokio::test]
async fn columns_of_different_lengths_are_read_side_by_side() {
    let agent = LabAgent::start(Device::switch(5, 100));
    let (short, long) = (
        column(&IF_ENTRY, 1),
        "1.3.6.1.2.1.17.7.1.2.2.1.2".parse::<Oid>().unwrap(),
    );
    let absent: Oid = "1.3.6.1.4.1.9.9.23".parse().unwrap();
    let mut session = session(&agent, LabAgent::community(), &Arc::default()).await;
    let groups = vec![Group::new([short, long, absent], 1_000), Group::new([], 1_000)];
    let groups = session.columns(groups).await.unwrap();
    let found: Vec<usize> = groups[0].iter().map(|column| column.rows.len()).collect();
    assert_eq!(found, [5, 100, 0]);
    assert!(groups[0].iter().all(|column| column.failure.is_none()));
    assert!(groups[1].is_empty());
}

#[tokio::test]
async fn a_closed_port_is_reported_at_once() {
    let address = {
        let agent = LabAgent::start(Device::switch(1, 0));
        agent.address()
    };
    let deadline = Instant::now() + PATIENCE;
    let mut session = Session::open(address, Arc::new(LabAgent::community()), Arc::default(), deadline)
        .await
        .unwrap();
    let error = session.walk(&column(&IF_ENTRY, 1), 10).await.unwrap_err();
    assert!(matches!(error, SnmpError::Refused), "{error}");
}
