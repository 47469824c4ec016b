use super::*;
use crate::fixture::*;
use apmon_snmp_client::Value;

fn names(names: &[(u32, &str)]) -> Vec<([u32; 1], Value)> {
    names
        .iter()
        .map(|(index, name)| ([*index], Value::Octets(name.as_bytes().to_vec())))
        .collect()
}

fn narrow(value: u32) -> CounterValue {
    CounterValue {
        value: value.into(),
        is_64: false,
    }
}

fn wide(value: u64) -> CounterValue {
    CounterValue { value, is_64: true }
}

/// The disks of a recorded Linux 3.10.
fn linux() -> PollData {
    let devices = [(2, "sr0"), (3, "sda"), (4, "sda1"), (5, "sda2"), (6, "dm-0")];
    PollData::of_device(LINUX)
        .with_column(DISK_IO_DEVICE, &names(&devices))
        .with_column(DISK_IO_N_READ, &[([3], Value::Counter32(326_921_728))])
        .with_column(DISK_IO_N_WRITTEN, &[([3], Value::Counter32(1_729_176_576))])
}

#[test]
fn a_recorded_linux_has_all_figures() {
    let data = linux()
        .with_storage(LINUX_STORAGE)
        .with(SS_RAW_INTERRUPTS, Value::Counter32(35_684_193))
        .with(SS_RAW_CONTEXTS, Value::Counter32(29_537_765))
        .with(SS_RAW_SWAP_IN, Value::Counter32(0))
        .with(SS_RAW_SWAP_OUT, Value::Counter32(7))
        .with_column(
            DISK_IO_N_READ_X,
            &[
                ([3], Value::Counter64(326_921_728)),
                ([4], Value::Counter64(10_492_928)),
            ],
        )
        .with_column(DISK_IO_N_WRITTEN_X, &[([3], Value::Counter64(1_729_176_576))]);
    let figures = HostFigures::read(&data);
    assert_eq!(figures.interrupts, Some(narrow(35_684_193)));
    assert_eq!(figures.context_switches, Some(narrow(29_537_765)));
    assert_eq!(figures.swap_in, Some(narrow(0)));
    assert_eq!(figures.swap_out, Some(narrow(7)));
    assert_eq!(figures.swap_used, Some(0));
    assert!(
        figures
            .disk_space_pct
            .is_some_and(|pct| (pct - 8.84).abs() < 0.005)
    );
    let sda = DiskBytes {
        read: Some(wide(326_921_728)),
        written: Some(wide(1_729_176_576)),
    };
    assert_eq!(figures.disks, BTreeMap::from([("sda".to_owned(), sda)]));
}

#[test]
fn old_agents_report_disk_bytes_in_32_bits() {
    let disks = HostFigures::read(&linux()).disks;
    assert_eq!(disks["sda"].read, Some(narrow(326_921_728)));
    assert_eq!(disks["sda"].written, Some(narrow(1_729_176_576)));
}

#[test]
fn each_disk_uses_its_64_bit_counters_where_it_has_them() {
    // A recorded Vyatta: a counter in 64 bits, and its lower 32 bits.
    let data = PollData::default()
        .with_column(DISK_IO_DEVICE, &names(&[(25, "sda"), (26, "sdb")]))
        .with_column(
            DISK_IO_N_READ,
            &[([25], Value::Counter32(344_350_720)), ([26], Value::Counter32(1))],
        )
        .with_column(DISK_IO_N_READ_X, &[([25], Value::Counter64(4_639_318_016))])
        .with_column(DISK_IO_N_WRITTEN, &[([26], Value::Counter32(2))]);
    let disks = HostFigures::read(&data).disks;
    assert_eq!(disks["sda"].read, Some(wide(4_639_318_016)));
    assert_eq!(disks["sda"].written, None);
    assert_eq!(disks["sdb"].read, Some(narrow(1)));
    assert_eq!(disks["sdb"].written, Some(narrow(2)));
}

#[test]
fn a_device_without_these_objects_has_no_figures() {
    assert_eq!(HostFigures::read(&PollData::default()), HostFigures::default());
}

#[test]
fn counters_of_32_and_64_bits_are_accepted() {
    for (value, count) in [
        (Value::Counter32(u32::MAX), Some(narrow(u32::MAX))),
        (Value::Counter64(u64::MAX), Some(wide(u64::MAX))),
        (Value::Counter64(1), Some(wide(1))),
        (Value::Integer(5), Some(narrow(5))),
        (Value::Integer(-1), Some(narrow(u32::MAX))),
        (Value::Integer(i64::MAX), None),
        (Value::Integer(i64::MIN), None),
        (Value::Null, None),
        (Value::Octets(b"5".to_vec()), None),
    ] {
        assert_eq!(CounterValue::of(&value), count, "{value:?}");
    }
}

#[test]
fn columns_that_count_accesses_are_not_requested() {
    let (mut scalars, mut tables) = (Vec::new(), Vec::new());
    ask(&mut scalars, &mut tables);
    let columns = tables.concat();
    assert!(scalars.contains(&SS_RAW_CONTEXTS));
    for (column, is) in [
        (2, true),
        (3, true),
        (4, true),
        (5, false),
        (6, false),
        (12, true),
        (13, true),
    ] {
        let object = [1, 3, 6, 1, 4, 1, 2021, 13, 15, 1, 1, column];
        assert_eq!(columns.contains(&&object[..]), is, "{column}");
    }
}
