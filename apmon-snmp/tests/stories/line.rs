//! Complete console lines: the monitors run in apmon's engine with an in-memory store, one
//! pass at a time.

use std::sync::{Arc, Mutex};

use apmon_core::{
    Clock, Commit, DeliveryError, Engine, Event, Mono, Notification, Notifier, Now, Plan, Services, Snapshot,
    StateStore, StoreError,
};
use async_trait::async_trait;
use jiff::tz::TimeZone;

use crate::{
    lab::{Device, LabAgent},
    story::{PINNED, STATION, entry, name, switch},
};

/// A clock that is set for each pass.
struct At(Now);

impl Clock for At {
    fn now(&self) -> Now {
        self.0
    }
}

#[derive(Default)]
struct InMemory(Mutex<Snapshot>);

#[async_trait]
impl StateStore for InMemory {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        let mut snapshot = self.0.lock().unwrap().clone();
        for state in snapshot.monitors.values_mut() {
            // The state of a process that has ended.
            Arc::make_mut(state).mono = Default::default();
        }
        Ok(snapshot)
    }

    async fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        let mut kept = self.0.lock().unwrap();
        for (name, state) in &commit.states {
            kept.monitors.insert(name.clone(), state.clone());
        }
        for entry in &commit.outbox {
            kept.outbox.retain(|old| old.key() != entry.key());
            kept.outbox.push(entry.clone());
        }
        kept.outbox.retain(|entry| !commit.settled.contains(&entry.key()));
        Ok(())
    }
}

/// A channel that records the messages it delivers.
#[derive(Default)]
struct Recorder(Mutex<Vec<String>>);

#[async_trait]
impl Notifier for Recorder {
    async fn deliver(&self, message: &Notification, _: &str) -> Result<(), DeliveryError> {
        self.0.lock().unwrap().push(message.text.clone());
        Ok(())
    }
}

/// A site that is checked in single passes.
struct Site {
    agent: LabAgent,
    options: String,
    store: Arc<InMemory>,
}

impl Site {
    fn of(device: Device, options: &str) -> Self {
        Self {
            agent: LabAgent::start(device),
            options: options.to_owned(),
            store: Arc::default(),
        }
    }

    /// The console lines of a pass at that time of day. Channels receive the same text without
    /// hashes and label.
    async fn pass(&self, time: &str) -> Vec<String> {
        let wall = format!("2026-02-11T{time}Z").parse().unwrap();
        let clock = At(Now {
            mono: Mono::ORIGIN,
            wall,
        });
        let recorder = Arc::new(Recorder::default());
        let monitor = entry("site.yaml", &self.agent, &self.options).build(&Services::default());
        let plan = Plan::new("HomeLab")
            .watch(monitor)
            .notify("phone", recorder.clone());
        let lines = Arc::new(Mutex::new(Vec::new()));
        let console = Arc::clone(&lines);
        let engine = Engine::new(plan, self.store.clone())
            .clock(Arc::new(clock))
            .zone(TimeZone::UTC)
            .on_event(move |event| {
                if let Event::Notified(notification) = event {
                    console.lock().unwrap().push(notification.to_string());
                }
            });
        engine.pass().await.unwrap();
        let lines = lines.lock().unwrap().clone();
        let received = recorder.0.lock().unwrap().clone();
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
