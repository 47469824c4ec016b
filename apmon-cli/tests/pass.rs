//! One pass: `apmon [OPTIONS] <CONFIG>...`, as cron runs it.
#![allow(clippy::unwrap_used)] // a panic fails the test

mod support;

use std::time::Duration;

use serde_json::json;
use support::{Behaviour, Lab, Receiver, Service, Site, notification_of, run, sentence, without_times};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn an_outage_its_reminder_and_its_recovery_are_sent_over_several_passes() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Behaviour::Answer(200)), Service::open());
    let site = Site::new("HomeLab").webhook(&receiver.url("/hook"));
    lab.write("home.yaml", site.watch_service("web", &web).text());
    let state = lab.state("home");
    let address = web.address();
    let pass = || {
        let output = lab.run(&["home.yaml"]);
        assert_eq!(output.err, [""; 0], "{}", output.text());
        output.assert_code(0);
        output
            .out
            .iter()
            .map(|line| without_times(line))
            .collect::<Vec<_>>()
    };

    assert_eq!(pass(), [""; 0], "no notification while up");
    web.close();
    assert_eq!(pass(), [""; 0], "no check is due yet");
    state.age(MINUTE);
    let outage = pass();
    assert_eq!(
        outage,
        [format!(
            "##### NEW OUTAGE: web in HomeLab new outage: connect: connection refused ({address}) at TIME, down for 0 secs #####"
        )]
    );
    state.age(MINUTE);
    assert_eq!(pass(), [""; 0], "no reminder is due yet");
    state.age(9 * MINUTE);
    let reminder = pass();
    assert_eq!(
        reminder,
        [format!(
            "##### DOWN: web in HomeLab is down: connect: connection refused ({address}) at TIME, down for 10 mins N secs #####"
        )]
    );
    web.reopen();
    state.age(53 * MINUTE);
    let recovery = pass();
    assert_eq!(
        recovery,
        [format!(
            "##### RECOVERY: web in HomeLab is UP ({address}) at TIME, outage lasted 1 hrs 3 mins #####"
        )]
    );
    state.age(MINUTE);
    assert_eq!(pass(), [""; 0], "the recovery is sent once");

    let requests = receiver.requests();
    let sent: Vec<_> = requests
        .iter()
        .map(|request| without_times(&notification_of(request)))
        .collect();
    let printed: Vec<_> = [&outage, &reminder, &recovery]
        .iter()
        .map(|lines| sentence(&lines[0]))
        .collect();
    assert_eq!(
        sent, printed,
        "a webhook receives the sentence without the hashes"
    );
    for request in &requests {
        assert_eq!(
            (&*request.method, &*request.path, request.header("content-type")),
            ("POST", "/hook", "application/json")
        );
    }
    let keys: Vec<_> = requests.iter().map(|request| request.key()).collect();
    let incident = keys[0].strip_suffix("-1-webhook:127.0.0.1").unwrap();
    assert_eq!(
        keys,
        ["1", "2", "3-end"].map(|number| format!("{incident}-{number}-webhook:127.0.0.1"))
    );
}

#[test]
fn a_monitor_is_soft_until_enough_consecutive_checks_have_failed() {
    let (lab, web) = (Lab::new(), Service::closed());
    let site = Site::new("HomeLab")
        .option("max_retries: 3")
        .option("retry_every_n_secs: 1");
    lab.write("home.yaml", site.watch_service("web", &web).text());
    let mut pass = lab.start(&["-v", "home.yaml"]);
    pass.wait_for_err("INFO web: Down: connect: connection refused (soft, failed check 1 of 3)");
    pass.wait_for_err("INFO web: Down: connect: connection refused (soft, failed check 2 of 3)");
    let output = pass.wait();
    output.assert_code(0);
    assert_eq!(output.out.len(), 1, "{}", output.text());
    assert!(
        output.took >= Duration::from_secs(2),
        "retries are a second apart"
    );
    assert_eq!(lab.state("home").read()["web"]["down_count"], 3);

    // Up again before the second check: no notification.
    let lab = Lab::new();
    lab.write(
        "home.yaml",
        Site::new("HomeLab")
            .option("max_retries: 2")
            .option("retry_every_n_secs: 1")
            .watch_service("web", &web)
            .text(),
    );
    let mut pass = lab.start(&["-v", "home.yaml"]);
    pass.wait_for_err("(soft, failed check 1 of 2)");
    web.reopen();
    let output = pass.wait();
    assert_eq!(output.out, [""; 0], "{}", output.text());
    assert_eq!(lab.state("home").read()["web"]["is_up"], true);
}

#[test]
fn a_notification_that_fails_at_first_is_retried_under_the_same_key() {
    let busy = [Behaviour::Answer(503), Behaviour::Close];
    let (lab, receiver, web) = (
        Lab::new(),
        Receiver::scripted(&busy, Behaviour::Answer(204)),
        Service::closed(),
    );
    let site = Site::new("HomeLab")
        .option("max_try_secs: 10")
        .webhook(&receiver.url("/hook"));
    lab.write("home.yaml", site.watch_service("web", &web).text());
    let output = lab.run(&["home.yaml"]);
    output.assert_code(0);
    let requests = receiver.requests();
    assert_eq!(requests.len(), 3, "{requests:#?}");
    assert!(
        requests
            .iter()
            .all(|request| request.key() == requests[0].key() && request.body == requests[0].body),
        "{requests:#?}"
    );
    assert_eq!(lab.state("home").outbox(), [json!(null); 0]);
    assert_eq!(output.logged("WARN").len(), 1, "logged once: {}", output.text());
}

#[test]
fn the_next_pass_delivers_what_a_pass_could_not() {
    let (lab, receiver, web) = (
        Lab::new(),
        Receiver::new(Behaviour::Answer(503)),
        Service::closed(),
    );
    let site = Site::new("HomeLab")
        .option("max_try_secs: 1")
        .webhook(&receiver.url("/hook"));
    let text = site.watch_service("web", &web).text();
    lab.write("home.yaml", &text);
    let output = lab.run(&["home.yaml"]);
    output.assert_code(0);
    assert_eq!(
        output.logged("WARN").last().unwrap(),
        &"home.yaml: 1 notification not yet delivered; kept for later passes"
    );
    let waiting = lab.state("home").outbox();
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0]["notification"]["text"], sentence(&output.out[0]));
    let attempts = receiver.requests();
    assert!((1..=2).contains(&attempts.len()), "{attempts:#?}");

    // This time the deadline is long enough.
    receiver.set(Behaviour::Answer(200));
    lab.write("home.yaml", text.replace("max_try_secs: 1", "max_try_secs: 20"));
    let output = lab.run(&["home.yaml"]);
    output.assert_code(0);
    assert_eq!(output.out, [""; 0], "it was printed by the first pass");
    let requests = receiver.requests();
    assert_eq!(requests.len(), attempts.len() + 1);
    let delivered = requests.last().unwrap();
    assert_eq!(
        (delivered.key(), &delivered.body),
        (attempts[0].key(), &attempts[0].body)
    );
    assert_eq!(lab.state("home").outbox(), [json!(null); 0]);
}

#[test]
fn a_refused_notification_is_kept_and_its_recovery_is_sent() {
    let (lab, receiver, web) = (
        Lab::new(),
        Receiver::scripted(&[Behaviour::Answer(403)], Behaviour::Answer(200)),
        Service::closed(),
    );
    let site = Site::new("HomeLab").webhook(&receiver.url("/hook?token=s3cret"));
    lab.write("home.yaml", site.watch_service("web", &web).text());
    let output = lab.run(&["home.yaml"]);
    output.assert_code(0);
    assert!(
        output.logged("ERROR")[0].starts_with("notification refused (")
            && output.logged("ERROR")[0].contains("web in HomeLab new outage: "),
        "{}",
        output.text()
    );
    assert!(!output.text().contains("s3cret"), "{}", output.text());
    assert_eq!(lab.state("home").outbox().len(), 1);
    lab.run(&["home.yaml"]).assert_code(0);
    assert_eq!(receiver.requests().len(), 1, "it is retried later");
    web.reopen();
    lab.state("home").age(MINUTE);
    lab.run(&["home.yaml"]).assert_code(0);
    let sent: Vec<_> = receiver.requests().iter().map(notification_of).collect();
    assert_eq!(sent.len(), 3, "{sent:#?}");
    assert_eq!(sent[1], sent[0], "the outage is retried before its recovery");
    assert!(sent[2].starts_with("web in HomeLab is UP "), "{sent:#?}");
    assert_eq!(lab.state("home").outbox().len(), 0);
}

#[test]
fn a_webhook_can_use_get() {
    let (lab, receiver, web) = (
        Lab::new(),
        Receiver::new(Behaviour::Answer(200)),
        Service::closed(),
    );
    let site = Site::new("HomeLab").webhook_with(&format!(
        "endpoint_url: \"{}\", request_method: GET, request_encoding: URL, request_prefix: \"?text=\", request_suffix: \"&to=me\"",
        receiver.url("/send")
    ));
    lab.write("home.yaml", site.watch_service("web", &web).text());
    lab.run(&["home.yaml"]).assert_code(0);
    let request = &receiver.requests()[0];
    assert_eq!((&*request.method, &*request.body), ("GET", ""));
    let (path, port) = (&request.path, web.port());
    assert!(
        path.starts_with("/send?text=web%20in%20HomeLab%20new%20outage%3A%20connect%3A%20connection%20refused%20%28tcp%3A%2F%2F127.0.0.1%3A")
            && path.contains(&format!("%3A{port}%29%20at%20"))
            && path.ends_with("%2C%20down%20for%200%20secs&to=me"),
        "{path}"
    );
}

#[test]
fn with_no_notify_notifications_are_printed_and_not_sent() {
    let (lab, receiver, web) = (
        Lab::new(),
        Receiver::new(Behaviour::Answer(200)),
        Service::closed(),
    );
    let site = Site::new("HomeLab").webhook(&receiver.url("/hook"));
    lab.write("home.yaml", site.watch_service("web", &web).text());
    let output = lab.run(&["--no-notify", "home.yaml"]);
    output.assert_code(0);
    assert!(output.out[0].starts_with("##### NEW OUTAGE: web in HomeLab new outage: "));
    assert_eq!(lab.state("home").read()["web"]["is_up"], false);
    assert_eq!(lab.state("home").outbox(), [json!(null); 0]);
    let output = lab.run(&["home.yaml"]);
    output.assert_code(0);
    assert_eq!(output.out, [""; 0], "it was printed");
    assert_eq!(receiver.requests().len(), 0, "it is not sent later either");
}

#[test]
fn one_broken_site_does_not_keep_the_others_from_running() {
    let (lab, receiver, web) = (
        Lab::new(),
        Receiver::new(Behaviour::Answer(200)),
        Service::closed(),
    );
    let site = |name: &str| {
        Site::new(name)
            .webhook(&receiver.url(&format!("/{name}")))
            .watch_service("web", &web)
            .text()
    };
    lab.write("one.yaml", site("One"));
    lab.write("two.yaml", site("Two").replace("type: tcp", "type: tpc"));
    lab.write("three.yaml", site("Three"));
    let output = lab.run(&["one.yaml", "two.yaml", "three.yaml"]);
    output.assert_code(1);
    let mut out = output.out.clone();
    out.sort();
    assert_eq!(out.len(), 2);
    assert!(out[0].starts_with("##### NEW OUTAGE: web in One "), "{out:?}");
    assert!(out[1].starts_with("##### NEW OUTAGE: web in Three "), "{out:?}");
    assert_eq!(output.err.len(), 1, "{}", output.text());
    assert!(
        output.err[0].starts_with("ERROR two.yaml:8:12: monitor \"web\": ")
            && output.err[0].contains("did you mean tcp?"),
        "{}",
        output.text()
    );
    let mut paths: Vec<_> = receiver
        .requests()
        .into_iter()
        .map(|request| request.path)
        .collect();
    paths.sort();
    assert_eq!(paths, ["/One", "/Three"]);
    assert!(!lab.state("two").exists());
}

#[test]
fn a_usage_error_exits_2() {
    let lab = Lab::new();
    lab.write("a.yaml", "");
    lab.write("b.yaml", "");
    for (arguments, part) in [
        (
            &["-s", "x.json", "a.yaml", "b.yaml"][..],
            "-s/--statefile requires a single site file",
        ),
        (
            &["run", "-s", "x.json", "a.yaml", "b.yaml"],
            "-s/--statefile requires a single site file",
        ),
        (&["--statefiles", "x.json", "a.yaml"], "--statefile"),
        (&["-t", "0", "a.yaml"], "invalid value '0'"),
        (&["-t", "many", "a.yaml"], "invalid value 'many'"),
        (&[], "<CONFIG>"),
        (&["run"], "<CONFIG>"),
        (&["pacing"], "--notify-every-n-secs"),
    ] {
        let output = lab.run(arguments);
        output.assert_code(2);
        assert!(
            output.err.join("\n").contains(part),
            "{arguments:?}: {}",
            output.text()
        );
        assert_eq!(output.out, [""; 0], "{arguments:?}");
    }
}

#[test]
fn threads_limit_concurrent_checks() {
    for (arguments, most) in [
        (&["home.yaml"][..], 4),
        (&["-t", "1", "home.yaml"], 1),
        (&["--threads", "2", "home.yaml"], 2),
    ] {
        let (lab, target) = (Lab::new(), Receiver::new(Behaviour::Together(most)));
        let site = (1..=4).fold(Site::new("HomeLab"), |site, n| {
            site.watch(&format!(
                "type: http, name: web{n}, address: \"{}\"",
                target.url("/")
            ))
        });
        lab.write("home.yaml", site.text());
        let output = lab.run(arguments);
        output.assert_code(0);
        assert_eq!(target.requests().len(), 4);
        assert_eq!(target.max_concurrent(), most, "{arguments:?}");
        let warnings = output.logged("WARN");
        match most {
            4 => assert_eq!(warnings, [""; 0]),
            _ => assert!(
                warnings[0].starts_with(&format!(
                    "HomeLab: 4 monitors, at most {most} checked at once: dead targets may delay others by up to "
                )),
                "{}",
                output.text()
            ),
        }
    }
}

#[test]
fn heartbeats_are_sent_while_the_monitor_is_up() {
    let (lab, watcher, web) = (Lab::new(), Receiver::new(Behaviour::Answer(200)), Service::open());
    let site = Site::new("HomeLab").watch(&format!(
        "type: tcp, name: web, address: \"{}\", heartbeat_url: \"{}\"",
        web.address(),
        watcher.url("/beat")
    ));
    lab.write("home.yaml", site.text());
    lab.run(&["home.yaml"]).assert_code(0);
    let requests = watcher.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!((&*requests[0].method, &*requests[0].path), ("GET", "/beat"));
    assert!(lab.state("home").read()["web"]["last_successful_heartbeat"].is_string());
    web.close();
    lab.state("home").age(MINUTE);
    lab.run(&["home.yaml"]).assert_code(0);
    assert_eq!(watcher.requests().len(), 1, "none while down");
}

#[test]
fn log_lines_have_a_time_outside_the_journal() {
    let lab = Lab::new();
    let mut command = lab.apmon(&["missing.yaml"]);
    command.env_remove("JOURNAL_STREAM");
    let output = run(command);
    let (time, rest) = output.err[0].split_once(" ERROR ").unwrap();
    time.parse::<jiff::civil::DateTime>().unwrap();
    assert_eq!(rest, "missing.yaml: No such file or directory (os error 2)");
}

#[test]
fn two_actions_at_once_are_a_usage_error() {
    let (lab, web) = (Lab::new(), Service::open());
    lab.write(
        "home.yaml",
        Site::new("HomeLab").watch_service("web", &web).text(),
    );
    for actions in [
        ["--test-config", "--test-webhooks"],
        ["--test-config", "--test-emails"],
        ["--test-webhooks", "--test-emails"],
        ["--no-notify", "--test-webhooks"],
        ["--no-notify", "--test-emails"],
    ] {
        let output = lab.run(&[&actions[..], &["home.yaml"]].concat());
        output.assert_code(2);
        assert!(output.text().contains("cannot be used with"), "{}", output.text());
    }
}

#[test]
fn threads_from_the_command_line_are_shown() {
    let (lab, web) = (Lab::new(), Service::open());
    lab.write(
        "home.yaml",
        Site::new("HomeLab").watch_service("web", &web).text(),
    );
    let output = lab.run(&["--test-config", "-t", "1", "home.yaml"]);
    output.assert_code(0);
    assert!(output.out[0].ends_with(", max_threads 1"), "{}", output.text());
}
