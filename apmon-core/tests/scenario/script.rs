//! A scenario file, read.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::support::secs;

/// A scenario file.
pub struct Script {
    pub setup: Setup,
    /// Cron starts a pass so often; without, there is a daemon.
    pub cron: Option<Duration>,
    pub lines: Vec<Line>,
}

/// How the site stands at first.
#[derive(Clone)]
pub enum Setup {
    /// One monitor, `web`, and one channel, `phone`, by a line of options.
    Options(String),
    /// A site file.
    File(String),
}

pub struct Line {
    pub at: Duration,
    pub left: String,
    pub right: String,
}

/// What each heard, in its order.
pub type Heard = BTreeMap<String, Vec<String>>;

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
            if let Some(how) = line.strip_prefix("---") {
                let every = how.trim().strip_prefix("cron ");
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

/// As it stands in a file.
pub fn moment(at: Duration) -> String {
    let secs = at.as_secs();
    format!("{:02}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60)
}

impl Script {
    /// Who is to hear what; also of those that the file does not name and that
    /// `heard` something.
    pub fn expected(&self, heard: &Heard) -> Heard {
        let mut expected: Heard = heard.keys().map(|who| (who.clone(), Vec::new())).collect();
        for line in self.lines.iter().filter(|line| !line.right.is_empty()) {
            let (who, what) = match self.setup {
                Setup::Options(_) => ("phone", line.right.as_str()),
                Setup::File(_) => line
                    .right
                    .split_once(": ")
                    .unwrap_or_else(|| panic!("who? {}", line.right)),
            };
            for who in who.split(", ") {
                let heard = expected.entry(who.to_owned()).or_default();
                heard.push(format!("{} {what}", moment(line.at)));
            }
        }
        expected
    }

    /// The words on the left that name somebody, and not something that happens.
    pub fn is_about(&self, names: &BTreeSet<String>, left: &str) -> Option<(String, String)> {
        let (name, rest) = left.split_once(' ')?;
        names.contains(name).then(|| (name.to_owned(), rest.to_owned()))
    }
}
