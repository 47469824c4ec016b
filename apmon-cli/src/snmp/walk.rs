//! `apmon snmp walk`: everything below an object, as it comes.

use std::{
    io::{self, BufWriter},
    ops::ControlFlow,
};

use apmon_snmp::name;
use apmon_snmp_client::Varbind;
use clap::Args;

use super::{
    agent::{AgentArgs, Trouble},
    shown,
};
use crate::progress::Progress;

#[derive(Args)]
pub(super) struct WalkArgs {
    #[command(flatten)]
    pub(super) agent: AgentArgs,
    /// Where to begin: a number, or the name of what apmon itself asks for (system, ifTable, ifAlias).
    #[arg(value_name = "OID", default_value = "1.3.6.1.2.1")]
    oid: String,
    /// The most values to read.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print JSON, an object per line.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &WalkArgs) -> Result<(), Trouble> {
    let root = name::subtree(&args.oid).map_err(|error| Trouble::Usage(error.into()))?;
    let asked = args.agent.read()?;
    let mut session = asked.session().await?;
    session.wait_for_each(asked.timeout);
    let mut out = BufWriter::new(io::stdout());
    let mut progress = Progress::beside_output();
    let (mut count, mut unwritten) = (0, None);
    let mut sink = |varbinds: Vec<Varbind>| {
        count += varbinds.len();
        match write(&mut out, &varbinds, args.json) {
            Ok(()) => {
                progress.say(|| format!("{count} values so far"));
                ControlFlow::Continue(())
            }
            Err(error) => {
                unwritten = Some(error);
                ControlFlow::Break(())
            }
        }
    };
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let walked = session.walk_into(&root, limit, &mut sink).await;
    drop(progress);
    match (unwritten, walked) {
        // Whoever read it has seen enough.
        (Some(error), _) if error.kind() == io::ErrorKind::BrokenPipe => {
            // What is left in it would be written once more.
            drop(out.into_parts());
            Ok(())
        }
        (Some(error), _) => Err(Trouble::Device(format!("stdout: {error}"))),
        (None, Err(error)) => Err(asked.trouble(&error)),
        (None, Ok(Some(failure))) => Err(Trouble::Device(format!("snmp: {failure}"))),
        (None, Ok(None)) => {
            if count == 0 {
                tracing::warn!("the device has nothing below {root}");
            }
            Ok(())
        }
    }
}

/// What one answer brought, before the next is asked for.
fn write(out: &mut impl io::Write, varbinds: &[Varbind], as_json: bool) -> io::Result<()> {
    for varbind in varbinds {
        writeln!(out, "{}", shown::line(varbind, as_json))?;
    }
    out.flush()
}
