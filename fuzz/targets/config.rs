//! See [`stickshift_fuzz::config`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stickshift_fuzz::config(data));
