//! Walks a subtree of an agent's MIB, or several columns side by side.
//! `cargo run -p apmon-snmp-client --example walk -- 127.0.0.1:161 public 1.3.6.1.2.1.1`
#![allow(clippy::print_stdout)] // it is a program

use std::{env, error::Error, net::SocketAddr, sync::Arc, time::Duration};

use apmon_snmp_client::{Agent, Credentials, Group, Oid, Secret, Session, Varbind};
use tokio::time::Instant;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let mut next = || arguments.next().ok_or("give ADDRESS COMMUNITY OID...");
    let address: SocketAddr = next()?.parse()?;
    let community = Secret::new(next()?);
    let roots: Vec<Oid> = arguments.map(|oid| oid.parse()).collect::<Result<_, _>>()?;

    let credentials = Arc::new(Credentials::V2c(community));
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut session = Session::open(address, credentials, Arc::<Agent>::default(), deadline).await?;
    let groups = vec![Group::new(roots.clone(), 100_000)];
    let began = Instant::now();
    let columns = session.columns(groups).await?.remove(0);
    for (root, column) in roots.iter().zip(&columns) {
        for row in &column.rows {
            println!(
                "{}",
                Varbind::new(Oid::join(root.parts(), &row.index), row.value.clone())
            );
        }
        if let Some(failure) = &column.failure {
            println!("{root}: {failure}");
        }
    }
    println!("{:?} in {:?}", session.stats(), began.elapsed());
    Ok(())
}
