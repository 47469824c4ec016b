//! Kind `host`: load, memory and disks of a host.

use std::sync::Arc;

use apmon_core::{
    Blueprint, Both, Check, Device, Failure, FailureClass, Kind, Metric, Monitor, Observation, Outcome,
    Phase, Stopwatch, Watch, config::Section,
};
use async_trait::async_trait;
use tokio::sync::Mutex;

use super::stored_memory::StoredMemory;
use crate::{
    device::{
        host_figures::{DiskBytes, HostFigures},
        storage,
        uptime::uptimes,
        vital::{self, STORAGE},
    },
    mib::{HR_PROCESSOR_LOAD, HR_STORAGE_DESCR},
    poll::{self, DeviceClient, DeviceProfile, OpenDevice},
    poll_data::PollData,
    rule::{
        counter_value::CounterValue,
        counting::{Counting, Counts, NamedSum},
        threshold::{Over, ThresholdOptions},
    },
    target::{AgentOptions, Target},
};

/// The state-file key of the figures that are over their limits.
const OVER: &str = "over_limits";
/// The state-file key of the root file system's use, which APMonitor shows above its
/// charts.
const DISK_SPACE: &str = "disk_space_pct";

/// The kind `host`: load, memory and disks of a host (APMonitor's documentation, "Host
/// Monitor Specific Fields").
#[derive(Clone, Copy, Debug)]
pub struct Host;

impl Kind for Host {
    type Options = Both<ThresholdOptions, AgentOptions>;

    fn name(&self) -> &'static str {
        "host"
    }

    fn summary(&self) -> &'static str {
        "checks the load, memory, swap and disks of a host over SNMP"
    }

    fn address(&self) -> &'static str {
        "snmp://host[:port], port 161 unless given"
    }

    fn example(&self) -> &'static str {
        "type: host\nname: file-server\naddress: snmp://192.168.1.10\ncommunity: public\n\
         check_every_n_secs: 300\n"
    }

    fn compile(
        &self,
        Both(limits, agent): Both<ThresholdOptions, AgentOptions>,
        section: &mut Section<'_>,
    ) -> Option<Blueprint> {
        let target = Target::read(section, agent)?;
        Some(Blueprint::monitor(move |services, watch| {
            Arc::new(HostMonitor {
                client: DeviceClient::new(target.clone(), *watch.reach, services),
                watch,
                limits: limits.clone(),
                profile: Mutex::default(),
            })
        }))
    }
}

struct HostMonitor {
    watch: Watch,
    client: DeviceClient,
    limits: ThresholdOptions,
    /// The knowledge about the host from earlier checks.
    profile: Mutex<DeviceProfile>,
}

#[async_trait]
impl Monitor for HostMonitor {
    fn watch(&self) -> &Watch {
        &self.watch
    }

    async fn check(&self, check: &Check) -> Observation {
        let stopwatch = Stopwatch::start();
        let mut device = match self.client.open(check).await {
            Ok(device) => device,
            Err(failure) => return Outcome::failed(failure).into(),
        };
        let mut observation = match self.poll(check, &mut device, &stopwatch).await {
            Ok(observation) => observation,
            Err(failure) => Outcome::failed(failure).into(),
        };
        device.finish(&mut observation.outcome);
        observation
    }
}

impl HostMonitor {
    /// The reason why one of the limits cannot be evaluated, if any.
    fn unread(&self, data: &PollData, cpu_load: Option<f64>, memory_pct: Option<f64>) -> Option<String> {
        let limits = &self.limits;
        let wanted = [
            (
                limits.max_cpu_pct.is_some(),
                cpu_load.is_none(),
                "max_cpu_pct",
                &[HR_PROCESSOR_LOAD][..],
            ),
            (
                limits.max_memory_pct.is_some(),
                memory_pct.is_none(),
                "max_memory_pct",
                STORAGE,
            ),
            (
                limits.max_disk_pct.is_some(),
                !data.has(HR_STORAGE_DESCR),
                "max_disk_pct",
                STORAGE,
            ),
        ];
        let wanted = wanted.into_iter().filter(|(is_set, ..)| *is_set);
        wanted.into_iter().find_map(|(_, is_missing, option, columns)| {
            let failure = columns.iter().find_map(|column| data.failure(column));
            let why = failure.or(is_missing.then_some("the device does not report this value"));
            why.map(|why| format!("snmp: {option} cannot be evaluated: {why}"))
        })
    }

    async fn poll(
        &self,
        check: &Check,
        open: &mut OpenDevice<'_>,
        stopwatch: &Stopwatch,
    ) -> Result<Observation, Failure> {
        // A monitor runs one check at a time: the lock is free.
        let data = poll::poll_host(&mut open.session, &mut *self.profile.lock().await).await;
        let data = data.map_err(|error| self.client.failure(&open.check, open.to, &error.into()))?;
        check.step("snmp", || format!("{} answers", open.session.stats().round_trips));

        let figures = HostFigures::read(&data);
        let (cpu_load, memory_pct) = (vital::cpu_load(&data), vital::memory_pct(&data));
        let mut device = Device::default();
        device.name = poll::host_name(&data);
        device.up_for = uptimes(&data).up_for();
        device.disks = storage::disks(&data);

        let mut stored = StoredMemory::of(&check.memory, &self.client.address());
        let mut over: Over = stored
            .text(OVER)
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        if let Some(failure) = self.unread(&data, cpu_load, memory_pct) {
            // Figures that were over their limits remain so, and those known to be over them now
            // are reported.
            let known = self
                .limits
                .judge(cpu_load, memory_pct, &device.disks, &mut over.clone());
            return Err(match known.is_empty() {
                true => Failure::new(FailureClass::Unreadable, failure),
                false => Failure::new(FailureClass::Content, known.to_string()),
            });
        }
        let excesses = self.limits.judge(cpu_load, memory_pct, &device.disks, &mut over);
        let mut outcome = match excesses.is_empty() {
            true => Outcome::up(stopwatch.elapsed()),
            false => Outcome::failed(Failure::new(FailureClass::Content, excesses.to_string())),
        };
        outcome.phases = vec![(Phase::Transfer, stopwatch.elapsed())];
        let mut counting = Counts::read(stored.counts()).check(uptimes(&data), check.started.wall);
        outcome.metrics = metrics(&mut counting, &figures, cpu_load, memory_pct);
        if outcome.metrics.is_empty() {
            return Err(Failure::new(
                FailureClass::Content,
                "snmp: the device shows no load, memory or disks; allow this community or user to read \
                 1.3.6.1.2.1.25 and 1.3.6.1.4.1.2021",
            ));
        }
        stored.keep(OVER, serde_json::to_string(&over).unwrap_or_default());
        let disk_space = figures.disk_space_pct.map(|pct| (pct * 10.0).round() / 10.0);
        stored.keep(DISK_SPACE, serde_json::to_string(&disk_space).unwrap_or_default());
        stored.count(counting.end().to_json());
        let mut observation = Observation::from(outcome);
        observation.device = Some(Arc::new(device));
        observation.memory = Some(stored.memory());
        Ok(observation)
    }
}

/// APMonitor's figures of a host, in APMonitor's order.
#[allow(clippy::cast_precision_loss)] // precise enough for a chart
fn metrics(
    counting: &mut Counting,
    figures: &HostFigures,
    cpu_load: Option<f64>,
    memory_pct: Option<f64>,
) -> Vec<Metric> {
    let gauge = |name, value: Option<f64>| value.map(|value| Metric::gauge(name, value));
    let sum = |name: &'static str, parts: Vec<(&str, Option<CounterValue>)>| NamedSum {
        name,
        parts: parts
            .into_iter()
            .map(|(part, counted)| (part.to_owned(), counted))
            .collect(),
    };
    let disks = |way: &str, of: fn(&DiskBytes) -> Option<CounterValue>| {
        let disks = figures.disks.iter();
        disks
            .map(|(disk, bytes)| (format!("{way} {disk}"), of(bytes)))
            .collect()
    };
    let mut all = Vec::new();
    all.extend(gauge("cpu_load", cpu_load));
    all.extend(gauge("memory_pct", memory_pct));
    all.extend(counting.named(&[
        sum("context_switches", vec![("contexts", figures.context_switches)]),
        sum(
            "swap_io",
            vec![("swap_in", figures.swap_in), ("swap_out", figures.swap_out)],
        ),
        NamedSum {
            name: "disk_read",
            parts: disks("read", |bytes| bytes.read),
        },
        NamedSum {
            name: "disk_write",
            parts: disks("write", |bytes| bytes.written),
        },
    ]));
    all.extend(gauge("disk_space_pct", figures.disk_space_pct));
    all.extend(gauge("swap_used", figures.swap_used.map(|bytes| bytes as f64)));
    all.extend(counting.named(&[sum("interrupts", vec![("interrupts", figures.interrupts)])]));
    all
}
