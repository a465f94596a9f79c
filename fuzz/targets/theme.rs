//! See [`stickshift_fuzz::theme`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stickshift_fuzz::theme(data));
