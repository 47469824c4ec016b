//! Files that are not continued. They are never deleted: they get another name.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    archive::earlier_name,
    schema::Schema,
    template::{FileKind, is_fixed},
};

/// Why a file is not continued.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reason {
    /// It cannot be read.
    Damaged,
    /// It is of an APMonitor before 1.3.
    BeforeApmonitor13,
    /// It holds another step.
    Step(u64),
}

/// Whether a file is of an APMonitor before 1.3: there, `is_up` was 0 or 1, and the interfaces of
/// a switch had their names.
pub(crate) fn is_before_13(kind: FileKind, schema: &Schema) -> bool {
    match kind {
        FileKind::Availability => schema
            .sources
            .iter()
            .any(|source| source.name == "is_up" && source.max.is_some_and(|max| max <= 1.0)),
        FileKind::Snmp => !schema.sources.iter().any(|source| is_fixed(&source.name)),
        FileKind::Metrics => false,
    }
}

/// Gives the file at `path` another name, which is returned. What has that name already keeps it.
pub(crate) fn set_aside(path: &Path, reason: Reason) -> io::Result<PathBuf> {
    let to = match reason {
        Reason::Damaged => free(path, "damaged"),
        Reason::BeforeApmonitor13 => free(path, "before-1.3"),
        Reason::Step(step) => {
            let to = earlier_name(path, step);
            match to.exists() {
                // Never seen together: the earlier file would have become this one again.
                true => free(path, &format!("step{step}.other")),
                false => to,
            }
        }
    };
    fs::rename(path, &to)?;
    Ok(to)
}

fn free(path: &Path, word: &str) -> PathBuf {
    let first = path.with_extension(format!("{word}.rrd"));
    let others = (2..).map(|number: u32| path.with_extension(format!("{word}-{number}.rrd")));
    let mut names = std::iter::once(first.clone()).chain(others);
    names.find(|name| !name.exists()).unwrap_or(first)
}

/// Deletes what a killed librrd has left: `<file>.rrd` and six letters or digits, unless it may
/// still be writing there. Returns how many.
pub(crate) fn sweep(directory: &Path, now: std::time::SystemTime) -> usize {
    /// A tune takes seconds.
    const IN_USE: std::time::Duration = std::time::Duration::from_secs(600);
    let mut swept = 0;
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if !name.to_str().is_some_and(is_temporary) {
            continue;
        }
        let age = entry.metadata().and_then(|it| it.modified());
        let age = age.map(|modified| now.duration_since(modified).unwrap_or_default());
        if age.is_ok_and(|age| age >= IN_USE) && fs::remove_file(entry.path()).is_ok() {
            swept += 1;
        }
    }
    swept
}

/// Whether librrd gives a temporary file this name.
pub(crate) fn is_temporary(name: &str) -> bool {
    let mut parts = name.rsplitn(2, ".rrd");
    let (Some(end), Some(_)) = (parts.next(), parts.next()) else {
        return false;
    };
    end.len() == 6 && end.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::{rows::Rows, template::Template};

    #[test]
    fn a_file_gets_a_name_that_is_free() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("web.x-availability.rrd");
        let mut names = Vec::new();
        for reason in [
            Reason::Damaged,
            Reason::Damaged,
            Reason::BeforeApmonitor13,
            Reason::Step(60),
            Reason::Step(60),
        ] {
            fs::write(&path, "x").unwrap();
            let to = set_aside(&path, reason).unwrap();
            names.push(to.file_name().unwrap().to_str().unwrap().to_owned());
        }
        assert_eq!(
            names,
            [
                "web.x-availability.damaged.rrd",
                "web.x-availability.damaged-2.rrd",
                "web.x-availability.before-1.3.rrd",
                "web.x-availability.step60.rrd",
                "web.x-availability.step60.other.rrd",
            ]
        );
        assert!(!path.exists());
    }

    #[test]
    fn only_what_librrd_left_is_swept() {
        let directory = tempfile::tempdir().unwrap();
        let names = [
            "a-availability.rrdAb12Cd",
            "a-availability.rrd",
            "a-availability.rrd.new",
            "a-availability.rrd123456.rrd",
            "a.rrdAb12C",
            "a.rrdAb12Cde",
            "a.rrdAb1.Cd",
        ];
        for name in names {
            fs::write(directory.path().join(name), "").unwrap();
        }
        #[allow(clippy::disallowed_methods)] // compared with the times of files
        let now = SystemTime::now();
        assert_eq!(sweep(directory.path(), now), 0, "it may be in use");
        assert_eq!(sweep(directory.path(), now + Duration::from_secs(700)), 1);
        assert!(!directory.path().join(names[0]).exists());
        assert!(names[1..].iter().all(|name| directory.path().join(name).exists()));
    }

    #[test]
    fn a_file_before_13_is_recognised() {
        let of = |template: &Template| Schema::of(template, 60, &Rows::Small);
        let mut availability = of(&Template::Availability);
        assert!(!is_before_13(FileKind::Availability, &availability));
        availability.sources[1].max = Some(1.0);
        assert!(is_before_13(FileKind::Availability, &availability));

        let mut switch = of(&Template::Snmp { interfaces: vec![1] });
        assert!(!is_before_13(FileKind::Snmp, &switch));
        switch.sources.truncate(2);
        switch.sources[0].name = "eth0_in".to_owned();
        assert!(is_before_13(FileKind::Snmp, &switch));
    }
}
