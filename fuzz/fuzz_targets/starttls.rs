//! A server may send anything before TLS.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| apmon_probes::fuzzing::starttls(bytes));
