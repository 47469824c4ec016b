//! A packet of ICMP is read, or nothing comes of it.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| apmon_probes::fuzzing::icmp(bytes));
