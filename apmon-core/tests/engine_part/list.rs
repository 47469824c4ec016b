//! Parts that appear, vanish, or are not checked.

use super::*;
use apmon_core::Condition;

#[tokio::test(start_paused = true)]
async fn a_part_that_vanishes_while_down_is_no_longer_watched() {
    let says = Says::new(&[("eth0", up()), ("eth1", down("no link"))]);
    let (mut stage, phone, store) = stage([says.monitor(policy())]);
    stage.run_for(secs(90)).await;
    assert_eq!(take(&phone), ["NEW OUTAGE switch/eth1"]);
    let incident = store.state("switch/eth1").own.incident.unwrap();

    says.list(up(), &[("eth0", up())]);
    stage.run_for(secs(3600)).await;
    let [end] = &phone.take()[..] else { panic!() };
    let end = &end.notification;
    assert_eq!(
        (end.kind.label(), &end.incident),
        ("NO LONGER WATCHED", &incident)
    );
    let text = "switch/eth1 in HomeLab is no longer watched at ";
    assert!(end.text.starts_with(text), "{}", end.text);
    assert!(store.state("switch/eth1").own.removed_at.is_some());
    let last = store
        .history()
        .incidents
        .into_iter()
        .rfind(|it| it.id == incident);
    assert!(last.unwrap().ended.is_some());
    let status = stage.handle().status().await.unwrap();
    let parts: Vec<_> = status.monitors[0].parts.iter().map(|part| &part.name).collect();
    assert_eq!(parts, ["switch/eth0"]);

    // It comes back, and starts from scratch.
    says.list(up(), &[("eth0", up()), ("eth1", up())]);
    stage.run_for(secs(60)).await;
    says.list(up(), &[("eth0", up()), ("eth1", down("no link"))]);
    stage.run_for(secs(60)).await;
    assert_eq!(take(&phone), ["NEW OUTAGE switch/eth1"]);
    assert_ne!(store.state("switch/eth1").own.incident.unwrap(), incident);
}

#[tokio::test(start_paused = true)]
async fn a_part_that_vanishes_while_up_is_not_announced() {
    let says = Says::new(&[("eth0", up()), ("eth1", up())]);
    let (mut stage, phone, store) = stage([says.monitor(every(3600))]);
    stage.run_for(secs(90)).await;
    says.list(up(), &[]);
    stage.run_for(secs(3600)).await;
    assert_eq!(take(&phone), [""; 0]);
    assert!(store.state("switch/eth0").own.removed_at.is_some());
    // As of a monitor, the state is deleted after 30 days.
    stage.run_for(secs(31 * 86_400)).await;
    let names: Vec<_> = store.snapshot().monitors.into_keys().collect();
    assert_eq!(names, ["switch"]);
}

#[tokio::test(start_paused = true)]
async fn parts_that_were_not_checked_keep_their_state_and_their_reminders() {
    for outcome in [down("no answer"), unknown()] {
        let says = Says::new(&[("eth0", up()), ("eth1", down("no link"))]);
        let (mut stage, phone, store) = stage([says.monitor(policy())]);
        stage.run_for(secs(90)).await;
        take(&phone);
        let checked = store.state("switch/eth0").last_checked;
        says.list(outcome, &[]);
        stage.run_for(secs(120)).await;
        stage.restart().await;
        stage.run_for(secs(500)).await;
        let all = take(&phone);
        assert!(all.contains(&"DOWN switch/eth1".to_owned()), "{all:?}");
        assert!(!all.iter().any(|line| line.contains("eth0")), "{all:?}");
        let eth0 = store.state("switch/eth0");
        assert_eq!(
            (eth0.is_up, eth0.own.unknown_since, eth0.own.removed_at),
            (Some(true), None, None)
        );
        assert!(eth0.last_checked >= checked);
        says.list(up(), &[("eth0", up()), ("eth1", up())]);
        stage.run_for(secs(60)).await;
        assert!(take(&phone).contains(&"RECOVERY switch/eth1".to_owned()));
    }
}

/// A monitor that is down itself may still know some of its parts.
#[tokio::test(start_paused = true)]
async fn parts_that_a_monitor_lists_while_it_is_down_are_checked() {
    let says = Says::new(&[("eth0", up()), ("eth1", up())]);
    let (mut stage, phone, _) = stage([says.monitor(policy())]);
    stage.run_for(secs(90)).await;
    says.list(down("a fan failed"), &[("eth1", down("no link"))]);
    stage.run_for(secs(60)).await;
    assert_eq!(take(&phone), ["NEW OUTAGE switch", "NEW OUTAGE switch/eth1"]);
    let status = stage.handle().status().await.unwrap();
    let parts = status.monitors[0].parts.iter();
    let parts: Vec<_> = parts.map(|part| (part.name.as_str(), part.state)).collect();
    assert_eq!(
        parts,
        [("switch/eth0", Condition::Up), ("switch/eth1", Condition::Down)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_signal_about_one_part_says_nothing_about_the_others() {
    let says = Says::new(&[("eth0", down("no link")), ("eth1", up())]);
    let (mut stage, phone, _) = stage([says.monitor(every(3600))]);
    stage.run_for(secs(90)).await;
    assert_eq!(take(&phone), ["NEW OUTAGE switch/eth0"]);
    for (state, line) in [
        ("no link", "NEW OUTAGE switch/eth1"),
        ("up", "RECOVERY switch/eth1"),
    ] {
        let trap = Signal::new("eth1").with("is", state);
        stage.handle().report("switch", trap).await.unwrap();
        stage.run_for(secs(10)).await;
        assert_eq!(take(&phone), [line]);
    }
    let status = stage.handle().status().await.unwrap();
    assert_eq!(status.monitors[0].parts.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_parts_of_a_removed_monitor_go_with_it() {
    let says = Says::new(&[("eth0", up()), ("eth1", down("no link"))]);
    let other = Says::new(&[("eth1", down("no link"))]);
    let (mut stage, phone, store) = stage([says.monitor(policy()), other.named("router", policy())]);
    stage.run_for(secs(90)).await;
    take(&phone);
    stage
        .reload(plan([other.named("router", policy())], &phone))
        .await;
    stage.run_for(secs(30)).await;
    assert_eq!(take(&phone), ["NO LONGER WATCHED switch/eth1"]);
    for name in ["switch", "switch/eth0", "switch/eth1"] {
        assert!(store.state(name).own.removed_at.is_some(), "{name}");
    }
    stage.handle().remove_monitor("router").await.unwrap();
    stage.run_for(secs(30)).await;
    assert_eq!(take(&phone), ["NO LONGER WATCHED router/eth1"]);

    // It is added again: its parts appear with its first check.
    stage.reload(plan([says.monitor(policy())], &phone)).await;
    stage.run_for(secs(60)).await;
    assert_eq!(take(&phone), ["NEW OUTAGE switch/eth1"]);
}

#[tokio::test(start_paused = true)]
async fn the_parts_of_a_monitor_that_was_removed_while_apmon_did_not_run_go_with_it() {
    let says = Says::new(&[("eth0", up()), ("eth1", down("no link"))]);
    let (mut stage, phone, store) = stage([says.monitor(policy())]);
    stage.run_for(secs(90)).await;
    stage.kill().await;
    take(&phone);
    stage.reload(plan([], &phone)).await;
    stage.run_for(secs(60)).await;
    assert_eq!(take(&phone), ["NO LONGER WATCHED switch/eth1"]);
    assert!(store.state("switch/eth0").own.removed_at.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_part_that_vanished_while_apmon_did_not_run_is_no_longer_watched() {
    let says = Says::new(&[("eth0", up()), ("eth1", down("no link"))]);
    let (mut stage, phone, _) = stage([says.monitor(policy())]);
    stage.run_for(secs(90)).await;
    stage.kill().await;
    take(&phone);
    says.list(up(), &[("eth0", up())]);
    stage.run_for(secs(60)).await;
    assert_eq!(take(&phone), ["NO LONGER WATCHED switch/eth1"]);
}

/// The names of the parts of `switch` in the status.
async fn parts(stage: &mut Stage) -> Vec<String> {
    let status = stage.handle().status().await.unwrap();
    let switch = status
        .monitors
        .into_iter()
        .find(|monitor| monitor.name == "switch");
    let parts = switch.unwrap().parts.into_iter();
    parts.map(|part| part.name).collect()
}

fn numbered(numbers: std::ops::Range<usize>, outcome: &Outcome) -> Vec<Part> {
    let parts = numbers.map(|n| Part::new(format!("eth{n:06}"), outcome.clone()));
    parts.collect()
}

#[tokio::test(start_paused = true)]
async fn of_a_list_without_end_the_first_thousand_parts_are_watched() {
    let says = Says::new(&[]);
    says.set(up(), numbered(0..100_000, &up()));
    let (mut stage, phone, store) = stage([says.monitor(policy())]);
    stage.run_for(secs(200)).await;
    let watched = parts(&mut stage).await;
    assert_eq!(
        (watched.len(), watched[999].as_str()),
        (1_000, "switch/eth000999")
    );
    assert_eq!(store.snapshot().monitors.len(), 1_001);
    // All of them have other names: the earlier ones are gone.
    says.set(up(), numbered(50_000..150_000, &up()));
    stage.run_for(secs(60)).await;
    let watched = parts(&mut stage).await;
    assert_eq!((watched.len(), watched[0].as_str()), (1_000, "switch/eth050000"));
    // While nothing is known to be gone, nothing is added.
    says.set(down("it restarts"), numbered(200_000..300_000, &down("no link")));
    stage.run_for(secs(200)).await;
    assert_eq!(parts(&mut stage).await, watched);
    assert_eq!(take(&phone), ["NEW OUTAGE switch"]);
}

/// Names that are new at every check: the states of those that vanished do not fill the memory.
#[tokio::test(start_paused = true)]
async fn parts_with_new_names_at_every_check_cost_limited_memory() {
    let says = Says::new(&[]);
    let (mut stage, _, store) = stage([says.monitor(policy())]);
    for round in 0..15 {
        says.set(up(), numbered(round * 1_000..(round + 1) * 1_000, &up()));
        stage.run_for(secs(60)).await;
    }
    let stored = store.snapshot().monitors.len();
    assert!(stored <= 11_001, "{stored}");
    assert_eq!(parts(&mut stage).await.len(), 1_000);
}
