//! Cases that failed once, each kept as a test.

use std::time::Duration;

use crate::{
    play,
    setup::Edit::{self, Alarms, Channel, Email, Monitor, Rename},
    step::{
        Answer::{Accepts, AcceptsAfter, AcceptsAndHangs, Busy, BusyFor, Hangs, Refuses},
        Apply,
        Condition::{self, Down, Silent, Up},
        Disk, End, Ending,
        Step::{self, Receiver, Target},
    },
};

const CRASH: End = End {
    ending: Ending::Crash,
    written: false,
    pause_secs: 0,
};

fn wait(secs: f64) -> Step {
    Step::Wait(Duration::from_secs_f64(secs))
}

fn edit(edit: Edit) -> Step {
    Step::Edit(edit, Apply::Reload)
}

#[track_caller]
fn assert_no_complaints(steps: &[Step]) {
    let complaints = play(steps);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn a_new_outage_does_not_overtake_the_recovery_of_the_previous_one() {
    assert_no_complaints(&[
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
fn a_recovery_does_not_reuse_the_id_of_a_reminder_sent_from_memory() {
    assert_no_complaints(&[
        Target(0, Silent),
        wait(22.382),
        Step::Disk(Disk::Fails),
        wait(44.438),
        Step::End(CRASH),
        Target(0, Up),
    ]);
}

#[test]
fn a_reminder_under_way_is_not_sent_again_after_the_next_one_was_decided() {
    assert_no_complaints(&[Target(0, Down), wait(2.382), Receiver(0, Hangs), wait(105.688)]);
}

#[test]
fn a_replaced_reminder_does_not_stay_on_disk_after_a_crash() {
    assert_no_complaints(&[
        wait(2.381),
        Target(0, Down),
        wait(155.072),
        Receiver(0, AcceptsAndHangs),
        wait(117.546),
        Step::End(CRASH),
    ]);
}

#[test]
fn no_reminder_is_sent_after_an_end_that_was_not_announced() {
    assert_no_complaints(&[
        Receiver(0, Refuses),
        Target(2, Silent),
        wait(3670.791),
        edit(Alarms(2)),
        Target(2, Up),
    ]);
}

#[test]
fn a_monitor_taken_out_at_a_restart_is_announced_after_waiting_notifications() {
    assert_no_complaints(&[
        Receiver(0, BusyFor(600)),
        Target(1, Silent),
        wait(64.78),
        Target(1, Up),
        wait(49.984),
        Target(1, Down),
        wait(400.0),
        Step::Edit(Monitor(1), Apply::Restart(CRASH)),
    ]);
}

#[test]
fn a_monitor_taken_out_at_a_restart_keeps_its_switches() {
    for before in [None, Some(edit(Alarms(2)))] {
        let mut steps = vec![Target(2, Down), wait(60.0)];
        steps.extend(before);
        steps.push(wait(5.0));
        steps.push(Step::Edit(Monitor(2), Apply::Restart(CRASH)));
        assert_no_complaints(&steps);
    }
}

#[test]
fn a_monitor_that_comes_back_while_the_disk_fails_has_its_new_state() {
    assert_no_complaints(&[
        Step::Disk(Disk::Fails),
        wait(4.783),
        edit(Monitor(1)),
        Target(1, Down),
        wait(0.001),
        edit(Monitor(1)),
        wait(60.0),
    ]);
}

/// An attempt still hangs when its channel is taken out and put back.
#[test]
fn a_channel_that_comes_back_has_one_notification_under_way() {
    assert_no_complaints(&[
        Receiver(2, AcceptsAndHangs),
        Target(0, Down),
        wait(2.378),
        edit(Channel(0)),
        edit(Channel(2)),
        Target(0, Up),
        edit(Channel(2)),
        Target(0, Up),
    ]);
}

/// It refuses the end, is taken out, so that another one gets it, and comes back.
#[test]
fn a_channel_that_comes_back_receives_the_end_that_it_is_owed() {
    assert_no_complaints(&[
        Target(2, Down),
        wait(30.791),
        Receiver(0, Refuses),
        Target(2, Up),
        wait(64.266),
        edit(Rename(4, 0)),
        edit(Rename(1, 0)),
    ]);
}

#[test]
fn an_outage_that_ends_while_alarms_and_email_are_off_has_its_end_for_everybody() {
    for (first, second) in [(Alarms(0), Email(0)), (Email(0), Alarms(0))] {
        for apply in [Apply::Reload, Apply::Restart(CRASH)] {
            assert_no_complaints(&[
                Target(0, Down),
                wait(10.0),
                Step::Edit(first, apply),
                Step::Edit(second, apply),
                wait(10.0),
                Target(0, Up),
                wait(400.0),
                Target(0, Down),
                wait(400.0),
                Step::Edit(first, apply),
                wait(100.0),
                Step::Edit(second, apply),
                wait(400.0),
                Target(0, Up),
            ]);
        }
    }
}

/// The channel never had a chance: it is removed while its receiver is busy with another outage.
#[test]
fn a_channel_that_was_sent_nothing_about_an_outage_gets_no_end_of_it() {
    for is_over in [false, true] {
        let mut steps = vec![
            Receiver(2, BusyFor(600)),
            Target(0, Down),
            wait(20.0),
            Target(1, Down),
            wait(200.0),
        ];
        steps.extend(is_over.then_some(Target(1, Up)));
        steps.extend([wait(200.0), edit(Alarms(1)), edit(Channel(2)), Target(1, Up)]);
        steps.extend([wait(400.0), edit(Channel(2)), edit(Alarms(1))]);
        assert_no_complaints(&steps);
    }
}

#[test]
fn people_get_the_end_of_an_outage_whose_monitor_is_removed_while_it_is_silenced() {
    for apply in [Apply::Reload, Apply::Restart(CRASH)] {
        for switch in [Alarms(0), Email(0)] {
            assert_no_complaints(&[
                Target(0, Down),
                wait(10.0),
                Step::Edit(switch, apply),
                wait(400.0),
                Step::Edit(Monitor(0), apply),
                wait(60.0),
                Step::Edit(Monitor(0), apply),
            ]);
        }
    }
}

/// `pager` leaves the site file, and comes back as `spare` after the end.
#[test]
fn a_service_under_a_new_id_gets_an_end_that_came_before_it() {
    for apply in [Apply::Reload, Apply::Restart(CRASH)] {
        assert_no_complaints(&[
            Target(0, Down),
            wait(10.0),
            Step::Edit(Channel(1), apply),
            edit(Alarms(0)),
            wait(400.0),
            Target(0, Up),
            wait(400.0),
            Step::Edit(Channel(4), apply),
            wait(60.0),
            Step::Edit(Alarms(0), apply),
            wait(60.0),
            Step::Edit(Channel(1), apply),
        ]);
    }
}

/// The hook has the outage and its reminder, and no process that knew it left that on disk. The end is
/// announced to nobody: the outage is sent again, and the reminder, of something that is over, is not.
#[test]
fn an_outage_that_is_over_is_sent_again_after_its_reminder() {
    for written in [false, true] {
        let crash = End { written, ..CRASH };
        assert_no_complaints(&[
            Target(0, Down),
            Receiver(0, Hangs),
            wait(46.817),
            Step::Disk(Disk::Works(2000)),
            Receiver(0, Accepts),
            Step::End(crash),
            Receiver(0, Busy),
            Step::End(crash),
            Target(0, Up),
            edit(Alarms(0)),
            Receiver(0, Accepts),
        ]);
    }
}

/// `pager` is owed an end and gets it, while `mail:ops`, under way to which the end is, is removed.
#[test]
fn a_service_that_is_sent_an_owed_end_does_not_get_it_in_place_of_another_channel() {
    for answer in [AcceptsAfter(1), Refuses, Busy] {
        for apply in [Apply::Reload, Apply::Restart(CRASH)] {
            assert_no_complaints(&[
                Receiver(1, AcceptsAfter(1)),
                Target(1, Condition::Unknown),
                wait(114.766),
                edit(Channel(1)),
                Target(1, Up),
                edit(Edit::Option(1)),
                Receiver(2, answer),
                Step::Edit(Rename(1, 2), apply),
            ]);
        }
    }
}

/// `hook` holds an outage and its end when it is removed, and `mail:ops`, which came in between, has the
/// next one.
#[test]
fn an_old_recovery_is_not_sent_in_place_of_another_channel_during_a_new_outage() {
    for apply in [Apply::Reload, Apply::Restart(CRASH)] {
        assert_no_complaints(&[
            edit(Channel(2)),
            Receiver(0, Hangs),
            Target(0, Down),
            wait(400.0),
            Target(0, Up),
            wait(400.0),
            edit(Channel(2)),
            Target(0, Down),
            wait(400.0),
            Step::Edit(Channel(0), apply),
        ]);
    }
}

/// The hook refuses a recovery, and accepts everything once the monitor is down again.
#[test]
fn a_refused_recovery_waits_for_the_end_of_a_newer_outage() {
    for apply in [Apply::Reload, Apply::Restart(CRASH)] {
        assert_no_complaints(&[
            Target(0, Down),
            wait(100.0),
            Receiver(0, Refuses),
            Target(0, Up),
            wait(100.0),
            Receiver(0, Accepts),
            Target(0, Down),
            wait(400.0),
            Step::Edit(Edit::Option(0), apply),
            wait(4000.0),
            Target(0, Up),
            wait(100.0),
        ]);
    }
}

/// The hook refuses an outage and accepts its end, before another channel takes its place.
#[test]
fn a_refused_outage_does_not_begin_elsewhere_once_its_end_was_accepted() {
    for apply in [Apply::Reload, Apply::Restart(CRASH)] {
        assert_no_complaints(&[
            edit(Channel(2)),
            Receiver(0, Refuses),
            Target(0, Down),
            wait(100.0),
            Target(0, Up),
            wait(100.0),
            edit(Channel(2)),
            Receiver(0, Accepts),
            Step::Edit(Channel(0), apply),
            wait(100.0),
        ]);
    }
}
