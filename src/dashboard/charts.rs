//! The charts: each is a table, one row for each stretch of time. The browser draws what the table says.

use askama::Template;

use super::columns::{Column, Columns, Source};
use super::range::Range;
use crate::operator::words;

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

/// Every chart over a range.
pub(super) fn charts(source: &Source<'_>, range: Range) -> Vec<Chart> {
    let columns = Columns::new(source, range);
    let chart = |id, title, about, unit, of: Vec<Column>| Chart::new(id, title, about, unit, &columns.begins, &of);
    vec![
        chart(
            "new",
            "New sessions",
            "Each version's share of the draws, with the 95 % interval, and its weight.",
            Unit::Percent,
            columns.shares(),
        ),
        chart("live", "Live sessions", "As they were counted, while a dashboard ran.", Unit::Count, columns.live()),
        chart(
            "failed",
            "Failed sessions",
            "First answers with a 5xx, of all draws; and sessions that saw one later, of those that came back.",
            Unit::Percent,
            columns.failed(),
        ),
        chart(
            "evidence",
            "Evidence",
            "How sure it is that the canary is worse, by the pulses of each minute. The table of the rollout decides.",
            Unit::Evidence,
            columns.evidence(),
        ),
        chart(
            "latency",
            "Latency",
            "Half of the answers took at most p50; all but one in a hundred took at most p99.",
            Unit::Milliseconds,
            columns.latencies(),
        ),
        chart(
            "finished",
            "Finished activities",
            range.in_each("Sessions that finished, in each minute.", "Sessions that finished, in each five minutes."),
            Unit::Count,
            columns.finished(),
        ),
        chart(
            "table",
            "Table reads and writes",
            range.in_each(
                "Calls of the instances to DynamoDB, in each minute. CloudWatch has those of the edges.",
                "Calls of the instances to DynamoDB, in each five minutes. CloudWatch has those of the edges.",
            ),
            Unit::Count,
            columns.table_calls(),
        ),
        chart("instances", "Instances alive", "Instances that reported.", Unit::Count, columns.instances()),
    ]
}

impl Chart {
    fn new(
        id: &'static str,
        title: &'static str,
        about: &'static str,
        unit: Unit,
        begins: &[u64],
        columns: &[Column],
    ) -> Self {
        let scale = if matches!(unit, Unit::Milliseconds | Unit::Evidence) { "log" } else { "linear" };
        let head = Head { columns }.render().expect("writing to a String cannot fail");
        let row = |begin: &u64| {
            let id = format!("{id}-{begin}");
            let cells = columns.iter().map(|column| column.values.get(begin).copied()).collect();
            let time = words::date_time(*begin).map_or_else(String::new, |time| time.format("%H:%M").to_string());
            let row = Row { id: &id, begin: *begin, time, unit, cells };
            let html = row.render().expect("writing to a String cannot fail");
            (id, html)
        };
        Self { id, title, about, unit, scale, head, rows: begins.iter().map(row).collect() }
    }
}
