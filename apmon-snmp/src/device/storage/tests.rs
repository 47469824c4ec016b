use super::*;
use crate::fixture::*;

fn device(object_id: &str, rows: &[StorageRow<'_>]) -> PollData {
    PollData::of_device(object_id).with_storage(rows)
}

#[track_caller]
fn near(found: Option<f64>, expected: f64) {
    let found = found.unwrap();
    assert!((found - expected).abs() < 0.005, "{found}, not {expected}");
}

fn names(data: &PollData) -> Vec<String> {
    disks(data).into_iter().map(|disk| disk.name).collect()
}

#[test]
fn disks_of_recorded_devices_are_named_by_mount_point() {
    for (rows, places) in [
        (LINUX_STORAGE, &["/", "/dev/shm", "/boot", "/home"][..]),
        (WINDOWS_STORAGE, &["C:\\"]),
        (ARISTA_STORAGE, &["Flash"]),
        // Without /ifs, whose use is unknown.
        (ISILON_STORAGE, &["/", "/dev"]),
        (JUNIPER_STORAGE, &["/", "/var", "/packages/mnt/jbase"]),
    ] {
        assert_eq!(names(&device(LINUX, rows)), places);
    }
}

#[test]
fn disks_are_sized_in_bytes() {
    let disks = disks(&device(WINDOWS, WINDOWS_STORAGE));
    assert_eq!(
        disks,
        [DeviceDisk {
            name: "C:\\".into(),
            size: 53_678_141_440,
            used: 7_110_881_280,
        }]
    );
    near(disks[0].used_pct(), 13.25);
}

#[test]
fn the_root_file_system_is_found_on_every_system() {
    for (rows, pct) in [
        (LINUX_STORAGE, 8.84),
        (VYATTA_STORAGE, 12.14),
        (WINDOWS_STORAGE, 13.25),
        (ARISTA_STORAGE, 8.61),
        (ISILON_STORAGE, 23.69),
        (JUNIPER_STORAGE, 9.28),
        (NEW_LINUX_STORAGE, 28.29),
    ] {
        near(root_pct(&device(LINUX, rows)), pct);
    }
}

#[test]
fn the_root_file_system_is_chosen_by_the_best_name() {
    let row = |name, used| (0, 4, name, 1, 100, Some(used));
    let slash = row("/", 1);
    let root = row("rOOt", 2);
    let drive = row("c:\\ Label:System  Serial Number 1", 3);
    let colon = row("C:", 4);
    let all = [colon, drive, root, slash];
    for (rows, pct) in [
        (&all[..], 1.0),
        (&all[..3], 2.0),
        (&all[..2], 3.0),
        (&all[..1], 4.0),
    ] {
        let rows: Vec<StorageRow<'_>> = (1..)
            .zip(rows)
            .map(|(i, row)| (i, row.1, row.2, 1, 100, row.5))
            .collect();
        near(root_pct(&device(LINUX, &rows)), pct);
    }
    for name in ["/root", "rootfs", "/var", "D:\\", "C", "", "xC:\\", "é:\\"] {
        assert_eq!(
            root_pct(&device(LINUX, &[(1, 4, name, 1, 100, Some(1))])),
            None,
            "{name}"
        );
    }
}

#[test]
fn file_systems_with_impossible_sizes_are_left_out() {
    for (unit, size, used) in [
        (4096, 0, Some(0)),
        (0, 100, Some(1)),
        (-4096, 100, Some(1)),
        (4096, 100, Some(101)),
        (4096, 100, None),
        (i64::MAX, 3, Some(3)),
        (4096, -5_000_000_000, Some(1)),
    ] {
        let data = device(LINUX, &[(1, 4, "/", unit, size, used)]);
        assert_eq!(disks(&data), [], "{unit} {size} {used:?}");
        assert_eq!(root_pct(&data), None);
    }
}

#[test]
fn a_negative_size_is_read_as_32_unsigned_bits() {
    let data = device(
        LINUX,
        &[(1, 4, "/", 4096, -2_147_483_648, Some(-3_221_225_472 + 1))],
    );
    assert_eq!(disks(&data), [], "the number does not fit into 32 bits");
    let data = device(LINUX, &[(1, 4, "/", 4096, -1_073_741_824, Some(-2_147_483_648))]);
    let disk = &disks(&data)[0];
    assert_eq!(
        (disk.size, disk.used),
        (3_221_225_472 * 4096, 2_147_483_648 * 4096)
    );
    near(root_pct(&data), 66.67);
}

#[test]
fn only_file_systems_that_can_fill_up_are_listed() {
    for (kind, name, is) in [
        (1, "/mnt/odd", true),
        (1, "E:\\", true),
        (1, "Memory buffers", false),
        (1, "é:\\", false),
        (2, "/ram", false),
        (3, "/dev/hd6", false),
        (4, "Slot-0 Management Log Partition", true),
        (5, "/mnt/stick", true),
        (6, "A:\\", false),
        (7, "/media/cdrom", false),
        (8, "/tmp", true),
        (9, "flash:", true),
        (10, "/net", true),
        (77, "/new", true),
        (77, "new", false),
    ] {
        let data = device(LINUX, &[(1, kind, name, 512, 100, Some(100))]);
        assert_eq!(names(&data).len(), usize::from(is), "{kind} {name}");
    }
}

#[test]
fn a_name_is_listed_once() {
    let rows = [(1, 4, "/", 1, 100, Some(1)), (2, 4, "/", 1, 100, Some(50))];
    let disks = disks(&device(LINUX, &rows));
    assert_eq!(disks.len(), 1);
    assert_eq!(disks[0].used, 1);
}

#[test]
fn a_name_is_safe_to_show_and_short() {
    let long = format!("/{}", "x".repeat(300));
    let rows = [
        (1, 4, "/a\u{1b}[2J", 1, 100, Some(1)),
        (2, 4, &long, 1, 100, Some(1)),
    ];
    let names = names(&device(LINUX, &rows));
    assert!(!names[0].contains('\u{1b}'), "{names:?}");
    assert!(names[1].chars().count() <= NAME + 3, "{names:?}");
}

#[test]
fn flash_is_the_sum_of_its_rows() {
    assert_eq!(
        nvram_flash_bytes(&device(ARISTA, ARISTA_STORAGE)),
        Some(306_534 * 4096)
    );
    let rows = [
        (1, 9, "bootflash:", 1024, 100, Some(10)),
        (2, 9, "NVRAM", 1, 100, Some(7)),
        (3, 4, "/mnt/Flash", 512, 0, Some(1)),
        (4, 9, "flash without figures", 512, 10, None),
        (5, 2, "RAM", 1024, 100, Some(10)),
    ];
    assert_eq!(nvram_flash_bytes(&device(LINUX, &rows)), Some(10_240 + 7 + 512));
    assert_eq!(nvram_flash_bytes(&device(LINUX, LINUX_STORAGE)), None);
    assert_eq!(nvram_flash_bytes(&PollData::default()), None);
}

#[test]
fn swap_space_in_use_is_found_on_every_system() {
    for (object_id, rows, used) in [
        (LINUX, VYATTA_STORAGE, Some(2464 * 1024)),
        (LINUX, LINUX_STORAGE, Some(0)),
        (WINDOWS, WINDOWS_STORAGE, Some(21_718 * 65_536)),
        (ARISTA, ARISTA_STORAGE, None),
        // RAM and swap space together.
        (LINUX, &VYATTA_STORAGE[..4], None),
        (WINDOWS, &VYATTA_STORAGE[..4], Some(7_365_752 * 1024)),
    ] {
        assert_eq!(swap_used_bytes(&device(object_id, rows)), used);
    }
    let rows = [(3, 3, "Swap Space", 1024, 100, Some(9))];
    assert_eq!(swap_used_bytes(&device(LINUX, &rows)), Some(9 * 1024));
}

#[test]
fn swap_space_without_a_row_comes_from_net_snmp() {
    let ucd = |total, available| {
        device(WINDOWS, &VYATTA_STORAGE[..4])
            .with_integers(&[(MEM_TOTAL_SWAP, total), (MEM_AVAIL_SWAP, available)])
    };
    // A recorded Vyatta, whose row says 2464 as well.
    assert_eq!(swap_used_bytes(&ucd(15_631_236, 15_628_772)), Some(2464 * 1024));
    assert_eq!(swap_used_bytes(&ucd(0, 0)), Some(0));
    assert_eq!(
        swap_used_bytes(&ucd(-2_147_483_648, 1)),
        Some(2_147_483_647 * 1024)
    );
    assert_eq!(
        swap_used_bytes(&ucd(1, 2)),
        None,
        "its virtual memory is not used either"
    );
}
