//! `stickshift rollout run`: takes a version from its first share of new sessions to all of them, or back.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use serde_json::json;
use stickshift::clock::unix_now;
use stickshift::store::plans::{PlanStoreError, highest_revision};
use stickshift_contract::{LEASE_SILENCE_SECONDS, Plan, PlanRecord, Pulse, VersionCode, Weight};
use stickshift_rollout::{
    Change, Decided, Decision, Look, OnFail, Outcome, Pair, Refusal, Run, RunOptions, Turn, Watch, dangers, is_alive,
    seconds_in_words,
};

use super::commands::{Checks, Notifier};
use super::screen::Screen;
use super::site::Site;
use super::wait::TimedOut;
use super::words::{self, parse_time};
use crate::cli::stop::StopSignal;

/// How often the pulses are looked at, unless they come more often.
const PACE: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// The version that gets new sessions
    #[arg(long, value_name = "VERSION", value_parser = VersionCode::parse)]
    to: VersionCode,
    /// Its shares of new sessions in percent, one step after the other; 100 makes it stable
    #[arg(long, value_name = "PERCENT", value_delimiter = ',', value_parser = Weight::parse_percent)]
    #[arg(default_value = "1,5,25,50,100")]
    steps: Vec<Weight>,
    /// How long each step takes at least
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_time)]
    every: u64,
    /// The probability that a version that is no worse than tolerated is taken back by chance
    #[arg(long, value_name = "PROBABILITY", default_value = "0.05", value_parser = parse_alpha)]
    alpha: f64,
    /// How many times as often as on the stable version sessions may fail
    #[arg(long, value_name = "RATIO", default_value = "1.5", value_parser = parse_tolerance)]
    tolerance: f64,
    /// The share of failed sessions that is good enough, whatever the stable version's is
    #[arg(long, value_name = "PERCENT", default_value = "5%", value_parser = parse_share)]
    max_failed: f64,
    /// The share of slow sessions that is good enough; slow is a first answer that takes longer than 95 % of the
    /// stable version's did before
    #[arg(long, value_name = "PERCENT", default_value = "10%", value_parser = parse_share)]
    max_slow: f64,
    /// Sessions that the version gets in each step at least
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    min_sessions: u64,
    /// How long after its begin a session counts as clean [default: the lifetime of a session, 12m]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    settle: Option<u64>,
    /// How long the version may warm up until the times of its answers count
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_time_or_none)]
    warm_up: u64,
    /// A command that is run at every look: exit status 0 passes, 1 fails the version, 2 does not know and takes no
    /// step
    #[arg(long, value_name = "COMMAND")]
    check: Option<String>,
    /// What becomes of the version when it fails: no new sessions, its sessions move at once, or nothing until you
    /// decide
    #[arg(long, value_name = "WHAT", default_value = "drain")]
    on_fail: OnFailArgument,
    /// A command that gets every decision as JSON on stdin
    #[arg(long, value_name = "COMMAND")]
    notify: Option<String>,
    /// How long it may take; then the exit status is 4 and the plan stays as it is
    #[arg(long, value_name = "TIME", default_value = "4h", value_parser = parse_time)]
    timeout: u64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum OnFailArgument {
    Drain,
    Evict,
    Pause,
}

/// The version has failed and was taken back. The exit status is then another one than after an error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct TakenBack(&'static str);

/// Somebody else looks at the run.
#[derive(Debug, thiserror::Error)]
#[error("this program looks at the rollout no more: {0}")]
struct LostLease(String);

impl RunArguments {
    pub(super) async fn run(self, site: &Site) -> Result<()> {
        let stop = StopSignal::install()?;
        // The rollout goes on when nobody reads any more.
        words::outlive_readers();
        let caller = site.caller().await?;
        if !site.is_json {
            words::show(&site.name)?;
        }
        let mut runner = Runner {
            to: self.to,
            // Two containers may have the same process number.
            holder: format!("{caller}, process {}-{:04x}", std::process::id(), rand::random::<u16>()),
            caller,
            deadline_at: u64::MAX,
            screen: Screen::new(site.is_json),
            checks: self.check.clone().map(Checks::new),
            notifier: self.notify.clone().map(Notifier::new),
            started: Instant::now(),
            attempt: 0,
            watch: Watch::default(),
            pace: PACE,
            site,
        };
        let work = async {
            runner.take_lease(&self).await?;
            runner.go_on().await
        };
        let result = tokio::select! {
            result = work => Some(result),
            () = stop.wait() => None,
        };
        if result.is_none() {
            // Nobody has to wait for the lease, and no check is left behind.
            runner.release().await;
        }
        runner.checks = None;
        if let Some(notifier) = runner.notifier.take() {
            notifier.finish().await;
        }
        result.unwrap_or_else(|| {
            bail!(
                "stopped by a signal: the plan stays as it is, and nobody looks at the rollout; the same command \
                 goes on with it"
            )
        })
    }

    /// `settle_seconds`: unless the command line has it.
    fn options(&self, settle_seconds: u64) -> RunOptions {
        RunOptions {
            to: self.to,
            steps: self.steps.clone(),
            every_seconds: self.every,
            alpha: self.alpha,
            tolerance: self.tolerance,
            max_failed: self.max_failed,
            max_slow: self.max_slow,
            min_sessions: self.min_sessions,
            settle_seconds: self.settle.unwrap_or(settle_seconds),
            warm_up_seconds: self.warm_up,
            on_fail: match self.on_fail {
                OnFailArgument::Drain => OnFail::Drain,
                OnFailArgument::Evict => OnFail::Evict,
                OnFailArgument::Pause => OnFail::Pause,
            },
            timeout_seconds: self.timeout,
            has_check: self.check.is_some(),
        }
    }
}

/// Looks at a run, again and again.
struct Runner<'a> {
    site: &'a Site,
    /// The canary.
    to: VersionCode,
    /// Who changes the plan, for the history.
    caller: String,
    /// The name under which this program holds the lease.
    holder: String,
    screen: Screen,
    checks: Option<Checks>,
    notifier: Option<Notifier>,
    started: Instant,
    /// The attempt that `watch` has watched.
    attempt: u64,
    watch: Watch,
    pace: Duration,
    /// Unix seconds.
    deadline_at: u64,
}

impl Runner<'_> {
    /// Begins a run, or takes over the one that goes on.
    ///
    /// Errors: somebody else looks at it, or it cannot begin.
    async fn take_lease(&mut self, arguments: &RunArguments) -> Result<()> {
        let record = self.site.plan_in_force().await?;
        let mut before = match self.read_run().await? {
            Some(run) if run.outcome().is_none() => run,
            // Whoever looked at it was killed before it could say how it ended. The first look says it.
            Some(run) if run.canary() == arguments.to && is_untold(&run) => return self.take(&run).await.map(|_| ()),
            ended => return self.begin(arguments, &record, ended.as_ref()).await,
        };
        if before.canary() != arguments.to {
            bail!(
                "a rollout to version {} goes on: end it with `rollout abort {0}`, or go on with `--to {0}`",
                before.canary()
            );
        }
        if before.options.has_check && arguments.check.is_none() {
            bail!(
                "this rollout began with a --check, which is kept nowhere: give it again; `--check true` goes on \
                 without one"
            );
        }
        if !before.lease.holder.is_empty() {
            before = self.wait_for_silence(before).await?;
        }
        if before.deadline_at <= unix_now() {
            before.deadline_at = unix_now() + arguments.timeout;
        }
        let run = self.take(&before).await?;
        self.screen.note(&format!("goes on with the rollout that {} began", words::plain(&run.started_by)))?;
        let RunOptions { has_check, timeout_seconds, settle_seconds, .. } = run.options;
        let asked = RunOptions { has_check, timeout_seconds, ..arguments.options(settle_seconds) };
        if asked != run.options {
            log::warn!("the rollout goes on with the options that it began with, and not with those of this command");
        }
        Ok(())
    }

    /// Writes the holder of the lease. Errors: somebody else has written the run since.
    async fn take(&mut self, before: &Run) -> Result<Run> {
        let mut run = before.clone();
        run.lease.holder.clone_from(&self.holder);
        run.lease.beat = run.lease.beat.wrapping_add(1);
        self.deadline_at = run.deadline_at;
        self.site.runs.write(Some(before), &mut run).await.context("could not take the rollout over")?;
        Ok(run)
    }

    /// Waits until the holder of the lease has been silent for long enough. Errors: it lives.
    async fn wait_for_silence(&mut self, before: Run) -> Result<Run> {
        let holder = words::plain(&before.lease.holder);
        self.screen
            .note(&format!("{holder} holds this rollout; waiting {LEASE_SILENCE_SECONDS} s for a sign of life"))?;
        let begin = Instant::now();
        loop {
            tokio::time::sleep(PACE).await;
            // An error ends this: while the table is away, the holder cannot give a sign either.
            let run = self.read_run().await?.context("the rollout is gone from the table")?;
            let is_silent = run.lease.beat == before.lease.beat && run.lease.holder == before.lease.holder;
            match (run.lease.holder.as_str(), is_silent) {
                ("", _) => return Ok(run),
                (_, true) if begin.elapsed() < Duration::from_secs(LEASE_SILENCE_SECONDS) => {}
                (_, true) => return Ok(run),
                (holder, false) => bail!("{} looks at this rollout: see `rollout status`", words::plain(holder)),
            }
        }
    }

    async fn begin(&mut self, arguments: &RunArguments, record: &PlanRecord, ended: Option<&Run>) -> Result<()> {
        let plan = &record.plan;
        let pulses = self.pulses(arguments.to, plan.stable()).await?;
        let lifetime = pulses.stable.iter().chain(&pulses.canary).map(|pulse| pulse.lifetime_seconds).max();
        let mut run = Run::new(arguments.options(lifetime.unwrap_or(0)), plan, &self.caller, unix_now())?;
        refuse_without_receipts(&pulses)?;
        if !pulses.canary.iter().any(|pulse| is_alive(pulse, unix_now())) {
            bail!("no instance of version {} is alive: start one first", run.canary());
        }
        // Each step must be possible, whatever other versions get.
        for weight in arguments.steps.iter().filter(|weight| **weight != Weight::ALL) {
            let after = match Change::SetWeights(vec![(run.canary(), *weight)]).apply(plan, 0, unix_now()) {
                Err(Refusal::NothingChanges) => plan.clone(),
                after => after.with_context(|| format!("the step to {weight} % is not possible"))?,
            };
            if let Some(problem) = nothing_to_compare(&after, run.stable) {
                bail!("the step to {weight} % is not possible: {problem}");
            }
        }
        run.lease.holder.clone_from(&self.holder);
        self.deadline_at = run.deadline_at;
        match self.site.runs.write(ended, &mut run).await {
            Err(PlanStoreError::RunConflict) => bail!("somebody else has begun a rollout at the same moment"),
            written => written.context("could not write the rollout")?,
        }
        let steps: Vec<String> = run.options.steps.iter().map(ToString::to_string).collect();
        let settle = run.options.settle_seconds;
        self.screen.note(&format!(
            "from version {} to version {} in steps of {} %; sessions are judged over {}",
            run.stable,
            run.canary(),
            steps.join(", "),
            seconds_in_words(settle)
        ))
    }

    /// Looks until the run is over. Errors: it failed, its time is over, or somebody else has taken it over.
    async fn go_on(&mut self) -> Result<()> {
        let mut is_away = false;
        loop {
            match self.look().await {
                Ok(turn) => {
                    if std::mem::replace(&mut is_away, false) {
                        self.screen.note("the tables answer again")?;
                    }
                    for decision in &turn.decisions {
                        self.tell(decision, &turn.run)?;
                        if let Some(end) = end(decision, &turn.run) {
                            self.release().await;
                            return end;
                        }
                    }
                }
                Err(cause) if cause.is::<LostLease>() => return Err(cause),
                Err(cause) if unix_now() >= self.deadline_at => return Err(TimedOut(format!("{cause:#}")).into()),
                // The tables may be away for a while.
                Err(cause) => {
                    if !std::mem::replace(&mut is_away, true) {
                        self.screen.note(&format!("held: {cause:#}; trying again"))?;
                    }
                }
            }
            tokio::time::sleep(self.pace).await;
        }
    }

    /// Looks once.
    ///
    /// Errors: somebody else has taken the run over, or the tables cannot be used.
    async fn look(&mut self) -> Result<Looked> {
        let Some(before) = self.read_run().await? else {
            return Err(LostLease("the rollout is gone from the table".to_owned()).into());
        };
        if before.lease.holder != self.holder {
            return Err(LostLease(format!("{} has taken it over", words::plain(&before.lease.holder))).into());
        }
        let record = self.site.plan_in_force().await?;
        let pulses = self.pulses(before.canary(), before.stable).await?;
        let mut others = Vec::new();
        for &version in record.plan.versions().keys() {
            if version != before.canary() && version != before.stable {
                others.extend(self.site.pulses.last(version).await.context(PULSES)?.pulses);
            }
        }
        if self.attempt != before.attempt {
            (self.attempt, self.watch) = (before.attempt, Watch::resume(&before.finished));
        }
        self.deadline_at = before.deadline_at;
        let intervals = pulses.canary.iter().chain(&pulses.stable).map(|pulse| pulse.interval_seconds.max(1));
        self.pace = intervals.min().map_or(PACE, |interval| PACE.min(Duration::from_secs(interval)));
        let look = Look {
            record: &record,
            pulses: Pair { canary: &pulses.canary, stable: &pulses.stable },
            others: &others,
            check: self.checks.as_mut().map(|checks| checks.look(&before)),
            now: self.started.elapsed(),
            unix_now: unix_now(),
        };
        let mut run = before.clone();
        let turn = run.look(&mut self.watch, &look);
        run.report = turn.report(&run).or(run.report);
        run.lease.beat = run.lease.beat.wrapping_add(1);
        let Turn { change, mut decisions, .. } = turn;
        let written = match change {
            None => self.site.runs.write(Some(&before), &mut run).await,
            Some((change, why)) => match self.plan_after(&change, &record.plan, &pulses).await? {
                Ok(plan) => {
                    run.note_plan(&plan);
                    let (changed_at, changed_by) = (unix_now(), self.caller.clone());
                    let after = PlanRecord { plan, changed_at, changed_by, why: format!("run: {why}") };
                    self.site.runs.write_with_plan(&before, &mut run, record.plan.revision(), &after).await
                }
                Err(why) => {
                    run = before.clone();
                    run.lease.beat = run.lease.beat.wrapping_add(1);
                    decisions.clear();
                    // The next look tells it.
                    run.pause(format!("the plan cannot be changed: {why}")).ok();
                    self.site.runs.write(Some(&before), &mut run).await
                }
            },
        };
        match written {
            // Somebody acts on the run or changes the plan: the next look sees it.
            Err(PlanStoreError::RunConflict | PlanStoreError::Conflict(_) | PlanStoreError::InHistory(_)) => {
                return Ok(Looked { decisions: Vec::new(), run: before });
            }
            written => written.context("could not write the rollout")?,
        }
        self.screen.progress(&run)?;
        Ok(Looked { decisions, run })
    }

    /// The plan after a change, or why it must not be.
    async fn plan_after(
        &self,
        change: &Change,
        plan: &Plan,
        pulses: &Pair<Vec<Pulse>>,
    ) -> Result<Result<Plan, String>> {
        let highest = highest_revision(&self.site.client, &self.site.rollout_table).await;
        let highest = highest.context("could not read the history")?.unwrap_or(0);
        let after = match change.apply(plan, highest, unix_now()) {
            Ok(after) => after,
            Err(refusal) => return Ok(Err(refusal.to_string())),
        };
        let problem = match change {
            // An emergency must not wait for what instances say of themselves.
            Change::Abort { .. } => None,
            Change::Promote(_) => self.danger(plan, &after, pulses),
            _ => nothing_to_compare(&after, plan.stable()).or_else(|| self.danger(plan, &after, pulses)),
        };
        Ok(problem.map_or(Ok(after), Err))
    }

    fn danger(&self, before: &Plan, after: &Plan, pulses: &Pair<Vec<Pulse>>) -> Option<String> {
        let last = [(before.stable(), pulses.stable.clone()), (self.to, pulses.canary.clone())];
        dangers(before, after, &last.into_iter().collect(), unix_now()).first().map(ToString::to_string)
    }

    fn tell(&mut self, decision: &Decision, run: &Run) -> Result<()> {
        let told = json!({
            "at": unix_now(),
            "site": self.site.name,
            "decision": decision.decision,
            "text": decision.text,
            "canary": run.canary(),
            "stable": run.stable,
            "revision": run.revision,
            "phase": run.phase,
            "report": run.report,
        });
        self.screen.decision(decision, &told)?;
        if let Some(notifier) = &self.notifier {
            notifier.tell(told);
        }
        Ok(())
    }

    /// Gives the lease back, so that nobody has to wait for it.
    async fn release(&self) {
        let Ok(Some(before)) = self.read_run().await else { return };
        if before.lease.holder == self.holder {
            let mut run = before.clone();
            run.lease.holder.clear();
            if let Err(cause) = self.site.runs.write(Some(&before), &mut run).await {
                log::warn!("the lease could not be given back, so the next one waits for it: {cause}");
            }
        }
    }

    async fn read_run(&self) -> Result<Option<Run>> {
        self.site.runs.read().await.with_context(|| format!("could not read the rollout from {}", self.site.name))
    }

    async fn pulses(&self, canary: VersionCode, stable: VersionCode) -> Result<Pair<Vec<Pulse>>> {
        let read = async |version| {
            let stored = self.site.pulses.last(version).await.context(PULSES)?;
            if stored.unreadable > 0 {
                bail!("{} pulses of version {version} cannot be read: update this program", stored.unreadable);
            }
            Ok(stored.pulses)
        };
        Ok(Pair { canary: read(canary).await?, stable: read(stable).await? })
    }
}

/// Whether a run has ended by itself, and its runner has not said so.
fn is_untold(run: &Run) -> bool {
    matches!(run.outcome(), Some(Outcome::Reached | Outcome::Failed)) && !run.lease.holder.is_empty()
}

const PULSES: &str = "could not read what the instances report";

/// What a look has decided, and the run that holds now.
struct Looked {
    decisions: Vec<Decision>,
    run: Run,
}

/// Why a plan shows no difference between the canary and stable.
fn nothing_to_compare(plan: &Plan, stable: VersionCode) -> Option<String> {
    let gets_nothing = plan.versions().get(&stable).is_none_or(|planned| planned.weight == Weight::NONE);
    gets_nothing
        .then(|| format!("version {stable} would get no new sessions, so there would be nothing to compare with"))
}

/// Errors: an instance issues no receipts, so nobody can say on which version a session failed.
fn refuse_without_receipts(pulses: &Pair<Vec<Pulse>>) -> Result<()> {
    let mut alive = pulses.canary.iter().chain(&pulses.stable).filter(|pulse| is_alive(pulse, unix_now()));
    if let Some(pulse) = alive.find(|pulse| !pulse.has_receipts) {
        bail!(
            "instance {} issues no receipts: without keys, an edge may send the second request of a session to another \
             version, so no failure can be counted for one of them. Set STICKSHIFT_KEYS",
            words::plain(&pulse.instance)
        );
    }
    Ok(())
}

/// What the command ends with, if this was the last decision.
fn end(decision: &Decision, run: &Run) -> Option<Result<()>> {
    match decision.decision {
        Decided::Reached => Some(Ok(())),
        Decided::Failed => Some(Err(TakenBack("the version has failed and was taken back").into())),
        Decided::Aborted => Some(Err(TakenBack("somebody has taken the version back").into())),
        Decided::TimedOut if run.has_failed() => {
            Some(Err(TakenBack("the version has failed, and nobody has decided in time").into()))
        }
        Decided::TimedOut => Some(Err(TimedOut("there is no verdict yet".to_owned()).into())),
        _ => None,
    }
}

fn parse_number(text: &str, expected: &str, is_good: impl Fn(f64) -> bool) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && is_good(*number));
    number.ok_or_else(|| format!("`{text}`: expected {expected}"))
}

fn parse_alpha(text: &str) -> Result<f64, String> {
    parse_number(text, "a probability from 0.000001 to 0.5, for example 0.05", |alpha| {
        (0.000_001..=0.5).contains(&alpha)
    })
}

fn parse_tolerance(text: &str) -> Result<f64, String> {
    parse_number(text, "a ratio from 1 to 100, for example 1.5", |ratio| (1.0..=100.0).contains(&ratio))
}

/// Reads `5%` or `5` as 0.05.
fn parse_share(text: &str) -> Result<f64, String> {
    let expected = "a share above 0 % and up to 100 %, for example 5%";
    let percent = parse_number(text.trim_end_matches('%'), expected, |percent| percent > 0.0 && percent <= 100.0)?;
    Ok(percent / 100.0)
}

/// Reads a length of time, or 0.
fn parse_time_or_none(text: &str) -> Result<u64, String> {
    if text.trim_end_matches(['s', 'm', 'h', 'd']) == "0" { Ok(0) } else { parse_time(text) }
}
