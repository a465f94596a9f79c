use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use stickshift_rollout::Count;

#[test]
fn a_whole_table_is_counted_and_a_part_of_it_estimated() {
    assert_eq!(Count::estimated(&[3, 0, 4, 2], 4), Count::exact(9));
    assert_eq!(Count::estimated(&[], 4), Count::exact(0));
    let Count { sessions, interval } = Count::estimated(&[10, 10, 10, 10], 100);
    assert_eq!((sessions, interval), (1000, Some((1000, 1000))), "parts that do not differ");
    let Count { sessions, interval } = Count::estimated(&[0, 0, 0, 0], 100);
    assert_eq!((sessions, interval), (0, Some((0, 0))));
    let (low, _) = Count::estimated(&[0, 0, 0, 9], 100).interval.expect("an interval");
    assert!(low >= 9, "what was seen is there");
}

#[test]
fn the_interval_holds_the_truth_about_as_often_as_it_says() {
    const PARTS: usize = 500;
    const SESSIONS: u64 = 40_000;
    let mut rng = StdRng::seed_from_u64(7);
    let mut held = 0;
    for _ in 0..300 {
        let mut counts = [0; PARTS];
        for _ in 0..SESSIONS {
            counts[rng.random_range(0..PARTS)] += 1;
        }
        // The parts are alike, so the first ones are as random as any.
        let (low, high) = Count::estimated(&counts[..64], PARTS as u64).interval.expect("an interval");
        held += u32::from((low..=high).contains(&SESSIONS));
    }
    assert!((270..=297).contains(&held), "{held} of 300");
}
