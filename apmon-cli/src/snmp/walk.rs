//! `apmon snmp walk`: everything below an object, printed as it arrives.

use std::{
    io::{self, BufWriter},
    ops::ControlFlow,
};

use apmon_snmp::name;
use apmon_snmp_client::Varbind;
use clap::Args;

use super::{
    agent::{AgentArgs, QueryError},
    value,
};
use crate::{plural::count, progress::Progress};

#[derive(Args)]
pub(super) struct WalkArgs {
    #[command(flatten)]
    pub(super) agent: AgentArgs,
    /// Where to begin: an OID, or the name of an object that apmon itself uses (system, ifTable, ifAlias).
    #[arg(value_name = "OID", default_value = "1.3.6.1.2.1")]
    oid: String,
    /// Maximum number of values to read.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print JSON, one object per line.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &WalkArgs) -> Result<(), QueryError> {
    let root = name::subtree(&args.oid).map_err(|error| QueryError::Usage(error.into()))?;
    let query = args.agent.read()?;
    let mut session = query.session().await?;
    session.wait_for_each(query.timeout);
    let mut out = BufWriter::new(io::stdout());
    let mut progress = Progress::beside_output();
    let (mut total, mut write_error) = (0, None);
    let mut print = |varbinds: Vec<Varbind>| {
        total += varbinds.len();
        match write(&mut out, &varbinds, args.json) {
            Ok(()) => {
                progress.update(|| format!("{} so far", count(total, "value")));
                ControlFlow::Continue(())
            }
            Err(error) => {
                write_error = Some(error);
                ControlFlow::Break(())
            }
        }
    };
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let walked = session.walk_into(&root, limit, &mut print).await;
    drop(progress);
    match (write_error, walked) {
        // The reader has read enough.
        (Some(error), _) if error.kind() == io::ErrorKind::BrokenPipe => {
            // Dropped whole, the buffer would be written once more.
            drop(out.into_parts());
            Ok(())
        }
        (Some(error), _) => Err(QueryError::Device(format!("stdout: {error}"))),
        (None, Err(error)) => Err(query.error(&error)),
        (None, Ok(Some(error))) => Err(QueryError::Device(format!("snmp: {error}"))),
        (None, Ok(None)) => {
            if total == 0 {
                tracing::warn!("the device has no objects below {root}");
            }
            Ok(())
        }
    }
}

/// Writes the values of one answer before the next request is sent.
fn write(out: &mut impl io::Write, varbinds: &[Varbind], as_json: bool) -> io::Result<()> {
    for varbind in varbinds {
        writeln!(out, "{}", value::line(varbind, as_json))?;
    }
    out.flush()
}
