//! The output of `--help` and `--version`.
#![cfg(all(feature = "rrd", feature = "snmp", feature = "sqlite"))]
#![allow(clippy::unwrap_used)] // a panic fails the test

mod support;

use support::Lab;

fn help(arguments: &[&str]) -> String {
    let output = Lab::new().run(arguments);
    output.assert_code(0);
    assert_eq!(output.err, [""; 0]);
    output.out.join("\n")
}

#[test]
fn help_of_apmon() {
    insta::assert_snapshot!(help(&["--help"]));
}

#[test]
fn help_of_run() {
    insta::assert_snapshot!(help(&["run", "--help"]));
}

#[test]
fn help_of_check() {
    insta::assert_snapshot!(help(&["check", "--help"]));
}

#[test]
fn help_of_pacing() {
    insta::assert_snapshot!(help(&["pacing", "--help"]));
}

#[test]
fn help_of_status() {
    insta::assert_snapshot!(help(&["status", "--help"]));
}

#[test]
fn help_of_history() {
    insta::assert_snapshot!(help(&["history", "--help"]));
}

#[test]
fn help_of_snmp() {
    insta::assert_snapshot!(help(&["snmp", "--help"]));
}

#[test]
fn help_of_snmp_get() {
    insta::assert_snapshot!(help(&["snmp", "get", "--help"]));
}

#[test]
fn help_of_snmp_walk() {
    insta::assert_snapshot!(help(&["snmp", "walk", "--help"]));
}

#[test]
fn help_of_notify_test() {
    insta::assert_snapshot!(help(&["notify", "test", "--help"]));
}

#[test]
fn help_of_notify_retry() {
    insta::assert_snapshot!(help(&["notify", "retry", "--help"]));
}

#[test]
fn help_of_graph() {
    insta::assert_snapshot!(help(&["graph", "--help"]));
}

#[test]
fn help_of_export() {
    insta::assert_snapshot!(help(&["export", "--help"]));
}

#[test]
fn help_of_rrd_check() {
    insta::assert_snapshot!(help(&["rrd", "check", "--help"]));
}

#[test]
fn help_of_rrd_migrate() {
    insta::assert_snapshot!(help(&["rrd", "migrate", "--help"]));
}

#[test]
fn the_version() {
    assert_eq!(
        help(&["--version"]),
        format!("apmon {}", env!("CARGO_PKG_VERSION"))
    );
}
