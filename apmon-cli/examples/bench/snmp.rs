//! Polls of the kind `ports`, one after another.

use std::{
    error::Error,
    net::SocketAddr,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use apmon_core::{
    Check, Clock as _, Memory, Monitor, Services, Stopwatch, SystemClock, Verdict,
    config::{self, ProcessEnvironment},
};
use apmon_snmp_client::usm::{AuthKey, AuthProtocol, PrivKey, PrivProtocol};

use crate::{
    agent::{self, RequestCounts},
    cpu, ms, print,
};

/// The pause before a measurement: snmpd caches the state of interfaces for 3 s, and
/// both sides must find the cache expired.
const PAUSE: Duration = Duration::from_millis(3_200);

/// The cycle of polls: some polls of every ten also read what changes rarely.
const CYCLE: usize = 10;

/// The columns of the interfaces that every poll reads.
const COLUMNS: [&str; 12] = [
    "1.3.6.1.2.1.2.2.1.8",
    "1.3.6.1.2.1.2.2.1.7",
    "1.3.6.1.2.1.2.2.1.14",
    "1.3.6.1.2.1.2.2.1.20",
    "1.3.6.1.2.1.31.1.1.1.6",
    "1.3.6.1.2.1.31.1.1.1.10",
    "1.3.6.1.2.1.31.1.1.1.7",
    "1.3.6.1.2.1.31.1.1.1.8",
    "1.3.6.1.2.1.31.1.1.1.9",
    "1.3.6.1.2.1.31.1.1.1.11",
    "1.3.6.1.2.1.31.1.1.1.12",
    "1.3.6.1.2.1.31.1.1.1.13",
];
const SYS_UP_TIME: &str = "1.3.6.1.2.1.1.3.0";

/// A monitor of a device with its memory.
struct Poller {
    monitor: Arc<dyn Monitor>,
    memory: Memory,
    clock: SystemClock,
    polls: usize,
}

impl Poller {
    fn of(address: SocketAddr, community: &str) -> Result<Self, Box<dyn Error>> {
        let text = format!(
            "site: {{name: bench}}\nmonitors: [{{type: ports, name: m, address: \"snmp://{address}\", community: {community}}}]"
        );
        let site = config::parse(
            "bench.yaml".as_ref(),
            &text,
            apmon_snmp::KINDS,
            &[],
            &ProcessEnvironment,
        )?;
        let monitor = site
            .monitors
            .first()
            .ok_or("no monitor")?
            .build(&Services::default());
        Ok(Self {
            monitor,
            memory: Memory::default(),
            clock: SystemClock::new(),
            polls: 0,
        })
    }

    /// Polls once.
    async fn poll(&mut self) -> Result<Duration, Box<dyn Error>> {
        let now = self.clock.now();
        let check = Check::new(now.mono, now, Duration::from_secs(20)).with_memory(self.memory.clone());
        let watch = Stopwatch::start();
        let observation = self.monitor.check(&check).await;
        let took = watch.elapsed();
        match &observation.outcome.verdict() {
            Verdict::Up => {}
            other => return Err(format!("poll {}: {other:?}", self.polls).into()),
        }
        self.memory = observation.memory.ok_or("a poll returned no memory")?;
        self.polls += 1;
        Ok(took)
    }

    /// Whether the next poll reads only what every poll reads.
    fn is_next_regular(&self) -> bool {
        self.polls > 0 && ![0, 3, 6, 9].contains(&(self.polls % CYCLE))
    }
}

/// Counts the round trips of twenty polls of a simulated switch.
pub(crate) async fn switch() -> Result<(), Box<dyn Error>> {
    let counts = Arc::new(RequestCounts::default());
    let address = agent::spawn(&counts).await?;
    let mut poller = Poller::of(address, "public")?;
    let mut regular = [0; 3];
    let mut all = [0; 3];
    for _ in 0..2 * CYCLE {
        let is_regular = poller.is_next_regular();
        poller.poll().await?;
        let costs = counts.take();
        if poller.polls == 1 {
            print("first", costs[0] as f64);
        }
        let most = |of: &mut [usize; 3]| {
            of.iter_mut()
                .zip(costs)
                .for_each(|(most, it)| *most = it.max(*most))
        };
        if is_regular {
            most(&mut regular);
        }
        most(&mut all);
    }
    let names = ["round_trips", "interfaces", "longest"];
    for (name, (regular, all)) in names.into_iter().zip(regular.into_iter().zip(all)) {
        print(name, regular as f64);
        print(&format!("{name}_max"), all as f64);
    }
    Ok(())
}

/// Measures regular polls of an agent, alternating with net-snmp's tool for the same
/// columns.
pub(crate) async fn beside(address: SocketAddr, community: &str, runs: usize) -> Result<(), Box<dyn Error>> {
    let mut poller = Poller::of(address, community)?;
    let (mut ours, mut costs, mut theirs, mut starts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    while ours.len() < runs {
        let is_regular = poller.is_next_regular();
        if is_regular {
            tokio::time::sleep(PAUSE).await;
        }
        let before = cpu()?;
        let took = poller.poll().await?;
        if !is_regular {
            continue;
        }
        ours.push(ms(took));
        costs.push(ms(cpu()? - before));
        tokio::time::sleep(PAUSE).await;
        let watch = Stopwatch::start();
        for column in COLUMNS {
            run_tool("snmpbulkwalk", &["-Cr50"], address, community, column)?;
        }
        theirs.push(ms(watch.elapsed()));
        let watch = Stopwatch::start();
        for _ in COLUMNS {
            run_tool("snmpget", &[], address, community, SYS_UP_TIME)?;
        }
        starts.push(ms(watch.elapsed()));
    }
    for (name, mut figures) in [("ours", ours), ("theirs", theirs), ("starts", starts)] {
        figures.sort_by(f64::total_cmp);
        print(name, figures.get(figures.len() / 2).copied().ok_or("no run")?);
    }
    // The kernel counts in hundredths of a second.
    print("cpu", costs.iter().sum::<f64>() / costs.len() as f64);
    Ok(())
}

fn run_tool(
    tool: &str,
    options: &[&str],
    address: SocketAddr,
    community: &str,
    oid: &str,
) -> Result<(), Box<dyn Error>> {
    let mut command = Command::new(tool);
    command.args(["-v2c", "-c", community, "-On", "-t", "20", "-r", "0"]);
    command.args(options).arg(address.to_string()).arg(oid);
    // Without MIB files, whose parsing takes most of the time.
    command.env("MIBS", "").stdin(Stdio::null()).stdout(Stdio::null());
    match command.status()?.success() {
        true => Ok(()),
        false => Err(format!("{tool} of {oid} failed").into()),
    }
}

/// Measures how long the keys of a user take, each time for another engine.
pub(crate) fn keys() {
    const RUNS: u32 = 20;
    let each = |make: &dyn Fn(&[u8])| {
        let watch = Stopwatch::start();
        (0..RUNS).for_each(|run| make(&run.to_be_bytes()));
        ms(watch.elapsed() / RUNS)
    };
    for (name, auth) in [
        ("md5", AuthProtocol::Md5),
        ("sha1", AuthProtocol::Sha1),
        ("sha256", AuthProtocol::Sha256),
        ("sha512", AuthProtocol::Sha512),
    ] {
        let pair = |engine: &[u8]| {
            std::hint::black_box(AuthKey::derive(auth, b"the bench signs", engine));
            let privacy = PrivKey::derive(PrivProtocol::Aes128, auth, b"the bench encrypts", engine);
            std::hint::black_box(privacy);
        };
        print(name, each(&pair));
    }
}
