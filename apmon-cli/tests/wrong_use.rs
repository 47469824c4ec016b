//! Errors on the command line: nothing runs, and the message says what was meant.
#![allow(clippy::unwrap_used)] // a panic fails the test

mod support;

use support::{Behaviour, Lab, Receiver, Service, Site};

#[test]
fn a_mistyped_command_makes_no_pass() {
    let (lab, receiver, web) = (
        Lab::new(),
        Receiver::new(Behaviour::Answer(200)),
        Service::closed(),
    );
    let site = Site::every_second("Home", &receiver).watch_service("web", &web);
    lab.write("home.yaml", site.text());
    for (arguments, expected) in [
        (
            &["chek", "home.yaml"][..],
            "\"chek\" is not a command of apmon, a site file, or the name of a site that a daemon runs; did you mean apmon check?",
        ),
        (&["test-config", "home.yaml"], "did you mean apmon --test-config?"),
        (&["home.yaml", "staus"], "did you mean apmon status?"),
        (
            &["-v", "status", "-s", "own.json", "home.yaml"],
            "\"status\" is a command, which comes first, with its options after it: apmon status ...",
        ),
        (&["version"], "did you mean apmon --version?"),
        (&["validate", "home.yaml"], "did you mean apmon --test-config?"),
        (&["list"], "did you mean apmon status?"),
        (&["stop"], "; a daemon ends on SIGTERM (systemctl stop apmon)"),
        (
            &["-t", "x", "home.yaml"],
            "must be a whole number between 1 and 4294967295",
        ),
        (&["zzzzzzzz"], "see apmon --help"),
        (
            &["--generate-mrtg-config", "home.yaml", "home.yaml"],
            "--generate-mrtg-config takes a directory, but home.yaml is a site file",
        ),
        (
            &["-s", "home.yaml", "home.yaml"],
            "-s/--statefile takes a state file, but home.yaml is a site file",
        ),
        (
            &["run", "-s", "home.yaml", "home.yaml"],
            "-s/--statefile takes a state file, but home.yaml is a site file",
        ),
        (
            &["help", "chek"],
            "there is no command \"chek\"; did you mean check?",
        ),
    ] {
        let output = lab.run(arguments);
        output.assert_code(2);
        assert!(
            output.text().contains(expected),
            "{arguments:?}: {}",
            output.text()
        );
    }
    assert_eq!(receiver.requests().len(), 0);
    assert!(!lab.path("state").exists());
    // It works where the option comes last, or has its value.
    lab.run(&["home.yaml", "--generate-mrtg-config"]).assert_code(0);
    lab.run(&["--generate-mrtg-config=mrtg", "home.yaml"])
        .assert_code(0);
}

/// A file beside the sites may have the name that was typed instead of a command, and one of a site
/// or a monitor.
#[test]
fn a_bare_word_is_not_a_site_file_even_if_a_file_has_this_name() {
    let (lab, receiver, web) = (
        Lab::new(),
        Receiver::new(Behaviour::Answer(200)),
        Service::closed(),
    );
    let site = Site::every_second("Home", &receiver).watch_service("web", &web);
    lab.write("home.yaml", site.text());
    for name in ["chek", "Home", "web"] {
        lab.write(name, site.text());
    }
    std::fs::create_dir(lab.path("sites")).unwrap();
    let output = lab.run(&["chek", "home.yaml"]);
    output.assert_code(2);
    let expected = "\"chek\" is not a command of apmon, a site file (its name would end in .yaml, .yml or .json), or the name of a site that a daemon runs; did you mean apmon check?";
    assert!(output.text().contains(expected), "{}", output.text());
    assert_eq!(receiver.requests().len(), 0);
    let output = lab.run(&["status", "chek"]);
    output.assert_code(1).assert_only_error(
        "chek: a site file's name must end in .yaml, .yml or .json, and no daemon has registered a site of this name (",
    );
    for directory in ["sites/", "./sites", "."] {
        for verb in [&[][..], &["run"], &["--test-config"]] {
            let output = lab.run(&[verb, &[directory]].concat());
            output
                .assert_code(1)
                .assert_only_error(&format!("{directory}: is a directory, not a site file"));
        }
    }
    let output = lab.run(&["sites"]);
    output.assert_code(2);
    assert!(
        output
            .text()
            .contains("\"sites\" is not a command of apmon, a site file, or"),
        "{}",
        output.text()
    );

    lab.run(&["home.yaml"]).assert_code(0);
    let output = lab.run(&["status", "home.yaml", "web"]);
    assert!(
        output.out[0].starts_with("web in Home: down"),
        "{}",
        output.text()
    );
    let daemon = lab.start_daemon(1);
    let shows_it = || {
        let output = lab.run(&["status", "Home"]);
        output.assert_code(0);
        assert!(output.out[0].starts_with("Home: 1 monitor"), "{}", output.text());
    };
    shows_it();
    std::fs::remove_file(lab.path("Home")).unwrap();
    std::fs::create_dir(lab.path("Home")).unwrap();
    shows_it();
    daemon.stop().assert_code(0);
}

#[test]
fn help_is_a_command_too() {
    let lab = Lab::new();
    for (command, option) in [
        (&["help"][..], &["--help"][..]),
        (&["help", "check"], &["check", "--help"]),
        (&["help", "notify", "retry"], &["notify", "retry", "--help"]),
    ] {
        let (command, option) = (lab.run(command), lab.run(option));
        command.assert_code(0);
        assert_eq!(command.out, option.out);
        assert!(command.out.len() > 5);
    }
}

#[test]
fn only_an_address_is_checked_as_one() {
    let lab = Lab::new();
    lab.write("site.conf", "site: {name: Home}\nmonitors: []\n");
    for (target, expected) in [
        ("site.conf", "\"site.conf\" is neither an address nor a site file"),
        ("other.cfg", "\"other.cfg\" is neither an address nor a site file"),
        ("./site", "\"./site\" is neither an address nor a site file"),
        (
            "nas:22",
            "\"address\" must be a host without a port; to check a TCP port, use type tcp with the address tcp://nas:22",
        ),
        ("127.0.0.256", "\"address\" is not an IPv4 address"),
        (
            "fe80::1%eth0",
            "\"address\" has a zone (%eth0), which apmon does not support",
        ),
        ("tcp://[fe80::1%eth0]:22", "\"address\" has a zone (%eth0)"),
        ("http://127.0.0.256/", "\"address\" is not an IPv4 address"),
    ] {
        let output = lab.run(&["check", target]);
        output.assert_code(3);
        let line = &output.out[0];
        assert!(
            line.starts_with(&format!("UNKNOWN - {expected}")),
            "{target}: {}",
            output.text()
        );
    }
    for (arguments, expected) in [
        (&["nas"][..], "nas is not a URL; write https://nas"),
        (&["nas:443"], "nas:443 is not a URL; write tls://nas:443"),
        (
            &["nas", "--starttls", "imap"],
            "nas is not a URL; write tcp://nas:PORT",
        ),
        (
            &["https://127.0.0.256"],
            "https://127.0.0.256 is not an IPv4 address",
        ),
    ] {
        let output = lab.run(&[&["pin"], arguments].concat());
        output.assert_code(1);
        assert!(
            output.text().contains(expected),
            "{arguments:?}: {}",
            output.text()
        );
    }
}
