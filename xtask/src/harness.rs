//! `cargo xtask bench` and `cargo xtask chaos`: install what `apmon-harness` needs, and run it.

use std::process::Command;

use crate::{
    fault::Fault,
    package::{self, NGINX, Needed, needed},
    process,
};

const FOR_BENCH: &[Needed] = &[
    NGINX,
    needed("fping", "fping"),
    needed("prometheus-blackbox-exporter", "prometheus-blackbox-exporter"),
    needed("caddy", "caddy"),
    needed("openssl", "openssl"),
    needed("ip", "iproute2"),
    needed("snmpd", "snmpd"),
    needed("snmpbulkwalk", "snmp"),
    needed("rrdtool", "rrdtool"),
];

const FOR_CHAOS: &[Needed] = &[
    needed("aiosmtpd", "python3-aiosmtpd"),
    needed("faketime", "faketime"),
    needed("mount", "mount"),
    needed("setpriv", "util-linux"),
    needed("unshare", "util-linux"),
];

pub(crate) fn bench(arguments: &[String]) -> Result<(), Fault> {
    package::install(FOR_BENCH)?;
    // A slow client would take the cores from the peer that it asks.
    run("bench", &["--release"], arguments)
}

pub(crate) fn chaos(arguments: &[String]) -> Result<(), Fault> {
    package::install(FOR_CHAOS)?;
    run("chaos", &[], arguments)
}

/// Runs the harness, which itself builds the apmon that it works on.
fn run(verb: &str, profile: &[&str], arguments: &[String]) -> Result<(), Fault> {
    process::run(&mut command(verb, profile, arguments))
}

fn command(verb: &str, profile: &[&str], arguments: &[String]) -> Command {
    let mut harness = process::cargo();
    harness
        .args(["run", "--package", "apmon-harness"])
        .args(profile)
        .args(["--", verb])
        .args(arguments);
    harness
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_reach_the_harness_as_they_are() {
        let arguments = ["--kills", "20", "--seed", "1", "--debug"].map(str::to_owned);
        let line = process::shown(&command("chaos", &[], &arguments));
        let expected = "run --package apmon-harness -- chaos --kills 20 --seed 1 --debug";
        assert!(line.ends_with(expected), "{line}");
        let line = process::shown(&command("bench", &["--release"], &["one pass".to_owned()]));
        let expected = "run --package apmon-harness --release -- bench one pass";
        assert!(line.ends_with(expected), "{line}");
    }
}
