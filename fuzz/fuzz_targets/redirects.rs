//! Redirects and cookies are followed, and no other server gets the password.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| apmon_probes::fuzzing::redirects(bytes));
