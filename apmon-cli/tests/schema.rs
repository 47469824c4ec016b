//! The JSON Schema and the reader agree on what a site file may hold: asked of
//! a validator that others use.
#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use support::{Lab, beside_the_tests};

/// What the validator says of each file.
fn validated(lab: &Lab, files: &[PathBuf]) -> Vec<String> {
    let schema = lab.run(&["reference", "schema"]);
    schema.assert_code(0);
    lab.write("schema.json", schema.out.join("\n"));
    // Debian's modules are found by Debian's python only.
    let has_modules = |python: &&str| {
        let import = Command::new(python)
            .args(["-c", "import jsonschema, yaml"])
            .output();
        import.is_ok_and(|output| output.status.success())
    };
    let python = ["python3", "/usr/bin/python3"].into_iter().find(has_modules);
    let output =
        Command::new(python.expect("python3-jsonschema and python3-yaml: `cargo xtask test` installs them"))
            .arg(beside_the_tests("schema.py"))
            .arg(lab.path("schema.json"))
            .args(files)
            .output()
            .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    assert_eq!(
        lines.len(),
        files.len(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    lines
}

fn yaml_files(directory: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|ext| ext == "yaml"))
        .collect();
    files.sort();
    files
}

#[test]
fn the_examples_are_right_by_the_schema() {
    let files = yaml_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples"));
    assert!(files.len() >= 2, "{files:?}");
    for (file, said) in files.iter().zip(validated(&Lab::new(), &files)) {
        assert_eq!(said, "ok", "{}", file.display());
    }
}

#[test]
fn the_schema_takes_what_the_reader_takes_and_refuses_what_it_refuses() {
    let lab = Lab::new();
    let digits = "1".repeat(64);
    let taken = [
        "ignore_ssl_expiry: yes",
        "ignore_ssl_expiry: OFF",
        "ignore_ssl_expiry: true",
        "ignore_ssl_expiry: 0",
        "ignore_ssl_expiry: \"1\"",
        "alarms: ${APMON_TEST}",
        "check_every_n_secs: \"60\"",
        "check_every_n_secs: ${APMON_TEST}",
        "expect: 200",
        "expect: 1.50",
        "expect: true",
        &format!("ssl_fingerprint: {digits}"),
        &format!("ssl_fingerprint: [{digits}, {}]", "ab".repeat(32)),
    ];
    let refused = [
        "ignore_ssl_expiry: maybe",
        "ignore_ssl_expiry: 2",
        "ignore_ssl_expiry:",
        "check_every_n_secs: null",
        "check_every_n_secs: 0",
        "check_every_n_secs: soon",
        "check_every_n_secs: 1.5",
        "expect: ~",
        "expect: \"\"",
        "ssl_fingerprint: abc",
        "ssl_fingerprint: null",
        "colour: red",
    ];
    let mut files = Vec::new();
    for (i, option) in taken.iter().chain(&refused).enumerate() {
        let name = format!("{i}.yaml");
        lab.write(
            &name,
            format!(
                "site: {{name: 7}}\nmonitors:\n  - type: http\n    name: 8\n    address: https://h/\n    {option}\n"
            ),
        );
        let mut command = lab.apmon(&["--test-config", &name]);
        command.env("APMON_TEST", "1");
        let is_taken = i < taken.len();
        assert_eq!(
            support::run(command).code,
            Some(i32::from(!is_taken)),
            "the reader: {option}"
        );
        files.push(lab.path(&name));
    }
    let said = validated(&lab, &files);
    for (i, (option, said)) in taken.iter().chain(&refused).zip(said).enumerate() {
        assert_eq!(said == "ok", i < taken.len(), "the schema: {option}: {said}");
    }
}
