//! What monitors and their charts are called in links and names of files.

use std::{collections::HashSet, path::Path};

use super::{MonitorView, SiteView};
use crate::{Pair, pairs, safe_name};

/// A chart of a monitor that is displayed.
#[derive(Clone, Debug)]
pub struct Target<'a> {
    /// Its name in links and names of files: `core-bandwidth`.
    pub name: String,
    /// The monitor.
    pub monitor: &'a MonitorView<'a>,
    /// What the chart shows.
    pub pair: &'static Pair,
}

/// A monitor with its name in links, which no other one has.
pub(super) struct Named<'a> {
    pub(super) monitor: &'a MonitorView<'a>,
    pub(super) stem: String,
}

/// The charts of a site, in the order of the site file. Monitors that are not displayed have none.
#[must_use]
pub fn targets<'a>(site: &'a SiteView<'a>) -> Vec<Target<'a>> {
    let displayed = named(site).into_iter().filter(|named| named.monitor.display);
    displayed
        .flat_map(|named| {
            let pairs = pairs(named.monitor.kind).iter();
            pairs
                .map(|pair| Target {
                    name: named.target(pair),
                    monitor: named.monitor,
                    pair,
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The directory of a site's pages below the one of all sites, and its key in the list of
/// `mrtg-rrd.cgi.pl`.
#[must_use]
pub fn site_directory(site: &str) -> String {
    let name = safe_name(site);
    match name.as_str() {
        // The directory of all sites, and the one above it.
        "" | "." | ".." => format!("_{name}"),
        _ => name,
    }
}

/// All monitors, also those that are not displayed: a monitor that is hidden does not change the
/// links of another one.
pub(super) fn named<'a>(site: &'a SiteView<'a>) -> Vec<Named<'a>> {
    // MRTG's own readers take these two names for defaults (`Options[_]`, `Options[^]`).
    let mut taken = HashSet::from(["_".to_owned(), "^".to_owned()]);
    let name = |monitor: &'a MonitorView<'a>| {
        let stem = stem(&monitor.file);
        let mut named = Named {
            monitor,
            stem: stem.clone(),
        };
        let mut n = 1_u64;
        while named.names().any(|name| taken.contains(&name)) {
            n += 1;
            named.stem = format!("{stem}~{n}");
        }
        taken.extend(named.names());
        named
    };
    site.monitors.iter().map(name).collect()
}

impl Named<'_> {
    pub(super) fn target(&self, pair: &Pair) -> String {
        format!("{}{}", self.stem, pair.suffix)
    }

    /// The monitor's own page.
    pub(super) fn page(&self) -> String {
        format!("{}-{}-detail.html", self.monitor.kind, self.stem)
    }

    /// All names that must be its own: a monitor `web-system` beside a switch `web` has another
    /// file, and its target would be that of the switch. MRTG's readers ignore case.
    fn names(&self) -> impl Iterator<Item = String> {
        let targets = pairs(self.monitor.kind).iter().map(|pair| self.target(pair));
        targets.chain([self.page()]).map(|name| name.to_lowercase())
    }
}

/// What the name of a monitor's file begins with.
fn stem(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let suffixes = ["-availability.rrd", "-snmp.rrd", ".rrd"];
    let stem = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix));
    let stem = stem.unwrap_or(&name);
    // Anybody may name a file. `~` is in the name of a second file (`web~2`).
    let parts: Vec<String> = stem.split('~').map(safe_name).collect();
    match parts.join("~") {
        empty if empty.is_empty() => "_".to_owned(),
        stem => stem,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::*, *};

    fn names(monitors: &[(&'static str, &'static str)]) -> Vec<String> {
        let monitors = monitors.iter().map(|&(kind, file)| MonitorView {
            file: file.into(),
            ..monitor(kind, file)
        });
        let site = site(monitors.collect());
        targets(&site).into_iter().map(|target| target.name).collect()
    }

    #[test]
    fn a_target_is_named_after_the_file() {
        assert_eq!(
            names(&[
                ("ping", "/r/Büro-availability.rrd"),
                ("port", "/r/core~2-snmp.rrd")
            ]),
            [
                "Büro",
                "core~2-bandwidth",
                "core~2-packets",
                "core~2-packets-type",
                "core~2-errors"
            ]
        );
    }

    #[test]
    fn no_two_targets_have_one_name() {
        let all = names(&[
            ("host", "/r/web-snmp.rrd"),
            ("ping", "/r/web-system1-availability.rrd"),
            ("tcp", "/r/Web-System1-availability.rrd"),
            ("tcp", "/r/web-system1~2-availability.rrd"),
            ("tcp", "/r/_-availability.rrd"),
            ("tcp", "/r/-availability.rrd"),
        ]);
        assert_eq!(
            all[4..],
            ["web-system1~2", "Web-System1~3", "web-system1~2~2", "_~2", "_~3"]
        );
    }

    #[test]
    fn the_name_of_a_file_cannot_leave_the_directory() {
        assert_eq!(names(&[("tcp", "/r/a b]\n\u{202e}.rrd")]), ["a_b___"]);
        for (site, directory) in [
            ("..", "_.."),
            (".", "_."),
            ("", "_"),
            ("../x", ".._x"),
            ("Home Lab", "Home_Lab"),
        ] {
            assert_eq!(site_directory(site), directory);
        }
    }

    #[test]
    fn a_hidden_monitor_keeps_its_name_and_has_no_target() {
        let mut hidden = monitor("tcp", "a");
        hidden.display = false;
        let mut other = monitor("tcp", "b");
        other.file = hidden.file.clone();
        let site = site(vec![hidden, other]);
        let names: Vec<_> = targets(&site).into_iter().map(|target| target.name).collect();
        assert_eq!(names, ["a~2"]);
    }
}
