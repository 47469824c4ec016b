use std::time::Duration;

use hyper::HeaderMap;
use tokio::io::duplex;

use super::*;
use apmon_tls::Trust;

use crate::tls::Tls;

fn probe(url: &str) -> HttpProbe {
    HttpProbe {
        plan: Arc::new(Plan {
            target: Target::new(
                url.parse().unwrap(),
                apmon_core::config::ResolveOptions::default(),
            )
            .unwrap(),
            post: None,
            expect: None,
            headers: HeaderMap::new(),
            proxy: None,
            statuses: Vec::new(),
            tls: Tls::new(Trust::default(), None, &[]),
        }),
        local: Arc::default(),
        quic: None,
    }
}

#[tokio::test]
async fn a_look_that_waits_takes_little_room() {
    let probe = probe("https://nas.lan/");
    let check = crate::recorder::check(Duration::from_secs(20));
    let size = size_of_val(&probe.check(&check, &mut CheckRecorder::start()));
    assert!(size < 1_536, "{size}");
    // The stage behind the connection, which is boxed.
    let (stream, _peer) = duplex(64);
    let request = probe.plan.compose(&probe.plan.target, None, Version::HTTP_11);
    let wanted = probe.plan.wanted();
    let size = size_of_val(&exchange::by_http1(
        stream,
        request,
        wanted,
        &check,
        &mut CheckRecorder::start(),
    ));
    assert!(size < 3_328, "{size}");
}
