//! Why nobody is notified, and who is.

use jiff::SignedDuration;

use super::*;
use crate::{
    notification::{ChannelClass, Switches},
    rule::route::{Fallback, Route},
    state::OwnState,
};

fn now() -> Now {
    Now {
        mono: Mono::from_nanos(1_000_000_000_000),
        wall: "2026-02-11T14:00:00Z".parse().unwrap(),
    }
}

fn hook() -> Routes {
    Routes::new(vec![Route::new("hook")])
}

/// Down for a while, announced to `hook` this long ago.
fn announced(secs_ago: i64) -> MonitorState {
    MonitorState {
        is_up: Some(false),
        down_count: 5,
        notified_count: 1,
        last_notified: Some(now().wall - SignedDuration::from_secs(secs_ago)),
        own: OwnState {
            incident: Some("i".into()),
            announced_to: [("i".to_owned(), vec!["hook".to_owned()])].into(),
            ..OwnState::default()
        },
        ..MonitorState::default()
    }
}

fn down() -> MonitorState {
    MonitorState {
        is_up: Some(false),
        down_count: 3,
        own: OwnState {
            incident: Some("i".into()),
            ..OwnState::default()
        },
        ..MonitorState::default()
    }
}

fn said(routes: &Routes, policy: &Policy, state: &MonitorState) -> String {
    Announcement::of(routes, policy, state, now()).to_string()
}

#[test]
fn what_is_announced_says_when_to_whom_and_what_follows() {
    let policy = Policy::default();
    assert_eq!(
        said(&hook(), &policy, &announced(63)),
        "announced 1 mins 3 secs ago to hook; reminder due in 8 mins 57 secs"
    );
    assert_eq!(
        said(&hook(), &policy, &announced(600)),
        "announced 10 mins 0 secs ago to hook; reminder due"
    );
    let off = Policy {
        alarms: false,
        ..Policy::default()
    };
    assert_eq!(
        said(&hook(), &off, &announced(63)),
        "announced 1 mins 3 secs ago to hook; no reminders: its alarms are off (alarms: no)"
    );
    // A state of APMonitor does not say to whom.
    let foreign = MonitorState {
        own: OwnState::default(),
        ..announced(63)
    };
    assert_eq!(
        said(&hook(), &policy, &foreign),
        "announced 1 mins 3 secs ago; reminder due in 8 mins 57 secs"
    );
}

#[test]
fn what_is_not_announced_has_a_reason() {
    let policy = Policy::default();
    let off = Policy {
        alarms: false,
        ..Policy::default()
    };
    let without_email = Policy {
        classes_off: vec![ChannelClass::EMAIL],
        ..Policy::default()
    };
    let mail = Routes::new(vec![Route {
        class: Some(ChannelClass::EMAIL),
        ..Route::new("mail")
    }]);
    let none = Routes::default();
    for (routes, policy, expected) in [
        (
            &hook(),
            &off,
            "nobody is notified: its alarms are off (alarms: no)",
        ),
        (
            &hook().switched_off(),
            &policy,
            "nobody is notified: this run sends nothing (--no-notify)",
        ),
        (&none, &policy, "nobody is notified: the site has no channels"),
        (
            &mail,
            &without_email,
            "nobody is notified: no channel takes its outages",
        ),
        (&mail, &policy, "it is announced after the next check"),
    ] {
        assert_eq!(said(routes, policy, &down()), expected);
    }
    // It was announced while the run sent nothing.
    let unheard = MonitorState {
        own: down().own,
        ..announced(63)
    };
    assert_eq!(
        said(&none, &policy, &unheard),
        "nobody is notified: the site has no channels"
    );
}

#[test]
fn what_is_not_an_outage_yet_says_what_is_missing() {
    let policy = Policy::default();
    let soft = MonitorState {
        down_count: 2,
        ..MonitorState::default()
    };
    assert_eq!(
        said(&hook(), &policy, &soft),
        "nobody is notified yet: failed check 2 of 3 (max_retries)"
    );
    let mut unknown = MonitorState {
        is_up: Some(true),
        ..MonitorState::default()
    };
    unknown.own.unknown_since = Some(now().wall - SignedDuration::from_secs(175));
    assert_eq!(
        said(&hook(), &policy, &unknown),
        "nobody is notified yet: it must be unknown for 2 mins 5 secs more (unknown_after_secs)"
    );
    unknown.own.unknown_incident = Some("u".into());
    unknown.own.announced_to = [("u".to_owned(), vec!["hook".to_owned()])].into();
    assert_eq!(said(&hook(), &policy, &unknown), "announced to hook");
    let up = MonitorState {
        is_up: Some(true),
        ..MonitorState::default()
    };
    assert_eq!(said(&hook(), &policy, &up), "it is up: nothing to announce");
    assert_eq!(
        said(&hook(), &policy, &MonitorState::default()),
        "it has not been checked yet"
    );
}

#[test]
fn each_channel_that_is_left_out_has_a_reason() {
    let leading = Route {
        fallback: Some(Fallback {
            to: "page".into(),
            after: Duration::from_secs(60),
        }),
        ..Route::new("hook")
    };
    let mail = Route {
        class: Some(ChannelClass::EMAIL),
        ..Route::new("mail")
    };
    let quiet = Route {
        switches: Switches {
            outages: true,
            reminders: false,
            recoveries: false,
        },
        ..Route::new("chat")
    };
    let routes = Routes::new(vec![leading, mail, Route::new("page"), quiet]);
    let policy = Policy {
        classes_off: vec![ChannelClass::EMAIL],
        ..Policy::default()
    };
    let said: Vec<_> = routes
        .exclusions(&policy)
        .map(|(id, why)| format!("{id} {why}"))
        .collect();
    assert_eq!(
        said,
        [
            "mail gets nothing about it (email: no)",
            "page gets only what hook cannot deliver",
            "chat gets no reminders and no recoveries",
        ]
    );
}
