//! The schemas of the files that are written.

use crate::{
    rows::Rows,
    schema::{DataSource, Schema, SourceKind},
};

/// The three files of a monitor.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FileKind {
    /// `<monitor>-availability.rrd`.
    Availability,
    /// `<monitor>-snmp.rrd`.
    Snmp,
    /// `<monitor>-metrics.rrd`.
    Metrics,
}

/// What is in a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Template {
    /// `<monitor>-availability.rrd`: response time, and whether the monitor is up.
    Availability,
    /// `<monitor>-snmp.rrd`: what an agent reports, and the traffic of these interfaces.
    Snmp {
        /// The numbers in `if<number>_in`.
        interfaces: Vec<u32>,
    },
    /// `<monitor>-metrics.rrd`: what else is measured. APMonitor does not have it.
    Metrics {
        /// The data sources.
        sources: Vec<MetricSource>,
    },
}

/// A data source of a metric.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MetricSource {
    /// Its name in the file.
    pub name: String,
    /// Whether the metric is a count that only grows.
    pub is_counter: bool,
}

/// The sources after those of the interfaces: name, whether it is a counter, and the greatest
/// value.
const FIXED: [(&str, bool, Option<f64>); 22] = [
    ("tcp_retrans", true, None),
    ("total_bits_in", true, None),
    ("total_bits_out", true, None),
    ("total_pkts_in", true, None),
    ("total_pkts_out", true, None),
    ("total_errors_in", true, None),
    ("total_errors_out", true, None),
    ("total_pkts_ucast", true, None),
    ("total_pkts_bmcast", true, None),
    ("cpu_load", false, Some(100.0)),
    ("memory_pct", false, Some(100.0)),
    ("context_switches", true, None),
    ("swap_io", true, None),
    ("disk_read", true, None),
    ("disk_write", true, None),
    ("disk_space_pct", false, Some(100.0)),
    ("swap_used", false, None),
    ("interrupts", true, None),
    ("ports_up_count", false, None),
    ("nvram_flash_bytes", false, None),
    ("mac_count", false, None),
    ("arp_count", false, None),
];

/// The data source of a monitor's response time, in milliseconds.
pub const RESPONSE_TIME: &str = "response_time";
/// The data source that is 100 while a monitor is up, and 0 while it is down.
pub const IS_UP: &str = "is_up";

impl FileKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Availability, Self::Snmp, Self::Metrics];

    /// The file that a monitor of this kind has at least: APMonitor's only one.
    #[must_use]
    pub fn main_of(kind: &str) -> Self {
        match is_snmp(kind) {
            true => Self::Snmp,
            false => Self::Availability,
        }
    }

    /// What stands between the monitor's name and `.rrd`.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Availability => "-availability",
            Self::Snmp => "-snmp",
            Self::Metrics => "-metrics",
        }
    }
}

impl Template {
    /// Which file it is.
    #[must_use]
    pub fn kind(&self) -> FileKind {
        match self {
            Self::Availability => FileKind::Availability,
            Self::Snmp { .. } => FileKind::Snmp,
            Self::Metrics { .. } => FileKind::Metrics,
        }
    }

    /// How much of it is kept. Metrics, of which a monitor may have many, take little.
    #[must_use]
    pub fn rows(&self, of_site: &Rows) -> Rows {
        match (self, of_site) {
            (Self::Metrics { .. }, Rows::Full) => Rows::Small,
            _ => of_site.clone(),
        }
    }

    /// The data sources in APMonitor's order.
    #[must_use]
    pub fn sources(&self, step: u64) -> Vec<DataSource> {
        let source = |name: &str, is_counter: bool, max: Option<f64>| DataSource {
            name: name.to_owned(),
            kind: match is_counter {
                true => SourceKind::Counter,
                false => SourceKind::Gauge,
            },
            heartbeat: step.saturating_mul(2),
            min: Some(0.0),
            max,
        };
        match self {
            Self::Availability => {
                vec![
                    source(RESPONSE_TIME, false, None),
                    source(IS_UP, false, Some(100.0)),
                ]
            }
            Self::Snmp { interfaces } => {
                let pair = |number: &u32| [format!("if{number}_in"), format!("if{number}_out")];
                let pairs = interfaces.iter().flat_map(pair);
                let pairs = pairs.map(|name| source(&name, true, None));
                let fixed = FIXED
                    .iter()
                    .map(|(name, is_counter, max)| source(name, *is_counter, *max));
                pairs.chain(fixed).collect()
            }
            Self::Metrics { sources } => sources
                .iter()
                .map(|metric| DataSource {
                    // A gauge of ours may be negative: degrees, days left of a certificate.
                    min: metric.is_counter.then_some(0.0),
                    ..source(&metric.name, metric.is_counter, None)
                })
                .collect(),
        }
    }
}

/// Whether this is a source of every SNMP file.
pub(crate) fn is_fixed(name: &str) -> bool {
    FIXED.iter().any(|fixed| fixed.0 == name)
}

/// The number of an interface whose traffic this source holds.
#[must_use]
pub fn interface_of(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("if")?;
    let digits = digits
        .strip_suffix("_in")
        .or_else(|| digits.strip_suffix("_out"))?;
    digits
        .parse()
        .ok()
        .filter(|number: &u32| number.to_string() == digits)
}

impl Schema {
    /// The schema of a new file.
    #[must_use]
    pub fn of(template: &Template, step: u64, rows: &Rows) -> Self {
        Self {
            step,
            sources: template.sources(step),
            rounds: template.rows(rows).rounds(step),
        }
    }
}

/// The kinds of monitors whose figures go into an `-snmp` file, as APMonitor's do.
#[must_use]
pub fn is_snmp(kind: &str) -> bool {
    matches!(kind, "ports" | "port" | "host")
}

/// How many bytes the files of a monitor take, roughly. `interfaces` are those of the device, if
/// that is known; otherwise it counts as a switch with 24 ports.
#[must_use]
pub fn expected_size(kind: &str, step: u64, rows: &Rows, interfaces: Option<usize>) -> u64 {
    let size = |template: &Template| Schema::of(template, step, rows).size();
    // What a check of the kind measures besides.
    let metrics = match kind {
        "ping" | "http" | "quic" => 6,
        "tcp" | "dns" => 3,
        _ => 1,
    };
    let metrics = (0..metrics).map(|number: u32| MetricSource {
        name: number.to_string(),
        is_counter: false,
    });
    let metrics = size(&Template::Metrics {
        sources: metrics.collect(),
    });
    let interfaces = match kind {
        "host" => 0,
        "port" => 1,
        _ => u32::try_from(interfaces.unwrap_or(24)).unwrap_or(u32::MAX),
    };
    let main = match is_snmp(kind) {
        false => Template::Availability,
        true => Template::Snmp {
            interfaces: (1..=interfaces).collect(),
        },
    };
    size(&main).saturating_add(metrics)
}

#[cfg(test)]
mod tests;
