//! A walk comes to an end, whatever an agent answers.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| apmon_snmp_client::fuzzing::answer(bytes));
