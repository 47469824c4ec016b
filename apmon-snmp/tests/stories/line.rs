//! Complete console lines: the monitors run in apmon's engine with an in-memory store, one
//! pass at a time.

use std::sync::Arc;

use apmon_core::{
    Services,
    testing::{MemoryStore, Recorder, Stage, StageEvent, TestClock},
};

use crate::{
    lab::{Device, LabAgent},
    story::{PINNED, STATION, entry, name, switch},
};

/// A site that is checked in single passes.
struct Site {
    agent: LabAgent,
    options: String,
    store: Arc<MemoryStore>,
}

impl Site {
    fn of(device: Device, options: &str) -> Self {
        Self {
            agent: LabAgent::start(device),
            options: options.to_owned(),
            store: MemoryStore::new(),
        }
    }

    /// The console lines of a pass at that time of day. Channels receive the same text without
    /// hashes and label.
    async fn pass(&self, time: &str) -> Vec<String> {
        let wall = format!("2026-02-11T{time}Z").parse().unwrap();
        let recorder = Recorder::new();
        let monitor = entry("site.yaml", &self.agent, &self.options).build(&Services::default());
        let mut stage = Stage::new("HomeLab")
            .store(self.store.clone())
            .clock(TestClock::stopped_at(wall))
            .monitor(monitor)
            .channel("phone", recorder.clone());
        stage.pass().await.unwrap();
        let line = |event| match event {
            StageEvent::Notified(notification) => Some(notification.to_string()),
            _ => None,
        };
        let lines: Vec<String> = stage.events().into_iter().filter_map(line).collect();
        let received = recorder.texts();
        assert_eq!(lines.len(), received.len());
        for (line, received) in lines.iter().zip(&received) {
            assert!(
                line.ends_with(&format!(": {received} #####")),
                "{line}: {received}"
            );
        }
        lines
    }
}

#[tokio::test]
async fn the_lines_of_ports_are_the_seeds() {
    let site = Site::of(switch(2), "type: ports, check_every_n_secs: 30");
    assert_eq!(site.pass("14:14:00").await, [""; 0]);
    site.agent.change(|device| device.port_down(2));
    assert_eq!(
        site.pass("14:15:00").await,
        [
            "##### PORT CHANGE: office-switch in HomeLab: GigabitEthernet0/2 oper=down admin=up \
             (was oper=up admin=up) at 2:15 PM #####"
        ]
    );
    assert_eq!(site.pass("14:16:00").await, [""; 0]);
    site.agent.change(|device| device.new_station(STATION, 1));
    assert_eq!(
        site.pass("14:22:00").await,
        [
            "##### PORT MAC CHANGE: office-switch in HomeLab: GigabitEthernet0/1 MAC change \
             appeared=[AA:BB:CC:DD:EE:FF] at 2:22 PM #####"
        ]
    );
    site.agent.change(|device| {
        device.reboot();
        device.clocks = Some((18_000, 18_000));
    });
    assert_eq!(
        site.pass("14:30:00").await,
        ["##### RESTARTED: office-switch in HomeLab: restarted, up for 3 mins 0 secs at 2:30 PM #####"]
    );
    assert_eq!(site.pass("14:31:00").await, [""; 0]);
}

#[tokio::test]
async fn the_lines_of_port_are_the_seeds() {
    let mut device = switch(2);
    device.remove_port(1);
    device.new_port(1, 0);
    name(&mut device, 1);
    device.new_station(PINNED, 1);
    let site = Site::of(
        device,
        "type: port, port: 0, mac: 18:E8:29:45:F8:F7, always_up: yes, check_every_n_secs: 1",
    );
    let address = format!("snmp://{}", site.agent.address());
    assert_eq!(site.pass("14:14:00").await, [""; 0]);
    type Case = (&'static str, fn(&mut Device), &'static str);
    let cases: [Case; 3] = [
        (
            "15",
            |device| device.port_down(1),
            "18:E8:29:45:F8:F7 is down (admin=up)",
        ),
        (
            "16",
            |device| device.station_leaves(PINNED),
            "is up but pinned MAC 18:E8:29:45:F8:F7 absent",
        ),
        (
            "17",
            |device| device.new_station(STATION, 1),
            "wrong MAC: expected 18:E8:29:45:F8:F7, got AA:BB:CC:DD:EE:FF",
        ),
    ];
    for (minute, change, reason) in cases {
        site.agent.change(change);
        assert_eq!(
            site.pass(&format!("14:{minute}:00")).await,
            [format!(
                "##### NEW OUTAGE: office-switch in HomeLab new outage: port ifIndex=0 {reason} ({address}) \
                 at 2:{minute} PM, down for 0 secs #####"
            )]
        );
        site.agent.change(|device| {
            device.port_up(1);
            device.station_leaves(STATION);
            device.new_station(PINNED, 1);
        });
        if minute == "17" {
            break;
        }
        assert_eq!(
            site.pass(&format!("14:{minute}:30")).await,
            [format!(
                "##### RECOVERY: office-switch in HomeLab is UP ({address}) at 2:{minute} PM, outage lasted 30 secs #####"
            )]
        );
    }
    assert_eq!(
        site.pass("14:18:03").await,
        [format!(
            "##### RECOVERY: office-switch in HomeLab is UP ({address}) at 2:18 PM, outage lasted 1 mins 3 secs #####"
        )]
    );
}
