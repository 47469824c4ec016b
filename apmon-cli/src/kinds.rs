//! Everything a site file may hold: the tables of the libraries, one after another.

use std::sync::LazyLock;

use apmon_core::{ChannelKind, MonitorKind, Services, config::Tables};

use crate::feature;

static KINDS: LazyLock<Vec<&'static dyn MonitorKind>> = LazyLock::new(|| {
    [
        apmon_probes::KINDS,
        #[cfg(feature = "snmp")]
        apmon_snmp::KINDS,
    ]
    .concat()
});

/// The kinds of this build, and the names of the others.
static KNOWN_KINDS: LazyLock<Vec<&'static dyn MonitorKind>> = LazyLock::new(|| {
    let is_missing = |row: &&feature::OptionalKind| all().iter().all(|kind| kind.name() != row.name());
    let missing = feature::KINDS.iter().filter(is_missing).map(|row| row as _);
    all().iter().copied().chain(missing).collect()
});

static KNOWN_CHANNELS: LazyLock<Vec<&'static dyn ChannelKind>> = LazyLock::new(|| {
    let is_missing =
        |row: &&feature::OptionalChannel| channels().iter().all(|kind| kind.name() != row.name());
    let missing = feature::CHANNELS.iter().filter(is_missing).map(|row| row as _);
    channels().iter().copied().chain(missing).collect()
});

/// All kinds of this build, in the order of the reference.
pub(crate) fn all() -> &'static [&'static dyn MonitorKind] {
    &KINDS
}

/// All kinds of channels of this build, in the order of the reference.
pub(crate) fn channels() -> &'static [&'static dyn ChannelKind] {
    apmon_notify::CHANNELS
}

/// The kinds of monitors and channels, and the sections of the process, to read
/// site files: with what this build can only refuse.
pub(crate) fn tables() -> Tables<'static> {
    Tables {
        kinds: &KNOWN_KINDS,
        channels: &KNOWN_CHANNELS,
        site: &[
            #[cfg(feature = "rrd")]
            apmon_rrd::OPTIONS,
            #[cfg(not(feature = "rrd"))]
            &feature::NoHistory,
        ],
        process: &[],
        heartbeat: Some(apmon_notify::HEARTBEAT),
        refused: feature::VALUES,
    }
}

/// What monitors and channels share, with this machine's resolver and network.
pub(crate) fn services() -> Services {
    let services = Services::default();
    apmon_probes::install(&services);
    apmon_notify::install(&services);
    services
}

/// The kind that an address alone names: by its scheme, a bare host by `""`.
pub(crate) fn by_address(address: &str) -> Option<&'static dyn MonitorKind> {
    let scheme = address
        .split_once("://")
        .map_or("", |(scheme, _)| scheme)
        .to_ascii_lowercase();
    KNOWN_KINDS
        .iter()
        .copied()
        .find(|kind| kind.schemes().contains(&scheme.as_str()))
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, path::Path};

    use apmon_core::config::ProcessEnvironment;

    use super::*;

    /// A monitor's example as a whole site file.
    fn site(example: &str) -> String {
        let monitor: String = example.lines().map(|line| format!("    {line}\n")).collect();
        format!("site: {{name: s}}\nmonitors:\n  -\n{monitor}")
    }

    #[test]
    fn every_example_is_a_right_monitor_of_its_kind() {
        for kind in all() {
            let site = site(kind.example());
            let file = tables().parse(Path::new("example.yaml"), &site, &ProcessEnvironment);
            let file = file.unwrap_or_else(|error| panic!("{}: {error}", kind.name()));
            assert_eq!(file.monitors[0].kind, kind.name());
            assert!(file.warnings.is_empty());
        }
    }

    #[test]
    fn names_and_schemes_are_given_once() {
        let (mut names, mut schemes) = (HashSet::new(), HashSet::new());
        for kind in all() {
            assert!(names.insert(kind.name()), "{}", kind.name());
            for scheme in kind.schemes() {
                assert!(schemes.insert(scheme), "{scheme}://");
            }
        }
    }

    #[test]
    fn every_option_of_every_kind_is_described() {
        for kind in all() {
            let schema = kind.schema().to_value();
            for field in kind.fields() {
                let text = schema["properties"][field]["description"].as_str().unwrap_or("");
                assert!(text.len() > 20, "{} {field}: {text:?}", kind.name());
            }
        }
    }
}
