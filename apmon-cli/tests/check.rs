//! `apmon check`: a verdict for people, Nagios and programs.
#![allow(clippy::unwrap_used)] // a panic fails the test

mod support;

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::{Behaviour, Lab, Output, Process, Receiver, SOON, Service, Site, greeter, wait_until};

/// The broadcast address accepts no connection on any network: connecting to it is
/// our own fault, which says nothing about a target.
const UNKNOWN: &str = "tcp://255.255.255.255:9";

/// The only line of the output, without its performance data.
#[track_caller]
fn line(output: &Output) -> String {
    assert_eq!(
        (output.out.len(), &output.err[..]),
        (1, &[][..]),
        "{}",
        output.text()
    );
    untimed(&output.out[0])
}

/// Removes the performance data, after checking it: a time, and metrics.
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
    let output = Lab::new().run(&["check", &web.address()]);
    output.assert_code(0);
    let line = line(&output);
    let middle = line
        .strip_prefix(&format!("OK - {} is up in ", web.address()))
        .unwrap_or_else(|| panic!("{line}"));
    let number = middle.strip_suffix(" ms").unwrap();
    number.parse::<f64>().unwrap();
}

#[test]
fn down_is_critical_and_exit_2() {
    let web = Service::closed();
    let output = Lab::new().run(&["check", &web.address()]);
    output.assert_code(2);
    assert_eq!(
        line(&output),
        format!(
            "CRITICAL - {} is down: connect: connection refused",
            web.address()
        )
    );
}

#[test]
fn a_failure_of_our_own_is_unknown_and_exit_3() {
    let output = Lab::new().run(&["check", UNKNOWN]);
    output.assert_code(3);
    assert_eq!(
        line(&output),
        format!("UNKNOWN - {UNKNOWN} is unknown: connect: no route to that network from here")
    );
}

#[test]
fn a_redirect_away_from_https_is_a_warning_and_exit_1() {
    let (lab, web) = (Lab::new(), Receiver::new(Behaviour::Answer(200)));
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
        made.expect("openssl is required: `cargo xtask test` installs it")
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
    let accept = server.wait_for_out("ACCEPT 127.0.0.1:");
    let url = format!("https://{}/away", accept.strip_prefix("ACCEPT ").unwrap());
    let output = lab.run(&["check", &url]);
    output.assert_code(1);
    let line = line(&output);
    assert!(
        line.starts_with(&format!("WARNING - {url} is up in "))
            && line.ends_with(&format!(", but: redirected from https to {}", web.url("/"))),
        "{line}"
    );
    let json = json(&lab.run(&["check", &url, "--json"]));
    assert_eq!(json["verdict"], "up");
    assert_eq!(
        json["warnings"],
        json!([{
            "class": "redirect",
            "level": "degrades",
            "text": format!("redirected from https to {}", web.url("/")),
        }])
    );
    assert_eq!(keys(&json["phases_ms"]), ["connect", "first byte", "tls"]);
}

#[test]
fn a_bare_host_is_pinged() {
    let output = Lab::new().run(&["check", "127.0.0.1"]);
    // Without permission to ping the verdict is unknown, not down.
    match output.code {
        Some(0) => assert!(
            line(&output).starts_with("OK - 127.0.0.1 is up in "),
            "{}",
            output.text()
        ),
        _ => {
            output.assert_code(3);
            assert!(
                line(&output).starts_with("UNKNOWN - 127.0.0.1 is unknown: "),
                "{}",
                output.text()
            );
        }
    }
}

fn json(output: &Output) -> Value {
    assert_eq!(output.err, [""; 0], "{}", output.text());
    serde_json::from_str(&output.out.join("\n")).unwrap()
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
        "warnings",
        "phases_ms",
        "metrics",
        "parts",
    ];

    let output = lab.run(&["check", &up.address(), "--json"]);
    output.assert_code(0);
    let value = json(&output);
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
        (&value["failure"], &value["warnings"]),
        (&Value::Null, &json!([]))
    );
    assert_eq!(keys(&value["phases_ms"]), ["connect"]);

    let output = lab.run(&["check", &down.address(), "--json"]);
    output.assert_code(2);
    let value = json(&output);
    assert_eq!(keys(&value), shape);
    assert_eq!(
        (&value["verdict"], &value["latency_ms"]),
        (&json!("down"), &Value::Null)
    );
    assert_eq!(
        value["failure"],
        json!({"class": "refused", "domain": "environment", "reason": "connect: connection refused"})
    );

    let output = lab.run(&["check", UNKNOWN, "--json", "--explain"]);
    output.assert_code(3);
    let value = json(&output);
    assert_eq!(keys(&value)[..11], shape);
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
    let (lab, web) = (Lab::new(), Receiver::new(Behaviour::Answer(200)));
    let output = lab.run(&["check", &web.url("/page"), "--explain"]);
    output.assert_code(0);
    let mut lines = output.out.iter();
    assert!(untimed(lines.next().unwrap()).starts_with("OK - "));
    let mut before = 0.0;
    let steps: Vec<_> = lines
        .map(|line| {
            let (time, text) = line.trim_start().split_once(" ms  ").unwrap();
            let time: f64 = time.parse().unwrap_or_else(|_| panic!("{line:?}"));
            if !text.starts_with("in ") {
                assert!(time >= before, "in order: {}", output.text());
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
fn the_type_comes_from_the_address_or_is_given() {
    let (lab, greeter) = (Lab::new(), greeter("SSH-2.0-Test\r\n"));
    let check = |more: &[&str]| lab.run(&[&["check", &greeter], more].concat());
    check(&["--type", "tcp"]).assert_code(0);
    check(&["--set", "expect=SSH-2.0"]).assert_code(0);
    let output = check(&["--set", "expect=SSH-1"]);
    output.assert_code(2);
    assert_eq!(
        line(&output),
        format!("CRITICAL - {greeter} is down: closed after 14 bytes without \"SSH-1\"")
    );
    check(&["--set", "send=hello", "--set", "expect=Test"]).assert_code(0);
    check(&["--type", "http"])
        .assert_code(3)
        .assert_unknown("\"address\" must begin with http:// or https://, not tcp://");
}

#[test]
fn the_deadline_can_be_given() {
    let silent = Service::open();
    let address = silent.address();
    let arguments = ["check", &address, "--set", "expect=x", "--timeout", "0.2"];
    // A check during which the process stalled gives no verdict.
    let output = wait_until("a check without a stall", || {
        let output = Lab::new().run(&arguments);
        let stalled = output.text().contains("this process was stalled for ");
        (!stalled).then_some(output)
    });
    output.assert_code(2);
    assert!(line(&output).contains(" is down: "), "{}", output.text());
    assert!(output.took < SOON, "{:?}", output.took);
}

#[test]
fn a_usage_error_is_exit_3() {
    let (lab, web) = (Lab::new(), Service::open());
    lab.write(
        "home.yaml",
        Site::new("HomeLab").watch_service("web", &web).text(),
    );
    let address = web.address();
    let stdout = |arguments: &[&str]| lab.run(&[&["check"], arguments].concat()).out.join("\n");
    for (arguments, reason) in [
        (
            &["gopher://127.0.0.1/"][..],
            "no type handles gopher://; choose one with --type",
        ),
        (&["--type", "tpc", &address], "did you mean tcp?"),
        (
            &[&address, "--set", "expcet=x"],
            "unknown option \"expcet\"; did you mean \"expect\"?",
        ),
        (
            &[&address, "--set", "expect"],
            "--set expect: must be OPTION=VALUE",
        ),
        (&[&address, "web"], "a monitor's name requires a site file"),
        (
            &["home.yaml", "wbe"],
            "home.yaml: no monitor is called \"wbe\"; did you mean \"web\"?",
        ),
        (
            &["home.yaml", "--set", "expect=x"],
            "--set and --type require an address, not a site file",
        ),
        (
            &["home.yaml", "--type", "tcp"],
            "--set and --type require an address, not a site file",
        ),
        (&["missing.yaml"], "missing.yaml: No such file or directory"),
        (
            &["not a host"],
            "\"address\" must be a host name or an IPv4 or IPv6 address",
        ),
    ] {
        let output = lab.run(&[&["check"], arguments].concat());
        output.assert_code(3).assert_unknown(reason);
        let json: Value = serde_json::from_str(&stdout(&[arguments, &["--json"]].concat())).unwrap();
        assert_eq!(json["verdict"], "unknown");
        let shown = json["failure"]["reason"].as_str().unwrap();
        assert!(shown.contains(reason.trim_start_matches("home.yaml: ")), "{json}");
    }
    for (arguments, reason) in [
        (
            &[][..],
            "the following required arguments were not provided: <URL|HOST|CONFIG>",
        ),
        (&["--nope"], "unexpected argument '--nope' found"),
        (
            &[&address, "--timeout", "0"],
            "invalid value '0' for '--timeout <SECS>': must be a number of seconds greater than 0 and at most 315360000",
        ),
        (&["home.yaml", "web", "more"], "unexpected argument 'more' found"),
    ] {
        let output = lab.run(&[&["check"], arguments].concat());
        output.assert_code(3);
        assert_eq!(output.out, [format!("UNKNOWN - {}", reason.replace('|', "/"))]);
        assert!(!output.err.is_empty(), "stderr shows the usage");
        let json: Value = serde_json::from_str(&stdout(&[arguments, &["--json"]].concat())).unwrap();
        assert_eq!(json["failure"]["reason"], reason);
    }
    assert!(!lab.path("state").exists(), "no state is kept");
}

#[test]
fn the_worst_verdict_of_a_site_is_its_exit_code() {
    let (lab, up, down) = (Lab::new(), Service::open(), Service::closed());
    let receiver = Receiver::new(Behaviour::Answer(200));
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
    let output = lab.run(&["check", "down.yaml"]);
    output.assert_code(2);
    // Nagios shows the first line; performance data follows its |.
    let (summary, data) = output.out[0].split_once(" | ").unwrap();
    assert_eq!(summary, "CRITICAL - 1 of 4 down: down, 1 unknown: unknown");
    let labels: Vec<_> = data
        .split(";;;0")
        .map(|one| one.split('=').next().unwrap())
        .collect();
    assert_eq!(labels, ["up", " unknown", " down", " 'up again'", ""]);
    let lines = &output.out[1..];
    assert_eq!(lines.len(), 4, "{}", output.text());
    assert!(!lines.concat().contains('|'), "{}", output.text());
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
    // A single monitor by its name.
    lab.run(&["check", "down.yaml", "up again"]).assert_code(0);
    let output = lab.run(&["check", "down.yaml", "down"]);
    output.assert_code(2);
    assert_eq!(output.out.len(), 1);
    assert_eq!(receiver.requests().len(), 0, "no notification is sent");
    assert!(!lab.path("state").exists(), "no state is kept");
}

#[test]
fn a_bar_in_a_reason_does_not_start_performance_data() {
    let web = Receiver::new(Behaviour::Answer(200));
    let output = Lab::new().run(&["check", &web.url("/"), "--set", "expect=a|b"]);
    output.assert_code(2);
    assert!(line(&output).contains("\"a/b\" not found"), "{}", output.text());
}
