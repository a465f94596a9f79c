//! A random generator that panics, for the test that a panic becomes an exception in Node.

use std::convert::Infallible;

use rand::TryRng;

struct BrokenRng;

/// Takes the place of [`rand::rng`].
pub(crate) fn rng() -> impl rand::Rng {
    BrokenRng
}

impl TryRng for BrokenRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("drawn from a broken generator");
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("drawn from a broken generator");
    }

    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Infallible> {
        panic!("drawn from a broken generator");
    }
}
