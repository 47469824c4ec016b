//! The time zone of this machine.

#[cfg(unix)]
use std::{
    env, fs,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{Mutex, PoisonError},
};

use jiff::tz::TimeZone;

/// Where a system keeps the rules of its zone.
#[cfg(unix)]
const LOCAL_TIME: &str = "/etc/localtime";
/// More than any zone needs: the largest of the time zone database has 4 kB.
#[cfg(unix)]
const MAX_BYTES: u64 = 64 * 1024;

/// The zone that was read last, and the file that it was read from.
#[cfg(unix)]
static LAST: Mutex<Option<(FileVersion, TimeZone)>> = Mutex::new(None);

/// Tells apart a file, one that replaced it, and its changed content.
#[cfg(unix)]
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileVersion {
    device: u64,
    inode: u64,
    modified: (i64, i64),
}

/// The time zone of this machine: that of the environment variable `TZ` if it is set, else that
/// of `/etc/localtime`, also if it changes later; UTC if neither is known.
///
/// [`TimeZone::system`] returns the same zone, but first reads all the directories of the time
/// zone database, to know the zone's name. In a pass with one monitor that is a quarter of all
/// instructions, and nothing shows that name.
#[must_use]
pub fn local_zone() -> TimeZone {
    #[cfg(unix)]
    if env::var_os("TZ").is_none()
        && let Some(zone) = zone_of(Path::new(LOCAL_TIME))
    {
        return zone;
    }
    TimeZone::system()
}

/// The zone that a file describes; `None` if it cannot be read.
#[cfg(unix)]
fn zone_of(path: &Path) -> Option<TimeZone> {
    let file = fs::metadata(path).ok()?;
    if !file.is_file() || file.len() > MAX_BYTES {
        return None;
    }
    let version = FileVersion {
        device: file.dev(),
        inode: file.ino(),
        modified: (file.mtime(), file.mtime_nsec()),
    };
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, zone)) = last.as_ref().filter(|(read, _)| *read == version) {
        return Some(zone.clone());
    }
    let zone = TimeZone::tzif("Local", &fs::read(path).ok()?).ok()?;
    *last = Some((version, zone.clone()));
    Some(zone)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn hour(zone: &TimeZone) -> i8 {
        let noon: Timestamp = "2026-07-01T12:00:00Z".parse().unwrap();
        zone.to_datetime(noon).hour()
    }

    /// A file in the format of RFC 9636, version 1: a zone that never changes its offset.
    fn zone_file(hours: i32) -> Vec<u8> {
        let mut file = b"TZif".to_vec();
        file.extend([0; 16]); // version and reserved
        for count in [0_u32, 0, 0, 0, 1, 4] {
            file.extend(count.to_be_bytes()); // one local time type, four characters
        }
        file.extend((hours * 3600).to_be_bytes());
        file.extend([0, 0]); // no daylight saving time; the abbreviation begins at 0
        file.extend(*b"ABC\0");
        file
    }

    #[test]
    fn the_zone_is_the_one_jiff_finds() {
        assert_eq!(hour(&local_zone()), hour(&TimeZone::system()));
    }

    #[test]
    fn a_replaced_file_is_read_again_and_an_invalid_one_gives_no_zone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("localtime");
        for (hours, expected) in [(9, 21), (-4, 8), (0, 12)] {
            let next = folder.path().join("next");
            fs::write(&next, zone_file(hours)).unwrap();
            fs::rename(&next, &path).unwrap();
            assert_eq!(hour(&zone_of(&path).unwrap()), expected);
            assert_eq!(hour(&zone_of(&path).unwrap()), expected, "read once, kept");
        }
        fs::remove_file(&path).unwrap();
        assert!(zone_of(&path).is_none());
        fs::write(&path, "no zone").unwrap();
        assert!(zone_of(&path).is_none());
    }
}
