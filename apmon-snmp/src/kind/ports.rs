//! Kind `ports`: all interfaces of a switch, router or host.

use std::{collections::BTreeSet, sync::Arc};

use apmon_core::{
    Blueprint, Both, Check, Kind, Monitor, Observation, Outcome, Phase, Stopwatch, Watch, config::Section,
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    allow_macs::AllowMacs, percentile::Percentile, stored_memory::StoredMemory, unplaced::UNPLACED_HINT,
};
use crate::{
    device::station_warning::StationLimits,
    poll::{DeviceCache, DeviceClient, Extent, PolledDevice, Recorded},
    rule::{
        change::{self, MacChanges, PolledPort, PolledPorts, PortAlertOptions},
        counting::{Counts, Sources},
        pattern::Pattern,
    },
    target::{AgentOptions, Target},
};

/// Options of `type: ports`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct PortsOptions {
    /// Percentile shown below each chart of this device, 1 to 99; 95 is usual for
    /// billing that ignores short bursts. Default: none is shown.
    pub percentile: Option<Percentile>,
    /// Ports whose changes are not reported, by name (ifDescr), short name (ifName)
    /// or alias (ifAlias), ignoring case; `*` matches any text, `?` one character:
    /// `[Vlan*, Null0, Gi1/0/48]`. They are still counted and shown. Default: none.
    /// (An addition.)
    #[serde(default)]
    pub ignore_ports: Vec<Pattern>,
    /// Which changes among the stations on a port are reported: `appeared`, `all`
    /// or `no`. With `appeared`, stations that left are reported only together with
    /// the next one that appears on that port, because a switch forgets a silent
    /// station after about 300 seconds. Default `appeared`. (An addition.)
    #[serde(default)]
    pub mac_changes: MacChanges,
    /// The stations allowed on this device: a list of MAC addresses, or the path of
    /// a file with one address per line (the rest of a line is a comment, and so is
    /// a line that begins with #). Any other station is reported as new. Default:
    /// every station is allowed. (An addition.)
    pub allow_macs: Option<AllowMacs>,
    /// Highest number of stations allowed on one port; more than that are reported,
    /// for example because somebody has connected a switch there. Default: no
    /// limit. (An addition.)
    #[schemars(range(min = 1))]
    pub max_macs_per_port: Option<u32>,
    /// Whether rows of the device's table of stations that cannot be read, or belong to
    /// no known port, are ignored. With `no`, a warning counts them, and stations on no
    /// known port are reported if `allow_macs` does not allow them. Default no. (An
    /// addition.)
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignore_unplaced: bool,
}

/// The kind `ports`: all interfaces of a switch, router or host (APMonitor's
/// documentation, "Ports Monitor Specific Fields").
#[derive(Clone, Copy, Debug)]
pub struct Ports;

impl Kind for Ports {
    type Options = Both<PortsOptions, AgentOptions>;

    fn name(&self) -> &'static str {
        "ports"
    }

    fn summary(&self) -> &'static str {
        "checks all interfaces of a switch, router or host over SNMP: their state, their stations, their traffic"
    }

    fn address(&self) -> &'static str {
        "snmp://host[:port], port 161 unless given"
    }

    fn example(&self) -> &'static str {
        "type: ports\nname: office-switch\naddress: snmp://192.168.1.6\ncommunity: public\n\
         percentile: 95\ncheck_every_n_secs: 30\nnotify_every_n_secs: 3600\n"
    }

    fn schemes(&self) -> &'static [&'static str] {
        &["snmp"]
    }

    fn compile(
        &self,
        Both(options, agent): Both<PortsOptions, AgentOptions>,
        section: &mut Section<'_>,
    ) -> Option<Blueprint> {
        let target = Target::read(section, agent);
        if options.max_macs_per_port == Some(0) {
            section.error("max_macs_per_port", "must be 1 or more, not 0");
        }
        let allow_macs = match options.allow_macs {
            None => None,
            Some(allowed) => Some(allowed.read(section)?),
        };
        if options.ignore_unplaced {
            section.hint("ignore_unplaced", UNPLACED_HINT);
        }
        let target = target?;
        let alert_options = PortAlertOptions {
            ignore_ports: options.ignore_ports,
            mac_changes: options.mac_changes,
            allow_macs,
            max_macs_per_port: options.max_macs_per_port,
        };
        Some(Blueprint::monitor(move |services, watch| {
            Arc::new(PortsMonitor {
                client: DeviceClient::new(target.clone(), *watch.reach, services),
                watch,
                alert_options: alert_options.clone(),
                ignore_unplaced: options.ignore_unplaced,
                cache: DeviceCache::default(),
            })
        }))
    }
}

struct PortsMonitor {
    watch: Watch,
    client: DeviceClient,
    alert_options: PortAlertOptions,
    ignore_unplaced: bool,
    cache: DeviceCache,
}

#[async_trait]
impl Monitor for PortsMonitor {
    fn watch(&self) -> &Watch {
        &self.watch
    }

    async fn check(&self, check: &Check) -> Observation {
        let stopwatch = Stopwatch::start();
        let none = BTreeSet::new();
        let allowed = self.alert_options.allow_macs.as_ref().unwrap_or(&none);
        let mut device = match self.client.open(check).await {
            Ok(device) => device,
            Err(failure) => return Outcome::failed(failure).into(),
        };
        let polled = self
            .cache
            .poll(&self.client, &mut device, Extent::Device, allowed);
        let mut observation = match polled.await {
            Ok(polled) => self.observe(check, polled, &stopwatch),
            Err(failure) => Outcome::failed(failure).into(),
        };
        device.finish(&mut observation.outcome);
        observation
    }
}

impl PortsMonitor {
    fn observe(&self, check: &Check, polled: PolledDevice, stopwatch: &Stopwatch) -> Observation {
        let now = check.started.wall;
        let mut stored = StoredMemory::of(&check.memory, &self.client.address());
        let mut counting = Counts::read(stored.counts()).check(polled.uptimes(), now);
        let mut sources = Sources::read(stored.text(Sources::KEY));
        let mut outcome = Outcome::up(stopwatch.elapsed());
        outcome.phases = vec![(Phase::Transfer, stopwatch.elapsed())];
        outcome.metrics = polled.figures(&mut counting, &mut sources, Recorded::All);
        let limits = StationLimits {
            allowed: self.alert_options.allow_macs.is_some(),
            most: self.alert_options.max_macs_per_port.is_some(),
        };
        outcome.warnings = polled.stations.warnings(limits, self.ignore_unplaced);

        let before = change::State::read(
            stored.text(change::State::BASELINE),
            stored.text(change::State::ANNOUNCED),
        );
        let seen: Vec<PolledPort> = polled
            .interfaces
            .iter()
            .map(|one| PolledPort {
                is_partial: polled.stations.failure.is_some() && !polled.stations.is_lasting,
                identity: one.identity().into(),
                alias: one.alias.clone(),
                state: one.state,
                macs: polled
                    .stations
                    .is_readable
                    .then(|| polled.stations.on.get(&one.index).cloned().unwrap_or_default()),
            })
            .collect();
        let none = BTreeSet::new();
        let poll = PolledPorts {
            ports: &seen,
            unplaced: match self.ignore_unplaced {
                true => &none,
                false => &polled.stations.unplaced,
            },
            restart: counting.restart(),
            uptimes: polled.uptimes(),
        };
        let comparison = change::compare(before, &poll, &self.alert_options, &self.watch.policy, now);
        stored.keep(change::State::BASELINE, comparison.state.baseline());
        stored.keep(change::State::ANNOUNCED, comparison.state.announced());
        stored.keep(Sources::KEY, sources.to_json());
        stored.count(counting.end().to_json());

        let mut observation = Observation::from(outcome);
        observation.notices = comparison.notices;
        observation.changes = comparison.changes;
        observation.device = Some(Arc::new(polled.device));
        observation.memory = Some(stored.memory());
        observation
    }
}
