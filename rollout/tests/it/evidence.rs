//! The statistics, against the figures of a second implementation.

use proptest::prelude::*;
use stickshift_rollout::{Failures, rate};

/// Failures by the canary's share in percent, and how many of all of them lie on the canary.
fn failures(by_share: &[(f64, u64)], on_canary: u64) -> Failures {
    let mut failures = Failures::default();
    let mut left = on_canary;
    for &(share, count) in by_share {
        let here = left.min(count);
        failures.add(share, here, count - here);
        left -= here;
    }
    assert_eq!((failures.on_canary(), left), (on_canary, 0));
    failures
}

#[test]
fn the_evidence_is_the_second_implementation_s() {
    let one = 1.0;
    for (by_share, on_canary, tolerance, evidence) in [
        (&[(0.05, 1)][..], 1, one, 5.7440),
        (&[(0.01, 1)], 1, one, 8.8622),
        (&[(0.5, 1)], 1, one, 1.6221),
        (&[(0.05, 1)], 0, one, 0.7503),
        (&[(0.05, 2)], 2, one, 49.0091),
        (&[(0.05, 3)], 3, one, 500.1143),
        (&[(0.1, 10)], 5, one, 64.7947),
        (&[(0.1, 20)], 6, one, 6.9989),
        (&[(0.1, 20)], 8, one, 142.1973),
        (&[(0.1, 20)], 8, 1.5, 15.4911),
        (&[(0.1, 100)], 10, one, 0.0855),
        (&[(0.5, 24)], 20, one, 116.2277),
        (&[(0.05, 4), (0.25, 8)], 7, one, 76.2201),
        (&[(0.2, 300)], 90, one, 812.2345),
        (&[(0.2, 300)], 60, one, 0.0023),
    ] {
        let ours = failures(by_share, on_canary).evidence(tolerance);
        assert!((ours - evidence).abs() <= 0.000_051, "{by_share:?}, {on_canary}: {ours} and not {evidence}");
    }
}

#[test]
fn the_interval_of_the_ratio_is_the_second_implementation_s() {
    for (by_share, on_canary, low, high) in [
        (&[(0.1, 20)], 8, 1.234, 25.22),
        (&[(0.5, 24)], 12, 0.258, 3.87),
        (&[(0.1, 100)], 10, 0.277, 2.61),
        (&[(0.1, 400)], 40, 0.534, 1.712),
        (&[(0.05, 1)], 1, 0.178, f64::INFINITY),
    ] {
        let ours = failures(by_share, on_canary).ratio(0.05);
        // The other implementation looked at a grid with steps of 0.3 %.
        let is_near = |ours: f64, theirs: f64| ours == theirs || (ours / theirs - 1.0).abs() < 0.004;
        assert!(is_near(ours.0, low) && is_near(ours.1, high), "{by_share:?}, {on_canary}: {ours:?}");
    }
}

#[test]
fn without_a_failure_the_upper_end_has_a_closed_form() {
    for (clean, limit) in [(158u32, 0.05), (984, 0.01)] {
        let high = |seen: u32| rate(0, seen.into(), 0.05).1;
        let closed = 1.0 - (f64::from(clean + 1) / 0.05).powf(-1.0 / f64::from(clean));
        assert!((high(clean) - closed).abs() < 1e-12, "{}", high(clean));
        assert!(high(clean) < limit && high(clean - 1) > limit, "{clean} clean sessions and not one less");
    }
    assert_eq!((rate(0, 0, 0.05), rate(3, 3, 0.05).1), ((0.0, 1.0), 1.0));
}

#[test]
fn nothing_seen_says_nothing() {
    let mut nothing = Failures::default();
    nothing.add(1.0, 50, 0);
    nothing.add(0.0, 0, 50);
    assert_eq!((nothing.evidence(1.5), nothing.ratio(0.05)), (1.0, (0.0, f64::INFINITY)));
}

#[test]
fn one_failure_on_the_canary_is_never_enough() {
    let highest = (1..10_000).map(|share| failures(&[(f64::from(share) / 10_000.0, 1)], 1).evidence(1.0));
    let highest = highest.fold(0.0, f64::max);
    assert!(highest < 10.59 && highest > 10.5, "{highest}");
}

proptest! {
    /// The evidence of one more failure, on average over where it lies, is no more than before: that is what makes it
    /// valid at every look.
    #[test]
    fn if_the_versions_are_alike_the_evidence_does_not_grow_on_average(
        share in 0.001f64..0.999,
        other in 0.001f64..0.999,
        count in 0u64..200,
        part in 0u64..200,
        tolerance in 1.0f64..3.0,
    ) {
        let so_far = |on_canary, on_stable| {
            let mut failures = Failures::default();
            failures.add(other, part.min(count), count - part.min(count));
            failures.add(share, on_canary, on_stable);
            failures.evidence(tolerance)
        };
        // The canary's risk is exactly `tolerance` times stable's.
        let next = tolerance * share / (1.0 - share + tolerance * share);
        let mean = next * so_far(1, 0) + (1.0 - next) * so_far(0, 1);
        prop_assert!(mean <= so_far(0, 0) * (1.0 + 1e-9), "{mean} after {}", so_far(0, 0));
    }

    #[test]
    fn whatever_was_counted_the_intervals_are_intervals(
        shares in proptest::collection::vec((0.0f64..=1.0, any::<u32>(), any::<u32>()), 0..6),
        failed in any::<u64>(),
        seen in any::<u64>(),
        alpha in 1e-9f64..0.5,
    ) {
        let mut failures = Failures::default();
        for (share, canary, stable) in shares {
            failures.add(share, canary.into(), stable.into());
        }
        let (low, high) = failures.ratio(alpha);
        prop_assert!(low >= 0.0 && low <= high, "{low} to {high}");
        prop_assert!(failures.evidence(1.5) >= 0.0);
        let (low, high) = rate(failed, seen >> 16, alpha);
        prop_assert!((0.0..=1.0).contains(&low) && low <= high && high <= 1.0, "{low} to {high}");
    }
}
