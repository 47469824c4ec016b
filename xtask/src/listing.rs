//! Adds a kind of monitor or channel to the `lib.rs` that lists it.

use crate::fault::Fault;

/// Adds the kind `name` with the type `kind` to the `lib.rs` of apmon-probes, in
/// three places.
pub(crate) fn probe(lib: &str, name: &str, kind: &str) -> Result<String, Fault> {
    let lib = insert_item(lib, "mod ", &format!("mod {name};"))?;
    let lib = insert_item(
        &lib,
        "pub use ",
        &format!("pub use {name}::{{{kind}, {kind}Options}};"),
    )?;
    insert_in_table(&lib, "KINDS", &format!("&{kind}"))
}

/// Adds the kind of channel `name` with the type `kind` to the `lib.rs` of
/// apmon-notify: one line, which declares its module and lists the kind.
pub(crate) fn channel(lib: &str, name: &str, kind: &str) -> Result<String, Fault> {
    let no_list = || Fault::new("lib.rs has no list `channels! { ... }`");
    let open = lib.find("\nchannels! {\n").ok_or_else(no_list)?;
    let close = open + lib[open..].find("\n}\n").ok_or_else(no_list)? + 1;
    let (before, after) = lib.split_at(close);
    Ok(format!("{before}    {name}::{kind},\n{after}"))
}

/// Inserts `item` among the top-level items with the same beginning, in order.
fn insert_item(lib: &str, beginning: &str, item: &str) -> Result<String, Fault> {
    let mut at = None;
    let mut offset = 0;
    let mut within = false;
    for line in lib.split_inclusive('\n') {
        let end = offset + line.len();
        // The group of these items ends with a blank line.
        if at.is_some() && line.trim().is_empty() {
            break;
        }
        if line.starts_with(beginning) {
            if line.trim_end() > item {
                at = Some(offset);
                break;
            }
            within = true;
        }
        // An item may span several lines; the place is after its end.
        if within && line.contains(';') {
            at = Some(end);
            within = false;
        }
        offset = end;
    }
    let Some(at) = at else {
        let what = beginning.trim();
        return Err(Fault::new(format!(
            "lib.rs has no line `{what} ...;` to insert the new one at"
        )));
    };
    let (before, after) = lib.split_at(at);
    Ok(format!("{before}{item}\n{after}"))
}

/// Appends `entry` to the table of this name.
fn insert_in_table(lib: &str, table: &str, entry: &str) -> Result<String, Fault> {
    let no_table = || Fault::new(format!("lib.rs has no table `pub const {table}: ... = &[...];`"));
    let table = lib.find(&format!("pub const {table}")).ok_or_else(no_table)?;
    let open = table + lib[table..].find("= &[").ok_or_else(no_table)? + "= &[".len();
    let close = open + lib[open..].find("];").ok_or_else(no_table)?;
    let entries = lib[open..close].trim_end();
    let (before, after) = (&lib[..open], &lib[close..]);
    Ok(if entries.contains('\n') {
        let comma = if entries.ends_with(',') { "" } else { "," };
        format!("{before}{entries}{comma}\n    {entry},\n{after}")
    } else if entries.is_empty() {
        format!("{before}{entry}{after}")
    } else {
        format!("{before}{}, {entry}{after}", entries.trim_end_matches(','))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIB: &str = "\
mod course;
mod ping;
mod tcp;

use apmon_core::MonitorKind;

pub use ping::{
    Ping, PingOptions,
};
pub use tcp::Tcp;

/// Every kind of this crate.
pub const KINDS: &[&dyn MonitorKind] = &[&Ping, &Tcp];

#[cfg(test)]
mod skeleton;
";

    #[test]
    fn a_new_kind_is_listed_in_three_places_in_order() {
        let listed = probe(LIB, "echo", "Echo").unwrap();
        assert!(listed.contains("mod course;\nmod echo;\nmod ping;\n"), "{listed}");
        assert!(
            listed.contains("MonitorKind;\n\npub use echo::{Echo, EchoOptions};\npub use ping::{"),
            "{listed}"
        );
        assert!(listed.contains("= &[&Ping, &Tcp, &Echo];\n"), "{listed}");
    }

    #[test]
    fn the_last_in_order_is_inserted_after_the_last() {
        let listed = probe(LIB, "zebra", "Zebra").unwrap();
        assert!(listed.contains("mod tcp;\nmod zebra;\n\nuse"), "{listed}");
        assert!(
            listed.contains("pub use tcp::Tcp;\npub use zebra::{Zebra, ZebraOptions};\n"),
            "{listed}"
        );
        let listed = probe(LIB, "quic", "Quic").unwrap();
        assert!(
            listed.contains("};\npub use quic::{Quic, QuicOptions};\npub use tcp"),
            "{listed}"
        );
    }

    #[test]
    fn a_table_may_have_a_line_for_each_kind() {
        let lib = LIB.replace("&[&Ping, &Tcp]", "&[\n    &Ping,\n    &Tcp,\n]");
        let listed = probe(&lib, "echo", "Echo").unwrap();
        assert!(
            listed.contains("= &[\n    &Ping,\n    &Tcp,\n    &Echo,\n];\n"),
            "{listed}"
        );
    }

    #[test]
    fn the_real_table_can_be_extended() {
        let lib = crate::workspace::root().join("apmon-probes/src/lib.rs");
        let lib = crate::workspace::read(&lib).unwrap();
        let listed = probe(&lib, "echo", "Echo").unwrap();
        assert_eq!(
            listed.lines().count(),
            lib.lines().count() + 2 + usize::from(lib.contains("&[\n"))
        );
        assert!(listed.contains("&Echo"), "{listed}");
    }

    #[test]
    fn a_file_without_the_expected_lines_is_refused() {
        assert!(probe("mod a;\npub use a::A;\n", "echo", "Echo").is_err());
        assert!(probe("pub const KINDS: X = &[];", "echo", "Echo").is_err());
    }

    #[test]
    fn a_channel_is_one_line_of_the_real_list() {
        let lib = crate::workspace::root().join("apmon-notify/src/lib.rs");
        let lib = crate::workspace::read(&lib).unwrap();
        let listed = channel(&lib, "echo", "EchoKind").unwrap();
        assert_eq!(listed.replacen("    echo::EchoKind,\n", "", 1), lib);
        assert!(channel("mod a;\n", "echo", "EchoKind").is_err());
    }
}
