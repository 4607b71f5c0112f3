//! Bodies of WeChat's answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wxqr::fuzzing::upstream(data));
