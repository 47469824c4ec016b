//! The site of a scenario: its targets, its receivers, and its plan.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    num::NonZeroU32,
    path::Path,
    sync::{Arc, Mutex},
};

use apmon_core::{
    Blueprint, Channel, Check, Kind, Monitor, Notice, Observation, Plan, Policy, Probe, Services, Watch,
    config::{self, ProcessEnvironment, Section, SiteFile},
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    receiver::{Log, Receiver},
    script::Setup,
    support::{Condition, Target, secs},
};

/// Targets and receivers by name, created on first use.
pub struct World {
    pub log: Log,
    kind: TestKind,
    receivers: Mutex<BTreeMap<String, Arc<Receiver>>>,
}

#[derive(Clone, Default)]
struct TestKind(Arc<Mutex<BTreeMap<String, Arc<FakeTarget>>>>);

/// A target, and what its checks notice beside the verdict.
#[derive(Default)]
pub struct FakeTarget {
    target: Target,
    notices: Mutex<VecDeque<Notice>>,
}

impl FakeTarget {
    /// Sets the condition: `up`, `down REASON`, `unknown REASON`, `silent` or
    /// `panics`. `notices LABEL: TEXT` adds a notice to the next check.
    pub fn set(&self, words: &str) {
        let (word, rest) = words.split_once(' ').unwrap_or((words, ""));
        self.target.set(match word {
            "up" => Condition::Up,
            "down" => Condition::Down(rest.to_owned()),
            "unknown" => Condition::Unknown(rest.to_owned()),
            "silent" => Condition::Silent,
            "panics" => Condition::Panics,
            "notices" => {
                let (label, text) = rest.split_once(": ").expect("a label and a text");
                let notice = Notice {
                    label: label.to_owned(),
                    text: text.to_owned(),
                };
                return self.notices.lock().unwrap().push_back(notice);
            }
            other => panic!("unknown condition of a target: {other}"),
        });
    }
}

struct FakeMonitor(Watch, Arc<FakeTarget>);

#[async_trait]
impl Monitor for FakeMonitor {
    fn watch(&self) -> &Watch {
        &self.0
    }

    async fn check(&self, check: &Check) -> Observation {
        let mut observation = Observation::from(self.1.target.probe(check).await);
        observation.notices = self.1.notices.lock().unwrap().drain(..).collect();
        observation
    }
}

/// The options of `type: test`, the kind of all monitors in a scenario.
#[derive(Deserialize, Serialize, JsonSchema)]
struct NoOptions {}

impl Kind for TestKind {
    type Options = NoOptions;

    fn name(&self) -> &'static str {
        "test"
    }

    fn summary(&self) -> &'static str {
        "does what a scenario says"
    }

    fn address(&self) -> &'static str {
        "anything"
    }

    fn example(&self) -> &'static str {
        "type: test\nname: web\naddress: 192.0.2.1\n"
    }

    fn compile(&self, _: NoOptions, _: &mut Section<'_>) -> Option<Blueprint> {
        let this = self.clone();
        Some(Blueprint::monitor(move |_, watch| this.monitor(watch)))
    }
}

impl TestKind {
    fn target(&self, name: &str) -> Arc<FakeTarget> {
        Arc::clone(self.0.lock().unwrap().entry(name.to_owned()).or_default())
    }

    fn monitor(&self, watch: Watch) -> Arc<dyn Monitor> {
        let target = self.target(&watch.name);
        Arc::new(FakeMonitor(watch, target))
    }
}

impl World {
    pub fn new(log: Log) -> Self {
        Self {
            log,
            kind: TestKind::default(),
            receivers: Mutex::default(),
        }
    }

    pub fn target(&self, name: &str) -> Arc<FakeTarget> {
        self.kind.target(name)
    }

    pub fn targets(&self) -> BTreeSet<String> {
        self.kind.0.lock().unwrap().keys().cloned().collect()
    }

    pub fn receiver(&self, name: &str) -> Arc<Receiver> {
        let mut receivers = self.receivers.lock().unwrap();
        let receiver = receivers.entry(name.to_owned());
        Arc::clone(receiver.or_insert_with(|| Arc::new(Receiver::new(name, &self.log))))
    }

    pub fn receivers(&self) -> BTreeSet<String> {
        self.receivers.lock().unwrap().keys().cloned().collect()
    }

    pub fn plan(&self, setup: &Setup) -> Plan {
        match setup {
            Setup::Options(options) => self.plan_of_options(options),
            Setup::File(file) => {
                let kinds: [&dyn apmon_core::MonitorKind; 1] = [&self.kind];
                let file = config::parse(Path::new("scenario"), file, &kinds, &ProcessEnvironment);
                self.plan_of_file(&file.unwrap_or_else(|error| panic!("{error}")))
            }
        }
    }

    /// The plan of a site file. The first webhook is `hook`, the second `hook2`; a
    /// mail recipient is named by the part of its address before the `@`.
    fn plan_of_file(&self, file: &SiteFile) -> Plan {
        let services = Services::default();
        let mut plan = Plan::new(&file.name);
        plan.monitors = file
            .monitors
            .iter()
            .map(|monitor| monitor.build(&services))
            .collect();
        for i in 1..=file.outage_webhooks.len() {
            let name = if i == 1 {
                "hook".to_owned()
            } else {
                format!("hook{i}")
            };
            plan.channels.push(Channel::new(&name, self.receiver(&name)));
        }
        for options in &file.outage_emails {
            let address = options.email.as_ref().unwrap().as_str();
            let name = address.split('@').next().unwrap();
            plan.channels.push(Channel {
                outages: options.email_outages.unwrap_or(true),
                reminders: options.email_reminders.unwrap_or(true),
                recoveries: options.email_recoveries.unwrap_or(true),
                is_mail: true,
                ..Channel::new(name, self.receiver(name))
            });
        }
        plan
    }

    /// The plan of a line of options; an empty line is a site without monitors.
    fn plan_of_options(&self, options: &str) -> Plan {
        let mut plan = Plan::new("HomeLab");
        if !options.is_empty() {
            plan.monitors.push(self.kind.monitor(Watch {
                policy: policy(options),
                checksum: options.into(),
                ..Watch::new("web", "http", "192.0.2.1")
            }));
        }
        plan.channels.push(Channel {
            outages: switch(options, "outages", true),
            reminders: switch(options, "reminders", true),
            recoveries: switch(options, "recoveries", true),
            is_mail: switch(options, "mail", false),
            ..Channel::new("phone", self.receiver("phone"))
        });
        plan
    }
}

fn policy(options: &str) -> Policy {
    let mut policy = Policy::default();
    let words: Vec<_> = options.split_whitespace().collect();
    for pair in words.chunks(2) {
        let [word, value] = pair else {
            panic!("{options:?}: expected words and values in turn")
        };
        let number = || value.parse::<u64>().unwrap_or_else(|_| panic!("{word} {value}"));
        let count = || NonZeroU32::new(u32::try_from(number()).unwrap()).unwrap();
        match *word {
            "check" => policy.check_every = secs(number()),
            "retries" => policy.max_retries = count(),
            "try" => policy.max_try = secs(number()),
            "retry" => policy.retry_every = Some(secs(number())),
            "notify" => policy.notify_every = secs(number()),
            "after" => policy.after_every_n = count(),
            "unknown" => policy.unknown_after = secs(number()),
            "alarms" => policy.alarms = *value == "yes",
            "email" => policy.email = *value == "yes",
            // switches of the channel, read elsewhere
            "outages" | "reminders" | "recoveries" | "mail" => {}
            other => panic!("unknown option {other}"),
        }
    }
    policy
}

/// The value of a channel's switch in the options.
fn switch(options: &str, name: &str, default: bool) -> bool {
    let words: Vec<_> = options.split_whitespace().collect();
    words
        .chunks(2)
        .find(|pair| pair[0] == name)
        .map_or(default, |pair| pair[1] == "yes")
}
