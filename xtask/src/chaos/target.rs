//! The targets: ports on loopback that are up or down, and what they were.

use std::{
    io::Write as _,
    net::{Shutdown, TcpListener},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use super::{
    record::Spell,
    site::{GREETING, Monitor},
};
use crate::{
    fault::{During, Fault},
    stopwatch::Stopwatch,
};

/// Who connects is answered within this time.
const CHECK_EVERY: Duration = Duration::from_millis(3);

/// All targets of a round. They go away with it.
pub(super) struct Targets {
    all: Arc<Mutex<Vec<Target>>>,
    port: u16,
    clock: Stopwatch,
}

struct Target {
    monitor: Monitor,
    listener: Option<TcpListener>,
    spells: Vec<Spell>,
}

impl Targets {
    /// All are up.
    pub(super) fn open(monitors: &[Monitor], port: u16, clock: Stopwatch) -> Result<Self, Fault> {
        let mut all = Vec::new();
        for monitor in monitors {
            all.push(Target {
                listener: Some(listen(monitor, port)?),
                monitor: monitor.clone(),
                spells: vec![Spell::new(true, clock.elapsed())],
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

    /// Up or down from now on.
    pub(super) fn set(&self, target: usize, is_up: bool) -> Result<(), Fault> {
        let mut all = lock(&self.all);
        let target = &mut all[target];
        if target.is_up() == is_up {
            return Ok(());
        }
        if !target.monitor.speaks {
            target.listener = match is_up {
                true => Some(listen(&target.monitor, self.port)?),
                false => None,
            };
        }
        let now = self.clock.elapsed();
        if let Some(last) = target.spells.last_mut() {
            last.to = now;
        }
        target.spells.push(Spell::new(is_up, now));
        Ok(())
    }

    /// What each was, until now.
    pub(super) fn spells(&self) -> Vec<Vec<Spell>> {
        let now = self.clock.elapsed();
        let mut spells: Vec<_> = lock(&self.all)
            .iter()
            .map(|target| target.spells.clone())
            .collect();
        for last in spells.iter_mut().filter_map(|spells| spells.last_mut()) {
            last.to = now;
        }
        spells
    }
}

impl Target {
    fn is_up(&self) -> bool {
        self.spells.last().is_some_and(|spell| spell.is_up)
    }

    /// Whoever waits hears the greeting, or as many dots as there were spells:
    /// apmon tells how many bytes it got, and so which outage it means.
    fn answer(&self) {
        let Some(listener) = &self.listener else {
            return;
        };
        while let Ok((mut stream, _)) = listener.accept() {
            let words = match self.is_up() {
                true => GREETING.to_owned(),
                false => ".".repeat(self.spells.len() - 1),
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
