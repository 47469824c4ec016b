//! Why nobody was notified: in the log with -v, and in the status of one monitor.
#![allow(clippy::unwrap_used)] // a panic fails the test

mod support;

use support::{Behaviour, Lab, Output, Receiver, Service, Site};

/// The lines of the log about a monitor, without its level and name.
fn said(output: &Output, monitor: &str) -> Vec<String> {
    let prefix = format!("INFO {monitor}: ");
    let lines = output.err.iter();
    lines
        .filter_map(|line| line.trim_start().strip_prefix(&prefix))
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_pass_says_each_decision() {
    let (lab, receiver) = (Lab::new(), Receiver::new(Behaviour::Answer(200)));
    let (web, nas, printer) = (Service::open(), Service::closed(), Service::closed());
    let heartbeat = receiver.url("/heartbeat");
    let site = Site::new("Home")
        .webhook(&receiver.url("/hook"))
        .watch(&format!(
            "type: tcp, name: web, address: \"{}\", heartbeat_url: \"{heartbeat}\", heartbeat_every_n_secs: 600",
            web.address()
        ))
        .watch_service("nas", &nas)
        .watch(&format!(
            "type: tcp, name: printer, address: \"{}\", alarms: no",
            printer.address()
        ));
    lab.write("home.yaml", site.text());
    let first = lab.run(&["-v", "home.yaml"]);
    first.assert_code(0);
    let nas_said = said(&first, "nas");
    assert_eq!(nas_said[0], "checked for the first time");
    assert!(
        nas_said.contains(&"announced to webhook:127.0.0.1; reminder due in 10 mins 0 secs".to_owned()),
        "{}",
        first.text()
    );
    assert!(
        said(&first, "printer").contains(&"nobody is notified: its alarms are off (alarms: no)".to_owned()),
        "{}",
        first.text()
    );
    // Nothing is due a moment later, but for the options that changed.
    lab.write(
        "home.yaml",
        site.text().replace("name: printer", "name: printer, email: no"),
    );
    let second = lab.run(&["-v", "home.yaml"]);
    second.assert_code(0);
    let not_due = |monitor: &str| said(&second, monitor).concat();
    assert!(
        not_due("nas").starts_with("not due for ")
            && not_due("nas").contains(" to webhook:127.0.0.1; reminder due in "),
        "{}",
        second.text()
    );
    assert!(
        not_due("web").contains("; its heartbeat is not due for 9 mins ")
            || not_due("web").contains("; its heartbeat is not due for 10 mins "),
        "{}",
        second.text()
    );
    assert_eq!(
        said(&second, "printer")[0],
        "checked at once because its options have changed"
    );
    // Without -v nothing of this is said.
    let third = lab.run(&["home.yaml"]);
    assert_eq!(third.err, [""; 0]);
}

#[test]
fn one_monitor_is_shown_in_full() {
    let (lab, receiver) = (Lab::new(), Receiver::new(Behaviour::Answer(500)));
    let (web, nas) = (Service::open(), Service::closed());
    let site = Site::new("Home")
        .webhook(&receiver.url("/hook"))
        .watch_service("web", &web)
        .watch_service("nas", &nas);
    lab.write("home.yaml", site.text());
    lab.run(&["home.yaml"]).assert_code(0);
    let output = lab.run(&["status", "home.yaml", "nas"]);
    output.assert_code(0);
    let text = output.text();
    assert!(output.out[0].starts_with("nas in Home: down since "), "{text}");
    for expected in [
        format!("address      {}", nas.address()),
        "reason       connect: connection refused".to_owned(),
        "failed       1 in a row; 1 are an outage".to_owned(),
        "notified     announced ".to_owned(),
        "waiting       webhook:127.0.0.1".to_owned(),
        "nas in Home new outage: connect: connection refused".to_owned(),
    ] {
        assert!(text.contains(&expected), "{expected}: {text}");
    }
    assert!(
        !text.replace("webhook", "").contains("web"),
        "only the one that was asked for: {text}"
    );
    let json = lab.run(&["status", "--json", "home.yaml", "nas"]).json();
    let monitors = json["sites"][0]["monitors"].as_array().unwrap();
    assert_eq!(monitors.len(), 1);
    assert!(
        monitors[0]["announcement"]
            .as_str()
            .unwrap()
            .starts_with("announced"),
        "{json}"
    );
    let wrong = lab.run(&["status", "home.yaml", "nsa"]);
    wrong
        .assert_code(1)
        .assert_only_error("Home: no monitor is called \"nsa\"; did you mean \"nas\"?");
    // Two site files are two sites.
    lab.write("two.yaml", site.text());
    lab.run(&["two.yaml"]).assert_code(0);
    let both = lab.run(&["status", "home.yaml", "two.yaml"]);
    assert_eq!(
        both.out
            .iter()
            .filter(|line| line.starts_with("Home: 2 monitors"))
            .count(),
        2
    );
}

/// The list of a site ends after twenty; those about one monitor may be behind them.
#[test]
fn the_notifications_about_one_monitor_are_found_behind_those_about_others() {
    let (lab, receiver) = (Lab::new(), Receiver::new(Behaviour::Answer(404)));
    let closed = Service::closed();
    let mut site = Site::new("Home").webhook(&receiver.url("/hook"));
    for n in 0..25 {
        site = site.watch_service(&format!("m{n}"), &closed);
    }
    lab.write("home.yaml", site.text());
    lab.run(&["home.yaml"]).assert_code(0);
    lab.write("home.yaml", site.watch_service("nas", &closed).text());
    lab.run(&["home.yaml"]).assert_code(0);
    let one = || {
        let output = lab.run(&["status", "home.yaml", "nas"]);
        let text = output.text();
        assert!(text.contains("nas in Home new outage: "), "{text}");
        assert!(!text.contains("newer ones"), "{text}");
        output.out[1].clone()
    };
    assert!(one().starts_with("no daemon is running"));
    let daemon = lab.start_daemon(1);
    assert!(one().starts_with("daemon since "));
    daemon.stop().assert_code(0);
}

#[test]
fn the_reason_is_whole_where_there_is_no_terminal() {
    let (lab, web) = (Lab::new(), Service::closed());
    let name = "a-monitor-with-a-name-that-leaves-little-room-for-the-reason-in-a-hundred-columns";
    lab.write("home.yaml", Site::new("Home").watch_service(name, &web).text());
    lab.run(&["home.yaml"]).assert_code(0);
    let output = lab.run(&["status", "home.yaml"]);
    let row = output.out.iter().find(|line| line.contains(name)).unwrap();
    assert!(row.ends_with("connect: connection refused"), "{row}");
}

#[test]
fn a_standing_warning_is_not_repeated_at_every_pass() {
    let (lab, web) = (Lab::new(), Service::open());
    let site = Site::new("Home").watch_service("web", &web);
    let warned = site.text() + "notes: none\n";
    lab.write("home.yaml", &warned);
    let expected = "home.yaml:8:1: unknown section \"notes\" is ignored";
    let first = lab.run(&["home.yaml"]);
    first.assert_code(0);
    assert!(
        first
            .logged("WARN")
            .iter()
            .any(|line| line.contains("unknown section")),
        "{}",
        first.text()
    );
    assert_eq!(lab.run(&["home.yaml"]).err, [""; 0]);
    let verbose = lab.run(&["-v", "home.yaml"]);
    assert!(
        verbose.text().contains("is ignored (as before)"),
        "{expected}: {}",
        verbose.text()
    );
    // A daemon says it at each start, and a warning that comes back is new.
    lab.write("home.yaml", site.text());
    lab.run(&["home.yaml"]).assert_code(0);
    lab.write("home.yaml", &warned);
    assert_eq!(lab.run(&["home.yaml"]).logged("WARN").len(), 1);
}
