use apmon_core::*; use apmon_store::JsonStore; use std::time::Duration;
fn main() {
    let rt = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let dir = std::env::args().nth(1).unwrap();
    let path = std::path::Path::new(&dir).join("m.statefile.json");
    rt.block_on(async {
        let store = JsonStore::open(&path, jiff::tz::TimeZone::get("Europe/Berlin").unwrap_or(jiff::tz::TimeZone::system())).unwrap();
        let epoch = store.load().await.unwrap().epoch;
        let at: jiff::Timestamp = "2026-02-11T13:15:00.123456789Z".parse().unwrap();
        let st = |n: u32| MonitorState { is_up: Some(false), last_checked: Some(at), last_response_time: Some(Duration::from_micros(12345)), last_notified: Some(at), last_alarm_started: Some(at), last_successful_heartbeat: Some(at), down_count: n, notified_count: 1, error_reason: Some("connect: Connection refused (os error 111)".into()), last_config_checksum: Some("a".repeat(64)), own: OwnState { incident: Some("abc-1234567890".into()), ..Default::default() }, ..Default::default() };
        let entry = |n: u32| OutboxEntry { channel: "webhook:hooks.example.com".into(), notification: Notification { id: format!("id-{n}"), incident: format!("i-{n}"), kind: NotificationKind::Outage, site: "HomeLab".into(), monitor: format!("m{n}"), address: "tcp://10.0.0.1:22".into(), text: "web in HomeLab new outage: connect: refused (tcp://10.0.0.1:22) at 2:15 PM, down for 0 secs".into(), number: 1, at, since: Some(at) }, attempts: 0, last_error: None, refused: false };
        for outbox in [false, true] {
            let c = Commit { epoch, states: (0..10_000).map(|n| (format!("monitor-{n}"), st(n))).collect(), outbox: if outbox { (0..10_000).map(entry).collect() } else { vec![] }, ..Default::default() };
            for _ in 0..5 { let s = std::time::Instant::now(); store.commit(&c).await.unwrap(); println!("10k states, outbox {outbox}: {:?}", s.elapsed()); }
        }
        let c = Commit { epoch, settled: (0..10_000).map(|n| entry(n).key()).collect(), ..Default::default() };
        let s = std::time::Instant::now(); store.commit(&c).await.unwrap(); println!("settle: {:?}", s.elapsed());
        for _ in 0..3 { let c = Commit { epoch, states: vec![("monitor-1".into(), st(1))], ..Default::default() };
        let s = std::time::Instant::now(); store.commit(&c).await.unwrap(); println!("one: {:?}", s.elapsed()); }
        let s = std::time::Instant::now(); store.load().await.unwrap(); println!("load: {:?}", s.elapsed());
        println!("{} bytes", std::fs::metadata(&path).unwrap().len());
    });
}
