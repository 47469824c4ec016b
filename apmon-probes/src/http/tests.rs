use std::time::Duration;

use rustls::ClientConfig;
use tokio::io::duplex;

use super::*;

fn tls() -> Arc<ClientConfig> {
    tls::client(Vec::new(), false)
}

fn probe(url: &str) -> HttpProbe {
    HttpProbe {
        plan: Arc::new(Plan {
            target: Target::new(url.parse().unwrap(), crate::endpoint::Way::default()).unwrap(),
            post: None,
            expect: None,
            tls: tls(),
            pinned: false,
        }),
        resolver: Arc::default(),
    }
}

#[tokio::test]
async fn a_look_that_waits_takes_little_room() {
    let probe = probe("https://nas.lan/");
    let look = crate::course::look(Duration::from_secs(20));
    let size = size_of_val(&probe.look(&look, &mut Course::start()));
    assert!(size < 1_536, "{size}");
    // The stage behind the connection, which is boxed.
    let (stream, _peer) = duplex(64);
    let request = compose(&probe.plan.target, None);
    let size = size_of_val(&exchange(stream, request, None, &look, &mut Course::start()));
    assert!(size < 2_560, "{size}");
}
