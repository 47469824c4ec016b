//! The ids of the channels in a list.

use std::collections::HashSet;

use apmon_core::config::ChannelOptions;

/// One id per entry, in order: `kind:NAME` for an entry with a name, wherever it is
/// in the list; otherwise `kind:` and the entry's own part, with `#2` for the
/// second entry with the same part.
pub(crate) fn ids<'a>(
    kind: &str,
    entries: impl Iterator<Item = (&'a ChannelOptions, String)>,
) -> Vec<String> {
    let entries: Vec<_> = entries
        .map(|(options, own)| match &options.name {
            Some(name) => (true, format!("{kind}:{}", name.as_str())),
            None => (false, format!("{kind}:{own}")),
        })
        .collect();
    let named = entries.iter().filter(|(is_named, _)| *is_named);
    let mut names: HashSet<_> = named.map(|(_, id)| id.clone()).collect();
    let mut taken = names.clone();
    entries
        .into_iter()
        .map(|(is_named, id)| {
            // Names are unique; if not, the first entry keeps the name.
            if is_named && names.remove(&id) {
                return id;
            }
            let mut free = id.clone();
            let mut n = 1;
            while !taken.insert(free.clone()) {
                n += 1;
                free = format!("{id}#{n}");
            }
            free
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids_of(entries: &[(&str, &str)]) -> Vec<String> {
        let all: Vec<_> = entries
            .iter()
            .map(|(name, own)| {
                let name = (!name.is_empty()).then(|| serde_json::from_value((*name).into()).unwrap());
                let options = ChannelOptions {
                    name,
                    ..ChannelOptions::default()
                };
                (options, (*own).to_owned())
            })
            .collect();
        ids("x", all.iter().map(|(options, own)| (options, own.clone())))
    }

    #[test]
    fn a_named_entry_keeps_its_id_wherever_it_is_listed() {
        let (one, two) = (("one", "host"), ("two", "host"));
        assert_eq!(ids_of(&[one, two]), ["x:one", "x:two"]);
        assert_eq!(ids_of(&[two, one]), ["x:two", "x:one"]);
        assert_eq!(
            ids_of(&[("", "host"), two, ("", "host")]),
            ["x:host", "x:two", "x:host#2"]
        );
    }

    #[test]
    fn no_two_entries_share_an_id() {
        let clash = [("", "a"), ("a", "h"), ("", "a"), ("a#2", "h"), ("a", "h")];
        assert_eq!(ids_of(&clash), ["x:a#3", "x:a", "x:a#4", "x:a#2", "x:a#5"]);
        assert_eq!(
            ids_of(&[("", "a#2"), ("", "a"), ("", "a")]),
            ["x:a#2", "x:a", "x:a#3"]
        );
    }
}
