//! Options that are lists or sections.

use serde_json::json;

use super::{errors, in_tcp, table, value_of};

#[test]
fn a_single_value_is_read_as_a_list_of_one() {
    for (text, value) in [
        ("codes: 200", json!([200])),
        ("codes: [200]", json!([200])),
        ("codes: [200, '204']", json!([200, 204])),
        ("codes: []", json!([])),
        ("expect: a", json!(["a"])),
        ("expect:\n- a\n- 0123", json!(["a", "0123"])),
    ] {
        let option = text.split_once(':').unwrap().0;
        assert_eq!(value_of(&in_tcp(text), option), value, "{text}");
    }
}

#[test]
fn every_invalid_item_of_a_list_is_reported() {
    table(
        in_tcp,
        &[
            (
                "codes: [1, x, 70000, 2, [], {}, ~, -1]",
                &[
                    "6:14: monitor \"a\": \"codes\" must be a whole number, not \"x\"",
                    "6:17: monitor \"a\": \"codes\" must be 0 to 65535, not \"70000\"",
                    "6:27: monitor \"a\": \"codes\" must be a whole number, found a list",
                    "6:31: monitor \"a\": \"codes\" must be a whole number, found a section",
                    "6:35: monitor \"a\": \"codes\" has no value; give one or remove the line",
                    "6:38: monitor \"a\": \"codes\" must be 0 to 65535, not \"-1\"",
                ],
            ),
            (
                "codes: {a: b}",
                &["6:10: monitor \"a\": \"codes\" must be a whole number, found a section"],
            ),
            (
                "lines: one",
                &["6:10: monitor \"a\": \"lines\" must be a list, found a single value"],
            ),
            (
                "lines:",
                &["6:8: monitor \"a\": \"lines\" has no value; give one or remove the line"],
            ),
        ],
    );
}

#[test]
fn of_many_invalid_items_only_the_first_are_reported() {
    let text = in_tcp(&format!("codes: [{}]", "x, ".repeat(50_000)));
    assert_eq!(errors(&text).len(), 20);
}

#[test]
fn an_error_in_a_nested_section_names_the_whole_path() {
    table(
        in_tcp,
        &[
            ("login: {user: u, password: p}", &[]),
            (
                "login: {usr: u, tries: 300, password: {a: b}}",
                &[
                    "6:11: monitor \"a\": \"login\" has an unknown option \"usr\"; did you mean \"user\"?",
                    "6:26: monitor \"a\": \"login.tries\" must be 0 to 255, not \"300\"",
                    "6:41: monitor \"a\": \"login.password\" must be text, found a section",
                ],
            ),
            (
                "login: {password: p}",
                &["6:10: monitor \"a\": \"login\" needs \"user\""],
            ),
            (
                "login: u",
                &["6:10: monitor \"a\": \"login\" must be a section of options, found a single value"],
            ),
            (
                "headers: {A: b, C: [d], E: }",
                &[
                    "6:22: monitor \"a\": \"headers.C\" must be text, found a list",
                    "6:28: monitor \"a\": \"headers.E\" has no value; give one or remove the line",
                ],
            ),
            (
                "headers: [A]",
                &["6:12: monitor \"a\": \"headers\" must be a section, found a list"],
            ),
        ],
    );
}
