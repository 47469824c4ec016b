//! The options of a site that say whether its history is kept, and how much of it.

use std::{borrow::Cow, fmt, time::Duration};

use apmon_core::{SectionKind, SectionValue, config::Section};
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::rows::{RowCounts, Rows};

/// The options, for [`Tables::site`](apmon_core::config::Tables::site).
pub const OPTIONS: &dyn SectionKind = &HistoryKind;

/// What a site file says about history. The default says nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct HistoryOptions {
    /// Whether it is kept; `None` leaves that to others.
    pub is_kept: Option<bool>,
    /// How much of it.
    pub rows: Rows,
    /// How long values are collected before they are written.
    pub flush: Option<Duration>,
}

impl HistoryOptions {
    /// The options that were read from a site file.
    #[must_use]
    pub fn among(values: &[SectionValue]) -> Self {
        let found = values.iter().find_map(SectionValue::get::<Self>);
        found.cloned().unwrap_or_default()
    }
}

struct HistoryKind;

/// Options as they are written.
#[derive(Debug, Deserialize, JsonSchema)]
struct Written {
    /// Whether history is kept in RRD files. Default: yes if `--generate-rrds` or
    /// `--generate-mrtg-config` is given, or the site has RRD files already; `no` ends that.
    /// (An addition.)
    rrd: Option<bool>,
    /// How much history is kept: `full` as APMonitor, `small` for about a sixth of the disk
    /// space, or a section with numbers of rows: `native` (each check), `five_minutes`,
    /// `half_hour`, `hour` and `day`. Default `full`. `--test-config` shows how much space that
    /// takes. Files that exist keep their rows until `apmon rrd migrate` changes them. (An
    /// addition.)
    rrd_rows: Option<WrittenRows>,
    /// Seconds for which the daemon collects values before it writes them, 0 to 86400. Default:
    /// five times `check_every_n_secs`, and at least 60. They are also written before they are
    /// read, and at the end; `kill -9` loses them. (An addition.)
    #[schemars(with = "Option<u32>", range(max = 86_400))]
    rrd_flush_secs: Option<FlushSecs>,
}

/// Numbers of rows. Those that are not given are APMonitor's.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RrdRows {
    /// Rows of one check each. Default 44640: 31 days, if each minute is checked.
    native: Option<RowCount>,
    /// Rows of 5 minutes. Default 18600, 64 days.
    five_minutes: Option<RowCount>,
    /// Rows of half an hour. Default 18600, 387 days.
    half_hour: Option<RowCount>,
    /// Rows of an hour. Default 43830, 5 years.
    hour: Option<RowCount>,
    /// Rows of a day. Default 22692, 62 years.
    day: Option<RowCount>,
}

#[derive(Debug)]
struct WrittenRows(Rows);

/// A year of seconds.
const MOST_ROWS: u32 = 31_622_400;

#[derive(Clone, Copy, Debug, JsonSchema)]
#[schemars(inline, transparent)]
struct RowCount(#[schemars(range(min = 1, max = 31_622_400))] u32);

const MOST_FLUSH_SECS: u32 = 86_400;

#[derive(Clone, Copy, Debug)]
struct FlushSecs(u32);

/// Reads a whole number within a range.
fn in_range<'de, D: Deserializer<'de>>(
    deserializer: D,
    least: u32,
    most: u32,
    noun: &str,
) -> Result<u32, D::Error> {
    let n = i128::deserialize(deserializer)?;
    u32::try_from(n)
        .ok()
        .filter(|n| (least..=most).contains(n))
        .ok_or_else(|| de::Error::custom(format!("must be {least} to {most} {noun}, not {n}")))
}

impl<'de> Deserialize<'de> for RowCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        in_range(deserializer, 1, MOST_ROWS, "rows").map(Self)
    }
}

impl<'de> Deserialize<'de> for FlushSecs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        in_range(deserializer, 0, MOST_FLUSH_SECS, "seconds").map(Self)
    }
}

impl From<RrdRows> for Rows {
    fn from(written: RrdRows) -> Self {
        let default = Self::Full.counts(60);
        let count = |own: Option<RowCount>, default: u64| own.map_or(default, |count| count.0.into());
        Self::ByHand(RowCounts {
            native: count(written.native, default.native),
            five_minutes: count(written.five_minutes, default.five_minutes),
            half_hour: count(written.half_hour, default.half_hour),
            hour: count(written.hour, default.hour),
            day: count(written.day, default.day),
        })
    }
}

impl<'de> Deserialize<'de> for WrittenRows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RowsVisitor).map(Self)
    }
}

struct RowsVisitor;

impl<'de> Visitor<'de> for RowsVisitor {
    type Value = Rows;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("full, small or a section of numbers of rows")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Rows, E> {
        match word {
            "full" => Ok(Rows::Full),
            "small" => Ok(Rows::Small),
            _ => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Rows, A::Error> {
        RrdRows::deserialize(MapAccessDeserializer::new(map)).map(Rows::from)
    }
}

impl JsonSchema for WrittenRows {
    fn schema_name() -> Cow<'static, str> {
        SchemaOfRows::schema_name()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        SchemaOfRows::json_schema(generator)
    }
}

/// A word or a section.
#[derive(JsonSchema)]
#[schemars(inline, untagged)]
#[allow(dead_code)] // only its schema is used
enum SchemaOfRows {
    Word(RowsWord),
    Counts(RrdRows),
}

#[derive(JsonSchema)]
#[schemars(inline, rename_all = "lowercase")]
#[allow(dead_code)] // only its schema is used
enum RowsWord {
    Full,
    Small,
}

impl SectionKind for HistoryKind {
    fn name(&self) -> &'static str {
        "rrd"
    }

    fn summary(&self) -> &'static str {
        "Whether history is kept in RRD files, and how much."
    }

    fn example(&self) -> &'static str {
        "rrd: yes\nrrd_rows: small\n"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Written)
    }

    fn read(&self, section: &mut Section<'_>) -> Option<SectionValue> {
        let written = section.read::<Written>()?;
        let options = HistoryOptions {
            is_kept: written.rrd,
            rows: written.rrd_rows.map_or_else(Rows::default, |rows| rows.0),
            flush: written
                .rrd_flush_secs
                .map(|secs| Duration::from_secs(secs.0.into())),
        };
        (options != HistoryOptions::default()).then(|| SectionValue::new(options))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use apmon_core::{
        Blueprint, Kind,
        config::{ProcessEnvironment, Tables},
    };

    use super::*;

    /// A kind without options, so that a site file has a monitor.
    struct Any;

    #[derive(Deserialize, serde::Serialize, JsonSchema)]
    struct NoOptions {}

    impl Kind for Any {
        type Options = NoOptions;

        fn name(&self) -> &'static str {
            "any"
        }

        fn summary(&self) -> &'static str {
            ""
        }

        fn address(&self) -> &'static str {
            ""
        }

        fn example(&self) -> &'static str {
            ""
        }

        fn compile(&self, _: NoOptions, _: &mut Section<'_>) -> Option<Blueprint> {
            Some(Blueprint::monitor(|_, _| unreachable!("nothing is checked")))
        }
    }

    /// What a site file with these options says, or its errors.
    fn read(options: &str) -> Result<HistoryOptions, String> {
        let tables = Tables {
            kinds: &[&Any],
            site: &[OPTIONS],
            ..Tables::default()
        };
        let text =
            format!("site:\n  name: Home\n  {options}\nmonitors:\n- {{type: any, name: a, address: h}}\n");
        match tables.parse(Path::new("a.yaml"), &text, &ProcessEnvironment) {
            Ok(file) => Ok(HistoryOptions::among(&file.site_values)),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_site_says_whether_and_how_much_is_kept() {
        assert_eq!(read("max_retries: 3"), Ok(HistoryOptions::default()));
        let no = HistoryOptions {
            is_kept: Some(false),
            ..HistoryOptions::default()
        };
        assert_eq!(read("rrd: no"), Ok(no));
        let small = HistoryOptions {
            is_kept: Some(true),
            rows: Rows::Small,
            flush: Some(Duration::ZERO),
        };
        assert_eq!(
            read("rrd: yes\n  rrd_rows: small\n  rrd_flush_secs: 0"),
            Ok(small)
        );
        assert_eq!(
            read("rrd_rows: full"),
            Ok(HistoryOptions::default()),
            "the default"
        );
    }

    #[test]
    fn rows_by_hand_are_those_of_apmonitor_where_nothing_is_said() {
        let rows = |options: &str| read(options).map(|options| options.rows);
        let counts = RowCounts {
            native: 2880,
            five_minutes: 18_600,
            half_hour: 18_600,
            hour: 100,
            day: 22_692,
        };
        assert_eq!(
            rows("rrd_rows: {native: 2880, hour: 100}"),
            Ok(Rows::ByHand(counts))
        );
        let full = Rows::Full.counts(60);
        assert_eq!(rows("rrd_rows: {}"), Ok(Rows::ByHand(full)));
    }

    #[test]
    fn what_is_wrong_is_named_at_its_place() {
        for (options, error) in [
            (
                "rrd_rows: tiny",
                "a.yaml:3:13: site: \"rrd_rows\" must be full, small or a section of numbers of rows",
            ),
            (
                "rrd_rows: [1]",
                "a.yaml:3:13: site: \"rrd_rows\" must be full, small or a section of numbers of rows",
            ),
            (
                "rrd_rows: {native: 0}",
                "a.yaml:3:22: site: \"rrd_rows.native\" must be 1 to 31622400 rows, not 0",
            ),
            (
                "rrd_rows: {days: 10}",
                "a.yaml:3:14: site: \"rrd_rows\" has an unknown option \"days\"; did you mean \"day\"?",
            ),
            (
                "rrd_flush_secs: 90000",
                "a.yaml:3:19: site: \"rrd_flush_secs\" must be 0 to 86400 seconds, not 90000",
            ),
            ("rrd: 2", "a.yaml:3:8: site: \"rrd\" must be yes or no, not \"2\""),
        ] {
            assert_eq!(read(options).unwrap_err(), error, "{options}");
        }
    }
}
