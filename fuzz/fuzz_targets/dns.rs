//! An answer of a name server is judged, whatever it holds.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| apmon_probes::fuzzing::dns(bytes));
