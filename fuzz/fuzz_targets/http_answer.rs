//! An answer in HTTP/1 that breaks its rules is rewritten or refused, however it is cut.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| apmon_probes::fuzzing::http_answer(bytes));
