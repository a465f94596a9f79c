//! See [`stickshift_fuzz::plan`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stickshift_fuzz::plan(data));
