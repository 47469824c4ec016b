//! `cargo xtask new-channel NAME`: writes a kind of channel that compiles, is
//! listed, and is covered by the contract tests immediately.

use crate::{
    fault::Fault,
    format, listing,
    new_probe::{check_name, check_new, type_name},
    workspace,
};

/// A kind of channel named `skeleton`. The tests of apmon-notify compile and run it.
const SKELETON: &str = include_str!("new_channel/skeleton.rs");

pub(crate) fn run(arguments: &[String]) -> Result<(), Fault> {
    let [name] = arguments else {
        return Err(Fault::new("takes one argument, the name of the new channel"));
    };
    check_name(name)?;
    let root = workspace::root();
    check_new(&root, name)?;
    let source = root.join("apmon-notify/src");
    let lib = source.join("lib.rs");
    let channel = source.join(format!("{name}.rs"));
    // Every error is found before anything is written.
    let kind = format!("{}Kind", type_name(name));
    let listed = listing::channel(&workspace::read(&lib)?, name, &kind)?;
    workspace::write(&channel, &format::formatted(&skeleton(name))?)?;
    workspace::write(&lib, &listed)?;
    println!(
        "wrote {} and listed it in {}

next:
  1. describe the channel in {0} and implement its delivery (syslog.rs is an example)
  2. cargo test -p apmon-notify {name}     (its own test; the contract tests already cover it)
  3. cargo xtask docs                      (adds its options to the reference)
  4. cargo xtask test, and add a line to CHANGELOG.md",
        workspace::shown(&channel),
        workspace::shown(&lib)
    );
    Ok(())
}

fn skeleton(name: &str) -> String {
    SKELETON
        .replace("outage_skeletons", &format!("outage_{name}s"))
        .replace("skeleton", name)
        .replace("Skeleton", &type_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skeleton_has_no_placeholder_left() {
        let text = skeleton("door_bell");
        for word in ["skeleton", "Skeleton"] {
            assert!(!text.contains(word), "{text}");
        }
        for part in ["struct DoorBellKind;", "\"door_bell\"", "\"outage_door_bells\""] {
            assert!(text.contains(part), "{part}");
        }
    }
}
