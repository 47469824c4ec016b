//! Everything that a site file says, inside another program: monitors, channels,
//! fallbacks, heartbeats, caps. Run it with the path of a site file.

#![allow(clippy::print_stdout)] // a program, not a library

use std::{env, error::Error, path::Path, sync::Arc};

use apmon_core::{Commit, Engine, Services, Snapshot, StateStore, StoreError, config};

/// Keeps no state; `apmon-store` has stores that do.
struct Forgetful;

#[async_trait::async_trait]
impl StateStore for Forgetful {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        Ok(Snapshot::default())
    }

    async fn commit(&self, _: &Commit) -> Result<(), StoreError> {
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args().nth(1).ok_or("usage: site_file SITE.yaml")?;
    let services = Services::default(); // what all sites of a process share
    apmon_probes::install(&services);
    apmon_notify::install(&services);
    let kinds = [apmon_probes::KINDS, apmon_snmp::KINDS].concat();
    let env = &config::ProcessEnvironment; // for values such as ${PASSWORD}
    let file = config::load(Path::new(&path), &kinds, apmon_notify::CHANNELS, env)?;
    let report = Engine::new(file.plan(&services), Arc::new(Forgetful))
        .pass()
        .await?;
    println!("{} of {} monitors are up", report.up, report.watched);
    Ok(())
}
