//! The status and the evidence as tables: what each cell says.

use stickshift_contract::{PlanRecord, VersionCode};
use stickshift_rollout::{GateReport, Run};

use super::status::Status;
use super::words;

/// What the status says of a version.
pub const ROWS: [&str; 11] = [
    "version",
    "state",
    "origin",
    "new sessions",
    "live sessions",
    "failed sessions",
    "finished",
    "requests",
    "p50, p99",
    "instances",
    "formats",
];

/// The same of one version.
pub fn cells(status: &Status, version: VersionCode) -> [String; ROWS.len()] {
    let PlanRecord { plan, .. } = &status.record;
    let origin = plan.versions().get(&version).map_or_else(String::new, |planned| words::origin(&planned.origin));
    let new = status.share_of_new(version).map_or_else(
        || "-".to_owned(),
        |(share, (low, high))| format!("{:.1} % ({:.1} to {:.1})", share * 100.0, low * 100.0, high * 100.0),
    );
    let report = status.reports.get(&version).cloned().unwrap_or_default();
    let milliseconds = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value} ms"));
    let formats: Vec<_> = report.formats.iter().chain(&report.edges).map(String::as_str).collect();
    [
        version.to_string(),
        words::version(plan, version),
        origin,
        new,
        words::count(status.live.on(version)),
        format!("{}, at first {}", report.failed, report.first_failed),
        report.finished.to_string(),
        format!("{:.1}/s, {} 5xx", report.requests_per_second, percent(report.server_errors, report.requests)),
        format!("{}, {}", milliseconds(report.p50_milliseconds), milliseconds(report.p99_milliseconds)),
        format!("{}, {} connections", report.instances, report.open_connections),
        oldest(&formats).map_or_else(|| "-".to_owned(), words::plain),
    ]
}

/// What the evidence says of a gate.
pub fn gate_names(run: &Run) -> [String; 6] {
    let ratio = format!("times version {}", run.stable);
    ["gate", "failed", "evidence", &ratio, "failing at most", "verdict"].map(str::to_owned)
}

/// The same of one gate.
pub fn gate_cells(gate: &GateReport) -> [String; 6] {
    let (low, high) = gate.ratio;
    let high = high.map_or_else(|| "any".to_owned(), |high| format!("{high:.2}"));
    [
        gate.gate.to_string(),
        format!("{} of {}", gate.failed, gate.seen),
        format!("{:.2} of {:.0}", gate.evidence, gate.threshold),
        format!("{low:.2} to {high} ({})", gate.tolerance),
        format!("{:.1} % ({} %)", gate.highest_share * 100.0, (gate.max_share * 1000.0).round() / 10.0),
        words::verdict(gate.verdict).to_owned(),
    ]
}

/// The formats that all of them read.
fn oldest<'a>(formats: &[&'a str]) -> Option<&'a str> {
    let sum = |formats: &str| -> u64 {
        ["receipt", "plan"].iter().filter_map(|kind| stickshift_contract::format_read(formats, kind)).sum()
    };
    formats.iter().copied().min_by_key(|formats| sum(formats))
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn percent(part: u64, whole: u64) -> String {
    if whole == 0 { "-".to_owned() } else { format!("{:.2} %", 100.0 * part as f64 / whole as f64) }
}
