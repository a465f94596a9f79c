//! How a rollout that runs shows itself: a line for each decision, and in a terminal the progress below.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};
use stickshift::clock::unix_now;
use stickshift_rollout::{Decision, Run};

use super::progress;
use super::words;

/// How often a pipe gets a line about what is missing, while nothing is decided.
const PIPE_PACE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Screen {
    is_json: bool,
    is_in_place: bool,
    /// What stands at the end of the terminal and is written over.
    shown: String,
    /// When a pipe last got a line.
    told: Option<Instant>,
}

impl Screen {
    pub(super) fn new(is_json: bool) -> Self {
        Self { is_json, is_in_place: words::is_for_person() && !is_json, shown: String::new(), told: None }
    }

    /// Prints a line that is no decision.
    pub(super) fn note(&mut self, text: &str) -> Result<()> {
        if self.is_json { words::show(&json!({ "note": text }).to_string()) } else { self.line(text) }
    }

    /// Prints a decision. `told`: the same as JSON.
    pub(super) fn decision(&mut self, decision: &Decision, told: &Value) -> Result<()> {
        if self.is_json {
            return words::show(&told.to_string());
        }
        self.line(&format!("{}: {}", decision.decision, words::plain(&decision.text)))
    }

    /// Shows where the run is.
    pub(super) fn progress(&mut self, run: &Run) -> Result<()> {
        if self.is_in_place {
            return self.replace("", progress::as_text(run));
        }
        if !self.is_json && self.told.is_none_or(|told| told.elapsed() >= PIPE_PACE) {
            return self.line(&progress::as_line(run));
        }
        Ok(())
    }

    fn line(&mut self, text: &str) -> Result<()> {
        self.told = Some(Instant::now());
        let line = format!("{} {text}\n", words::time(unix_now()));
        let below = if self.is_in_place { self.shown.clone() } else { String::new() };
        self.replace(&line, below)
    }

    /// Prints a line that stays, and below it what will be written over.
    fn replace(&mut self, line: &str, below: String) -> Result<()> {
        let text = format!("{line}{below}");
        if self.shown.is_empty() {
            words::show(&text)?;
        } else {
            words::show_in_place(&text, &self.shown)?;
        }
        self.shown = below;
        Ok(())
    }
}
