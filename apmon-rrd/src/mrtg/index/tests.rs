use super::{super::tests::*, *};
use apmon_core::Condition;

const FILES: Pictures<'static> = Pictures::Files { suffix: "svg" };

/// What a site of every kind shows.
fn office() -> SiteView<'static> {
    let mut core = monitor("ports", "core");
    core.condition = Condition::Down;
    core.since = Some(at(3_723));
    core.reason = Some("no answer from 192.0.2.1");
    let mut nas = monitor("host", "nas");
    nas.disk_space_pct = Some(73.4);
    let mut web = monitor("http", "web");
    web.condition = Condition::Down;
    web.since = Some(at(64));
    web.reason = Some("HTTP 503 <Service Unavailable>");
    let mut dns = monitor("dns", "dns");
    dns.condition = Condition::Unknown;
    dns.reason = Some("no route on this machine");
    let mut soft = monitor("tcp", "soft");
    soft.condition = Condition::Soft;
    soft.reason = Some("refused");
    let mut pin = monitor("port", "pin");
    pin.display = false;
    let mut gone = monitor("tcp", "gone & <b>");
    gone.display = false;
    gone.condition = Condition::Down;
    gone.since = Some(at(90_000));
    let monitors = vec![
        monitor("port", "uplink"),
        web,
        nas,
        monitor("port", "third"),
        core,
        dns,
        soft,
        pin,
        gone,
    ];
    site(monitors)
}

#[test]
fn the_page_of_a_site() {
    let page = index(&office(), FILES);
    let body = page.split_once("</style>").unwrap().1;
    insta::assert_snapshot!(body.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}

#[test]
fn the_links_to_the_cgi_carry_the_site() {
    let page = index(&office(), Pictures::Cgi { site: Some("Office") });
    assert!(page.contains(
        "<h3><a href=\"/mrtg-rrd/Office/web.html\">web</a></h3>\n\
         <a href=\"/mrtg-rrd/Office/web.html\"><img src=\"/mrtg-rrd/Office/web-day.png\" \
         alt=\"web Daily Graph\" loading=\"lazy\"></a>"
    ));
    assert!(page.contains(
        "<a href=\"/mrtg-rrd/Office/core-bandwidth.html\">\
         <img src=\"/mrtg-rrd/Office/core-bandwidth-day.png\" alt=\"ports: core Bandwidth\""
    ));
    // The page of a device is beside this one all the same.
    assert!(page.contains("<a href=\"ports-core-detail.html\">ports: core</a>"));
}

#[test]
fn every_label_is_above_its_charts() {
    let monitors = ["a", "b", "c"].map(|name| monitor("port", name));
    let page = index(&site(monitors.into()), FILES);
    let rows: Vec<&str> = page.split("<div class=\"device-row\">").skip(1).collect();
    assert_eq!(rows.len(), 2);
    // Eight charts in a row, four below each label.
    for (row, names) in rows.iter().zip([&["port: a", "port: b"][..], &["port: c"]]) {
        let devices: Vec<&str> = row.split("<div class=\"network-host-label\">").skip(1).collect();
        assert_eq!(devices.len(), names.len());
        for (device, name) in devices.iter().zip(names) {
            assert!(device.contains(&format!(">{name}</a>")), "{device}");
            assert_eq!(device.matches("class=\"network-cell\"").count(), 4);
        }
    }
    // One alone takes half of a wide screen.
    let page = index(&site(vec![monitor("host", "nas")]), FILES);
    assert!(page.contains("<div class=\"device-row alone\">"));
}

#[test]
fn a_site_with_nothing_to_show_says_so() {
    let page = index(&site(vec![]), FILES);
    assert!(page.contains("<p class=\"nothing-configured\">No monitors configured.</p>"));
    assert!(!page.contains("<h2>"));
    assert!(!page.contains("Not displayed"));
}

#[test]
fn texts_of_others_are_escaped() {
    let evil = "\"><script>alert(1)</script>";
    let mut bad = monitor("tcp", "bad");
    bad.condition = Condition::Down;
    (bad.name, bad.address, bad.reason) = (evil, evil, Some(evil));
    let mut hidden = bad.clone();
    hidden.display = false;
    let mut device = bad.clone();
    device.kind = "host";
    let mut site = site(vec![bad, hidden, device]);
    site.name = evil;
    for pictures in [FILES, Pictures::Cgi { site: Some("x") }] {
        let page = index(&site, pictures);
        assert!(!page.contains("<script"), "{page}");
        assert!(!page.contains("\"\">"), "{page}");
    }
}
