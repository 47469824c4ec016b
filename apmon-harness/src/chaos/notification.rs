//! What a notification says, read from its text alone.

/// The site's name, which every notification contains.
pub(super) const SITE_NAME: &str = "Chaos";

/// The kind of a notification.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum NotificationKind {
    Outage,
    /// Its number within the incident, from 1.
    Reminder(u32),
    Recovery,
}

/// The monitor and kind of a notification. A reminder's sentence does not contain
/// its number; it is 0 here.
pub(super) fn read_sentence(text: &str) -> Option<(&str, NotificationKind)> {
    let (monitor, rest) = text.split_once(" in ")?;
    let rest = rest.strip_prefix(SITE_NAME)?.trim_start();
    let kinds = [
        ("new outage: ", NotificationKind::Outage),
        ("is down: ", NotificationKind::Reminder(0)),
        ("is UP ", NotificationKind::Recovery),
    ];
    let (_, kind) = kinds.into_iter().find(|(words, _)| rest.starts_with(words))?;
    Some((monitor, kind))
}

/// The sentence in the console's `##### DOWN: sentence #####`.
pub(super) fn read_line(line: &str) -> Option<&str> {
    let line = line.strip_prefix("##### ")?.strip_suffix(" #####")?;
    line.split_once(": ").map(|(_, sentence)| sentence)
}

/// The sentence without the suffix of a late delivery:
/// `... (delivered 5 mins 0 secs late)`, which may contain more before that.
pub(super) fn plain(text: &str) -> &str {
    let at = text.rfind(" (").filter(|_| text.ends_with(" late)"));
    match at.map(|at| text.split_at(at)) {
        Some((sentence, suffix)) if suffix.contains("delivered ") => sentence,
        _ => text,
    }
}

/// The number of the period that an outage's notification is about: the target
/// answers with that many bytes.
pub(super) fn period_of(text: &str) -> Option<usize> {
    let (_, rest) = text.split_once("closed after ")?;
    rest.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suffix_of_a_late_delivery_is_removed() {
        assert_eq!(
            plain("m is UP (h), lasted 1 secs (delivered 2 hrs 0 mins late)"),
            "m is UP (h), lasted 1 secs"
        );
        assert_eq!(
            plain("m (h) (was down 14:02-14:09; delivered 26 secs late)"),
            "m (h)"
        );
        assert_eq!(plain("m is UP (h late)"), "m is UP (h late)");
        assert_eq!(plain("m is UP (h), lasted 1 secs"), "m is UP (h), lasted 1 secs");
    }

    #[test]
    fn sentences_are_read() {
        let line = "##### NEW OUTAGE: m03 in Chaos new outage: closed after 17 bytes without \"up\" (127.1.2.3:7) \
                    at 2:15 PM, down for 0 secs #####";
        let text = read_line(line).unwrap();
        assert_eq!(read_sentence(text), Some(("m03", NotificationKind::Outage)));
        assert_eq!(period_of(text), Some(17));
        let read = |text| read_sentence(text).map(|(_, kind)| kind);
        assert_eq!(
            read("m03 in Chaos is down: x (y)"),
            Some(NotificationKind::Reminder(0))
        );
        assert_eq!(read("m03 in Chaos is UP (y)"), Some(NotificationKind::Recovery));
        assert_eq!(read("m03 in Chaos is no longer watched"), None);
        assert_eq!(period_of("m03 in Chaos is down: connection refused"), None);
    }
}
