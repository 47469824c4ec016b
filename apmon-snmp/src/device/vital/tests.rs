use super::*;
use apmon_snmp_client::Value;

use crate::{fixture::*, poll_data::PollData};

const CISCO_IOS: &str = "1.3.6.1.4.1.9.1.516";
const PROCURVE: &str = "1.3.6.1.4.1.11.2.3.7.11.107";
const AIR_OS: &str = "1.3.6.1.4.1.41112.1.4";

#[track_caller]
fn near(found: Option<f64>, expected: f64) {
    let found = found.unwrap();
    assert!((found - expected).abs() < 0.005, "{found}, not {expected}");
}

fn device(object_id: &str) -> PollData {
    PollData::of_device(object_id)
}

fn engines(object: Object, rows: &[([u32; 4], u32)]) -> PollData {
    let rows: Vec<([u32; 4], Value)> = rows
        .iter()
        .map(|(index, number)| (*index, Value::Gauge32(*number)))
        .collect();
    device(JUNIPER_MX).with_column(object, &rows)
}

#[test]
fn a_recorded_cisco_3750_has_load_and_memory() {
    let data = device(CISCO_IOS)
        .with_gauges(CPM_CPU_TOTAL_5_SEC, &[(1, 66)])
        .with_gauges(CPM_CPU_TOTAL_1_MIN, &[(1, 64)])
        .with_gauges(CPM_CPU_TOTAL_5_SEC_REV, &[(1, 66)])
        .with_gauges(CPM_CPU_TOTAL_1_MIN_REV, &[(1, 64)])
        .with_gauges(
            CISCO_MEMORY_POOL_USED,
            &[(1, 33_385_580), (2, 8_906_084), (16, 40)],
        )
        .with_gauges(
            CISCO_MEMORY_POOL_FREE,
            &[(1, 46_331_200), (2, 3_676_828), (16, 1_048_536)],
        );
    assert_eq!(cpu_load(&data), Some(66.0));
    near(memory_pct(&data), 41.88);
}

#[test]
fn a_recorded_nexus_5000_reports_memory_per_processor() {
    // The device reports a cseSysMemoryUtilization of 29.
    let data = device(CISCO_IOS)
        .with_gauges(CPM_CPU_TOTAL_5_SEC_REV, &[(1, 23)])
        .with_gauges(CPM_CPU_TOTAL_1_MIN_REV, &[(1, 25)])
        .with_gauges(CPM_CPU_MEMORY_USED, &[(1, 2_429_964)])
        .with_gauges(CPM_CPU_MEMORY_FREE, &[(1, 5_823_892)]);
    assert_eq!(cpu_load(&data), Some(23.0));
    near(memory_pct(&data), 29.44);
}

#[test]
fn the_load_of_a_cisco_is_the_mean_of_its_processors() {
    // A recorded Catalyst 6500.
    let data = device(CISCO_IOS).with_gauges(
        CPM_CPU_TOTAL_5_SEC_REV,
        &[(1, 64), (2, 29), (3, 0), (4, 1), (5, 0), (6, 2)],
    );
    near(cpu_load(&data), 16.0);
}

#[test]
fn a_cisco_s_load_is_its_shortest_average_from_the_newer_object() {
    for (objects, load) in [
        (&[(CPM_CPU_TOTAL_5_SEC, 1), (CPM_CPU_TOTAL_5_SEC_REV, 2)][..], 2.0),
        (&[(CPM_CPU_TOTAL_5_SEC, 1), (CPM_CPU_TOTAL_1_MIN_REV, 2)], 1.0),
        (&[(CPM_CPU_TOTAL_1_MIN, 1), (CPM_CPU_TOTAL_1_MIN_REV, 2)], 2.0),
        (&[(CPM_CPU_TOTAL_1_MIN, 1), (CPM_CPU_TOTAL_5_MIN_REV, 2)], 1.0),
        (&[(CPM_CPU_TOTAL_5_MIN, 1), (CPM_CPU_TOTAL_5_MIN_REV, 2)], 2.0),
        (&[(CPM_CPU_TOTAL_5_MIN, 1)], 1.0),
        (&[(CPM_CPU_TOTAL_5_SEC_REV, 101), (CPM_CPU_TOTAL_5_MIN, 1)], 1.0),
        (&[(HR_PROCESSOR_LOAD, 7)], 7.0),
    ] {
        let data = objects.iter().fold(device(CISCO_IOS), |data, (object, value)| {
            data.with_gauges(object, &[(4, *value)])
        });
        assert_eq!(cpu_load(&data), Some(load), "{objects:?}");
    }
}

#[test]
fn a_recorded_procurve_has_load_and_memory() {
    let data = device(PROCURVE)
        .with_integers(&[(HP_SWITCH_CPU_STAT, 97)])
        .with_column(HP_LOCAL_MEM_TOTAL_BYTES, &[([1], Value::Integer(268_435_456))])
        .with_column(HP_LOCAL_MEM_FREE_BYTES, &[([1], Value::Integer(246_188_112))]);
    assert_eq!(cpu_load(&data), Some(97.0));
    near(memory_pct(&data), 8.29);
}

#[test]
fn only_hp_slots_that_report_total_and_free_memory_count() {
    let data = device(PROCURVE)
        .with_gauges(HP_LOCAL_MEM_TOTAL_BYTES, &[(1, 100), (2, 300), (3, 1_000_000)])
        .with_gauges(HP_LOCAL_MEM_FREE_BYTES, &[(1, 50), (2, 50), (4, 1_000_000)]);
    near(memory_pct(&data), 75.0);
}

#[test]
fn a_recorded_hp_enclosure_reports_memory_through_net_snmp() {
    let data = device("1.3.6.1.4.1.11.5.7.1.2").with_integers(&[
        (MEM_TOTAL_REAL, 1_036_016),
        (MEM_AVAIL_REAL, 911_900),
        (MEM_BUFFER, 16_956),
        (MEM_CACHED, 47_024),
    ]);
    assert_eq!(cpu_load(&data), None);
    near(memory_pct(&data), 5.8);
}

#[test]
fn a_recorded_juniper_has_the_figures_of_its_first_routing_engine() {
    let rows = [
        ([7, 1, 0, 0], 13),
        ([7, 2, 0, 0], 19),
        ([9, 1, 0, 0], 29),
        ([9, 2, 0, 0], 1),
    ];
    assert_eq!(cpu_load(&engines(JNX_OPERATING_CPU, &rows)), Some(29.0));
    assert_eq!(memory_pct(&engines(JNX_OPERATING_BUFFER, &rows)), Some(29.0));
}

#[test]
fn a_juniper_without_its_first_routing_engine_uses_another() {
    let second = [([1, 1, 0, 0], 0), ([7, 1, 0, 0], 13), ([9, 2, 0, 0], 5)];
    assert_eq!(cpu_load(&engines(JNX_OPERATING_CPU, &second)), Some(5.0));
    let none = [([1, 1, 0, 0], 0), ([7, 1, 0, 0], 13), ([9, 2, 0, 0], 0)];
    assert_eq!(cpu_load(&engines(JNX_OPERATING_CPU, &none)), Some(13.0));
    let idle = [([7, 1, 0, 0], 13), ([9, 1, 0, 0], 0)];
    assert_eq!(cpu_load(&engines(JNX_OPERATING_CPU, &idle)), Some(0.0));
    assert_eq!(memory_pct(&engines(JNX_OPERATING_BUFFER, &idle)), Some(13.0));
    assert_eq!(memory_pct(&engines(JNX_OPERATING_BUFFER, &idle[1..])), None);
}

#[test]
fn a_recorded_air_os_has_memory_and_no_load() {
    let data = device(AIR_OS).with_integers(&[(AIR_OS_MEM_TOTAL, 62_268), (AIR_OS_MEM_FREE, 42_576)]);
    assert_eq!(cpu_load(&data), None);
    near(memory_pct(&data), 31.62);
    let other = device(AIR_OS)
        .with_gauges(HR_PROCESSOR_LOAD, &[(1, 40), (2, 50)])
        .with_storage(LINUX_STORAGE);
    assert_eq!(cpu_load(&other), Some(45.0));
    near(memory_pct(&other), 49.72);
}

#[test]
fn buffers_and_cache_do_not_count_as_memory_in_use() {
    for (object_id, rows, pct) in [
        (LINUX, LINUX_STORAGE, 49.72),
        (LINUX, NEW_LINUX_STORAGE, 3.89),
        (LINUX, VYATTA_STORAGE, 31.03),
        (WINDOWS, WINDOWS_STORAGE, 74.64),
        (ARISTA, ARISTA_STORAGE, 22.52),
        (LINUX, ISILON_STORAGE, 97.21),
    ] {
        near(memory_pct(&device(object_id).with_storage(rows)), pct);
    }
}

#[test]
fn a_cache_larger_than_the_memory_in_use_is_not_subtracted() {
    let isilon = device(LINUX)
        .with_storage(ISILON_STORAGE)
        .with_integers(&[(MEM_BUFFER, 12_582_208), (MEM_CACHED, 1_614_478_456)]);
    near(memory_pct(&isilon), 97.21);
}

#[test]
fn without_rows_buffers_and_cache_come_from_net_snmp() {
    let data = device(LINUX)
        .with_storage(&LINUX_STORAGE[..2])
        .with_integers(&[(MEM_BUFFER, 171_624), (MEM_CACHED, 1_901_820)]);
    near(memory_pct(&data), 49.72);
}

#[test]
fn without_a_storage_table_memory_comes_from_net_snmp() {
    // The recorded Vyatta, a little later.
    let mut scalars = vec![
        (MEM_TOTAL_REAL, 7_844_796),
        (MEM_AVAIL_REAL, 416_276),
        (MEM_BUFFER, 826_980),
        (MEM_CACHED, 4_166_748),
    ];
    near(memory_pct(&device(LINUX).with_integers(&scalars)), 31.04);
    scalars.truncate(2);
    near(memory_pct(&device(LINUX).with_integers(&scalars)), 94.69);
    scalars[1].1 = 7_844_797;
    assert_eq!(memory_pct(&device(LINUX).with_integers(&scalars)), None);
    scalars[0].1 = 0;
    assert_eq!(memory_pct(&device(LINUX).with_integers(&scalars)), None);
}

#[test]
fn memory_is_recognised_by_its_name_then_by_its_type() {
    let row = |index, kind, name, used| (index, kind, name, 1, 100, Some(used));
    let rows = [
        row(1, 2, "System RAM", 1),
        row(2, 1, "memory", 2),
        row(3, 1, "Ram", 3),
        row(4, 2, "Real Memory", 4),
        row(5, 2, "Physical Memory", 5),
    ];
    for (count, pct) in [(5, 5.0), (4, 4.0), (3, 3.0), (2, 2.0), (1, 1.0)] {
        near(memory_pct(&device(LINUX).with_storage(&rows[..count])), pct);
    }
    let buffers = [row(1, 2, "RAM (Buffers)", 50), row(2, 4, "/", 50)];
    assert_eq!(memory_pct(&device(LINUX).with_storage(&buffers)), None);
}

#[test]
fn the_load_is_the_mean_of_the_processors_with_possible_figures() {
    let cores = |loads: &[Value]| {
        let rows: Vec<([u32; 1], Value)> = (196_608..)
            .map(|index| [index])
            .zip(loads.iter().cloned())
            .collect();
        device(LINUX).with_column(HR_PROCESSOR_LOAD, &rows)
    };
    // The recorded Vyatta, Arista, BDCOM.
    near(
        cpu_load(&cores(&[
            Value::Integer(6),
            Value::Integer(5),
            Value::Integer(100),
            Value::Integer(100),
        ])),
        52.75,
    );
    near(
        cpu_load(&cores(&[
            Value::Integer(13),
            Value::Integer(12),
            Value::Integer(13),
        ])),
        12.67,
    );
    near(cpu_load(&cores(&[Value::Gauge32(76)])), 76.0);
    near(
        cpu_load(&cores(&[
            Value::Integer(101),
            Value::Integer(-1),
            Value::Integer(20),
            Value::Null,
        ])),
        20.0,
    );
    assert_eq!(cpu_load(&cores(&[Value::Integer(101)])), None);
    assert_eq!(cpu_load(&cores(&[])), None);
}

#[test]
fn impossible_figures_are_ignored() {
    let huge = Value::Counter64(u64::MAX);
    for data in [
        PollData::default(),
        device(PROCURVE).with_integers(&[(HP_SWITCH_CPU_STAT, 101)]),
        device(PROCURVE)
            .with_gauges(HP_LOCAL_MEM_TOTAL_BYTES, &[(1, 5)])
            .with_gauges(HP_LOCAL_MEM_FREE_BYTES, &[(1, 6)]),
        device(CISCO_IOS)
            .with_gauges(CISCO_MEMORY_POOL_USED, &[(1, 0)])
            .with_gauges(CISCO_MEMORY_POOL_FREE, &[(1, 0)]),
        device(CISCO_IOS)
            .with_column(CISCO_MEMORY_POOL_USED, &[([1], huge.clone())])
            .with_column(CISCO_MEMORY_POOL_FREE, &[([1], huge.clone())]),
        device(AIR_OS).with_integers(&[(AIR_OS_MEM_TOTAL, 1), (AIR_OS_MEM_FREE, 2)]),
        device(LINUX)
            .with(MEM_TOTAL_REAL, huge)
            .with_integers(&[(MEM_AVAIL_REAL, 1)]),
        device(LINUX).with_storage(&[(1, 2, "RAM", 1024, 0, Some(0))]),
        device(LINUX).with_storage(&[(1, 2, "RAM", i64::MAX, i64::MAX, Some(1))]),
        device(LINUX).with_storage(&[(1, 2, "RAM", 1024, 1, Some(2))]),
    ] {
        assert_eq!(cpu_load(&data), None, "{data:?}");
        assert_eq!(memory_pct(&data), None, "{data:?}");
    }
}

#[test]
fn memory_beyond_2_tb_is_read() {
    // 3 TB in kB, as an INTEGER.
    let data = device(LINUX).with_storage(&[(1, 2, "RAM", 1024, -1_073_741_824, Some(1_610_612_736))]);
    near(memory_pct(&data), 50.0);
}

#[test]
fn a_device_is_asked_only_for_its_vendor_s_objects() {
    let asked = |vendor| {
        let (mut scalars, mut tables) = (Vec::new(), Vec::new());
        ask(vendor, &mut scalars, &mut tables);
        assert!(tables.contains(&STORAGE) && tables.contains(&PROCESSORS));
        (scalars, tables.concat())
    };
    let own = [
        CPM_CPU_TOTAL_5_SEC_REV,
        HP_LOCAL_MEM_FREE_BYTES,
        JNX_OPERATING_CPU,
    ];
    for (vendor, scalar, column) in [
        (Some(Vendor::Cisco), None, Some(CPM_CPU_TOTAL_5_SEC_REV)),
        (
            Some(Vendor::Hp),
            Some(HP_SWITCH_CPU_STAT),
            Some(HP_LOCAL_MEM_FREE_BYTES),
        ),
        (Some(Vendor::Juniper), None, Some(JNX_OPERATING_CPU)),
        (Some(Vendor::Ubiquiti), Some(AIR_OS_MEM_FREE), None),
        (Some(Vendor::Other), Some(MEM_TOTAL_REAL), None),
        (None, Some(MEM_TOTAL_REAL), None),
    ] {
        let (scalars, columns) = asked(vendor);
        assert!(
            scalar.is_none_or(|scalar| scalars.contains(&scalar)),
            "{vendor:?}"
        );
        for object in own {
            assert_eq!(columns.contains(&object), column == Some(object), "{vendor:?}");
        }
    }
}
