//! What librrd's texts mean, and files that are locked for a moment.

use std::{
    ffi::{CStr, OsStr},
    io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::ffi::Reason;
use crate::{
    error::RrdError,
    wire::{Decoder, Encoder, Malformed},
};

/// How often a locked file is tried, and the pause between two attempts: a tenth of a second in
/// all. librrd does not wait for a lock: a reader elsewhere makes an update fail, and a writer a
/// fetch. Both keep it for less than a millisecond, unless they copy the file. With eight
/// programs that read a file in a loop, 25 short pauses lost no update of 600, and five of 20 ms
/// lost 6 of 600.
const ATTEMPTS: u32 = 25;
const PAUSE: Duration = Duration::from_millis(4);

/// Why an operation failed; an [`RrdError`] without the path, which the other side knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    NoLibrary(Reason),
    Locked,
    Missing,
    Damaged(Reason),
    NoSpace { needed: u64, free: u64 },
    Refused(Reason),
}

/// The first byte of an answer.
const DONE: u8 = 0;

/// Begins the answer of an operation that was carried out.
pub(super) fn begin(answer: &mut Encoder) {
    answer.byte(DONE);
}

/// Reads the beginning of an answer: what follows it, or the error.
pub(crate) fn outcome<'a>(answer: &'a [u8], path: &Path) -> Result<Decoder<'a>, RrdError> {
    let mut decoder = Decoder::new(answer);
    match Fault::decode(&mut decoder)? {
        None => Ok(decoder),
        Some(fault) => Err(fault.at(path)),
    }
}

impl Fault {
    /// What librrd said of a file.
    pub(super) fn of(reason: Reason, path: &CStr) -> Self {
        if is_locked(&reason) {
            return Self::Locked;
        }
        let place = as_path(path);
        if place
            .symlink_metadata()
            .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        {
            return Self::Missing;
        }
        let is_damaged = [
            "is not an RRD file",
            "is too small",
            "reached EOF while loading",
            "short read while reading",
            "on another architecture",
            "can't handle RRD file version",
            "mmaping file",
        ]
        .iter()
        .any(|text| reason.contains(text));
        let reason = without_path(&reason, &path.to_string_lossy());
        if is_damaged {
            return Self::Damaged(reason);
        }
        Self::Refused(reason)
    }

    /// The same with the path.
    pub(crate) fn at(self, path: &Path) -> RrdError {
        let path = path.to_owned();
        match self {
            Self::NoLibrary(reason) => RrdError::NoLibrary(reason),
            Self::Locked => RrdError::Locked(path),
            Self::Missing => RrdError::Missing(path),
            Self::Damaged(reason) => RrdError::Damaged { path, reason },
            Self::NoSpace { needed, free } => RrdError::NoSpace { path, needed, free },
            Self::Refused(reason) => RrdError::Refused { path, reason },
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut answer = Encoder::default();
        match self {
            Self::NoLibrary(reason) => {
                answer.byte(1);
                answer.own_text(reason);
            }
            Self::Locked => answer.byte(2),
            Self::Missing => answer.byte(3),
            Self::Damaged(reason) => {
                answer.byte(4);
                answer.own_text(reason);
            }
            Self::NoSpace { needed, free } => {
                answer.byte(5);
                answer.number(*needed);
                answer.number(*free);
            }
            Self::Refused(reason) => {
                answer.byte(6);
                answer.own_text(reason);
            }
        }
        answer.finish()
    }

    /// Reads the first byte of an answer, and the fault that it announces.
    fn decode(answer: &mut Decoder<'_>) -> Result<Option<Self>, Malformed> {
        let fault = match answer.byte()? {
            DONE => return Ok(None),
            1 => Self::NoLibrary(answer.string()?),
            2 => Self::Locked,
            3 => Self::Missing,
            4 => Self::Damaged(answer.string()?),
            5 => Self::NoSpace {
                needed: answer.number()?,
                free: answer.number()?,
            },
            6 => Self::Refused(answer.string()?),
            _ => return Err(Malformed),
        };
        answer.end()?;
        Ok(Some(fault))
    }
}

/// Repeats a call of librrd while another program holds the lock of the file.
pub(super) fn patiently<T>(mut call: impl FnMut() -> Result<T, Reason>) -> Result<T, Reason> {
    for _ in 1..ATTEMPTS {
        match call() {
            Err(reason) if is_locked(&reason) => thread::sleep(PAUSE),
            outcome => return outcome,
        }
    }
    call()
}

fn is_locked(reason: &str) -> bool {
    reason.contains("could not lock RRD")
}

/// The path of a request.
pub(super) fn as_path(path: &CStr) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(path.to_bytes()))
}

/// Errors are shown with the path of their file, so librrd's text need not begin with it.
pub(super) fn without_path(reason: &str, path: &str) -> String {
    let prefixes = [format!("{path}: "), format!("opening '{path}': ")];
    let rest = prefixes.iter().find_map(|prefix| reason.strip_prefix(prefix));
    match rest.unwrap_or(reason) {
        "" => "librrd gives no reason".to_owned(),
        reason => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_arrives_as_it_was_sent() {
        for fault in [
            Fault::NoLibrary("librrd.so.8: not there".to_owned()),
            Fault::Locked,
            Fault::Missing,
            Fault::Damaged("it is too small".to_owned()),
            Fault::NoSpace { needed: 7, free: 3 },
            Fault::Refused("no".to_owned()),
        ] {
            let path = Path::new("/a.rrd");
            let error = outcome(&fault.encode(), path).unwrap_err();
            assert_eq!(error, fault.at(path));
        }
    }

    #[test]
    fn an_answer_that_is_cut_short_is_an_error() {
        let answer = Fault::NoSpace { needed: 7, free: 3 }.encode();
        for length in 0..answer.len() {
            let error = outcome(&answer[..length], Path::new("/a.rrd")).unwrap_err();
            assert!(matches!(error, RrdError::Worker(_)), "{error:?}");
        }
    }

    #[test]
    fn a_reason_does_not_repeat_the_path() {
        let shown = |reason| without_path(reason, "/a.rrd");
        assert_eq!(
            shown("/a.rrd: not a simple unsigned integer: '1.5'"),
            "not a simple unsigned integer: '1.5'"
        );
        assert_eq!(shown("opening '/a.rrd': Permission denied"), "Permission denied");
        assert_eq!(shown("unknown DS name 'x'"), "unknown DS name 'x'");
        assert_eq!(shown(""), "librrd gives no reason");
    }

    #[test]
    fn a_lock_is_waited_for_a_tenth_of_a_second() {
        let locked = || "could not lock RRD".to_owned();
        let mut calls = 0;
        let outcome: Result<(), _> = patiently(|| {
            calls += 1;
            Err(locked())
        });
        assert_eq!((outcome, calls), (Err(locked()), ATTEMPTS));
        assert_eq!(PAUSE * ATTEMPTS, Duration::from_millis(100));
        let mut calls = 0;
        let outcome = patiently(|| {
            calls += 1;
            if calls < 3 { Err(locked()) } else { Ok(calls) }
        });
        assert_eq!(outcome, Ok(3));
    }
}
