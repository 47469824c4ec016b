//! One option set in a text: what is written where, and which edits are refused.

use apmon_core::config::{ConfigError, MAX_FILE_BYTES};

use super::read;

const VARIABLES: &[(&str, &str)] = &[("NAME", "from env"), ("HOST", "h"), ("SECRET", "s")];

fn set(text: &str, monitor: &str, key: &str, value: &str) -> anyhow::Result<String> {
    super::set(text, VARIABLES, (monitor, key, value))
}

/// The two versions of a text with `‹old¦new›` in it: before and after.
fn versions(marked: &str) -> (String, String) {
    let (head, rest) = marked.split_once('‹').expect("a change");
    let (change, tail) = rest.split_once('›').expect("its end");
    let (old, new) = change.split_once('¦').expect("old and new");
    (format!("{head}{old}{tail}"), format!("{head}{new}{tail}"))
}

/// Sets `key` of the monitor "a" to "5" and compares every byte.
#[track_caller]
fn becomes(key: &str, marked: &str) {
    for line_break in ["\n", "\r\n", "\r"] {
        for mark in ["", "\u{feff}"] {
            let marked = format!("{mark}{}", marked.replace('\n', line_break));
            let (old, new) = versions(&marked);
            match set(&old, "a", key, "5") {
                Ok(text) => assert_eq!(text, new, "\n{old}"),
                Err(error) => panic!("{error}\n{old:?}"),
            }
        }
    }
}

#[track_caller]
fn refused(text: &str, key: &str, value: &str, expected: &str) {
    match set(text, "a", key, value) {
        Ok(text) => panic!("{text}"),
        Err(error) => assert_eq!(error.to_string(), expected, "\n{text}"),
    }
}

#[test]
fn a_new_option_follows_the_address_in_a_block() {
    for marked in [
        "site: {name: Lab}\nmonitors:\n- type: tcp\n  name: a\n  address: tcp://h:1‹¦\n  send: \"5\"›\n",
        // No line break at the end.
        "site: {name: Lab}\nmonitors:\n- type: tcp\n  name: a\n  address: tcp://h:1‹¦\n  send: \"5\"›",
        // The address is in the line of the dash, or below it.
        "site: {name: Lab}\nmonitors:\n  - address: tcp://h:1‹¦\n    send: \"5\"›\n    name: a\n    type: tcp\n",
        "site: {name: Lab}\nmonitors:\n    -\n       address: tcp://h:1‹¦\n       send: \"5\"›\n\n       name: a\n       type: tcp\n",
        "site: {name: Lab}\nmonitors:\n-    address: tcp://h:1‹¦\n     send: \"5\"›\n     name: a\n     type: tcp\n",
        // Comments and blanks stay with their line.
        "# top\nsite: {name: Lab}\nmonitors:\n  # first\n  - name: a # n\n    address: \"tcp://h:1\" \t # the switch: {x}‹¦\n    send: \"5\"›\n    # below\n    type: tcp\n\n# end\n",
        "site: {name: Lab}\nmonitors:\n- name: a\n  type: tcp\n  address: 'tcp://h:1'\t‹¦\n  send: \"5\"›\n# - name: b\n",
        // Values of several lines.
        "site: {name: Lab}\nmonitors:\n- name: a\n  type: tcp\n  address:\n    tcp://h:1 # here‹¦\n  send: \"5\"›\n  token: x\n",
        "site: {name: Lab}\nmonitors:\n- name: a\n  type: tcp\n  address: \"tcp://\\\n    h:1\"‹¦\n  send: \"5\"›\n  token: x\n",
        "site: {name: Lab}\nmonitors:\n- name: a\n  type: tcp\n  address: >- # folded\n     tcp://h:1‹¦\n  send: \"5\"›\n\n\n  # on\n  token: x\n",
        "site: {name: Lab}\nmonitors:\n- name: a\n  type: tcp\n  address: |-\n   tcp://h:1‹¦\n  send: \"5\"›",
        // Quoted keys, explicit keys, properties.
        "site: {name: Lab}\nmonitors:\n- \"name\": a\n  \"type\": tcp\n  \"address\": tcp://h:1‹¦\n  \"send\": \"5\"›\n",
        "site: {name: Lab}\nmonitors:\n- ? name\n  : a\n  ? type\n  : tcp\n  ? address\n  : tcp://h:1‹¦\n  send: \"5\"›\n",
        "site: {name: Lab}\nmonitors:\n- !!map\n  name: a\n  type: tcp\n  &k address: !!str &v tcp://h:1‹¦\n  send: \"5\"›\n",
        // Document markers.
        "%YAML 1.2\n---\nsite: {name: Lab}\nmonitors:\n- name: a\n  type: tcp\n  address: tcp://h:1‹¦\n  send: \"5\"›\n...\n",
        // Other monitors around it, variables, a section after it.
        "monitors:\n- {type: ping, name: z, address: h}\n- name: a\n  type: tcp\n  address: tcp://h:1‹¦\n  send: \"5\"›\n  token: ${SECRET}\n- name: ${NAME}\n  type: ping\n  address: ${HOST}\nsite:\n  name: Läb\n",
    ] {
        let key = if marked.contains("  expect") {
            "expect"
        } else {
            "send"
        };
        becomes(key, marked);
    }
}

#[test]
fn a_new_option_follows_the_address_in_a_flow() {
    for marked in [
        "site: {name: Lab}\nmonitors:\n- {name: a, type: tcp, address: 'tcp://h:1'‹¦, send: \"5\"›}\n",
        "site: {name: Lab}\nmonitors:\n- {address: tcp://h:1‹¦, send: \"5\"› , name: a, type: tcp, }\n",
        "site: {name: Lab}\nmonitors:\n- {name: a, type: tcp, address: tcp://h:1‹¦, send: \"5\"›\t} # c",
        "site: {name: Lab}\nmonitors: [{name: b, type: ping, address: h}, {name: a, address: \"tcp://h:1\"‹¦, send: \"5\"›,type: tcp}]\n",
        "site: {name: Lab}\nmonitors:\n- {\n    name: a, # n\n    address:\n      tcp://h:1‹¦, send: \"5\"› # no comma\n    , type: tcp\n  }\n",
        "site: {name: Lab}\nmonitors:\n- {? name : a, ? type : tcp, ? address : 'tcp://h:1'‹¦, send: \"5\"›}\n",
        "{\"site\":{\"name\":\"Lab\"},\"monitors\":[{\"name\":\"a\",\"type\":\"tcp\",\"address\":\"tcp://h:1\"‹¦, \"send\": \"5\"›}]}",
        "{\n\t\"site\": {\"name\": \"Lab\"},\n\t\"monitors\": [\n\t\t{\n\t\t\t\"address\": \"tcp:\\/\\/h:1\"‹¦, \"send\": \"5\"›,\n\t\t\t\"name\": \"\\u0061\",\n\t\t\t\"type\": \"tcp\"\n\t\t}\n\t]\n}\n",
        "x: &h 'tcp://h:1'\nsite: {name: Lab}\nmonitors: [{name: a, type: tcp, address: *h ‹¦, send: \"5\"›}]\n".replace(" ‹¦", "‹¦").as_str(),
    ] {
        becomes("send", marked);
    }
}

#[test]
fn a_present_value_is_replaced() {
    let head = "site: {name: Lab}\nmonitors:\n- name: a\n  type: tcp\n";
    let tail = "  address: tcp://h:1\n";
    for line in [
        "  send: ‹old¦\"5\"›\n",
        "  send: ‹old¦\"5\"› \t # why: {x}\n",
        "  send: ‹\"ol\\\"d # x\"¦\"5\"› # c\n",
        "  send: ‹'o''ld'¦\"5\"›\n",
        "  send:   ‹${SECRET}¦\"5\"›\n",
        "  send: ‹$${x}¦\"5\"›\n",
        "  'send' : ‹old and\n    more\n\n    of it¦\"5\"› # c\n",
        "  send: ‹\"old\n\n    more\"¦\"5\"›\n",
        "  send:\n    # c\n    ‹old¦\"5\"›\n",
        "  send: ‹|\n    old\n    # no comment\n\n    more¦\"5\"›\n",
        "  send: ‹>2- # c\n      old\n    more¦\"5\" # c›\n\n  # d\n",
        "  send: # a | b\n    &v\n    # > c\n    ‹|\n    old¦\"5\"›\n",
        "  send: &v !!str ‹|+\n    old¦\"5\"›\n\n",
        "  send: ‹|2\n\n\n    old¦\"5\"›\n",
        "  send: !!str ‹old¦\"5\"›\n",
        "  send: &v ‹old¦\"5\"›\n  token: t\n",
        "  ? send # key\n  : ‹old¦\"5\"› # value\n",
    ] {
        becomes("send", &format!("{head}{line}{tail}"));
        becomes("send", &format!("{head}{tail}{line}"));
        if !line.contains("|+") {
            let end = line.strip_suffix('\n').unwrap_or(line);
            becomes("send", &format!("{head}{tail}{end}"));
        }
    }
    for flow in [
        "send: ‹old¦\"5\"›",
        "send: ‹old¦\"5\"› ",
        "'send': ‹'old, {x}'¦\"5\"›",
        "\"send\":‹\"old\"¦\"5\"›",
        "send: ‹old\n  more¦\"5\"›",
    ] {
        let monitor = |options: String| format!("site: {{name: Lab}}\nmonitors: [{{{options}}}]\n");
        let rest = "type: tcp, name: a, address: 'tcp://h:1'";
        becomes("send", &monitor(format!("{flow}, {rest}")));
        becomes("send", &monitor(format!("{rest}, {flow}")));
    }
    // Even the name itself.
    becomes(
        "name",
        "site: {name: Lab}\nmonitors:\n- name: ‹a¦\"5\"›\n  type: ping\n  address: h\n",
    );
}

#[test]
fn a_monitors_own_option_is_set_and_not_that_of_its_anchor() {
    let base = "x: &x {type: tcp, address: 'tcp://h:1', send: theirs}\nsite: {name: Lab}\nmonitors:\n- {<<: *x, name: b}\n";
    for monitor in [
        "- {<<: *x, name: a‹¦, send: \"5\"›}\n",
        "- <<: *x\n  name: a‹¦\n  send: \"5\"› # c\n"
            .replace("‹¦\n  send: \"5\"› # c", " # c‹¦\n  send: \"5\"›")
            .as_str(),
        "- name: a\n  address: tcp://i:1‹¦\n  send: \"5\"›\n  <<: [*x]\n",
        "- &a {name: a‹¦, send: \"5\"›, <<: *x}\n",
        "- &a {name: a, send: ‹mine¦\"5\"›, <<: *x}\n- {<<: *a, name: c, send: other}\n",
    ] {
        becomes("send", &format!("{base}{monitor}"));
    }
    // The value is an alias: the monitor gets one of its own.
    becomes(
        "send",
        "x: &x 4\nsite: {name: Lab}\nmonitors:\n- {name: a, type: tcp, address: 'tcp://h:1', send: ‹*x¦\"5\"› }\n- {name: b, type: tcp, address: 'tcp://h:1', send: *x }\n",
    );
    // Key and name are aliases; nothing but `<<` with a list.
    becomes(
        "send",
        "x: [&k send, &n a]\nsite: {name: Lab}\nmonitors:\n- *k : ‹4¦\"5\"›\n  name: *n\n  type: tcp\n  address: tcp://h:1\n",
    );
    becomes(
        "send",
        "x: &x {type: tcp, address: 'tcp://h:1'}\ny: &y {name: a}\nsite: {name: Lab}\nmonitors:\n- <<: [*x, *y] # both‹¦\n  send: \"5\"›\n",
    );
    // The whole list is an alias.
    becomes(
        "send",
        "x: &x\n- name: a\n  type: tcp\n  address: tcp://h:1‹¦\n  send: \"5\"›\nsite: {name: Lab}\nmonitors: *x\n",
    );
}

#[test]
fn a_new_option_takes_no_line_from_another() {
    let text = "x: &x {type: tcp, address: 'tcp://h:1'}\nsite: {name: Lab}\nmonitors:\n- name: |+\n    a\n\n  <<: *x\n  token: t\n";
    assert_eq!(
        set(text, "a\n\n", "send", "5").unwrap(),
        text.replace("<<: *x\n", "<<: *x\n  send: \"5\"\n")
    );
}

#[test]
fn mixed_line_breaks_are_continued_as_they_are_nearby() {
    let text = "site: {name: Lab}\r\nmonitors:\r\n- type: ping\n  name: a\r\n  address: h\n  email: no\r\n";
    let expected = text.replace("address: h\n", "address: h\n  display: \"no\"\n");
    assert_eq!(set(text, "a", "display", "no").unwrap(), expected);
    let text = "site: {name: Lab}\nmonitors:\n- type: ping\r\n  name: a\n  address: h";
    assert_eq!(
        set(text, "a", "display", "no").unwrap(),
        format!("{text}\n  display: \"no\"")
    );
}

#[test]
fn a_monitor_is_found_by_the_meaning_of_its_name() {
    let text = "\
site: {name: Lab}
monitors:
- {type: ping, name: 'web: #1', address: h}
- {type: ping, name: \"\\u00e4\\\"\\\\ \\ud83d\\ude00\", address: h}
- {type: ping, name: '${NAME}', address: h}
- {type: ping, name: '$${NAME}', address: h}
- {type: ping, name: 007, address: h}
- type: ping
  name: >-
    two
    words
  address: h
";
    for name in ["web: #1", "ä\"\\ 😀", "from env", "${NAME}", "007", "two words"] {
        let new = set(text, name, "email", "no").unwrap();
        for monitor in read(&new, VARIABLES).monitors {
            assert_eq!(monitor.email.value, monitor.name != name, "{name}\n{new}");
        }
    }
}

#[test]
fn a_value_is_written_unambiguously() {
    let text = "site: {name: Lab}\nmonitors:\n- {type: tcp, name: a, address: 'tcp://h:1'}\n";
    for (value, written) in [
        ("", r#""""#),
        ("a \"b\" \\c", r#""a \"b\" \\c""#),
        ("a\nb\r\tc", r#""a\nb\r\tc""#),
        (
            "\u{0}\u{1b}\u{7f}\u{85}\u{2028}\u{feff}\u{202e}",
            r#""\u0000\u001b\u007f\u0085\u2028\ufeff\u202e""#,
        ),
        ("ä 😀 # {", r#""ä 😀 # {""#),
        ("${SECRET}", r#""$${SECRET}""#),
        ("${SECRET} x", r#""${SECRET} x""#),
        ("${not a name}", r#""${not a name}""#),
        ("~", r#""~""#),
        ("*x", r#""*x""#),
    ] {
        let expected = text.replace("h:1'", &format!("h:1', send: {written}"));
        assert_eq!(set(text, "a", "send", value).unwrap(), expected);
    }
}

#[test]
fn an_edit_that_is_refused_names_its_position() {
    let monitor = |options: &str| {
        format!("site: {{name: Lab}}\nmonitors:\n- {{type: tcp, name: a, address: 'tcp://h:1'{options}}}\n")
    };
    refused(
        &monitor("").replace("name: a", "name: bbb"),
        "send",
        "5",
        "lab.yaml:2:1: no monitor is called \"a\"",
    );
    refused(
        &monitor("").replace("name: a", "name: '{a}', email: no"),
        "send",
        "5",
        "lab.yaml:2:1: no monitor is called \"a\"",
    );
    let near = set(
        &monitor("").replace("name: a", "name: gateway"),
        "gatway",
        "send",
        "5",
    );
    assert_eq!(
        near.unwrap_err().to_string(),
        "lab.yaml:2:1: no monitor is called \"gatway\"; did you mean \"gateway\"?"
    );
    refused(
        &monitor(", expect: [x, y]"),
        "expect",
        "5",
        "lab.yaml:3:54: monitor \"a\": \"expect\" is a list; edit it by hand",
    );
    refused(
        &monitor(", headers: {x: y}"),
        "headers",
        "5",
        "lab.yaml:3:55: monitor \"a\": \"headers\" is a section; edit it by hand",
    );
    refused(
        &format!("x: &x [1]\n{}", monitor(", expect: *x")),
        "expect",
        "5",
        "lab.yaml:4:54: monitor \"a\": \"expect\" is a list; edit it by hand",
    );
    refused(
        "x: &x\n  type: ping\n  address: h\n  name: a\nsite: {name: Lab}\nmonitors:\n- *x\n",
        "email",
        "no",
        "lab.yaml:7:3: monitor \"a\" is an alias for line 2; edit line 2 by hand, or replace the alias by a section with \"<<\"",
    );
    refused(
        &monitor(""),
        "send",
        "$${x",
        "lab.yaml:3:3: monitor \"a\": cannot set \"send\" safely: a site file cannot express a value that begins with $${; edit it by hand",
    );
    refused(
        "x: &x\n  monitors: [{type: ping, name: a, address: h}]\n<<: *x\nsite: {name: Lab}\n",
        "email",
        "no",
        "lab.yaml:2:14: monitor \"a\": cannot set \"email\" safely: the list of monitors is merged by \"<<\"; edit it by hand",
    );
    // A monitor without braces of its own has no place for another key.
    refused(
        "x: &x {type: ping, address: h, name: a}\nsite: {name: Lab}\nmonitors: [<<: *x]\n",
        "email",
        "no",
        "lab.yaml:3:12: monitor \"a\": cannot set \"email\" safely: the layout is not supported; edit it by hand",
    );
}

#[test]
fn a_file_does_not_grow_too_large() {
    let mut text = "site: {name: Lab}\nmonitors:\n- {type: ping, name: a, address: h}\n#".to_owned();
    let most = usize::try_from(MAX_FILE_BYTES).unwrap();
    text.push_str(&"x".repeat(most - text.len()));
    refused_briefly(&text, "the file would be too large");
    text.truncate(most - ", email: \"no\"".len());
    assert_eq!(set(&text, "a", "email", "no").unwrap().len(), most);
    refused_briefly(&format!("\u{feff}{text}"), "the file would be too large");
}

#[track_caller]
fn refused_briefly(text: &str, expected: &str) {
    let error = set(text, "a", "email", "no").expect_err("the edit is refused");
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn an_edit_changes_nothing_through_an_anchor() {
    let base = "site: {name: Lab}\nmonitors:\n";
    refused(
        &format!(
            "{base}- &a {{type: tcp, name: a, address: 'tcp://h:1'}}\n- {{<<: *a, name: b}}\n- {{<<: *a, name: c}}\n"
        ),
        "send",
        "5",
        "lab.yaml:3:6: monitor \"a\": setting \"send\" would also change monitor \"b\" and 1 more through an anchor; edit it by hand",
    );
    refused(
        &format!(
            "{base}- {{type: tcp, name: a, address: 'tcp://h:1', send: &s 4}}\n- {{type: tcp, name: b, address: 'tcp://h:1', send: *s}}\n"
        ),
        "send",
        "5",
        "lab.yaml:3:55: monitor \"a\": setting \"send\" would also change monitor \"b\" through an anchor; edit it by hand",
    );
    refused(
        &format!("{base}- {{type: tcp, name: a, address: 'tcp://h:1', send: &s 4, token: *s}}\n"),
        "send",
        "5",
        "lab.yaml:3:55: monitor \"a\": setting \"send\" would also change its \"token\" through an anchor; edit it by hand",
    );
    refused(
        "monitors:\n- {type: tcp, name: a, address: 'tcp://h:1', send: &s 4}\nsite: {name: *s}\n",
        "send",
        "5",
        "lab.yaml:2:55: monitor \"a\": setting \"send\" would also change the section site through an anchor; edit it by hand",
    );
}

#[test]
fn an_edit_that_would_make_the_file_invalid_is_refused() {
    let text = "site: {name: Lab}\nmonitors:\n- {type: ping, name: a, address: h}\n- {type: ping, name: b, address: h}\n";
    for (key, value, expected) in [
        (
            "max_retries",
            "five",
            "lab.yaml:3:3: monitor \"a\": \"max_retries\" must be a whole number, not \"five\"",
        ),
        (
            "send",
            "5",
            "lab.yaml:3:3: monitor \"a\": \"send\" is not an option of type ping; it belongs to tcp",
        ),
        (
            "name",
            "b",
            "lab.yaml:3:22: monitor \"b\": \"name\" is already used by the monitor on line 3",
        ),
        (
            "<<",
            "x",
            "lab.yaml:3:3: \"<<\" must merge a section, found a single value",
        ),
        (
            "a: b\n",
            "x",
            "lab.yaml:3:3: monitor \"a\": unknown option \"a: b\\n\"",
        ),
    ] {
        refused(text, key, value, expected);
    }
    // The errors of a file that is invalid already are reported as usual.
    let invalid = text.replace("address: h", "address: ''");
    let error = set(&invalid, "a", "email", "no").unwrap_err();
    assert!(error.is::<ConfigError>(), "{error}");
    assert!(
        error
            .to_string()
            .starts_with("lab.yaml:3:34: monitor \"a\": \"address\" "),
        "{error}"
    );
}
