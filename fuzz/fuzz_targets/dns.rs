//! A name server's answer is judged, whatever it contains.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| apmon_probes::fuzzing::dns(bytes));
