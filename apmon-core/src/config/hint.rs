//! Hints about channels that behave in a way their author may not expect.

use std::collections::HashMap;

use super::{channel::ChannelEntry, diagnostic::Diagnostic, monitor::MonitorEntry, section::Diagnostics};

/// The most channels that one hint names.
const SHOWN: usize = 10;

/// Adds a hint for each fallback: what it receives, and which monitors have
/// switched it off by its class.
pub(super) fn channels(channels: &[ChannelEntry], monitors: &[MonitorEntry], diagnostics: &mut Diagnostics) {
    let mut leading: HashMap<&str, Vec<&str>> = HashMap::new();
    for channel in channels {
        if let Some(then) = &channel.options.then {
            leading.entry(then.as_str()).or_default().push(&channel.id);
        }
    }
    for fallback in channels {
        let Some(from) = fallback.name().and_then(|name| leading.get(name)) else {
            continue;
        };
        let mut hint = |text: String| {
            diagnostics.hints.push(Diagnostic {
                at: fallback.at,
                within: fallback.id.clone(),
                text,
            });
        };
        let mut from_text = from[..from.len().min(SHOWN)].join(" and ");
        if let Some(more @ 1..) = from.len().checked_sub(SHOWN) {
            from_text.push_str(&format!(" and {more} more"));
        }
        hint(format!(
            "is a fallback: it receives only what {from_text} cannot deliver"
        ));
        let Some(class) = fallback.class() else { continue };
        let off = monitors
            .iter()
            .filter(|monitor| monitor.classes_off().contains(class));
        match off.count() {
            0 => {}
            1 => hint(format!(
                "receives nothing about 1 monitor that has {}: no",
                class.name()
            )),
            n => hint(format!(
                "receives nothing about {n} monitors that have {}: no",
                class.name()
            )),
        }
    }
}
