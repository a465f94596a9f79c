//! Every answered request, by reason, status and time: for Prometheus and for pulses.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use stickshift_contract::{Histogram, Pulse, Route};

/// The counters. They are atomic numbers without a lock, because every request touches them.
#[derive(Debug)]
pub(super) struct Answered {
    /// One row for each reason, in the order of [`Route::EVERY`], then one for requests without an edge. A row has one
    /// counter for each status.
    requests: Vec<AtomicU64>,
    latencies: [AtomicU64; Histogram::BUCKETS],
    /// The time of all requests together.
    microseconds: AtomicU64,
}

/// Every status that an answer can have.
const STATUSES: RangeInclusive<u16> = 100..=999;

/// The length of a row.
const STATUS_COUNT: usize = (*STATUSES.end() - *STATUSES.start() + 1) as usize;

/// Stands for the edge's reason where there was no edge.
const DIRECT: &str = "direct";

impl Default for Answered {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            requests: std::iter::repeat_with(zero).take((Route::EVERY.len() + 1) * STATUS_COUNT).collect(),
            latencies: std::array::from_fn(|_| zero()),
            microseconds: zero(),
        }
    }
}

impl Answered {
    /// Counts a request. `route` is `None` without an edge.
    pub(super) fn note(&self, route: Option<Route>, status: u16, duration: Duration) {
        let place = route.and_then(|route| Route::EVERY.iter().position(|other| *other == route));
        let place = place.unwrap_or(Route::EVERY.len());
        let status = status.clamp(*STATUSES.start(), *STATUSES.end()) - STATUSES.start();
        self.requests[place * STATUS_COUNT + usize::from(status)].fetch_add(1, Ordering::Relaxed);
        self.latencies[usize::from(Histogram::bucket(duration))].fetch_add(1, Ordering::Relaxed);
        // Rounded, because a page takes only some of them. The nanoseconds of many open answers do not fit a u64.
        let microseconds = ((duration.as_nanos() + 500) / 1_000).try_into().unwrap_or(u64::MAX);
        self.microseconds.fetch_add(microseconds, Ordering::Relaxed);
    }

    /// Every reason and status that has been counted, with its number.
    fn counts(&self) -> impl Iterator<Item = (&'static str, u16, u64)> {
        let words = Route::EVERY.map(Route::as_str).into_iter().chain([DIRECT]);
        words.zip(self.requests.chunks(STATUS_COUNT)).flat_map(|(word, counts)| {
            let counts = STATUSES.zip(counts).map(move |(status, count)| (word, status, count.load(Ordering::Relaxed)));
            counts.filter(|(.., count)| *count > 0)
        })
    }

    fn latencies(&self) -> impl Iterator<Item = (u8, u64)> {
        (0..).zip(self.latencies.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    /// Writes the counters into a pulse.
    pub(super) fn put_into(&self, pulse: &mut Pulse) {
        for (word, status, count) in self.counts() {
            let class = usize::from(status / 100).clamp(1, 5) - 1;
            pulse.requests.entry(word.to_owned()).or_default()[class] += count;
        }
        for (bucket, count) in self.latencies() {
            pulse.latencies.add(bucket, count);
        }
    }
}

impl Collector for Answered {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let help = "Requests by the edge's reason and by status.";
        let mut requests = encoder.encode_descriptor("requests", help, None, MetricType::Counter)?;
        for (route, status, count) in self.counts() {
            let labels = [("route", route.to_owned()), ("status", status.to_string())];
            ConstCounter::new(count).encode(requests.encode_family(&labels)?)?;
        }
        let edge = |bucket| Histogram::upper_edge(bucket).map_or(f64::INFINITY, |edge| edge.as_secs_f64());
        let buckets: Vec<_> = self.latencies().map(|(bucket, count)| (edge(bucket), count)).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let seconds = Duration::from_micros(self.microseconds.load(Ordering::Relaxed)).as_secs_f64();
        let help = "Time from request to response.";
        let mut latencies = encoder.encode_descriptor("request_seconds", help, None, MetricType::Histogram)?;
        latencies.encode_histogram::<NoLabelSet>(seconds, count, &buckets, None)
    }
}
