//! A dialogue with a mail server comes to an end, whatever it says, and shows no password.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| apmon_notify::fuzzing::mail(bytes));
