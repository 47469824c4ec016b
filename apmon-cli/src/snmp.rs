//! `apmon snmp`: queries of a device by SNMP.

mod agent;
mod ports;
mod target;
mod value;
mod walk;

use std::{future::Future, process::ExitCode};

use apmon_core::text::printable;
use apmon_snmp::name;
use apmon_snmp_client::Oid;
use clap::{Args, Subcommand};

use self::agent::{AgentArgs, QueryError};
use crate::{console, progress::Progress};

/// Interrupted by Ctrl-C, as shells report it.
const EXIT_INTERRUPTED: u8 = 130;
/// Usage error or invalid site file: nothing was queried.
const EXIT_USAGE: u8 = 2;

/// Arguments of `apmon snmp`.
#[derive(Args)]
pub(crate) struct SnmpArgs {
    #[command(subcommand)]
    command: SnmpCommand,
}

#[derive(Subcommand)]
enum SnmpCommand {
    /// Shows a device's ports with their state, stations and neighbours.
    ///
    /// A port that its administrator has disabled is `off`. As many stations are shown
    /// as fit; --json lists them all.
    Ports(PortsArgs),
    /// Shows single values.
    ///
    /// A name without an index means its only value: sysName is sysName.0.
    Get(GetArgs),
    /// Shows everything below an object.
    ///
    /// Values are printed as the device answers. A walk ends with exit status 1 at
    /// its limit, or if the answers loop.
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
    /// OIDs (1.3.6.1.2.1.1.5.0), or names of objects that apmon itself uses (sysName.0, ifAlias.3).
    #[arg(value_name = "OID", required = true)]
    oids: Vec<String>,
    /// Print JSON, one object per line.
    #[arg(long)]
    json: bool,
}

/// Runs the query.
pub(crate) fn run(args: &SnmpArgs) -> anyhow::Result<ExitCode> {
    let agent = match &args.command {
        SnmpCommand::Ports(args) => &args.agent,
        SnmpCommand::Get(args) => &args.agent,
        SnmpCommand::Walk(args) => &args.agent,
    };
    let query = async {
        match &args.command {
            SnmpCommand::Ports(args) => ports(args).await,
            SnmpCommand::Get(args) => get(args).await,
            SnmpCommand::Walk(args) => walk::run(args).await,
        }
    };
    match until_interrupted(query)? {
        None => Ok(ExitCode::from(EXIT_INTERRUPTED)),
        Some(Ok(())) => Ok(ExitCode::SUCCESS),
        Some(Err(QueryError::Usage(error))) => {
            console::log_error(&agent.shown(), &error);
            Ok(ExitCode::from(EXIT_USAGE))
        }
        Some(Err(QueryError::Device(text))) => {
            let shown = agent.shown();
            let shown = shown.display().to_string();
            tracing::error!("{}: {}", printable(&shown), printable(&text));
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Runs `query` until it is done; `None` if Ctrl-C came first.
fn until_interrupted<T>(query: impl Future<Output = T>) -> anyhow::Result<Option<T>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let done = runtime.block_on(async {
        tokio::select! {
            done = query => Some(done),
            Ok(()) = tokio::signal::ctrl_c() => None,
        }
    });
    runtime.shutdown_background();
    Ok(done)
}

async fn ports(args: &PortsArgs) -> Result<(), QueryError> {
    let query = args.agent.read()?;
    let mut progress = Progress::new();
    progress.update(|| format!("reading the ports of {}", args.agent.shown().display()));
    let device = apmon_snmp::device(&query.target, query.reach, &query.services, &query.check()).await;
    drop(progress);
    let (device, warnings) = device.map_err(|failure| QueryError::Device(failure.reason))?;
    if args.json {
        let json = serde_json::to_string_pretty(&device).map_err(|error| QueryError::Usage(error.into()))?;
        console::line(&console::ascii_controls(&json));
    } else {
        console::line(&ports::render(&device, console::width()));
    }
    let shown = args.agent.shown().display().to_string();
    for warning in warnings {
        tracing::warn!("{}: {}", printable(&shown), printable(&warning.text));
    }
    Ok(())
}

async fn get(args: &GetArgs) -> Result<(), QueryError> {
    let oids = args.oids.iter().map(|text| name::instance(text));
    let oids: Vec<Oid> = oids
        .collect::<Result<_, _>>()
        .map_err(|error| QueryError::Usage(error.into()))?;
    let query = args.agent.read()?;
    let mut session = query.session().await?;
    let varbinds = session.get(&oids).await.map_err(|error| query.error(&error))?;
    for varbind in &varbinds {
        console::line(&value::line(varbind, args.json));
    }
    Ok(())
}
