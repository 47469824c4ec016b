//! Whole files.

use std::path::Path;

use super::{Variables, channel_kind::CHANNELS, kind::SEED, read_as, valid};
use crate::{config::load, time::Stopwatch};

#[test]
fn the_complete_example_of_the_seed_is_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/site/complete.yaml");
    let file = load(&path, SEED, CHANNELS, &Variables(&[])).unwrap();
    assert_eq!(file.warnings, []);
    assert_eq!(file.name, "HomeLab");

    let channels: Vec<_> = file.channels.iter().map(|channel| channel.id.as_str()).collect();
    assert_eq!(
        channels,
        [
            "webhook:here",
            "mail:admin@example.com",
            "mail:manager@example.com"
        ]
    );
    let reminders = file.channels[1..]
        .iter()
        .map(|mail| mail.blueprint.switches.reminders);
    assert_eq!(reminders.collect::<Vec<_>>(), [true, false]);
    assert_eq!(file.site.max_threads.unwrap().get().get(), 1);

    let monitors = file.monitors.iter().map(|monitor| {
        let heartbeat = monitor.heartbeat_every.map(|every| every.get());
        format!(
            "{} {} {} every {} s, reminded every {} s from {}, mail {}, shown {}, heartbeat {heartbeat:?}",
            monitor.kind,
            monitor.name,
            monitor.address,
            monitor.check_every.value.get(),
            monitor.notify_every.value.get(),
            monitor.after_every_n.value.get(),
            monitor.email.value,
            monitor.display.value,
        )
    });
    assert_eq!(
        monitors.collect::<Vec<_>>(),
        [
            "port switch-port0 snmp://192.168.1.6 every 10 s, reminded every 60 s from 6, mail true, shown false, heartbeat None",
            "ports office-switch snmp://192.168.1.6 every 10 s, reminded every 3600 s from 1, mail true, shown true, heartbeat None",
            "host debmon-host snmp://192.168.1.10 every 300 s, reminded every 600 s from 1, mail true, shown true, heartbeat None",
            "tcp smtp-server tcp://mail.example.com:25 every 60 s, reminded every 600 s from 1, mail true, shown true, heartbeat None",
            "tcp mysql-db tcp://192.168.1.100:3306 every 30 s, reminded every 600 s from 1, mail true, shown true, heartbeat None",
            "udp custom-protocol udp://192.168.1.200:9999 every 60 s, reminded every 600 s from 1, mail true, shown true, heartbeat None",
            "udp syslog-collector udp://192.168.1.50:514 every 300 s, reminded every 600 s from 1, mail true, shown true, heartbeat None",
            "ping home-fw 192.168.1.1 every 60 s, reminded every 600 s from 1, mail true, shown true, heartbeat Some(300)",
            "http in3245622 http://192.168.1.21/Login?oldUrl=Index every 120 s, reminded every 3600 s from 5, mail true, shown true, heartbeat None",
            "http json-api https://api.example.com/webhook every 60 s, reminded every 600 s from 1, mail true, shown true, heartbeat None",
            "http nvr0 https://192.168.1.12/api/system every 60 s, reminded every 600 s from 1, mail false, shown true, heartbeat Some(60)",
            "quic fast-api https://192.168.1.50/api/health every 30 s, reminded every 600 s from 1, mail true, shown true, heartbeat None",
        ]
    );
}

#[test]
fn ten_thousand_monitors_are_read() {
    let mut text = String::from("site:\n  name: Lab\n  check_every_n_secs: 30\nmonitors:\n");
    for n in 0..10_000 {
        text.push_str(&format!(
            "- type: tcp\n  name: host-{n}\n  address: tcp://10.1.{}.{}:22\n  expect: SSH-2.0\n  check_every_n_secs: 60\n  \
             notify_every_n_secs: 600\n  alarms: yes\n",
            n / 256,
            n % 256
        ));
    }
    let watch = Stopwatch::start();
    let file = valid(&text);
    println!("10,000 monitors, {} bytes: {:?}", text.len(), watch.elapsed());
    assert_eq!(file.monitors.len(), 10_000);
    assert_eq!(file.monitors[9_999].address, "tcp://10.1.39.15:22");
    assert_eq!(file.monitors[9_999].at.line, 5 + 9_999 * 7);
}

#[test]
fn every_example_of_a_kind_is_read() {
    for kind in super::kind::KINDS {
        let body = kind.example().trim_end().replace('\n', "\n  ");
        let text = format!("site: {{name: Lab}}\nmonitors:\n- {body}\n");
        assert_eq!(read_as(&text, super::kind::KINDS, &[]).unwrap().monitors.len(), 1);
    }
}
