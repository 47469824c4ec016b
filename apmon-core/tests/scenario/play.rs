//! Plays a scenario.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use apmon_core::{
    Engine,
    testing::{Daemon, MemoryStore, TestClock, secs},
};
use jiff::tz::TimeZone;
use tokio::task::JoinHandle;

use crate::{
    receiver::answer,
    script::{Deliveries, Script, Setup, addressee},
    site::World,
};

/// Everything outside the process.
struct Site {
    clock: Arc<TestClock>,
    world: World,
    store: Arc<MemoryStore>,
    setup: Mutex<Setup>,
}

/// What runs the engine: a daemon, or cron.
enum Process {
    Daemon(Daemon),
    Cron(JoinHandle<()>),
}

impl Site {
    fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    fn engine(&self) -> Engine {
        let plan = self.world.plan(&self.setup.lock().unwrap());
        Engine::new(plan, self.store.clone())
            .clock(self.clock.clone())
            .zone(TimeZone::UTC)
    }

    fn start(self: &Arc<Self>, cron: Option<Duration>) -> Process {
        match cron {
            None => Process::Daemon(Daemon::start(self.engine())),
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
            Self::Daemon(daemon) => {
                daemon.stop().await;
            }
            Self::Cron(running) => running.abort(),
        }
    }

    async fn crash(self) {
        match self {
            Self::Daemon(daemon) => daemon.kill().await,
            Self::Cron(running) => running.abort(),
        }
    }

    /// Reloads a daemon; passes read the site file each time.
    async fn reload(&self, site: &Site) {
        if let Self::Daemon(daemon) = self {
            let plan = site.world.plan(&site.setup.lock().unwrap());
            daemon.reload(plan).await;
        }
    }
}

/// Plays a scenario; returns what each receiver received.
pub async fn play(script: &Script) -> Deliveries {
    let clock = TestClock::new();
    let site = Arc::new(Site {
        world: World::new(Arc::clone(&clock)),
        clock,
        store: MemoryStore::new(),
        setup: Mutex::new(script.setup.clone()),
    });
    let mut process = site.start(script.cron);
    for line in script.lines.iter().filter(|line| !line.left.is_empty()) {
        site.until(line.at).await;
        process = perform(&site, script, process, &line.left).await;
    }
    let last = script.lines.iter().map(|line| line.at).max();
    site.until(last.unwrap_or_default() + secs(1)).await;
    process.shutdown().await;
    site.world.receivers.deliveries()
}

/// Performs what the left side of a line says.
async fn perform(site: &Arc<Site>, script: &Script, mut process: Process, left: &str) -> Process {
    if let Some((name, words)) = addressee(&site.world.targets(), left) {
        site.world.target(&name).set(&words);
        return process;
    }
    if let Some((name, words)) = addressee(&site.world.receivers.names(), left) {
        site.world.receivers.channel(&name).set(answer(&words));
        return process;
    }
    let (word, rest) = left.split_once(' ').unwrap_or((left, ""));
    match word {
        "options" | "remove" => {
            *site.setup.lock().unwrap() = Setup::Options(rest.to_owned());
            process.reload(site).await;
        }
        "edit" => {
            edit(&mut site.setup.lock().unwrap(), rest);
            process.reload(site).await;
        }
        "restart" => {
            process.shutdown().await;
            if let Some(words) = rest.strip_prefix("edit ") {
                edit(&mut site.setup.lock().unwrap(), words);
            }
            process = site.start(script.cron);
        }
        "crash" => {
            process.crash().await;
            process = site.start(script.cron);
        }
        "end" => {}
        _ => site.world.target("web").set(left),
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
