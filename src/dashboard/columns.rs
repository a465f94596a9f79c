//! The numbers of the charts, column by column.

use std::collections::{BTreeMap, BTreeSet};

use stickshift_contract::{PlanRecord, State, VersionCode};
use stickshift_rollout::{Confidence, Gate, Run, Series, Stretch, begin_of, first_minute, interval};

use super::range::Range;

/// What the charts are made of.
#[derive(Debug)]
pub(super) struct Source<'a> {
    pub(super) series: &'a Series,
    /// The last plans, the newest first.
    pub(super) history: &'a [PlanRecord],
    /// Live sessions by version, and when they were counted, in Unix seconds.
    pub(super) live: &'a BTreeMap<u64, BTreeMap<VersionCode, u64>>,
    pub(super) run: Option<&'a Run>,
    /// Every version that has a color, in this order.
    pub(super) versions: &'a [VersionCode],
    /// Unix seconds.
    pub(super) now: u64,
}

/// A column of numbers.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    /// How the browser draws it: `line`, `dashed`, `step`, `stack`, or the ends of a band, `low` and `high`.
    pub(super) series: &'static str,
    /// Which color and pattern it has.
    pub(super) key: String,
    /// By the begin of a stretch, in Unix seconds.
    pub(super) values: BTreeMap<u64, f64>,
}

/// The stretches of a range, and what each version did in them.
#[derive(Debug)]
pub(super) struct Columns<'a> {
    source: &'a Source<'a>,
    /// The begin of every stretch, in Unix seconds.
    pub(super) begins: Vec<u64>,
    /// The length of a stretch.
    seconds: u64,
    versions: Vec<(VersionCode, BTreeMap<u64, Stretch>)>,
}

/// So long after the end of a stretch its last pulses have come: they are written every 10 s.
const PULSES_LATE_SECONDS: u64 = 15;

/// The color and the pattern of a version.
pub(super) fn key_of(versions: &[VersionCode], version: VersionCode) -> String {
    /// The style sheet has so many.
    const KEYS: usize = 8;
    let place = versions.iter().position(|other| *other == version).unwrap_or(0);
    format!("v{}", place % KEYS)
}

impl<'a> Columns<'a> {
    pub(super) fn new(source: &'a Source<'a>, range: Range) -> Self {
        let seconds = range.stretch_seconds();
        let begin = begin_of(source.now.saturating_sub(range.seconds()), seconds);
        let begins = (begin..=source.now).step_by(usize::try_from(seconds).unwrap_or(usize::MAX)).collect();
        let of_version = |version: &VersionCode| (*version, source.series.stretches(*version, seconds));
        Self { source, begins, seconds, versions: source.versions.iter().map(of_version).collect() }
    }

    /// A column of each version.
    fn of_versions(&self, series: &'static str, what: &str, value: impl Fn(&Stretch) -> Option<f64>) -> Vec<Column> {
        let column = |(version, stretches): &(VersionCode, BTreeMap<u64, Stretch>)| Column {
            name: format!("version {version}{what}"),
            series,
            key: self.key_of(*version),
            values: stretches.iter().filter_map(|(begin, stretch)| Some((*begin, value(stretch)?))).collect(),
        };
        self.versions.iter().map(column).collect()
    }

    /// The same without the stretch that is not over: a number that still grows would look like a fall.
    fn whole(&self, series: &'static str, what: &str, value: impl Fn(&Stretch) -> u64) -> Vec<Column> {
        let mut columns = self.of_versions(series, what, |stretch| Some(real(value(stretch))));
        columns.iter_mut().for_each(|column| column.values.retain(|begin, _| self.is_over(*begin)));
        columns
    }

    fn is_over(&self, begin: u64) -> bool {
        begin + self.seconds + PULSES_LATE_SECONDS <= self.source.now
    }

    fn key_of(&self, version: VersionCode) -> String {
        key_of(self.source.versions, version)
    }

    /// First answers that failed, of all draws; and sessions that failed later, of those that were renewed for the
    /// first time. A session may be renewed in one stretch and fail in a later one.
    pub(super) fn failed(&self) -> Vec<Column> {
        let mut columns = self.of_versions("dashed", ", first answers", |stretch| {
            let of = |number| stretch.activity.sum_of(number);
            share(of(|draws| draws.first_failed), of(|draws| draws.drawn))
        });
        columns.extend(self.of_versions("line", ", later", |stretch| {
            let of = |number| stretch.activity.sum_of(number);
            share(of(|draws| draws.failed), of(|draws| draws.renewed))
        }));
        columns
    }

    /// In milliseconds.
    pub(super) fn latencies(&self) -> Vec<Column> {
        let percentile = |percent: u64| {
            move |stretch: &Stretch| Some(stretch.activity.latencies.percentile(percent)?.as_secs_f64() * 1000.0)
        };
        let mut columns = self.of_versions("line", ", p50", percentile(50));
        columns.extend(self.of_versions("dashed", ", p99", percentile(99)));
        columns
    }

    /// Sessions that finished their activity.
    pub(super) fn finished(&self) -> Vec<Column> {
        self.whole("line", "", |stretch| stretch.activity.sum_of(|draws| draws.finished))
    }

    /// Calls to DynamoDB.
    pub(super) fn table_calls(&self) -> Vec<Column> {
        let mut columns = self.whole("line", ", reads", |stretch| stretch.activity.table_reads);
        columns.extend(self.whole("dashed", ", writes", |stretch| stretch.activity.table_writes));
        columns
    }

    /// Instances that reported: none in a stretch without a pulse, once a version had any.
    pub(super) fn instances(&self) -> Vec<Column> {
        let mut columns = self.whole("step", "", |stretch| stretch.instances);
        for column in &mut columns {
            let first = column.values.keys().next().copied().unwrap_or(u64::MAX);
            for begin in self.begins.iter().filter(|begin| **begin > first && self.is_over(**begin)) {
                column.values.entry(*begin).or_insert(0.0);
            }
        }
        columns
    }

    /// The share of new sessions by version, its interval, and the weight in force at the end of each stretch.
    pub(super) fn shares(&self) -> Vec<Column> {
        let drawn = |stretch: &Stretch| stretch.activity.sum_of(|draws| draws.drawn);
        let mut all = BTreeMap::<u64, u64>::new();
        for (begin, stretch) in self.versions.iter().flat_map(|(_, stretches)| stretches) {
            let sum = all.entry(*begin).or_default();
            *sum = sum.saturating_add(drawn(stretch));
        }
        let mut columns = Vec::new();
        for (version, stretches) in &self.versions {
            let (mut share, mut low, mut high) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
            for (&begin, &whole) in all.iter().filter(|(_, whole)| **whole > 0) {
                let part = stretches.get(&begin).map_or(0, drawn);
                let ends = interval(part, whole, Confidence::Percent95);
                share.insert(begin, real(part) / real(whole));
                low.insert(begin, ends.0);
                high.insert(begin, ends.1);
            }
            let weight = |begin: &u64| Some((*begin, self.weight(*version, begin + self.seconds)?));
            let key = self.key_of(*version);
            let column = |name: String, series, values| Column { name, series, key: key.clone(), values };
            columns.extend([
                column(format!("version {version}"), "line", share),
                column("at least".to_owned(), "low", low),
                column("at most".to_owned(), "high", high),
                column(format!("weight of {version}"), "step", self.begins.iter().filter_map(weight).collect()),
            ]);
        }
        columns
    }

    /// A version's weight at a time; `None` if it had none or nobody knows.
    fn weight(&self, version: VersionCode, time: u64) -> Option<f64> {
        let in_force = self.source.history.iter().find(|record| record.changed_at < time)?;
        let planned = in_force.plan.versions().get(&version).filter(|planned| planned.state == State::Live)?;
        Some(f64::from(planned.weight.basis_points()) / 10_000.0)
    }

    /// Live sessions as they were counted last by the end of each stretch. A large table is not counted every minute.
    pub(super) fn live(&self) -> Vec<Column> {
        /// An older count says nothing.
        const LONGEST_SECONDS: u64 = 300;
        let seen: BTreeSet<VersionCode> = self.source.live.values().flat_map(BTreeMap::keys).copied().collect();
        let versions = self.source.versions.iter().copied().filter(|version| seen.contains(version));
        let column = |version| {
            let counted = |begin: &u64| {
                let end = begin + self.seconds;
                let (_, counts) =
                    self.source.live.range(end.saturating_sub(LONGEST_SECONDS.max(self.seconds))..end).next_back()?;
                Some((*begin, real(counts.get(&version).copied().unwrap_or(0))))
            };
            Column {
                name: format!("version {version}"),
                series: "stack",
                key: self.key_of(version),
                values: self.begins.iter().filter_map(counted).collect(),
            }
        };
        versions.map(column).collect()
    }

    /// The evidence of each gate, and the limit.
    pub(super) fn evidence(&self) -> Vec<Column> {
        let Some(run) = self.source.run else { return Vec::new() };
        // Minutes are kept for a day, and evidence collects from the begin.
        let is_whole = run.started_at >= first_minute(self.source.now);
        let evidence = if is_whole { self.source.series.evidence(run, self.seconds) } else { BTreeMap::new() };
        let gates = Gate::EVERY.iter().enumerate().map(|(place, gate)| Column {
            name: gate.to_string(),
            series: "line",
            key: format!("g{place}"),
            values: evidence.iter().map(|(begin, of_gates)| (*begin, of_gates[place])).collect(),
        });
        let threshold = run.report.iter().flat_map(|report| &report.gates).map(|gate| gate.threshold).next();
        let limit = self.begins.iter().filter_map(|begin| Some((*begin, threshold?)));
        let limit =
            Column { name: "limit".to_owned(), series: "step", key: "limit".to_owned(), values: limit.collect() };
        gates.chain([limit]).collect()
    }
}

/// `None` if nothing could fail. At most 1: what failed may have begun in an earlier stretch, and must still be seen.
fn share(part: u64, whole: u64) -> Option<f64> {
    let whole = whole.max(part);
    (whole > 0).then(|| real(part) / real(whole))
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn real(count: u64) -> f64 {
    count as f64
}
