//! What apmon keeps and what the mail server took, as Python's own `sqlite3`,
//! `json`, `mailbox` and `email` read it.

use std::{path::Path, process::Command, time::Duration};

use super::{
    hook::percent_decoded,
    post::PYTHON,
    record::{History, Incident, Receipt, Stored, Told, Waiting, read_sentence},
    site::{NAME, Site},
};
use crate::{fault::Fault, process, workspace};

/// The state, and the mails.
pub(super) fn read(site: &Site, state: &Path, maildir: &Path) -> Result<(Stored, Vec<Receipt>), Fault> {
    let mut python = Command::new(PYTHON);
    python
        .arg(workspace::root().join("xtask/src/chaos/read.py"))
        .args([state, maildir]);
    understand(site, &process::output(&mut python)?)
}

fn understand(site: &Site, said: &str) -> Result<(Stored, Vec<Receipt>), Fault> {
    let (mut stored, mut mails) = (Stored::default(), Vec::new());
    for line in said.lines() {
        let strange = || Fault::new(format!("read.py said a strange thing: {line}"));
        let parts: Option<Vec<String>> = line.split('\t').map(percent_decoded).collect();
        let parts = parts.ok_or_else(strange)?;
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
                let told = told_by(subject, text);
                mails.push(Receipt {
                    at: Duration::from_micros(at.parse().map_err(|_| strange())?),
                    channel: channel.ok_or_else(strange)?,
                    id: id.to_owned(),
                    incident: incident.to_owned(),
                    monitor: read_sentence(text).map_or("", |(monitor, _)| monitor).to_owned(),
                    told,
                    text: text.to_owned(),
                    taken: true,
                });
            }
            _ => return Err(strange()),
        }
    }
    Ok((stored, mails))
}

/// Subject and sentence must say the same.
fn told_by(subject: &str, text: &str) -> Option<Told> {
    let (monitor, told) = read_sentence(text)?;
    let label = subject.strip_suffix(&format!("] {monitor} in {NAME}"))?;
    match (told, label.strip_prefix('[')?) {
        (Told::Outage, "OUTAGE") | (Told::Recovery, "RECOVERY") => Some(told),
        (Told::Reminder(_), label) => {
            let number = label.strip_prefix("REMINDER ")?.parse().ok()?;
            Some(Told::Reminder(number))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_python_says_is_understood() {
        let site = Site::new();
        let said = "outbox\tmail:ops@chaos.example\tab-2-mail:ops@chaos.example\treminder\n\
                    state\tm01\tdown\nstate\tm02\tunknown\nhistory\nincident\tab\tm01\t0\t2\n\
                    delivered\twebhook:h\tab-1-webhook:h\n\
                    mail\t1500000\tops@chaos.example\t<1%402>\t<0@2>\t[REMINDER 3] m01 in Chaos\tm01 in Chaos is down: x%0A\n";
        let (stored, mails) = understand(&site, said).unwrap();
        assert!(stored.outbox[0].is_reminder);
        assert_eq!(stored.states, [("m01".into(), Some(false)), ("m02".into(), None)]);
        let history = stored.history.unwrap();
        assert_eq!((history.incidents.len(), history.delivered.len()), (1, 1));
        assert_eq!(
            (mails[0].id.as_str(), mails[0].told),
            ("<1@2>", Some(Told::Reminder(3)))
        );
        assert_eq!(mails[0].at, Duration::from_millis(1_500));
        assert!(understand(&site, "nonsense\n").is_err());
    }

    #[test]
    fn a_subject_that_contradicts_its_mail_tells_nothing() {
        assert_eq!(told_by("[OUTAGE] m01 in Chaos", "m01 in Chaos is UP (x)"), None);
        assert_eq!(told_by("[RECOVERY] m02 in Chaos", "m01 in Chaos is UP (x)"), None);
        assert_eq!(
            told_by("[RECOVERY] m01 in Chaos", "m01 in Chaos is UP (x)"),
            Some(Told::Recovery)
        );
    }
}
