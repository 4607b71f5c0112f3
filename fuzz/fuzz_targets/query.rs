//! Queries of `/qrcode`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wxqr::fuzzing::query(data));
