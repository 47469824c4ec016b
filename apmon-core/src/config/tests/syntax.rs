//! Invalid YAML, JSON, and input that is meant to break a parser.

use super::{errors, read, table, valid};
use crate::time::Stopwatch;

/// The lines of the error, which must come within 30 seconds.
fn soon(text: &str) -> Vec<String> {
    let watch = Stopwatch::start();
    let lines = read(text).map_or_else(|lines| lines, |_| Vec::new());
    assert!(watch.elapsed().as_secs() < 30, "took {:?}", watch.elapsed());
    lines
}

#[test]
fn a_syntax_error_ends_the_reading_after_one_notification() {
    table(
        str::to_owned,
        &[
            ("", &["1:1: the file is empty"]),
            ("# a\n  # b\n\n", &["1:1: the file is empty"]),
            (
                "---\n",
                &["1:4: a site file must have the sections site and monitors, found nothing"],
            ),
            ("site:\n\tname: Lab\n", &["2:2: tabs cannot indent; use spaces"]),
            (
                "site:\n  name: Lab\n max_threads: 3\n",
                &["3:2: expected a key here; is the line indented like those above?"],
            ),
            (
                "site:\n  name: Lab: 1\n",
                &["2:12: a second \":\" on one line; quote text that contains \": \""],
            ),
            (
                "site:\n  name: @lab\n",
                &["2:9: text cannot begin with @; put it in quotes"],
            ),
            (
                "site:\n  name: \u{1}lab\n",
                &["2:9: text cannot begin with \\u{1}; put it in quotes"],
            ),
            (
                "site: {name: \"Lab}\nmonitors: []\n",
                &["1:14: the quote \" that begins here is not closed"],
            ),
            (
                "site: {name: Lab]\n",
                &["1:7: mismatched bracket '{' closed by ']'"],
            ),
            ("site: [a, b\n", &["1:7: unclosed bracket '['"]),
            (
                "site: {name: \"\\q\"}\n",
                &["1:14: while parsing a quoted scalar, found unknown escape character"],
            ),
            (
                "site: {name: a}\n---\nmonitors: []\n",
                &["2:1: a second document begins here; a site file must have only one"],
            ),
            ("site: {nom: a}\nmonitors: [\n", &["2:11: unclosed bracket '['"]),
        ],
    );
}

#[test]
fn a_document_may_have_markers() {
    let file =
        valid("%YAML 1.2\n---\nsite: {name: Lab}\nmonitors: [{type: ping, name: a, address: h}]\n...\n");
    assert_eq!(file.name, "Lab");
}

#[test]
fn line_ends_of_all_systems_are_accepted() {
    let text = "site:\n  name: Lab\n  bad: 3\nmonitors:\n- type: tcp\n  name: a\n  address: tcp://h:1\n  send: |\n    x\n    y\n  expect: [[]]\n";
    let expected = [
        "3:3: site: unknown option \"bad\"",
        "11:12: monitor \"a\": \"expect\" must be text, found a list",
    ];
    assert_eq!(errors(text), expected);
    assert_eq!(errors(&text.replace('\n', "\r\n")), expected);
    assert_eq!(errors(&text.replace('\n', "\r")), expected);
    assert_eq!(errors(text.trim_end()), expected);
}

#[test]
fn json_is_read_with_its_tabs_and_escapes() {
    let text = "{\n\t\"site\":\t{\"name\":\"La\\u0062 \\u00e4 \\ud83d\\ude00 \\\"\\\\\\/\\b\\f\\n\\r\\t\"},\n\t\"monitors\": [\n\t\t{\"type\":\"ping\",\"name\":\"a\",\"address\":\"h\",\"check_every_n_secs\":5,\"alarms\":false}\n\t]\n}\n";
    let file = valid(text);
    assert_eq!(file.name, "Lab ä 😀 \"\\/\u{8}\u{c}\n\r\t");
    assert_eq!(file.monitors[0].check_every.value.get(), 5);
    assert!(!file.monitors[0].alarms.value);

    let text = "{\n\t\"site\": {\n\t\t\"name\": null,\n\t\t\"max_threads\": 1.5,\n\t\t\"max_retries\": 1,\n\t\t\"max_retries\": 2\n\t},\n\t\"monitors\": {}\n}\n";
    assert_eq!(
        errors(text),
        [
            "3:11: site: \"name\" has no value; give one",
            "4:18: site: \"max_threads\" must be a whole number, not \"1.5\"",
            "6:3: \"max_retries\" is already given on line 5",
            "8:14: \"monitors\" must be a list, found a section; begin each monitor with \"- \"",
        ]
    );
    for (text, expected) in [
        (
            r#"{"site": {"name": "\ud83d"}}"#,
            "1:19: while parsing a quoted scalar, found high surrogate without following low surrogate",
        ),
        (
            r#"{"site": {"name": "\ude00"}}"#,
            "1:19: while parsing a quoted scalar, found unpaired low surrogate",
        ),
        (
            r#"{"site": {"name": "\u12g4"}}"#,
            "1:19: while parsing a quoted scalar, did not find expected hexadecimal number",
        ),
        (r#"{"site": {"name": "a"}"#, "1:1: unclosed bracket '{'"),
    ] {
        assert_eq!(errors(text), [expected]);
    }
}

#[test]
fn json_keys_may_be_long() {
    for length in [1_000, 1_024, 3_000, 60_000] {
        let key = "k".repeat(length);
        let text = format!(
            "{{\"x-{key}\": 1, \"site\": {{\"name\": \"a\"}}, \"monitors\": [{{\"type\": \"tcp\", \"name\": \"a\", \
             \"address\": \"tcp://h:1\", \"headers\": {{\"{key}\": \"v\"}}}}]}}"
        );
        assert!(read(&text).is_ok(), "{length}");
    }
}

#[test]
fn nesting_is_limited_to_64_levels() {
    let nested = |levels: usize| format!("x-a: {}{}\n", "[".repeat(levels - 1), "]".repeat(levels - 1));
    let missing = [
        "1:1: the section \"site\" is missing",
        "1:1: the section \"monitors\" is missing",
    ];
    assert_eq!(errors(&nested(64)), missing);
    assert_eq!(errors(&nested(65)), ["1:69: nested deeper than 64 levels"]);
    let steps: String = (0..65)
        .map(|level| format!("{}a:\n", " ".repeat(level)))
        .collect();
    assert_eq!(errors(&steps), ["65:65: nested deeper than 64 levels"]);
}

#[test]
fn endless_brackets_are_an_error_and_not_a_crash() {
    for (unit, place) in [
        ("[", "1:65"),
        ("{", "1:65"),
        ("- ", "1:129"),
        ("? ", "1:129"),
        ("{a: ", "1:257"),
        ("[{", "1:65"),
    ] {
        let lines = soon(&unit.repeat(20_000));
        assert_eq!(
            lines,
            [format!("lab.yaml:{place}: nested deeper than 64 levels")],
            "{unit}"
        );
    }
}

#[test]
fn an_alias_bomb_is_an_error_and_not_a_crash() {
    let mut text = String::from("x-0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..40 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        text.push_str(&format!("x-{level}: &a{level} [{aliases}]\n"));
    }
    assert_eq!(
        soon(&text),
        ["lab.yaml:7:21: more than 2000000 values, counting every use of an alias"]
    );

    // The same with merge keys, and with aliases nested in each other.
    let mut text = String::from("x-0: &a0 {k0: 0}\n");
    for level in 1..3_000 {
        text.push_str(&format!(
            "x-{level}: &a{level} {{<<: *a{}, k{level}: 0}}\n",
            level - 1
        ));
    }
    assert!(soon(&text)[0].ends_with("more than 2000000 values, counting every use of an alias"));
    let mut text = String::from("x-0: &a0 [x]\n");
    for level in 1..1_900 {
        text.push_str(&format!("x-{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert_eq!(soon(&text).len(), 2);
}

#[test]
fn reading_takes_linear_time() {
    let keys: String = (0..20_000)
        .map(|key| format!("  chek_every_n_secs{key}: 3\n"))
        .collect();
    let many = |unit: &str| unit.repeat(20_000);
    for text in [
        format!("site:\n{keys}{keys}"),
        format!("site: {{name: a}}\nmonitors:\n- type: tcp\n{keys}"),
        keys.replace("  chek", "chek"),
        format!(
            "site: {{name: a}}\nmonitors: [{{type: tcp, codes: [{}]}}]",
            many("x, ")
        ),
        format!("site: {{name: a}}\nmonitors: [{}]", many("x, ")),
        format!("site: {{name: a}}\nmonitors:\n{}", many("- {name: a}\n")),
        format!("x-a: &a {{name: a, adress: b}}\nmonitors:\n{}", many("- *a\n")),
        format!("a: {}[{}]{}", "&x [".repeat(50), many("a, "), "]".repeat(50)),
        format!("site: \"{}", many("a\n")),
        format!("site: [{}", many("\"a\" ")),
        many("a"),
        many("&a "),
        many("- a: b\n"),
        many("? a\n"),
        many("#\n"),
        many("|\n"),
    ] {
        assert!(!soon(&text).is_empty());
    }
}
