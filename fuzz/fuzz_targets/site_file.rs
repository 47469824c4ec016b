//! Whatever stands in a site file, it is read or refused, and nothing else.

#![no_main]

use std::sync::LazyLock;

use apmon_core::{
    MonitorKind, Services,
    config::{Environment, parse},
};
use libfuzzer_sys::fuzz_target;

/// More tells nothing new and takes long.
const MOST_BYTES: usize = 64 * 1024;

static KINDS: LazyLock<Vec<&'static dyn MonitorKind>> =
    LazyLock::new(|| [apmon_probes::KINDS, apmon_snmp::KINDS].concat());

/// One variable is set; the machine's own would make a run not repeatable.
struct Variables;

impl Environment for Variables {
    fn variable(&self, name: &str) -> Option<String> {
        (name == "TOKEN").then(|| "value of TOKEN".to_owned())
    }
}

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MOST_BYTES)]);
    match parse("fuzz.yaml".as_ref(), &text, &KINDS, &Variables) {
        Ok(site) => {
            let services = Services::default();
            for monitor in &site.monitors {
                let _ = monitor.build(&services);
            }
            let _ = format!("{site:?}");
        }
        Err(error) => drop(error.to_string()),
    }
});
