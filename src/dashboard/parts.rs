//! What a page says beside the charts.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use stickshift_contract::{PlanRecord, PlannedVersion, VersionCode, Weight};
use stickshift_rollout::{GateReport, Outcome, Phase, Run, Verdict, seconds_in_words};

use super::columns::key_of;
use crate::operator::status::Status;
use crate::operator::{table, words};

#[derive(Template)]
#[template(path = "dashboard/warnings.html")]
struct Warnings {
    warnings: Vec<String>,
}

#[derive(Template)]
#[template(path = "dashboard/plan.html")]
struct Plan<'a> {
    status: &'a Status,
    versions: Vec<Version>,
    counted: String,
    may_change: bool,
}

/// The rows of the status that are columns here, after those for the version and its state: what people look at first
/// comes first.
const COLUMNS: [usize; 7] = [3, 4, 5, 6, 7, 8, 9];

/// Those at the end, after what can be changed.
const LAST_COLUMNS: [usize; 2] = [2, 10];

/// A version in the plan, and what the status says of it.
struct Version {
    code: VersionCode,
    key: String,
    state: String,
    cells: [String; table::ROWS.len()],
    is_stable: bool,
    /// Whether it is stable and has all new sessions.
    has_all: bool,
}

#[derive(Template)]
#[template(path = "dashboard/run.html")]
struct Rollout<'a> {
    run: Option<&'a Run>,
    steps: Vec<Step>,
    progress: Option<Progress>,
    gates: Vec<GateRow>,
    begun: String,
    standing: &'static str,
    is_over: bool,
    can_resume: bool,
    may_change: bool,
}

/// How much of a step's time is over, in seconds.
struct Progress {
    over: u64,
    whole: u64,
    text: String,
}

/// The evidence of a gate.
struct GateRow {
    cells: [String; 6],
    class: &'static str,
}

/// A step of a rollout.
struct Step {
    weight: Weight,
    is_done: bool,
    is_current: bool,
}

#[derive(Template)]
#[template(path = "dashboard/history.html")]
struct History {
    entries: Vec<Entry>,
    may_change: bool,
}

/// A plan of the history.
struct Entry {
    revision: u64,
    changed_at: u64,
    date_time: String,
    since: String,
    by: String,
    why: String,
    differences: Vec<String>,
    is_in_force: bool,
}

/// What the page is made of.
pub(super) struct Known<'a> {
    pub(super) status: Option<&'a Status>,
    /// The last plans, the newest first.
    pub(super) history: &'a [PlanRecord],
    /// How many of them are shown.
    pub(super) shown_plans: usize,
    /// Every version that has a color.
    pub(super) versions: &'a [VersionCode],
    /// What keeps the tables from being read.
    pub(super) trouble: Option<&'a str>,
    /// What keeps the sessions from being counted.
    pub(super) count_trouble: Option<&'a str>,
    /// What keeps the minutes from being read.
    pub(super) chart_trouble: Option<&'a str>,
    /// When the sessions were counted last, in Unix seconds; 0 for never.
    pub(super) counted_at: u64,
    /// When the tables could be read last, in Unix seconds; 0 for never.
    pub(super) read_at: u64,
    /// How often this program has read them.
    pub(super) reads: u64,
    pub(super) may_change: bool,
}

impl Known<'_> {
    /// The contents of the page's elements, by their id.
    pub(super) fn parts(&self) -> BTreeMap<&'static str, String> {
        let may_change = self.may_change;
        let warnings = self.warnings();
        // Read out by screen readers when it changes, so it has no number that changes with each look.
        let alarm = match warnings.len() {
            0 => String::new(),
            1 => "There is a warning.".to_owned(),
            count => format!("There are {count} warnings."),
        };
        let entries = entries(self.history, self.shown_plans);
        let reads = format!("This dashboard has read the tables {} times since it started.", self.reads);
        let mut parts = BTreeMap::from([
            ("alarm", alarm),
            ("warnings", rendered(&Warnings { warnings })),
            ("history", rendered(&History { entries, may_change })),
            ("as-of", as_of(self.read_at)),
            ("reads", reads),
        ]);
        if let Some(status) = self.status {
            parts.insert("plan", self.plan(status));
            parts.insert("run", rendered(&rollout(status.run.as_ref(), may_change)));
        }
        parts
    }

    fn plan(&self, status: &Status) -> String {
        let version = |(code, planned): (&VersionCode, &PlannedVersion)| Version {
            code: *code,
            key: key_of(self.versions, *code),
            state: planned.state.to_string(),
            cells: table::cells(status, *code),
            is_stable: status.record.plan.stable() == *code,
            has_all: status.record.plan.stable() == *code && planned.weight == Weight::ALL,
        };
        let versions = status.record.plan.versions().iter().map(version).collect();
        let time = words::date_time(self.counted_at).filter(|_| self.counted_at > 0);
        let counted = time.map_or_else(String::new, |time| format!(" at {}", time.format("%H:%M:%S UTC")));
        rendered(&Plan { status, versions, counted, may_change: self.may_change })
    }

    fn warnings(&self) -> Vec<String> {
        let trouble = self.trouble.map(|cause| match self.read_at {
            0 => format!("there is nothing to show yet: {cause}"),
            read_at => format!(
                "THE TABLES DO NOT ANSWER since {}, and everything below is of then: {cause}",
                words::time(read_at)
            ),
        });
        let count_trouble = self.count_trouble.filter(|_| trouble.is_none());
        let count_trouble = count_trouble.map(|cause| format!("the live sessions below are old: {cause}"));
        let chart_trouble = self.chart_trouble.filter(|_| trouble.is_none());
        let chart_trouble = chart_trouble.map(|cause| format!("the charts are not complete: {cause}"));
        let of_status = self.status.iter().flat_map(|status| status.warnings());
        trouble.into_iter().chain(count_trouble).chain(chart_trouble).chain(of_status).collect()
    }
}

fn rendered(template: &impl Template) -> String {
    template.render().expect("writing to a String cannot fail")
}

fn as_of(read_at: u64) -> String {
    let Some(time) = words::date_time(read_at).filter(|_| read_at > 0) else { return String::new() };
    let (machine, person) = (time.format("%Y-%m-%dT%H:%M:%SZ"), time.format("%H:%M:%S UTC"));
    format!("as of <time datetime=\"{machine}\" data-at=\"{read_at}\">{person}</time>")
}

fn rollout(run: Option<&Run>, may_change: bool) -> Rollout<'_> {
    let Some(run) = run else {
        let (steps, gates, begun) = (Vec::new(), Vec::new(), String::new());
        let (progress, standing, is_over, can_resume) = (None, "", true, false);
        return Rollout { run, steps, progress, gates, begun, standing, is_over, can_resume, may_change };
    };
    let (current, progress) = match run.phase {
        Phase::WarmUp { since } => (Some(0), Some((since, run.options.warm_up_seconds))),
        Phase::Step { index, since } => (Some(index), Some((since, run.options.every_seconds))),
        Phase::Baseline | Phase::Ended { .. } => (None, None),
    };
    let has_reached = run.outcome() == Some(Outcome::Reached);
    let step = |(index, weight): (usize, &Weight)| Step {
        weight: *weight,
        is_done: has_reached || current.is_some_and(|current| index < current),
        is_current: current == Some(index),
    };
    let progress = progress.map(|(since, whole)| {
        let over = run.watched.as_secs().saturating_sub(since);
        let text = format!("{} of {}", seconds_in_words(over), seconds_in_words(whole));
        Progress { over: over.min(whole), whole, text }
    });
    let gates = run.report.iter().flat_map(|report| &report.gates);
    let gates = gates.map(|gate| GateRow { cells: table::gate_cells(gate), class: verdict_class(gate) }).collect();
    let standing = match (run.outcome(), &run.paused, &run.held) {
        (Some(Outcome::Reached), ..) => "reached",
        (Some(Outcome::Failed), ..) => "failed",
        (Some(Outcome::Aborted), ..) => "aborted",
        (None, Some(_), _) => "paused",
        (None, None, Some(_)) => "held",
        (None, None, None) => "running",
    };
    let steps = run.options.steps.iter().enumerate().map(step).collect();
    let (begun, is_over) = (words::time(run.started_at), run.outcome().is_some());
    // The rules themselves say it.
    let can_resume = run.clone().resume("").is_ok();
    Rollout { run: Some(run), steps, progress, gates, begun, standing, is_over, can_resume, may_change }
}

fn verdict_class(gate: &GateReport) -> &'static str {
    match gate.verdict {
        Verdict::Fail => "fail",
        Verdict::Pass => "pass",
        Verdict::Inconclusive => "inconclusive",
    }
}

/// The plans, the newest first, each with what it changed.
fn entries(history: &[PlanRecord], shown: usize) -> Vec<Entry> {
    let entry = |(place, record): (usize, &PlanRecord)| Entry {
        revision: record.plan.revision(),
        changed_at: record.changed_at,
        since: words::time(record.changed_at),
        date_time: words::date_time(record.changed_at)
            .map_or_else(String::new, |time| time.format("%Y-%m-%dT%H:%M:%SZ").to_string()),
        by: words::plain(&record.changed_by),
        why: words::plain(&record.why),
        differences: differences(history.get(place + 1), record),
        is_in_force: place == 0,
    };
    history.iter().enumerate().take(shown).map(entry).collect()
}

/// What changed from one plan to the next, a line for each version.
fn differences(before: Option<&PlanRecord>, after: &PlanRecord) -> Vec<String> {
    let before = before.map(|record| &record.plan);
    let versions = before.into_iter().flat_map(|plan| plan.versions().keys()).chain(after.plan.versions().keys());
    let versions: BTreeSet<VersionCode> = versions.copied().collect();
    let said = |version: VersionCode| {
        let earlier = before.map_or_else(|| "-".to_owned(), |plan| words::version(plan, version));
        let later = words::version(&after.plan, version);
        let origins = (before.and_then(|plan| plan.origin(version)), after.plan.origin(version));
        let moved = match origins {
            (Some(earlier), Some(later)) if earlier != later => {
                format!("; origin {} → {}", words::origin(earlier), words::origin(later))
            }
            _ => String::new(),
        };
        (earlier != later || !moved.is_empty()).then(|| format!("{version}: {earlier} → {later}{moved}"))
    };
    versions.into_iter().filter_map(said).collect()
}
