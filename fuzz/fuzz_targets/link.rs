//! Queries of signed links.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wxqr::fuzzing::link(data));
