//! A mail, as Python's `email` reads it for the mail server.

use std::time::Duration;

use serde::Deserialize;

use super::{
    notification::{NotificationKind, SITE_NAME, read_sentence},
    record::Receipt,
};

#[derive(Deserialize, Clone, PartialEq, Eq, Debug)]
pub(super) struct Mail {
    /// The first recipient; apmon sends each mail to one.
    pub(super) to: String,
    /// `Message-ID`.
    pub(super) id: String,
    /// The `Message-ID` of the incident's first mail.
    pub(super) first: String,
    pub(super) subject: String,
    /// The first line of the text.
    pub(super) text: String,
}

impl Mail {
    /// The id of its channel in apmon.
    pub(super) fn channel(&self) -> String {
        format!("mail:{}", self.to)
    }

    /// The receipt of an accepted mail; `channel` is an index into the site's channels.
    pub(super) fn into_receipt(self, channel: usize, at: Duration) -> Receipt {
        let kind = kind_of(&self.subject, &self.text);
        let monitor = read_sentence(&self.text).map_or("", |(monitor, _)| monitor);
        Receipt {
            at,
            channel,
            incident: self.first,
            kind,
            monitor: monitor.to_owned(),
            text: self.text,
            accepted: true,
            id: self.id,
        }
    }
}

/// The kind of a mail; `None` if subject and sentence contradict each other.
fn kind_of(subject: &str, text: &str) -> Option<NotificationKind> {
    let (monitor, kind) = read_sentence(text)?;
    let label = subject.strip_suffix(&format!("] {monitor} in {SITE_NAME}"))?;
    match (kind, label.strip_prefix('[')?) {
        (NotificationKind::Outage, "OUTAGE") | (NotificationKind::Recovery, "RECOVERY") => Some(kind),
        (NotificationKind::Reminder(_), label) => {
            let number = label.strip_prefix("REMINDER ")?.parse().ok()?;
            Some(NotificationKind::Reminder(number))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_becomes_a_receipt() {
        let mail = Mail {
            to: "ops@chaos.example".into(),
            id: "<1@2>".into(),
            first: "<0@2>".into(),
            subject: "[REMINDER 3] m01 in Chaos".into(),
            text: "m01 in Chaos is down: x".into(),
        };
        assert_eq!(mail.channel(), "mail:ops@chaos.example");
        let at = Duration::from_millis(1_500);
        let receipt = mail.into_receipt(2, at);
        assert_eq!((receipt.channel, receipt.at, receipt.accepted), (2, at, true));
        assert_eq!((&*receipt.id, &*receipt.incident), ("<1@2>", "<0@2>"));
        assert_eq!(
            (&*receipt.monitor, receipt.kind),
            ("m01", Some(NotificationKind::Reminder(3)))
        );
    }

    #[test]
    fn a_subject_that_contradicts_its_mail_has_no_kind() {
        assert_eq!(kind_of("[OUTAGE] m01 in Chaos", "m01 in Chaos is UP (x)"), None);
        assert_eq!(kind_of("[RECOVERY] m02 in Chaos", "m01 in Chaos is UP (x)"), None);
        assert_eq!(
            kind_of("[RECOVERY] m01 in Chaos", "m01 in Chaos is UP (x)"),
            Some(NotificationKind::Recovery)
        );
    }
}
