//! The parts of a notification that channels send in addition to its text.

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
pub(crate) fn subject(notification: &Notification) -> String {
    let label = match &notification.kind {
        NotificationKind::Outage => "OUTAGE".into(),
        NotificationKind::Reminder => format!("REMINDER {}", notification.number.saturating_sub(1)),
        other => printable(other.label()).into_owned(),
    };
    let (monitor, site) = (printable(&notification.monitor), printable(&notification.site));
    format!("[{label}] {monitor} in {site}")
}

/// When the outage or the unknown state began; for a notice, when it was decided.
pub(crate) fn since(notification: &Notification) -> Timestamp {
    let lasts = state(&notification.kind) != "notice";
    let began = notification
        .since
        .filter(|began| lasts && *began <= notification.at);
    began.unwrap_or(notification.at)
}
