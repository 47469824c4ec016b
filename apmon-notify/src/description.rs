//! What channels send about a notification in addition to its text.

use apmon_core::{Notification, NotificationKind, text::printable};
use jiff::Timestamp;

/// The state that a notification reports: `down`, `up`, `unknown`, `known`, `unwatched` or
/// `notice`.
pub(crate) fn state(kind: &NotificationKind) -> &'static str {
    match kind {
        NotificationKind::Outage | NotificationKind::Reminder => "down",
        NotificationKind::Recovery => "up",
        NotificationKind::Unknown => "unknown",
        NotificationKind::Known => "known",
        NotificationKind::NoLongerWatched => "unwatched",
        _ => "notice",
    }
}

/// The severity of a notification: `critical`, `warning` or `info`.
pub(crate) fn severity(kind: &NotificationKind) -> &'static str {
    match state(kind) {
        "down" => "critical",
        "unknown" | "notice" => "warning",
        _ => "info",
    }
}

/// The subject of a notification: `[OUTAGE] web in HomeLab`.
pub(crate) fn subject(message: &Notification) -> String {
    let label = match &message.kind {
        NotificationKind::Outage => "OUTAGE".into(),
        NotificationKind::Reminder => format!("REMINDER {}", message.number.saturating_sub(1)),
        other => printable(other.label()).into_owned(),
    };
    let (monitor, site) = (printable(&message.monitor), printable(&message.site));
    format!("[{label}] {monitor} in {site}")
}

/// When the outage or the unknown state began; for a notice, when it was decided.
pub(crate) fn since(message: &Notification) -> Timestamp {
    let lasts = state(&message.kind) != "notice";
    let began = message.since.filter(|began| lasts && *began <= message.at);
    began.unwrap_or(message.at)
}
