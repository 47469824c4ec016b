//! Where state files stand.

use std::{
    io,
    path::{Path, PathBuf},
};

use apmon_core::config::Environment;

/// What decides where state files stand by default.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Platform {
    /// `/var/tmp/APMonitor`
    Unix,
    /// `%TEMP%\APMonitor`
    Windows,
    /// The working directory.
    Other,
}

impl Platform {
    /// This machine's.
    pub const HERE: Self = if cfg!(unix) {
        Self::Unix
    } else if cfg!(windows) {
        Self::Windows
    } else {
        Self::Other
    };
}

/// What a state file is written as; its suffix says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// A SQLite database: `.db`.
    Sqlite,
    /// The JSON file of seed 003: everything else, by default `.json`.
    Json,
}

impl Format {
    /// Of the file at `path`.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        match path.extension() {
            Some(suffix) if suffix.eq_ignore_ascii_case("db") => Self::Sqlite,
            _ => Self::Json,
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::Sqlite => ".statefile.db",
            Self::Json => ".statefile.json",
        }
    }
}

/// The state file of a site file where none is named: `<stem>.statefile.db` or
/// `<stem>.statefile.json` in `$STATE_DIRECTORY` (set by systemd; the first of several), else in the
/// platform's directory (seed 003).
#[must_use]
pub fn default_path(
    config: &Path,
    format: Format,
    platform: Platform,
    environment: &dyn Environment,
) -> PathBuf {
    let mut name = config.file_stem().unwrap_or_default().to_owned();
    name.push(format.suffix());
    default_directory(platform, environment).join(name)
}

/// The directory in which state files stand where none is named.
#[must_use]
pub fn default_directory(platform: Platform, environment: &dyn Environment) -> PathBuf {
    let given = |name| {
        environment
            .variable(name)
            .filter(|value: &String| !value.is_empty())
    };
    let by_systemd = given("STATE_DIRECTORY")
        .and_then(|list| list.split(':').next().map(PathBuf::from))
        .filter(|first| !first.as_os_str().is_empty());
    by_systemd.unwrap_or_else(|| match platform {
        Platform::Unix => PathBuf::from("/var/tmp/APMonitor"),
        Platform::Windows => given("TEMP").map_or_else(
            || PathBuf::from("."),
            |temp| PathBuf::from(temp).join("APMonitor"),
        ),
        Platform::Other => PathBuf::from("."),
    })
}

/// `path` with `suffix` behind its whole name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The directory `path` stands in.
pub(crate) fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes the directory `path` stands in, where it is missing: everybody may
/// look into it (the chart tools do), nobody else may write. A umask does not
/// change that.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    let directory = directory(path);
    let missing: Vec<_> = directory
        .ancestors()
        .take_while(|above| !above.as_os_str().is_empty() && above.symlink_metadata().is_err())
        .collect();
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o755);
    builder.create(directory)?;
    #[cfg(unix)]
    for made in missing {
        // Whose it is has changed if this fails; it is there, and that will do.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        let _ = std::fs::set_permissions(made, mode);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Variables<'a>(&'a [(&'a str, &'a str)]);

    impl Environment for Variables<'_> {
        fn variable(&self, name: &str) -> Option<String> {
            let (_, value) = self.0.iter().find(|(known, _)| *known == name)?;
            Some((*value).to_owned())
        }
    }

    #[test]
    fn the_default_place_follows_systemd_then_the_platform() {
        use Platform::{Other, Unix, Windows};
        type Row<'a> = (&'a str, Platform, &'a [(&'a str, &'a str)], &'a str);
        let table: &[Row<'_>] = &[
            (
                "homelab.yaml",
                Unix,
                &[],
                "/var/tmp/APMonitor/homelab.statefile.json",
            ),
            (
                "/etc/apmon/a.b.yml",
                Unix,
                &[],
                "/var/tmp/APMonitor/a.b.statefile.json",
            ),
            (
                "../x.json",
                Unix,
                &[("STATE_DIRECTORY", "/var/lib/apmon")],
                "/var/lib/apmon/x.statefile.json",
            ),
            (
                "x.yaml",
                Unix,
                &[("STATE_DIRECTORY", "/var/lib/a:/var/lib/b")],
                "/var/lib/a/x.statefile.json",
            ),
            (
                "x.yaml",
                Unix,
                &[("STATE_DIRECTORY", "")],
                "/var/tmp/APMonitor/x.statefile.json",
            ),
            (
                "x.yaml",
                Unix,
                &[("STATE_DIRECTORY", ":/b")],
                "/var/tmp/APMonitor/x.statefile.json",
            ),
            (
                "x.yaml",
                Unix,
                &[("TEMP", "/t")],
                "/var/tmp/APMonitor/x.statefile.json",
            ),
            (
                "x.yaml",
                Windows,
                &[("TEMP", "/t")],
                "/t/APMonitor/x.statefile.json",
            ),
            ("x.yaml", Windows, &[], "./x.statefile.json"),
            ("x.yaml", Other, &[("TEMP", "/t")], "./x.statefile.json"),
        ];
        for (config, platform, variables, expected) in table {
            assert_eq!(
                default_path(Path::new(config), Format::Json, *platform, &Variables(variables)),
                Path::new(expected),
                "{config} {platform:?} {variables:?}"
            );
            assert_eq!(
                default_path(
                    Path::new(config),
                    Format::Sqlite,
                    *platform,
                    &Variables(variables)
                ),
                Path::new(expected).with_extension("db")
            );
        }
    }

    #[test]
    fn the_suffix_decides_what_a_state_file_is() {
        let table = [
            ("x.db", Format::Sqlite),
            ("x.statefile.DB", Format::Sqlite),
            ("x.json", Format::Json),
            ("x.db.json", Format::Json),
            ("db", Format::Json),
            (".db", Format::Json),
            ("x.sqlite", Format::Json),
        ];
        for (path, expected) in table {
            assert_eq!(Format::of(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn what_stands_beside_a_file_has_its_whole_name() {
        assert_eq!(
            beside(Path::new("/s/x.statefile.json"), ".old"),
            Path::new("/s/x.statefile.json.old")
        );
        assert_eq!(directory(Path::new("x.json")), Path::new("."));
    }
}
