//! See [`stickshift_fuzz::event`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stickshift_fuzz::event(data));
