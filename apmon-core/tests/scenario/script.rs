//! Reading a scenario file.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use apmon_core::testing::secs;

/// A scenario file.
pub struct Script {
    pub setup: Setup,
    /// The interval of cron's passes; `None` for a daemon.
    pub cron: Option<Duration>,
    pub lines: Vec<Line>,
}

/// The site at the start.
#[derive(Clone)]
pub enum Setup {
    /// A line of options for one monitor, `web`, and one channel, `phone`.
    Options(String),
    /// A site file.
    File(String),
}

pub struct Line {
    pub at: Duration,
    pub left: String,
    pub right: String,
}

/// What each receiver received, in order.
pub type Deliveries = BTreeMap<String, Vec<String>>;

pub fn parse(text: &str) -> Script {
    let mut lines = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let first = lines.next().expect("a site file or a line of options");
    let mut cron = None;
    let setup = if first == "site:" {
        let mut file = format!("{first}\n");
        for line in lines.by_ref() {
            if let Some(mode) = line.strip_prefix("---") {
                let every = mode.trim().strip_prefix("cron ");
                cron = every.map(|every| secs(every.parse().unwrap()));
                break;
            }
            file.push_str(line);
            file.push('\n');
        }
        Setup::File(file)
    } else {
        Setup::Options(first.to_owned())
    };
    Script {
        setup,
        cron,
        lines: lines.map(line).collect(),
    }
}

fn line(line: &str) -> Line {
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
}

/// A moment as written in a file.
pub fn moment(at: Duration) -> String {
    let secs = at.as_secs();
    format!("{:02}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60)
}

impl Script {
    /// What each receiver should receive: nothing for receivers in `actual` that the
    /// file does not name.
    pub fn expected(&self, actual: &Deliveries) -> Deliveries {
        let names = actual.keys().cloned();
        let mut expected: Deliveries = names.map(|name| (name, Vec::new())).collect();
        for line in self.lines.iter().filter(|line| !line.right.is_empty()) {
            let (receivers, what) = match self.setup {
                Setup::Options(_) => ("phone", line.right.as_str()),
                Setup::File(_) => line
                    .right
                    .split_once(": ")
                    .unwrap_or_else(|| panic!("no receiver in {}", line.right)),
            };
            for receiver in receivers.split(", ") {
                let lines = expected.entry(receiver.to_owned()).or_default();
                lines.push(format!("{} {what}", moment(line.at)));
            }
        }
        expected
    }
}

/// Splits a left side that begins with one of `names` into the name and the rest.
pub fn addressee(names: &BTreeSet<String>, left: &str) -> Option<(String, String)> {
    let (name, rest) = left.split_once(' ')?;
    names.contains(name).then(|| (name.to_owned(), rest.to_owned()))
}
