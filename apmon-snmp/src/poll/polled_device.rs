//! A device as a poll of its ports found it.

use apmon_core::{Device, Metric, PortStatus, Warning};

use super::{ports_poll::Extent, table::PORT_NAMES};
use crate::{
    device::{
        arp, bridge::Stations, interface::Interface, station_warning::StationLimits, storage,
        uptime::uptimes, vital,
    },
    mib,
    poll_data::PollData,
    rule::{
        counter_value::CounterValue,
        counting::{CountedPort, Counting, Sources},
        restart::Uptimes,
    },
};

/// A device as a poll of its ports found it: the raw data, and their interpretation.
#[derive(Debug)]
pub(crate) struct PolledDevice {
    pub(crate) data: PollData,
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) stations: Stations,
    pub(crate) device: Device,
}

impl PolledDevice {
    /// The interface with this ifName, else with this ifDescr, else with this ifAlias;
    /// `None` if several have the name.
    pub(crate) fn by_name(&self, name: &str) -> Option<&Interface> {
        let by = |its: fn(&Interface) -> Option<&str>| {
            let mut named = self.interfaces.iter().filter(move |one| its(one) == Some(name));
            let first = named.next();
            first.map(|one| named.next().is_none().then_some(one))
        };
        let matches = [
            by(|one| one.short_name.as_deref()),
            by(|one| Some(&one.name)),
            by(|one| one.alias.as_deref()),
        ];
        matches.into_iter().flatten().next().flatten()
    }

    /// The failure due to which a port may not be found by its name.
    pub(crate) fn names_failure(&self) -> Option<&str> {
        PORT_NAMES.iter().find_map(|column| self.data.failure(column))
    }

    /// The warnings about stations that may be missing, for a device without limits.
    pub(crate) fn station_warnings(&self) -> Vec<Warning> {
        self.stations.warnings(StationLimits::default(), false)
    }

    pub(crate) fn uptimes(&self) -> Uptimes {
        uptimes(&self.data)
    }

    /// APMonitor's figures of the recorded ports and of the device itself, in APMonitor's order.
    pub(crate) fn figures(
        &self,
        counting: &mut Counting,
        sources: &mut Sources,
        recorded: Recorded,
    ) -> Vec<Metric> {
        let interfaces = self.interfaces.iter();
        let ports = interfaces.map(|one| counted_port(one, recorded.includes(one)));
        let ports: Vec<CountedPort<'_>> = ports.collect();
        let extent = recorded.extent();
        // APMonitor has this figure only for kind `ports`.
        let retrans = (extent == Extent::Device).then(|| self.data.scalar(mib::TCP_RETRANS_SEGS));
        let retrans = retrans.flatten().and_then(CounterValue::of);
        let mut figures = counting.ports(sources, &ports, retrans);
        let gauge = |name, value: Option<f64>| value.map(|value| Metric::gauge(name, value));
        figures.extend(gauge("cpu_load", vital::cpu_load(&self.data)));
        figures.extend(gauge("memory_pct", vital::memory_pct(&self.data)));
        if extent == Extent::Device {
            let up = self
                .interfaces
                .iter()
                .filter(|one| one.state.oper == PortStatus::Up)
                .count();
            figures.extend(gauge("ports_up_count", Some(number(up))));
            figures.extend(gauge(
                "nvram_flash_bytes",
                storage::nvram_flash_bytes(&self.data).map(bytes),
            ));
            // A device that is not a bridge has no stations: their number is known to be 0.
            let is_known = self.stations.is_readable || self.stations.failure.is_none();
            let macs = is_known.then_some(self.stations.learned);
            figures.extend(gauge("mac_count", macs.map(number)));
            figures.extend(gauge("arp_count", arp::arp_count(&self.data).map(number)));
        }
        figures
    }
}

#[allow(clippy::cast_precision_loss)] // no table is that long
fn number(count: usize) -> f64 {
    count as f64
}

#[allow(clippy::cast_precision_loss)] // precise enough for a chart
fn bytes(bytes: u64) -> f64 {
    bytes as f64
}

/// The ports whose figures are of interest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Recorded {
    /// All of the device.
    All,
    /// The one with this ifIndex, if it is there.
    Port(Option<u32>),
}

impl Recorded {
    fn includes(self, one: &Interface) -> bool {
        match self {
            Self::All => true,
            Self::Port(index) => index == Some(one.index),
        }
    }

    fn extent(self) -> Extent {
        match self {
            Self::All => Extent::Device,
            Self::Port(_) => Extent::Port,
        }
    }
}

fn counted_port(one: &Interface, is_recorded: bool) -> CountedPort<'_> {
    CountedPort {
        identity: one.identity(),
        speed: one.speed,
        counts: one.counts,
        is_recorded,
    }
}
