//! The ids of channels in the outbox.

use std::collections::{HashMap, HashSet};

use super::ChannelEntry;

/// Assigns an id to each channel of a kind, in the order of the file. A channel
/// with a name gets `kind:NAME`, wherever it stands in the list; others get
/// `kind:identity`, and the second with that identity `kind:identity#2`.
pub(super) fn assign(kind: &str, channels: &mut [ChannelEntry]) {
    let entries: Vec<_> = channels
        .iter()
        .map(|channel| {
            let name = channel.name().filter(|_| !channel.blueprint.is_identity_fixed);
            (
                name,
                channel.blueprint.identity.as_str(),
                channel.blueprint.is_identity_fixed,
            )
        })
        .collect();
    let ids = ids(kind, &entries);
    for (channel, id) in channels.iter_mut().zip(ids) {
        channel.id = id;
    }
}

/// The ids of entries, each given as its name (if it has one), its identity, and
/// whether case is ignored when ids are compared.
fn ids(kind: &str, entries: &[(Option<&str>, &str, bool)]) -> Vec<String> {
    let lower = entries.iter().map(|(_, _, is_fixed)| *is_fixed);
    let lower: Vec<bool> = lower.collect();
    let entries: Vec<_> = entries
        .iter()
        .map(|(name, identity, _)| (name.is_some(), format!("{kind}:{}", name.unwrap_or(identity))))
        .collect();
    let named = entries.iter().filter(|(is_named, _)| *is_named);
    let mut names: HashSet<_> = named.map(|(_, id)| id.clone()).collect();
    let mut taken = names.clone();
    let mut numbers: HashMap<String, u32> = HashMap::new();
    entries
        .into_iter()
        .zip(lower)
        .map(|((is_named, id), lower)| {
            // The same name twice is reported elsewhere; the first entry keeps it.
            if is_named && names.remove(&id) {
                return id;
            }
            let mut free = id.clone();
            let key = |id: &String| if lower { id.to_lowercase() } else { id.clone() };
            // The numbers up to this one are taken: a list may have many entries of one host.
            let n = numbers.entry(key(&id)).or_insert(1);
            while !taken.insert(key(&free)) {
                *n += 1;
                free = format!("{id}#{n}");
            }
            free
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(entries: &[(&str, &str)]) -> Vec<String> {
        let entries: Vec<_> = entries
            .iter()
            .map(|(name, identity)| ((!name.is_empty()).then_some(*name), *identity, false))
            .collect();
        ids("x", &entries)
    }

    #[test]
    fn a_name_stays_with_its_entry() {
        let (one, two) = (("one", "host"), ("two", "host"));
        assert_eq!(assigned(&[one, two]), ["x:one", "x:two"]);
        assert_eq!(assigned(&[two, one]), ["x:two", "x:one"]);
        assert_eq!(
            assigned(&[("", "host"), two, ("", "host")]),
            ["x:host", "x:two", "x:host#2"]
        );
    }

    #[test]
    fn no_two_channels_share_an_id() {
        let clash = [("", "a"), ("a", "h"), ("", "a"), ("a#2", "h"), ("a", "h")];
        assert_eq!(assigned(&clash), ["x:a#3", "x:a", "x:a#4", "x:a#2", "x:a#5"]);
        assert_eq!(
            assigned(&[("", "a#2"), ("", "a"), ("", "a")]),
            ["x:a#2", "x:a", "x:a#3"]
        );
    }

    #[test]
    fn a_fixed_identity_is_compared_without_case() {
        let entries = [
            (None, "Ops@h", true),
            (None, "ops@h", true),
            (None, "dev@h", true),
        ];
        assert_eq!(ids("x", &entries), ["x:Ops@h", "x:ops@h#2", "x:dev@h"]);
    }
}
