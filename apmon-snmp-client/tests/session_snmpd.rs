//! Sessions with net-snmp's agent.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{str::FromStr as _, sync::Arc, time::Duration};

use apmon_snmp_client::{
    Agent, Credentials, Group, Oid, Secret, Session, SnmpError, User, Value,
    usm::{AuthProtocol, PrivProtocol},
};
use tokio::time::Instant;

use lab::{
    Snmpd,
    snmpd::{self, AUTH_PASSWORD, PRIV_PASSWORD},
};

/// A deadline that no successful request reaches.
const PATIENCE: Duration = Duration::from_secs(20);
/// A deadline after which the agent counts as silent: meanwhile requests are retried, and a
/// signed one is sent.
const SHORT: Duration = Duration::from_millis(1_800);

const SYS_NAME: [u32; 9] = [1, 3, 6, 1, 2, 1, 1, 5, 0];
const NAME: &str = "a real agent";

fn start() -> Snmpd {
    Snmpd::start(&[&format!("sysName {NAME}")])
}

/// The lab's user, as credentials.
fn user(of: &snmpd::User) -> User {
    let auth = |word: &str| (AuthProtocol::from_str(word).unwrap(), Secret::new(AUTH_PASSWORD));
    let privacy = |word: &str| (PrivProtocol::from_str(word).unwrap(), Secret::new(PRIV_PASSWORD));
    User {
        name: of.name.clone(),
        auth: of.auth.map(auth),
        privacy: of.privacy.map(privacy),
        context: String::new(),
    }
}

fn sealing() -> User {
    user(&snmpd::User::new(Some("SHA-256"), Some("AES")))
}

async fn name(
    snmpd: &Snmpd,
    credentials: Credentials,
    known: &Arc<Agent>,
    within: Duration,
) -> Result<Value, SnmpError> {
    let deadline = Instant::now() + within;
    let mut session = Session::open(
        snmpd.address(),
        Arc::new(credentials),
        Arc::clone(known),
        deadline,
    )
    .await?;
    let mut varbinds = session.get(&[Oid::from(SYS_NAME)]).await?;
    Ok(varbinds.remove(0).value)
}

async fn by_user(snmpd: &Snmpd, user: User, known: &Arc<Agent>) -> Result<Value, SnmpError> {
    name(snmpd, Credentials::V3(user), known, PATIENCE).await
}

fn text() -> Value {
    Value::Octets(NAME.into())
}

#[tokio::test]
async fn every_pair_of_protocols_is_answered() {
    let snmpd = start();
    for of in snmpd::User::all() {
        let answer = by_user(&snmpd, user(&of), &Arc::default()).await;
        assert_eq!(
            answer.unwrap_or_else(|error| panic!("{error}: {of:?}")),
            text(),
            "{of:?}"
        );
    }
    for credentials in [Credentials::V1, Credentials::V2c] {
        let credentials = credentials(Secret::new(Snmpd::COMMUNITY));
        let answer = name(&snmpd, credentials, &Arc::default(), PATIENCE).await;
        assert_eq!(answer.unwrap(), text());
    }
}

#[tokio::test]
async fn a_walk_reads_the_same_with_every_version() {
    let snmpd = start();
    // Tables that do not change by themselves: the engine, the users' views.
    let roots = [
        "1.3.6.1.6.3.16.1.4.1",
        "1.3.6.1.6.3.10.2.1.1",
        "1.3.6.1.2.1.1.9.1.3",
    ]
    .map(|root| root.parse().unwrap());
    let community = Secret::new(Snmpd::COMMUNITY);
    let mut found = Vec::new();
    for credentials in [
        Credentials::V1(community.clone()),
        Credentials::V2c(community),
        Credentials::V3(sealing()),
    ] {
        let deadline = Instant::now() + PATIENCE;
        let mut session = Session::open(snmpd.address(), Arc::new(credentials), Arc::default(), deadline)
            .await
            .unwrap();
        let groups = session
            .columns(vec![Group::new(roots.clone(), 10_000)])
            .await
            .unwrap();
        assert!(
            groups[0]
                .iter()
                .all(|column| column.failure.is_none() && !column.rows.is_empty())
        );
        found.push(groups);
    }
    assert_eq!(found[0], found[1]);
    assert_eq!(found[1], found[2]);
}

#[tokio::test]
async fn an_unknown_user_and_a_wrong_key_are_reported() {
    let snmpd = start();
    let wrong = Secret::new("the wrong password");
    for of in [
        snmpd::User::new(Some("SHA-256"), None),
        snmpd::User::new(Some("MD5"), Some("DES")),
    ] {
        let user = user(&of);
        let nobody = User {
            name: "nobody".to_owned(),
            ..user.clone()
        };
        let error = by_user(&snmpd, nobody, &Arc::default()).await.unwrap_err();
        assert!(matches!(error, SnmpError::UnknownUser), "{error}");

        let (protocol, password) = user.auth.clone().unwrap();
        let forged = User {
            auth: Some((protocol, wrong.clone())),
            ..user.clone()
        };
        let error = by_user(&snmpd, forged, &Arc::default()).await.unwrap_err();
        assert!(matches!(error, SnmpError::WrongKey), "{error}");

        let forged = User {
            auth: Some((AuthProtocol::Sha512, password)),
            ..user
        };
        let error = by_user(&snmpd, forged, &Arc::default()).await.unwrap_err();
        assert!(matches!(error, SnmpError::WrongKey), "{error}");
    }
}

#[tokio::test]
async fn a_wrong_privacy_key_is_reported_although_the_agent_is_silent() {
    let snmpd = start();
    let right = sealing();
    let forgeries = [
        (PrivProtocol::Aes128, "the wrong password"),
        (PrivProtocol::Aes256, PRIV_PASSWORD),
        (PrivProtocol::Des, PRIV_PASSWORD),
    ];
    for (protocol, password) in forgeries {
        let user = User {
            privacy: Some((protocol, Secret::new(password))),
            ..right.clone()
        };
        let error = name(&snmpd, Credentials::V3(user), &Arc::default(), SHORT)
            .await
            .unwrap_err();
        let is_reported = matches!(error, SnmpError::NoAnswerEncrypted | SnmpError::WrongPrivacyKey);
        assert!(is_reported, "{error}: {protocol}");
    }
}

#[tokio::test]
async fn a_level_that_is_too_low_and_an_unknown_context_are_reported() {
    let snmpd = start();
    let full = sealing();
    let unsealed = User {
        privacy: None,
        ..full.clone()
    };
    let error = by_user(&snmpd, unsealed, &Arc::default()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the agent answers authorizationError to GET of {}",
            Oid::from(SYS_NAME)
        )
    );
    let too_much = User {
        privacy: full.privacy.clone(),
        ..user(&snmpd::User::new(Some("SHA-256"), None))
    };
    let error = by_user(&snmpd, too_much, &Arc::default()).await.unwrap_err();
    assert!(matches!(error, SnmpError::Level { .. }), "{error}");
    let elsewhere = User {
        context: "elsewhere".to_owned(),
        ..full
    };
    // Net-snmp sends no report for an unknown context.
    let error = name(&snmpd, Credentials::V3(elsewhere), &Arc::default(), SHORT)
        .await
        .unwrap_err();
    let expected = "no answer (GET of 1.3.6.1.2.1.1.5.0 in context \"elsewhere\")";
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn another_community_gets_no_answer() {
    let snmpd = start();
    for credentials in [Credentials::V1, Credentials::V2c] {
        let credentials = credentials(Secret::new("other"));
        let error = name(&snmpd, credentials, &Arc::default(), SHORT)
            .await
            .unwrap_err();
        assert!(matches!(error, SnmpError::NoAnswer { .. }), "{error}");
    }
}

#[tokio::test]
async fn an_agent_that_was_stopped_and_started_is_read_again() {
    let mut snmpd = start();
    let known = Arc::default();
    let ask = async |snmpd: &Snmpd| by_user(snmpd, sealing(), &known).await;
    assert_eq!(ask(&snmpd).await.unwrap(), text());
    snmpd.stop();
    let error = ask(&snmpd).await.unwrap_err();
    assert!(matches!(error, SnmpError::Refused), "{error}");
    snmpd.restart();
    assert_eq!(ask(&snmpd).await.unwrap(), text());
    snmpd.freeze();
    let frozen = name(&snmpd, Credentials::V3(sealing()), &known, SHORT).await;
    assert!(matches!(frozen.unwrap_err(), SnmpError::NoAnswer { .. }));
    snmpd.thaw();
    assert_eq!(ask(&snmpd).await.unwrap(), text());
}
