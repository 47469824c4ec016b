//! `cargo xtask bench` and `cargo xtask chaos`: install what `apmon-harness` needs, and run it.

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
    let mut harness = process::cargo();
    harness
        .args(["run", "--package", "apmon-harness"])
        .args(profile)
        .args(["--", verb])
        .args(arguments);
    process::run(&mut harness)
}
