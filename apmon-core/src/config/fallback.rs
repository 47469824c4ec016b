//! Channels that stand in for others.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    diagnostic::{Diagnostic, Position},
    section::Section,
    value::{Seconds, Text},
};
use crate::text::{excerpt, nearest};

/// Options that every channel has.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct ChannelOptions {
    /// A name by which the `then` of another channel means this one, and by
    /// which it is known itself (`webhook:NAME`; mail by its address): what
    /// waits for it keeps its way when entries change places. (An addition.)
    pub name: Option<Text>,
    /// The `name` of the channel that stands in for this one: it is told what
    /// this one refuses, at once, and everything once this one has failed for
    /// `after_secs`. It is told nothing else. (An addition.)
    pub then: Option<Text>,
    /// How long, in seconds, this channel has failed when `then` is told.
    /// Less than `notify_expire_secs`. Default 300. Needs `then`. (An addition.)
    pub after_secs: Option<Seconds>,
}

impl ChannelOptions {
    /// How long the channel has failed when its stand-in is told.
    #[must_use]
    pub fn after(&self) -> Seconds {
        self.after_secs.unwrap_or(const { Seconds::new(300) })
    }
}

/// The names of a site's channels, and who stands in for whom.
#[derive(Default)]
pub(super) struct Links(Vec<Link>);

struct Link {
    within: String,
    name: Option<(String, Position)>,
    then: Option<(String, Position)>,
    /// When its stand-in is told, and where that is said; `None` without one.
    after: Option<(Seconds, Position)>,
}

/// A message is given up after so many seconds where the site does not say.
pub(super) const EXPIRE: Seconds = Seconds::new(86_400);

impl Links {
    /// Reads the options that every channel has.
    pub(super) fn read(&mut self, section: &mut Section<'_>) -> ChannelOptions {
        let options = section.read::<ChannelOptions>().unwrap_or_default();
        if section.has("after_secs") && !section.has("then") {
            section.misplaced("after_secs", "needs then beside it");
        }
        let text = |section: &Section<'_>, key: &str, text: &Option<Text>| {
            let text = text.as_ref()?;
            Some((text.as_str().to_owned(), section.place(key)))
        };
        let said_at = match section.has("after_secs") {
            true => "after_secs",
            false => "then",
        };
        let is_right = options.then.is_some() && !section.is_wrong("after_secs");
        self.0.push(Link {
            after: is_right.then(|| (options.after(), section.place(said_at))),
            within: section.within.clone(),
            name: text(section, "name", &options.name),
            then: text(section, "then", &options.then),
        });
        options
    }

    /// Once all channels are read: what is wrong with the names, and with the
    /// times where messages are given up after `expire` (`None`: nobody knows,
    /// for that is wrong itself).
    pub(super) fn check(self, expire: Option<Seconds>, errors: &mut Vec<Diagnostic>) {
        let mut told = |link: &Link, at: Position, text: String| {
            errors.push(Diagnostic {
                at,
                within: link.within.clone(),
                text,
            });
        };
        for link in &self.0 {
            let (Some((after, at)), Some(expire)) = (link.after, expire) else {
                continue;
            };
            if after >= expire {
                let text = format!(
                    "\"after_secs\" must be less than notify_expire_secs ({} >= {}): the message is given up before",
                    after.get(),
                    expire.get()
                );
                told(link, at, text);
            }
        }
        let mut by_name: HashMap<&str, usize> = HashMap::new();
        for (i, link) in self.0.iter().enumerate() {
            let Some((name, at)) = &link.name else { continue };
            if let Some(first) = by_name.get(name.as_str()) {
                let first = &self.0[*first].within;
                told(link, *at, format!("\"name\" is already that of {first}"));
            } else {
                by_name.insert(name, i);
            }
        }
        let next = |i: usize| {
            let then = self.0[i].then.as_ref()?;
            by_name.get(then.0.as_str()).copied()
        };
        for (i, link) in self.0.iter().enumerate() {
            let Some((then, at)) = &link.then else { continue };
            if next(i).is_none() {
                let hint = nearest(then, by_name.keys().copied())
                    .map(|near| format!("; did you mean \"{}\"?", excerpt(near, 60)))
                    .unwrap_or_default();
                let shown = excerpt(then, 60);
                told(
                    link,
                    *at,
                    format!("\"then\" names no channel: none has the name \"{shown}\"{hint}"),
                );
            }
            // Walks on until it ends, or comes back; a circle it only leads
            // into is told of its own members.
            let mut at_link = next(i);
            for _ in 0..self.0.len() {
                match at_link {
                    Some(there) if there == i => {
                        told(link, *at, "\"then\" leads back here: nobody would be told".into());
                        break;
                    }
                    Some(there) => at_link = next(there),
                    None => break,
                }
            }
        }
    }
}
