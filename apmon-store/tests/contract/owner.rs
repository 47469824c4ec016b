//! Ownership: epochs, claims, and commits whose answer was lost.

use std::{sync::Barrier, thread};

use apmon_core::{Commit, Snapshot, StateStore, StoreError};

use crate::{Home, state, states};

pub(crate) async fn a_commit_of_an_older_epoch_is_refused_and_changes_nothing(home: &dyn Home) {
    let store = home.open();
    let older = store.load().await.unwrap().epoch;
    store.commit(&states(older, &[("a", 1)])).await.unwrap();
    let newer = store.load().await.unwrap().epoch;
    let error = store.commit(&states(older, &[("a", 2)])).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Superseded { epoch, newest } if epoch == older && newest == Some(newer)),
        "{error}"
    );
    assert_eq!(*store.load().await.unwrap().monitors["a"], state(1));
}

pub(crate) async fn a_commit_whose_answer_was_lost_is_not_applied_again(home: &dyn Home) {
    let store = home.open();
    let epoch = store.load().await.unwrap().epoch;
    let numbered = |number, n| Commit {
        number,
        ..states(epoch, &[("a", n)])
    };
    store.commit(&numbered(1, 1)).await.unwrap();
    store.commit(&numbered(2, 2)).await.unwrap();
    store.commit(&numbered(1, 1)).await.unwrap();
    store.commit(&numbered(2, 2)).await.unwrap();
    drop(store);
    // Also if the store was restarted in between.
    let store = home.open();
    store.commit(&numbered(1, 1)).await.unwrap();
    store.commit(&numbered(3, 3)).await.unwrap();
    store.commit(&numbered(2, 2)).await.unwrap();
    let snapshot = store.load().await.unwrap();
    assert_eq!(*snapshot.monitors["a"], state(3));
    // The next owner counts anew.
    let commit = Commit {
        number: 1,
        ..states(snapshot.epoch, &[("a", 4)])
    };
    store.commit(&commit).await.unwrap();
    assert_eq!(*store.load().await.unwrap().monitors["a"], state(4));
}

pub(crate) async fn a_claim_refuses_the_owner_before_it(home: &dyn Home) {
    let (old, new) = (home.open(), home.open());
    let older = old.load().await.unwrap().epoch;
    old.commit(&states(older, &[("a", 1)])).await.unwrap();
    let newer = new.load().await.unwrap().epoch;
    assert!(newer > older);
    let error = old.commit(&states(older, &[("a", 2)])).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Superseded { newest, .. } if newest == Some(newer)),
        "{error}"
    );
    assert_eq!(
        *home.open().load().await.unwrap().monitors["a"],
        state(1),
        "nothing was written after the claim"
    );
}

/// Owners that claim and write at the same time, each on a thread of its own.
const RACERS: usize = 3;
/// How often each of them does so, one time right after the other.
const TURNS: usize = 10;

pub(crate) async fn of_owners_that_claim_at_once_one_may_write(home: &dyn Home) {
    // The first round finds no file.
    for round in 0..home.rounds() {
        let stores: [_; RACERS] = std::array::from_fn(|_| home.open());
        let start = Barrier::new(RACERS);
        let mut claims = thread::scope(|scope| {
            let racers = stores
                .iter()
                .map(|store| scope.spawn(|| claim_and_write(&**store, &start)));
            let racers: Vec<_> = racers.collect();
            let claims = racers.into_iter().flat_map(|racer| racer.join().unwrap());
            claims.collect::<Vec<_>>()
        });
        claims.sort_by_key(|claim| claim.loaded.epoch);
        for (n, older) in claims.iter().enumerate() {
            for newer in &claims[n + 1..] {
                let epochs = (older.loaded.epoch, newer.loaded.epoch);
                assert!(epochs.0 < epochs.1, "round {round}: {epochs:?} was granted twice");
                // What was written before the newer claim was read by it; later, nothing was.
                let is_known = newer.loaded.monitors.contains_key(&older.monitor);
                assert_eq!(is_known, older.was_accepted, "round {round}: {epochs:?}");
            }
        }
        assert!(
            claims.last().unwrap().was_accepted,
            "round {round}: the newest owner"
        );
        let stored = home.open().load().await.unwrap().monitors;
        for claim in &claims {
            let is_stored = stored.contains_key(&claim.monitor);
            assert_eq!(is_stored, claim.was_accepted, "round {round}");
        }
    }
}

/// What an owner loaded, the monitor whose state it wrote, and whether that was accepted.
struct Claim {
    loaded: Snapshot,
    monitor: String,
    was_accepted: bool,
}

fn claim_and_write(store: &dyn StateStore, start: &Barrier) -> Vec<Claim> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let claim = async || {
        let loaded = store.load().await.unwrap();
        let monitor = format!("of epoch {}", loaded.epoch);
        let was_accepted = match store.commit(&states(loaded.epoch, &[(&monitor, 1)])).await {
            Ok(()) => true,
            Err(StoreError::Superseded { .. }) => false,
            Err(error) => panic!("{error}"),
        };
        Claim {
            loaded,
            monitor,
            was_accepted,
        }
    };
    start.wait();
    (0..TURNS).map(|_| runtime.block_on(claim())).collect()
}

pub(crate) async fn each_load_grants_a_newer_epoch(home: &dyn Home) {
    let store = home.open();
    let first = store.load().await.unwrap().epoch;
    let second = store.load().await.unwrap().epoch;
    assert!(second > first);
    store.commit(&states(second, &[("a", 1)])).await.unwrap();
    drop(store);
    assert!(home.open().load().await.unwrap().epoch > second);
}
