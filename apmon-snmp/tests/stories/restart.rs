//! Devices and agents that are restarted.

use crate::{
    lab::agent::device::mac,
    story::{Figures, Story, notices, switch},
};

#[tokio::test]
async fn a_reboot_is_reported_once_and_causes_no_spike() {
    let mut story = Story::begun(switch(4), "type: ports").await;
    let before = Figures::of(&story.after(60).await);
    assert_eq!(before.broken(), [""; 0]);
    story.change(|device| {
        device.reboot();
        device.clocks = Some((18_000, 17_500));
    });
    let observation = story.after(240).await;
    assert_eq!(
        notices(&observation),
        ["RESTARTED: restarted, up for 3 mins 0 secs"]
    );
    let after = Figures::of(&observation);
    assert_eq!(
        after.broken().len(),
        after.counts(),
        "the growth during the restart is unknown"
    );
    assert_eq!(after.count("if10101_in"), (0, false));

    story.restart_apmon();
    story.change(|device| device.clocks = Some((24_000, 23_500)));
    let observation = story.after(60).await;
    assert_eq!(notices(&observation), [""; 0]);
    let next = Figures::of(&observation);
    assert_eq!(next.broken(), [""; 0], "exactly once");
    assert_eq!(next.grown(&after, "total_bits_in"), Some(0));
}

#[tokio::test]
async fn a_reboot_that_renumbers_the_ports_reports_only_the_reboot() {
    let mut device = switch(4);
    device.new_station(mac(1), 1);
    let mut story = Story::begun(device, "type: ports, mac_changes: all").await;
    story.change(|device| {
        device.renumber(1);
        device.station_leaves(mac(1));
        device.reboot();
        device.clocks = Some((6_000, 5_500));
    });
    let observation = story.after(120).await;
    assert_eq!(
        notices(&observation),
        ["RESTARTED: restarted, up for 1 mins 0 secs"]
    );
    assert_eq!(
        Figures::of(&observation).count("if10101_in"),
        (0, false),
        "the port continues under its first number"
    );
    // The device learns its stations again. A station that is back is not reported; one
    // that is still missing after a while is.
    assert_eq!(story.notices_after(120).await, [""; 0]);
    assert_eq!(
        story.notices_after(240).await,
        ["PORT MAC CHANGE: GigabitEthernet0/1 MAC change gone=[02:1A:B0:00:00:01]"]
    );
}

#[tokio::test]
async fn an_agent_restart_alone_breaks_no_counter() {
    let mut story = Story::begun(switch(4), "type: ports").await;
    story.change(|device| device.clocks = Some((103_000, 500)));
    let observation = story.after(30).await;
    assert_eq!(notices(&observation), ["RESTARTED: its SNMP agent was restarted"]);
    assert_eq!(Figures::of(&observation).broken(), [""; 0]);
    story.change(|device| device.clocks = Some((106_000, 3_500)));
    assert_eq!(story.notices_after(30).await, [""; 0]);
}

#[tokio::test]
async fn without_a_device_clock_an_agent_restart_counts_as_a_reboot() {
    let mut device = switch(4);
    device.has_system_uptime = false;
    let mut story = Story::begun(device, "type: ports").await;
    story.change(|device| {
        device.reboot();
        device.clocks = Some((0, 18_000));
    });
    let observation = story.after(240).await;
    assert_eq!(
        notices(&observation),
        ["RESTARTED: its SNMP agent was restarted, up for 3 mins 0 secs"]
    );
    let figures = Figures::of(&observation);
    assert_eq!(figures.broken().len(), figures.counts());
}

#[tokio::test]
async fn a_clock_that_wraps_after_497_days_is_not_a_restart() {
    let mut device = switch(4);
    device.clocks = Some((u32::MAX - 999, u32::MAX - 999));
    let mut story = Story::begun(device, "type: ports").await;
    story.change(|device| device.clocks = Some((2_000, 2_000)));
    let observation = story.after(30).await;
    assert_eq!(notices(&observation), [""; 0]);
    assert_eq!(Figures::of(&observation).broken(), [""; 0]);
}
