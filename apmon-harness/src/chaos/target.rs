//! The targets: ports on loopback that are up or down, and their history.

use std::{
    io::Write as _,
    net::{Shutdown, TcpListener},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use super::{
    record::Period,
    site::{GREETING, Monitor},
};
use crate::{
    fault::{During, Fault},
    stopwatch::Stopwatch,
};

/// A connection is answered within this time.
const CHECK_EVERY: Duration = Duration::from_millis(3);

/// All targets of a round.
pub(super) struct Targets {
    all: Arc<Mutex<Vec<Target>>>,
    port: u16,
    clock: Stopwatch,
}

struct Target {
    monitor: Monitor,
    listener: Option<TcpListener>,
    periods: Vec<Period>,
}

impl Targets {
    /// Opens all targets; they are up.
    pub(super) fn open(monitors: &[Monitor], port: u16, clock: Stopwatch) -> Result<Self, Fault> {
        let mut all = Vec::new();
        for monitor in monitors {
            all.push(Target {
                listener: Some(listen(monitor, port)?),
                monitor: monitor.clone(),
                periods: vec![Period::new(true, clock.elapsed())],
            });
        }
        let all = Arc::new(Mutex::new(all));
        let weak = Arc::downgrade(&all);
        thread::spawn(move || {
            while let Some(all) = weak.upgrade() {
                lock(&all).iter().for_each(Target::answer);
                drop(all);
                thread::sleep(CHECK_EVERY);
            }
        });
        Ok(Self { all, port, clock })
    }

    /// Makes a target up or down from now on.
    pub(super) fn set(&self, target: usize, is_up: bool) -> Result<(), Fault> {
        let mut all = lock(&self.all);
        let target = &mut all[target];
        if target.is_up() == is_up {
            return Ok(());
        }
        if !target.monitor.fails_by_content {
            target.listener = match is_up {
                true => Some(listen(&target.monitor, self.port)?),
                false => None,
            };
        }
        let now = self.clock.elapsed();
        if let Some(last) = target.periods.last_mut() {
            last.to = now;
        }
        target.periods.push(Period::new(is_up, now));
        Ok(())
    }

    /// The periods of each target, until now.
    pub(super) fn periods(&self) -> Vec<Vec<Period>> {
        let now = self.clock.elapsed();
        let mut periods: Vec<_> = lock(&self.all)
            .iter()
            .map(|target| target.periods.clone())
            .collect();
        for last in periods.iter_mut().filter_map(|periods| periods.last_mut()) {
            last.to = now;
        }
        periods
    }
}

impl Target {
    fn is_up(&self) -> bool {
        self.periods.last().is_some_and(|period| period.is_up)
    }

    /// Answers waiting connections with the greeting, or with as many dots as
    /// the period's number. apmon reports the number of bytes, and so which
    /// outage it means.
    fn answer(&self) {
        let Some(listener) = &self.listener else {
            return;
        };
        while let Ok((mut stream, _)) = listener.accept() {
            let words = match self.is_up() {
                true => GREETING.to_owned(),
                false => ".".repeat(self.periods.len() - 1),
            };
            let _ = stream.write_all(words.as_bytes());
            let _ = stream.shutdown(Shutdown::Write);
        }
    }
}

fn listen(monitor: &Monitor, port: u16) -> Result<TcpListener, Fault> {
    let what = || format!("listen on {}:{port}", monitor.address);
    let listener = TcpListener::bind((monitor.address, port)).during(what())?;
    listener.set_nonblocking(true).during(what())?;
    Ok(listener)
}

fn lock(all: &Mutex<Vec<Target>>) -> MutexGuard<'_, Vec<Target>> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}
