//! A message of SNMP, whatever it holds, is read and written again, or refused.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| apmon_snmp_client::fuzzing::message(bytes));
