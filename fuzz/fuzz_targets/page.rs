//! A page in any encoding becomes text.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| apmon_probes::fuzzing::page(bytes));
