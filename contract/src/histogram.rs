//! Counts of lengths of time, by buckets.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How many lengths of time fell into each bucket. Stored as a map from the bucket's number to its count; empty
/// buckets are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Histogram {
    counts: BTreeMap<u8, u64>,
}

/// The mantissas of the series E6 ([IEC 60063](https://webstore.iec.ch/en/publication/22014)): each is about
/// 1.5 times the one before.
const MANTISSAS: [u64; 6] = [100, 150, 220, 330, 470, 680];

/// How many powers of ten the edges span.
const DECADES: usize = 6;

impl Histogram {
    /// The number of buckets. The last one has no upper edge.
    pub const BUCKETS: usize = MANTISSAS.len() * DECADES + 1;

    /// The upper edge of a bucket, which belongs to it: 0.1 ms to 68 s. `None` for the last one.
    pub fn upper_edge(bucket: u8) -> Option<Duration> {
        let (decade, mantissa) = (usize::from(bucket) / MANTISSAS.len(), usize::from(bucket) % MANTISSAS.len());
        let microseconds = (decade < DECADES).then(|| MANTISSAS[mantissa] * 10u64.pow(decade.try_into().unwrap_or(0)));
        microseconds.map(Duration::from_micros)
    }

    /// The bucket that a length of time belongs to.
    pub fn bucket(length: Duration) -> u8 {
        (0..).find(|bucket| Self::upper_edge(*bucket).is_none_or(|edge| length <= edge)).unwrap_or(u8::MAX)
    }

    /// Adds to the count of a bucket.
    pub fn add(&mut self, bucket: u8, count: u64) {
        if count > 0 {
            let known = self.counts.entry(bucket).or_default();
            *known = known.saturating_add(count);
        }
    }

    /// Adds every count of another histogram.
    pub fn add_all(&mut self, other: &Self) {
        for (&bucket, &count) in &other.counts {
            self.add(bucket, count);
        }
    }

    /// What was counted since `earlier`, an older state of this histogram.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = Self::default();
        for (&bucket, &count) in &self.counts {
            since.add(bucket, count.saturating_sub(earlier.counts.get(&bucket).copied().unwrap_or(0)));
        }
        since
    }

    /// How many lengths of time were counted.
    pub fn count(&self) -> u64 {
        self.counts.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The bucket in which `percent` of all lengths of time end. `None` if nothing was counted.
    pub fn percentile_bucket(&self, percent: u64) -> Option<u8> {
        let wanted = (u128::from(self.count()) * u128::from(percent)).div_ceil(100).max(1);
        let mut seen = 0u128;
        self.counts.iter().find_map(|(&bucket, &count)| {
            seen += u128::from(count);
            (seen >= wanted).then_some(bucket)
        })
    }

    /// The upper edge of that bucket, at most 68 s.
    pub fn percentile(&self, percent: u64) -> Option<Duration> {
        let last = (Self::BUCKETS - 2).try_into().unwrap_or(u8::MAX);
        Self::upper_edge(self.percentile_bucket(percent)?.min(last))
    }

    /// How many lengths of time were longer than the upper edge of a bucket.
    pub fn count_above(&self, bucket: u8) -> u64 {
        let longer = self.counts.range(bucket.saturating_add(1)..);
        longer.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }
}
