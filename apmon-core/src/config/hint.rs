//! Hints about channels that behave in a way their author may not expect.

use super::{channel::ChannelEntry, diagnostic::Diagnostic, monitor::MonitorEntry, section::Diagnostics};

/// Adds a hint for each fallback: what it receives, and which monitors have
/// switched it off by its class.
pub(super) fn channels(channels: &[ChannelEntry], monitors: &[MonitorEntry], diagnostics: &mut Diagnostics) {
    for fallback in channels {
        let Some(name) = fallback.name() else { continue };
        let leads_here = |channel: &&ChannelEntry| {
            let then = channel.options.then.as_ref();
            then.is_some_and(|then| then.as_str() == name)
        };
        let from: Vec<&str> = channels
            .iter()
            .filter(leads_here)
            .map(|it| it.id.as_str())
            .collect();
        if from.is_empty() {
            continue;
        }
        let mut hint = |text: String| {
            diagnostics.hints.push(Diagnostic {
                at: fallback.at,
                within: fallback.id.clone(),
                text,
            });
        };
        let from = from.join(" and ");
        hint(format!(
            "is a fallback: it receives only what {from} cannot deliver"
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
