//! Where a check goes on to that has been referred to a host.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_address_that_has_answered_comes_first_when_the_check_goes_on() {
    let host = host(&[("192.0.2.1", PROMPT), ("192.0.2.2", PROMPT)]);
    let check = new_check(TIMEOUT);
    let target = host.target().unwrap();
    let mut attempts = Attempts::of(target, Reach::default(), &check).await.unwrap();
    let _first = attempts.next_check().unwrap();
    let second = attempts.next_check().unwrap();
    second.reached();
    let mut onward = Attempts::onward(target, &second).await.unwrap();
    assert_eq!(onward.next_check().unwrap().address(), second.address());
}

/// Where a check goes on to that is at the second address of a host, and has been referred to
/// `to`.
async fn goes_on(addresses: Addresses, of_host: &str, to: &str) -> Vec<String> {
    let mut first = host(&[
        ("192.0.2.1", PROMPT),
        ("192.0.2.2", PROMPT),
        ("192.0.2.3", PROMPT),
    ]);
    first.remote = remote(of_host);
    let check = new_check(TIMEOUT);
    let reach = Reach {
        addresses,
        ..Reach::default()
    };
    let mut attempts = Attempts::of(first.target().unwrap(), reach, &check)
        .await
        .unwrap();
    let at = match (addresses, of_host) {
        (Addresses::First, _) => attempts.next_check().unwrap(),
        (_, "nas.lan") => attempts.all().swap_remove(1),
        _ => attempts.next_check().unwrap(),
    };
    at.reached();
    // Answers change their order from one look-up to the next.
    let addresses: &[&str] = match to {
        "nas.lan" => &["192.0.2.3", "192.0.2.1", "192.0.2.2"],
        "same.lan" => &["192.0.2.3", "192.0.2.2", "192.0.2.1"],
        _ => &["198.51.100.1", "198.51.100.2"],
    };
    let behaviour: Vec<_> = addresses.iter().map(|address| (*address, PROMPT)).collect();
    let mut second = host(&behaviour);
    second.remote = remote(to);
    let mut onward = Attempts::onward(second.target().unwrap(), &at).await.unwrap();
    let mut tried = Vec::new();
    while let Some(next) = onward.next_check() {
        tried.push(next.address().unwrap().to_string());
        let refused = Failure::new(FailureClass::Refused, "refused");
        onward.goes_on(&next, &refused);
    }
    tried
}

#[tokio::test(start_paused = true)]
async fn with_first_or_all_no_other_address_of_the_host_answers_when_the_check_goes_on() {
    let (first, all) = (Addresses::First, Addresses::All);
    for (addresses, to, tried) in [
        (first, "nas.lan", vec!["192.0.2.1"]),
        (first, "same.lan", vec!["192.0.2.1"]),
        (first, "other.lan", vec!["198.51.100.1"]),
        (all, "nas.lan", vec!["192.0.2.2"]),
        (all, "NAS.lan", vec!["192.0.2.2"]),
        (all, "same.lan", vec!["192.0.2.2"]),
        (all, "other.lan", vec!["198.51.100.1", "198.51.100.2"]),
        (
            Addresses::Any,
            "nas.lan",
            vec!["192.0.2.2", "192.0.2.3", "192.0.2.1"],
        ),
    ] {
        assert_eq!(
            goes_on(addresses, "nas.lan", to).await,
            tried,
            "{addresses:?} {to}"
        );
    }
    // The monitor's own host needs no name for it.
    let tried = goes_on(first, "192.0.2.9", "other.lan").await;
    assert_eq!(tried, ["198.51.100.1"]);
}
