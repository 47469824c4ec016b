use super::*;

fn snmp(interfaces: u32) -> Template {
    Template::Snmp {
        interfaces: (1..=interfaces).collect(),
    }
}

#[test]
fn the_sizes_are_those_that_rrdtool_creates() {
    for (template, step, size) in [
        (Template::Availability, 10, 15_114_272),
        (Template::Availability, 30, 6_543_392),
        (Template::Availability, 60, 4_400_672),
        (Template::Availability, 300, 2_686_496),
        (Template::Availability, 3_600, 2_293_664),
        (Template::Availability, 86_400, 2_259_440),
        (snmp(0), 60, 48_394_432),
        (snmp(0), 300, 29_538_496),
        (snmp(1), 60, 52_793_808),
        (snmp(3), 60, 61_592_560),
        (snmp(3), 300, 37_594_096),
        (snmp(24), 60, 153_979_456),
        (snmp(24), 300, 93_983_296),
    ] {
        assert_eq!(
            Schema::of(&template, step, &Rows::Full).size(),
            size,
            "{template:?} {step}"
        );
    }
}

#[test]
fn the_sources_are_those_of_apmonitor_in_its_order() {
    let sources = Template::Availability.sources(60);
    let short: Vec<_> = sources
        .iter()
        .map(|source| {
            (
                source.name.as_str(),
                source.kind.as_str(),
                source.heartbeat,
                source.min,
                source.max,
            )
        })
        .collect();
    assert_eq!(
        short,
        [
            ("response_time", "GAUGE", 120, Some(0.0), None),
            ("is_up", "GAUGE", 120, Some(0.0), Some(100.0)),
        ]
    );

    let sources = Template::Snmp {
        interfaces: vec![2, 10_001],
    }
    .sources(30);
    let short: Vec<String> = sources
        .iter()
        .map(|source| {
            let max = source.max.map_or("U".to_owned(), |max| max.to_string());
            format!(
                "DS:{}:{}:{}:0:{max}",
                source.name,
                source.kind.as_str(),
                source.heartbeat
            )
        })
        .collect();
    assert_eq!(
        short,
        [
            "DS:if2_in:COUNTER:60:0:U",
            "DS:if2_out:COUNTER:60:0:U",
            "DS:if10001_in:COUNTER:60:0:U",
            "DS:if10001_out:COUNTER:60:0:U",
            "DS:tcp_retrans:COUNTER:60:0:U",
            "DS:total_bits_in:COUNTER:60:0:U",
            "DS:total_bits_out:COUNTER:60:0:U",
            "DS:total_pkts_in:COUNTER:60:0:U",
            "DS:total_pkts_out:COUNTER:60:0:U",
            "DS:total_errors_in:COUNTER:60:0:U",
            "DS:total_errors_out:COUNTER:60:0:U",
            "DS:total_pkts_ucast:COUNTER:60:0:U",
            "DS:total_pkts_bmcast:COUNTER:60:0:U",
            "DS:cpu_load:GAUGE:60:0:100",
            "DS:memory_pct:GAUGE:60:0:100",
            "DS:context_switches:COUNTER:60:0:U",
            "DS:swap_io:COUNTER:60:0:U",
            "DS:disk_read:COUNTER:60:0:U",
            "DS:disk_write:COUNTER:60:0:U",
            "DS:disk_space_pct:GAUGE:60:0:100",
            "DS:swap_used:GAUGE:60:0:U",
            "DS:interrupts:COUNTER:60:0:U",
            "DS:ports_up_count:GAUGE:60:0:U",
            "DS:nvram_flash_bytes:GAUGE:60:0:U",
            "DS:mac_count:GAUGE:60:0:U",
            "DS:arp_count:GAUGE:60:0:U",
        ]
    );
}

#[test]
fn an_interface_is_recognised_by_its_source() {
    for (name, number) in [
        ("if1_in", Some(1)),
        ("if10001_out", Some(10_001)),
        ("if01_in", None),
        ("if_in", None),
        ("eth0_in", None),
        ("if1_bmcast", None),
        ("interrupts", None),
    ] {
        assert_eq!(interface_of(name), number, "{name}");
    }
}

#[test]
fn metrics_take_little_even_where_the_rest_is_kept_in_full() {
    let metrics = Template::Metrics {
        sources: vec![MetricSource {
            name: "loss_pct".to_owned(),
            is_counter: false,
        }],
    };
    let schema = Schema::of(&metrics, 60, &Rows::Full);
    assert_eq!(schema.rounds, Rows::Small.rounds(60));
    assert_eq!(schema.sources[0].min, None, "degrees may be negative");
}

#[test]
fn the_expected_size_grows_with_what_a_kind_measures() {
    let tcp = expected_size("tcp", 60, &Rows::Full, None);
    assert!((4_400_672..6_000_000).contains(&tcp), "{tcp}");
    let switch = expected_size("ports", 60, &Rows::Full, None);
    assert!((153_979_456..155_000_000).contains(&switch), "{switch}");
    assert!(expected_size("port", 60, &Rows::Full, Some(48)) < 55_000_000);
    assert!(expected_size("tcp", 60, &Rows::Small, None) < 2_000_000);
}
