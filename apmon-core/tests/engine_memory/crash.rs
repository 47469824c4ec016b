//! No change is lost, whenever the process is killed.

use std::time::Duration;

use apmon_core::{
    Memory,
    testing::{Answer, MemoryStore, StoreAnswer, every},
};
use proptest::prelude::*;

use crate::{
    Switch, count, counting, notice, plan, stored_memory,
    support::{Site, sleep},
};

#[derive(Clone, Debug)]
enum Step {
    WaitMillis(u64),
    Crash,
    Restart,
    Store(StoreAnswer),
    Receiver(Answer),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let store = prop_oneof![
        4 => Just(StoreAnswer::Stores),
        2 => Just(StoreAnswer::Fails),
        2 => Just(StoreAnswer::Hangs),
        1 => Just(StoreAnswer::Unavailable),
        1 => any::<bool>().prop_map(|stored| StoreAnswer::Unknown { stored }),
    ];
    let receiver = prop_oneof![Just(Answer::Accepts), Just(Answer::Hangs)];
    let step = prop_oneof![
        2 => (1..1_000_u64).prop_map(Step::WaitMillis),
        3 => (1..20_000_u64).prop_map(Step::WaitMillis),
        2 => Just(Step::Crash),
        1 => Just(Step::Restart),
        2 => store.prop_map(Step::Store),
        1 => receiver.prop_map(Step::Receiver),
    ];
    prop::collection::vec(step, 1..30)
}

/// Every change in the baseline on disk was sent, or its notification is on disk too.
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

    /// A change is in the baseline on disk only together with its notification:
    /// whenever the process is killed, none is lost.
    #[test]
    fn no_change_is_lost_whenever_the_process_is_killed(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let site = Site::with_store(MemoryStore::new());
            site.store.set_delay(Duration::from_millis(200));
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
                    Step::Store(answer) => site.store.set(answer),
                    Step::Receiver(answer) => site.recorder.set(answer),
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
            daemon.kill().await;
            site.store.set(StoreAnswer::Stores);
            site.recorder.set(Answer::Accepts);
            let daemon = start();
            // Longer than the longest pause between two attempts.
            sleep(330).await;
            assert!(site.store.outbox().len() < 3, "waiting notifications were sent");
            assert!(daemon.stop().await.saved);
            assert_none_is_lost(&site);
            assert!(count(&stored_memory(&site.store)) > 5);
        });
    }
}
