//! Anchors, aliases, `<<`, and duplicate keys.

use super::{errors, table, valid};

#[test]
fn a_monitor_merges_the_options_that_it_does_not_set_itself() {
    let text = "\
x-lan: &lan
  type: ping
  check_every_n_secs: 10
  max_retries: 5
x-night: &night {max_retries: 9, alarms: no}
site: {name: Lab}
monitors:
- {<<: *lan, name: a, address: 10.0.0.1}
- name: b
  check_every_n_secs: 20
  <<: *lan
  address: 10.0.0.2
- {<<: [*night, *lan], name: c, address: 10.0.0.3}
- {<<: [*lan, *night], name: d, address: 10.0.0.4, alarms: yes}
- {<<: {type: ping}, <<: *night, name: e, address: 10.0.0.5}
";
    let monitors = valid(text).monitors;
    let read = monitors.iter().map(|monitor| {
        (
            monitor.name.as_str(),
            monitor.check_every.value.get(),
            monitor.max_retries.value.get().get(),
            monitor.alarms.value,
        )
    });
    assert_eq!(
        read.collect::<Vec<_>>(),
        [
            ("a", 10, 5, true),
            ("b", 20, 5, true),
            ("c", 10, 9, false),
            ("d", 10, 5, true),
            ("e", 60, 9, false),
        ]
    );
}

#[test]
fn a_section_with_merged_keys_can_be_merged_again() {
    let text = "\
x-a: &a {type: ping, max_retries: 5}
x-b: &b {<<: *a, max_retries: 6}
site: &site {name: Lab}
monitors: &all
- &first {<<: *b, name: a, address: h}
- {<<: *first, name: b}
x-site: *site
x-all: *all
";
    let monitors = valid(text).monitors;
    assert_eq!(monitors[1].max_retries.value.get().get(), 6);
    assert_eq!(monitors[1].address, "h");
}

#[test]
fn an_error_in_a_section_that_many_monitors_merge_is_reported_once() {
    let text = "\
x-base: &base
  type: ping
  chek_every_n_secs: 5
  max_retries: none
  expect: x
site: {name: Lab}
monitors:
- {<<: *base, name: a, address: 10.0.0.1}
- {<<: *base, name: b, address: 10.0.0.2}
- {<<: *base, name: c, address: 'tcp://10.0.0.3:1', type: tcp}
";
    assert_eq!(
        errors(text),
        [
            "3:3: monitor \"a\" and 2 more: unknown option \"chek_every_n_secs\"; did you mean \"check_every_n_secs\"?",
            "4:16: monitor \"a\" and 2 more: \"max_retries\" must be a whole number, not \"none\"",
            "5:3: monitor \"a\" and 1 more: \"expect\" is not an option of type ping; it belongs to tcp",
        ]
    );
}

#[test]
fn an_error_of_one_use_is_reported_where_it_is_used() {
    let text = "\
x-base: &base {type: ping, name: same, address: h}
x-whole: &whole {type: ping, name: w}
x-word: &word often
site: {name: Lab}
monitors:
- {<<: *base}
- {<<: *base}
- *whole
- *whole
- {<<: *base, name: c, max_retries: *word, alarms: *word}
- {<<: *word, <<: [*base, *word], name: d}
";
    assert_eq!(
        errors(text),
        [
            "7:3: monitor \"same\": \"name\" is already used by the monitor on line 6",
            "8:3: monitor \"w\": \"address\" is missing",
            "9:3: monitor \"w\": \"name\" is already used by the monitor on line 8",
            "9:3: monitor \"w\": \"address\" is missing",
            "10:37: monitor \"c\": \"max_retries\" must be a whole number, not \"often\"",
            "10:52: monitor \"c\": \"alarms\" must be yes or no, not \"often\"",
            "11:8: \"<<\" must merge a section, found a single value",
            "11:27: \"<<\" must merge a section, found a single value",
        ]
    );
}

#[test]
fn an_anchor_must_be_defined_above_its_aliases() {
    table(
        str::to_owned,
        &[
            (
                "site: *lab\n",
                &["1:7: no anchor of this name is defined above; quote text that begins with *"],
            ),
            (
                "site: {name: *.example}\n",
                &["1:14: no anchor of this name is defined above; quote text that begins with *"],
            ),
            (
                "site: &site\n  name: [*site]\n",
                &["2:10: an alias is used inside its own anchor"],
            ),
        ],
    );
}

#[test]
fn a_duplicate_key_is_an_error() {
    let text = "\
site:
  name: Lab
  name: Attic
  name: Cellar
monitors:
- {type: ping, name: a, address: h, type: tcp}
x-notes: {a: 1, \"a\": 2}
site: {}
";
    assert_eq!(
        errors(text),
        [
            "3:3: \"name\" is already given on line 2",
            "4:3: \"name\" is already given on line 2",
            "6:37: \"type\" is already given on line 6",
            "7:17: \"a\" is already given on line 7",
            "8:1: \"site\" is already given on line 1",
        ]
    );
}

#[test]
fn a_key_must_be_a_single_value() {
    table(
        str::to_owned,
        &[
            (
                "? [a]\n: b\n",
                &["1:3: a key must be a single value, found a list"],
            ),
            (
                "{{a: b}: c}\n",
                &["1:2: a key must be a single value, found a section"],
            ),
        ],
    );
}
