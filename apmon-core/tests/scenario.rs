//! Scenario files: what happens to a target on the left, what people hear on
//! the right, in virtual time. A bug report becomes a file and no Rust.
//!
//! ```text
//! check 60 retries 3 retry 20 notify 600 after 1
//! 00:00:00 up                   |
//! 00:05:00 down refused         |
//! 00:06:23                      | NEW OUTAGE: web in HomeLab new outage: refused (...)
//! ```

#![allow(clippy::unwrap_used)] // a test may end where it stands

mod support;

use std::{fs, num::NonZeroU32, path::Path, sync::Arc, time::Duration};

use apmon_core::{Channel, Clock, Engine, Plan, Policy, Watch};
use jiff::tz::TimeZone;
use support::{Condition, Memory, Recorder, Target, clock, secs};

struct Line {
    at: Duration,
    left: String,
    right: String,
}

fn parse(text: &str) -> (String, Vec<Line>) {
    let mut lines = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let options = lines.next().expect("a line of options").to_owned();
    let lines = lines
        .map(|line| {
            let (left, right) = line.split_once('|').unwrap_or_else(|| panic!("no | in {line:?}"));
            let (time, left) = left.trim().split_once(' ').unwrap_or((left.trim(), ""));
            let part = |i| time.split(':').nth(i).and_then(|p: &str| p.parse::<u64>().ok());
            let (Some(h), Some(m), Some(s)) = (part(0), part(1), part(2)) else {
                panic!("no time in {line:?}")
            };
            Line {
                at: secs(h * 3600 + m * 60 + s),
                left: left.trim().to_owned(),
                right: right.trim().to_owned(),
            }
        })
        .collect();
    (options, lines)
}

fn policy(options: &str) -> Policy {
    let mut policy = Policy::default();
    let words: Vec<_> = options.split_whitespace().collect();
    for pair in words.chunks(2) {
        let [word, value] = pair else {
            panic!("{options:?}: words and values in turn")
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
            // switches of the channel
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

struct Site {
    options: String,
    target: Arc<Target>,
    store: Arc<Memory>,
    recorder: Arc<Recorder>,
}

impl Site {
    fn plan(&self, options: &str, checksum: &str) -> Plan {
        let mut watch = Watch::new("web", "http", "192.0.2.1");
        watch.policy = policy(options);
        watch.checksum = checksum.into();
        let mut plan = Plan::new("HomeLab");
        if checksum != "removed" {
            plan.monitors.push(self.target.monitor(watch));
        }
        plan.channels.push(Channel {
            outages: switch(options, "outages", true),
            reminders: switch(options, "reminders", true),
            recoveries: switch(options, "recoveries", true),
            is_mail: switch(options, "mail", false),
            ..Channel::new("phone", self.recorder.clone())
        });
        plan
    }

    fn engine(&self, clock: Arc<dyn Clock>) -> Engine {
        let checksum = if self.options.is_empty() {
            "removed"
        } else {
            "first"
        };
        Engine::new(self.plan(&self.options, checksum), self.store.clone())
            .clock(clock)
            .zone(TimeZone::UTC)
    }
}

/// Plays a file; returns its lines with the right side as it was heard.
async fn play(text: &str) -> Vec<String> {
    let (options, lines) = parse(text);
    let clock = clock();
    let site = Site {
        options,
        target: Target::new(),
        store: Memory::new(),
        recorder: Recorder::new(&clock),
    };
    let mut engine = site.engine(clock.clone());
    let mut handle = engine.handle();
    let mut running = tokio::spawn(engine.run());
    let end = lines.iter().map(|line| line.at).max().unwrap_or_default() + secs(1);
    for line in lines.iter().filter(|line| !line.left.is_empty()) {
        tokio::time::sleep(line.at.saturating_sub(clock.now().mono.since(Default::default()))).await;
        let (word, rest) = line.left.split_once(' ').unwrap_or((&line.left, ""));
        match word {
            "up" => site.target.set(Condition::Up),
            "down" => site.target.set(Condition::Down(rest.to_owned())),
            "unknown" => site.target.set(Condition::Unknown(rest.to_owned())),
            "silent" => site.target.set(Condition::Silent),
            "panics" => site.target.set(Condition::Panics),
            "options" => handle.reload(site.plan(rest, "changed")).await.unwrap(),
            "remove" => handle.reload(site.plan(&site.options, "removed")).await.unwrap(),
            "restart" => {
                handle.shutdown().await;
                running.await.unwrap().unwrap();
                engine = site.engine(clock.clone());
                handle = engine.handle();
                running = tokio::spawn(engine.run());
            }
            "crash" => {
                running.abort();
                let _ = running.await;
                engine = site.engine(clock.clone());
                handle = engine.handle();
                running = tokio::spawn(engine.run());
            }
            "end" => {}
            other => panic!("unknown event {other}"),
        }
    }
    tokio::time::sleep(end.saturating_sub(clock.now().mono.since(Default::default()))).await;
    handle.shutdown().await;
    running.await.unwrap().unwrap();
    let heard = site.recorder.heard.lock().unwrap();
    let told = |(at, message, _): &(apmon_core::Mono, apmon_core::Notification, String)| {
        let secs = at.nanos() / 1_000_000_000;
        let time = format!("{:02}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60);
        format!("{time} {}: {}", message.kind.label(), message.text)
    };
    heard.iter().map(told).collect()
}

#[tokio::test(start_paused = true)]
async fn every_scenario_is_told_as_its_file_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenario");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 10, "scenario files are missing");
    let mut wrong = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let expected: Vec<String> = parse(&text)
            .1
            .iter()
            .filter(|line| !line.right.is_empty())
            .map(|line| {
                let secs = line.at.as_secs();
                format!(
                    "{:02}:{:02}:{:02} {}",
                    secs / 3600,
                    secs / 60 % 60,
                    secs % 60,
                    line.right
                )
            })
            .collect();
        let heard = play(&text).await;
        if heard != expected {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            wrong.push(format!(
                "{name}:\nheard\n  {}\nexpected\n  {}",
                heard.join("\n  "),
                expected.join("\n  ")
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
