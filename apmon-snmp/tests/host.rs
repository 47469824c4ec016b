//! Kind `host`, with a real agent on this machine.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use apmon_core::{FailureClass, Stopwatch, Verdict};

use lab::{LabCheck, LabMonitor, PassScript, Snmpd};

/// A row of hrProcessorTable; its column 2 is hrProcessorLoad.
const PROCESSOR: &str = "1.3.6.1.2.1.25.3.3.1";
/// A row of hrStorageTable.
const STORAGE: &str = "1.3.6.1.2.1.25.2.3.1";
/// The wait until net-snmp has read the processor load for the first time, after 5 s.
const FIRST_CHECK: Duration = Duration::from_secs(30);

const COUNTERS: [&str; 5] = [
    "context_switches",
    "swap_io",
    "disk_read",
    "disk_write",
    "interrupts",
];

fn host(snmpd: &Snmpd, options: &str) -> LabMonitor {
    let (address, community) = (snmpd.address(), Snmpd::COMMUNITY);
    LabMonitor::new(&format!(
        "type: host, address: 'snmp://{address}', community: {community}{options}"
    ))
}

/// A host with one processor, whose load the test sets.
fn processor() -> (PassScript, Snmpd) {
    let load = PassScript::new(PROCESSOR, &[2]);
    let snmpd = Snmpd::start(&[&load.lines()]);
    (load, snmpd)
}

/// The number that follows a word in a file of /proc.
fn word(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap();
    let line = text
        .lines()
        .find(|line| line.split_whitespace().next() == Some(name));
    line.unwrap().split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The first check of an agent that has read its kernel's counters.
async fn informed(monitor: &mut LabMonitor) -> LabCheck {
    let waited = Stopwatch::start();
    loop {
        let seen = monitor.check().await;
        if seen.metric("context_switches").is_some() {
            return seen;
        }
        assert!(
            waited.elapsed() < FIRST_CHECK,
            "no context switches: {}",
            seen.reason()
        );
        assert!(
            seen.metric("interrupts").is_none(),
            "zero is not reported as a count"
        );
    }
}

/// The bytes read from and written to the disks of this machine, from the kernel, whose
/// fields after the name count sectors of 512 bytes.
fn disk_bytes() -> [u64; 2] {
    let text = fs::read_to_string("/proc/diskstats").unwrap();
    let mut bytes = [0, 0];
    for line in text.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // Only a real disk has a device below it; a partition is not among the
        // block devices.
        if Path::new("/sys/block").join(fields[2]).join("device").exists() {
            bytes[0] += fields[5].parse::<u64>().unwrap() * 512;
            bytes[1] += fields[9].parse::<u64>().unwrap() * 512;
        }
    }
    bytes
}

/// Whether an agent's 32-bit counter lies between two values of the kernel's.
fn lies_between(count: f64, before: u64, after: u64) -> bool {
    let since = (count as u64).wrapping_sub(before) & u64::from(u32::MAX);
    since <= after - before
}

#[tokio::test]
async fn the_figures_of_a_host_match_its_kernel() {
    let (switches, interrupts, disks) = (
        word("/proc/stat", "ctxt"),
        word("/proc/stat", "intr"),
        disk_bytes(),
    );
    let (load, snmpd) = processor();
    load.set(&["2.196608 integer 37", "2.196609 integer 12"]);
    let mut monitor = host(&snmpd, "");
    let seen = informed(&mut monitor).await;
    assert_eq!(seen.reason(), "up");
    let names: Vec<_> = seen
        .observation
        .outcome
        .metrics
        .iter()
        .map(|metric| metric.name.as_ref())
        .collect();
    assert_eq!(
        names,
        [
            "cpu_load",
            "memory_pct",
            "context_switches",
            "swap_io",
            "disk_read",
            "disk_write",
            "disk_space_pct",
            "swap_used",
            "interrupts",
        ]
    );
    assert_eq!(seen.value("cpu_load"), 24.5);

    let after = disk_bytes();
    for (name, way) in [("disk_read", 0), ("disk_write", 1)] {
        let value = seen.value(name) as u64;
        assert!(
            (disks[way]..=after[way]).contains(&value),
            "{name}: {value} of {disks:?} to {after:?}"
        );
    }
    let value = seen.value("context_switches");
    assert!(
        lies_between(value, switches, word("/proc/stat", "ctxt")),
        "{value}, {switches} before"
    );
    let value = seen.value("interrupts");
    assert!(
        lies_between(value, interrupts, word("/proc/stat", "intr")),
        "{value}, {interrupts} before"
    );

    let kilobytes = |name| word("/proc/meminfo", name);
    let free = kilobytes("MemFree:") + kilobytes("Buffers:") + kilobytes("Cached:");
    let in_use = 100.0 - 100.0 * free as f64 / kilobytes("MemTotal:") as f64;
    near(seen.value("memory_pct"), in_use, 15.0);
    let swap = (kilobytes("SwapTotal:") - kilobytes("SwapFree:")) * 1024;
    near(seen.value("swap_used"), swap as f64, 256e6);
}

#[tokio::test]
async fn the_mounted_file_systems_of_a_host_are_listed() {
    let snmpd = Snmpd::start(&[]);
    let mut monitor = host(&snmpd, "");
    let seen = monitor.check().await;
    let device = seen.observation.device.as_deref().unwrap();
    let root = device.disks.iter().find(|disk| disk.name == "/").unwrap();
    let statfs = rustix::fs::statvfs("/").unwrap();
    let size = statfs.f_blocks * statfs.f_frsize;
    let used = size - statfs.f_bfree * statfs.f_frsize;
    assert_eq!(root.size, size);
    near(root.used as f64, used as f64, 0.02 * size as f64);
    near(
        seen.value("disk_space_pct"),
        100.0 * used as f64 / size as f64,
        2.0,
    );

    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let places: Vec<&str> = mounts.lines().filter_map(|line| line.split(' ').nth(1)).collect();
    let mut times = BTreeMap::new();
    for disk in &device.disks {
        assert!(
            places.contains(&disk.name.as_str()),
            "{} is not mounted",
            disk.name
        );
        assert!(disk.used <= disk.size, "{disk:?}");
        *times.entry(&disk.name).or_insert(0) += 1;
    }
    assert!(times.values().all(|times| *times == 1), "{times:?}");

    let kept: BTreeMap<_, _> = monitor
        .memory
        .kept
        .iter()
        .map(|(key, text)| (key.as_str(), text.as_ref()))
        .collect();
    assert_eq!(
        kept.keys().copied().collect::<Vec<_>>(),
        ["disk_space_pct", "over_limits", "snmp_agent"]
    );
    let shown: f64 = kept["disk_space_pct"].parse().unwrap();
    assert_eq!(shown, (seen.value("disk_space_pct") * 10.0).round() / 10.0);
    assert_eq!(kept["over_limits"], r#"{"cpu":false,"memory":false,"disks":[]}"#);
}

#[tokio::test]
async fn counters_continue_from_the_second_check_and_across_an_agent_restart() {
    let mut snmpd = Snmpd::start(&[]);
    informed(&mut host(&snmpd, "")).await;
    let mut monitor = host(&snmpd, "");
    let first = monitor.check().await;
    for name in COUNTERS {
        assert!(!first.continues(name), "{name} at the first check");
    }
    let second = monitor.check().await;
    grown(&first, &second);
    // hrSystemUptime is the kernel's uptime and continues. Figures that the agent does
    // not know in its first seconds are not taken for zero.
    snmpd.restart();
    let third = informed(&mut monitor).await;
    grown(&second, &third);
    let most = (word("/proc/stat", "ctxt") & u64::from(u32::MAX)) as f64;
    let since = third.value("context_switches") - second.value("context_switches");
    assert!(
        since > 0.0 && since < most,
        "{since} context switches, of {most} in all"
    );
    let mut another = host(&snmpd, "").remember(&monitor.memory);
    grown(&third, &another.check().await);
    let mut stranger = host(&snmpd, "");
    assert!(!stranger.check().await.continues("context_switches"));
}

#[track_caller]
fn grown(before: &LabCheck, after: &LabCheck) {
    for name in COUNTERS {
        assert!(after.continues(name), "{name} does not continue");
        assert!(after.value(name) >= before.value(name), "{name} went back");
    }
}

#[tokio::test]
async fn a_busy_processor_is_down_until_it_is_clearly_below_its_limit() {
    let (load, snmpd) = processor();
    let mut monitor = host(&snmpd, ", max_cpu_pct: 80");
    for (pct, reason) in [
        (80, "up"),
        (81, "cpu 81.0 % is over 80 %"),
        (79, "cpu 79.0 % is not yet back below 76 %"),
        (76, "cpu 76.0 % is not yet back below 76 %"),
        (75, "up"),
        (80, "up"),
    ] {
        load.set(&[&format!("2.1 integer {pct}")]);
        let seen = monitor.check().await;
        assert_eq!(seen.reason(), reason);
        assert_eq!(
            seen.value("cpu_load"),
            f64::from(pct),
            "figures are recorded during an outage as well"
        );
        // The next check is made by a restarted daemon.
        monitor = host(&snmpd, ", max_cpu_pct: 80").remember(&monitor.memory);
    }
}

#[tokio::test]
async fn a_full_file_system_is_reported_by_name() {
    let table = PassScript::new(STORAGE, &[1, 2, 3, 4, 5, 6]);
    let snmpd = Snmpd::start(&[&table.lines()]);
    let options = ", max_disk_pct: 90, ignore_disks: ['/snap/*']";
    let mut monitor = host(&snmpd, options);
    for (used, reason, over) in [
        (89, "up", "[]"),
        (
            91,
            "file system /var/lib is 91.0 % full, over 90 %",
            r#"["/var/lib"]"#,
        ),
        (
            86,
            "file system /var/lib is 86.0 % full, not yet back below 85.5 %",
            r#"["/var/lib"]"#,
        ),
        (85, "up", "[]"),
    ] {
        let fixed_disk = "objectid .1.3.6.1.2.1.25.2.1.4";
        table.set(&[
            &format!("2.31 {fixed_disk}"),
            &format!("2.32 {fixed_disk}"),
            "3.31 string /var/lib",
            "3.32 string /snap/core/1",
            "4.31 integer 4096",
            "4.32 integer 4096",
            "5.31 integer 100",
            "5.32 integer 100",
            &format!("6.31 integer {used}"),
            "6.32 integer 100",
        ]);
        let seen = monitor.check().await;
        assert_eq!(seen.reason(), reason);
        let kept = &monitor.memory.kept["over_limits"];
        assert_eq!(
            kept.as_ref(),
            format!(r#"{{"cpu":false,"memory":false,"disks":{over}}}"#)
        );
        // No root file system.
        assert_eq!(monitor.memory.kept["disk_space_pct"].as_ref(), "null");
    }
}

#[tokio::test]
async fn a_host_without_figures_names_the_objects_it_should_show() {
    let snmpd = Snmpd::start(&[
        "view system included .1.3.6.1.2.1.1",
        "rocommunity stranger default -V system",
    ]);
    let address = snmpd.address();
    let mut monitor = LabMonitor::new(&format!(
        "type: host, address: 'snmp://{address}', community: stranger"
    ));
    let seen = monitor.check().await;
    assert_eq!(
        seen.reason(),
        "snmp: the device shows no load, memory or disks; allow this community or user to read \
         1.3.6.1.2.1.25 and 1.3.6.1.4.1.2021"
    );
    let failure = seen.observation.outcome.failure().unwrap();
    assert_eq!(failure.class, FailureClass::Content);
    assert_eq!(seen.observation.outcome.verdict(), Verdict::Down);
    assert_eq!(seen.observation.memory, None, "the stored memory is kept");
}

#[tokio::test]
async fn a_regular_check_of_a_host_takes_few_responses() {
    let snmpd = Snmpd::start(&[]);
    let mut monitor = host(&snmpd, "");
    monitor.check().await;
    let second = monitor.check().await;
    assert!(second.round_trips() <= 12, "{:?}", second.steps);
}

#[track_caller]
fn near(value: f64, expected: f64, most: f64) {
    assert!((value - expected).abs() <= most, "{value}, not {expected}");
}
