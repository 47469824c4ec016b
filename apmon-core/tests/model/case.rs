//! What the model found, kept as it was found.

use std::time::Duration;

use crate::{
    play,
    step::{
        Answer::{BusyFor, Hangs, Refuses, TakesAndHangs},
        By, Condition,
        Condition::{Down, Silent, Up},
        Disk,
        Edit::{Alarms, Channel, Monitor},
        End, Step,
        Step::{Receiver, Target},
        Take,
    },
};

const CRASH: End = End {
    by: By::Crash,
    written: false,
    away: 0,
};

fn wait(secs: f64) -> Step {
    Step::Wait(Duration::from_secs_f64(secs))
}

fn edit(edit: crate::step::Edit) -> Step {
    Step::Edit(edit, Take::Reload)
}

#[track_caller]
fn holds(steps: &[Step]) {
    let wrong = play(steps);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_new_outage_does_not_overtake_the_end_of_the_one_before() {
    holds(&[
        Target(1, Down),
        wait(24.783),
        Receiver(0, BusyFor(600)),
        Target(1, Condition::Slow),
        wait(96.986),
        Target(1, Down),
        wait(150.0),
    ]);
}

#[test]
fn a_recovery_does_not_have_the_id_of_a_reminder_that_was_told_from_memory() {
    holds(&[
        Target(0, Silent),
        wait(22.382),
        Step::Disk(Disk::Fails),
        wait(44.438),
        Step::End(CRASH),
        Target(0, Up),
    ]);
}

#[test]
fn a_reminder_under_way_is_not_told_after_its_successor_was_decided() {
    holds(&[Target(0, Down), wait(2.382), Receiver(0, Hangs), wait(105.688)]);
}

#[test]
fn what_a_crash_left_of_a_replaced_reminder_does_not_stay_on_disk() {
    holds(&[
        wait(2.381),
        Target(0, Down),
        wait(155.072),
        Receiver(0, TakesAndHangs),
        wait(117.546),
        Step::End(CRASH),
    ]);
}

#[test]
fn no_reminder_comes_after_an_end_that_was_told_to_nobody() {
    holds(&[
        Receiver(0, Refuses),
        Target(2, Silent),
        wait(3670.791),
        edit(Alarms(2)),
        Target(2, Up),
    ]);
}

#[test]
fn a_monitor_taken_out_at_a_restart_is_told_of_after_what_waits() {
    holds(&[
        Receiver(0, BusyFor(600)),
        Target(1, Silent),
        wait(64.78),
        Target(1, Up),
        wait(49.984),
        Target(1, Down),
        wait(400.0),
        Step::Edit(Monitor(1), Take::Restart(CRASH)),
    ]);
}

#[test]
fn a_monitor_taken_out_at_a_restart_keeps_its_switches() {
    for before in [None, Some(edit(Alarms(2)))] {
        let mut steps = vec![Target(2, Down), wait(60.0)];
        steps.extend(before);
        steps.push(wait(5.0));
        steps.push(Step::Edit(Monitor(2), Take::Restart(CRASH)));
        holds(&steps);
    }
}

#[test]
fn a_monitor_that_comes_back_while_the_disk_fails_has_its_new_state() {
    holds(&[
        Step::Disk(Disk::Fails),
        wait(4.783),
        edit(Monitor(1)),
        Target(1, Down),
        wait(0.001),
        edit(Monitor(1)),
        wait(60.0),
    ]);
}

/// The old try of a channel that was taken out and put back still hangs.
#[test]
fn a_channel_that_comes_back_has_one_message_under_way() {
    holds(&[
        Receiver(2, TakesAndHangs),
        Target(0, Down),
        wait(2.378),
        edit(Channel(0)),
        edit(Channel(2)),
        Target(0, Up),
        edit(Channel(2)),
        Target(0, Up),
    ]);
}
