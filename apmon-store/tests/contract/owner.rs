//! Ownership: epochs, claims, and commits whose answer was lost.

use apmon_core::{Commit, StoreError};

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

pub(crate) async fn of_owners_that_claim_at_once_one_may_write(home: &dyn Home) {
    // First without a file, then with one.
    for round in 0..2 {
        let stores = [home.open(), home.open(), home.open()];
        let mut epochs = Vec::new();
        for store in &stores {
            epochs.push(store.load().await.unwrap().epoch);
        }
        for turn in 0..2 {
            let mut accepted = Vec::new();
            for (store, epoch) in stores.iter().zip(&epochs) {
                match store.commit(&states(*epoch, &[("a", turn)])).await {
                    Ok(()) => accepted.push(*epoch),
                    Err(StoreError::Superseded { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            let newest = *epochs.iter().max().unwrap();
            assert_eq!(accepted, [newest], "round {round}, turn {turn}");
        }
    }
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
