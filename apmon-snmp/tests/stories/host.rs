//! Kind `host`: load, memory and disks.

use apmon_core::Verdict;
use apmon_snmp_client::Value;

use crate::{
    lab::Device,
    story::{Figures, Story, notices},
};

const SYSTEM_STATS: [u32; 8] = [1, 3, 6, 1, 4, 1, 2021, 11];
const DISK_IO: [u32; 11] = [1, 3, 6, 1, 4, 1, 2021, 13, 15, 1, 1];
const STORAGE: [u32; 11] = [1, 3, 6, 1, 2, 1, 25, 2, 3, 1, 6];

const INTERRUPTS: u32 = 59;
const CONTEXTS: u32 = 60;
const SWAP_IN: u32 = 62;
const SWAP_OUT: u32 = 63;

fn count(device: &mut Device, column: u32, value: u32) {
    device.set(&SYSTEM_STATS, &[column, 0], Value::Counter32(value));
}

/// Sets a disk's name and bytes in UCD-DISKIO-MIB.
fn disk(device: &mut Device, row: u32, name: &str, read: u64, written: u64) {
    device.set(&DISK_IO, &[2, row], Value::Octets(name.into()));
    device.set(&DISK_IO, &[12, row], Value::Counter64(read));
    device.set(&DISK_IO, &[13, row], Value::Counter64(written));
}

/// A Linux host as net-snmp shows it.
fn linux() -> Device {
    let mut device = Device::host();
    device.clocks = Some((100_000, 100_000));
    count(&mut device, CONTEXTS, 4_000);
    count(&mut device, INTERRUPTS, 3_000);
    count(&mut device, SWAP_IN, 20);
    count(&mut device, SWAP_OUT, 30);
    disk(&mut device, 1, "sda", 1 << 40, 1 << 41);
    disk(&mut device, 2, "sda1", 1 << 40, 1 << 41);
    disk(&mut device, 3, "sdb", 5, 6);
    disk(&mut device, 4, "loop0", 100, 0);
    device
}

#[tokio::test]
async fn the_figures_are_the_seeds() {
    let mut story = Story::of(linux(), "type: host");
    let observation = story.after(0).await;
    assert_eq!(notices(&observation), [""; 0]);
    let first = Figures::of(&observation);
    assert_eq!(
        first.names(),
        [
            "context_switches",
            "cpu_load",
            "disk_read",
            "disk_space_pct",
            "disk_write",
            "interrupts",
            "memory_pct",
            "swap_io",
            "swap_used",
        ]
    );
    let rounded = |name| format!("{:.1}", first.gauge(name));
    assert_eq!(rounded("cpu_load"), "23.0");
    assert_eq!(rounded("memory_pct"), "75.0");
    assert_eq!(rounded("disk_space_pct"), "73.4");
    assert_eq!(rounded("swap_used"), "102400000.0");
    assert_eq!(first.count("disk_read"), ((1 << 40) + 5, false), "no part twice");
    assert_eq!(first.count("disk_write"), ((1 << 41) + 6, false));
    assert_eq!(story.kept("disk_space_pct"), 73.4);

    story.change(|device| {
        count(device, CONTEXTS, 4_500);
        count(device, INTERRUPTS, 3_100);
        count(device, SWAP_IN, 22);
        count(device, SWAP_OUT, 33);
        disk(device, 1, "sda", (1 << 40) + 1_000, 1 << 41);
        disk(device, 2, "sda1", (1 << 40) + 1_000, 1 << 41);
    });
    story.restart_apmon();
    let next = Figures::of(&story.after(60).await);
    let grown = |name| next.grown(&first, name);
    assert_eq!(grown("context_switches"), Some(500));
    assert_eq!(grown("interrupts"), Some(100));
    assert_eq!(grown("swap_io"), Some(5));
    assert_eq!(grown("disk_read"), Some(1_000));
    assert_eq!(grown("disk_write"), Some(0));
}

#[tokio::test]
async fn a_restart_of_a_host_causes_no_spike() {
    let mut story = Story::of(linux(), "type: host");
    story.after(0).await;
    story.change(|device| {
        device.clocks = Some((500, 500));
        count(device, CONTEXTS, 10);
    });
    let figures = Figures::of(&story.after(60).await);
    assert_eq!(figures.broken().len(), figures.counts());
    story.change(|device| device.clocks = Some((6_500, 6_500)));
    assert_eq!(Figures::of(&story.after(60).await).broken(), [""; 0]);
}

#[tokio::test]
async fn figures_a_host_does_not_report_are_left_out() {
    let mut story = Story::of(Device::host(), "type: host");
    let figures = Figures::of(&story.after(0).await);
    assert_eq!(
        figures.names(),
        ["cpu_load", "disk_space_pct", "memory_pct", "swap_used"]
    );
}

#[tokio::test]
async fn without_a_storage_table_memory_and_swap_come_from_ucd() {
    let mut device = linux();
    let table = &STORAGE[..STORAGE.len() - 1];
    device.table.retain(|oid, _| oid.below(table).is_none());
    for (column, kilobytes) in [(3, 2_000_000), (4, 1_500_000), (5, 8_000_000), (6, 2_000_000)] {
        let memory = [1, 3, 6, 1, 4, 1, 2021, 4];
        device.set(&memory, &[column, 0], Value::Integer(kilobytes));
    }
    let mut story = Story::of(device, "type: host");
    let figures = Figures::of(&story.after(0).await);
    assert_eq!(figures.gauge("memory_pct").to_string(), "75");
    assert_eq!(figures.gauge("swap_used").to_string(), "512000000");
    assert!(!figures.names().contains(&"disk_space_pct"));
    assert_eq!(story.kept("disk_space_pct"), serde_json::Value::Null);
}

#[tokio::test]
async fn an_exceeded_limit_is_an_outage_until_the_value_is_clearly_below_it() {
    let options = "type: host, max_disk_pct: 80, max_cpu_pct: 90";
    let mut story = Story::of(linux(), options);
    let used = |device: &mut Device, blocks| device.set(&STORAGE, &[31], Value::Integer(blocks));
    for (blocks, expected) in [
        (7_340_000, None),
        (8_100_000, Some("file system / is 81.0 % full, over 80 %")),
        (
            7_900_000,
            Some("file system / is 79.0 % full, not yet back below 76 %"),
        ),
        (7_500_000, None),
        (7_900_000, None),
    ] {
        story.change(|device| used(device, blocks));
        story.restart_apmon();
        let observation = story.after(60).await;
        let reason = observation
            .outcome
            .failure()
            .map(|failure| failure.reason.as_str());
        assert_eq!(reason, expected, "{blocks}");
        let verdict = if expected.is_some() {
            Verdict::Down
        } else {
            Verdict::Up
        };
        assert_eq!(observation.outcome.verdict(), verdict);
    }
}

#[tokio::test]
async fn an_agent_without_host_figures_is_an_outage_with_a_reason() {
    let mut story = Story::of(crate::story::switch(2), "type: host");
    assert_eq!(
        story.failure_after(0).await,
        "snmp: the device shows no load, memory or disks; allow this community or user to read \
         1.3.6.1.2.1.25 and 1.3.6.1.4.1.2021"
    );
}

fn without(device: &mut Device, root: &[u32]) {
    device.table.retain(|oid, _| oid.below(root).is_none());
}

#[tokio::test]
async fn a_limit_that_cannot_be_evaluated_is_unknown_unless_another_is_exceeded() {
    let mut device = linux();
    without(&mut device, &[1, 3, 6, 1, 2, 1, 25, 3]);
    let mut story = Story::of(device, "type: host, max_disk_pct: 80, max_cpu_pct: 90");
    let observation = story.after(0).await;
    assert_eq!(observation.outcome.verdict(), Verdict::Unknown);
    assert_eq!(
        observation.outcome.failure().unwrap().reason,
        "snmp: max_cpu_pct cannot be evaluated: the device does not report this value"
    );
    story.change(|device| device.set(&STORAGE, &[31], Value::Integer(9_000_000)));
    let observation = story.after(60).await;
    assert_eq!(observation.outcome.verdict(), Verdict::Down);
    assert_eq!(
        observation.outcome.failure().unwrap().reason,
        "file system / is 90.0 % full, over 80 %"
    );
}

#[tokio::test]
async fn a_missing_disk_table_does_not_end_an_outage() {
    let mut story = Story::of(linux(), "type: host, max_disk_pct: 80");
    story.after(0).await;
    story.change(|device| device.set(&STORAGE, &[31], Value::Integer(8_100_000)));
    assert_eq!(story.after(60).await.outcome.verdict(), Verdict::Down);
    let whole = linux().table;
    story.change(|device| without(device, &STORAGE[..STORAGE.len() - 1]));
    let observation = story.after(60).await;
    assert_eq!(observation.outcome.verdict(), Verdict::Unknown);
    // The table is back; the disk is a little less full, but not yet below 95 % of the limit.
    story.change(|device| {
        device.table = whole;
        device.set(&STORAGE, &[31], Value::Integer(7_900_000));
    });
    let observation = story.after(60).await;
    assert_eq!(
        observation
            .outcome
            .failure()
            .map(|failure| failure.reason.as_str()),
        Some("file system / is 79.0 % full, not yet back below 76 %")
    );
}
