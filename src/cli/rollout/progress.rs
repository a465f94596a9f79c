//! Where a rollout is that runs by itself, in words.

use stickshift::operator::table::{gate_cells, gate_names};
use stickshift_rollout::{Phase, Run, RunReport, seconds_in_words};

use super::words::{self, WARNING};

/// How many characters a full bar has.
const BAR: u64 = 20;

/// The step, the evidence by gate, and what is missing.
pub(super) fn as_text(run: &Run) -> String {
    let mut text = format!("rollout to version {}: {}\n", run.canary(), step(run));
    if let Some(report) = &run.report {
        if !report.gates.is_empty() {
            text.push_str(&gates(report, run));
        }
        if !report.waits.is_empty() && run.outcome().is_none() {
            text.push_str(&format!("missing: {}\n", report.waits.join("; ")));
        }
    }
    if let Some(paused) = &run.paused {
        text.push_str(&format!("{WARNING}paused: {}\n", words::plain(&paused.why)));
    }
    if let Some(hold) = &run.held {
        text.push_str(&format!("{WARNING}held: {hold}\n"));
    }
    text
}

/// The step and what is missing, in one line.
pub(super) fn as_line(run: &Run) -> String {
    let report = run.report.as_ref();
    let missing = report.map_or_else(String::new, |report| report.waits.join("; "));
    let figures = report.filter(|report| !report.gates.is_empty()).map(|report| format!("; {report}"));
    let hold = run.held.as_ref().map(|hold| format!("; held: {hold}"));
    let pause = run.paused.as_ref().map(|paused| format!("; paused: {}", words::plain(&paused.why)));
    let missing = if missing.is_empty() { missing } else { format!("; missing: {missing}") };
    [Some(words::place(run)), figures, hold, pause, Some(missing)].into_iter().flatten().collect()
}

/// Where it is, with a bar of the step's time.
fn step(run: &Run) -> String {
    let (since, whole) = match run.phase {
        Phase::WarmUp { since } => (since, run.options.warm_up_seconds),
        Phase::Step { since, .. } => (since, run.options.every_seconds),
        _ => return words::place(run),
    };
    let gone = run.watched.as_secs().saturating_sub(since);
    let full = gone.saturating_mul(BAR).checked_div(whole).unwrap_or(BAR).min(BAR);
    let bar: String = (0..BAR).map(|part| if part < full { '#' } else { '-' }).collect();
    format!("{} [{bar}] {} of {}", words::place(run), seconds_in_words(gone), seconds_in_words(whole))
}

/// The evidence, gate by gate.
fn gates(report: &RunReport, run: &Run) -> String {
    let mut rows = vec![gate_names(run).to_vec()];
    rows.extend(report.gates.iter().map(|gate| gate_cells(gate).to_vec()));
    let table = words::table(&rows);
    if words::width().is_some_and(|width| table.lines().any(|line| line.chars().count() > width)) {
        let lines = report.gates.iter().map(|gate| format!("- {gate}: {}\n", words::verdict(gate.verdict)));
        return lines.collect();
    }
    table
}
