//! The next moment of each monitor: one heap, from which stale entries are dropped lazily.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::time::Mono;

/// The only timer structure of an engine.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    heap: BinaryHeap<Reverse<(Mono, usize, u64)>>,
    /// The valid entry of each monitor, by index.
    armed: Vec<Option<(Mono, u64)>>,
    stamp: u64,
}

impl Agenda {
    /// Sets the next moment of the monitor at `runtime`, instead of any earlier one.
    pub(super) fn arm(&mut self, runtime: usize, due: Option<Mono>) {
        if self.armed.len() <= runtime {
            self.armed.resize(runtime + 1, None);
        }
        if self.armed[runtime].map(|(armed, _)| armed) == due {
            return;
        }
        self.stamp += 1;
        self.armed[runtime] = due.map(|due| (due, self.stamp));
        if let Some(due) = due {
            self.heap.push(Reverse((due, runtime, self.stamp)));
        }
        // A distant moment that is set again and again leaves a stale entry each time: they are
        // removed when they make up most of the heap.
        if self.heap.len() > 4 * self.armed.len().max(64) {
            let armed = &self.armed;
            self.heap
                .retain(|Reverse((due, runtime, stamp))| armed[*runtime] == Some((*due, *stamp)));
        }
    }

    /// The earliest moment of all monitors.
    pub(super) fn next(&mut self) -> Option<Mono> {
        while let Some(Reverse((due, runtime, stamp))) = self.heap.peek() {
            if self.armed[*runtime] == Some((*due, *stamp)) {
                return Some(*due);
            }
            self.heap.pop();
        }
        None
    }

    /// The next moments in ascending order, at most `most`; stale ones are among them.
    pub(super) fn upcoming(&self, most: usize) -> Vec<Mono> {
        let heap = self.heap.as_slice();
        let moment = |at: usize| heap.get(at).map(|Reverse((due, _, _))| Reverse((*due, at)));
        // Where the heap's order continues: at first at its root, then at the children of each
        // moment taken.
        let mut next: BinaryHeap<_> = moment(0).into_iter().collect();
        let mut moments = Vec::with_capacity(most);
        while moments.len() < most
            && let Some(Reverse((due, at))) = next.pop()
        {
            moments.push(due);
            next.extend([2 * at + 1, 2 * at + 2].into_iter().filter_map(moment));
        }
        moments
    }

    /// Takes a monitor whose moment has come by `now`.
    pub(super) fn pop_due(&mut self, now: Mono) -> Option<usize> {
        let due = self.next()?;
        if due > now {
            return None;
        }
        let Reverse((_, runtime, _)) = self.heap.pop()?;
        self.armed[runtime] = None;
        Some(runtime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: i64) -> Mono {
        Mono::from_nanos(n)
    }

    #[test]
    fn monitors_come_in_the_order_of_their_moments() {
        let mut agenda = Agenda::default();
        agenda.arm(0, Some(at(30)));
        agenda.arm(1, Some(at(10)));
        agenda.arm(2, Some(at(20)));
        assert_eq!(agenda.next(), Some(at(10)));
        assert_eq!(agenda.pop_due(at(20)), Some(1));
        assert_eq!(agenda.pop_due(at(20)), Some(2));
        assert_eq!(agenda.pop_due(at(20)), None);
        assert_eq!(agenda.next(), Some(at(30)));
    }

    #[test]
    fn the_next_moments_are_known_in_order() {
        let mut agenda = Agenda::default();
        for (monitor, moment) in [50, 20, 90, 10, 70, 30, 30].into_iter().enumerate() {
            agenda.arm(monitor, Some(at(moment)));
        }
        assert_eq!(agenda.upcoming(4), [10, 20, 30, 30].map(at));
        let all = agenda.upcoming(100);
        assert_eq!(all, [10, 20, 30, 30, 50, 70, 90].map(at));
        assert_eq!(Agenda::default().upcoming(4), []);
    }

    #[test]
    fn stale_entries_do_not_accumulate() {
        let mut agenda = Agenda::default();
        for check in 0..10_000 {
            agenda.arm(0, Some(at(check)));
            agenda.arm(0, Some(at(1_000_000)));
        }
        assert!(agenda.heap.len() <= 257, "{}", agenda.heap.len());
        assert_eq!(agenda.next(), Some(at(1_000_000)));
    }

    #[test]
    fn a_new_moment_replaces_the_earlier_one() {
        let mut agenda = Agenda::default();
        agenda.arm(0, Some(at(10)));
        agenda.arm(0, Some(at(50)));
        assert_eq!(agenda.pop_due(at(20)), None);
        agenda.arm(0, None);
        assert_eq!(agenda.next(), None);
        agenda.arm(0, Some(at(5)));
        assert_eq!(agenda.pop_due(at(5)), Some(0));
        assert_eq!(agenda.pop_due(at(100)), None);
    }
}
