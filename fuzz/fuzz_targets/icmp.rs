//! An ICMP packet is read or ignored.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| apmon_probes::fuzzing::icmp(bytes));
