//! The checksum of a monitor covers its effective options.

use super::{in_tcp, kind::KINDS, one, read_as, valid};

fn sum(text: &str) -> String {
    let sum = one(text).checksum;
    assert!(
        sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{sum}"
    );
    sum
}

/// The checksum of the first monitor; the other does not matter.
fn first(site: &str, monitor: &str) -> String {
    let text = format!(
        "site: {{name: Lab{site}}}\nmonitors:\n- {{{monitor}}}\n- {{type: ping, name: z, address: h}}\n"
    );
    valid(&text).monitors[0].checksum.clone()
}

const PORT: &str = "type: port, name: a, address: 'snmp://h', port: 1, mac: m";

#[test]
fn order_comments_and_style_do_not_change_the_checksum() {
    let sums = [
        sum(
            "site: {name: Lab}\nmonitors: [{type: tcp, name: a, address: 'tcp://h:1', codes: [5], display: no, headers: {A: b, C: d}}]\n",
        ),
        sum(
            "site: {name: Lab}\nmonitors: [{codes: 5, headers: {C: d, A: b}, display: off, address: 'tcp://h:1', name: a, type: tcp}]\n",
        ),
        sum(
            "{\"site\": {\"name\": \"Lab\"}, \"monitors\": [{\"type\": \"tcp\", \"name\": \"a\", \"address\": \"tcp://h:1\", \"codes\": \"05\", \"display\": false, \"headers\": {\"A\": \"b\", \"C\": \"d\"}}]}",
        ),
        sum(
            "# hello\nmonitors:\n  # a monitor\n  - name: a # its name\n    type: tcp\n    codes:\n      - 5\n    address: tcp://h:1\n    headers:\n      C: d\n      A: b\n    display: 'NO'\nsite:\n  name: Attic\n",
        ),
        sum(
            "x-a: &a {type: tcp, display: no, codes: 7, headers: &h {C: d, A: b}}\nx-c: &c 5\nsite: {name: Lab, max_threads: 4}\nmonitors: [{<<: *a, name: a, address: 'tcp://h:1', codes: [*c]}]\n",
        ),
    ];
    for other in &sums[1..] {
        assert_eq!(*other, sums[0]);
    }
    let variable = in_tcp("send: ${V}");
    let file = read_as(&variable, KINDS, &[("V", "x")]).unwrap();
    assert_eq!(file.monitors[0].checksum, sum(&in_tcp("send: x")));
}

#[test]
fn writing_out_a_default_does_not_change_the_checksum() {
    for default in [
        "check_every_n_secs: 60",
        "notify_every_n_secs: 600",
        "notify_every_n_secs: 600, after_every_n_notifications: 1",
        "max_retries: 3",
        "max_try_secs: 20",
        "retry_every_n_secs: 20",
        "unknown_after_secs: 300",
        "alarms: yes",
        "email: yes",
        "display: yes",
        "community: public",
        "always_up: no",
    ] {
        assert_eq!(
            first("", &format!("{PORT}, {default}")),
            first("", PORT),
            "{default}"
        );
    }
    // Nor does the section that a value is written in.
    assert_eq!(
        first(", check_every_n_secs: 5", PORT),
        first("", &format!("{PORT}, check_every_n_secs: 5"))
    );
    assert_eq!(
        first(", alarms: no", &format!("{PORT}, alarms: yes")),
        first("", PORT)
    );
}

#[test]
fn every_effective_option_changes_the_checksum() {
    let mut sums = vec![first("", PORT)];
    let changed = [
        ("name: a", "name: b"),
        ("snmp://h", "snmp://i"),
        ("snmp://h", "snmp://community@h"),
        ("port: 1", "port: 2"),
        ("mac: m", "mac: n"),
    ];
    sums.extend(changed.map(|(from, to)| first("", &PORT.replace(from, to))));
    let added = [
        "check_every_n_secs: 61",
        "notify_every_n_secs: 601",
        "notify_every_n_secs: 600, after_every_n_notifications: 2",
        "max_retries: 4",
        "max_try_secs: 21",
        "retry_every_n_secs: 19",
        "unknown_after_secs: 301",
        "alarms: no",
        "email: no",
        "display: no",
        "heartbeat_url: 'https://h/1'",
        "heartbeat_url: 'https://h/2'",
        "heartbeat_url: 'https://h/2', heartbeat_every_n_secs: 60",
        "community: private",
        "always_up: yes",
        "percentile: 95",
    ];
    sums.extend(added.map(|option| first("", &format!("{PORT}, {option}"))));
    // So do inherited options; each differs from those above.
    let site = [
        "check_every_n_secs: 62",
        "notify_every_n_secs: 602",
        "after_every_n_notifications: 3",
        "max_retries: 5",
        "max_try_secs: 22",
        "retry_every_n_secs: 18",
        "unknown_after_secs: 302",
    ];
    sums.extend(site.map(|option| first(&format!(", {option}"), PORT)));
    let count = sums.len();
    sums.sort();
    sums.dedup();
    assert_eq!(sums.len(), count);
    assert_eq!(
        first(", alarms: no", PORT),
        first("", &format!("{PORT}, alarms: no"))
    );
}
