//! WeChat's pushes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wxqr::fuzzing::callback(data));
