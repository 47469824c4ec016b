//! A receiver's answer is judged, whatever it contains, and shown without secrets.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| apmon_notify::fuzzing::answer(bytes));
