//! Default locations and formats of state files.

use std::path::{Path, PathBuf};

use apmon_core::config::Environment;

/// The operating system's part in the default location of state files.
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
    /// The platform of this build.
    pub const HERE: Self = if cfg!(unix) {
        Self::Unix
    } else if cfg!(windows) {
        Self::Windows
    } else {
        Self::Other
    };
}

/// The format of a state file, chosen by its suffix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// A SQLite database: `.db`.
    Sqlite,
    /// APMonitor's JSON file: every other suffix, by default `.json`.
    Json,
}

impl Format {
    /// The format of the file at `path`.
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

/// The default state file of a site file: `<stem>.statefile.db` or
/// `<stem>.statefile.json` in [`default_directory`].
#[must_use]
pub fn default_path(
    config: &Path,
    format: Format,
    platform: Platform,
    environment: &dyn Environment,
) -> PathBuf {
    path_in(&default_directory(platform, environment), config, format)
}

/// The state file of a site file in another directory than the default one.
#[must_use]
pub fn path_in(directory: &Path, config: &Path, format: Format) -> PathBuf {
    let mut name = config.file_stem().unwrap_or_default().to_owned();
    name.push(format.suffix());
    directory.join(name)
}

/// The directories in which an apmon of this machine may keep its state by default,
/// however it was started: those in `$STATE_DIRECTORY`, those that systemd makes for a unit
/// with `StateDirectory=apmon`, and the platform's.
#[must_use]
pub fn default_directories(platform: Platform, environment: &dyn Environment) -> Vec<PathBuf> {
    let list = environment.variable("STATE_DIRECTORY").unwrap_or_default();
    let mut directories: Vec<PathBuf> = list
        .split(':')
        .filter(|directory| !directory.is_empty())
        .map(PathBuf::from)
        .collect();
    if platform == Platform::Unix {
        // With DynamicUser= the first one is a link to the second one.
        directories.extend(["/var/lib/apmon", "/var/lib/private/apmon"].map(PathBuf::from));
    }
    directories.push(of_platform(platform, environment));
    let mut seen = std::collections::HashSet::new();
    directories.retain(|directory| seen.insert(directory.clone()));
    directories
}

/// The default directory of state files: `$STATE_DIRECTORY` (set by systemd; the
/// first of several), else the platform's.
#[must_use]
pub fn default_directory(platform: Platform, environment: &dyn Environment) -> PathBuf {
    let list = environment.variable("STATE_DIRECTORY");
    let by_systemd = list
        .and_then(|list: String| list.split(':').next().map(PathBuf::from))
        .filter(|first| !first.as_os_str().is_empty());
    by_systemd.unwrap_or_else(|| of_platform(platform, environment))
}

fn of_platform(platform: Platform, environment: &dyn Environment) -> PathBuf {
    let temp = || environment.variable("TEMP").filter(|value| !value.is_empty());
    match platform {
        Platform::Unix => PathBuf::from("/var/tmp/APMonitor"),
        Platform::Windows => temp().map_or_else(
            || PathBuf::from("."),
            |temp| PathBuf::from(temp).join("APMonitor"),
        ),
        Platform::Other => PathBuf::from("."),
    }
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
    fn the_default_location_follows_systemd_then_the_platform() {
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
    fn the_suffix_decides_the_format() {
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
    fn state_may_be_where_systemd_keeps_it_too() {
        let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect::<Vec<_>>();
        let unit = ["/var/lib/apmon", "/var/lib/private/apmon", "/var/tmp/APMonitor"];
        let of = |platform, variables| default_directories(platform, &Variables(variables));
        assert_eq!(of(Platform::Unix, &[]), paths(&unit));
        assert_eq!(
            of(Platform::Unix, &[("STATE_DIRECTORY", "/a::/var/lib/apmon")]),
            paths(&["/a", unit[0], unit[1], unit[2]])
        );
        assert_eq!(
            of(Platform::Other, &[("STATE_DIRECTORY", "/a")]),
            paths(&["/a", "."])
        );
        assert_eq!(
            path_in(Path::new("/a"), Path::new("b/c.d.yaml"), Format::Sqlite),
            Path::new("/a/c.d.statefile.db")
        );
    }
}
