//! Timelines on every core.

use std::ops::AddAssign;
use std::thread;

/// Plays `timelines` timelines with the seeds from `first` on, on every core, and adds up what `play` counts.
pub fn on_every_core<T: Default + AddAssign + Send>(
    first: u64,
    timelines: u64,
    play: impl Fn(u64, &mut T) + Sync,
) -> T {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let work = |core: u64| {
        let mut counted = T::default();
        let offsets = (core..timelines).step_by(cores);
        offsets.for_each(|offset| play(first.wrapping_add(offset), &mut counted));
        counted
    };
    thread::scope(|scope| {
        let work = &work;
        let parts: Vec<_> = (0..cores as u64).map(|core| scope.spawn(move || work(core))).collect();
        let mut total = T::default();
        for part in parts {
            total += part.join().expect("a search does not panic");
        }
        total
    })
}
