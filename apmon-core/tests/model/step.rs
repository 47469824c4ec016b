//! The steps of a run, and how they are drawn at random.

use std::time::Duration;

use proptest::prelude::*;

use crate::setup::{CHANNELS, Edit, MONITORS};

/// One step of a run.
#[derive(Clone, Debug)]
pub enum Step {
    /// How a target behaves from now on.
    Target(usize, Condition),
    /// How a channel's receiver answers from now on.
    Receiver(usize, Answer),
    /// How the disk behaves from now on.
    Disk(Disk),
    Wait(Duration),
    /// The process ends and is started again.
    End(End),
    /// The site file is edited, and the edit applied.
    Edit(Edit, Apply),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    Up,
    Down,
    Unknown,
    /// Never answers: down after the deadline of a check.
    Silent,
    /// Up, after some seconds.
    Slow,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    Accepts,
    /// Accepts after this many seconds.
    AcceptsAfter(u64),
    Refuses,
    /// Asks for a later attempt.
    Busy,
    /// Asks for a later attempt after this many seconds.
    BusyFor(u64),
    Hangs,
    /// Accepts, but the answer is an error.
    AcceptsAndFails,
    /// Accepts, but the answer never comes.
    AcceptsAndHangs,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disk {
    /// Writes within this many milliseconds.
    Works(u64),
    /// Reports that it did not write. If nothing is written after that, the next
    /// process may find that it did.
    Fails,
    /// Does not answer until it works or fails.
    Hangs,
}

/// How a process ends.
#[derive(Clone, Copy, Debug)]
pub struct End {
    pub ending: Ending,
    /// Whether an unfinished write is on disk.
    pub written: bool,
    /// Seconds until the next process starts.
    pub pause_secs: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    Shutdown,
    Crash,
}

/// How an edited file is applied.
#[derive(Clone, Copy, Debug)]
pub enum Apply {
    Reload,
    Restart(End),
}

pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..40)
}

fn step() -> impl Strategy<Value = Step> {
    let target = (0..MONITORS.len(), condition());
    let receiver = (0..CHANNELS.len(), answer());
    let apply = prop_oneof![2 => Just(Apply::Reload), 1 => end().prop_map(Apply::Restart)];
    prop_oneof![
        6 => target.prop_map(|(target, condition)| Step::Target(target, condition)),
        5 => receiver.prop_map(|(receiver, answer)| Step::Receiver(receiver, answer)),
        2 => disk().prop_map(Step::Disk),
        8 => wait().prop_map(Step::Wait),
        2 => end().prop_map(Step::End),
        2 => (edit(), apply).prop_map(|(edit, apply)| Step::Edit(edit, apply)),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    use Condition::*;
    prop_oneof![
        3 => Just(Up),
        4 => Just(Down),
        2 => Just(Unknown),
        1 => Just(Silent),
        1 => Just(Slow),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    use Answer::*;
    prop_oneof![
        4 => Just(Accepts),
        1 => (1..50u64).prop_map(AcceptsAfter),
        2 => Just(Refuses),
        3 => Just(Busy),
        1 => prop_oneof![Just(5), Just(600), Just(100_000)].prop_map(BusyFor),
        1 => Just(Hangs),
        1 => Just(AcceptsAndFails),
        1 => Just(AcceptsAndHangs),
    ]
}

fn disk() -> impl Strategy<Value = Disk> {
    use Disk::*;
    prop_oneof![
        1 => Just(Works(0)),
        2 => Just(Works(50)),
        1 => Just(Works(2000)),
        2 => Just(Fails),
        1 => Just(Hangs),
    ]
}

/// Mostly short, so that steps overlap; sometimes long enough for the next
/// reminder, pause or retry.
fn wait() -> impl Strategy<Value = Duration> {
    prop_oneof![
        2 => 1..300u64,
        3 => 300..15_000u64,
        5 => 15_000..400_000u64,
        2 => 400_000..7_200_000u64,
    ]
    .prop_map(Duration::from_millis)
}

fn end() -> impl Strategy<Value = End> {
    let ending = prop_oneof![2 => Just(Ending::Crash), 1 => Just(Ending::Shutdown)];
    let pause_secs = prop_oneof![3 => Just(0), 1 => 1..120u64, 1 => 120..2000u64];
    (ending, any::<bool>(), pause_secs).prop_map(|(ending, written, pause_secs)| End {
        ending,
        written,
        pause_secs,
    })
}

fn edit() -> impl Strategy<Value = Edit> {
    let (monitor, channel) = (0..MONITORS.len(), 0..CHANNELS.len());
    prop_oneof![
        2 => channel.clone().prop_map(Edit::Channel),
        1 => (channel.clone(), channel).prop_map(|(from, to)| Edit::Rename(from, to)),
        2 => monitor.clone().prop_map(Edit::Monitor),
        2 => monitor.clone().prop_map(Edit::Alarms),
        1 => monitor.clone().prop_map(Edit::Email),
        1 => monitor.prop_map(Edit::Option),
    ]
}
