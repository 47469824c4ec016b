//! `apmon snmp`: what a device says by SNMP, asked by a person.

mod agent;
mod ports;
mod shown;
mod target;
mod walk;

use std::{future::Future, process::ExitCode};

use apmon_core::text::printable;
use apmon_snmp::{Oid, name};
use clap::{Args, Subcommand};

use self::agent::{AgentArgs, Trouble};
use crate::{console, progress::Progress};

/// The shell's own for what Ctrl-C ended.
const EXIT_INTERRUPTED: u8 = 130;
/// Nobody was asked.
const EXIT_USAGE: u8 = 2;

/// Asks a device.
#[derive(Args)]
pub(crate) struct SnmpArgs {
    #[command(subcommand)]
    act: Act,
}

#[derive(Subcommand)]
enum Act {
    /// Shows a device's ports: which are up, who is on them.
    ///
    /// `off` is a port that somebody switched off. As many stations are shown as
    /// fit; --json has them all.
    Ports(PortsArgs),
    /// Shows single values.
    ///
    /// Without an index a name stands for its only value: sysName is sysName.0.
    Get(GetArgs),
    /// Shows everything below an object.
    ///
    /// Lines come as the device answers. A walk that a device leads in a circle
    /// is ended and exits 1, and so is one at its limit.
    Walk(walk::WalkArgs),
}

#[derive(Args)]
struct PortsArgs {
    #[command(flatten)]
    agent: AgentArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct GetArgs {
    #[command(flatten)]
    agent: AgentArgs,
    /// Numbers (1.3.6.1.2.1.1.5.0), or names of what apmon itself asks for (sysName.0, ifAlias.3).
    #[arg(value_name = "OID", required = true)]
    oids: Vec<String>,
    /// Print JSON, an object per line.
    #[arg(long)]
    json: bool,
}

/// Does what the arguments say.
pub(crate) fn run(args: &SnmpArgs) -> anyhow::Result<ExitCode> {
    let agent = match &args.act {
        Act::Ports(args) => &args.agent,
        Act::Get(args) => &args.agent,
        Act::Walk(args) => &args.agent,
    };
    let act = async {
        match &args.act {
            Act::Ports(args) => ports(args).await,
            Act::Get(args) => get(args).await,
            Act::Walk(args) => walk::run(args).await,
        }
    };
    match until_interrupted(act)? {
        None => Ok(ExitCode::from(EXIT_INTERRUPTED)),
        Some(Ok(())) => Ok(ExitCode::SUCCESS),
        Some(Err(Trouble::Usage(error))) => {
            console::log_error(&agent.shown(), &error);
            Ok(ExitCode::from(EXIT_USAGE))
        }
        Some(Err(Trouble::Device(text))) => {
            let shown = agent.shown();
            let shown = shown.display().to_string();
            tracing::error!("{}: {}", printable(&shown), printable(&text));
            Ok(ExitCode::FAILURE)
        }
    }
}

/// `None` where Ctrl-C came first.
fn until_interrupted<T>(act: impl Future<Output = T>) -> anyhow::Result<Option<T>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let done = runtime.block_on(async {
        tokio::select! {
            done = act => Some(done),
            Ok(()) = tokio::signal::ctrl_c() => None,
        }
    });
    runtime.shutdown_background();
    Ok(done)
}

async fn ports(args: &PortsArgs) -> Result<(), Trouble> {
    let asked = args.agent.read()?;
    let mut progress = Progress::new();
    progress.say(|| format!("asking {} for its ports", args.agent.shown().display()));
    let device = apmon_snmp::device(&asked.target, &asked.services, &asked.check()).await;
    drop(progress);
    let device = device.map_err(|failure| Trouble::Device(failure.reason))?;
    if args.json {
        let json = serde_json::to_string_pretty(&device).map_err(|error| Trouble::Usage(error.into()))?;
        console::line(&console::ascii_controls(&json));
    } else {
        console::line(&ports::render(&device, console::width()));
    }
    Ok(())
}

async fn get(args: &GetArgs) -> Result<(), Trouble> {
    let oids = args.oids.iter().map(|text| name::instance(text));
    let oids: Vec<Oid> = oids
        .collect::<Result<_, _>>()
        .map_err(|error| Trouble::Usage(error.into()))?;
    let asked = args.agent.read()?;
    let mut session = asked.session().await?;
    let varbinds = session.get(&oids).await.map_err(|error| asked.trouble(&error))?;
    for varbind in &varbinds {
        console::line(&shown::line(varbind, args.json));
    }
    Ok(())
}
