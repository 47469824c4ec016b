//! Reads the lists of channels, for any table of kinds.

use std::collections::HashMap;

use super::{ChannelEntry, ChannelOptions, id};
use crate::{
    channel::ChannelKind,
    config::{
        diagnostic::Diagnostic,
        position::Position,
        reference::References,
        section::{Diagnostics, Section},
        tree::{Node, Value},
        value::{Seconds, Text},
    },
    mask::Mask,
    section_value::SectionValue,
};

/// The lists of channels in the section `site`, taken from it before its unknown
/// keys are reported.
pub(in crate::config) struct Lists<'k> {
    kinds: &'k [&'k dyn ChannelKind],
    /// The list of each kind, and the section it needs.
    nodes: Vec<(Option<Node>, Option<Node>)>,
}

impl<'k> Lists<'k> {
    /// Takes the lists from the section `site`.
    pub(in crate::config) fn take(section: &mut Section<'_>, kinds: &'k [&'k dyn ChannelKind]) -> Self {
        let nodes = kinds.iter().map(|kind| {
            let list = section.take(kind.section());
            let needed = kind.needs().and_then(|needed| section.take(needed.name()));
            if let (Some(needs), true, false) = (kind.needs(), list.is_some(), needed.is_some()) {
                section.misplaced(kind.section(), format!("needs \"{}\"", needs.name()));
            }
            (list, needed)
        });
        Self {
            nodes: nodes.collect(),
            kinds,
        }
    }

    /// Reads the channels. Notifications expire after `expire`, which is `None` if
    /// that option is invalid.
    pub(in crate::config) fn read(
        self,
        expire: Option<Seconds>,
        errors: &mut Vec<Diagnostic>,
        diagnostics: &mut Diagnostics,
    ) -> Vec<ChannelEntry> {
        let mut references = References::new("channel", "then", "no channel would be left to try");
        // A section that several kinds need is read once.
        let mut needed: HashMap<&str, Option<(SectionValue, Mask)>> = HashMap::new();
        let mut channels = Vec::new();
        for (kind, (list, needs)) in self.kinds.iter().zip(self.nodes) {
            if let (Some(section_kind), Some(node)) = (kind.needs(), &needs) {
                needed.entry(section_kind.name()).or_insert_with(|| {
                    let mut section = Section::open(node, section_kind.name(), errors)?;
                    let value = section_kind.read(&mut section);
                    let mask = section.mask().clone();
                    diagnostics.extend(section.finish(|_| None));
                    Some((value?, mask))
                });
            }
            let needed = kind.needs().and_then(|it| needed.get(it.name())?.as_ref());
            let of_kind = channels.len();
            for (i, item) in items(list.as_ref(), kind.section(), errors).iter().enumerate() {
                let within = format!("{} {}", kind.section(), i + 1);
                let Some(mut section) = Section::open(item, within, errors) else {
                    continue;
                };
                let mut blueprint = kind.read(&mut section, needed.map(|(value, _)| value));
                let mut mask = section.mask().clone();
                if let Some((_, shared)) = needed {
                    mask.extend(shared);
                }
                if let Some(blueprint) = &mut blueprint {
                    blueprint.set_mask(mask);
                }
                let options = read_options(&mut section, expire, &mut references);
                diagnostics.extend(section.finish(|_| None));
                channels.extend(blueprint.map(|blueprint| ChannelEntry {
                    id: String::new(),
                    kind: kind.name(),
                    section: kind.section(),
                    at: item.at,
                    options,
                    blueprint,
                }));
            }
            id::assign(kind.name(), &mut channels[of_kind..]);
        }
        references.check(errors);
        channels
    }
}

fn items<'n>(node: Option<&'n Node>, list: &str, errors: &mut Vec<Diagnostic>) -> &'n [Node] {
    match node.map(|node| (&node.value, node.at)) {
        None | Some((Value::Wrong, _)) => &[],
        Some((Value::Sequence(items), _)) => items,
        Some((other, at)) => {
            errors.push(Diagnostic {
                at,
                within: "site".into(),
                text: format!("\"{list}\" must be a list, found {}", other.what()),
            });
            &[]
        }
    }
}

/// Reads the options of every channel.
fn read_options(
    section: &mut Section<'_>,
    expire: Option<Seconds>,
    references: &mut References,
) -> ChannelOptions {
    let options = section.read::<ChannelOptions>().unwrap_or_default();
    if section.has("after_secs") && !section.has("then") {
        section.misplaced("after_secs", "needs \"then\"");
    }
    let has_fallback = options.then.is_some() && !section.is_wrong("after_secs");
    if let (true, Some(expire)) = (has_fallback, expire)
        && options.after() >= expire
    {
        let key = if section.has("after_secs") {
            "after_secs"
        } else {
            "then"
        };
        let at = section.position_of(key);
        section.error_at(
            at,
            format!(
                "\"after_secs\" must be less than notify_expire_secs ({} >= {}): the notification would expire before its fallback is used",
                options.after().get(),
                expire.get()
            ),
        );
    }
    let place = |key: &str, text: &Option<Text>| -> Option<(String, Position)> {
        Some((text.as_ref()?.as_str().to_owned(), section.position_of(key)))
    };
    let (name, then) = (place("name", &options.name), place("then", &options.then));
    references.add(section.within(), name, then.into_iter().collect());
    options
}
