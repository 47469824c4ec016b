//! What a site file may name although it was left out of this build: the error
//! then names the feature, where a table without these rows would call the name
//! unknown.

use apmon_core::{
    ChannelBlueprint, ChannelKind, Compiled, MonitorKind, SectionKind, SectionValue,
    config::{Diagnostic, MonitorEntry, Section},
};
use schemars::{Schema, json_schema};

/// The kinds of monitors that belong to a feature. Built ones are read by their
/// own kind, and their rows here are not used.
pub(crate) const KINDS: &[OptionalKind] = &[
    OptionalKind {
        name: "dns",
        schemes: &["dns"],
        feature: "dns",
    },
    OptionalKind {
        name: "quic",
        schemes: &[],
        feature: "quic",
    },
    OptionalKind {
        name: "ports",
        schemes: &["snmp"],
        feature: "snmp",
    },
    OptionalKind {
        name: "port",
        schemes: &[],
        feature: "snmp",
    },
    OptionalKind {
        name: "host",
        schemes: &[],
        feature: "snmp",
    },
];

/// The kinds of channels that belong to a feature.
pub(crate) const CHANNELS: &[OptionalChannel] = &[OptionalChannel {
    name: "mail",
    section: "outage_emails",
    nouns: ("e-mail recipient", "e-mail recipients"),
    needs: &OptionalSection("email_server"),
    feature: "mail",
}];

/// The values of options of the site that belong to a feature which is missing.
pub(crate) const VALUES: &[(&str, &str, &str)] = if cfg!(feature = "hickory") {
    &[]
} else {
    NO_HICKORY
};

/// Without our own resolver, nothing asks the name servers alone.
const NO_HICKORY: &[(&str, &str, &str)] = &[("resolver", "dns", "this apmon was built without \"hickory\"")];

/// The reason for refusing what needs `feature`.
pub(crate) fn missing(feature: &str) -> String {
    format!("this apmon was built without \"{feature}\"")
}

/// A kind of monitor that is known by name only.
pub(crate) struct OptionalKind {
    name: &'static str,
    schemes: &'static [&'static str],
    feature: &'static str,
}

impl MonitorKind for OptionalKind {
    fn name(&self) -> &'static str {
        self.name
    }

    fn summary(&self) -> &'static str {
        "not part of this build"
    }

    fn address(&self) -> &'static str {
        ""
    }

    fn example(&self) -> &'static str {
        ""
    }

    fn schemes(&self) -> &'static [&'static str] {
        self.schemes
    }

    fn fields(&self) -> Vec<&'static str> {
        Vec::new()
    }

    fn schema(&self) -> Schema {
        json_schema!({})
    }

    fn read(&self, section: &mut Section<'_>) -> Option<Compiled> {
        section.error_text(
            "type",
            format!("\"type\" cannot be {}: {}", self.name, missing(self.feature)),
        );
        section.ignore_others();
        None
    }

    fn check_together(&self, _: &[&MonitorEntry], _: &mut Vec<Diagnostic>) {}

    fn is_built(&self) -> bool {
        false
    }
}

/// A kind of channel that is known by name only.
pub(crate) struct OptionalChannel {
    name: &'static str,
    section: &'static str,
    nouns: (&'static str, &'static str),
    needs: &'static OptionalSection,
    feature: &'static str,
}

impl ChannelKind for OptionalChannel {
    fn name(&self) -> &'static str {
        self.name
    }

    fn section(&self) -> &'static str {
        self.section
    }

    fn nouns(&self) -> (&'static str, &'static str) {
        self.nouns
    }

    fn summary(&self) -> &'static str {
        "Not part of this build."
    }

    fn example(&self) -> &'static str {
        ""
    }

    fn needs(&self) -> Option<&'static dyn SectionKind> {
        Some(self.needs)
    }

    fn schema(&self) -> Schema {
        json_schema!({})
    }

    fn read(&self, section: &mut Section<'_>, _: Option<&SectionValue>) -> Option<ChannelBlueprint> {
        let text = format!("{} cannot be used: {}", self.section, missing(self.feature));
        section.error_text("", text);
        section.ignore_others();
        None
    }
}

/// A section that is of use only to channels that are not part of this build. Its
/// content is not read.
pub(crate) struct OptionalSection(&'static str);

impl SectionKind for OptionalSection {
    fn name(&self) -> &'static str {
        self.0
    }

    fn summary(&self) -> &'static str {
        "Not part of this build."
    }

    fn example(&self) -> &'static str {
        ""
    }

    fn schema(&self) -> Schema {
        json_schema!({})
    }

    fn read(&self, section: &mut Section<'_>) -> Option<SectionValue> {
        section.ignore_others();
        None
    }
}

/// The options of history, in a build that keeps none: they are refused, except `rrd: no`.
#[cfg_attr(feature = "rrd", allow(dead_code))] // built to be tested
pub(crate) struct NoHistory;

impl SectionKind for NoHistory {
    fn name(&self) -> &'static str {
        "rrd"
    }

    fn summary(&self) -> &'static str {
        "Not part of this build."
    }

    fn example(&self) -> &'static str {
        ""
    }

    fn schema(&self) -> Schema {
        json_schema!({})
    }

    fn read(&self, section: &mut Section<'_>) -> Option<SectionValue> {
        let is_kept = section.read_each::<bool>(&["rrd"]);
        section.read_each::<serde_json::Value>(&["rrd_rows", "rrd_flush_secs"]);
        if is_kept.get("rrd") == Some(&true) {
            section.error("rrd", format!("cannot be yes: {}", missing("rrd")));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use apmon_core::config::{ConfigError, ProcessEnvironment, Tables};

    use super::*;
    use crate::kinds;

    /// The errors of a site file in a build that has none of the features.
    fn errors(site: &str) -> Vec<String> {
        parse(site).unwrap_err()
    }

    fn parse(site: &str) -> Result<(), Vec<String>> {
        let is_always_built = |kind: &&&dyn MonitorKind| KINDS.iter().all(|row| row.name != kind.name());
        let built = kinds::all().iter().filter(is_always_built).copied();
        let rows: Vec<_> = built.chain(KINDS.iter().map(|row| row as _)).collect();
        let channels: Vec<&dyn ChannelKind> = CHANNELS.iter().map(|row| row as _).collect();
        let tables = Tables {
            kinds: &rows,
            channels: &channels,
            site: &[&NoHistory],
            process: &[],
            heartbeat: None,
            refused: NO_HICKORY,
        };
        match tables.parse(Path::new("site.yaml"), site, &ProcessEnvironment) {
            Ok(_) => Ok(()),
            Err(ConfigError::Invalid { errors, .. }) => Err(errors
                .iter()
                .map(|error| format!("{}: {}", error.at.line, error.text))
                .collect()),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_kind_that_was_not_built_is_refused_by_the_name_of_its_feature_alone() {
        let site = "site: {name: s}\nmonitors:\n\
                    - {name: a, address: 'snmp://10.0.0.1', community: public,\n   type: ports}\n";
        assert_eq!(
            errors(site),
            ["4: \"type\" cannot be ports: this apmon was built without \"snmp\""]
        );
    }

    #[test]
    fn a_wrong_type_is_answered_with_the_kinds_that_were_built() {
        let site = "site: {name: s}\nmonitors:\n- {name: a, address: a, type: pngi}\n- {name: b, address: b, type: dsn}\n";
        let list = "\"type\" must be one of ping, tcp, udp, http, not";
        assert_eq!(
            errors(site),
            [
                format!("3: {list} \"pngi\"; did you mean ping?"),
                format!("4: {list} \"dsn\""),
            ]
        );
    }

    #[test]
    fn a_channel_that_was_not_built_is_refused_once_per_entry() {
        let site = "site:\n  name: s\n  email_server: {smtp_host: mail.example.com}\n  outage_emails:\n  \
                    - {email: ops@example.com, then: x}\nmonitors:\n- {name: a, address: a, type: quic}\n";
        let errors = errors(site);
        assert!(
            errors.contains(
                &"5: outage_emails cannot be used: this apmon was built without \"mail\"".to_owned()
            ),
            "{errors:?}"
        );
        assert!(
            errors.iter().all(|error| !error.contains("unknown option")),
            "{errors:?}"
        );
    }

    #[test]
    fn a_value_of_an_option_that_was_not_built_is_refused_where_it_is_written() {
        let site = |resolver: &str| {
            format!(
                "site:\n  name: s\n  resolver: {resolver}\nmonitors:\n- {{name: a, address: a, type: quic}}\n"
            )
        };
        let refused = "3: \"resolver\" cannot be dns: this apmon was built without \"hickory\"";
        assert_eq!(errors(&site("dns"))[0], refused);
        assert_eq!(errors(&site("system")).len(), 1);
    }

    #[test]
    fn history_that_was_not_built_is_refused_where_it_is_asked_for() {
        let site = |options: &str| {
            format!("site:\n  name: s\n  {options}\nmonitors:\n- {{name: a, address: a, type: ping}}\n")
        };
        for (options, errors_expected) in [
            ("rrd: no", vec![]),
            ("rrd_rows: {native: 10}\n  rrd_flush_secs: 5", vec![]),
            (
                "rrd: yes",
                vec!["3: \"rrd\" cannot be yes: this apmon was built without \"rrd\""],
            ),
        ] {
            let site = site(options);
            let errors = match parse(&site) {
                Ok(()) => Vec::new(),
                Err(errors) => errors,
            };
            assert_eq!(errors, errors_expected, "{options}");
        }
    }

    #[test]
    fn the_rows_are_those_of_a_complete_build() {
        for row in KINDS {
            if let Some(kind) = kinds::all().iter().find(|kind| kind.name() == row.name) {
                assert_eq!(kind.schemes(), row.schemes, "{}", row.name);
            }
            let read = kinds::tables()
                .kinds
                .iter()
                .filter(|kind| kind.name() == row.name);
            assert_eq!(read.count(), 1, "{}", row.name);
        }
        for row in CHANNELS {
            if let Some(kind) = kinds::channels().iter().find(|kind| kind.name() == row.name) {
                let section = kind.needs().map(|section| section.name());
                assert_eq!(
                    (kind.section(), kind.nouns(), section),
                    (row.section, row.nouns, Some(row.needs.0))
                );
            }
            let channels = kinds::tables().channels.iter();
            assert_eq!(
                channels.filter(|kind| kind.name() == row.name).count(),
                1,
                "{}",
                row.name
            );
        }
        let is_complete = cfg!(all(
            feature = "dns",
            feature = "mail",
            feature = "quic",
            feature = "snmp"
        ));
        let is_built = |row: &OptionalKind| kinds::all().iter().any(|kind| kind.name() == row.name);
        assert!(!is_complete || KINDS.iter().all(is_built));
    }
}
