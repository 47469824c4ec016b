//! One pass: `apmon [OPTIONS] <CONFIG>...`, as cron runs it.
#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use std::time::Duration;

use serde_json::json;
use support::{Ended, Lab, Manner, Receiver, Service, Site, message_of, run, sentence, timeless};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn an_outage_is_told_reminded_of_and_ended_over_several_passes() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Manner::Answer(200)), Service::open());
    let site = Site::new("HomeLab").webhook(&receiver.url("/hook"));
    lab.write("home.yaml", site.watch_service("web", &web).text());
    let state = lab.state("home");
    let address = web.address();
    let pass = || {
        let ended = lab.run(&["home.yaml"]);
        assert_eq!(ended.err, [""; 0], "{}", ended.text());
        ended.assert_code(0);
        ended.out.iter().map(|line| timeless(line)).collect::<Vec<_>>()
    };

    assert_eq!(pass(), [""; 0], "up is nothing to tell");
    web.go_away();
    assert_eq!(pass(), [""; 0], "no look is due yet");
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
    web.come_back();
    state.age(53 * MINUTE);
    let recovery = pass();
    assert_eq!(
        recovery,
        [format!(
            "##### RECOVERY: web in HomeLab is UP ({address}) at TIME, outage lasted 1 hours 3 mins #####"
        )]
    );
    state.age(MINUTE);
    assert_eq!(pass(), [""; 0], "told once");

    let requests = receiver.requests();
    let told: Vec<_> = requests
        .iter()
        .map(|request| timeless(&message_of(request)))
        .collect();
    let said: Vec<_> = [&outage, &reminder, &recovery]
        .iter()
        .map(|lines| sentence(&lines[0]))
        .collect();
    assert_eq!(told, said, "a webhook is sent the sentence without the hashes");
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
fn a_monitor_is_soft_until_enough_looks_in_a_row_have_failed() {
    let (lab, web) = (Lab::new(), Service::closed());
    let site = Site::new("HomeLab")
        .option("max_retries: 3")
        .option("retry_every_n_secs: 1");
    lab.write("home.yaml", site.watch_service("web", &web).text());
    let mut pass = lab.start(&["-v", "home.yaml"]);
    pass.until_err("INFO web: Down: connect: connection refused (look 1 of 3 before it is an outage)");
    pass.until_err("INFO web: Down: connect: connection refused (look 2 of 3 before it is an outage)");
    let ended = pass.wait();
    ended.assert_code(0);
    assert_eq!(ended.out.len(), 1, "{}", ended.text());
    assert!(ended.took >= Duration::from_secs(2), "retries are a second apart");
    assert_eq!(lab.state("home").read()["web"]["down_count"], 3);

    // Up again before the third look: nobody hears of it.
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
    pass.until_err("(look 1 of 2 before it is an outage)");
    web.come_back();
    let ended = pass.wait();
    assert_eq!(ended.out, [""; 0], "{}", ended.text());
    assert_eq!(lab.state("home").read()["web"]["is_up"], true);
}

#[test]
fn a_message_that_is_not_taken_at_first_is_sent_again_under_the_same_key() {
    let busy = [Manner::Answer(503), Manner::Close];
    let (lab, receiver, web) = (
        Lab::new(),
        Receiver::scripted(&busy, Manner::Answer(204)),
        Service::closed(),
    );
    let site = Site::new("HomeLab")
        .option("max_try_secs: 10")
        .webhook(&receiver.url("/hook"));
    lab.write("home.yaml", site.watch_service("web", &web).text());
    let ended = lab.run(&["home.yaml"]);
    ended.assert_code(0);
    let requests = receiver.requests();
    assert_eq!(requests.len(), 3, "{requests:#?}");
    assert!(
        requests
            .iter()
            .all(|request| request.key() == requests[0].key() && request.body == requests[0].body),
        "{requests:#?}"
    );
    assert_eq!(lab.state("home").outbox(), [json!(null); 0]);
    assert_eq!(ended.logged("WARN").len(), 1, "said once: {}", ended.text());
}

#[test]
fn what_a_pass_could_not_deliver_the_next_one_does() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Manner::Answer(503)), Service::closed());
    let site = Site::new("HomeLab")
        .option("max_try_secs: 1")
        .webhook(&receiver.url("/hook"));
    let text = site.watch_service("web", &web).text();
    lab.write("home.yaml", &text);
    let ended = lab.run(&["home.yaml"]);
    ended.assert_code(0);
    assert_eq!(
        ended.logged("WARN").last().unwrap(),
        &"home.yaml: 1 messages are not delivered yet; they are kept, later passes try them again"
    );
    let waiting = lab.state("home").outbox();
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0]["notification"]["text"], sentence(&ended.out[0]));
    let tries = receiver.requests();
    assert!((1..=2).contains(&tries.len()), "{tries:#?}");

    // This time there is no hurry.
    receiver.set(Manner::Answer(200));
    lab.write("home.yaml", text.replace("max_try_secs: 1", "max_try_secs: 20"));
    let ended = lab.run(&["home.yaml"]);
    ended.assert_code(0);
    assert_eq!(ended.out, [""; 0], "it was printed when it was decided");
    let requests = receiver.requests();
    assert_eq!(requests.len(), tries.len() + 1);
    let delivered = requests.last().unwrap();
    assert_eq!(
        (delivered.key(), &delivered.body),
        (tries[0].key(), &tries[0].body)
    );
    assert_eq!(lab.state("home").outbox(), [json!(null); 0]);
}

#[test]
fn a_refused_message_is_kept_and_its_recovery_is_sent() {
    let (lab, receiver, web) = (
        Lab::new(),
        Receiver::scripted(&[Manner::Answer(403)], Manner::Answer(200)),
        Service::closed(),
    );
    let site = Site::new("HomeLab").webhook(&receiver.url("/hook?token=s3cret"));
    lab.write("home.yaml", site.watch_service("web", &web).text());
    let ended = lab.run(&["home.yaml"]);
    ended.assert_code(0);
    assert!(
        ended.logged("ERROR")[0].starts_with("message refused (")
            && ended.logged("ERROR")[0].contains("web in HomeLab new outage: "),
        "{}",
        ended.text()
    );
    assert!(!ended.text().contains("s3cret"), "{}", ended.text());
    assert_eq!(lab.state("home").outbox().len(), 1);
    lab.run(&["home.yaml"]).assert_code(0);
    assert_eq!(receiver.requests().len(), 1, "it is tried again later");
    web.come_back();
    lab.state("home").age(MINUTE);
    lab.run(&["home.yaml"]).assert_code(0);
    let told: Vec<_> = receiver.requests().iter().map(message_of).collect();
    assert_eq!(told.len(), 3, "{told:#?}");
    assert_eq!(told[1], told[0], "before its recovery it is tried once more");
    assert!(told[2].starts_with("web in HomeLab is UP "), "{told:#?}");
    assert_eq!(lab.state("home").outbox().len(), 0);
}

#[test]
fn a_webhook_may_be_asked_by_get() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Manner::Answer(200)), Service::closed());
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
fn with_no_notify_messages_are_printed_and_nobody_is_told() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Manner::Answer(200)), Service::closed());
    let site = Site::new("HomeLab").webhook(&receiver.url("/hook"));
    lab.write("home.yaml", site.watch_service("web", &web).text());
    let ended = lab.run(&["--no-notify", "home.yaml"]);
    ended.assert_code(0);
    assert!(ended.out[0].starts_with("##### NEW OUTAGE: web in HomeLab new outage: "));
    assert_eq!(lab.state("home").read()["web"]["is_up"], false);
    assert_eq!(lab.state("home").outbox(), [json!(null); 0]);
    let ended = lab.run(&["home.yaml"]);
    ended.assert_code(0);
    assert_eq!(ended.out, [""; 0], "it was printed");
    assert_eq!(receiver.requests().len(), 0, "nor is anybody told later");
}

#[test]
fn one_broken_site_does_not_keep_the_others_from_running() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Manner::Answer(200)), Service::closed());
    let site = |name: &str| {
        Site::new(name)
            .webhook(&receiver.url(&format!("/{name}")))
            .watch_service("web", &web)
            .text()
    };
    lab.write("one.yaml", site("One"));
    lab.write("two.yaml", site("Two").replace("type: tcp", "type: tpc"));
    lab.write("three.yaml", site("Three"));
    let ended = lab.run(&["one.yaml", "two.yaml", "three.yaml"]);
    ended.assert_code(1);
    let mut out = ended.out.clone();
    out.sort();
    assert_eq!(out.len(), 2);
    assert!(out[0].starts_with("##### NEW OUTAGE: web in One "), "{out:?}");
    assert!(out[1].starts_with("##### NEW OUTAGE: web in Three "), "{out:?}");
    assert_eq!(ended.err.len(), 1, "{}", ended.text());
    assert!(
        ended.err[0].starts_with("ERROR two.yaml:8:12: monitor \"web\": ")
            && ended.err[0].contains("did you mean tcp?"),
        "{}",
        ended.text()
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
fn wrong_usage_is_exit_2() {
    let lab = Lab::new();
    lab.write("a.yaml", "");
    lab.write("b.yaml", "");
    for (arguments, part) in [
        (
            &["-s", "x.json", "a.yaml", "b.yaml"][..],
            "-s/--statefile goes with a single site file",
        ),
        (
            &["run", "-s", "x.json", "a.yaml", "b.yaml"],
            "-s/--statefile goes with a single site file",
        ),
        (&["--statefiles", "x.json", "a.yaml"], "--statefile"),
        (&["-t", "0", "a.yaml"], "invalid value '0'"),
        (&["-t", "many", "a.yaml"], "invalid value 'many'"),
        (&[], "<CONFIG>"),
        (&["run"], "<CONFIG>"),
        (&["pacing"], "--notify-every-n-secs"),
    ] {
        let ended = lab.run(arguments);
        ended.assert_code(2);
        assert!(
            ended.err.join("\n").contains(part),
            "{arguments:?}: {}",
            ended.text()
        );
        assert_eq!(ended.out, [""; 0], "{arguments:?}");
    }
}

#[test]
fn threads_cap_what_is_under_way_at_once() {
    for (arguments, most) in [
        (&["home.yaml"][..], 4),
        (&["-t", "1", "home.yaml"], 1),
        (&["--threads", "2", "home.yaml"], 2),
    ] {
        let (lab, target) = (Lab::new(), Receiver::new(Manner::Together(most)));
        let site = (1..=4).fold(Site::new("HomeLab"), |site, n| {
            site.watch(&format!(
                "type: http, name: web{n}, address: \"{}\"",
                target.url("/")
            ))
        });
        lab.write("home.yaml", site.text());
        let ended = lab.run(arguments);
        ended.assert_code(0);
        assert_eq!(target.requests().len(), 4);
        assert_eq!(target.most_at_once(), most, "{arguments:?}");
        let warnings = ended.logged("WARN");
        match most {
            4 => assert_eq!(warnings, [""; 0]),
            _ => assert!(
                warnings[0].starts_with(&format!(
                    "HomeLab: {most} checks at once for 4 monitors: dead targets may delay others by up to "
                )),
                "{}",
                ended.text()
            ),
        }
    }
}

#[test]
fn a_test_message_goes_to_all_webhooks() {
    let (lab, good, bad) = (
        Lab::new(),
        Receiver::new(Manner::Answer(200)),
        Receiver::new(Manner::Answer(500)),
    );
    let web = Service::open();
    lab.write(
        "good.yaml",
        Site::new("Good")
            .webhook(&good.url("/hook"))
            .watch_service("web", &web)
            .text(),
    );
    lab.write(
        "bad.yaml",
        Site::new("Bad")
            .webhook(&bad.url("/hook?token=s3cret"))
            .webhook(&good.url("/hook"))
            .watch_service("web", &web)
            .text(),
    );
    let verdicts = |ended: &Ended| -> Vec<String> {
        let lines = ended.out.iter().filter(|line| !line.starts_with(' '));
        lines.cloned().collect()
    };
    let all_taken = |site: &str, channel: &str| {
        let kinds = [
            "outage",
            "reminder",
            "recovery",
            "unknown",
            "known",
            "no longer watched",
        ];
        kinds.map(|kind| format!("{site}: {channel}: {kind}: taken"))
    };
    let ended = lab.run(&["--test-webhooks", "good.yaml"]);
    ended.assert_code(0);
    assert_eq!(verdicts(&ended), all_taken("Good", "webhook:127.0.0.1"));
    let told: Vec<_> = good
        .requests()
        .iter()
        .map(|request| timeless(&message_of(request)))
        .collect();
    assert_eq!(
        told,
        [
            "apmon test in Good new outage: this is a test, nothing is down (test) at TIME, down for 0 secs",
            "apmon test in Good is down: this is a test, nothing is down (test) at TIME, down for 1 mins N secs",
            "apmon test in Good is UP (test) at TIME, outage lasted 1 mins N secs",
            "apmon test in Good cannot be checked: this is a test, nothing is down (test) at TIME, unknown for 1 mins N secs",
            "apmon test in Good can be checked again and is UP (test) at TIME, was unknown for 1 mins N secs",
            "apmon test in Good is no longer watched at TIME (was down for 1 mins 0 secs)",
        ]
    );
    assert!(
        ended.out[0].starts_with("  > POST http://127.0.0.1:"),
        "{}",
        ended.text()
    );
    assert!(
        ended.out.iter().any(|line| line.starts_with("  < 200")),
        "{}",
        ended.text()
    );

    let ended = lab.run(&["--test-webhooks", "bad.yaml", "good.yaml"]);
    ended.assert_code(1);
    let told = verdicts(&ended);
    assert_eq!(told.len(), 13, "{}", ended.text());
    assert!(
        told[0].starts_with("Bad: webhook:127.0.0.1: outage: FAILED: "),
        "{}",
        ended.text()
    );
    assert_eq!(told[1..7], all_taken("Bad", "webhook:127.0.0.1#2"));
    assert_eq!(told[7..], all_taken("Good", "webhook:127.0.0.1"));
    let ended = lab.run(&["notify", "test", "bad.yaml", "webhook:127.0.0.1#2"]);
    ended.assert_code(0);
    assert_eq!(verdicts(&ended), all_taken("Bad", "webhook:127.0.0.1#2"));
    let ended = lab.run(&["notify", "test", "bad.yaml", "webhook:elsewhere"]);
    ended.assert_code(1);
    assert_eq!(
        ended.out,
        ["Bad: no channel webhook:elsewhere to test; there are webhook:127.0.0.1, webhook:127.0.0.1#2"]
    );
    assert!(!ended.text().contains("s3cret"));
    assert!(!lab.path("state").exists(), "no state is kept");
}

#[test]
fn a_channel_is_tested_by_its_name_and_one_that_is_not_there_is_a_failure() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Manner::Answer(200)), Service::closed());
    let hook = |name: &str| {
        format!(
            "endpoint_url: \"{}\", request_method: POST, request_encoding: JSON, name: {name}",
            receiver.url(&format!("/{name}"))
        )
    };
    let two = Site::new("Two")
        .webhook_with(&hook("chat"))
        .webhook_with(&hook("pager"));
    lab.write("two.yaml", two.watch_service("web", &web).text());
    lab.run(&["notify", "test", "-vvv", "two.yaml", "pager"])
        .assert_code(0);
    let requests = receiver.requests();
    assert_eq!(requests.len(), 6);
    assert!(requests.iter().all(|request| request.path == "/pager"));

    let site = |name: &str| Site::new(name).watch_service("web", &web);
    lab.write("none.yaml", site("None").text());
    let program = site("Program").option("outage_commands: [program: /bin/true]");
    lab.write("program.yaml", program.text());
    let nobody = "None: no channel to test; the site has no channels";
    for (arguments, code, said) in [
        (&["notify", "test", "none.yaml"][..], 0, nobody),
        (
            &["notify", "test", "none.yaml", "chat"],
            1,
            "None: no channel chat to test; the site has no channels",
        ),
        (
            &["notify", "test", "program.yaml", "chat"],
            1,
            "Program: no channel chat to test; there are exec:true",
        ),
        (
            &["--test-webhooks", "program.yaml"],
            0,
            "Program: no webhook to test; there are exec:true",
        ),
        (
            &["--test-emails", "program.yaml"],
            0,
            "Program: no e-mail recipient to test; there are exec:true",
        ),
    ] {
        let ended = lab.run(arguments);
        ended.assert_code(code);
        assert_eq!(ended.out, [said], "{arguments:?}");
    }
    assert_eq!(receiver.requests().len(), 6, "nobody else was told");
}

#[test]
fn what_comes_later_says_so() {
    let (lab, web) = (Lab::new(), Service::closed());
    lab.write(
        "home.yaml",
        Site::new("HomeLab").watch_service("web", &web).text(),
    );
    for arguments in [
        &["--generate-rrds", "home.yaml"][..],
        &["home.yaml", "--generate-mrtg-config"],
        &["--generate-mrtg-config", "work", "home.yaml"],
    ] {
        let lab = Lab::new();
        lab.write(
            "home.yaml",
            Site::new("HomeLab").watch_service("web", &web).text(),
        );
        let ended = lab.run(arguments);
        ended.assert_code(0);
        assert_eq!(ended.logged("WARN").len(), 1, "{}", ended.text());
        assert!(
            ended.logged("WARN")[0].contains("monitoring goes on without"),
            "{}",
            ended.text()
        );
        assert_eq!(ended.out.len(), 1, "it ran: {}", ended.text());
    }
}

#[test]
fn heartbeats_are_sent_while_it_is_up() {
    let (lab, watcher, web) = (Lab::new(), Receiver::new(Manner::Answer(200)), Service::open());
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
    web.go_away();
    lab.state("home").age(MINUTE);
    lab.run(&["home.yaml"]).assert_code(0);
    assert_eq!(watcher.requests().len(), 1, "none while down");
}

#[test]
fn log_lines_have_their_time_outside_the_journal() {
    let lab = Lab::new();
    let mut command = lab.apmon(&["missing.yaml"]);
    command.env_remove("JOURNAL_STREAM");
    let ended = run(command);
    let (time, rest) = ended.err[0].split_once(" ERROR ").unwrap();
    time.parse::<jiff::civil::DateTime>().unwrap();
    assert_eq!(rest, "missing.yaml: No such file or directory (os error 2)");
}

#[test]
fn two_actions_at_once_are_wrong_usage() {
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
        let ended = lab.run(&[&actions[..], &["home.yaml"]].concat());
        ended.assert_code(2);
        assert!(ended.text().contains("cannot be used with"), "{}", ended.text());
    }
}

#[test]
fn the_cap_of_the_command_line_is_shown() {
    let (lab, web) = (Lab::new(), Service::open());
    lab.write(
        "home.yaml",
        Site::new("HomeLab").watch_service("web", &web).text(),
    );
    let ended = lab.run(&["--test-config", "-t", "1", "home.yaml"]);
    ended.assert_code(0);
    assert!(ended.out[0].ends_with(", max_threads 1"), "{}", ended.text());
}
