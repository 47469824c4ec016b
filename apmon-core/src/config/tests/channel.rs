//! Channels of any kind: lists, ids, fallbacks, shared sections.

use super::{channel_kind::TIMEOUT, errors, in_site, read, valid};
use crate::{
    config::Seconds,
    notification::{ChannelClass, NotificationKind},
    services::Services,
};

#[test]
fn the_plan_has_the_channels_of_the_site() {
    let file = valid(
        "\
site:
  name: Lab
  max_threads: 3
  max_try_secs: 7
  notify_expire_secs: 3600
  heartbeat_url: https://h/beat
  email_server: {smtp_host: mail, smtp_port: 25, from_address: a@b.example}
  outage_emails: [{email: Ops@b.example, email_reminders: no}, {email: ops@b.example, name: second}]
  outage_webhooks:
  - {endpoint_url: 'https://h/', then: logs, after_secs: 60, timeout_secs: 5}
  - {endpoint_url: 'https://h/'}
  outage_syslogs: [{name: logs}]
monitors:
- {type: ping, name: gw, address: 10.0.0.1, email: no}
",
    );
    let plan = file.plan(&Services::default());
    let ids: Vec<_> = plan.channels.iter().map(|channel| channel.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "webhook:here",
            "webhook:here#2",
            "syslog:logs",
            "mail:Ops@b.example",
            "mail:ops@b.example#2",
        ]
    );
    let fallback = plan.channels[0].fallback.as_ref().unwrap();
    assert_eq!(
        (fallback.to.as_str(), fallback.after.as_secs()),
        ("syslog:logs", 60)
    );
    assert_eq!(plan.channels[0].timeout.unwrap().as_secs(), 5);
    assert_eq!(plan.channels[3].class, Some(ChannelClass::EMAIL));
    let policy = &plan.monitors[0].watch().policy;
    let takers: Vec<_> = plan
        .channels
        .iter()
        .map(|channel| channel.route().takes(&NotificationKind::Reminder, policy))
        .collect();
    assert_eq!(takers, [true, true, true, false, false]);
    assert!(!plan.channels[3].switches.reminders && plan.channels[4].switches.reminders);
    assert_eq!(plan.max_concurrent.unwrap().get(), 3);
    assert_eq!(plan.delivery_timeout.as_secs(), 7);
    assert_eq!(plan.expire_after.as_secs(), 3600);
    assert_eq!(plan.heartbeat.unwrap().url.reveal(), "https://h/beat");
    assert!(plan.heartbeats.is_none(), "no sender was provided");
    assert_eq!(file.channels[3].blueprint.via.as_deref(), Some("mail"));
    let _ = file.channels[0].build(&Services::default(), TIMEOUT);
}

#[test]
fn a_list_of_an_unknown_kind_is_an_unknown_option() {
    assert_eq!(
        errors(&in_site("outage_pigeons: []")),
        ["3:3: site: unknown option \"outage_pigeons\""]
    );
}

#[test]
fn a_section_that_a_kind_needs_is_required_and_read_once() {
    assert_eq!(
        errors(&in_site("outage_emails: [{email: a@b.example}]")),
        ["3:3: site: \"outage_emails\" needs \"email_server\""]
    );
    let unused = "email_server: {smtp_host: h, smtp_port: 25, from_address: a@b.example, smtp_username: u}";
    let file = valid(&in_site(unused));
    let warnings: Vec<_> = file.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        ["email_server: \"smtp_username\" is set without smtp_password"]
    );
}

#[test]
fn fallbacks_are_checked() {
    let text = "\
outage_webhooks:
- {endpoint_url: 'https://h/x', name: chat, then: sms, after_secs: 60}
- {endpoint_url: 'https://h/x', name: chat}
- {endpoint_url: 'https://h/x', then: smm}
- {endpoint_url: 'https://h/x', after_secs: 5}
- {endpoint_url: 'https://h/x', name: loop, then: loop}
- {endpoint_url: 'https://h/x', name: sms, then: log}
outage_syslogs:
- {name: log, then: other}
- {name: other, then: sms}";
    let back = "\"then\" leads back to this channel: no channel would be left to try";
    assert_eq!(
        errors(&in_site(text)),
        [
            "5:41: outage_webhooks 2: \"name\" is already used by outage_webhooks 1".to_owned(),
            "6:41: outage_webhooks 3: \"then\" refers to an unknown channel, \"smm\"; did you mean \"sms\"?"
                .to_owned(),
            "7:35: outage_webhooks 4: \"after_secs\" needs \"then\"".to_owned(),
            format!("8:53: outage_webhooks 5: {back}"),
            format!("9:52: outage_webhooks 6: {back}"),
            format!("11:23: outage_syslogs 1: {back}"),
            format!("12:25: outage_syslogs 2: {back}"),
        ]
    );
    let file = valid(&in_site(
        "outage_syslogs: [{name: a, then: b}, {name: b, then: c, after_secs: 60}, {name: c}]",
    ));
    let after: Vec<_> = file
        .channels
        .iter()
        .map(|channel| channel.options.after().get())
        .collect();
    assert_eq!(after, [300, 60, 300]);
}

#[test]
fn a_fallback_must_be_used_before_the_notification_expires() {
    let site = |expire: &str, after: &str| {
        in_site(&format!(
            "{expire}outage_syslogs: [{{then: b{after}}}, {{name: b}}]"
        ))
    };
    let error = |place: &str, after: u64, expire: u64| {
        [format!(
            "{place}: outage_syslogs 1: \"after_secs\" must be less than notify_expire_secs ({after} >= {expire}): the notification would expire before its fallback is used"
        )]
    };
    let expire = "notify_expire_secs: 60\n";
    for (expire, after) in [
        ("", ", after_secs: 86399"),
        (expire, ", after_secs: 59"),
        ("", ""),
    ] {
        assert!(read(&site(expire, after)).is_ok(), "{expire}{after}");
    }
    assert_eq!(
        errors(&site("", ", after_secs: 86400")),
        error("3:42", 86_400, 86_400)
    );
    assert_eq!(errors(&site(expire, ", after_secs: 60")), error("4:42", 60, 60));
    assert_eq!(
        errors(&site(expire, "")),
        error("4:27", 300, 60),
        "the default counts"
    );
    // An invalid value is reported once.
    assert_eq!(errors(&site(expire, ", after_secs: 0")).len(), 1);
    assert_eq!(
        errors(&site("notify_expire_secs: 0\n", ", after_secs: 90000")).len(),
        1
    );
}

#[test]
fn a_hint_says_what_a_fallback_does_not_receive() {
    let text = "\
site:
  name: Lab
  email_server: {smtp_host: mail, smtp_port: 25, from_address: a@b.example}
  outage_emails: [{email: ops@b.example, name: ops}]
  outage_syslogs: [{then: ops}, {name: x, then: ops}]
monitors:
- {type: ping, name: a, address: 10.0.0.1, email: no}
- {type: ping, name: b, address: 10.0.0.1}
";
    let hints = |text: &str| -> Vec<String> { valid(text).hints.iter().map(ToString::to_string).collect() };
    assert_eq!(
        hints(text),
        [
            "mail:ops@b.example: is a fallback: it receives only what syslog:here and syslog:x cannot deliver",
            "mail:ops@b.example: receives nothing about 1 monitor that has email: no",
        ]
    );
    assert_eq!(
        hints(&text.replace("{then: ops}, {name: x, then: ops}", "{}")),
        [""; 0]
    );
}

#[test]
fn the_heartbeat_options_of_a_site_are_checked() {
    assert_eq!(
        errors(&in_site("heartbeat_every_n_secs: 30\nnotify_expire_secs: 0")),
        [
            "3:3: site: \"heartbeat_every_n_secs\" needs \"heartbeat_url\"",
            "4:23: site: \"notify_expire_secs\" must be 1 to 315360000 seconds, not 0",
        ]
    );
    assert_eq!(
        errors(&in_site("heartbeat_url: hc-ping.com/x")),
        ["3:18: site: \"heartbeat_url\" must be a URL that begins with http:// or https://"]
    );
    let file = valid(&in_site(
        "heartbeat_url: 'https://h/x'\nheartbeat_every_n_secs: 30",
    ));
    assert_eq!(file.site.heartbeat_every_n_secs.map(Seconds::get), Some(30));
}
