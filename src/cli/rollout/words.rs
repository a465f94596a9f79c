//! How plans and times are printed.

use chrono::{DateTime, Utc};
use stickshift_contract::{Plan, State, VersionCode};

/// Unix seconds as `2026-11-24 21:20:31 UTC`.
pub(super) fn time(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| DateTime::<Utc>::from_timestamp(seconds, 0));
    time.map_or_else(|| seconds.to_string(), |time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// What a plan says about a version: `live, stable, 90.00 %`, or `-` without it.
pub(super) fn version(plan: &Plan, version: VersionCode) -> String {
    let Some(planned) = plan.versions().get(&version) else { return "-".to_owned() };
    let stable = if plan.stable() == version { ", stable" } else { "" };
    let until = planned.until.map_or_else(String::new, |until| format!(" until {}", time(until)));
    match planned.state {
        State::Live => format!("live{stable}, {} %", planned.weight),
        state => format!("{state}{until}"),
    }
}

/// Rows in columns as wide as their longest cell, each line indented by two spaces.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(format!("  {}", cells.collect::<Vec<_>>().join("  ")).trim_end());
        text.push('\n');
    }
    text
}
