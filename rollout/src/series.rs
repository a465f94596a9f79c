//! What the instances of every version counted, minute by minute: from the pulses that they leave once a minute, and
//! from every pulse since.

use std::collections::BTreeMap;

use stickshift_contract::{Draws, MINUTE_LIFETIME_SECONDS, Pulse, VersionCode};

use crate::activity::Activity;
use crate::assessment::failures;
use crate::gate::{Gate, GateReport};
use crate::run::Run;
use crate::watch::{ByRevision, Counts, Pair};

/// The length of a minute, in seconds.
const MINUTE_SECONDS: u64 = 60;

/// The minutes of every version.
#[derive(Debug, Clone, Default)]
pub struct Series {
    versions: BTreeMap<VersionCode, OfVersion>,
}

#[derive(Debug, Clone, Default)]
struct OfVersion {
    /// By their begin, in Unix seconds.
    minutes: BTreeMap<u64, Stretch>,
    /// The last pulse of each instance, and the minute in which the instance was counted last.
    last: BTreeMap<String, (Pulse, u64)>,
}

/// What the instances of one version counted in a stretch of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stretch {
    /// What they counted.
    pub activity: Activity,
    /// How many they were; in a longer stretch, the most in any of its minutes.
    pub instances: u64,
}

/// The evidence of each gate at the end of a stretch, in the order of [`Gate::EVERY`].
pub type Evidence = [f64; Gate::EVERY.len()];

impl Series {
    /// Adds a pulse of an instance, of a minute or the last one. One that is no newer than those before changes
    /// nothing.
    pub fn note(&mut self, version: VersionCode, pulse: &Pulse) {
        self.versions.entry(version).or_default().note(pulse);
    }

    /// Forgets the minutes before a time in Unix seconds, and instances that have written nothing since.
    pub fn forget_before(&mut self, time: u64) {
        for of_version in self.versions.values_mut() {
            of_version.minutes.retain(|minute, _| *minute >= time);
            of_version.last.retain(|_, (pulse, _)| pulse.written_at >= time);
        }
        self.versions.retain(|_, of_version| !of_version.last.is_empty());
    }

    /// The versions that have counted anything.
    pub fn versions(&self) -> impl Iterator<Item = VersionCode> {
        self.versions.keys().copied()
    }

    /// A version's stretches of so many seconds, by their begin.
    pub fn stretches(&self, version: VersionCode, seconds: u64) -> BTreeMap<u64, Stretch> {
        let mut stretches = BTreeMap::<u64, Stretch>::new();
        for (minute, of_minute) in self.versions.get(&version).into_iter().flat_map(|of_version| &of_version.minutes) {
            let stretch = stretches.entry(begin_of(*minute, seconds)).or_default();
            stretch.activity.add(&of_minute.activity);
            stretch.instances = stretch.instances.max(of_minute.instances);
        }
        stretches
    }

    /// The evidence that a run had collected by the end of each stretch. It takes the counts of both versions as they
    /// were written in a minute; the run itself cuts them to the same moment, so its own figures may differ a little.
    pub fn evidence(&self, run: &Run, seconds: u64) -> BTreeMap<u64, Evidence> {
        let end = run.report.as_ref().map_or(u64::MAX, |report| report.at);
        let versions = Pair { canary: run.canary(), stable: run.stable };
        let of_versions = versions.map(|version| self.stretches(*version, seconds));
        let begin = begin_of(run.started_at, seconds);
        let mut begins: Vec<u64> = of_versions.canary.keys().chain(of_versions.stable.keys()).copied().collect();
        begins.retain(|stretch| (begin..=end).contains(stretch));
        begins.sort_unstable();
        begins.dedup();
        let mut draws = Pair::<BTreeMap<u64, Draws>>::default();
        let mut evidence = BTreeMap::new();
        for stretch in begins {
            collect(&mut draws.canary, of_versions.canary.get(&stretch));
            collect(&mut draws.stable, of_versions.stable.get(&stretch));
            let counts: Pair<ByRevision> = draws.map(|draws| {
                draws.iter().map(|(revision, draws)| (*revision, Counts::new(draws, run.slow_above))).collect()
            });
            let of_gate = |gate| failures(run, &counts, gate).evidence(run.options.limits(gate).tolerance);
            evidence.insert(stretch, Gate::EVERY.map(|gate| GateReport::shown(of_gate(gate))));
        }
        evidence
    }
}

impl OfVersion {
    fn note(&mut self, pulse: &Pulse) {
        let start = Pulse { written_at: pulse.started_at, ..Pulse::default() };
        let (before, counted_in) = match self.last.get(&pulse.instance) {
            Some((before, _)) if before.written_at >= pulse.written_at => return,
            // A clock that was set back, or an instance that took the name of another one.
            Some((before, counted_in)) if before.started_at == pulse.started_at => (before, *counted_in),
            _ => (&start, u64::MAX),
        };
        // What an instance did before the first pulse that anybody kept belongs to no minute.
        let is_first = counted_in == u64::MAX;
        let is_young = pulse.written_at.saturating_sub(pulse.started_at) <= 2 * MINUTE_SECONDS;
        let middle = u64::midpoint(before.written_at.min(pulse.written_at), pulse.written_at);
        let minute = begin_of(if is_first && !is_young { pulse.written_at } else { middle }, MINUTE_SECONDS);
        let of_minute = self.minutes.entry(minute).or_default();
        if !is_first || is_young {
            of_minute.activity.add(&Activity::between(before, pulse));
        }
        of_minute.instances += u64::from(counted_in != minute);
        self.last.insert(pulse.instance.clone(), (pulse.clone(), minute));
    }
}

fn collect(draws: &mut BTreeMap<u64, Draws>, stretch: Option<&Stretch>) {
    for (revision, more) in stretch.into_iter().flat_map(|stretch| &stretch.activity.draws) {
        draws.entry(*revision).or_default().add_all(more);
    }
}

/// The begin of the stretch that a time is in.
pub fn begin_of(time: u64, seconds: u64) -> u64 {
    time - time % seconds
}

/// The first minute that instances still have a pulse of, in Unix seconds.
pub fn first_minute(now: u64) -> u64 {
    begin_of(now.saturating_sub(MINUTE_LIFETIME_SECONDS), MINUTE_SECONDS)
}
