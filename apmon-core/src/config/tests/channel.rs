//! Who is told: what may stand in the entries of channels.

use super::{good, in_site, read, told};
use crate::config::Seconds;

#[test]
fn presets_are_checked() {
    let text = "\
outage_webhooks:
- {preset: slack, url: 'https://h/x', headers: {X-A: b}, timeout_secs: 5, success_body: ok}
- {preset: slakc, url: 'https://h/x'}
- {preset: telegram, token: t}
- {preset: ntfy, topic: t, chat_id: c, endpoint_url: 'https://h/x'}
- {preset: gotify, url: h/x, token: ' '}
- {preset: pagerduty, routing_key: r, rooting_key: r}";
    assert_eq!(
        told(&in_site(text)),
        [
            "5:14: outage_webhooks 2: \"preset\" must be alertmanager or discord or gotify or matrix or ntfy or opsgenie or pagerduty or pushover or slack or teams or telegram, not \"slakc\"; did you mean slack?",
            "6:14: outage_webhooks 3: \"chat_id\" is missing, preset telegram needs it",
            "7:30: outage_webhooks 4: \"chat_id\" is no option of preset ntfy (topic, url, token)",
            "7:42: outage_webhooks 4: \"endpoint_url\" does not go with preset, which stands for it",
            "8:27: outage_webhooks 5: \"url\" must be a URL that begins with http:// or https://",
            "8:39: outage_webhooks 5: \"token\" must not be empty",
            "9:41: outage_webhooks 6: unknown option \"rooting_key\"; did you mean \"routing_key\"?",
        ]
    );
}

/// What would be refused by the service, or go to another path, is told before.
#[test]
fn values_that_a_preset_cannot_send_are_mistakes() {
    let hook = |options: &str| in_site(&format!("outage_webhooks: [{{preset: {options}}}]"));
    for good in [
        "discord, url: 'https://h/x?thread_id=1'",
        "teams, url: 'https://h/x?sig=1#a'",
        "gotify, url: 'https://h/sub/path/', token: t",
        "ntfy, topic: Abc_9-x",
        "telegram, token: ' 1:x ', chat_id: c",
    ] {
        assert!(read(&hook(good)).is_ok(), "{good}");
    }
    let base = "\"url\" must be where the service is, without \"?\" and \"#\": apmon adds the path";
    let topic = "\"topic\" must be 1 to 64 of the characters A-Z, a-z, 0-9, - and _";
    let room = "\"room\" must be the room's id, which begins with \"!\"; an alias (#room:server) will not do";
    let ends = "\"token\" must not begin or end with a blank";
    let long = format!("ntfy, topic: {}", "t".repeat(65));
    for (wrong, text) in [
        ("gotify, url: 'https://h/?a=s3cret', token: t", base),
        ("ntfy, topic: t, url: 'https://h/#s3cret'", base),
        ("matrix, url: 'https://h/?', token: t, room: '!r:h'", base),
        ("pushover, url: 'https://h/?a', token: t, user: u", base),
        ("pagerduty, url: 'https://h/?a', routing_key: r", base),
        ("opsgenie, url: 'https://h/?a', token: t", base),
        ("telegram, url: 'https://h/?a', token: t, chat_id: c", base),
        ("alertmanager, url: 'https://h/?a'", base),
        ("ntfy, topic: s3cret/x", topic),
        (&long, topic),
        ("matrix, url: 'https://h/', token: t, room: '#s3cret:h'", room),
        ("opsgenie, token: 's3cret '", ends),
        ("ntfy, topic: t, token: \"s3cret\\n\"", ends),
        ("alertmanager, url: 'https://h/', token: ' s3cret'", ends),
        (
            "gotify, url: 'https://h/', token: \"s3\\ncret\"",
            "\"token\" holds characters that no header may hold",
        ),
        (
            "matrix, url: 'https://h/', room: '!r:h', token: s3crét",
            "\"token\" holds characters that no header may hold",
        ),
    ] {
        let told = told(&hook(wrong));
        assert_eq!(told.len(), 1, "{wrong} {told:?}");
        assert!(told[0].ends_with(text), "{told:?}");
    }
}

#[test]
fn what_a_webhook_may_say_besides_is_checked() {
    let hook = |more: &str| {
        in_site(&format!(
            "outage_webhooks: [{{endpoint_url: 'https://h/', request_method: POST, request_encoding: URL, {more}}}]"
        ))
    };
    for good in [
        "success_statuses: 200-299",
        "success_statuses: [200, 302-303]",
        "success_body: 'OK: '",
        "headers: {Authorization: Bearer x}",
    ] {
        assert!(read(&hook(good)).is_ok(), "{good}");
    }
    for (wrong, text) in [
        (
            "success_statuses: 2xx",
            "\"success_statuses\" must be a status such as 200, a range such as 200-299, or a list of them",
        ),
        ("success_body: ''", "\"success_body\" must not be empty"),
        (
            "timeout_secs: 0",
            "\"timeout_secs\" must be 1 to 315360000 seconds, not 0",
        ),
        (
            "headers: {'a b': x}",
            "\"headers\" holds \"a b\", which is no name of a header",
        ),
        (
            "headers: {Content-Length: 5}",
            "\"headers\" must not hold Content-Length, apmon sets it itself",
        ),
        (
            "headers: {X: \"s3cret\\n\"}",
            "\"headers\" X holds characters that no header may hold",
        ),
        (
            "headers: {X-a: 1, x-A: 2}",
            "\"headers\" holds x-A twice: capitals make no difference",
        ),
    ] {
        let told = told(&hook(wrong));
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].ends_with(text), "{told:?}");
    }
}

#[test]
fn channels_that_stand_in_for_others_are_checked() {
    let text = "\
outage_webhooks:
- {preset: slack, url: 'https://h/x', name: chat, then: sms, after_secs: 60}
- {preset: slack, url: 'https://h/x', name: chat}
- {preset: slack, url: 'https://h/x', then: smm}
- {preset: slack, url: 'https://h/x', after_secs: 5}
- {preset: slack, url: 'https://h/x', name: loop, then: loop}
outage_commands:
- {program: /bin/sms, name: sms, then: log}
outage_syslogs:
- {name: log, then: other}
- {name: other, then: sms}";
    assert_eq!(
        told(&in_site(text)),
        [
            "5:47: outage_webhooks 2: \"name\" is already that of outage_webhooks 1",
            "6:47: outage_webhooks 3: \"then\" names no channel: none has the name \"smm\"; did you mean \"sms\"?",
            "7:41: outage_webhooks 4: \"after_secs\" needs then beside it",
            "8:59: outage_webhooks 5: \"then\" leads back here: nobody would be told",
            "10:42: outage_commands 1: \"then\" leads back here: nobody would be told",
            "12:23: outage_syslogs 1: \"then\" leads back here: nobody would be told",
            "13:25: outage_syslogs 2: \"then\" leads back here: nobody would be told",
        ]
    );
    let file = good(&in_site(
        "outage_syslogs: [{name: a, then: b}, {name: b, then: c, after_secs: 60}, {name: c}]",
    ));
    let after: Vec<_> = file
        .outage_syslogs
        .iter()
        .map(|log| log.common.after().get())
        .collect();
    assert_eq!(after, [300, 60, 300]);
}

#[test]
fn a_stand_in_is_told_before_the_message_is_given_up() {
    let site = |expire: &str, after: &str| {
        in_site(&format!(
            "{expire}outage_syslogs: [{{then: b{after}}}, {{name: b}}]"
        ))
    };
    let error = |place: &str, after: u64, expire: u64| {
        [format!(
            "{place}: outage_syslogs 1: \"after_secs\" must be less than notify_expire_secs ({after} >= {expire}): the message is given up before"
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
        told(&site("", ", after_secs: 86400")),
        error("3:42", 86_400, 86_400)
    );
    assert_eq!(told(&site(expire, ", after_secs: 60")), error("4:42", 60, 60));
    assert_eq!(
        told(&site(expire, "")),
        error("4:27", 300, 60),
        "the default counts"
    );
    // What is wrong itself is told once.
    assert_eq!(told(&site(expire, ", after_secs: 0")).len(), 1);
    assert_eq!(
        told(&site("notify_expire_secs: 0\n", ", after_secs: 90000")).len(),
        1
    );
}

#[test]
fn the_engines_own_heartbeat_is_checked() {
    assert_eq!(
        told(&in_site("heartbeat_every_n_secs: 30\nnotify_expire_secs: 0")),
        [
            "3:3: site: \"heartbeat_every_n_secs\" needs heartbeat_url beside it",
            "4:23: site: \"notify_expire_secs\" must be 1 to 315360000 seconds, not 0",
        ]
    );
    assert_eq!(
        told(&in_site("heartbeat_url: hc-ping.com/x")),
        ["3:18: site: \"heartbeat_url\" must be a URL that begins with http:// or https://"]
    );
    let file = good(&in_site(
        "heartbeat_url: 'https://h/x'\nheartbeat_every_n_secs: 30",
    ));
    assert_eq!(file.site.heartbeat_every_n_secs.map(Seconds::get), Some(30));
}

#[test]
fn commands_and_syslogs_are_checked() {
    let text = "\
outage_commands:
- {program: /usr/local/bin/sms, args: [--to, 49], timeout_secs: 5}
- {args: [x]}
- {program: sms --to 49}
outage_syslogs:
- {}
- {address: 'tcp://log.lan:6514', facility: local3}
- {address: log.lan, facility: local8}";
    assert_eq!(
        told(&in_site(text)),
        [
            "5:5: outage_commands 2: \"program\" is missing",
            "6:15: outage_commands 3: \"program\" holds a blank: no shell reads it, arguments go into \"args\"",
            "10:15: outage_syslogs 3: \"address\" must be a path such as /dev/log, udp://host:port or tcp://host:port",
            "10:34: outage_syslogs 3: \"facility\" must be user or daemon or local0 or local1 or local2 or local3 or local4 or local5 or local6 or local7, not \"local8\"; did you mean local0?",
        ]
    );
}

#[test]
fn logins_of_a_mail_server_that_are_not_as_meant_bring_a_warning() {
    let warned = |options: &str| -> Vec<String> {
        let server = format!("email_server: {{smtp_host: h, from_address: a@b, {options}}}");
        let file = good(&in_site(&server));
        file.warnings.iter().map(ToString::to_string).collect()
    };
    let of = |text: &str| vec![format!("email_server: {text}")];
    let clear =
        of("\"smtp_password\" is sent in clear, for use_tls is no: whoever sees the traffic can read it");
    assert_eq!(
        warned("smtp_port: 25, smtp_username: u, smtp_password: p, use_tls: no"),
        clear
    );
    for fine in [
        "smtp_port: 25, use_tls: no",
        "smtp_port: 587, smtp_username: u, smtp_password: p",
        "smtp_port: 465, smtp_username: u, smtp_password: p, use_tls: no",
        "smtp_port: 25, smtp_verify_tls: no",
    ] {
        assert_eq!(warned(fine), [""; 0], "{fine}");
    }
    assert_eq!(
        warned("smtp_port: 587, smtp_username: u"),
        of("\"smtp_username\" has no smtp_password beside it: nobody logs in")
    );
    assert_eq!(
        warned("smtp_port: 587, smtp_password: p"),
        of("\"smtp_password\" has no smtp_username beside it: nobody logs in")
    );
}
