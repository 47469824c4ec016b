//! A lab device, a switch or a host, and the events that change it.

use std::collections::BTreeMap;

use apmon_snmp_client::{Oid, Value};
use tokio::time::Instant;

pub const SYSTEM: [u32; 7] = [1, 3, 6, 1, 2, 1, 1];
pub const IF_ENTRY: [u32; 9] = [1, 3, 6, 1, 2, 1, 2, 2, 1];
pub const IF_X_ENTRY: [u32; 10] = [1, 3, 6, 1, 2, 1, 31, 1, 1, 1];
const IF_NUMBER: [u32; 9] = [1, 3, 6, 1, 2, 1, 2, 1, 0];
const BASE_PORT_IF_INDEX: [u32; 11] = [1, 3, 6, 1, 2, 1, 17, 1, 4, 1, 2];
const FDB_PORT: [u32; 13] = [1, 3, 6, 1, 2, 1, 17, 7, 1, 2, 2, 1, 2];
const FDB_STATUS: [u32; 13] = [1, 3, 6, 1, 2, 1, 17, 7, 1, 2, 2, 1, 3];
const HR_SYSTEM_UPTIME: [u32; 9] = [1, 3, 6, 1, 2, 1, 25, 1, 1];
const HR_STORAGE: [u32; 11] = [1, 3, 6, 1, 2, 1, 25, 2, 3, 1, 1];
const HR_PROCESSOR_LOAD: [u32; 11] = [1, 3, 6, 1, 2, 1, 25, 3, 3, 1, 2];

/// The first ifIndex, as on a Cisco 3750, where bridge ports have other numbers.
pub const FIRST_INDEX: u32 = 10_101;

const UP: i64 = 1;
const DOWN: i64 = 2;
const LEARNED: i64 = 3;

/// The device of an agent. Ports are counted from 1; their ifIndexes are other numbers, which
/// change when the ports are renumbered.
pub struct Device {
    pub table: BTreeMap<Oid, Value>,
    /// The ifIndex of each port.
    ports: BTreeMap<u32, u32>,
    /// The time at which the uptime was `uptime`.
    clock: Instant,
    /// The uptime at `clock`, in hundredths of a second.
    uptime: u32,
    /// Whether the device has hrSystemUptime besides sysUpTime.
    pub has_system_uptime: bool,
    /// Fixed values of hrSystemUptime and sysUpTime, in hundredths of a second; `None` lets
    /// them run.
    pub clocks: Option<(u32, u32)>,
}

pub type Mac = [u8; 6];

/// The address of a station of the lab.
pub fn mac(number: u8) -> Mac {
    [0x02, 0x1a, 0xb0, 0, 0, number]
}

impl Device {
    fn named(name: &str) -> Self {
        let mut device = Self {
            table: BTreeMap::new(),
            ports: BTreeMap::new(),
            clock: Instant::now(),
            uptime: 100_000,
            has_system_uptime: true,
            clocks: None,
        };
        let text = |text: &str| Value::Octets(text.into());
        device.set(&SYSTEM, &[1, 0], text("a switch of the lab"));
        device.set(
            &SYSTEM,
            &[2, 0],
            Value::Oid(Oid::from([1, 3, 6, 1, 4, 1, 8072, 3, 2, 255])),
        );
        device.set(&SYSTEM, &[4, 0], text("the operator"));
        device.set(&SYSTEM, &[5, 0], text(name));
        device.set(&SYSTEM, &[6, 0], text("rack 2"));
        device.tick();
        device
    }

    /// A switch of `ports` ports, all up, with `stations` learned on them in turn.
    pub fn switch(ports: u32, stations: u8) -> Self {
        let mut device = Self::named("office-switch");
        for port in 1..=ports {
            device.new_port(port, FIRST_INDEX + port - 1);
        }
        for station in 0..stations {
            device.new_station(mac(station), u32::from(station) % ports + 1);
        }
        device
    }

    /// A host with two processors, memory and a root file system.
    pub fn host() -> Self {
        let mut device = Self::named("lab-host");
        device.new_port(1, 1);
        for (at, load) in [(196_608, 12), (196_609, 34)] {
            device.set(&HR_PROCESSOR_LOAD, &[at], Value::Integer(load));
        }
        let storage_type = |which| Value::Oid(Oid::from([1, 3, 6, 1, 2, 1, 25, 2, 1, which]));
        for (at, which, descr, unit, size, used) in [
            (1, 2, "Physical memory", 1_024, 8_000_000, 6_000_000),
            (10, 3, "Swap space", 1_024, 2_000_000, 100_000),
            (31, 4, "/", 4_096, 10_000_000, 7_340_000),
        ] {
            let row = [
                Value::Integer(at),
                storage_type(which),
                Value::Octets(descr.into()),
                Value::Integer(unit),
                Value::Integer(size),
                Value::Integer(used),
            ];
            for (column, value) in (1..).zip(row) {
                let storage = &HR_STORAGE[..HR_STORAGE.len() - 1];
                device.set(storage, &[column, u32::try_from(at).unwrap()], value);
            }
        }
        device
    }

    pub fn set(&mut self, root: &[u32], index: &[u32], value: Value) {
        self.table.insert(Oid::join(root, index), value);
    }

    /// Advances the device's clocks.
    pub fn tick(&mut self) {
        let since = u32::try_from(self.clock.elapsed().as_millis() / 10).unwrap();
        let running = self.uptime.wrapping_add(since);
        let (system, agent) = self.clocks.unwrap_or((running, running));
        self.set(&SYSTEM, &[3, 0], Value::TimeTicks(agent));
        match self.has_system_uptime {
            true => self.set(&HR_SYSTEM_UPTIME, &[0], Value::TimeTicks(system)),
            false => drop(self.table.remove(&Oid::join(&HR_SYSTEM_UPTIME, &[0]))),
        }
    }

    pub fn index(&self, port: u32) -> u32 {
        self.ports[&port]
    }

    pub fn new_port(&mut self, port: u32, index: u32) {
        self.ports.insert(port, index);
        let (gauge, counter) = (Value::Gauge32, Value::Counter32);
        let name = format!("Gi1/0/{port}");
        let [_, high, middle, low] = index.to_be_bytes();
        let its_mac = vec![0x02, 0xff, 0, high, middle, low];
        let number = u64::from(port);
        let small = |factor: u32| counter(port * factor);
        for (column, value) in [
            (1, Value::Integer(index.into())),
            (2, Value::Octets(format!("GigabitEthernet1/0/{port}").into())),
            (3, Value::Integer(6)),
            (4, Value::Integer(1_500)),
            (5, gauge(1_000_000_000)),
            (6, Value::Octets(its_mac)),
            (7, Value::Integer(UP)),
            (8, Value::Integer(UP)),
            (10, small(1_000)),
            (11, small(10)),
            (12, small(1)),
            (14, small(2)),
            (16, small(2_000)),
            (17, small(20)),
            (18, small(2)),
            (20, small(3)),
        ] {
            self.set(&IF_ENTRY, &[column, index], value);
        }
        let wide = |shift: u32| Value::Counter64(number << shift);
        let name = Value::Octets(name.into());
        for (column, value) in [
            (1, name),
            (6, wide(40)),
            (7, wide(30)),
            (8, wide(29)),
            (9, wide(28)),
            (10, wide(41)),
            (11, wide(31)),
            (12, wide(27)),
            (13, wide(26)),
            (15, gauge(1_000)),
            (18, Value::Octets(format!("desk {port}").into())),
        ] {
            self.set(&IF_X_ENTRY, &[column, index], value);
        }
        self.set(&BASE_PORT_IF_INDEX, &[port], Value::Integer(index.into()));
        self.count_ports();
    }

    fn count_ports(&mut self) {
        let number = i64::try_from(self.ports.len()).unwrap();
        self.set(&IF_NUMBER, &[], Value::Integer(number));
    }

    /// Unplugs the cable of a port.
    pub fn port_down(&mut self, port: u32) {
        self.oper(port, DOWN);
    }

    pub fn port_up(&mut self, port: u32) {
        self.oper(port, UP);
    }

    fn oper(&mut self, port: u32, status: i64) {
        self.set(&IF_ENTRY, &[8, self.index(port)], Value::Integer(status));
    }

    /// Disables a port administratively.
    pub fn port_disabled(&mut self, port: u32) {
        self.set(&IF_ENTRY, &[7, self.index(port)], Value::Integer(DOWN));
        self.port_down(port);
    }

    /// Removes a port, as if its module were taken out.
    pub fn remove_port(&mut self, port: u32) {
        let index = self.ports.remove(&port).unwrap();
        self.table.retain(|oid, _| {
            let its = |root: &[u32]| oid.below(root).is_some_and(|below| below[1..] == [index]);
            !its(&IF_ENTRY) && !its(&IF_X_ENTRY)
        });
        self.table.remove(&Oid::join(&BASE_PORT_IF_INDEX, &[port]));
        self.count_ports();
    }

    /// Sets a column of ifEntry (`IF_ENTRY`) or ifXEntry (`IF_X_ENTRY`).
    pub fn counter(&mut self, entry: &[u32], column: u32, port: u32, value: Value) {
        self.set(entry, &[column, self.index(port)], value);
    }

    /// Adds a station that was learned on a port, in VLAN 1.
    pub fn new_station(&mut self, mac: Mac, port: u32) {
        let index = fdb_index(mac);
        self.set(&FDB_PORT, &index, Value::Integer(port.into()));
        self.set(&FDB_STATUS, &index, Value::Integer(LEARNED));
    }

    pub fn station_leaves(&mut self, mac: Mac) {
        let index = fdb_index(mac);
        self.table.remove(&Oid::join(&FDB_PORT, &index));
        self.table.remove(&Oid::join(&FDB_STATUS, &index));
    }

    pub fn station_moves(&mut self, mac: Mac, to: u32) {
        self.new_station(mac, to);
    }

    /// Adds `by` to the ifIndex of each port; names stay.
    pub fn renumber(&mut self, by: u32) {
        let old = std::mem::take(&mut self.table);
        for (oid, value) in old {
            let is_port = [&IF_ENTRY[..], &IF_X_ENTRY]
                .into_iter()
                .any(|root| oid.below(root).is_some());
            let mut parts = oid.parts().to_vec();
            if let Some(last) = parts.last_mut().filter(|_| is_port) {
                *last += by;
            }
            self.table.insert(Oid::new(parts), value);
        }
        for (port, index) in &mut self.ports {
            *index += by;
            let number = Value::Integer((*index).into());
            self.table
                .insert(Oid::join(&BASE_PORT_IF_INDEX, &[*port]), number.clone());
            self.table.insert(Oid::join(&IF_ENTRY, &[1, *index]), number);
        }
    }

    /// Restarts the device, which resets its counters and clocks.
    pub fn reboot(&mut self) {
        (self.clock, self.uptime) = (Instant::now(), 0);
        let counters = self.table.iter_mut().filter(|(oid, _)| {
            let is_below = |root: &[u32]| oid.below(root).is_some();
            is_below(&IF_ENTRY) || is_below(&IF_X_ENTRY)
        });
        for (_, value) in counters {
            match value {
                Value::Counter32(number) => *number = 0,
                Value::Counter64(number) => *number = 0,
                _ => {}
            }
        }
        self.tick();
    }

    /// The instances below `root`.
    pub fn below(&self, root: &Oid) -> Vec<(Vec<u32>, Value)> {
        let rows = self.table.iter();
        rows.filter_map(|(oid, value)| Some((oid.below(root.parts())?.to_vec(), value.clone())))
            .collect()
    }
}

fn fdb_index(mac: Mac) -> Vec<u32> {
    [1].into_iter().chain(mac.map(u32::from)).collect()
}
