//! `apmon history`, beside a running daemon and without one.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used)] // a panic fails the test

mod support;

use support::{Behaviour, Lab, Receiver, Service, Site, wait_until};

#[test]
fn the_history_is_read_while_the_daemon_runs() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Behaviour::Answer(200)), Service::open());
    let nas = Service::open();
    let site = Site::every_second("HomeLab", &receiver)
        .watch_service("web", &web)
        .watch_service("nas", &nas);
    lab.write("home.yaml", site.text());
    let mut daemon = lab.start_daemon(2);
    web.close();
    daemon.wait_for_out("NEW OUTAGE: web ");
    web.reopen();
    daemon.wait_for_out("RECOVERY: web ");
    receiver.wait_for(2);
    let home = wait_until("both deliveries", || {
        let output = lab.run(&["history", "--json", "home.yaml"]);
        output.assert_code(0);
        let home = output.json()["sites"][0].clone();
        (home["monitors"][1]["incidents"][0]["delivered"] == 2).then_some(home)
    });
    assert_eq!(home["site"], "HomeLab");
    let [nas_past, web_past] = &home["monitors"].as_array().unwrap()[..] else {
        panic!("{home}")
    };
    assert_eq!(nas_past["incidents"].as_array().unwrap().len(), 0);
    let incident = &web_past["incidents"][0];
    assert_eq!(
        (&incident["kind"], &incident["ongoing"]),
        (&"outage".into(), &false.into())
    );
    assert_eq!(
        (&incident["messages"], &incident["reason"]),
        (&2.into(), &"connect: connection refused".into())
    );
    let day = &web_past["days"].as_array().unwrap().last().unwrap();
    let down = day["down_secs"].as_f64().unwrap();
    let lasted = incident["duration_secs"].as_f64().unwrap();
    // The sums have whole microseconds, and end with the last check on disk.
    assert!(down > 0.0 && down <= lasted + 0.001, "{down} of {lasted}");
    assert!(day["up_percent"].as_f64().unwrap() < 100.0);

    let only = lab.run(&["history", "web"]);
    only.assert_code(0);
    assert_eq!(only.out[0], "web in home: availability by year, month and day");
    let both = lab.run(&["history", "home.yaml", "web"]);
    assert_eq!(both.out[0], "web in HomeLab: availability by year, month and day");
    assert!(
        both.out.last().unwrap().ends_with("connect: connection refused"),
        "{}",
        both.text()
    );
    let csv = lab.run(&["history", "--csv", "--days", "1", "home.yaml", "web"]);
    let records: Vec<_> = csv
        .out
        .iter()
        .map(|line| line.split(',').next().unwrap())
        .collect();
    assert_eq!(records, ["record", "incident", "day", "month", "year"]);
    assert!(csv.out.iter().all(|line| line.ends_with('\r')), "{}", csv.text());
    assert!(
        csv.out.iter().all(|line| line.split(',').count() == 17),
        "{}",
        csv.text()
    );
    let ports = lab.run(&["history", "--ports", "home.yaml", "web"]);
    ports.assert_code(0);
    assert_eq!(
        ports.out,
        [
            "web in HomeLab: changes at ports in the last 400 days",
            "",
            "none"
        ]
    );
    let ports = lab.run(&["history", "--ports", "--csv", "home.yaml"]);
    assert_eq!(
        ports.out,
        ["site,monitor,at,port_index,port,kind,before,after,notified\r"]
    );
    let ports = lab
        .run(&["history", "--ports", "--json", "home.yaml", "web"])
        .json();
    assert_eq!(
        ports["sites"][0]["monitors"],
        serde_json::json!([{"monitor": "web", "port_changes": []}])
    );
    lab.run(&["history", "wen"])
        .assert_code(1)
        .assert_only_error("no history for monitor \"wen\"; did you mean \"web\"?");
    let whole = lab.run(&["history"]);
    assert!(whole.out[0].starts_with("home: availability"), "{}", whole.text());
    assert!(
        whole.out.iter().any(|line| line.starts_with("nas      100 %")),
        "{}",
        whole.text()
    );
    daemon.stop().assert_code(0);
    lab.run(&["history", "web"]).assert_code(0);
}

#[test]
fn a_json_state_file_has_no_history() {
    let (lab, web) = (Lab::new(), Service::open());
    lab.write(
        "home.yaml",
        Site::new("HomeLab").watch_service("web", &web).text(),
    );
    lab.run(&["home.yaml"]).assert_code(0);
    lab.run(&["history"]).assert_code(1).assert_only_error(
        "home.statefile.json has no history: a JSON state file keeps none; use the database of apmon run, or of a pass with -s FILE.db",
    );
    lab.run(&["-s", "home.db", "home.yaml"]).assert_code(0);
    let output = lab.run(&["history", "-s", "home.db", "home.yaml"]);
    output.assert_code(0);
    assert!(
        output.out[0].starts_with("HomeLab: availability"),
        "{}",
        output.text()
    );
}
