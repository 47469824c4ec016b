//! A site file is read or refused, whatever it contains.

#![no_main]

use std::sync::LazyLock;

use apmon_core::{
    MonitorKind, Services,
    config::{Environment, parse},
};
use libfuzzer_sys::fuzz_target;

/// Longer files are slow and find nothing new.
const MOST_BYTES: usize = 64 * 1024;

static KINDS: LazyLock<Vec<&'static dyn MonitorKind>> =
    LazyLock::new(|| [apmon_probes::KINDS, apmon_snmp::KINDS].concat());

/// One fixed variable: those of the machine would make runs differ.
struct Variables;

impl Environment for Variables {
    fn variable(&self, name: &str) -> Option<String> {
        (name == "TOKEN").then(|| "value of TOKEN".to_owned())
    }
}

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MOST_BYTES)]);
    match parse(
        "fuzz.yaml".as_ref(),
        &text,
        &KINDS,
        apmon_notify::CHANNELS,
        &Variables,
    ) {
        Ok(site) => {
            let services = Services::default();
            let _ = site.plan(&services);
            let _ = format!("{site:?}");
            for monitor in &site.monitors {
                let _ = monitor.options();
            }
        }
        Err(error) => drop(error.to_string()),
    }
});
