//! The plan of a round: what is done to what, and when, all from one seed.

use std::time::Duration;

use super::{damage::Damage, disk, random::Random, site::Site};

/// One action and its time.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Step {
    pub(super) at: Duration,
    pub(super) act: Act,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Act {
    /// A target goes up or down.
    Target(usize, bool),
    /// A receiver begins to fail, or works again.
    Receiver(usize, Option<Failure>),
    /// SIGKILL at a moment, and the pause before the next start.
    Kill(Moment, Duration),
    /// SIGSTOP.
    Stop,
    /// SIGCONT.
    Continue,
    /// The wall clock is off by this many seconds from now on.
    Clock(i64),
    /// The disk is full from now on.
    FillDisk,
    /// The disk has room again. Nothing else happens until apmon has saved its state.
    FreeDisk,
    /// Another program damages the state's files. Nothing else happens until apmon has written
    /// them anew.
    Damage(Damage),
    /// At the next start other users may write the state's directory: apmon must refuse to run.
    OpenDirectory,
}

impl Act {
    pub(super) fn is_damage(self) -> bool {
        matches!(self, Self::Damage(_))
    }
}

/// Two webhook receivers and the mail server.
pub(super) const RECEIVERS: usize = 3;

/// How a receiver fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Failure {
    /// Nothing listens on its port.
    Down,
    /// It accepts the connection and never answers.
    Hang,
    /// It answers 503, or 451 after the mail.
    PutOff,
    /// It answers 429 with these seconds in `Retry-After`, or 452 to the recipient.
    Busy(u64),
    /// It closes the connection on a notification.
    Drop,
    /// It accepts a notification and closes the connection within its answer.
    Cut,
    /// It accepts a notification and answers late; a mail server greets late.
    Late(Duration),
}

impl Failure {
    /// Its name in the summary.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Hang => "hanging",
            Self::PutOff => "503/451",
            Self::Busy(_) => "429/452",
            Self::Drop => "hanging up",
            Self::Cut => "taken, reply cut",
            Self::Late(_) => "late",
        }
    }
}

/// The exact moment of a kill. Random times rarely hit the few milliseconds in
/// which something could get lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Moment {
    Now,
    /// State is being written.
    Write,
    /// A line was printed: its notification is on disk and not yet delivered.
    Line,
    /// This receiver has a notification and has not yet answered.
    Request(usize),
    /// This receiver has answered, which is not yet on disk.
    Answer(usize),
}

impl Moment {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Now => "at any time",
            Self::Write => "while it writes",
            Self::Line => "when it has printed",
            Self::Request(_) => "before an answer",
            Self::Answer(_) => "after an answer",
        }
    }
}

/// The steps of one round.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Plan {
    /// In the order of time.
    pub(super) steps: Vec<Step>,
    /// Whether each target is up at the end.
    pub(super) last: Vec<bool>,
}

impl Plan {
    pub(super) fn new(seed: u64, site: &Site, kills: usize, disk: disk::DiskKind) -> Self {
        let mut random = Random::new(seed);
        let (mut steps, end) = kills_and_disk(&mut random.branch(), site, kills, disk);
        for target in 0..site.monitors.len() {
            steps.extend(target_steps(target, &mut random.branch(), end));
        }
        for receiver in 0..RECEIVERS {
            steps.extend(receiver_steps(receiver, &mut random.branch(), end));
        }
        steps.extend(stops(&mut random.branch(), end));
        steps.extend(clock_steps(&mut random.branch(), end));
        steps.sort_by_key(|step| step.at);
        let last = site.monitors.iter().map(|_| random.percent(50)).collect();
        Self { steps, last }
    }
}

/// The kills and the full disk. There is no kill while the disk is full:
/// notifications are then sent from memory without being on disk, as documented.
fn kills_and_disk(
    random: &mut Random,
    site: &Site,
    kills: usize,
    disk: disk::DiskKind,
) -> (Vec<Step>, Duration) {
    let mut steps = Vec::new();
    let mut at = Duration::from_millis(500);
    let mut full = 3;
    for _ in 0..kills {
        full = usize::saturating_sub(full, 1);
        if full == 0 && disk == disk::DiskKind::Small {
            full = 4 + random.index(0..8);
            steps.push(Step {
                at,
                act: Act::FillDisk,
            });
            at += random.millis(1_000..=4_000);
            steps.push(Step {
                at,
                act: Act::FreeDisk,
            });
        }
        if random.percent(15) {
            let act = Act::Damage(*random.pick(&Damage::ALL));
            steps.push(Step { at, act });
            at += random.millis(0..=500);
        }
        if disk == disk::DiskKind::Own && random.percent(10) {
            let act = Act::OpenDirectory;
            steps.push(Step { at, act });
        }
        // Most processes live briefly, a few for seconds.
        at += match random.index(0..10) {
            0..6 => random.millis(20..=1_200),
            6..9 => random.millis(1_200..=2_500),
            _ => random.millis(3_500..=5_000),
        };
        let moment = moment(random, site);
        let pause = random.millis(0..=400);
        steps.push(Step {
            at,
            act: Act::Kill(moment, pause),
        });
        at += pause;
    }
    (steps, at + Duration::from_millis(500))
}

fn moment(random: &mut Random, site: &Site) -> Moment {
    let channel = random.index(0..site.channels.len());
    match random.index(0..10) {
        0..3 => Moment::Now,
        3..5 => Moment::Write,
        5..7 => Moment::Line,
        7..9 => Moment::Request(channel),
        _ => Moment::Answer(channel % 2),
    }
}

fn target_steps(target: usize, random: &mut Random, end: Duration) -> Vec<Step> {
    let mut steps = Vec::new();
    let (mut at, mut is_up) = (random.millis(0..=4_000), true);
    while at < end {
        is_up = !is_up;
        steps.push(Step {
            at,
            act: Act::Target(target, is_up),
        });
        at += match random.index(0..10) {
            0..3 => random.millis(200..=2_000),
            3..8 => random.millis(2_000..=6_000),
            _ => random.millis(6_000..=14_000),
        };
    }
    steps
}

fn receiver_steps(receiver: usize, random: &mut Random, end: Duration) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut at = random.millis(0..=3_000);
    while at < end {
        let failure = match random.index(0..7) {
            0 => Failure::Down,
            1 => Failure::Hang,
            2 => Failure::PutOff,
            3 => Failure::Busy(1 + random.millis(0..=2).as_secs()),
            4 => Failure::Drop,
            5 => Failure::Cut,
            _ => Failure::Late(random.millis(50..=3_000)),
        };
        let lasts = random.millis(500..=5_000);
        for (at, failure) in [(at, Some(failure)), (at + lasts, None)] {
            let act = Act::Receiver(receiver, failure);
            steps.push(Step { at, act });
        }
        at += lasts + random.millis(500..=4_000);
    }
    steps
}

fn stops(random: &mut Random, end: Duration) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut at = random.millis(2_000..=8_000);
    while at < end {
        steps.push(Step { at, act: Act::Stop });
        at += random.millis(100..=3_000);
        steps.push(Step {
            at,
            act: Act::Continue,
        });
        at += random.millis(3_000..=10_000);
    }
    steps
}

/// Steps of the wall clock, all far less than a day: a notification expires after a day.
fn clock_steps(random: &mut Random, end: Duration) -> Vec<Step> {
    const OFFSETS: &[i64] = &[-10_800, -3_600, -61, -5, -1, 0, 1, 7, 90, 3_600, 10_800];
    let mut steps = Vec::new();
    let mut at = random.millis(1_000..=5_000);
    while at < end {
        let act = Act::Clock(*random.pick(OFFSETS));
        steps.push(Step { at, act });
        at += random.millis(1_000..=6_000);
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_plan() {
        let site = Site::new();
        assert_eq!(
            Plan::new(3, &site, 10, disk::DiskKind::Small),
            Plan::new(3, &site, 10, disk::DiskKind::Small)
        );
        assert_ne!(
            Plan::new(3, &site, 10, disk::DiskKind::Small),
            Plan::new(4, &site, 10, disk::DiskKind::Small)
        );
    }

    #[test]
    fn a_plan_has_all_kills_and_none_while_the_disk_is_full() {
        let site = Site::new();
        for seed in 0..50 {
            let (mut kills, mut full) = (0, false);
            for step in Plan::new(seed, &site, 20, disk::DiskKind::Small).steps {
                match step.act {
                    Act::FillDisk => full = true,
                    Act::FreeDisk => full = false,
                    Act::Kill(..) => {
                        assert!(!full);
                        kills += 1;
                    }
                    _ => {}
                }
            }
            assert_eq!(kills, 20);
            assert!(!full);
        }
    }

    #[test]
    fn every_stop_is_followed_by_a_continue() {
        let stops = |act| move |step: &&Step| step.act == act;
        for seed in 0..50 {
            let steps = Plan::new(seed, &Site::new(), 20, disk::DiskKind::Small).steps;
            let count = |act| steps.iter().filter(stops(act)).count();
            assert_eq!(count(Act::Stop), count(Act::Continue));
            let last = steps
                .iter()
                .rfind(|step| matches!(step.act, Act::Stop | Act::Continue));
            assert!(last.is_none_or(|step| step.act == Act::Continue));
        }
    }
}
