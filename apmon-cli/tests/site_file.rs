//! Site files: the output of `--test-config`, and the errors of invalid files.
#![cfg(all(feature = "dns", feature = "mail", feature = "quic", feature = "snmp"))]
#![allow(clippy::unwrap_used)] // a panic fails the test

mod support;

use std::{
    fs::{self, File},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use support::{Behaviour, Lab, Receiver, SOON, Service, Site, notification_of, run, test_file};

#[test]
fn the_summary_of_the_complete_site_file() {
    let lab = Lab::new();
    let complete = Path::new(env!("CARGO_MANIFEST_DIR")).join("../apmon-core/tests/site/complete.yaml");
    fs::copy(complete, lab.path("complete.yaml")).unwrap();
    let output = lab.run(&["--test-config", "complete.yaml"]);
    output.assert_code(0);
    insta::assert_snapshot!(output.text());
    assert!(!lab.path("state").exists(), "the file is only read");
}

#[test]
fn all_errors_of_a_site_file_are_listed() {
    let lab = Lab::new();
    fs::copy(test_file("site/errors.yaml"), lab.path("errors.yaml")).unwrap();
    let output = lab.run(&["--test-config", "errors.yaml"]);
    output.assert_code(1);
    assert!(!output.text().contains("s3cret"), "{}", output.text());
    insta::assert_snapshot!(output.text());
    // Every command that reads the file prints the same errors.
    for arguments in [
        &["errors.yaml"][..],
        &["run", "errors.yaml"],
        &["--test-webhooks", "errors.yaml"],
    ] {
        let other = lab.run(arguments);
        other.assert_code(1);
        assert_eq!(other.err, output.err, "{arguments:?}");
    }
    let check = lab.run(&["check", "errors.yaml"]);
    check.assert_code(3);
    assert_eq!(check.err, output.err);
}

#[test]
fn each_of_several_files_is_checked() {
    let (lab, web) = (Lab::new(), Service::closed());
    let good = Site::new("Good").watch_service("web", &web).text();
    lab.write("good.yaml", &good);
    lab.write("bad.yaml", good.replace("type", "tpye"));
    lab.write("good.json", r#"{"site": {"name": "Json"}, "monitors": [{"type": "ping", "name": "gw", "address": "192.168.1.1"}]}"#);
    let output = lab.run(&["--test-config", "good.yaml", "bad.yaml", "good.json"]);
    output.assert_code(1);
    let text = output.text();
    assert!(
        text.contains("good.yaml: site Good, 1 monitor, no channels, "),
        "{text}"
    );
    assert!(
        text.contains("good.json: site Json, 1 monitor, no channels, "),
        "{text}"
    );
    assert!(text.contains("ERROR bad.yaml:"), "{text}");
    lab.run(&["--test-config", "good.yaml", "good.json"])
        .assert_code(0);
}

#[test]
fn control_characters_in_a_name_reach_no_terminal() {
    let (lab, receiver, web) = (
        Lab::new(),
        Receiver::new(Behaviour::Answer(200)),
        Service::closed(),
    );
    let site = Site::new("\"Ho\\e[31mme\"")
        .webhook(&receiver.url("/hook"))
        .watch(&format!(
            "type: tcp, name: \"w\\e]0;x\\a\\u009beb\\r\\n\\u202e\", address: \"{}\"",
            web.address()
        ));
    lab.write("home.yaml", site.text());
    let shown = "w\\u{1b}]0;x\\u{7}\\u{9b}eb\\r\\n\\u{202e}";
    for (arguments, code) in [
        (&["--test-config", "home.yaml"][..], 0),
        (&["-vvv", "home.yaml"], 0),
        (&["check", "home.yaml"], 2),
        (&["check", "home.yaml", "--explain", "-vvv"], 2),
    ] {
        let output = lab.run(arguments);
        output.assert_code(code);
        assert!(output.text().contains(shown), "{arguments:?}: {}", output.text());
        for line in output.out.iter().chain(&output.err) {
            assert!(
                !line.contains(|c: char| c.is_control() || c == '\u{202e}'),
                "{arguments:?}: {line:?}"
            );
        }
    }
    let sent = notification_of(&receiver.requests()[0]);
    assert!(
        sent.starts_with(&format!("{shown} in Ho\\u{{1b}}[31mme new outage: ")),
        "{sent}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&lab.run(&["check", "home.yaml", "--json"]).out.join("\n")).unwrap();
    assert_eq!(json["name"], "w\u{1b}]0;x\u{7}\u{9b}eb\r\n\u{202e}");
    // An error in such a monitor, and such an argument.
    lab.write("wrong.yaml", site.text().replace("type: tcp", "type: tpc"));
    for arguments in [
        &["--test-config", "wrong.yaml"][..],
        &["check", "home.yaml", "w\u{1b}[2Jeb"],
        &["check", "x\u{1b}[2J://y"],
        &["mi\u{1b}[2Jssing.yaml"],
        &["run", "mi\u{1b}[2Jssing.yaml"],
    ] {
        let output = lab.run(arguments);
        assert_ne!(output.code, Some(0));
        assert!(
            !output.text().replace('\n', "").contains(char::is_control),
            "{}",
            output.text()
        );
    }
}

/// Files that are invalid as a whole: the name and the error.
fn invalid_files(lab: &Lab) -> Vec<(&'static str, &'static str)> {
    let path = |name| lab.path(name);
    fs::create_dir(path("directory.yaml")).unwrap();
    lab.write("binary.yaml", [0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0xff, 0xfe]);
    lab.write("nul.yaml", "site:\n  name: \0\n");
    lab.write("utf16.yaml", [0xff, 0xfe, b's', 0, b'i', 0]);
    lab.write("empty.yaml", "");
    lab.write("comment.yaml", "# nothing yet\n");
    lab.write("scalar.yaml", "hello\n");
    File::create(path("large.yaml"))
        .unwrap()
        .set_len(100_000_000)
        .unwrap();
    symlink("/dev/zero", path("endless.yaml")).unwrap();
    symlink("loop.yaml", path("loop.yaml")).unwrap();
    assert!(
        std::process::Command::new("mkfifo")
            .arg(path("pipe.yaml"))
            .status()
            .unwrap()
            .success()
    );
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let alias = format!("*a{}, ", n - 1).repeat(10);
        bomb.push_str(&format!("a{n}: &a{n} [{}]\n", alias.trim_end_matches(", ")));
    }
    lab.write("bomb.yaml", bomb + "site: {name: Bomb}\nmonitors: *a11\n");
    lab.write("brackets.yaml", "[".repeat(20_000));
    lab.write("brackets.json", "[".repeat(20_000));
    lab.write("braces.yaml", "{a: ".repeat(20_000));
    lab.write(
        "duplicate.yaml",
        "site: {name: HomeLab}\nmonitors: [{type: ping, name: gw, address: 192.168.1.1}]\nsite: {name: Other}\n",
    );
    lab.write("home.toml", "site: {name: HomeLab}\nmonitors: []\n");
    vec![
        ("missing.yaml", "missing.yaml: No such file or directory"),
        (
            "directory.yaml",
            "directory.yaml: is a directory, not a site file",
        ),
        ("binary.yaml", "binary.yaml:1:9: not UTF-8 text: byte 0xff"),
        ("nul.yaml", "nul.yaml:2:9: a NUL byte: this is not a text file"),
        ("utf16.yaml", "utf16.yaml:1:1: UTF-16 text; save it as UTF-8"),
        ("empty.yaml", "empty.yaml:1:1: "),
        ("comment.yaml", "comment.yaml:"),
        ("scalar.yaml", "scalar.yaml:1:1: "),
        (
            "large.yaml",
            "large.yaml: at least 100000000 bytes long; the limit is 16777216 bytes",
        ),
        (
            "endless.yaml",
            "endless.yaml: is a pipe or a device, not a regular file",
        ),
        ("loop.yaml", "loop.yaml: "),
        (
            "pipe.yaml",
            "pipe.yaml: is a pipe or a device, not a regular file",
        ),
        ("bomb.yaml", "bomb.yaml:"),
        ("brackets.yaml", "brackets.yaml:1:"),
        ("brackets.json", "brackets.json:1:"),
        ("braces.yaml", "braces.yaml:1:"),
        ("duplicate.yaml", "duplicate.yaml:3:1: "),
        (
            "home.toml",
            "home.toml: a site file's name must end in .yaml, .yml or .json",
        ),
    ]
}

#[test]
fn an_invalid_file_is_one_clear_error_at_once() {
    let lab = Lab::new();
    let mut errors = String::new();
    for (name, part) in invalid_files(&lab) {
        for arguments in [&["--test-config", name][..], &[name], &["run", name]] {
            let output = lab.run(arguments);
            output.assert_code(1).assert_only_error(part);
            assert!(output.took < SOON, "{arguments:?}: {:?}", output.took);
            if arguments.len() == 1 {
                errors.push_str(&output.err[0]);
                errors.push('\n');
            }
        }
        if !name.ends_with(".toml") {
            let output = lab.run(&["check", name]);
            output.assert_code(3).assert_unknown(part);
        }
    }
    insta::assert_snapshot!(errors);
    assert!(!lab.path("state").exists());
}

#[test]
fn a_file_without_read_permission_is_one_clear_error() {
    let (lab, web) = (Lab::new(), Service::open());
    lab.write(
        "home.yaml",
        Site::new("HomeLab").watch_service("web", &web).text(),
    );
    fs::set_permissions(lab.path("home.yaml"), fs::Permissions::from_mode(0o000)).unwrap();
    run(lab.apmon_without_privileges(&["home.yaml"]))
        .assert_code(1)
        .assert_only_error("home.yaml: Permission denied");
}

#[test]
fn test_config_names_monitors_that_are_neither_pinned_nor_verified() {
    let lab = Lab::new();
    let monitor = |name: &str, more: &str| {
        format!("  - {{type: http, name: {name}, address: 'https://127.0.0.1:9/'{more}}}\n")
    };
    let pin = format!(", ssl_fingerprint: '{}'", "ab".repeat(32));
    let text = format!(
        "site: {{name: Lab, max_retries: 1}}\nmonitors:\n{}{}{}",
        monitor("open", ""),
        monitor("pinned", &pin),
        monitor("plain", "").replace("https", "http")
    );
    lab.write("lab.yaml", text);
    let output = lab.run(&["--test-config", "lab.yaml"]);
    output.assert_code(0);
    assert_eq!(
        output.logged("WARN"),
        [
            "lab.yaml:3:39: monitor \"open\": \"address\" is neither pinned nor verified, so the server's identity is \
             not checked; use apmon pin, or set ssl_verify: yes"
        ]
    );
    // A pass does not repeat the hint each time cron runs.
    assert_eq!(lab.run(&["lab.yaml"]).logged("WARN"), [""; 0]);
}

#[test]
fn channels_are_listed_without_their_secrets() {
    let (lab, web) = (Lab::new(), Service::closed());
    lab.write("not-executable", "");
    let not_executable = lab.path("not-executable").display().to_string();
    let site = Site::new("HomeLab")
        .option("max_try_secs: 2")
        .webhook_with("preset: slack, url: \"https://hooks.example.com/s3cret\", then: sms, timeout_secs: 5")
        .webhook_with("preset: telegram, token: s3cret, chat_id: 7, then: ops, after_secs: 60")
        .option("outage_commands: [{program: no-such-sms, args: [s3cret], name: sms}, {program: ./not-executable}]")
        .option("outage_syslogs: [address: \"udp://10.0.0.5\"]")
        .option("email_server: {smtp_host: mail.lan, smtp_port: 25, from_address: a@lan.example, use_tls: no}")
        .option("outage_emails: [{email: ops@lan.example, name: ops}]")
        .watch_service("web", &web)
        .watch(&format!("type: tcp, name: no-mail, address: \"{}\", email: no", web.address()));
    lab.write(
        "home.yaml",
        site.text().replace("./not-executable", &not_executable),
    );
    let output = lab.run(&["--test-config", "home.yaml"]);
    output.assert_code(0);
    assert!(!output.text().contains("s3cret"), "{}", output.text());
    // Rows are found by one of their cells: the widths depend on this machine's paths.
    let rows: Vec<Vec<&str>> = output
        .out
        .iter()
        .map(|line| {
            line.split("  ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect()
        })
        .collect();
    let row = |cell: &str| {
        let row = rows.iter().find(|row| row.contains(&cell));
        row.unwrap_or_else(|| panic!("{cell}: {}", output.text()))
    };
    assert_eq!(
        row("CHANNEL")[..],
        ["CHANNEL", "NAME", "KIND", "TO", "TIMEOUT", "THEN", "AFTER"]
    );
    assert_eq!(
        row("slack")[1..],
        ["slack", "https://hooks.example.com", "5", "sms", "300 -"]
    );
    assert_eq!(
        row("telegram")[1..],
        ["telegram", "https://api.telegram.org", "2 *", "ops", "60"]
    );
    assert_eq!(row("no-such-sms")[1..], ["sms", "command", "no-such-sms", "2 *"]);
    assert_eq!(row(&not_executable)[1..], ["command", &not_executable, "2 *"]);
    assert_eq!(row("syslog")[1..], ["syslog", "udp://10.0.0.5:514", "2 *"]);
    assert_eq!(row("mail")[1..], ["ops", "mail", "mail.lan:25", "2 *"]);
    let (sms, ops) = (row("no-such-sms")[0], row("mail")[0]);
    for warning in [
        "outage_commands 1: \"program\" is not in PATH: no-such-sms",
        &format!("outage_commands 2: \"program\" is not executable: {not_executable}"),
        &format!("{sms}: is a fallback: it receives only what webhook:hooks.example.com cannot deliver"),
        &format!("{ops}: is a fallback: it receives only what webhook:api.telegram.org cannot deliver"),
        &format!("{ops}: receives nothing about 1 monitor that has email: no"),
    ] {
        let warned =
            |line: &String| line.contains(" WARN home.yaml:") && line.ends_with(&format!(": {warning}"));
        assert!(output.err.iter().any(warned), "{warning}: {}", output.text());
    }
}
