//! The window after a message, in which a port is not reported again.

use crate::story::{STATION, Story, switch};

const DOWN: &str = "PORT CHANGE: GigabitEthernet0/2 oper=down admin=up (was oper=up admin=up)";
const UP: &str = "PORT CHANGE: GigabitEthernet0/2 oper=up admin=up (was oper=down admin=up)";

#[tokio::test]
async fn after_a_notification_a_port_is_silent_and_then_reports_its_latest_state() {
    let mut story = Story::begun(switch(4), "type: ports, notify_every_n_secs: 600").await;
    story.change(|device| device.port_down(2));
    assert_eq!(story.notices_after(30).await, [DOWN]);
    story.change(|device| device.port_up(2));
    assert_eq!(story.notices_after(30).await, [""; 0]);
    story.restart_apmon();
    assert_eq!(story.notices_after(540).await, [""; 0], "not yet");
    assert_eq!(story.notices_after(30).await, [UP]);
}

#[tokio::test]
async fn a_change_that_is_undone_within_the_window_is_not_reported() {
    let mut story = Story::begun(switch(4), "type: ports, notify_every_n_secs: 600").await;
    story.change(|device| device.port_down(2));
    assert_eq!(story.notices_after(30).await, [DOWN]);
    for _ in 0..5 {
        story.change(|device| device.port_up(2));
        assert_eq!(story.notices_after(30).await, [""; 0]);
        story.change(|device| device.port_down(2));
        let observation = story.after(30).await;
        assert_eq!(observation.notices, []);
        assert_eq!(observation.changes.len(), 1, "the change is in the history");
    }
    assert_eq!(story.notices_after(600).await, [""; 0]);
}

#[tokio::test]
async fn each_port_has_its_own_window() {
    let mut story = Story::begun(switch(4), "type: ports, notify_every_n_secs: 600").await;
    story.change(|device| device.port_down(2));
    assert_eq!(story.notices_after(30).await, [DOWN]);
    story.change(|device| device.port_down(3));
    assert_eq!(
        story.notices_after(30).await,
        ["PORT CHANGE: GigabitEthernet0/3 oper=down admin=up (was oper=up admin=up)"]
    );
}

#[tokio::test]
async fn a_port_s_state_and_its_stations_share_a_window() {
    let mut story = Story::begun(switch(4), "type: ports, notify_every_n_secs: 600").await;
    story.change(|device| device.port_down(2));
    assert_eq!(story.notices_after(30).await, [DOWN]);
    story.change(|device| {
        device.port_up(2);
        device.new_station(STATION, 2);
    });
    assert_eq!(story.notices_after(30).await, [""; 0]);
    assert_eq!(
        story.notices_after(600).await,
        [
            UP,
            "PORT MAC CHANGE: GigabitEthernet0/2 MAC change appeared=[AA:BB:CC:DD:EE:FF]"
        ]
    );
}

#[tokio::test]
async fn the_window_grows_along_the_curve_of_reminders_and_ends() {
    let options = "type: ports, notify_every_n_secs: 80, after_every_n_notifications: 4";
    let mut story = Story::begun(switch(4), options).await;
    let mut is_up = true;
    let mut received = Vec::new();
    // After each notification the port's state changes before the next check.
    for second in (5..=340).step_by(5) {
        if received.is_empty() || received.last() == Some(&(second - 5)) {
            is_up = !is_up;
            story.change(|device| match is_up {
                true => device.port_up(2),
                false => device.port_down(2),
            });
        }
        if !story.notices_after(5).await.is_empty() {
            received.push(second);
        }
    }
    assert_eq!(received, [5, 40, 100, 175, 255, 335]);
    // The latest state is reported, and then nothing for longer than a window.
    assert_eq!(story.notices_after(75).await.len(), 1);
    assert_eq!(story.notices_after(600).await, [""; 0]);
    story.change(|device| match is_up {
        true => device.port_down(2),
        false => device.port_up(2),
    });
    assert_eq!(story.notices_after(5).await.len(), 1);
    story.change(|device| match is_up {
        true => device.port_up(2),
        false => device.port_down(2),
    });
    assert_eq!(story.notices_after(30).await, [""; 0]);
    assert_eq!(
        story.notices_after(5).await.len(),
        1,
        "as soon as after the first"
    );
}
