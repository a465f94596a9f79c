//! How plans, times and rollouts are said.

use chrono::{DateTime, Utc};
use stickshift_contract::{Origin, Plan, Protocol, State, VersionCode};
use stickshift_rollout::{Count, Phase, Run, Verdict};

/// Unix seconds as `2026-11-24 21:20:31 UTC`.
pub fn time(seconds: u64) -> String {
    date_time(seconds).map_or_else(|| seconds.to_string(), |time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// Unix seconds as a date; `None` for numbers that no calendar has.
pub fn date_time(seconds: u64) -> Option<DateTime<Utc>> {
    i64::try_from(seconds).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0))
}

/// What a plan says about a version: `live, stable, 90.00 %`, or `-` without it.
pub fn version(plan: &Plan, version: VersionCode) -> String {
    let Some(planned) = plan.versions().get(&version) else { return "-".to_owned() };
    let stable = if plan.stable() == version { ", stable" } else { "" };
    let until = planned.until.map_or_else(String::new, |until| format!(" until {}", time(until)));
    match planned.state {
        State::Live => format!("live{stable}, {} %", planned.weight),
        state => format!("{state}{until}"),
    }
}

/// An origin as a URL.
pub fn origin(origin: &Origin) -> String {
    let protocol = if origin.protocol == Protocol::Https { "https" } else { "http" };
    format!("{protocol}://{}:{}", origin.domain, origin.port)
}

/// `29`, or `about 1234000 (1200000 to 1268000)`.
pub fn count(count: Count) -> String {
    match count.interval {
        None => count.sessions.to_string(),
        Some((low, high)) => format!("about {} ({low} to {high})", count.sessions),
    }
}

/// Where a rollout is.
pub fn place(run: &Run) -> String {
    let of = run.options.steps.len();
    match &run.phase {
        Phase::Baseline => "before the first step".to_owned(),
        Phase::WarmUp { .. } => format!("step 1 of {of}, {} %, warming up", run.weight()),
        Phase::Step { index, .. } => format!("step {} of {of}, {} %", index.saturating_add(1), run.weight()),
        Phase::Ended { outcome, why } => format!("{outcome}, {}", plain(why)),
    }
}

/// A verdict.
pub fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Fail => "FAIL",
        Verdict::Pass => "pass",
        Verdict::Inconclusive => "not yet",
    }
}

/// A text that somebody wrote, on one line and without anything that could steer a terminal.
pub fn plain(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { char::REPLACEMENT_CHARACTER } else { character }).collect()
}

/// How long a reason is at most, in characters.
pub const LONGEST_REASON: usize = 500;

/// Reads a reason for the history. Errors: it is more than a line, or too long.
pub fn parse_reason(text: &str) -> Result<String, String> {
    // Separators of lines, and what changes the direction of a text: history would show something else.
    let is_hidden = |character: char| matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if text.chars().any(|character| character.is_control() || is_hidden(character)) {
        return Err("a reason is one line of text, without control characters".to_owned());
    }
    if text.chars().count() > LONGEST_REASON {
        return Err(format!("a reason has at most {LONGEST_REASON} characters"));
    }
    Ok(text.to_owned())
}

/// Reads a length of time such as `45s`, `30m`, `2h` or `1d`, as seconds. Errors: it is none.
pub fn parse_time(text: &str) -> Result<u64, String> {
    let expected = || format!("`{text}`: expected a number and s, m, h or d, for example 30m");
    let unit = text.chars().last().ok_or_else(expected)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(expected()),
    };
    let count: u32 = text[..text.len() - 1].parse().map_err(|_| expected())?;
    u64::from(count).checked_mul(seconds).filter(|seconds| *seconds > 0).ok_or_else(expected)
}
