use std::time::Duration;

use hyper::{HeaderMap, Version};
use tokio::io::duplex;

use super::*;
use apmon_tls::Trust;

use crate::{
    budget::{Framing, Metered},
    tls::Tls,
};

fn probe(url: &str) -> HttpProbe<TcpCarrier> {
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
            version: None,
            tls: Tls::new(Trust::default(), None, &[]),
        }),
        local: Arc::default(),
        carrier: TcpCarrier,
    }
}

#[tokio::test]
async fn a_waiting_check_takes_little_memory() {
    let probe = probe("https://nas.lan/");
    let check = crate::recorder::check(Duration::from_secs(20));
    let size = size_of_val(&probe.check(&check, &mut CheckRecorder::start()));
    assert!(size < 1_536, "{size}");
    // What follows the connection is boxed.
    let (stream, _peer) = duplex(64);
    let hop = Hop {
        plan: &probe.plan,
        target: &probe.plan.target,
        post: None,
        cookies: None,
    };
    let request = hop.compose(Version::HTTP_11);
    let expected = probe.plan.expected();
    let size = size_of_val(&exchange::by_http1(
        Metered::wire(stream, Framing::http1()),
        request,
        expected,
        &check,
        &mut CheckRecorder::start(),
    ));
    assert!(size < 3_328, "{size}");
}
