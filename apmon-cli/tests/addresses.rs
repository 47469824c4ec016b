//! Names with several addresses, and source addresses, as a person sees them.
#![allow(clippy::unwrap_used)] // a panic fails the test

mod support;

use support::{Behaviour, Lab, Receiver, Service, Site, notification_of, run};

const MOUNT: &str = "mount --bind hosts /etc/hosts";

/// A lab in which `two` has a dead address before that of this machine's services.
fn lab() -> Lab {
    let lab = Lab::new();
    lab.write(
        "hosts",
        "127.0.0.1 localhost\n127.0.0.5 two\n127.0.0.1 two\n127.0.0.5 dead\n",
    );
    lab
}

#[test]
fn a_check_names_the_dead_address_and_is_up() {
    let (lab, web) = (lab(), Service::open());
    let address = format!("tcp://two:{}", web.port());
    let output = run(lab.apmon_with_mounts(MOUNT, &["check", &address]));
    output.assert_code(0);
    let text = output.text();
    assert!(text.contains("OK - tcp://two:"), "{text}");
    assert!(
        text.contains(", but: 127.0.0.5 cannot be reached: connect: connection refused"),
        "{text}"
    );
    let json = run(lab.apmon_with_mounts(MOUNT, &["check", "--json", &address])).json();
    assert_eq!(json["warnings"][0]["class"], "address");
    assert_eq!(json["warnings"][0]["level"], "note");
    let first = run(lab.apmon_with_mounts(MOUNT, &["check", &address, "--set", "addresses=first"]));
    first.assert_code(2);
    let all = run(lab.apmon_with_mounts(MOUNT, &["check", &address, "--set", "addresses=all"]));
    all.assert_code(2);
    assert!(
        all.text()
            .contains("is down: 1 of 2 addresses: connect: connection refused (127.0.0.5)"),
        "{}",
        all.text()
    );
}

#[test]
fn a_notification_names_the_address() {
    let (lab, receiver, web) = (lab(), Receiver::new(Behaviour::Answer(200)), Service::closed());
    let site = Site::every_second("Home", &receiver)
        .option("max_retries: 1")
        .watch(&format!(
            "type: tcp, name: web, address: \"tcp://dead:{}\"",
            web.port()
        ));
    lab.write("home.yaml", site.text());
    run(lab.apmon_with_mounts(MOUNT, &["home.yaml"])).assert_code(0);
    let text = notification_of(&receiver.requests()[0]);
    assert!(
        text.contains("new outage: connect: connection refused (127.0.0.5) (tcp://dead:"),
        "{text}"
    );
}

#[test]
fn test_config_warns_of_a_source_address_that_this_machine_lacks() {
    let lab = Lab::new();
    let site = Site::new("Home")
        .option("source_address: [198.51.100.7, \"::1\"]")
        .watch("type: ping, name: gw, address: 192.168.1.1");
    lab.write("home.yaml", site.text());
    let output = lab.run(&["--test-config", "home.yaml"]);
    output.assert_code(0);
    let text = output.text();
    assert!(
        text.contains("source_address 198.51.100.7 is not an address of this machine"),
        "{text}"
    );
    assert!(!text.contains("source_address ::1"), "{text}");
    let check = lab.run(&["check", "home.yaml"]);
    check.assert_code(3);
    assert!(
        check
            .text()
            .contains("source_address 198.51.100.7 is not an address of this machine"),
        "{}",
        check.text()
    );
}
