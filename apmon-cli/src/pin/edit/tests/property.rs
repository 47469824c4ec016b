//! Any site file in any layout: the option is set, and every other byte stays.

use apmon_core::{Services, config::SiteFile};
use proptest::{collection::vec, prelude::*, sample::select};

use super::set;

const VARIABLES: &[(&str, &str)] = &[("ADDRESS", "tcp://from.env:1"), ("EMPTY", "")];

/// The layout of a monitor.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Layout {
    Block,
    /// The first key is below the dash.
    Below,
    Flow,
    /// One key per line, in braces.
    Braces,
    Json,
}

#[derive(Clone, Debug)]
struct Written {
    layout: Layout,
    /// The keys in order, with their values.
    options: Vec<(&'static str, &'static str)>,
    comment: &'static str,
    /// The text before the next monitor.
    gap: &'static str,
    indent: usize,
}

const ADDRESSES: &[&str] = &[
    "tcp://h:1",
    "'tcp://h:1'",
    "\"tcp://h:\\u0031\"",
    "\"tcp://\\\n            h:1\"",
    "\"${ADDRESS}\"",
    "!!str tcp://h:1",
    "*address",
];
const BLOCK_ADDRESSES: &[&str] = &[
    "|-\n            tcp://h:1",
    ">- # folded\n            tcp://h:1\n",
    "\n            tcp://h:1",
    "${ADDRESS}",
];
const VALUES: &[&str] = &[
    "x",
    "'it''s # {x}'",
    "\"a \\\"b\\\" \\\\\"",
    "\"${EMPTY}\"",
    "two words",
    "two\n            lines",
    "*word",
];
const BLOCK_VALUES: &[&str] = &[
    "|\n            x\n\n            # y",
    ">2-\n              x",
    "|+ # kept\n            x\n\n",
    "$${x}",
];
const JSON_VALUES: &[&str] = &[
    "\"x\"",
    "\"a \\\"b\\\" \\\\ \\u00e4\"",
    "\"${EMPTY}\"",
    "5",
    "true",
];

fn written() -> impl Strategy<Value = Written> {
    let layout = select(vec![
        Layout::Block,
        Layout::Block,
        Layout::Below,
        Layout::Flow,
        Layout::Braces,
        Layout::Json,
    ]);
    let options = layout.prop_flat_map(|layout| {
        let (addresses, values) = match layout {
            Layout::Json => (vec!["\"tcp://h:1\"", "\"${ADDRESS}\""], JSON_VALUES.to_vec()),
            Layout::Block | Layout::Below => (
                [ADDRESSES, BLOCK_ADDRESSES].concat(),
                [VALUES, BLOCK_VALUES].concat(),
            ),
            Layout::Flow | Layout::Braces => (ADDRESSES.to_vec(), VALUES.to_vec()),
        };
        let more = prop::option::of(select(values));
        let merged = match layout {
            Layout::Json => Just(None).boxed(),
            _ => prop::option::of(select(vec!["*base", "[*base, *more]", "{email: no}"])).boxed(),
        };
        (
            Just(layout),
            select(addresses),
            more.clone(),
            more,
            merged,
            0..24_usize,
        )
            .prop_flat_map(|(layout, address, send, token, merged, _)| {
                let mut options = vec![("name", ""), ("address", address)];
                match merged {
                    // The base has the type.
                    Some(merged) if merged.contains("base") => options.push(("<<", merged)),
                    Some(merged) => options.extend([("<<", merged), ("type", "tcp")]),
                    None if layout == Layout::Json => options.push(("type", "\"tcp\"")),
                    None => options.push(("type", "tcp")),
                }
                options.extend(send.map(|value| ("send", value)));
                options.extend(token.map(|value| ("token", value)));
                (Just(layout), Just(options).prop_shuffle())
            })
    });
    let comment = select(vec!["", " ", "\t", "  # {why}: \"x\""]);
    let gap = select(vec!["", "\n", "# - name: x\n", "\n   # deep\n\n", "  \n"]);
    (options, comment, gap, 1..5_usize).prop_map(|((layout, options), comment, gap, indent)| Written {
        layout,
        options,
        comment,
        gap,
        indent,
    })
}

/// The monitor as an item of the list.
fn item(monitor: &Written, name: &str) -> String {
    let value = |key: &str, value: &str| match key {
        "name" => serde_json::to_string(name).unwrap(),
        _ => value.to_owned(),
    };
    let pairs = monitor.options.iter();
    let comment = monitor.comment;
    match monitor.layout {
        Layout::Block | Layout::Below => {
            let pad = " ".repeat(monitor.indent + 1);
            let lines: Vec<_> = pairs
                .map(|(key, text)| {
                    let text = value(key, text);
                    // Behind a block scalar's text a comment would be text.
                    let is_block = text.starts_with(['|', '>']);
                    let comment = if is_block { "" } else { comment };
                    format!("{key}: {text}{comment}\n")
                })
                .collect();
            let first = match monitor.layout {
                Layout::Block => " ".repeat(monitor.indent),
                _ => format!("{comment}\n{pad}"),
            };
            format!("-{first}{}", lines.join(&pad))
        }
        Layout::Flow => {
            let pairs: Vec<_> = pairs
                .map(|(key, text)| format!("{key}: {} ", value(key, text)))
                .collect();
            format!("- {{{}}}{comment}\n", pairs.join(", "))
        }
        Layout::Braces => {
            let lines: Vec<_> = pairs
                .map(|(key, text)| format!("    {key}: {}{comment}\n", value(key, text)))
                .collect();
            format!("- {{{comment}\n{}  }}\n", lines.join("    ,"))
        }
        Layout::Json => {
            let pairs: Vec<_> = pairs
                .map(|(key, text)| format!("\"{key}\":{}", value(key, text)))
                .collect();
            format!("- {{{}}}{comment}\n", pairs.join(","))
        }
    }
}

#[derive(Clone, Debug)]
struct Case {
    text: String,
    names: Vec<String>,
    target: usize,
    /// Whether the monitor has the option in its own section.
    own: bool,
}

fn case() -> impl Strategy<Value = Case> {
    let names = vec(select(vec!["a", "ä: #1", "say \"x\"", "\\ {b}", "- c", "*d"]), 5);
    (
        vec(written(), 1..5),
        names,
        any::<prop::sample::Index>(),
        select(vec!["\n", "\r\n"]),
        any::<[bool; 4]>(),
    )
        .prop_map(
            |(monitors, names, target, line_break, [mark, last_break, site_first, deep])| {
                let names: Vec<_> = (0..monitors.len())
                    .map(|index| format!("{} {index}", names[index]))
                    .collect();
                let mut list = String::from("monitors: # all\n");
                for (monitor, name) in monitors.iter().zip(&names) {
                    let item = item(monitor, name);
                    let pad = if deep { "  " } else { "" };
                    for line in item.split_inclusive('\n') {
                        list.push_str(if line.trim().is_empty() { "" } else { pad });
                        list.push_str(line);
                    }
                    list.push_str(monitor.gap);
                }
                let base = "x-base: &base {type: tcp, send: theirs, token: t}\nx-more: &more\n  email: no\n\
                        x-w: [&word word, &address 'tcp://h:1']\n";
                let site = "site:\n  name: Läb # the lab\n";
                let mut text = match site_first {
                    true => format!("{base}{site}{list}"),
                    false => format!("# top\n\n{base}{list}{site}"),
                };
                if !last_break {
                    text.truncate(text.trim_end_matches('\n').len());
                }
                let target = target.index(monitors.len());
                Case {
                    text: format!(
                        "{}{}",
                        if mark { "\u{feff}" } else { "" },
                        text.replace('\n', line_break)
                    ),
                    own: monitors[target].options.iter().any(|(key, _)| *key == "send"),
                    names,
                    target,
                }
            },
        )
}

fn sends(file: &SiteFile) -> Vec<serde_json::Value> {
    let options = file.monitors.iter().map(|monitor| {
        let shown = monitor.build(&Services::default()).watch().address.clone();
        serde_json::from_str::<serde_json::Value>(&shown).unwrap()
    });
    options.map(|mut options| options["send"].take()).collect()
}

fn read(text: &str) -> SiteFile {
    let bare = text.strip_prefix('\u{feff}').unwrap_or(text);
    super::read(bare, VARIABLES)
}

/// The length of the common prefix.
fn common(a: impl Iterator<Item = u8>, b: impl Iterator<Item = u8>) -> usize {
    a.zip(b).take_while(|(a, b)| a == b).count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_option_is_set_and_nothing_else_changes(case in case(), value in any::<String>()) {
        prop_assume!(!value.starts_with("$${"));
        let (text, name) = (&case.text, &case.names[case.target]);
        let old = read(text);
        let new_text = set(text, VARIABLES, (name, "send", &value));
        let new_text = match new_text {
            Ok(new_text) => new_text,
            Err(error) => panic!("{error}\n{text}"),
        };
        let new = read(&new_text);

        let mut expected = sends(&old);
        expected[case.target] = serde_json::Value::String(value.clone());
        prop_assert_eq!(sends(&new), expected);
        for (index, (old, new)) in old.monitors.iter().zip(&new.monitors).enumerate() {
            prop_assert_eq!(&old.name, &new.name);
            prop_assert!(index == case.target || old.checksum == new.checksum);
        }

        let head = common(text.bytes(), new_text.bytes());
        let room = text.len().min(new_text.len()) - head;
        let tail = common(text.bytes().rev(), new_text.bytes().rev()).min(room);
        let removed = &text.as_bytes()[head..text.len() - tail];
        let added = &new_text.as_bytes()[head..new_text.len() - tail];
        if case.own {
            // Only lines of the value were removed: any other line has a key.
            let removed = String::from_utf8_lossy(removed);
            prop_assert!(!removed.contains(": ") || removed.contains(" # {x}"), "{removed}\n{text}");
        } else {
            // Without the added bytes the old text is left.
            prop_assert!(removed.is_empty(), "{}\n{new_text}", String::from_utf8_lossy(removed));
            let added = String::from_utf8_lossy(added);
            prop_assert!(added.contains("send") && added.matches('\n').count() <= 1, "{added}");
        }
    }

    #[test]
    fn a_damaged_text_causes_no_panic_and_no_invalid_file(case in case(), cut in any::<prop::sample::Index>(), piece in ".{0,3}") {
        let mut text: Vec<char> = case.text.chars().collect();
        let at = cut.index(text.len());
        text.splice(at..(at + 2).min(text.len()), piece.chars());
        let text: String = text.into_iter().collect();
        for name in &case.names {
            if let Ok(new) = set(&text, VARIABLES, (name, "send", "v")) {
                read(&new);
            }
        }
    }
}
