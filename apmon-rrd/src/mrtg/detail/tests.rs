use std::time::Duration;

use super::{super::tests::*, *};
use apmon_core::{Device, DeviceDisk, DevicePort, Mac, Neighbour, PortState, PortStatus, Station};

const FILES: Pictures<'static> = Pictures::Files { suffix: "png" };

fn station(last: u8, address: Option<&str>, name: Option<&str>) -> Station {
    Station {
        mac: Mac::new([2, 0, 0, 0, 0, last]),
        addresses: address
            .into_iter()
            .map(|address| address.parse().unwrap())
            .collect(),
        names: name.into_iter().map(str::to_owned).collect(),
    }
}

fn switch() -> Device {
    let mut uplink = DevicePort::default();
    uplink.index = 10;
    uplink.name = "GigabitEthernet0/10".to_owned();
    uplink.alias = Some("to <attic>".to_owned());
    uplink.slot = Some("Slot 1".to_owned());
    uplink.speed = Some(2_500_000_000);
    uplink.state = PortState {
        oper: PortStatus::Up,
        admin: PortStatus::Up,
    };
    uplink.neighbours = vec![Neighbour {
        protocol: "LLDP".into(),
        name: "attic".to_owned(),
        port: Some("Gi0/1".to_owned()),
    }];
    uplink.stations = vec![
        station(9, None, None),
        station(2, Some("192.0.2.7"), Some("nas.example")),
    ];
    let mut spare = DevicePort::default();
    spare.index = 2;
    spare.name = "GigabitEthernet0/2".to_owned();
    spare.state = PortState {
        oper: PortStatus::LowerLayerDown,
        admin: PortStatus::Up,
    };
    spare.stations = vec![station(9, Some("2001:db8::9"), None)];
    let mut device = Device::default();
    device.name = Some("core-sw".to_owned());
    device.location = Some("Cellar & Co".to_owned());
    device.up_for = Some(Duration::from_secs(273_600));
    device.ports = vec![uplink, spare];
    device.disks = vec![DeviceDisk {
        name: "/flash".to_owned(),
        size: 16 << 20,
        used: 4 << 20,
    }];
    device
}

fn page_of(monitor: MonitorView<'static>, pictures: Pictures<'_>) -> String {
    detail(&site(vec![monitor.clone()]), monitor.name, pictures)
        .unwrap()
        .1
}

#[test]
fn the_page_of_a_switch() {
    let device = Box::leak(Box::new(switch()));
    let mut core = monitor("ports", "core");
    core.device = Some(device);
    let (file, page) = detail(&site(vec![core]), "core", FILES).unwrap();
    assert_eq!(file, "ports-core-detail.html");
    let body = page.split_once("</style>").unwrap().1;
    insta::assert_snapshot!(body.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}

#[test]
fn the_page_of_a_service_that_is_down() {
    let mut web = monitor("http", "web");
    web.condition = Condition::Down;
    web.since = Some(at(64));
    web.reason = Some("HTTP 503");
    web.response_time_ms = None;
    let page = page_of(web, FILES);
    assert!(page.contains(
        "<div class=\"state down\"><b>Down 1 mins 4 secs</b>: HTTP 503<p>Last checked 2026-03-10 13:04:49</p></div>"
    ));
    assert!(page.contains("<h3 id=\"availability\">Availability</h3>"));
    assert!(!page.contains("Interfaces"));
}

#[test]
fn the_charts_are_those_of_the_cgi_where_it_draws() {
    let mut port = monitor("port", "uplink");
    port.file = "/r/uplink~2-snmp.rrd".into();
    let page = page_of(port.clone(), Pictures::Cgi { site: Some("Office") });
    assert_eq!(page.matches("<img").count(), 16);
    assert!(page.contains(
        "<figcaption>Weekly</figcaption><a href=\"/mrtg-rrd/Office/uplink~2-errors.html\">\
         <img src=\"/mrtg-rrd/Office/uplink~2-errors-week.png\" alt=\"port: uplink Errors In/Out Weekly\" \
         loading=\"lazy\">"
    ));
    // Nobody draws what has no target.
    port.display = false;
    assert_eq!(page_of(port, FILES).matches("<img").count(), 0);
}

#[test]
fn a_pass_that_did_not_poll_the_device_keeps_what_is_known_of_it() {
    let device = Box::leak(Box::new(switch()));
    let mut core = monitor("ports", "core");
    core.device = Some(device);
    let polled = page_of(core.clone(), FILES);
    core.device = None;
    core.condition = Condition::Down;
    let site = site(vec![core]);
    let named = &named(&site)[0];
    let without = page(&site, named, FILES, None);
    assert!(without.contains("No interface data available") && without.contains("No MAC/ARP data available"));
    let kept = page(&site, named, FILES, Some(&polled));
    assert!(kept.contains("<b>Down</b>"), "the state is that of now");
    assert_eq!(found(&kept), found(&polled));
    assert!(kept.contains("Polled 2026-03-10 13:04:49") && kept.contains("nas.example"));
}

#[test]
fn texts_of_the_device_are_escaped() {
    let evil = || "--><script>alert(1)</script><!-- end of device -->\n".to_owned();
    let mut device = switch();
    device.name = Some(evil());
    device.description = Some(evil());
    device.ports[0].alias = Some(evil());
    device.ports[0].name = evil();
    device.ports[0].slot = Some(evil());
    device.ports[0].neighbours[0].name = evil();
    device.ports[0].neighbours[0].port = Some(evil());
    device.ports[0].stations[0].names = vec![evil()];
    device.disks[0].name = evil();
    let mut core = monitor("ports", "core");
    core.reason = Some("<script>");
    core.device = Some(Box::leak(Box::new(device)));
    let page = page_of(core, FILES);
    assert!(!page.contains("<script"), "{page}");
    assert_eq!(page.matches("<!-- end of device -->\n").count(), 1);
}
