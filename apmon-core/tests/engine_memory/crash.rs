//! No change is lost, whenever the process is killed.

use std::{sync::Arc, time::Duration};

use apmon_core::Memory;
use proptest::prelude::*;

use crate::{
    Switch, count, counting, notice, plan, stored_memory,
    support::{MemoryStore, Site, every, sleep},
};

#[derive(Clone, Copy, Debug)]
enum Step {
    WaitMillis(u64),
    Crash,
    Restart,
    StoreFails(bool),
    StoreHangs(bool),
    ReceiverHangs(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (1..1_000_u64).prop_map(Step::WaitMillis),
        3 => (1..20_000_u64).prop_map(Step::WaitMillis),
        2 => Just(Step::Crash),
        1 => Just(Step::Restart),
        1 => any::<bool>().prop_map(Step::StoreFails),
        1 => any::<bool>().prop_map(Step::StoreHangs),
        1 => any::<bool>().prop_map(Step::ReceiverHangs),
    ];
    prop::collection::vec(step, 1..30)
}

/// Every change in the baseline on disk was sent, or its message is on disk too.
fn assert_none_is_lost(site: &Site) {
    let mut texts = site.recorder.texts();
    let outbox = site.store.outbox();
    texts.extend(outbox.into_iter().map(|entry| entry.notification.text));
    for n in 1..=count(&stored_memory(&site.store)) {
        let expected = format!("switch in s: change {n} at ");
        assert!(
            texts.iter().any(|text| text.starts_with(&expected)),
            "{expected} is not among {texts:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// A change is in the baseline on disk only together with its message:
    /// whenever the process is killed, none is lost.
    #[test]
    fn no_change_is_lost_whenever_the_process_is_killed(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let site = Site::with_store(Arc::new(MemoryStore {
                delay: Duration::from_millis(200),
                ..MemoryStore::default()
            }));
            // Each check finds the next change.
            let observe = |memory: &Memory| {
                let mut observation = counting(memory);
                observation.notices = vec![notice(&format!("change {}", count(memory) + 1))];
                observation
            };
            let start = || site.start(plan(&site, Switch::new(every(3), observe)));
            let mut daemon = start();
            for step in steps {
                match step {
                    Step::WaitMillis(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
                    Step::StoreFails(fails) => site.store.fails.set(fails),
                    Step::StoreHangs(hangs) => site.store.hangs.set(hangs),
                    Step::ReceiverHangs(hangs) => site.recorder.hangs.set(hangs),
                    Step::Crash => {
                        daemon.kill().await;
                        daemon = start();
                    }
                    Step::Restart => {
                        let _ = daemon.stop().await;
                        daemon = start();
                    }
                }
                assert_none_is_lost(&site);
            }
            site.store.fails.set(false);
            daemon.kill().await;
            site.store.hangs.set(false);
            site.recorder.hangs.set(false);
            let daemon = start();
            // Longer than the longest pause between two attempts.
            sleep(330).await;
            assert!(site.store.outbox().len() < 3, "waiting messages were sent");
            assert!(daemon.stop().await.saved);
            assert_none_is_lost(&site);
            assert!(count(&stored_memory(&site.store)) > 5);
        });
    }
}
