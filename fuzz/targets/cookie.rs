//! See [`stickshift_fuzz::cookie`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stickshift_fuzz::cookie(data));
