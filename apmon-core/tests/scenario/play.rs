//! Plays a scenario.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use apmon_core::{Clock, Engine, EngineError, Handle, PassReport, SystemClock};
use jiff::tz::TimeZone;
use tokio::task::JoinHandle;

use crate::{
    receiver::Log,
    script::{Deliveries, Script, Setup, addressee},
    site::World,
    support::{self, MemoryStore, secs},
};

/// Everything outside the process.
struct Stage {
    clock: Arc<SystemClock>,
    world: World,
    store: Arc<MemoryStore>,
    setup: Mutex<Setup>,
}

/// What runs the engine: a daemon, or cron.
enum Process {
    Daemon(Handle, JoinHandle<Result<PassReport, EngineError>>),
    Cron(JoinHandle<()>),
}

impl Stage {
    fn now(&self) -> Duration {
        self.clock.now().mono.since(Default::default())
    }

    fn engine(&self) -> Engine {
        let plan = self.world.plan(&self.setup.lock().unwrap());
        Engine::new(plan, self.store.clone())
            .clock(self.clock.clone())
            .zone(TimeZone::UTC)
    }

    fn start(self: &Arc<Self>, cron: Option<Duration>) -> Process {
        match cron {
            None => {
                let engine = self.engine();
                let handle = engine.handle();
                Process::Daemon(handle, tokio::spawn(engine.run()))
            }
            Some(every) => Process::Cron(tokio::spawn(Arc::clone(self).cron(every))),
        }
    }

    /// Runs a pass at each full interval; one that takes longer skips some.
    async fn cron(self: Arc<Self>, every: Duration) {
        loop {
            self.engine().pass().await.unwrap();
            let passed = self.now().as_secs() / every.as_secs();
            let next = secs((passed + 1) * every.as_secs());
            tokio::time::sleep(next.saturating_sub(self.now())).await;
        }
    }

    async fn until(&self, at: Duration) {
        tokio::time::sleep(at.saturating_sub(self.now())).await;
    }
}

impl Process {
    async fn shutdown(self) {
        match self {
            Self::Daemon(handle, running) => {
                handle.shutdown().await;
                running.await.unwrap().unwrap();
            }
            Self::Cron(running) => running.abort(),
        }
    }

    async fn crash(self) {
        match self {
            Self::Daemon(_, running) => {
                running.abort();
                let _ = running.await;
            }
            Self::Cron(running) => running.abort(),
        }
    }

    /// Reloads a daemon; passes read the site file each time.
    async fn reload(&self, stage: &Stage) {
        if let Self::Daemon(handle, _) = self {
            let plan = stage.world.plan(&stage.setup.lock().unwrap());
            handle.reload(plan).await.unwrap();
        }
    }
}

/// Plays a scenario; returns what each receiver received.
pub async fn play(script: &Script) -> Deliveries {
    let clock = support::clock();
    let stage = Arc::new(Stage {
        world: World::new(Log::new(&clock)),
        clock,
        store: MemoryStore::new(),
        setup: Mutex::new(script.setup.clone()),
    });
    let mut process = stage.start(script.cron);
    for line in script.lines.iter().filter(|line| !line.left.is_empty()) {
        stage.until(line.at).await;
        process = perform(&stage, script, process, &line.left).await;
    }
    let last = script.lines.iter().map(|line| line.at).max();
    stage.until(last.unwrap_or_default() + secs(1)).await;
    process.shutdown().await;
    std::mem::take(&mut stage.world.log.deliveries.lock().unwrap())
}

/// Performs what the left side of a line says.
async fn perform(stage: &Arc<Stage>, script: &Script, mut process: Process, left: &str) -> Process {
    if let Some((name, words)) = addressee(&stage.world.targets(), left) {
        stage.world.target(&name).set(&words);
        return process;
    }
    if let Some((name, words)) = addressee(&stage.world.receivers(), left) {
        stage.world.receiver(&name).set(&words);
        return process;
    }
    let (word, rest) = left.split_once(' ').unwrap_or((left, ""));
    match word {
        "options" | "remove" => {
            *stage.setup.lock().unwrap() = Setup::Options(rest.to_owned());
            process.reload(stage).await;
        }
        "edit" => {
            edit(&mut stage.setup.lock().unwrap(), rest);
            process.reload(stage).await;
        }
        "restart" => {
            process.shutdown().await;
            if let Some(words) = rest.strip_prefix("edit ") {
                edit(&mut stage.setup.lock().unwrap(), words);
            }
            process = stage.start(script.cron);
        }
        "crash" => {
            process.crash().await;
            process = stage.start(script.cron);
        }
        "end" => {}
        _ => stage.world.target("web").set(left),
    }
    process
}

/// Performs `edit OLD -> NEW` on the text of the site file. NEW may be empty and
/// may contain line breaks as `\n`.
fn edit(setup: &mut Setup, words: &str) {
    let Setup::File(file) = setup else {
        panic!("no site file to edit")
    };
    let (old, new) = words
        .split_once("->")
        .unwrap_or_else(|| panic!("edit {words}: no ->"));
    let (old, new) = (old.trim(), new.trim());
    assert_eq!(file.matches(old).count(), 1, "{old:?} must occur once in\n{file}");
    *file = file.replace(old, &new.replace("\\n", "\n"));
}
