//! `apmon check`: a verdict now, for people, Nagios and programs.
#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::{Ended, Lab, Manner, Process, Receiver, SOON, Service, Site, greeter, until};

/// The broadcast address takes no connection, whatever the network: that is
/// our own mistake, and says nothing of a target.
const UNKNOWN: &str = "tcp://255.255.255.255:9";

/// The performance data of a line taken off: a time, and what else was measured.
#[track_caller]
fn line(ended: &Ended) -> String {
    assert_eq!(
        (ended.out.len(), &ended.err[..]),
        (1, &[][..]),
        "{}",
        ended.text()
    );
    untimed(&ended.out[0])
}

#[track_caller]
fn untimed(line: &str) -> String {
    let (text, data) = line.split_once(" | ").unwrap();
    let mut data = data.split(' ');
    let secs = data
        .next()
        .and_then(|time| time.strip_prefix("time=")?.strip_suffix("s;;;0"));
    let secs: f64 = secs.unwrap().parse().unwrap();
    for metric in data {
        let (name, value) = metric.split_once('=').unwrap();
        assert!(name.contains('_') && value.parse::<f64>().is_ok(), "{line}");
    }
    assert!((0.0..20.0).contains(&secs), "{line}");
    text.to_owned()
}

#[test]
fn up_is_ok_and_exit_0() {
    let web = Service::open();
    let ended = Lab::new().run(&["check", &web.address()]);
    ended.assert_code(0);
    let line = line(&ended);
    let middle = line
        .strip_prefix(&format!("OK - {} is up in ", web.address()))
        .unwrap_or_else(|| panic!("{line}"));
    let number = middle.strip_suffix(" ms").unwrap();
    number.parse::<f64>().unwrap();
}

#[test]
fn down_is_critical_and_exit_2() {
    let web = Service::closed();
    let ended = Lab::new().run(&["check", &web.address()]);
    ended.assert_code(2);
    assert_eq!(
        line(&ended),
        format!(
            "CRITICAL - {} is down: connect: connection refused",
            web.address()
        )
    );
}

#[test]
fn what_could_not_be_looked_at_is_unknown_and_exit_3() {
    let ended = Lab::new().run(&["check", UNKNOWN]);
    ended.assert_code(3);
    assert_eq!(
        line(&ended),
        format!("UNKNOWN - {UNKNOWN} is unknown: connect: no route to that network from here")
    );
}

#[test]
fn a_redirect_away_from_https_is_a_warning_and_exit_1() {
    let (lab, web) = (Lab::new(), Receiver::new(Manner::Answer(200)));
    let openssl = |arguments: &[&str]| {
        let mut command = Command::new("openssl");
        command.args(arguments).current_dir(lab.path("."));
        command
    };
    let key = [
        "req",
        "-x509",
        "-nodes",
        "-subj",
        "/CN=localhost",
        "-newkey",
        "ec",
    ];
    let files = [
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-keyout",
        "key",
        "-out",
        "certificate",
    ];
    let made = openssl(&[key.as_slice(), &files].concat())
        .stderr(Stdio::null())
        .status();
    assert!(
        made.expect("openssl is needed: `cargo xtask test` installs it")
            .success()
    );
    lab.write(
        "away",
        format!(
            "HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            web.url("/")
        ),
    );
    let serve = [
        "s_server",
        "-accept",
        "127.0.0.1:0",
        "-key",
        "key",
        "-cert",
        "certificate",
        "-HTTP",
    ];
    let mut server = Process::start(openssl(&serve));
    let said = server.until_out("ACCEPT 127.0.0.1:");
    let url = format!("https://{}/away", said.strip_prefix("ACCEPT ").unwrap());
    let ended = lab.run(&["check", &url]);
    ended.assert_code(1);
    let line = line(&ended);
    assert!(
        line.starts_with(&format!("WARNING - {url} is up in "))
            && line.ends_with(&format!(", but: redirected from https to {}", web.url("/"))),
        "{line}"
    );
    let json = json(&lab.run(&["check", &url, "--json"]));
    assert_eq!(json["verdict"], "up");
    assert_eq!(
        json["warning"],
        format!("redirected from https to {}", web.url("/"))
    );
    assert_eq!(keys(&json["phases_ms"]), ["connect", "first byte", "tls"]);
}

#[test]
fn a_bare_host_is_pinged() {
    let ended = Lab::new().run(&["check", "127.0.0.1"]);
    // Who may not ping is told so, and that is not down.
    match ended.code {
        Some(0) => assert!(
            line(&ended).starts_with("OK - 127.0.0.1 is up in "),
            "{}",
            ended.text()
        ),
        _ => {
            ended.assert_code(3);
            assert!(
                line(&ended).starts_with("UNKNOWN - 127.0.0.1 is unknown: "),
                "{}",
                ended.text()
            );
        }
    }
}

fn json(ended: &Ended) -> Value {
    assert_eq!(ended.err, [""; 0], "{}", ended.text());
    serde_json::from_str(&ended.out.join("\n")).unwrap()
}

fn keys(value: &Value) -> Vec<&String> {
    value.as_object().unwrap().keys().collect()
}

#[test]
fn json_has_one_shape_whatever_the_verdict() {
    let (lab, up, down) = (Lab::new(), Service::open(), Service::closed());
    let shape = [
        "name",
        "type",
        "address",
        "verdict",
        "latency_ms",
        "took_ms",
        "failure",
        "warning",
        "phases_ms",
        "metrics",
    ];

    let ended = lab.run(&["check", &up.address(), "--json"]);
    ended.assert_code(0);
    let value = json(&ended);
    assert_eq!(keys(&value), shape);
    assert_eq!(
        [
            &value["name"],
            &value["type"],
            &value["address"],
            &value["verdict"]
        ],
        [&json!("check"), &json!("tcp"), &json!(up.address()), &json!("up")]
    );
    assert!(
        value["latency_ms"].is_f64() && value["took_ms"].is_f64(),
        "{value:#}"
    );
    assert_eq!(
        (&value["failure"], &value["warning"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(keys(&value["phases_ms"]), ["connect"]);

    let ended = lab.run(&["check", &down.address(), "--json"]);
    ended.assert_code(2);
    let value = json(&ended);
    assert_eq!(keys(&value), shape);
    assert_eq!(
        (&value["verdict"], &value["latency_ms"]),
        (&json!("down"), &Value::Null)
    );
    assert_eq!(
        value["failure"],
        json!({"class": "refused", "domain": "environment", "reason": "connect: connection refused"})
    );

    let ended = lab.run(&["check", UNKNOWN, "--json", "--explain"]);
    ended.assert_code(3);
    let value = json(&ended);
    assert_eq!(keys(&value)[..10], shape);
    assert_eq!(value["verdict"], "unknown");
    assert_eq!(value["failure"]["class"], "no_route");
    assert_eq!(value["failure"]["domain"], "own");
    let steps = value["steps"].as_array().unwrap();
    assert_eq!(keys(&steps[0]), ["at_ms", "step", "text"]);
    assert_eq!(
        (&steps[0]["step"], &steps[0]["text"]),
        (&json!("connect"), &json!("to 255.255.255.255:9"))
    );
}

#[test]
fn explain_shows_each_step_with_its_time() {
    let (lab, web) = (Lab::new(), Receiver::new(Manner::Answer(200)));
    let ended = lab.run(&["check", &web.url("/page"), "--explain"]);
    ended.assert_code(0);
    let mut lines = ended.out.iter();
    assert!(untimed(lines.next().unwrap()).starts_with("OK - "));
    let mut before = 0.0;
    let steps: Vec<_> = lines
        .map(|line| {
            let (time, text) = line.trim_start().split_once(" ms  ").unwrap();
            let time: f64 = time.parse().unwrap_or_else(|_| panic!("{line:?}"));
            if !text.starts_with("in ") {
                assert!(time >= before, "in order: {}", ended.text());
                before = time;
            }
            text.to_owned()
        })
        .collect();
    let port = web.url("").rsplit(':').next().unwrap().to_owned();
    assert_eq!(
        steps,
        [
            format!("connect      to 127.0.0.1:{port}"),
            "connect      connected".to_owned(),
            "answer       200 OK, content-length: 2".to_owned(),
            "body         2 bytes: ok".to_owned(),
            "in connect".to_owned(),
            "in first byte".to_owned(),
        ],
    );
}

#[test]
fn a_type_is_known_by_its_address_or_named() {
    let (lab, greeter) = (Lab::new(), greeter("SSH-2.0-Test\r\n"));
    let check = |more: &[&str]| lab.run(&[&["check", &greeter], more].concat());
    check(&["--type", "tcp"]).assert_code(0);
    check(&["--set", "expect=SSH-2.0"]).assert_code(0);
    let ended = check(&["--set", "expect=SSH-1"]);
    ended.assert_code(2);
    assert_eq!(
        line(&ended),
        format!("CRITICAL - {greeter} is down: closed after 14 bytes without \"SSH-1\"")
    );
    check(&["--set", "send=hello", "--set", "expect=Test"]).assert_code(0);
    check(&["--type", "http"])
        .assert_code(3)
        .assert_refused("\"address\" must begin with http:// or https://, not tcp://");
}

#[test]
fn the_deadline_can_be_given() {
    let silent = Service::open();
    let address = silent.address();
    let arguments = ["check", &address, "--set", "expect=x", "--timeout", "0.2"];
    // It does not judge by a look that its process slept through.
    let ended = until("a look that ends in time", || {
        let ended = Lab::new().run(&arguments);
        let slept = ended.text().contains("this process was stalled for ");
        (!slept).then_some(ended)
    });
    ended.assert_code(2);
    assert!(line(&ended).contains(" is down: "), "{}", ended.text());
    assert!(ended.took < SOON, "{:?}", ended.took);
}

#[test]
fn what_cannot_be_asked_is_exit_3() {
    let (lab, web) = (Lab::new(), Service::open());
    lab.write(
        "home.yaml",
        Site::new("HomeLab").watch_service("web", &web).text(),
    );
    let address = web.address();
    let stdout = |arguments: &[&str]| lab.run(&[&["check"], arguments].concat()).out.join("\n");
    for (arguments, said) in [
        (
            &["gopher://127.0.0.1/"][..],
            "no type is known by gopher://; name one with --type",
        ),
        (&["--type", "tpc", &address], "did you mean tcp?"),
        (
            &[&address, "--set", "expcet=x"],
            "unknown option \"expcet\"; did you mean \"expect\"?",
        ),
        (&[&address, "--set", "expect"], "--set expect: no ="),
        (&[&address, "web"], "a monitor's name goes with a site file"),
        (
            &["home.yaml", "wbe"],
            "home.yaml: no monitor is called \"wbe\"; did you mean \"web\"?",
        ),
        (
            &["home.yaml", "--set", "expect=x"],
            "--set and --type go with an address, not with a site file",
        ),
        (
            &["home.yaml", "--type", "tcp"],
            "--set and --type go with an address, not with a site file",
        ),
        (&["missing.yaml"], "missing.yaml: No such file or directory"),
        (
            &["not a host"],
            "\"address\" must be a host name, IPv4 or IPv6 address",
        ),
    ] {
        let ended = lab.run(&[&["check"], arguments].concat());
        ended.assert_code(3).assert_refused(said);
        let json: Value = serde_json::from_str(&stdout(&[arguments, &["--json"]].concat())).unwrap();
        assert_eq!(json["verdict"], "unknown");
        let reason = json["failure"]["reason"].as_str().unwrap();
        assert!(reason.contains(said.trim_start_matches("home.yaml: ")), "{json}");
    }
    for (arguments, said) in [
        (
            &[][..],
            "the following required arguments were not provided: <URL|HOST|CONFIG>",
        ),
        (&["--nope"], "unexpected argument '--nope' found"),
        (
            &[&address, "--timeout", "0"],
            "invalid value '0' for '--timeout <SECS>': a number of seconds above 0, at most 315360000",
        ),
        (&["home.yaml", "web", "more"], "unexpected argument 'more' found"),
    ] {
        let ended = lab.run(&[&["check"], arguments].concat());
        ended.assert_code(3);
        assert_eq!(ended.out, [format!("UNKNOWN - {}", said.replace('|', "/"))]);
        assert!(!ended.err.is_empty(), "what is right stands on stderr");
        let json: Value = serde_json::from_str(&stdout(&[arguments, &["--json"]].concat())).unwrap();
        assert_eq!(json["failure"]["reason"], said);
    }
    assert!(!lab.path("state").exists(), "no state is kept");
}

#[test]
fn the_worst_verdict_of_a_site_is_its_exit_code() {
    let (lab, up, down) = (Lab::new(), Service::open(), Service::closed());
    let receiver = Receiver::new(Manner::Answer(200));
    let site = Site::new("HomeLab")
        .webhook(&receiver.url("/hook"))
        .watch_service("up", &up);
    lab.write("up.yaml", site.text());
    let site = site.watch(&format!("type: tcp, name: unknown, address: \"{UNKNOWN}\""));
    lab.write("unknown.yaml", site.text());
    let site = site.watch_service("down", &down).watch_service("up again", &up);
    lab.write("down.yaml", site.text());
    lab.run(&["check", "up.yaml"]).assert_code(0);
    lab.run(&["check", "unknown.yaml"]).assert_code(3);
    let ended = lab.run(&["check", "down.yaml"]);
    ended.assert_code(2);
    // Nagios takes the first line, and all behind its | as performance data.
    let (summary, data) = ended.out[0].split_once(" | ").unwrap();
    assert_eq!(summary, "CRITICAL - 1 of 4 down: down, 1 unknown: unknown");
    let labels: Vec<_> = data
        .split(";;;0")
        .map(|one| one.split('=').next().unwrap())
        .collect();
    assert_eq!(labels, ["up", " unknown", " down", " 'up again'", ""]);
    let lines = &ended.out[1..];
    assert_eq!(lines.len(), 4, "{}", ended.text());
    assert!(!lines.concat().contains('|'), "{}", ended.text());
    assert!(lines[0].starts_with(&format!("OK - up ({}) is up in ", up.address())));
    assert!(lines[1].starts_with(&format!("UNKNOWN - unknown ({UNKNOWN}) is unknown: ")));
    assert_eq!(
        lines[2],
        format!(
            "CRITICAL - down ({}) is down: connect: connection refused",
            down.address()
        )
    );
    assert!(lines[3].starts_with("OK - up again ("));
    let list = json(&lab.run(&["check", "down.yaml", "--json"]));
    let verdicts: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["verdict"].as_str().unwrap())
        .collect();
    assert_eq!(verdicts, ["up", "unknown", "down", "up"]);
    // One of them by name.
    lab.run(&["check", "down.yaml", "up again"]).assert_code(0);
    let ended = lab.run(&["check", "down.yaml", "down"]);
    ended.assert_code(2);
    assert_eq!(ended.out.len(), 1);
    assert_eq!(receiver.requests().len(), 0, "nobody is told");
    assert!(!lab.path("state").exists(), "no state is kept");
}

#[test]
fn nagios_finds_no_second_bar() {
    let web = Receiver::new(Manner::Answer(200));
    let ended = Lab::new().run(&["check", &web.url("/"), "--set", "expect=a|b"]);
    ended.assert_code(2);
    assert!(line(&ended).contains("\"a/b\" not found"), "{}", ended.text());
}
