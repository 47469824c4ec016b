//! Two passes at one site: what a pass writes into its lock, and what another one
//! makes of it.

use std::{fmt, time::Duration};

use anyhow::anyhow;
use apmon_core::{rule::wording, text::printable};
use apmon_store::{Lock, LockError};
use jiff::Timestamp;

/// How a pass describes itself in its lock: `pass since 2026-02-11T14:15:00Z, ends
/// within 125 secs`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PassNote {
    /// When it started.
    pub(super) since: Timestamp,
    /// How long it takes at most.
    pub(super) longest: Duration,
}

impl fmt::Display for PassNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Rounded up: it is a limit.
        let secs = self.longest.as_millis().div_ceil(1000);
        write!(f, "pass since {}, ends within {secs} secs", self.since)
    }
}

impl PassNote {
    fn parse(note: &str) -> Option<Self> {
        let (since, longest) = note.strip_prefix("pass since ")?.split_once(", ends within ")?;
        let secs = longest.strip_suffix(" secs")?.parse().ok()?;
        Some(Self {
            since: since.parse().ok()?,
            longest: Duration::from_secs(secs),
        })
    }
}

/// What a pass does that cannot lock its site's state.
#[derive(Debug)]
pub(super) enum Finding {
    /// Another pass does its work: the line to log.
    AtWork(String),
    /// Another pass has been at work for longer than a pass takes.
    Overdue(anyhow::Error),
    /// Anything else.
    Failed(anyhow::Error),
}

/// Finds the reason why a site's state could not be opened.
pub(super) fn find(error: anyhow::Error, now: Timestamp) -> Finding {
    let note = match error.downcast_ref() {
        Some(LockError::Held { path, .. }) => Lock::note(path),
        _ => None,
    };
    judge(error, note.as_deref().unwrap_or_default(), now)
}

/// The same, with the note in the lock.
fn judge(error: anyhow::Error, note: &str, now: Timestamp) -> Finding {
    let Some(LockError::Held { pid, path, .. }) = error.downcast_ref() else {
        return Finding::Failed(error);
    };
    let Some(PassNote { since, longest }) = PassNote::parse(note) else {
        return Finding::Failed(error);
    };
    let process = pid.map(|pid| format!(" (process {pid})")).unwrap_or_default();
    let lock = path.display().to_string();
    match Duration::try_from(now.duration_since(since)) {
        Ok(age) if age < longest => Finding::AtWork(format!(
            "another pass has been at work for {}{process}; this one leaves the site to it",
            wording::duration(age)
        )),
        Ok(age) => Finding::Overdue(anyhow!(
            "another pass has been at work for {}{process}, and a pass ends within {}; if it hangs, end it: it holds {}",
            wording::duration(age),
            wording::duration(longest),
            printable(&lock)
        )),
        // The clock was set back; its age is not known.
        Err(_) => Finding::Overdue(anyhow!(
            "another pass is at work{process}, and its lock says that it started at {since}, which is in the future; if it hangs, end it: it holds {}",
            printable(&lock)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held() -> anyhow::Error {
        let error = LockError::Held {
            pid: Some(4711),
            path: "home.statefile.json.lock".into(),
        };
        anyhow::Error::from(error).context("another apmon is running this site")
    }

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let note = PassNote {
            since: "2026-02-11T14:15:00.25Z".parse().unwrap(),
            longest: Duration::from_millis(125_750),
        };
        let text = note.to_string();
        assert_eq!(text, "pass since 2026-02-11T14:15:00.25Z, ends within 126 secs");
        let read = PassNote::parse(&text).unwrap();
        assert_eq!((read.since, read.longest.as_secs()), (note.since, 126));
        for other in [
            "",
            "pass",
            "pass since now, ends within 1 secs",
            "pass since 2026-02-11T14:15:00Z",
        ] {
            assert_eq!(PassNote::parse(other), None, "{other}");
        }
    }

    #[test]
    fn only_a_pass_that_is_not_overdue_is_left_to_its_work() {
        let note = "pass since 2026-02-11T14:15:00Z, ends within 126 secs";
        let find = |note: &str, now: &str| match judge(held(), note, now.parse().unwrap()) {
            Finding::AtWork(line) => format!("at work: {line}"),
            Finding::Overdue(error) => format!("overdue: {error:#}"),
            Finding::Failed(error) => format!("failed: {error:#}"),
        };
        assert_eq!(
            find(note, "2026-02-11T14:16:00Z"),
            "at work: another pass has been at work for 1 mins 0 secs (process 4711); this one leaves the site to it"
        );
        assert_eq!(
            find(note, "2026-02-11T14:18:00Z"),
            "overdue: another pass has been at work for 3 mins 0 secs (process 4711), and a pass ends within 2 mins 6 secs; \
             if it hangs, end it: it holds home.statefile.json.lock"
        );
        assert!(
            find(note, "2026-02-11T14:14:00Z").starts_with("overdue: another pass is at work (process 4711)")
        );
        // A daemon, or an apmon that wrote no note.
        assert_eq!(
            find("", "2026-02-11T14:16:00Z"),
            "failed: another apmon is running this site: home.statefile.json.lock is held by process 4711"
        );
    }
}
