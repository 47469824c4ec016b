//! One round: a site, its receivers and their failures, until everything is delivered.

mod damage;

use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, SystemTime},
};

use super::{
    check::{self, EXIT, Violation},
    clock::WallClock,
    daemon::{Daemon, End, Handle},
    disk::{self, Disk},
    hook::Hook,
    hostile::HostileServers,
    mail_server::MailServer,
    plan::{Act, Failure, Moment, Plan, RECEIVERS, Step},
    read,
    record::{Evidence, Receipts},
    site::Site,
    target::Targets,
    totals::Totals,
};
use crate::{
    fault::{During, Fault},
    process,
    stopwatch::Stopwatch,
};

const TURN: Duration = Duration::from_millis(2);
/// After this time a kill happens even if its moment has not come.
const KILL_TIMEOUT: Duration = Duration::from_millis(1_500);
/// apmon logs a commit that fails within this time.
const SAVE_DELAY: Duration = Duration::from_millis(300);
/// The state must be saved within this time; apmon retries a failed commit after 5 s.
const SAVED: Duration = Duration::from_secs(20);
/// Everything must be delivered within this time once nothing fails any more.
const SETTLED: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// A turn this late means that the machine stalled, and apmon with it.
const HELD_UP: Duration = Duration::from_millis(500);

/// The parameters of a round.
pub(super) struct Setting<'a> {
    pub(super) program: &'a Path,
    pub(super) directory: &'a Path,
    pub(super) seed: u64,
    pub(super) kills: usize,
    /// The state file's name: a database or JSON.
    pub(super) state: &'static str,
    pub(super) disk: disk::DiskKind,
}

/// The result of a round.
pub(super) struct Outcome {
    pub(super) violations: Vec<Violation>,
    pub(super) totals: Totals,
    pub(super) took: Duration,
}

struct Round {
    clock: Stopwatch,
    site: Site,
    state: PathBuf,
    disk: Disk,
    wall_file: PathBuf,
    daemon: Daemon,
    handle: Arc<Handle>,
    targets: Targets,
    receipts: Receipts,
    hooks: Vec<Hook>,
    mail_server: MailServer,
    hostile: HostileServers,
    kills: VecDeque<(Moment, Duration)>,
    /// The armed kill: the time by which its moment must come, and the pause after it.
    pending_kill: Option<(Duration, Duration)>,
    restart_at: Option<Duration>,
    is_full: bool,
    /// When the disk got room again, until apmon has saved its state.
    freed: Option<Duration>,
    /// When the state's files were damaged, until apmon has written them anew.
    damaged: Option<Duration>,
    /// Whether damage may have cost the history.
    lost_history: bool,
    /// Whether others may write the state's directory at the next start.
    opens_directory: bool,
    awake_since: Option<Duration>,
    awake: Vec<(Duration, Duration)>,
    trace: Vec<Option<(u64, SystemTime)>>,
    /// The trace when the process was started.
    trace_at_start: Vec<Option<(u64, SystemTime)>>,
    ended: Vec<Violation>,
    totals: Totals,
}

pub(super) fn run(setting: &Setting<'_>) -> Result<Outcome, Fault> {
    let mut round = Round::prepare(setting)?;
    let plan = Plan::new(setting.seed, &round.site, setting.kills, setting.disk);
    fs::write(setting.directory.join("plan.txt"), shown(&plan)).during("write plan.txt")?;
    round.play(plan.steps)?;
    let violations = round.settle(&plan.last)?;
    round.disk.save(&setting.directory.join("state"))?;
    let mut totals = round.totals;
    totals.rounds = 1;
    Ok(Outcome {
        violations,
        totals,
        took: round.clock.elapsed(),
    })
}

impl Round {
    fn prepare(setting: &Setting<'_>) -> Result<Self, Fault> {
        let clock = Stopwatch::start();
        let site = Site::new();
        let directory = setting.directory;
        fs::create_dir_all(directory).during(format!("make {}", directory.display()))?;
        let disk = Disk::prepare(setting.disk, &directory.join("disk"))?;
        let state = disk.path(setting.state);
        let site_file = directory.join("chaos.yaml");
        site.write(&site_file)?;
        let wall_file = directory.join("wall-clock");
        let daemon = Daemon::new(
            setting.program.to_owned(),
            site_file,
            state.clone(),
            WallClock::new(&wall_file)?,
            &directory.join("apmon.log"),
            clock,
        )?;
        let handle = daemon.handle();
        let targets = Targets::open(&site.monitors, site.port(), clock)?;
        let receipts = Receipts::default();
        let mut hooks = Vec::new();
        for n in 0..2_u8 {
            let channel = usize::from(n);
            let of = (channel, &site.channels[channel]);
            let (receipts, handle) = (Arc::clone(&receipts), Arc::clone(&handle));
            hooks.push(Hook::open(of, site.hook(n), receipts, handle, clock)?);
        }
        let mail_server = MailServer::open(
            site.mail_server(),
            &site.channels,
            directory,
            Arc::clone(&receipts),
            Arc::clone(&handle),
            clock,
        )?;
        let hostile = HostileServers::open(&site.hostile())?;
        let mut round = Self {
            clock,
            site,
            state,
            trace: disk.trace(),
            trace_at_start: Vec::new(),
            disk,
            wall_file,
            daemon,
            handle,
            targets,
            receipts,
            hooks,
            mail_server,
            hostile,
            kills: VecDeque::new(),
            pending_kill: None,
            restart_at: None,
            is_full: false,
            freed: None,
            damaged: None,
            lost_history: false,
            opens_directory: false,
            awake_since: None,
            awake: Vec::new(),
            ended: Vec::new(),
            totals: Totals::default(),
        };
        round.start()?;
        Ok(round)
    }

    /// Carries out the plan. A step that has to wait delays all later ones.
    fn play(&mut self, steps: Vec<Step>) -> Result<(), Fault> {
        let mut steps = VecDeque::from(steps);
        let (mut waited, mut last) = (self.clock.elapsed(), self.clock.elapsed());
        loop {
            self.turn()?;
            let now = self.clock.elapsed();
            if now - last > HELD_UP {
                self.stood_still(last, now);
            }
            let mut blocked = self.is_waiting();
            while let Some(step) = steps.front().filter(|step| !blocked && step.at + waited <= now) {
                let killing = self.pending_kill.is_some() || !self.kills.is_empty();
                if step.act == Act::FillDisk && killing || step.act.is_damage() && !self.may_damage(now) {
                    blocked = true;
                    break;
                }
                let act = step.act;
                steps.pop_front();
                self.act(act)?;
                blocked = self.is_waiting();
            }
            if blocked {
                waited += now - last;
            }
            last = now;
            let idle = self.kills.is_empty() && self.pending_kill.is_none() && !self.is_waiting();
            if !self.ended.is_empty() || (steps.is_empty() && idle && self.daemon.is_running()) {
                return Ok(());
            }
            thread::sleep(TURN);
        }
    }

    fn act(&mut self, act: Act) -> Result<(), Fault> {
        match act {
            Act::Target(target, is_up) => {
                self.count(if is_up { "targets up" } else { "targets down" });
                self.targets.set(target, is_up)?;
            }
            Act::Receiver(receiver, failure) => self.failure(receiver, failure)?,
            Act::Kill(moment, pause) => self.kills.push_back((moment, pause)),
            Act::Stop => {
                if self.daemon.is_running() && self.daemon.signal("STOP") {
                    self.count("SIGSTOP");
                    self.sleeps(self.clock.elapsed());
                }
            }
            Act::Continue => self.wake(),
            Act::Clock(offset) => {
                self.count("steps of the clock");
                WallClock::write(&self.wall_file, offset)?;
            }
            Act::FillDisk => {
                self.count("disk full");
                self.disk.fill()?;
                self.is_full = true;
            }
            Act::FreeDisk => {
                self.disk.free()?;
                self.wake();
                self.is_full = false;
                self.freed = Some(self.clock.elapsed());
            }
            Act::Damage(damage) => self.damage(damage)?,
            Act::OpenDirectory => self.opens_directory = true,
        }
        Ok(())
    }

    fn failure(&mut self, receiver: usize, failure: Option<Failure>) -> Result<(), Fault> {
        if let Some(failure) = failure {
            self.count(failure.word());
        }
        match self.hooks.get(receiver) {
            Some(hook) => hook.set(failure),
            None => self.mail_server.set(failure),
        }
    }

    /// Handles what is due for the process: its end, its start, a kill.
    fn turn(&mut self) -> Result<(), Fault> {
        let now = self.clock.elapsed();
        match self.daemon.ended()? {
            Some(End::Killed(at)) => {
                self.sleeps(at);
                let pause = self
                    .pending_kill
                    .take()
                    .map_or(Duration::ZERO, |(_, pause)| pause);
                self.restart_at = Some(now + pause);
            }
            Some(End::Itself(status)) => {
                self.sleeps(now);
                self.ended.push(Violation::new(EXIT, status.to_string()));
            }
            None => {}
        }
        if self.restart_at.is_some_and(|at| at <= now) {
            self.restart_at = None;
            self.start()?;
        }
        if let Some(since) = self.freed
            && since + SAVE_DELAY <= now
        {
            if self.handle.saves() {
                self.freed = None;
            } else if since + SAVED <= now {
                self.freed = None;
                let what = format!(
                    "the state is not saved {} s after the disk has room again",
                    SAVED.as_secs()
                );
                self.ended.push(Violation::new(check::LOG, what));
            }
        }
        self.repaired(now);
        self.kill_when_due(now);
        Ok(())
    }

    fn kill_when_due(&mut self, now: Duration) {
        if let Some((until, _)) = self.pending_kill {
            let trace = self.disk.trace();
            if trace != self.trace {
                self.handle.reached(Moment::Write);
            }
            self.trace = trace;
            if until <= now && self.handle.armed().is_some() {
                self.count("moments that did not come");
                self.handle.kill();
            }
            return;
        }
        if !self.daemon.is_running() || self.is_full || self.is_waiting() {
            return;
        }
        if let Some((moment, pause)) = self.kills.pop_front() {
            *self.totals.kills.entry(moment.word()).or_default() += 1;
            self.pending_kill = Some((now + KILL_TIMEOUT, pause));
            self.trace = self.disk.trace();
            match moment {
                Moment::Now => self.handle.kill(),
                moment => self.handle.arm(moment),
            }
        }
    }

    fn start(&mut self) -> Result<(), Fault> {
        if std::mem::take(&mut self.opens_directory) {
            self.count("state open to others");
            self.disk.open_to_others(true)?;
            if let Some(instead) = self.daemon.is_refused()? {
                self.ended.push(Violation::new(check::TRUST, instead));
            }
            self.disk.open_to_others(false)?;
        }
        self.trace_at_start = self.disk.trace();
        self.daemon.start()?;
        self.awake_since = Some(self.clock.elapsed());
        Ok(())
    }

    fn wake(&mut self) {
        if self.daemon.is_running() && self.awake_since.is_none() && self.daemon.signal("CONT") {
            self.awake_since = Some(self.clock.elapsed());
        }
    }

    /// Records that the process is killed or stopped since `at`.
    fn sleeps(&mut self, at: Duration) {
        if let Some(since) = self.awake_since.take() {
            self.awake.push((since, at));
        }
    }

    /// Excludes a time in which the machine stalled and apmon may not have run.
    fn stood_still(&mut self, from: Duration, to: Duration) {
        if self.awake_since.is_some() {
            self.sleeps(from);
            self.awake_since = Some(to);
        }
    }

    fn count(&mut self, word: &'static str) {
        *self.totals.faults.entry(word).or_default() += 1;
    }

    /// Ends all failures and leaves the targets as planned; waits until every rule
    /// holds, stops apmon and checks the evidence.
    fn settle(&mut self, last: &[bool]) -> Result<Vec<Violation>, Fault> {
        self.wake();
        self.disk.free()?;
        for receiver in 0..RECEIVERS {
            self.failure(receiver, None)?;
        }
        for (target, is_up) in last.iter().enumerate() {
            self.targets.set(target, *is_up)?;
        }
        self.handle.log("-- no more failures and changes");
        let since = self.clock.elapsed();
        let slowest = self
            .site
            .monitors
            .iter()
            .map(|it| it.certain_after(false).max(it.certain_after(true)));
        let least = slowest.max().unwrap_or_default();
        while self.ended.is_empty() && self.clock.elapsed() < since + SETTLED {
            self.turn()?;
            if self.clock.elapsed() > since + least {
                let evidence = self.evidence()?;
                let mut violations = check::check(&evidence);
                // Reminders continue, so receipts and history are not from the same moment.
                violations.retain(|violation| violation.rule != check::HISTORY);
                let is_settled = evidence.stored.outbox.is_empty() && violations.is_empty();
                if is_settled || violations.iter().any(Violation::stays) {
                    break;
                }
            }
            thread::sleep(Duration::from_millis(200));
        }
        self.stop()?;
        let evidence = self.evidence()?;
        self.totals.count(&evidence);
        let unsaved = self.handle.unsaved();
        if unsaved > 0 {
            *self
                .totals
                .faults
                .entry("times the state could not be saved")
                .or_default() += unsaved;
        }
        let mut violations = std::mem::take(&mut self.ended);
        let floods = self.hostile.floods();
        *self.totals.faults.entry("floods").or_default() += usize::try_from(floods).unwrap_or(usize::MAX);
        if floods == 0 {
            violations.push(Violation::new(check::HOSTILE, "no check got a flood"));
        }
        violations.extend(check::check(&evidence));
        Ok(violations)
    }

    fn stop(&mut self) -> Result<(), Fault> {
        if !self.daemon.signal("TERM") {
            return Ok(());
        }
        let mut end = None;
        let mut failed = None;
        process::wait_until(STOP_TIMEOUT, || {
            match self.daemon.ended() {
                Ok(ended) => end = ended,
                Err(fault) => failed = Some(fault),
            }
            end.is_some() || failed.is_some()
        });
        if let Some(fault) = failed {
            return Err(fault);
        }
        self.sleeps(self.clock.elapsed());
        let how = match end {
            Some(End::Itself(status)) if status.success() => return Ok(()),
            Some(End::Itself(status)) => status.to_string(),
            Some(End::Killed(_)) => "it was killed".to_owned(),
            None => format!("not within {} s of SIGTERM", STOP_TIMEOUT.as_secs()),
        };
        self.ended.push(Violation::new(EXIT, how));
        Ok(())
    }

    fn evidence(&self) -> Result<Evidence, Fault> {
        // The state first: what has left the outbox has arrived by then.
        let mut stored = read::read(&self.state)?;
        if self.lost_history {
            stored.history = None;
        }
        let receipts = lock(&self.receipts).clone();
        let mut awake = self.awake.clone();
        awake.extend(self.awake_since.map(|since| (since, self.clock.elapsed())));
        Ok(Evidence {
            site: self.site.clone(),
            truth: self.targets.periods(),
            awake,
            receipts,
            output: self.handle.output(),
            complaints: self.handle.complaints(),
            stored,
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn shown(plan: &Plan) -> String {
    let line = |step: &Step| format!("{:8.3} {:?}\n", step.at.as_secs_f64(), step.act);
    plan.steps.iter().map(line).collect()
}
