//! The dispatcher's alarm: wakes it when the next moment comes, with the moments after it
//! already armed.
//!
//! A timer that is armed for an earlier moment than the one that the runtime's thread last
//! slept for wakes that thread, even if it is the thread that arms it: a system call for
//! nothing, and one more for the sleep that ends at once. While a later moment is armed already,
//! the ones after it cost nothing. So the alarm never runs dry: it is filled up while moments are left.

use std::{
    collections::VecDeque,
    future::Future as _,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::time::Mono;

/// The most moments that are armed together.
pub(super) const MOMENTS: usize = 16;

/// Below this number more moments are armed.
const FEW: usize = 2;

/// The resolution of tokio's timers: moments that are closer together come together.
const TICK: Duration = Duration::from_millis(1);

/// The longest sleep: an instant beyond the clock's range does not exist.
const LONGEST: Duration = Duration::from_secs(86_400);

/// See the module. Cancelling [`Alarm::next`] changes nothing.
#[derive(Default)]
pub(super) struct Alarm {
    /// The armed moments, in ascending order.
    armed: VecDeque<(Mono, Pin<Box<Sleep>>)>,
    /// Timers to use again.
    spare: Vec<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Arms the alarm for `next`. `upcoming` lists the moments after it that are known, in
    /// ascending order; it is asked if few are armed.
    pub(super) fn set(&mut self, next: Option<Mono>, now: Mono, upcoming: impl FnOnce() -> Vec<Mono>) {
        let Some(next) = next else {
            while let Some((_, sleep)) = self.armed.pop_front() {
                self.keep(sleep);
            }
            return;
        };
        let began = Instant::now();
        // Moments whose work is done. Should the clock have leapt, their timers are late.
        while let Some((_, sleep)) = self
            .armed
            .pop_front_if(|(armed, _)| *armed <= now && *armed < next)
        {
            self.keep(sleep);
        }
        // An earlier moment that is no longer needed costs one loop; a missing one is armed.
        if self.armed.front().is_none_or(|(armed, _)| *armed > next) {
            let sleep = self.timer(began, next, now);
            self.armed.push_front((next, sleep));
        }
        if self.armed.len() > MOMENTS {
            // The latest one is armed again when it is among the next.
            if let Some((_, sleep)) = self.armed.pop_back() {
                self.keep(sleep);
            }
        } else if self.armed.len() <= FEW {
            for moment in upcoming() {
                if self
                    .armed
                    .back()
                    .is_some_and(|(last, _)| moment > last.plus(TICK))
                {
                    let sleep = self.timer(began, moment, now);
                    self.armed.push_back((moment, sleep));
                }
            }
        }
    }

    /// A timer for `moment`, armed.
    fn timer(&mut self, began: Instant, moment: Mono, now: Mono) -> Pin<Box<Sleep>> {
        let at = began + moment.since(now).min(LONGEST);
        match self.spare.pop() {
            Some(mut sleep) => {
                sleep.as_mut().reset(at);
                sleep
            }
            None => {
                let mut sleep = Box::pin(sleep_until(at));
                // A new timer is armed by its first use, one that is reset at once.
                sleep.as_mut().reset(at);
                sleep
            }
        }
    }

    fn keep(&mut self, sleep: Pin<Box<Sleep>>) {
        if self.spare.len() < MOMENTS {
            self.spare.push(sleep);
        }
    }

    /// Waits for the next armed moment; forever if there is none.
    pub(super) async fn next(&mut self) {
        std::future::poll_fn(|context| self.poll_next(context)).await;
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some((_, sleep)) = self.armed.front_mut() else {
            return Poll::Pending;
        };
        ready!(sleep.as_mut().poll(context));
        if let Some((_, sleep)) = self.armed.pop_front() {
            self.keep(sleep);
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Mono = Mono::ORIGIN;

    fn ms(n: u64) -> Mono {
        START.plus(Duration::from_millis(n))
    }

    async fn woken_at(alarm: &mut Alarm, began: Instant) -> u128 {
        alarm.next().await;
        began.elapsed().as_millis()
    }

    #[tokio::test(start_paused = true)]
    async fn moments_armed_together_come_one_after_the_other() {
        let mut alarm = Alarm::default();
        let began = Instant::now();
        alarm.set(Some(ms(10)), START, || vec![ms(10), ms(20), ms(35)]);
        assert_eq!(woken_at(&mut alarm, began).await, 10);
        alarm.set(Some(ms(20)), ms(10), || vec![ms(20), ms(35)]);
        assert_eq!(woken_at(&mut alarm, began).await, 20);
        alarm.set(Some(ms(35)), ms(20), Vec::new);
        assert_eq!(woken_at(&mut alarm, began).await, 35);
        alarm.set(Some(ms(40)), ms(35), Vec::new);
        assert_eq!(woken_at(&mut alarm, began).await, 40);
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_moment_comes_first() {
        let mut alarm = Alarm::default();
        let began = Instant::now();
        alarm.set(Some(ms(100)), START, || vec![ms(200)]);
        alarm.set(Some(ms(30)), START, || vec![ms(30), ms(100)]);
        assert_eq!(woken_at(&mut alarm, began).await, 30);
        alarm.set(Some(ms(100)), ms(30), Vec::new);
        assert_eq!(woken_at(&mut alarm, began).await, 100);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_moment_it_never_wakes() {
        let mut alarm = Alarm::default();
        alarm.set(Some(ms(10)), START, || vec![ms(20)]);
        alarm.set(None, START, Vec::new);
        let hour = Duration::from_secs(3600);
        assert!(tokio::time::timeout(hour, alarm.next()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_filled_up_before_it_runs_dry() {
        let mut alarm = Alarm::default();
        let began = Instant::now();
        for step in 1..100 {
            let upcoming = || (step..step + MOMENTS as u64).map(|n| ms(2 * n)).collect();
            alarm.set(Some(ms(2 * step)), ms(2 * step - 2), upcoming);
            assert!(alarm.armed.len() > FEW, "{}", alarm.armed.len());
            assert_eq!(woken_at(&mut alarm, began).await, u128::from(2 * step));
        }
    }

    /// In a loop that is woken for other reasons all the time, timers are used again.
    #[tokio::test(start_paused = true)]
    async fn armed_timers_do_not_accumulate() {
        let mut alarm = Alarm::default();
        for step in (0..10_000).rev() {
            alarm.set(Some(ms(step)), START, || (0..100).map(ms).collect());
        }
        assert!(alarm.armed.len() <= MOMENTS, "{}", alarm.armed.len());
    }
}
