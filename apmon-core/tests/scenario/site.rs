//! The site of a scenario: its targets, its receivers, and its plan.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    num::NonZeroU32,
    path::Path,
    sync::{Arc, Mutex},
};

use apmon_core::{
    Blueprint, Channel, ChannelClass, Check, Kind, Monitor, Notice, Observation, Plan, Policy, Probe,
    Services, Switches, Watch,
    config::{self, ProcessEnvironment, Section, SiteFile},
    testing::{Response, Target, TestClock, secs},
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{receiver::Receivers, script::Setup};

/// Targets and receivers.
pub struct World {
    pub receivers: Receivers,
    kind: TestKind,
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
    /// Sets the response: `up`, `down REASON`, `unknown REASON`, `silent` or
    /// `panics`. `notices LABEL: TEXT` adds a notice to the next check.
    pub fn set(&self, words: &str) {
        let (word, rest) = words.split_once(' ').unwrap_or((words, ""));
        self.target.set(match word {
            "up" => Response::Up,
            "down" => Response::down(rest),
            "unknown" => Response::unknown(rest),
            "silent" => Response::Silent,
            "panics" => Response::Panics,
            "notices" => {
                let (label, text) = rest.split_once(": ").expect("a label and a text");
                let notice = Notice {
                    label: label.to_owned(),
                    text: text.to_owned(),
                };
                return self.notices.lock().unwrap().push_back(notice);
            }
            other => panic!("unknown response of a target: {other}"),
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
    pub fn new(clock: Arc<TestClock>) -> Self {
        Self {
            receivers: Receivers::new(clock),
            kind: TestKind::default(),
        }
    }

    pub fn target(&self, name: &str) -> Arc<FakeTarget> {
        self.kind.target(name)
    }

    pub fn targets(&self) -> BTreeSet<String> {
        self.kind.0.lock().unwrap().keys().cloned().collect()
    }

    pub fn plan(&self, setup: &Setup) -> Plan {
        let plan = match setup {
            Setup::Options(options) => self.plan_of_options(options),
            Setup::File(file) => {
                let kinds: [&dyn apmon_core::MonitorKind; 1] = [&self.kind];
                let channels = apmon_notify::CHANNELS;
                let file = config::parse(Path::new("scenario"), file, &kinds, channels, &ProcessEnvironment);
                self.plan_of_file(&file.unwrap_or_else(|error| panic!("{error}")))
            }
        };
        plan.heartbeats(self.receivers.heartbeats.clone())
    }

    /// The plan of a site file. The first webhook is `hook`, the second `hook2`; a
    /// mail recipient is named by the part of its address before the `@`.
    fn plan_of_file(&self, file: &SiteFile) -> Plan {
        let mut plan = file.plan(&Services::default());
        let mut hooks = 0;
        for channel in &mut plan.channels {
            let name = match channel.id.split_once(':') {
                Some(("mail", address)) => address.split('@').next().unwrap().to_owned(),
                _ => {
                    hooks += 1;
                    if hooks == 1 {
                        "hook".to_owned()
                    } else {
                        format!("hook{hooks}")
                    }
                }
            };
            channel.notifier = self.receivers.channel(&name);
            channel.id = name;
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
            switches: Switches {
                outages: switch(options, "outages", true),
                reminders: switch(options, "reminders", true),
                recoveries: switch(options, "recoveries", true),
            },
            class: switch(options, "mail", false).then_some(ChannelClass::EMAIL),
            ..Channel::new("phone", self.receivers.channel("phone"))
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
            "email" if *value == "no" => policy.classes_off = vec![ChannelClass::EMAIL],
            "email" => {}
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
