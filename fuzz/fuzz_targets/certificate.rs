//! A certificate is judged and shown, or refused.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| apmon_tls::fuzzing::certificate(bytes));
