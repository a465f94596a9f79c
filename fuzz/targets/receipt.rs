//! See [`stickshift_fuzz::receipt`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stickshift_fuzz::receipt(data));
