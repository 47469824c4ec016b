//! Reads apmon's state and the accepted mails with Python's own `sqlite3`,
//! `json`, `mailbox` and `email`.

use std::{path::Path, process::Command, time::Duration};

use percent_encoding::percent_decode_str;

use super::{
    mail_server::PYTHON,
    message::{MessageKind, SITE_NAME, read_sentence},
    record::{History, Incident, Receipt, Stored, Waiting},
    site::Site,
};
use crate::{fault::Fault, process, workspace};

/// Reads the state and the mails.
pub(super) fn read(site: &Site, state: &Path, maildir: &Path) -> Result<(Stored, Vec<Receipt>), Fault> {
    let mut python = Command::new(PYTHON);
    python
        .arg(workspace::root().join("apmon-harness/src/chaos/read.py"))
        .args([state, maildir]);
    parse(site, &process::output(&mut python)?)
}

fn parse(site: &Site, output: &str) -> Result<(Stored, Vec<Receipt>), Fault> {
    let (mut stored, mut mails) = (Stored::default(), Vec::new());
    for line in output.lines() {
        let strange = || Fault::new(format!("read.py printed an unexpected line: {line}"));
        let decoded = |part| percent_decode_str(part).decode_utf8().map(String::from);
        let parts: Result<Vec<String>, _> = line.split('\t').map(decoded).collect();
        let parts = parts.map_err(|_| strange())?;
        match parts.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["outbox", channel, key, kind] => stored.outbox.push(Waiting {
                channel: channel.to_owned(),
                key: key.to_owned(),
                is_reminder: kind == "reminder",
            }),
            ["state", name, state] => stored.states.push((
                name.to_owned(),
                match state {
                    "up" => Some(true),
                    "down" => Some(false),
                    _ => None,
                },
            )),
            ["history"] => stored.history = Some(History::default()),
            ["incident", id, monitor, ended, messages] => {
                let history = stored.history.as_mut().ok_or_else(strange)?;
                history.incidents.push(Incident {
                    id: id.to_owned(),
                    monitor: monitor.to_owned(),
                    ended: ended == "1",
                    messages: messages.parse().map_err(|_| strange())?,
                });
            }
            ["delivered", channel, key] => {
                let history = stored.history.as_mut().ok_or_else(strange)?;
                history.delivered.push((channel.to_owned(), key.to_owned()));
            }
            ["mail", at, to, id, incident, subject, text] => {
                let to = format!("mail:{to}");
                let channel = site.channels.iter().position(|channel| channel.id == to);
                let kind = kind_of(subject, text);
                mails.push(Receipt {
                    at: Duration::from_micros(at.parse().map_err(|_| strange())?),
                    channel: channel.ok_or_else(strange)?,
                    id: id.to_owned(),
                    incident: incident.to_owned(),
                    monitor: read_sentence(text).map_or("", |(monitor, _)| monitor).to_owned(),
                    kind,
                    text: text.to_owned(),
                    accepted: true,
                });
            }
            _ => return Err(strange()),
        }
    }
    Ok((stored, mails))
}

/// The kind of a mail; `None` if subject and sentence contradict each other.
fn kind_of(subject: &str, text: &str) -> Option<MessageKind> {
    let (monitor, kind) = read_sentence(text)?;
    let label = subject.strip_suffix(&format!("] {monitor} in {SITE_NAME}"))?;
    match (kind, label.strip_prefix('[')?) {
        (MessageKind::Outage, "OUTAGE") | (MessageKind::Recovery, "RECOVERY") => Some(kind),
        (MessageKind::Reminder(_), label) => {
            let number = label.strip_prefix("REMINDER ")?.parse().ok()?;
            Some(MessageKind::Reminder(number))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_python_is_parsed() {
        let site = Site::new();
        let output = "outbox\tmail:ops@chaos.example\tab-2-mail:ops@chaos.example\treminder\n\
                    state\tm01\tdown\nstate\tm02\tunknown\nhistory\nincident\tab\tm01\t0\t2\n\
                    delivered\twebhook:h\tab-1-webhook:h\n\
                    mail\t1500000\tops@chaos.example\t<1%402>\t<0@2>\t[REMINDER 3] m01 in Chaos\tm01 in Chaos is down: x%0A\n";
        let (stored, mails) = parse(&site, output).unwrap();
        assert!(stored.outbox[0].is_reminder);
        assert_eq!(stored.states, [("m01".into(), Some(false)), ("m02".into(), None)]);
        let history = stored.history.unwrap();
        assert_eq!((history.incidents.len(), history.delivered.len()), (1, 1));
        assert_eq!(
            (mails[0].id.as_str(), mails[0].kind),
            ("<1@2>", Some(MessageKind::Reminder(3)))
        );
        assert_eq!(mails[0].at, Duration::from_millis(1_500));
        assert!(parse(&site, "nonsense\n").is_err());
    }

    #[test]
    fn a_subject_that_contradicts_its_mail_has_no_kind() {
        assert_eq!(kind_of("[OUTAGE] m01 in Chaos", "m01 in Chaos is UP (x)"), None);
        assert_eq!(kind_of("[RECOVERY] m02 in Chaos", "m01 in Chaos is UP (x)"), None);
        assert_eq!(
            kind_of("[RECOVERY] m01 in Chaos", "m01 in Chaos is UP (x)"),
            Some(MessageKind::Recovery)
        );
    }
}
