//! What may happen, and how it is drawn at random.

use std::time::Duration;

use proptest::prelude::*;

use crate::setup::{CHANNELS, MONITORS};

/// One thing that happens to a site.
#[derive(Clone, Debug)]
pub enum Step {
    /// A target behaves so from now on.
    Target(usize, Condition),
    /// A channel's receiver answers so from now on.
    Receiver(usize, Answer),
    /// The disk does so from now on.
    Disk(Disk),
    Wait(Duration),
    /// The process ends and is started again.
    End(End),
    /// Somebody edits the site file, and then this makes it hold.
    Edit(Edit, Take),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    Up,
    Down,
    Unknown,
    /// Never answers: down after the deadline of a look.
    Silent,
    /// Up, after some seconds.
    Slow,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    Takes,
    /// Takes it after so many seconds.
    Slowly(u64),
    Refuses,
    /// Later, please.
    Busy,
    /// Later, please, and says when, in seconds.
    BusyFor(u64),
    Hangs,
    /// Takes it, but the answer is an error.
    TakesAndFails,
    /// Takes it, but the answer never comes.
    TakesAndHangs,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disk {
    /// Writes in so many milliseconds.
    Works(u64),
    /// Says that it did not write. Whether it did all the same is seen by the
    /// next process, if nothing was written after it.
    Fails,
    /// Does not answer, until it works or fails.
    Hangs,
}

/// How a process ends.
#[derive(Clone, Copy, Debug)]
pub struct End {
    pub by: By,
    /// What was being written at the end is on disk.
    pub written: bool,
    /// Seconds until it is started again.
    pub away: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    Shutdown,
    Crash,
}

/// One change of the site file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Edit {
    /// A channel goes, or comes.
    Channel(usize),
    /// One channel goes where another comes: a mended address.
    Rename(usize, usize),
    /// A monitor goes, or comes.
    Monitor(usize),
    /// A monitor's `alarms` change.
    Alarms(usize),
    /// Some other option of a monitor changes.
    Monitored(usize),
}

/// How a changed file comes to hold.
#[derive(Clone, Copy, Debug)]
pub enum Take {
    Reload,
    Restart(End),
}

pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..40)
}

fn step() -> impl Strategy<Value = Step> {
    let target = (0..MONITORS.len(), condition());
    let receiver = (0..CHANNELS.len(), answer());
    let take = prop_oneof![2 => Just(Take::Reload), 1 => end().prop_map(Take::Restart)];
    prop_oneof![
        6 => target.prop_map(|(target, condition)| Step::Target(target, condition)),
        5 => receiver.prop_map(|(receiver, answer)| Step::Receiver(receiver, answer)),
        2 => disk().prop_map(Step::Disk),
        8 => wait().prop_map(Step::Wait),
        2 => end().prop_map(Step::End),
        2 => (edit(), take).prop_map(|(edit, take)| Step::Edit(edit, take)),
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
        4 => Just(Takes),
        1 => (1..50u64).prop_map(Slowly),
        2 => Just(Refuses),
        3 => Just(Busy),
        1 => prop_oneof![Just(5), Just(600), Just(100_000)].prop_map(BusyFor),
        1 => Just(Hangs),
        1 => Just(TakesAndFails),
        1 => Just(TakesAndHangs),
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

/// Mostly a moment, so that one thing falls into another; now and then so long
/// that the next reminder, pause or retry comes.
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
    let by = prop_oneof![2 => Just(By::Crash), 1 => Just(By::Shutdown)];
    let away = prop_oneof![3 => Just(0), 1 => 1..120u64, 1 => 120..2000u64];
    (by, any::<bool>(), away).prop_map(|(by, written, away)| End { by, written, away })
}

fn edit() -> impl Strategy<Value = Edit> {
    let (monitor, channel) = (0..MONITORS.len(), 0..CHANNELS.len());
    prop_oneof![
        2 => channel.clone().prop_map(Edit::Channel),
        1 => (channel.clone(), channel).prop_map(|(from, to)| Edit::Rename(from, to)),
        2 => monitor.clone().prop_map(Edit::Monitor),
        2 => monitor.clone().prop_map(Edit::Alarms),
        1 => monitor.prop_map(Edit::Monitored),
    ]
}
