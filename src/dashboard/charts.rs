//! The charts: each is a table, one row for each stretch of time. The browser draws what the table says.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use stickshift_contract::{PlanRecord, State, VersionCode};
use stickshift_rollout::{Confidence, Gate, Run, Series, Stretch, begin_of, first_minute, interval};

use super::range::Range;
use crate::operator::words;

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

/// So long after the end of a stretch its last pulses have come: they are written every 10 s.
const PULSES_LATE_SECONDS: u64 = 15;

/// A chart as HTML.
#[derive(Debug, Default)]
pub(super) struct Chart {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) about: &'static str,
    pub(super) unit: Unit,
    pub(super) scale: &'static str,
    /// The row of names.
    pub(super) head: String,
    /// Every row by its id.
    pub(super) rows: Vec<(String, String)>,
}

/// How numbers are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Unit {
    #[default]
    Count,
    /// Shares from 0 to 1.
    Percent,
    Milliseconds,
    Evidence,
}

impl Unit {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Percent => "percent",
            Self::Milliseconds => "milliseconds",
            Self::Evidence => "evidence",
        }
    }

    fn in_words(self, value: &f64) -> String {
        match self {
            Self::Count => format!("{value}"),
            Self::Percent => format!("{:.1} %", value * 100.0),
            Self::Milliseconds => format!("{value} ms"),
            Self::Evidence => format!("{value:.2}"),
        }
    }
}

/// A column of numbers.
#[derive(Clone)]
struct Column {
    name: String,
    /// How the browser draws it: `line`, `dashed`, `step`, `stack`, or the ends of a band, `low` and `high`.
    series: &'static str,
    /// Which color and pattern it has.
    key: String,
    values: BTreeMap<u64, f64>,
}

#[derive(Template)]
#[template(path = "dashboard/head.html")]
struct Head<'a> {
    columns: &'a [Column],
}

#[derive(Template)]
#[template(path = "dashboard/row.html")]
struct Row<'a> {
    id: &'a str,
    begin: u64,
    time: String,
    unit: Unit,
    cells: Vec<Option<f64>>,
}

/// The color and the pattern of a version.
pub(super) fn key_of(versions: &[VersionCode], version: VersionCode) -> String {
    /// The style sheet has so many.
    const KEYS: usize = 8;
    let place = versions.iter().position(|other| *other == version).unwrap_or(0);
    format!("v{}", place % KEYS)
}

impl Source<'_> {
    /// Every chart over a range.
    pub(super) fn charts(&self, range: Range) -> Vec<Chart> {
        let seconds = range.stretch_seconds();
        let stretches: Vec<_> =
            self.versions.iter().map(|version| (*version, self.series.stretches(*version, seconds))).collect();
        let begin = begin_of(self.now.saturating_sub(range.seconds()), seconds);
        let begins: Vec<u64> = (begin..=self.now).step_by(usize::try_from(seconds).unwrap_or(usize::MAX)).collect();
        let chart = |id, title, about, unit, columns: Vec<Column>| {
            let scale = if matches!(unit, Unit::Milliseconds | Unit::Evidence) { "log" } else { "linear" };
            let head = Head { columns: &columns }.render().expect("writing to a String cannot fail");
            let row = |begin: &u64| {
                let id = format!("{id}-{begin}");
                let cells = columns.iter().map(|column| column.values.get(begin).copied()).collect();
                let time = words::date_time(*begin).map_or_else(String::new, |time| time.format("%H:%M").to_string());
                let row = Row { id: &id, begin: *begin, time, unit, cells };
                let html = row.render().expect("writing to a String cannot fail");
                (id, html)
            };
            let rows = begins.iter().map(row).collect();
            Chart { id, title, about, unit, scale, head, rows }
        };
        let of_versions = |series: &'static str, what: &str, value: &dyn Fn(&Stretch) -> Option<f64>| {
            let columns = stretches.iter().map(|(version, stretches)| Column {
                name: format!("version {version}{what}"),
                series,
                key: key_of(self.versions, *version),
                values: stretches.iter().filter_map(|(begin, stretch)| Some((*begin, value(stretch)?))).collect(),
            });
            columns.collect::<Vec<_>>()
        };
        // A number that still grows would look like a fall. The last pulses of a stretch come a little later.
        let whole = |columns: Vec<Column>| {
            let is_over = |begin: u64| begin + seconds + PULSES_LATE_SECONDS <= self.now;
            let whole = |mut column: Column| {
                column.values.retain(|begin, _| is_over(*begin));
                column
            };
            columns.into_iter().map(whole).collect::<Vec<_>>()
        };
        let percentile = |percent: u64| {
            move |stretch: &Stretch| Some(stretch.activity.latencies.percentile(percent)?.as_secs_f64() * 1000.0)
        };
        vec![
            chart(
                "new",
                "New sessions",
                "Each version's share of the sessions that began, with the 95 % interval, and its weight.",
                Unit::Percent,
                self.shares(&stretches, &begins, seconds),
            ),
            chart(
                "live",
                "Live sessions",
                "As they were counted, while a dashboard ran.",
                Unit::Count,
                self.live(&begins, seconds),
            ),
            chart(
                "failed",
                "Failed sessions",
                "First answers with a 5xx, of all draws; and sessions that saw one later, of those that came back.",
                Unit::Percent,
                [of_versions("dashed", ", first answers", &first_failed), of_versions("line", ", later", &failed)]
                    .concat(),
            ),
            chart(
                "evidence",
                "Evidence",
                "How sure it is that the canary is worse, gate by gate, by each minute's pulses. What decides is the table of \
                 the rollout.",
                Unit::Evidence,
                self.evidence(&begins, seconds),
            ),
            chart(
                "latency",
                "Latency",
                "Half of the answers took at most p50; all but one in a hundred took at most p99.",
                Unit::Milliseconds,
                [of_versions("line", ", p50", &percentile(50)), of_versions("dashed", ", p99", &percentile(99))]
                    .concat(),
            ),
            chart(
                "finished",
                "Finished activities",
                range.in_each(
                    "Sessions that finished, in each minute.",
                    "Sessions that finished, in each five minutes.",
                ),
                Unit::Count,
                whole(of_versions("line", "", &|stretch| Some(real(stretch.activity.sum_of(|draws| draws.finished))))),
            ),
            chart(
                "table",
                "Table reads and writes",
                range.in_each(
                    "Calls of the instances to DynamoDB, in each minute. CloudWatch has those of the edges.",
                    "Calls of the instances to DynamoDB, in each five minutes. CloudWatch has those of the edges.",
                ),
                Unit::Count,
                whole(
                    [
                        of_versions("line", ", reads", &|stretch| Some(real(stretch.activity.table_reads))),
                        of_versions("dashed", ", writes", &|stretch| Some(real(stretch.activity.table_writes))),
                    ]
                    .concat(),
                ),
            ),
            chart(
                "instances",
                "Instances alive",
                "Instances that reported.",
                Unit::Count,
                whole(of_versions("step", "", &|stretch| Some(real(stretch.instances)))),
            ),
        ]
    }

    /// The share of new sessions by version, its interval, and the weight in force at the end of each stretch.
    fn shares(&self, stretches: &[(VersionCode, BTreeMap<u64, Stretch>)], begins: &[u64], seconds: u64) -> Vec<Column> {
        let drawn = |stretch: &Stretch| stretch.activity.sum_of(|draws| draws.drawn);
        let mut all = BTreeMap::<u64, u64>::new();
        for (begin, stretch) in stretches.iter().flat_map(|(_, stretches)| stretches) {
            let sum = all.entry(*begin).or_default();
            *sum = sum.saturating_add(drawn(stretch));
        }
        let mut columns = Vec::new();
        for (version, stretches) in stretches {
            let (mut share, mut low, mut high) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
            for (&begin, &whole) in all.iter().filter(|(_, whole)| **whole > 0) {
                let part = stretches.get(&begin).map_or(0, drawn);
                let ends = interval(part, whole, Confidence::Percent95);
                share.insert(begin, real(part) / real(whole));
                low.insert(begin, ends.0);
                high.insert(begin, ends.1);
            }
            let weight = begins.iter().filter_map(|begin| Some((*begin, self.weight(*version, begin + seconds)?)));
            let key = key_of(self.versions, *version);
            let column = |name: String, series, values| Column { name, series, key: key.clone(), values };
            columns.extend([
                column(format!("version {version}"), "line", share),
                column("at least".to_owned(), "low", low),
                column("at most".to_owned(), "high", high),
                column(format!("weight of {version}"), "step", weight.collect()),
            ]);
        }
        columns
    }

    /// A version's weight at a time; `None` if it had none or nobody knows.
    fn weight(&self, version: VersionCode, time: u64) -> Option<f64> {
        let in_force = self.history.iter().find(|record| record.changed_at < time)?;
        let planned = in_force.plan.versions().get(&version).filter(|planned| planned.state == State::Live)?;
        Some(f64::from(planned.weight.basis_points()) / 10_000.0)
    }

    /// Live sessions as they were counted last by the end of each stretch. A large table is not counted every minute.
    fn live(&self, begins: &[u64], seconds: u64) -> Vec<Column> {
        /// An older count says nothing.
        const LONGEST_SECONDS: u64 = 300;
        let seen: BTreeSet<VersionCode> = self.live.values().flat_map(BTreeMap::keys).copied().collect();
        let versions = self.versions.iter().copied().filter(|version| seen.contains(version));
        let column = |version| {
            let counted = |begin: &u64| {
                let end = begin + seconds;
                let (_, counts) = self.live.range(end.saturating_sub(LONGEST_SECONDS.max(seconds))..end).next_back()?;
                Some((*begin, real(counts.get(&version).copied().unwrap_or(0))))
            };
            Column {
                name: format!("version {version}"),
                series: "stack",
                key: key_of(self.versions, version),
                values: begins.iter().filter_map(counted).collect(),
            }
        };
        versions.map(column).collect()
    }

    /// The evidence of each gate, and the limit.
    fn evidence(&self, begins: &[u64], seconds: u64) -> Vec<Column> {
        let Some(run) = self.run else { return Vec::new() };
        // Minutes are kept for a day, and evidence collects from the begin.
        let is_whole = run.started_at >= first_minute(self.now);
        let evidence = if is_whole { self.series.evidence(run, seconds) } else { BTreeMap::new() };
        let gates = Gate::EVERY.iter().enumerate().map(|(place, gate)| Column {
            name: gate.to_string(),
            series: "line",
            key: format!("g{place}"),
            values: evidence.iter().map(|(begin, of_gates)| (*begin, of_gates[place])).collect(),
        });
        let threshold = run.report.iter().flat_map(|report| &report.gates).map(|gate| gate.threshold).next();
        let limit = begins.iter().filter_map(|begin| Some((*begin, threshold?)));
        let limit =
            Column { name: "limit".to_owned(), series: "step", key: "limit".to_owned(), values: limit.collect() };
        gates.chain([limit]).collect()
    }
}

/// First answers that failed, of all draws.
fn first_failed(stretch: &Stretch) -> Option<f64> {
    let of = |number| stretch.activity.sum_of(number);
    share(of(|draws| draws.first_failed), of(|draws| draws.drawn))
}

/// Sessions that failed later, of those that were renewed. Some were renewed in an earlier stretch.
fn failed(stretch: &Stretch) -> Option<f64> {
    let of = |number| stretch.activity.sum_of(number);
    share(of(|draws| draws.failed), of(|draws| draws.renewed))
}

fn share(part: u64, whole: u64) -> Option<f64> {
    let whole = whole.max(part);
    (whole > 0).then(|| real(part) / real(whole))
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn real(count: u64) -> f64 {
    count as f64
}
