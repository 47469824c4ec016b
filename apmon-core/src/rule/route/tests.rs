//! Who gets which notification.

use super::*;

fn notification(kind: NotificationKind) -> Notification {
    Notification {
        id: "i-1".into(),
        incident: "i".into(),
        kind,
        site: "HomeLab".into(),
        monitor: "web".into(),
        address: "http://h/".into(),
        text: "t".into(),
        number: 1,
        at: Timestamp::UNIX_EPOCH,
        since: None,
        lasted: None,
        next_reminder: None,
        subject: Default::default(),
        covers: Vec::new(),
        ended: None,
    }
}

/// `hook` with the fallback `mail`, of the class of e-mail.
fn routes() -> Routes {
    let fallback = Some(Fallback {
        to: "mail".into(),
        after: Duration::from_secs(60),
    });
    let hook = Route {
        fallback,
        ..Route::new("hook")
    };
    let mail = Route {
        class: Some(ChannelClass::EMAIL),
        ..Route::new("mail")
    };
    Routes::new(vec![hook, mail])
}

fn open() -> OwnState {
    OwnState {
        incident: Some("i".into()),
        ..OwnState::default()
    }
}

#[test]
fn a_fallback_gets_only_the_end_of_what_was_announced_to_it() {
    let (routes, policy, mut own) = (routes(), Policy::default(), open());
    let outage = routes
        .address(notification(NotificationKind::Outage), &policy, &mut own)
        .unwrap();
    assert_eq!(outage.recipients, ["hook"]);
    assert!(announce(&mut own, &outage.notification, &["mail".to_owned()]));
    own.incident = None;
    let end = routes
        .address(notification(NotificationKind::Recovery), &policy, &mut own)
        .unwrap();
    assert_eq!(end.recipients, ["hook", "mail"]);
    assert!(own.announced_to.is_empty());
}

/// A keyed service, a webhook and a mail recipient.
fn three_routes() -> Vec<Route> {
    let pager = Route {
        keyed: true,
        ..Route::new("pager")
    };
    let mail = Route {
        class: Some(ChannelClass::EMAIL),
        ..Route::new("mail")
    };
    vec![pager, Route::new("hook"), mail]
}

fn policy(alarms: bool, email: bool) -> Policy {
    let classes_off = match email {
        true => Vec::new(),
        false => vec![ChannelClass::EMAIL],
    };
    Policy {
        alarms,
        classes_off,
        ..Policy::default()
    }
}

/// Whatever is switched off, removed and added again in between, and in whatever order:
/// each channel that got the beginning gets the end, once.
#[test]
fn each_channel_that_got_the_beginning_gets_the_end_once() {
    let all = three_routes();
    for bits in 0..1 << 15_u32 {
        let bit = |n: u32| bits & (1 << n) != 0;
        let routes = |at: u32| {
            let there = all.iter().enumerate().filter(|(i, _)| bit(at + *i as u32));
            Routes::new(there.map(|(_, route)| route.clone()).collect())
        };
        let mut own = open();
        let first = Routes::new(all.clone());
        let outage = first.address(
            notification(NotificationKind::Outage),
            &policy(true, bit(14)),
            &mut own,
        );
        let announced = outage.unwrap().recipients;
        own.incident = None;
        let recovery = notification(NotificationKind::Recovery);
        let end = routes(0).address(recovery, &policy(bit(3), bit(4)), &mut own);
        let mut ended = end.map_or(Vec::new(), |end| end.recipients);
        if bit(0) {
            assert!(
                ended.contains(&"pager".to_owned()),
                "{bits:b}: a keyed service waits"
            );
        }
        if !bit(3) {
            assert!(ended.iter().all(|id| id == "pager"), "{bits:b}: {ended:?}");
        }
        let at = Timestamp::from_second(60).unwrap();
        for (routes, policy) in [
            (routes(5), policy(bit(8), bit(9))),
            (routes(10), policy(bit(13), true)),
            (Routes::new(all.clone()), policy(true, true)),
        ] {
            for end in routes.take_owed_ends(&policy, &mut own, at) {
                assert_eq!(end.notification.ended, Some(Timestamp::UNIX_EPOCH));
                ended.extend(end.recipients);
            }
        }
        assert!(own.owed_ends.is_empty());
        // Others may get an end as well, but only at its time.
        ended.retain(|id| announced.contains(id));
        ended.sort();
        let mut expected = announced;
        expected.sort();
        assert_eq!(ended, expected, "{bits:b}");
    }
}

/// The service that keeps the incident open may be the one under the new id.
#[test]
fn a_keyed_service_under_a_new_id_gets_the_end_also_while_alarms_are_off() {
    let mut own = open();
    let outage = notification(NotificationKind::Outage);
    Routes::new(three_routes())
        .address(outage, &policy(true, true), &mut own)
        .unwrap();
    own.incident = None;
    let mut renamed = three_routes();
    renamed[0].id = "pager2".into();
    let renamed = Routes::new(renamed);
    let recovery = notification(NotificationKind::Recovery);
    let end = renamed.address(recovery, &policy(false, true), &mut own).unwrap();
    assert_eq!(end.recipients, ["pager2"]);
    assert_eq!(own.owed_ends[0].channels, ["pager", "hook", "mail"]);
}

/// A service is added in place of the missing channel after the end.
#[test]
fn a_keyed_service_that_is_added_later_gets_the_end_that_a_missing_channel_is_owed_once() {
    let mut own = open();
    let outage = notification(NotificationKind::Outage);
    Routes::new(three_routes())
        .address(outage, &policy(true, true), &mut own)
        .unwrap();
    own.incident = None;
    let without = Routes::new(three_routes().split_off(1));
    let recovery = notification(NotificationKind::Recovery);
    assert!(
        without
            .address(recovery, &policy(false, true), &mut own)
            .is_none()
    );
    assert!(own.owed_ends[0].sent_to.is_empty());
    let with = |id: &str| {
        let mut routes = three_routes();
        routes[0].id = id.into();
        Routes::new(routes)
    };
    let at = Timestamp::from_second(60).unwrap();
    let mut take = |routes: &Routes, alarms| -> Vec<Vec<String>> {
        let ends = routes.take_owed_ends(&policy(alarms, true), &mut own, at);
        ends.into_iter().map(|end| end.recipients).collect()
    };
    assert_eq!(take(&with("pager2"), false), [["pager2"]]);
    assert!(take(&with("pager2"), false).is_empty(), "once");
    assert_eq!(take(&with("pager3"), false), [["pager3"]]);
    assert_eq!(take(&with("pager3"), true), [["hook", "mail"]]);
    assert_eq!(take(&with("pager"), true), [["pager"]]);
    assert!(own.owed_ends.is_empty());
}

#[test]
fn after_the_removal_of_a_monitor_only_the_alarms_of_the_site_count() {
    let routes = Routes::new(three_routes());
    assert!(routes.policy_after_removal().alarms);
    assert!(!routes.with_alarms(false).policy_after_removal().alarms);
}

#[test]
fn an_end_is_owed_for_a_month_at_most_and_never_to_a_channel_that_takes_none() {
    let mut routes = three_routes();
    routes[1].switches.recoveries = false;
    let routes = Routes::new(routes);
    let mut own = open();
    let outage = notification(NotificationKind::Outage);
    routes.address(outage, &policy(true, true), &mut own).unwrap();
    own.incident = None;
    let recovery = notification(NotificationKind::Recovery);
    let end = routes.address(recovery, &policy(false, true), &mut own).unwrap();
    assert_eq!(end.recipients, ["pager"]);
    assert_eq!(own.owed_ends[0].channels, ["mail"]);
    let month = RETENTION_AFTER_REMOVAL.as_secs() as i64;
    let late = Timestamp::from_second(month + 1).unwrap();
    let mut other = own.clone();
    assert!(
        routes
            .take_owed_ends(&policy(true, true), &mut other, late)
            .is_empty()
    );
    assert!(other.owed_ends.is_empty());
    let in_time = Timestamp::from_second(month - 1).unwrap();
    let ends = routes.take_owed_ends(&policy(true, true), &mut own, in_time);
    assert_eq!(ends[0].recipients, ["mail"]);
    assert_eq!(ends[0].notification.at, in_time, "it does not expire at once");
}

#[test]
fn nothing_has_a_recipient_while_notifications_are_off() {
    let (routes, policy, mut own) = (routes().switched_off(), Policy::default(), open());
    let outage = routes
        .address(notification(NotificationKind::Outage), &policy, &mut own)
        .unwrap();
    assert!(outage.recipients.is_empty() && own.announced_to.is_empty());
}

#[test]
fn a_fallback_gets_what_its_channel_could_not_deliver_unless_it_would_mislead() {
    let routes = routes();
    let policy = Policy::default();
    let without_mail = Policy {
        classes_off: vec![ChannelClass::EMAIL],
        ..Policy::default()
    };
    let entry = |kind, addressed: &[&str]| {
        let addressed = addressed.iter().map(|id| (*id).to_owned()).collect();
        OutboxEntry::new("hook", notification(kind), addressed)
    };
    let outage = entry(NotificationKind::Outage, &["hook"]);
    let had_it = entry(NotificationKind::Outage, &["hook", "mail"]);
    let (own, over) = (open(), OwnState::default());
    use FallbackDecision::{NotTaken, Send, Skip};
    for (entry, policy, own, ends_too, expected) in [
        (&outage, &policy, Some(&own), false, Send),
        (&outage, &without_mail, Some(&own), false, NotTaken),
        (&had_it, &policy, Some(&own), false, Skip),
        (&outage, &policy, Some(&over), false, Skip),
        (&outage, &policy, Some(&over), true, Send),
        (&outage, &policy, None, false, Skip),
    ] {
        let decision = routes.decide_fallback(entry, "mail", policy, own, ends_too);
        assert_eq!(decision, expected, "{entry:?} {own:?} {ends_too}");
    }
}

#[test]
fn what_waited_for_a_removed_channel_is_outdated_where_a_newer_outage_was_announced() {
    let routes = Routes::new(three_routes());
    let recovery = notification(NotificationKind::Recovery);
    let mut own = OwnState {
        incident: Some("j".into()),
        ..OwnState::default()
    };
    own.add_announced("j", &["pager".to_owned(), "hook".to_owned()]);
    assert!(routes.is_outdated_for("hook", &recovery, Some(&own), true));
    assert!(
        !routes.is_outdated_for("mail", &recovery, Some(&own), true),
        "it has nothing newer"
    );
    assert!(
        !routes.is_outdated_for("pager", &recovery, Some(&own), true),
        "it keeps them apart"
    );
    assert!(!routes.is_outdated_for("hook", &recovery, None, true));
    own.incident = Some("i".into());
    assert!(
        !routes.is_outdated_for("hook", &recovery, Some(&own), true),
        "still open"
    );
    own.incident = None;
    assert!(
        !routes.is_outdated_for("hook", &recovery, Some(&own), true),
        "both are over"
    );
}

#[test]
fn the_beginning_of_something_that_is_over_goes_nowhere_without_its_end() {
    let routes = Routes::new(three_routes());
    let outage = notification(NotificationKind::Outage);
    let ended = Notification {
        ended: Some(outage.at),
        ..outage.clone()
    };
    let (open, over) = (open(), OwnState::default());
    // Also where incidents are kept apart: there it would stay open for ever.
    for to in ["hook", "pager"] {
        for (outage, own, ends_too, expected) in [
            (&outage, Some(&open), false, false),
            (&ended, Some(&over), false, true),
            (&ended, Some(&over), true, false),
            (&ended, None, false, true),
            // Nothing says that it is over.
            (&outage, None, false, false),
        ] {
            let is_outdated = routes.is_outdated_for(to, outage, own, ends_too);
            assert_eq!(is_outdated, expected, "{to} {own:?} {ends_too}");
        }
    }
}
