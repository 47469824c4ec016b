//! A proxy's answer and a packed body end, whatever they hold.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| apmon_probes::fuzzing::http(bytes));
