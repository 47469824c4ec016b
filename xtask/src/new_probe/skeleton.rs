//! `skeleton`: does the service accept a connection and send the expected text?

use std::sync::Arc;

use apmon_core::{
    Blueprint, Check, Failure, Kind, Outcome, Probe, ProbeTarget,
    config::{Section, Text},
    errno,
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;

use crate::{
    endpoint::Endpoint,
    expect::{Expect, Search},
    local::Local,
    recorder::CheckRecorder,
};

/// The part of an answer that is searched.
const MAX_ANSWER: usize = 64 * 1024;

/// Options of `type: skeleton`.
// Each field's comment appears in the operator's reference. A required option
// is an `Option` marked `#[schemars(required)]`, and `compile` calls
// `section.require` for it.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct SkeletonOptions {
    /// Text that the service must send within the first 64 KiB. Without it, the
    /// monitor is up once connected.
    pub expect: Option<Text>,
}

/// The kind `skeleton`.
#[derive(Debug)]
pub struct Skeleton;

impl Kind for Skeleton {
    type Options = SkeletonOptions;

    fn name(&self) -> &'static str {
        "skeleton"
    }

    fn summary(&self) -> &'static str {
        "connects to a port and searches the answer"
    }

    fn address(&self) -> &'static str {
        "scaffold://host:port"
    }

    fn example(&self) -> &'static str {
        "type: skeleton\nname: lab-scaffold\naddress: scaffold://192.168.1.10:7\n"
    }

    fn schemes(&self) -> &'static [&'static str] {
        &["scaffold"]
    }

    fn compile(&self, options: SkeletonOptions, section: &mut Section<'_>) -> Option<Blueprint> {
        let plan = Arc::new(Plan {
            endpoint: Endpoint::read(section, "scaffold")?,
            expect: options.expect.as_ref().map(Expect::new),
        });
        Some(Blueprint::probe(move |services| SkeletonProbe {
            plan: Arc::clone(&plan),
            local: services.shared(),
        }))
    }
}

struct Plan {
    endpoint: Endpoint,
    expect: Option<Expect>,
}

struct SkeletonProbe {
    plan: Arc<Plan>,
    local: Arc<Local>,
}

#[async_trait]
impl Probe for SkeletonProbe {
    async fn probe(&self, check: &Check) -> Outcome {
        let mut recorder = CheckRecorder::of(check);
        let result = self.check(check, &mut recorder).await;
        recorder.finish(result, check, &self.local.network)
    }

    /// If this is a name, the engine gives each check one of its addresses.
    fn target(&self) -> Option<ProbeTarget<'_>> {
        Some(self.local.target(&self.plan.endpoint.remote))
    }
}

impl SkeletonProbe {
    /// Makes one attempt within the check's deadline, without retry and sleep.
    async fn check(&self, check: &Check, recorder: &mut CheckRecorder) -> Result<(), Failure> {
        let plan = &*self.plan;
        let mut stream = plan.endpoint.connect(check, recorder, &self.local).await?;
        let Some(expect) = &plan.expect else { return Ok(()) };
        let mut search = Search::new(Some(expect), check);
        let mut buffer = vec![0; 4096];
        loop {
            // `within` limits every wait to the deadline and names the step in
            // the failure.
            let read = check.within("receive", stream.read(&mut buffer)).await?;
            match read.map_err(|error| errno::failure("receive", &error))? {
                0 => return Err(search.closed()),
                n if search.feed(&buffer[..n]) => return Ok(()),
                _ if search.seen() >= MAX_ANSWER => return Err(search.too_long()),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, time::Duration};

    use apmon_core::{Clock, Services, SystemClock, Verdict, config};
    use tokio::{io::AsyncWriteExt as _, net::TcpListener};

    use super::*;

    async fn verdict(address: SocketAddr, expect: &str) -> Verdict {
        let site = format!(
            "site: {{name: Lab}}\nmonitors: [{{type: skeleton, name: a, address: 'scaffold://{address}', expect: {expect}}}]"
        );
        let site = config::parse(
            "lab.yaml".as_ref(),
            &site,
            &[&Skeleton],
            &[],
            &config::ProcessEnvironment,
        )
        .unwrap();
        let monitor = site.monitors[0].build(&Services::default());
        let now = SystemClock::new().now();
        let check = Check::new(now.mono, now, Duration::from_secs(5));
        monitor.check(&check).await.outcome.verdict()
    }

    #[tokio::test]
    async fn the_expected_text_must_arrive() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.write_all(b"hello").await.unwrap();
            }
        });
        assert_eq!(verdict(address, "hello").await, Verdict::Up);
        assert_eq!(verdict(address, "goodbye").await, Verdict::Down);
    }
}
