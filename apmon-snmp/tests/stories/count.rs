//! Counters that wrap, are cleared or start over.

use apmon_snmp_client::Value;

use crate::{
    lab::agent::device::{Device, IF_ENTRY, IF_X_ENTRY},
    story::{Figures, Story, switch},
};

const IN_OCTETS: u32 = 10;
const HC_IN_OCTETS: u32 = 6;
const TOTAL: &str = "total_bits_in";

/// Removes the 64-bit counters, which many small switches lack.
fn without_wide(device: &mut Device) {
    device
        .table
        .retain(|oid, value| oid.below(&IF_X_ENTRY).is_none() || !matches!(value, Value::Counter64(_)));
}

async fn figures_after(story: &mut Story, secs: u64) -> Figures {
    Figures::of(&story.after(secs).await)
}

#[tokio::test]
async fn the_first_check_starts_every_counter_and_later_ones_continue() {
    let mut story = Story::of(switch(4), "type: ports");
    let first = figures_after(&mut story, 0).await;
    assert_eq!(first.broken().len(), first.counts());
    assert_eq!(first.count("if10103_in").0, 3 << 40);
    assert_eq!(first.count(TOTAL).0, (1 + 2 + 3 + 4) << 43);
    story.change(|device| device.counter(&IF_X_ENTRY, HC_IN_OCTETS, 3, Value::Counter64((3 << 40) + 5)));
    story.restart_apmon();
    let next = figures_after(&mut story, 60).await;
    assert_eq!(next.broken(), [""; 0]);
    assert_eq!(next.grown(&first, "if10103_in"), Some(5));
    assert_eq!(next.grown(&first, TOTAL), Some(40));
}

#[tokio::test]
async fn a_64_bit_counter_that_wraps_continues() {
    let mut story = Story::of(switch(2), "type: ports");
    let set =
        |device: &mut Device, count| device.counter(&IF_X_ENTRY, HC_IN_OCTETS, 1, Value::Counter64(count));
    story.change(|device| set(device, u64::MAX - 99));
    let first = figures_after(&mut story, 0).await;
    story.change(|device| set(device, 900));
    let next = figures_after(&mut story, 60).await;
    assert_eq!(next.grown(&first, "if10101_in"), Some(1_000));
    assert_eq!(next.grown(&first, TOTAL), Some(8_000));
}

#[tokio::test]
async fn a_32_bit_counter_that_wraps_continues() {
    let mut device = switch(2);
    without_wide(&mut device);
    let set = |device: &mut Device, count| device.counter(&IF_ENTRY, IN_OCTETS, 1, Value::Counter32(count));
    set(&mut device, u32::MAX - 99);
    let mut story = Story::of(device, "type: ports");
    let first = figures_after(&mut story, 0).await;
    story.change(|device| set(device, 900));
    let next = figures_after(&mut story, 60).await;
    assert_eq!(next.grown(&first, "if10101_in"), Some(1_000));
    assert_eq!(next.grown(&first, TOTAL), Some(8_000));
    // Once more, across a restart of apmon.
    story.restart_apmon();
    story.change(|device| set(device, 899));
    let last = figures_after(&mut story, 60).await;
    assert_eq!(last.grown(&next, "if10101_in"), Some(u64::from(u32::MAX)));
}

#[tokio::test]
async fn a_counter_that_went_back_too_far_to_have_wrapped_was_cleared() {
    let mut device = switch(2);
    without_wide(&mut device);
    let set = |device: &mut Device, count| device.counter(&IF_ENTRY, IN_OCTETS, 1, Value::Counter32(count));
    set(&mut device, 1_000_000);
    let mut story = Story::of(device, "type: ports");
    let first = figures_after(&mut story, 0).await;
    story.change(|device| set(device, 10));
    let next = figures_after(&mut story, 10).await;
    assert_eq!(next.count("if10101_in"), (10, false));
    assert_eq!(next.grown(&first, TOTAL), None, "the sum has no spike");
    let last = figures_after(&mut story, 10).await;
    assert_eq!(last.broken(), [""; 0], "exactly once");
}

#[tokio::test]
async fn a_change_to_64_bit_counters_causes_no_spike() {
    let mut device = switch(2);
    let wide = device.table.clone();
    without_wide(&mut device);
    let mut story = Story::of(device, "type: ports");
    let first = figures_after(&mut story, 0).await;
    assert_eq!(first.count("if10102_in").0, 2_000);
    // The firmware was updated, and the next check reads everything again.
    story.change(|device| device.table = wide);
    story.restart_apmon();
    let next = figures_after(&mut story, 60).await;
    assert_eq!(next.count("if10102_in"), (2 << 40, false));
    assert_eq!(next.grown(&first, TOTAL), None, "no sum has a spike");
    let last = figures_after(&mut story, 60).await;
    assert_eq!(last.broken(), [""; 0], "exactly once");
}

#[tokio::test]
async fn a_vanished_port_breaks_a_total_exactly_once() {
    let mut story = Story::of(switch(4), "type: ports");
    figures_after(&mut story, 0).await;
    story.change(|device| device.remove_port(4));
    let next = figures_after(&mut story, 60).await;
    assert!(!next.names().contains(&TOTAL), "its row may have been cut off");
    assert!(!next.names().contains(&"if10104_in"));
    let first = figures_after(&mut story, 60).await;
    assert_eq!(first.count(TOTAL), ((1 + 2 + 3) << 43, false));
    let last = figures_after(&mut story, 60).await;
    assert_eq!(last.grown(&first, TOTAL), Some(0));
}

#[tokio::test]
async fn the_figures_are_the_seeds_and_in_its_units() {
    let mut device = switch(2);
    device.set(&[1, 3, 6, 1, 2, 1, 6, 12], &[0], Value::Counter32(77));
    device.new_station(crate::story::STATION, 1);
    device.port_down(2);
    let mut story = Story::of(device, "type: ports");
    let figures = figures_after(&mut story, 0).await;
    assert_eq!(
        figures.names(),
        [
            "arp_count",
            "if10101_in",
            "if10101_out",
            "if10102_in",
            "if10102_out",
            "mac_count",
            "ports_up_count",
            "tcp_retrans",
            "total_bits_in",
            "total_bits_out",
            "total_errors_in",
            "total_errors_out",
            "total_pkts_bmcast",
            "total_pkts_in",
            "total_pkts_out",
            "total_pkts_ucast",
        ]
    );
    assert_eq!(figures.count("tcp_retrans").0, 77);
    assert_eq!(figures.count("total_bits_in").0, 3 << 43);
    assert_eq!(figures.count("total_bits_out").0, 3 << 44);
    assert_eq!(figures.count("total_errors_in").0, 2 + 4);
    assert_eq!(figures.count("total_errors_out").0, 3 + 6);
    let (ucast_in, multi_in, broad_in) = (3 << 30, 3 << 29, 3 << 28);
    let (ucast_out, multi_out, broad_out) = (3 << 31, 3 << 27, 3 << 26);
    assert_eq!(figures.count("total_pkts_in").0, ucast_in + multi_in + broad_in);
    assert_eq!(
        figures.count("total_pkts_out").0,
        ucast_out + multi_out + broad_out
    );
    assert_eq!(figures.count("total_pkts_ucast").0, ucast_in + ucast_out);
    assert_eq!(
        figures.count("total_pkts_bmcast").0,
        multi_in + broad_in + multi_out + broad_out
    );
    let gauge = |name| figures.gauge(name).to_string();
    assert_eq!([gauge("ports_up_count"), gauge("mac_count")], ["1", "1"]);
}

#[tokio::test]
async fn kind_port_has_the_figures_of_its_own_port_alone() {
    let mut device = switch(2);
    device.set(&[1, 3, 6, 1, 2, 1, 6, 12], &[0], Value::Counter32(77));
    let mut story = Story::of(device, "type: port, port: 10101, mac: 18:E8:29:45:F8:F7");
    let figures = figures_after(&mut story, 0).await;
    let names = figures.names();
    for name in ["if10101_in", "if10101_out", "total_bits_in", "total_pkts_bmcast"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert_eq!(figures.count("total_bits_in").0, 1 << 43);
    for name in [
        "if10102_in",
        "if10102_out",
        "tcp_retrans",
        "ports_up_count",
        "mac_count",
        "arp_count",
        "nvram_flash_bytes",
    ] {
        assert!(!names.contains(&name), "{names:?}");
    }
}
