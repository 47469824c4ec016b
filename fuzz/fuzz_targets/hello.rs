//! A server's answer to a hello that offers everything, or a message of the helper, is
//! read or refused.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| apmon_tls::fuzzing::hello(bytes));
