//! Naming ports in messages.

use std::{collections::HashMap, fmt};

use crate::rule::follow::Identity;

/// The name of a port in a message; if several ports have the same name, followed by the
/// short name or the ifIndex.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Label(String);

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The labels of all ports of a device, in their order.
pub(super) fn labels<'a>(ports: impl Iterator<Item = Identity<'a>> + Clone) -> Vec<Label> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for port in ports.clone() {
        *counts.entry(port.name).or_default() += 1;
    }
    let label = |port: Identity<'_>| {
        let Identity { index, name, .. } = port;
        let short = port.short_name.filter(|name| !name.is_empty());
        Label(match (name.is_empty(), counts[name], short) {
            (false, 1, _) => name.to_owned(),
            (true, _, Some(short)) => short.to_owned(),
            (true, _, None) => format!("ifIndex={index}"),
            (false, _, Some(short)) => format!("{name} ({short})"),
            (false, _, None) => format!("{name} (ifIndex={index})"),
        })
    };
    ports.map(label).collect()
}
