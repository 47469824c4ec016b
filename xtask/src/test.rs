//! `cargo xtask test`: everything that CI runs, the quickest steps first.

use crate::{
    check, docs,
    fault::Fault,
    format, fuzz, harness,
    package::{self, CXX, DNSMASQ, NGINX, Needed, needed},
    process::{self, cargo},
    recordings::{self, GDBM, VENV},
    stopwatch::Stopwatch,
};

/// The programs that the tests need. A test that cannot run fails.
const NEEDED: &[Needed] = &[
    CXX,
    DNSMASQ,
    GDBM,
    NGINX,
    VENV,
    needed("/usr/lib/dovecot/imap-login", "dovecot-imapd"),
    needed("/usr/lib/dovecot/pop3-login", "dovecot-pop3d"),
    needed("aiosmtpd", "python3-aiosmtpd"),
    needed("caddy", "caddy"),
    needed("curl", "curl"),
    needed("faketime", "faketime"),
    needed("indexmaker", "mrtg"),
    needed("ip", "iproute2"),
    needed("openssl", "openssl"),
    needed("perl:RRDs", "librrds-perl"),
    needed("pkg-config", "pkg-config"),
    // apmon-tls-legacy is linked to it.
    needed("/usr/include/openssl/ssl.h", "libssl-dev"),
    needed("ps", "procps"),
    // The judge of RRD files; librrd8 comes with it.
    needed("rrdtool", "rrdtool"),
    needed("slapd", "slapd"),
    needed("snmpbulkwalk", "snmp"),
    needed("snmpd", "snmpd"),
    needed("sshd", "openssh-server"),
    needed("strace", "strace"),
    needed("vsftpd", "vsftpd"),
    needed("unbound", "unbound"),
    needed("setpriv", "util-linux"),
    needed("python3:jsonschema", "python3-jsonschema"),
    needed("python3:yaml", "python3-yaml"),
];

/// Seconds of fuzzing, over all targets.
const FUZZING: &str = "60";

/// A short run with a fixed seed, on the binary that the tests have built.
const CHAOS: [&str; 5] = ["--kills", "20", "--seed", "1", "--debug"];

struct Step {
    name: &'static str,
    run: fn() -> Result<(), Fault>,
}

const STEPS: &[Step] = &[
    Step {
        name: "format",
        run: || format::run(&["--check".to_owned()]),
    },
    Step {
        name: "clippy",
        run: || {
            process::run(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
        },
    },
    Step {
        name: "check",
        run: || check::run(&[]),
    },
    Step {
        name: "tests",
        run: tests,
    },
    Step {
        name: "doc tests",
        run: || process::run(cargo().args(["test", "--workspace", "--doc", "--no-fail-fast"])),
    },
    Step {
        name: "embedding examples",
        run: || {
            let example = |name: &str| {
                let mut run = cargo();
                run.args(["run", "--package", "apmon-core", "--example", name]);
                run
            };
            process::run(&mut example("embed"))?;
            process::run(example("site_file").args(["--", "apmon-core/examples/office.yaml"]))
        },
    },
    Step {
        name: "reference",
        run: || docs::run(&["--check".to_owned()]),
    },
    Step {
        name: "rustdoc",
        run: || {
            let mut rustdoc = cargo();
            rustdoc.env("RUSTDOCFLAGS", "-Dwarnings");
            process::run(rustdoc.args(["doc", "--workspace", "--no-deps"]))
        },
    },
    Step {
        name: "chaos",
        run: || harness::chaos(&CHAOS.map(str::to_owned)),
    },
    Step {
        name: "fuzz",
        run: || fuzz::run(&["--seconds", FUZZING].map(str::to_owned)),
    },
];

pub(crate) fn run(arguments: &[String]) -> Result<(), Fault> {
    crate::no_arguments(arguments)?;
    package::install(NEEDED)?;
    recordings::install()?;
    let mut summary = String::new();
    let mut failed = Vec::new();
    for step in STEPS {
        println!("== {}", step.name);
        let stopwatch = Stopwatch::start();
        let result = (step.run)();
        let seconds = stopwatch.elapsed().as_secs_f64();
        let word = if result.is_ok() { "ok" } else { "FAILED" };
        summary.push_str(&format!("  {word:<7} {seconds:>7.1} s  {}\n", step.name));
        if let Err(fault) = result {
            println!("== {} failed: {fault}", step.name);
            failed.push(step.name);
        }
    }
    print!("== summary\n{summary}");
    if failed.is_empty() {
        return Ok(());
    }
    Err(Fault::new(format!("failed: {}", failed.join(", "))))
}

/// Runs the tests on this terminal, so that the runner's last lines stay as they are.
fn tests() -> Result<(), Fault> {
    if process::works(cargo().args(["nextest", "--version"])) {
        return process::run(cargo().args(["nextest", "run", "--workspace", "--no-fail-fast"]));
    }
    process::run(cargo().args(["test", "--workspace", "--all-targets", "--no-fail-fast"]))
}
