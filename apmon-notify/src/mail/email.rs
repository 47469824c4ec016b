//! The content of an e-mail. All of it is known when the notification is created,
//! so that every attempt sends the same bytes.

use apmon_core::{
    Notification, NotificationKind,
    rule::wording,
    text::{excerpt, printable},
};
use jiff::{Timestamp, tz::TimeZone};
use lettre::message::{
    Body,
    header::{ContentTransferEncoding, HeaderName, HeaderValue, Headers},
};
use sha2::{Digest as _, Sha256};

/// The longest name in a subject. A line has at most 998 characters (RFC 5322 section
/// 2.1.1), and a name without spaces cannot be folded.
const MAX_NAME: usize = 200;

/// An e-mail with one notification for one recipient.
pub(super) struct Email<'a> {
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    pub(super) notification: &'a Notification,
    /// The id of the notification on this channel.
    pub(super) key: &'a str,
    pub(super) zone: &'a TimeZone,
}

/// The subject of an e-mail: `[OUTAGE] web in HomeLab`.
#[must_use]
pub fn mail_subject(notification: &Notification) -> String {
    let label = match &notification.kind {
        NotificationKind::Outage => "OUTAGE".to_owned(),
        NotificationKind::Reminder => match notification.reminder() {
            Some(number) => format!("REMINDER {number}"),
            None => "REMINDER".to_owned(),
        },
        other => excerpt(other.label(), MAX_NAME),
    };
    let name = |name| excerpt(name, MAX_NAME);
    format!(
        "[{label}] {} in {}",
        name(&notification.monitor),
        name(&notification.site)
    )
}

impl Email<'_> {
    /// Header and body in ASCII, with CRLF line ends.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let body = Body::new(self.body());
        let mut headers = Headers::new();
        let mut set = |name: &'static str, value: String| {
            headers.insert_raw(HeaderValue::new(HeaderName::new_from_ascii_str(name), value));
        };
        set("From", self.from.to_owned());
        set("To", self.to.to_owned());
        set("Subject", mail_subject(self.notification));
        set("Date", self.date());
        set("Message-ID", self.message_id(self.key));
        if let Some(first) = self.first_key() {
            // A reply to the first message of the incident, not to the previous one:
            // that may be a replaced reminder, or one this recipient does not get.
            set("In-Reply-To", self.message_id(&first));
            set("References", self.message_id(&first));
        }
        set("Auto-Submitted", "auto-generated".to_owned()); // RFC 3834: prevents automatic replies
        set("MIME-Version", "1.0".to_owned());
        set("Content-Type", "text/plain; charset=utf-8".to_owned());
        set("Content-Transfer-Encoding", encoding(body.encoding()).to_owned());
        let mut bytes = headers.to_string().into_bytes();
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&body.into_vec());
        // The sender adds the final line end.
        bytes.truncate(bytes.trim_ascii_end().len());
        bytes
    }

    /// The time when the notification was created, however late it is sent (RFC 5322
    /// section 3.3).
    fn date(&self) -> String {
        let at = self.zone.to_datetime(self.notification.at);
        let offset = self.zone.to_offset(self.notification.at);
        let (sign, secs) = (
            if offset.is_negative() { '-' } else { '+' },
            offset.seconds().abs(),
        );
        let (hours, minutes) = (secs / 3_600, secs / 60 % 60);
        format!(
            "{} {sign}{hours:02}{minutes:02}",
            at.strftime("%a, %d %b %Y %H:%M:%S")
        )
    }

    /// The message ID for a key, the same on every attempt and after every restart.
    fn message_id(&self, key: &str) -> String {
        let domain = self
            .from
            .rsplit_once('@')
            .map_or("localhost", |(_, domain)| domain);
        let hash = Sha256::digest(key.as_bytes());
        let hash: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("<{hash}@{domain}>")
    }

    /// The key of the first message of the incident; `None` if this is the first.
    fn first_key(&self) -> Option<String> {
        let Notification {
            id, incident, number, ..
        } = self.notification;
        if *number == 1 {
            return None;
        }
        let channel = self.key.strip_prefix(id.as_str())?;
        Some(format!("{incident}-1{channel}"))
    }

    fn body(&self) -> String {
        let message = self.notification;
        let mut lines = vec![
            ("Site", message.site.clone()),
            ("Monitor", message.monitor.clone()),
            ("Address", message.address.clone()),
        ];
        if let Some(since) = message.since {
            lines.push(("Since", self.moment(since)));
        }
        if let Some(lasted) = message.lasted {
            lines.push(("Duration", wording::duration(lasted)));
        }
        if let Some(number) = message.reminder() {
            lines.push(("Reminder", number.to_string()));
        }
        if let Some(next) = message.next_reminder {
            lines.push(("Next reminder", self.moment(next)));
        }
        let mut body = format!("{}\n\n", printable(&message.text));
        for (name, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
            body.push_str(&format!("{:15}{}\n", format!("{name}:"), printable(value)));
        }
        body
    }

    fn moment(&self, at: Timestamp) -> String {
        at.to_zoned(self.zone.clone())
            .strftime("%Y-%m-%d %H:%M:%S %Z")
            .to_string()
    }
}

fn encoding(encoding: ContentTransferEncoding) -> &'static str {
    match encoding {
        ContentTransferEncoding::SevenBit => "7bit",
        ContentTransferEncoding::QuotedPrintable => "quoted-printable",
        ContentTransferEncoding::Base64 => "base64",
        ContentTransferEncoding::EightBit => "8bit",
        ContentTransferEncoding::Binary => "binary",
    }
}

#[cfg(test)]
mod tests;
