use std::time::Duration;

use stickshift_contract::{Histogram, PULSE_FORMAT, Pulse, format_read, minute_key};

fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn a_bucket_holds_what_is_at_most_its_upper_edge() {
    let edges: Vec<Duration> = (0..36).map_while(Histogram::upper_edge).collect();
    assert_eq!(
        (edges.len() + 1, edges[0], edges[35]),
        (Histogram::BUCKETS, Duration::from_micros(100), milliseconds(68_000))
    );
    assert!(edges.is_sorted());
    assert_eq!(Histogram::upper_edge(36), None);
    for (length, bucket) in [
        (Duration::ZERO, 0),
        (Duration::from_micros(100), 0),
        (Duration::from_nanos(100_001), 1),
        (milliseconds(1), 6),
        (milliseconds(300), 21),
        (milliseconds(330), 21),
        (milliseconds(331), 22),
        (milliseconds(68_000), 35),
        (Duration::MAX, 36),
    ] {
        assert_eq!(Histogram::bucket(length), bucket, "{length:?}");
    }
}

#[test]
fn percentiles_are_upper_edges_and_differences_are_counts() {
    let mut all = Histogram::default();
    assert_eq!(all.percentile(50), None);
    all.add(Histogram::bucket(milliseconds(1)), 98);
    let before = all.clone();
    all.add(Histogram::bucket(milliseconds(900)), 1);
    all.add(Histogram::bucket(Duration::MAX), 1);
    let percentiles = [1, 50, 98, 99, 100].map(|percent| all.percentile(percent).expect("a length"));
    assert_eq!(percentiles, [1, 1, 1, 1_000, 68_000].map(milliseconds));
    let since = all.since(&before);
    assert_eq!((since.count(), since.percentile(50)), (2, Some(milliseconds(1_000))));
    assert!(all.since(&all).is_empty());
    let mut full = all.clone();
    full.add(3, u64::MAX);
    full.add(3, 1);
    assert_eq!((full.count(), full.percentile(99)), (u64::MAX, Histogram::upper_edge(3)), "it holds what it can");
    let mut sum = before.clone();
    sum.add_all(&since);
    assert_eq!(sum, all);
}

/// Never change this sample while its format is read.
const FORMAT_1: &str = r#"{
    "format": 1, "instance": "a1048a579d71e19d", "sequence": 7, "started_at": 1800000000, "written_at": 1800000060,
    "ended": true, "interval_seconds": 10, "lifetime_seconds": 720, "clock_allowance_seconds": 60,
    "plan_revision": 41, "formats": "receipt=1, plan=1",
    "edges": { "receipt=1, plan=1": 1800000055 }, "requests": { "roll": [0, 9, 0, 0, 1] }, "latencies": { "6": 10 },
    "open_connections": 2, "misdirected": 3, "failed_writes": 4, "last_failed_write": 1800000050,
    "revisions": { "41": { "drawn": 10, "first_failed": 1, "renewed": 5, "failed": 2, "first_answers": { "6": 10 } } },
    "some_later_field": "is ignored"
}"#;

#[test]
fn the_sample_of_format_1_is_read_and_written() {
    let pulse: Pulse = serde_json::from_str(FORMAT_1).expect("a pulse");
    assert_eq!((pulse.requests(), pulse.server_errors(), pulse.revisions[&41].drawn), (10, 1, 10));
    let mut expected: serde_json::Value = serde_json::from_str(FORMAT_1).expect("JSON");
    expected.as_object_mut().expect("an object").remove("some_later_field");
    assert_eq!(serde_json::to_value(&pulse).expect("JSON"), expected);
    let finished = FORMAT_1.replace("\"failed\": 2", "\"failed\": 2, \"finished\": 3");
    let pulse: Pulse = serde_json::from_str(&finished).expect("a pulse");
    assert_eq!(serde_json::to_value(&pulse).expect("JSON")["revisions"]["41"]["finished"], 3, "added later");
    let later = FORMAT_1.replace("\"format\": 1", "\"format\": 2");
    let refused = serde_json::from_str::<Pulse>(&later).expect_err("a later format").to_string();
    assert!(refused.starts_with("the pulse has format 2: this release reads format 1"), "{refused}");
    assert_eq!(PULSE_FORMAT, 1);
}

#[test]
fn a_quiet_instance_writes_little() {
    let quiet = serde_json::to_value(Pulse { format: PULSE_FORMAT, ..Pulse::default() }).expect("JSON");
    assert_eq!(quiet.as_object().expect("an object").len(), 9, "{quiet}");
}

#[test]
fn formats_are_read_by_their_kind() {
    for (formats, kind, read) in [
        ("receipt=1, plan=2", "plan", Some(2)),
        ("receipt=1,plan=2", "receipt", Some(1)),
        ("receipt=1", "plan", None),
        ("plan=x", "plan", None),
        ("", "plan", None),
    ] {
        assert_eq!(format_read(formats, kind), read, "{formats}");
    }
}

#[test]
fn the_keys_of_minutes_are_in_the_order_of_time() {
    assert_eq!(minute_key(1_800_000_059, "b"), "0030000000#b");
    let keys = [minute_key(59, "z"), minute_key(60, "a"), minute_key(600, "a"), minute_key(1_800_000_000, "a")];
    assert!(keys.is_sorted());
}
