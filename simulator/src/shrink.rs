//! Takes everything out of a timeline that its violation does not need.

use crate::design::Design;
use crate::timeline::{Timeline, What};
use crate::truth::Violation;
use crate::world::{Cookies, run};

/// The shortest timeline found that violates the same invariant, and its violation.
pub fn shrink(
    timeline: &Timeline,
    design: &(impl Design + ?Sized),
    cookies: Cookies,
    violation: Violation,
) -> (Timeline, Violation) {
    let (mut shortest, mut found) = (timeline.clone(), violation);
    let try_out = |candidate: Timeline, shortest: &mut Timeline, found: &mut Violation| {
        let violation = run(&candidate, design, cookies, &mut Default::default(), None);
        let Some(violation) = violation.filter(|violation| violation.invariant == found.invariant) else {
            return false;
        };
        (*shortest, *found) = (candidate, violation);
        true
    };
    loop {
        let mut has_changed = false;
        // First halves, then quarters, and so on down to single events.
        let mut size = shortest.events.len() / 2;
        while size > 0 {
            let mut start = 0;
            while start < shortest.events.len() {
                let mut candidate = shortest.clone();
                candidate.events.drain(start..(start + size).min(candidate.events.len()));
                if try_out(candidate, &mut shortest, &mut found) {
                    has_changed = true;
                } else {
                    start += size;
                }
            }
            size /= 2;
        }
        for index in 0..shortest.events.len() {
            if let What::Request(request) = shortest.events[index].what {
                let mut candidate = shortest.clone();
                candidate.events[index].what = What::Request(request.calm());
                if candidate != shortest {
                    has_changed |= try_out(candidate, &mut shortest, &mut found);
                }
            }
        }
        let mut candidate = shortest.clone();
        (candidate.edge_clocks, candidate.app_clocks) = Default::default();
        if candidate != shortest {
            has_changed |= try_out(candidate, &mut shortest, &mut found);
        }
        if !has_changed {
            return (shortest, found);
        }
    }
}
