//! A proxy's answer and a compressed body come to an end, whatever they contain.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| apmon_probes::fuzzing::http_answer(bytes));
