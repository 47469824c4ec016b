//! The pairs of data sources that belong in one picture, as APMonitor has them.

use crate::Unit;

/// Two data sources in one picture.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Pair {
    /// What follows the monitor's name in the name of the target: `-bandwidth`; empty for the
    /// availability of a monitor.
    pub suffix: &'static str,
    /// What follows the monitor in the comment above the target; empty for availability, whose
    /// comment has only the monitor.
    pub comment: &'static str,
    /// What follows the monitor in the title.
    pub title: &'static str,
    /// The heading below the monitor's own, not escaped; empty for availability.
    pub heading: &'static str,
    /// The two data sources. Where there is only one figure, both are the same.
    pub sides: [Side; 2],
    /// MRTG's `ShortLegend`: the unit in its table.
    pub short_legend: &'static str,
    /// MRTG's `Options`.
    pub options: &'static str,
}

/// A data source of a pair.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Side {
    /// The data source.
    pub source: &'static str,
    /// What is counted.
    pub unit: Unit,
    /// MRTG's `YLegend` or `Y2Legend`: the name of the axis.
    pub axis: &'static str,
    /// MRTG's `Legend1` or `Legend2`.
    pub legend: &'static str,
    /// MRTG's `LegendI` or `LegendO`, with its colon.
    pub short: &'static str,
    /// MRTG's `MaxBytes1` or `MaxBytes2`: the greatest value that is believed.
    pub max: u64,
}

impl Pair {
    /// The data sources that are drawn: one where both are the same.
    #[must_use]
    pub fn drawn(&self) -> &[Side] {
        if self.sides[0].source == self.sides[1].source {
            &self.sides[..1]
        } else {
            &self.sides
        }
    }
}

/// The pairs of a kind of monitor, in the order of the pages.
#[must_use]
pub fn pairs(kind: &str) -> &'static [Pair] {
    match kind {
        "ports" => &PORTS,
        // A single interface has no processor, tables or retransmits of its own.
        "port" => PORTS.split_at(4).0,
        "host" => &HOST,
        _ => &AVAILABILITY,
    }
}

const PLAIN: &str = "gauge,nopercent,growright";
const TWO_AXES: &str = "gauge,nopercent,growright,dualaxis";

static AVAILABILITY: [Pair; 1] = [Pair {
    suffix: "",
    comment: "",
    title: "Availability",
    heading: "",
    sides: [
        Side {
            source: "response_time",
            unit: Unit::Milliseconds,
            axis: "Response Time (ms)",
            legend: "Response Time (ms)",
            short: "Response:",
            max: 100_000,
        },
        Side {
            source: "is_up",
            unit: Unit::Percent,
            axis: "Availability (%)",
            legend: "Availability (%)",
            short: "Avail:",
            max: 100,
        },
    ],
    short_legend: "",
    options: TWO_AXES,
}];

static PORTS: [Pair; 8] = [
    Pair {
        suffix: "-bandwidth",
        comment: "Total Bandwidth",
        title: "Total Bandwidth",
        heading: "Total Bandwidth In/Out",
        sides: [
            Side {
                source: "total_bits_in",
                unit: Unit::BitsPerSecond,
                axis: "Bits/s",
                legend: "Total Inbound Traffic",
                short: "In:",
                max: 10_000_000_000,
            },
            Side {
                source: "total_bits_out",
                unit: Unit::BitsPerSecond,
                axis: "Bits/s out",
                legend: "Total Outbound Traffic",
                short: "Out:",
                max: 10_000_000_000,
            },
        ],
        short_legend: "b/s",
        // APMonitor adds `bits`, at which the reader multiplies by 8 what is in bits already.
        options: PLAIN,
    },
    Pair {
        suffix: "-packets",
        comment: "Total Packets",
        title: "Total Packets",
        heading: "Total Packets In/Out",
        sides: [
            Side {
                source: "total_pkts_in",
                unit: Unit::PerSecond,
                axis: "pps",
                legend: "Total Inbound Packets",
                short: "In:",
                max: 10_000_000,
            },
            Side {
                source: "total_pkts_out",
                unit: Unit::PerSecond,
                axis: "pps out",
                legend: "Total Outbound Packets",
                short: "Out:",
                max: 10_000_000,
            },
        ],
        short_legend: "pps",
        options: PLAIN,
    },
    Pair {
        suffix: "-packets-type",
        comment: "Packet Type Split (Unicast vs Broadcast+Multicast)",
        title: "Packet Type Split",
        heading: "Unicast vs Broadcast+Multicast Packets",
        sides: [
            Side {
                source: "total_pkts_ucast",
                unit: Unit::PerSecond,
                axis: "pps",
                legend: "Unicast Packets (in+out)",
                short: "Ucast:",
                max: 10_000_000,
            },
            Side {
                source: "total_pkts_bmcast",
                unit: Unit::PerSecond,
                axis: "B+Mcast pps",
                legend: "Broadcast+Multicast Packets (in+out)",
                short: "B+Mcast:",
                max: 10_000_000,
            },
        ],
        short_legend: "pps",
        options: PLAIN,
    },
    Pair {
        suffix: "-errors",
        comment: "Interface Errors",
        title: "Interface Errors",
        heading: "Interface Errors In/Out",
        sides: [
            Side {
                source: "total_errors_in",
                unit: Unit::PerSecond,
                axis: "Err/s",
                legend: "Inbound Interface Errors",
                short: "In Err:",
                max: 1_000_000,
            },
            Side {
                source: "total_errors_out",
                unit: Unit::PerSecond,
                axis: "Err/s out",
                legend: "Outbound Interface Errors",
                short: "Out Err:",
                max: 1_000_000,
            },
        ],
        short_legend: "err/s",
        options: PLAIN,
    },
    Pair {
        suffix: "-retransmits",
        comment: "TCP Retransmits",
        title: "TCP Retransmits",
        heading: "TCP Retransmits",
        sides: [RETRANSMITS, RETRANSMITS],
        short_legend: "retrans/s",
        options: PLAIN,
    },
    Pair {
        suffix: "-system",
        comment: "CPU & Memory Utilization",
        title: "System Resources",
        heading: "CPU & Memory Utilization",
        sides: [
            Side {
                source: "cpu_load",
                unit: Unit::Percent,
                axis: "CPU %",
                legend: "CPU Load Average",
                short: "CPU:",
                max: 100,
            },
            Side {
                source: "memory_pct",
                unit: Unit::Percent,
                axis: "Mem %",
                legend: "Memory Utilization",
                short: "Memory:",
                max: 100,
            },
        ],
        short_legend: "%",
        options: TWO_AXES,
    },
    Pair {
        suffix: "-tamper",
        comment: "Tamper Detection",
        title: "Tamper Detection",
        heading: "Active Ports & NVRAM/Flash Used Bytes",
        sides: [
            Side {
                source: "ports_up_count",
                unit: Unit::Number,
                axis: "Ports up",
                legend: "Active (oper=up) Port Count",
                short: "Ports Up:",
                max: 1_000,
            },
            Side {
                source: "nvram_flash_bytes",
                unit: Unit::Bytes,
                axis: "NVRAM/Flash B",
                legend: "NVRAM + Flash Used Bytes",
                short: "NVRAM/Flash:",
                max: 1_000_000_000,
            },
        ],
        short_legend: "",
        options: TWO_AXES,
    },
    Pair {
        suffix: "-network",
        comment: "Network Provisioning",
        title: "Network Provisioning",
        heading: "Learned MAC Count & ARP Table Entries",
        sides: [
            Side {
                source: "mac_count",
                unit: Unit::Number,
                axis: "MACs",
                legend: "Learned MAC Table Entries",
                short: "MACs:",
                max: 100_000,
            },
            Side {
                source: "arp_count",
                unit: Unit::Number,
                axis: "ARP entries",
                legend: "ARP Table Entries",
                short: "ARP:",
                max: 100_000,
            },
        ],
        short_legend: "entries",
        options: TWO_AXES,
    },
];

const RETRANSMITS: Side = Side {
    source: "tcp_retrans",
    unit: Unit::PerSecond,
    axis: "retrans/s",
    legend: "TCP Retransmit Segments",
    short: "Retrans:",
    max: 100_000,
};

static HOST: [Pair; 4] = [
    Pair {
        suffix: "-system1",
        comment: "CPU & Load",
        title: "CPU & Load",
        heading: "CPU Utilization & Context Switches/sec",
        sides: [
            Side {
                source: "cpu_load",
                unit: Unit::Percent,
                axis: "CPU %",
                legend: "CPU Utilization %",
                short: "CPU:",
                max: 100,
            },
            Side {
                source: "context_switches",
                unit: Unit::PerSecond,
                axis: "ctx/s",
                legend: "Context Switches/sec",
                short: "Ctx/s:",
                max: 100_000,
            },
        ],
        short_legend: "",
        options: TWO_AXES,
    },
    Pair {
        suffix: "-system2",
        comment: "Memory & Paging",
        title: "Memory & Paging",
        heading: "Memory Utilization % & Swap I/O Rate",
        sides: [
            Side {
                source: "memory_pct",
                unit: Unit::Percent,
                axis: "Mem %",
                legend: "Memory Utilization %",
                short: "Mem:",
                max: 100,
            },
            Side {
                source: "swap_io",
                unit: Unit::PerSecond,
                axis: "swap/s",
                legend: "Swap I/O Rate",
                short: "Swap I/O:",
                max: 100_000,
            },
        ],
        short_legend: "",
        options: TWO_AXES,
    },
    Pair {
        suffix: "-system3",
        comment: "Disk I/O",
        title: "Disk I/O",
        // The page adds how much of the disk is used.
        heading: "Disk Read/Write Throughput",
        sides: [
            Side {
                source: "disk_read",
                unit: Unit::BytesPerSecond,
                axis: "Read B/s",
                legend: "Disk Read Bytes/sec",
                short: "Read:",
                max: 1_000_000_000,
            },
            Side {
                source: "disk_write",
                unit: Unit::BytesPerSecond,
                axis: "Write B/s",
                legend: "Disk Write Bytes/sec",
                short: "Write:",
                max: 1_000_000_000,
            },
        ],
        short_legend: "B/s",
        options: TWO_AXES,
    },
    Pair {
        suffix: "-system4",
        comment: "System Thrashing",
        title: "System Thrashing",
        heading: "Swap Used (bytes) & Hardware Interrupts/sec",
        sides: [
            Side {
                source: "swap_used",
                unit: Unit::Bytes,
                axis: "Swap bytes",
                legend: "Swap Used (bytes)",
                short: "Swap:",
                max: 1_000_000_000,
            },
            Side {
                source: "interrupts",
                unit: Unit::PerSecond,
                axis: "IRQ/s",
                legend: "Hardware Interrupts/sec",
                short: "IRQ/s:",
                max: 100_000,
            },
        ],
        short_legend: "",
        options: TWO_AXES,
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn there_are_thirteen_pairs_with_names_of_their_own() {
        let all: Vec<&Pair> = ["ping", "ports", "host"].into_iter().flat_map(pairs).collect();
        assert_eq!(all.len(), 13);
        let suffixes: BTreeSet<&str> = all.iter().map(|pair| pair.suffix).collect();
        assert_eq!(suffixes.len(), 13);
    }

    #[test]
    fn a_port_has_only_what_one_interface_counts() {
        let suffixes: Vec<&str> = pairs("port").iter().map(|pair| pair.suffix).collect();
        assert_eq!(suffixes, ["-bandwidth", "-packets", "-packets-type", "-errors"]);
    }

    #[test]
    fn every_kind_without_tables_of_its_own_has_its_availability() {
        for kind in ["ping", "http", "quic", "tcp", "udp", "dns"] {
            assert_eq!(pairs(kind), &AVAILABILITY);
        }
    }

    #[test]
    fn a_pair_of_one_figure_is_drawn_once() {
        let drawn = |suffix: &str| {
            let pair = PORTS
                .iter()
                .find(|pair| pair.suffix == suffix)
                .expect("it is in the table");
            pair.drawn().len()
        };
        assert_eq!(drawn("-retransmits"), 1);
        assert_eq!(drawn("-bandwidth"), 2);
    }

    #[test]
    fn the_bits_of_the_bandwidth_are_not_multiplied_again() {
        assert!(!PORTS[0].options.split(',').any(|option| option == "bits"));
    }

    #[test]
    fn the_unit_of_a_side_is_that_of_its_data_source() {
        for pair in ["ping", "ports", "host"].into_iter().flat_map(pairs) {
            for side in pair.sides {
                assert_eq!(side.unit, Unit::of(side.source), "{}", side.source);
            }
        }
    }
}
