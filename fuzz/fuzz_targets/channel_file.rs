//! Files of channels.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wxqr::fuzzing::channel_file(data));
