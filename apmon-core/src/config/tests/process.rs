//! Options of the process, and checks of kinds across several site files.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Variables, channel_kind, kind};
use crate::{
    SectionValue,
    channel::SectionKind,
    config::{PortNumber, Section, SiteFile, Tables, Text, check_process},
};

struct Web;

#[derive(Debug, Deserialize, JsonSchema)]
struct WebOptions {
    listen: Option<Text>,
    port: Option<PortNumber>,
}

impl SectionKind for Web {
    fn name(&self) -> &'static str {
        "web"
    }

    fn summary(&self) -> &'static str {
        "pages"
    }

    fn example(&self) -> &'static str {
        "port: 8888"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(WebOptions)
    }

    fn read(&self, section: &mut Section<'_>) -> Option<SectionValue> {
        section.read::<WebOptions>().map(SectionValue::new)
    }
}

const TABLES: Tables<'_> = Tables {
    kinds: kind::KINDS,
    channels: channel_kind::CHANNELS,
    site: &[],
    process: &[&Web],
    heartbeat: None,
    refused: &[],
};

fn site(path: &str, more: &str) -> Result<SiteFile, String> {
    let text = format!(
        "site: {{name: Lab}}\nmonitors:\n- {{type: ping, name: gw, address: 10.0.0.1}}\n- {{type: port, name: p, address: 'snmp://h', port: 1, mac: m}}\n{more}"
    );
    let parsed = TABLES.parse(Path::new(path), &text, &Variables(&[]));
    parsed.map_err(|error| error.to_string())
}

#[test]
fn sections_of_the_process_are_read_by_their_kinds() {
    let file = site("a.yaml", "apmon:\n  web: {port: 8888}\n").unwrap();
    let section = &file.process[0];
    assert_eq!((section.name, section.at.line, section.at.column), ("web", 6, 3));
    let web = section.value.get::<WebOptions>().unwrap();
    assert_eq!(web.port.unwrap().get(), 8888);
    assert!(web.listen.is_none() && section.value.get::<u8>().is_none());
}

#[test]
fn errors_in_them_are_reported_with_their_positions() {
    for (more, error) in [
        (
            "apmon: 1\n",
            "a.yaml:5:8: apmon: must be a section that contains sections, found a single value",
        ),
        (
            "apmon: {wbe: {}}\n",
            "a.yaml:5:9: apmon: unknown section \"wbe\"; did you mean \"web\"?",
        ),
        (
            "apmon: {web: {prot: 1}}\n",
            "a.yaml:5:15: apmon.web: unknown option \"prot\"; did you mean \"port\"?",
        ),
        (
            "apmon: {web: {port: 0}}\n",
            "a.yaml:5:21: apmon.web: \"port\" must be a port, 1 to 65535, not 0",
        ),
        (
            "apmon: {web: }\n",
            "a.yaml:5:12: apmon.web: must be a section of options, found nothing; are its options indented below it?",
        ),
    ] {
        assert_eq!(site("a.yaml", more).unwrap_err(), error, "{more}");
    }
    let without = Tables {
        process: &[],
        ..TABLES
    };
    let text = "site: {name: Lab}\nmonitors: [{type: ping, name: a, address: h}]\napmon: {web: {}}\n";
    // A program without such options reads the rest, with a warning.
    let file = without.parse(Path::new("a.yaml"), text, &Variables(&[])).unwrap();
    let warnings: Vec<_> = file.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, ["apmon: unknown section \"web\""]);
}

#[test]
fn more_options_of_the_site_are_read_by_their_kinds() {
    let tables = Tables {
        site: &[&Web],
        ..TABLES
    };
    let parse = |options: &str, more: &str| {
        let text =
            format!("site: {{name: Lab{options}}}\nmonitors: [{{type: ping, name: a, address: h}}]\n{more}");
        let parsed = tables.parse(Path::new("a.yaml"), &text, &Variables(&[]));
        parsed.map_err(|error| error.to_string())
    };
    let file = parse(", port: 8888", "").unwrap();
    let [value] = &file.site_values[..] else {
        panic!("{:?}", file.site_values);
    };
    assert_eq!(value.get::<WebOptions>().unwrap().port.unwrap().get(), 8888);
    for (options, more, error) in [
        (
            ", port: 0",
            "",
            "a.yaml:1:25: site: \"port\" must be a port, 1 to 65535, not 0",
        ),
        (
            ", prot: 1",
            "",
            "a.yaml:1:19: site: unknown option \"prot\"; did you mean \"port\"?",
        ),
        (
            ", check_every_n_secs: 0",
            "port: 1\n",
            "a.yaml:1:39: site: \"check_every_n_secs\" must be 1 to 315360000 seconds, not 0\n\
             a.yaml:3:1: \"port\" is an option, not a section: indent it below \"site\", or below the \"- \" of its monitor",
        ),
    ] {
        assert_eq!(parse(options, more).unwrap_err(), error, "{options}");
    }
}

#[test]
fn files_of_one_process_must_agree_on_its_options() {
    let files = [
        site("a.yaml", "apmon: {web: {port: 8888, listen: h}}\n").unwrap(),
        site("b.yaml", "apmon:\n  web:\n    listen: \"h\"\n    port: 8888\n").unwrap(),
        site("c.yaml", "").unwrap(),
        site("d.yaml", "apmon: {web: {port: 8889, listen: h}}\n").unwrap(),
    ];
    let check = |files: &[&SiteFile]| -> Vec<String> {
        let errors = check_process(files, &TABLES);
        errors
            .iter()
            .map(|error| format!("{}: {error}", error.at))
            .collect()
    };
    let [a, b, c, d] = &files;
    assert_eq!(check(&[a]), [""; 0]);
    assert_eq!(
        check(&[a, c]).len(),
        2,
        "the ports; c has no options of the process"
    );
    assert_eq!(
        check(&[a, d]),
        [
            "a.yaml:4:3: monitor \"p\": uses the same port as the monitor at d.yaml:4:3",
            "d.yaml:4:3: monitor \"p\": uses the same port as the monitor at a.yaml:4:3",
            "d.yaml:5:9: apmon: \"web\" differs from the one at a.yaml:5:9: it must be the same for all sites of a process",
        ]
        .map(str::to_owned)
    );
    assert_eq!(
        check(&[a, b]).len(),
        2,
        "the ports; another notation makes no difference"
    );
}

#[test]
fn a_kind_checks_its_monitors_of_one_file_together() {
    let twice = "- {type: port, name: q, address: 'snmp://h', port: 1, mac: m}\n";
    assert_eq!(
        site("a.yaml", twice).unwrap_err(),
        "a.yaml:4:3: monitor \"p\": uses the same port as the monitor at a.yaml:5:3\n\
         a.yaml:5:3: monitor \"q\": uses the same port as the monitor at a.yaml:4:3"
    );
}
