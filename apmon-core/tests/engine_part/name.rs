//! Names of parts: those with a slash, and those that something else has.

use super::*;

/// The names of all monitors and parts in the status.
async fn names(stage: &mut Stage) -> Vec<String> {
    let status = stage.handle().status().await.unwrap();
    let names = status.monitors.into_iter().flat_map(|monitor| {
        let parts: Vec<_> = monitor.parts.into_iter().map(|part| part.name).collect();
        [vec![monitor.name], parts].concat()
    });
    names.collect()
}

#[tokio::test(start_paused = true)]
async fn the_name_of_a_part_may_have_slashes() {
    let says = Says::new(&[("Gi1/0/7", down("no link")), ("Gi1/0/8", up())]);
    let (mut stage, phone, _) = stage([says.monitor(policy())]);
    stage.run_for(secs(90)).await;
    assert_eq!(take(&phone), ["NEW OUTAGE switch/Gi1/0/7"]);
    stage.restart().await;
    stage.run_for(secs(60)).await;
    assert_eq!(take(&phone), [""; 0]);
    assert_eq!(
        names(&mut stage).await,
        ["switch", "switch/Gi1/0/7", "switch/Gi1/0/8"]
    );
}

/// Both lists have a part whose full name is `a/b/c`.
#[tokio::test(start_paused = true)]
async fn a_name_belongs_to_the_part_that_had_it_first_also_after_a_restart() {
    let (outer, inner) = (Says::new(&[("b/c", down("no link"))]), Says::new(&[("d", up())]));
    let (mut stage, phone, store) = stage([outer.named("a", policy()), inner.named("a/b", policy())]);
    stage.run_for(secs(90)).await;
    assert_eq!(take(&phone), ["NEW OUTAGE a/b/c"]);
    inner.list(up(), &[("c", up()), ("d", up())]);
    stage.run_for(secs(120)).await;
    stage.restart().await;
    stage.run_for(secs(120)).await;
    assert_eq!(take(&phone), [""; 0], "it is another part that is up");
    assert_eq!(names(&mut stage).await, ["a", "a/b/c", "a/b", "a/b/d"]);
    assert_eq!(store.state("a/b/c").is_up, Some(false));
    // The name is free again.
    outer.list(up(), &[]);
    stage.run_for(secs(120)).await;
    assert_eq!(take(&phone), ["NO LONGER WATCHED a/b/c"]);
    assert_eq!(names(&mut stage).await, ["a", "a/b", "a/b/c", "a/b/d"]);
}

#[tokio::test(start_paused = true)]
async fn a_part_is_not_watched_under_the_name_of_a_monitor() {
    let (says, other) = (
        Says::new(&[("eth0", up()), ("eth1", down("no link"))]),
        Says::new(&[]),
    );
    let monitors = [says.monitor(policy()), other.named("switch/eth1", policy())];
    let (mut stage, phone, store) = stage(monitors);
    stage.run_for(secs(300)).await;
    assert_eq!(take(&phone), [""; 0]);
    assert_eq!(names(&mut stage).await, ["switch", "switch/eth0", "switch/eth1"]);
    assert_eq!(store.state("switch/eth1").own.part_at, None);
    assert_eq!(store.state("switch/eth1").is_up, Some(true));
}

#[tokio::test(start_paused = true)]
async fn a_new_monitor_with_the_name_of_a_part_continues_its_outage() {
    for is_running in [true, false] {
        let (says, other) = (Says::new(&[("eth1", down("no link"))]), Says::new(&[]));
        other.list(down("no link"), &[]);
        let (mut stage, phone, store) = stage([says.monitor(policy())]);
        stage.run_for(secs(90)).await;
        assert_eq!(take(&phone), ["NEW OUTAGE switch/eth1"]);
        if !is_running {
            stage.kill().await;
        }
        let monitors = [says.monitor(policy()), other.named("switch/eth1", policy())];
        stage.reload(plan(monitors, &phone)).await;
        stage.run_for(secs(120)).await;
        assert_eq!(take(&phone), [""; 0]);
        other.list(up(), &[]);
        stage.run_for(secs(60)).await;
        assert_eq!(take(&phone), ["RECOVERY switch/eth1"]);
        assert_eq!(store.state("switch/eth1").own.part_at, None);
        // Without the monitor, the part is watched again.
        stage.reload(plan([says.monitor(policy())], &phone)).await;
        stage.run_for(secs(60)).await;
        assert_eq!(take(&phone), ["NEW OUTAGE switch/eth1"]);
        assert!(store.state("switch/eth1").own.part_at.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn parts_without_a_usable_name_are_left_out() {
    let long = "x".repeat(256);
    let says = Says::new(&[
        ("", down("no link")),
        (&long, down("no link")),
        ("eth0", up()),
        ("eth0", down("listed twice")),
        (&long[..255], up()),
    ]);
    let (mut stage, phone, _) = stage([says.monitor(policy())]);
    stage.run_for(secs(300)).await;
    assert_eq!(take(&phone), [""; 0]);
    let names = names(&mut stage).await;
    assert_eq!(names[..2], ["switch", "switch/eth0"]);
    assert_eq!(names[2..], [format!("switch/{}", &long[..255])]);
}
