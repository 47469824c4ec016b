//! `ports`: all interfaces of a switch, router or host.

use std::{collections::BTreeSet, fs, sync::Arc};

use apmon_core::{
    Blueprint, Both, Check, Kind, Mac, Monitor, Observation, Outcome, Phase, Stopwatch, Watch,
    config::Section,
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    asker::Asker,
    change::{self, MacChanges, SeenPort, Wishes},
    counting::{Counts, Sources},
    pattern::Pattern,
    percentile::Percentile,
    poll::{Acquaintance, Polled},
    reading::Extent,
    recall::Recall,
    target::{AgentOptions, Target},
};

/// A list of stations is shorter than this; another file was meant.
const LONGEST_LIST: u64 = 16 * 1024 * 1024;

/// Options of `type: ports`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct PortsOptions {
    /// Percentile shown beneath each chart of this device, 1 to 99: 95 for
    /// billing that forgives short bursts. Default: none is shown.
    pub percentile: Option<Percentile>,
    /// Ports of which nothing is told, by name (ifDescr), short name (ifName)
    /// or alias (ifAlias), in either case; `*` stands for anything, `?` for one
    /// character: `[Vlan*, Null0, Gi1/0/48]`. They are counted and shown all the
    /// same. Default: none. (An addition.)
    #[serde(default)]
    pub ignore_ports: Vec<Pattern>,
    /// Which stations that come and go on a port are told: appeared, all or
    /// no. With appeared those that went are told along with the next one that
    /// appears there: a switch forgets a silent station after some 300 secs.
    /// Default appeared. (An addition.)
    #[serde(default)]
    pub mac_changes: MacChanges,
    /// The stations that may be on this device: a list of MAC addresses, or the
    /// path of a file with one in each line (what follows it, and lines that
    /// begin with #, are remarks). Any other is told as a new station. Default:
    /// any station may be. (An addition.)
    pub allow_macs: Option<AllowMacs>,
    /// More stations than this on one port are told: somebody has put a switch
    /// there. Default: any number may be. (An addition.)
    #[schemars(range(min = 1))]
    pub max_macs_per_port: Option<u32>,
}

/// Stations that may be on a device.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum AllowMacs {
    /// These.
    List(Vec<Mac>),
    /// Those in a file; a relative path leads from the site file.
    File(String),
}

impl<'de> Deserialize<'de> for AllowMacs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> serde::de::Visitor<'de> for Either {
            type Value = AllowMacs;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of MAC addresses or the path of a file")
            }

            fn visit_str<E: serde::de::Error>(self, path: &str) -> Result<AllowMacs, E> {
                Ok(AllowMacs::File(path.to_owned()))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, list: A) -> Result<AllowMacs, A::Error> {
                Vec::deserialize(serde::de::value::SeqAccessDeserializer::new(list)).map(AllowMacs::List)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl AllowMacs {
    /// The stations. What is wrong with the file is noted in `section`.
    fn read(self, section: &mut Section<'_>) -> Option<BTreeSet<Mac>> {
        let path = match self {
            Self::List(macs) => return Some(macs.into_iter().collect()),
            Self::File(path) => section.path(&path),
        };
        let mut wrong = |text: String| section.error("allow_macs", format!("{}: {text}", path.display()));
        let text = match fs::metadata(&path).map(|about| (about.is_file(), about.len())) {
            Ok((false, _)) => {
                wrong("not a file".to_owned());
                return None;
            }
            Ok((_, length)) if length > LONGEST_LIST => {
                wrong(format!("longer than {LONGEST_LIST} octets"));
                return None;
            }
            Ok(_) => fs::read_to_string(&path),
            Err(error) => Err(error),
        };
        let text = match text {
            Ok(text) => text,
            Err(error) => {
                wrong(format!("cannot be read: {error}"));
                return None;
            }
        };
        let mut macs = BTreeSet::new();
        for (number, line) in text.lines().enumerate() {
            let word = line.split([' ', '\t', ',', ';', '#']).next().unwrap_or("");
            match word.parse() {
                _ if word.is_empty() => {}
                Ok(mac) => _ = macs.insert(mac),
                Err(error) => {
                    wrong(format!("line {}: {error}", number + 1));
                    return None;
                }
            }
        }
        section.depends_on(&macs);
        Some(macs)
    }
}

/// All interfaces of a switch, router or host (seed 003, "Ports Monitor
/// Specific Fields").
#[derive(Clone, Copy, Debug)]
pub struct Ports;

impl Kind for Ports {
    type Options = Both<PortsOptions, AgentOptions>;

    fn name(&self) -> &'static str {
        "ports"
    }

    fn summary(&self) -> &'static str {
        "all interfaces of a switch, router or host by SNMP: their state, their stations, their traffic"
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
            section.error("max_macs_per_port", "must be 1 or more");
        }
        let allow_macs = match options.allow_macs {
            None => None,
            Some(allowed) => Some(allowed.read(section)?),
        };
        let target = target?;
        let wishes = Wishes {
            ignore_ports: options.ignore_ports,
            mac_changes: options.mac_changes,
            allow_macs,
            max_macs_per_port: options.max_macs_per_port,
        };
        Some(Blueprint::monitor(move |services, watch| {
            Arc::new(PortsMonitor {
                watch,
                asker: Asker::new(target.clone(), services),
                wishes: wishes.clone(),
                acquaintance: Acquaintance::default(),
            })
        }))
    }
}

struct PortsMonitor {
    watch: Watch,
    asker: Asker,
    wishes: Wishes,
    acquaintance: Acquaintance,
}

#[async_trait]
impl Monitor for PortsMonitor {
    fn watch(&self) -> &Watch {
        &self.watch
    }

    async fn check(&self, check: &Check) -> Observation {
        let watch = Stopwatch::start();
        match self.acquaintance.poll(&self.asker, check, Extent::Device).await {
            Ok(polled) => self.observe(check, polled, &watch),
            Err(failure) => Outcome::failed(failure).into(),
        }
    }
}

impl PortsMonitor {
    fn observe(&self, check: &Check, polled: Polled, watch: &Stopwatch) -> Observation {
        let now = check.started.wall;
        let mut recall = Recall::of(&check.memory, &self.asker.whom());
        let mut counting = Counts::read(recall.counts()).check(polled.uptimes(), now);
        let mut sources = Sources::read(recall.text(Sources::KEY));
        let mut outcome = Outcome::up(watch.elapsed());
        outcome.phases = vec![(Phase::Transfer, watch.elapsed())];
        outcome.metrics = polled.figures(&mut counting, &mut sources, Extent::Device);
        outcome.warning = polled
            .stations
            .trouble
            .as_ref()
            .map(|trouble| format!("stations may be missing: {trouble}"));

        let before = change::State::read(
            recall.text(change::State::BASELINE),
            recall.text(change::State::TOLD),
        );
        let seen: Vec<SeenPort> = polled
            .interfaces
            .iter()
            .map(|one| SeenPort {
                is_partial: polled.stations.trouble.is_some() && !polled.stations.is_lasting,
                index: one.index,
                name: one.name.clone(),
                short_name: one.short_name.clone(),
                alias: one.alias.clone(),
                state: one.state,
                macs: polled
                    .stations
                    .is_readable
                    .then(|| polled.stations.on.get(&one.index).cloned().unwrap_or_default()),
            })
            .collect();
        let poll = change::Poll {
            ports: &seen,
            restart: counting.restart(),
            uptimes: polled.uptimes(),
        };
        let found = change::compare(before, &poll, &self.wishes, &self.watch.policy, now);
        recall.keep(change::State::BASELINE, found.state.baseline());
        recall.keep(change::State::TOLD, found.state.told());
        recall.keep(Sources::KEY, sources.to_json());
        recall.count(counting.end().to_json());

        let mut observation = Observation::from(outcome);
        observation.notices = found.notices;
        observation.changes = found.changes;
        observation.device = Some(Arc::new(polled.device));
        observation.memory = Some(recall.memory());
        observation
    }
}
