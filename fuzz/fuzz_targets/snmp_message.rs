//! An SNMP message is read and written again, or refused, whatever it contains.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| apmon_snmp_client::fuzzing::message(bytes));
