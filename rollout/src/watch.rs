//! What a runner has seen of the instances of both versions, by its own clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stickshift_contract::{Draws, PULSE_SILENCE_SECONDS, Pulse};

use crate::report::is_alive;

/// One thing of each of the two versions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair<T> {
    /// Of the version that the rollout shifts new sessions to.
    pub canary: T,
    /// Of the version that they came to before.
    pub stable: T,
}

/// What became of draws under one revision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Draws that arrived.
    pub drawn: u64,
    /// First answers with a 5xx status.
    pub first_failed: u64,
    /// Sessions that were renewed at least once.
    pub renewed: u64,
    /// Sessions that saw a 5xx after their first answer.
    pub failed: u64,
    /// First answers whose time was taken, with those that the viewer gave up.
    pub timed: u64,
    /// Those among them that took longer than the limit.
    pub slow: u64,
}

/// Counts by revision.
pub type ByRevision = BTreeMap<u64, Counts>;

/// The instances that report no more, as the run keeps them: TTL deletes their pulses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// Those that said that they stopped. Their pulses count no more.
    pub ended: BTreeSet<String>,
    /// What these had counted together.
    pub counts: ByRevision,
    /// Those that crashed. One that comes back counts on.
    pub crashed: BTreeMap<String, Crashed>,
}

/// An instance that stopped without saying so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crashed {
    /// The number of its last pulse.
    pub sequence: u64,
    /// What it had counted.
    pub counts: ByRevision,
}

/// What a runner has seen. Times are those since the runner started.
///
/// A pulse has no time but that at which the runner first saw its sequence number: clocks of instances may be wrong.
#[derive(Debug, Default)]
pub struct Watch {
    instances: Pair<BTreeMap<String, Instance>>,
    /// How long pulses have been arriving. It stands still while none does: silence then says nothing.
    uptime: Duration,
    /// When a pulse last arrived.
    last_arrival: Option<Duration>,
    /// When it last looked.
    last_look: Option<Duration>,
    /// What ended before this runner started.
    ended: Pair<(BTreeSet<String>, ByRevision)>,
    /// The lowest revision that no instance has forgotten unseen.
    complete_from: u64,
    /// Misdirected requests that each instance of any version has counted.
    misdirected: BTreeMap<String, u64>,
    /// Those that it counted since the last look.
    new_misdirected: u64,
}

#[derive(Debug, Default)]
struct Instance {
    sequence: u64,
    /// Its pulses, the latest one last: when each was first seen, and what it had counted.
    seen: VecDeque<(Duration, ByRevision)>,
    ended: bool,
    /// Whether an earlier runner saw that it has crashed, and it has not come back.
    is_gone: bool,
    has_receipts: bool,
    /// Whether its sequence has moved under the eyes of this runner. Otherwise its last pulse may be of any age.
    has_moved: bool,
    /// Whether it was alive by the clocks when this runner first saw it.
    looked_alive: bool,
    /// The watch's `uptime` when its sequence last moved.
    uptime: Duration,
}

/// An instance is silent, and a version dead, when its sequence has not moved for so long while others have.
const SILENCE: Duration = Duration::from_secs(PULSE_SILENCE_SECONDS);

/// Pulses arrive when the time between two of them is shorter: half as long again as the longest interval.
const STEADY: Duration = Duration::from_secs(15);

impl<T> Pair<T> {
    pub(crate) fn map<'a, U>(&'a self, mut map: impl FnMut(&'a T) -> U) -> Pair<U> {
        Pair { canary: map(&self.canary), stable: map(&self.stable) }
    }
}

impl Counts {
    pub(crate) fn new(draws: &Draws, slow_above: Option<u8>) -> Self {
        Self {
            drawn: draws.drawn,
            first_failed: draws.first_failed,
            renewed: draws.renewed,
            failed: draws.failed,
            timed: draws.first_answers.count(),
            slow: slow_above.map_or(0, |bucket| draws.first_answers.count_above(bucket)),
        }
    }

    fn combine(&mut self, other: &Self, combine: fn(u64, u64) -> u64) {
        let numbers = [
            (&mut self.drawn, other.drawn),
            (&mut self.first_failed, other.first_failed),
            (&mut self.renewed, other.renewed),
            (&mut self.failed, other.failed),
            (&mut self.timed, other.timed),
            (&mut self.slow, other.slow),
        ];
        for (ours, theirs) in numbers {
            *ours = combine(*ours, theirs);
        }
    }
}

impl Watch {
    /// Goes on where an earlier runner stopped, with the instances that reported no more.
    pub fn resume(finished: &Pair<Finished>) -> Self {
        let instance = |crashed: &Crashed| Instance {
            sequence: crashed.sequence,
            seen: VecDeque::from([(Duration::ZERO, crashed.counts.clone())]),
            is_gone: true,
            ..Instance::default()
        };
        let instances = finished.map(|finished| {
            let crashed = finished.crashed.iter();
            crashed.map(|(name, crashed)| (name.clone(), instance(crashed))).collect::<BTreeMap<_, _>>()
        });
        let ended = finished.map(|finished| (finished.ended.clone(), finished.counts.clone()));
        Self { instances, ended, ..Self::default() }
    }

    /// Takes in the last pulse of every instance, of the two versions and of `others`. `now`: of the runner; `unix_now`:
    /// of everybody, in Unix seconds. `slow_above`: first answers in higher buckets are slow.
    ///
    /// Returns how long it has looked since the last look.
    pub(crate) fn look(
        &mut self,
        pulses: Pair<&[Pulse]>,
        others: &[Pulse],
        slow_above: Option<u8>,
        now: Duration,
        unix_now: u64,
    ) -> Duration {
        let is_first = self.last_look.is_none();
        let pause = now.saturating_sub(self.last_look.replace(now).unwrap_or(now));
        let has_arrived = |instances: &BTreeMap<String, Instance>, pulses: &[Pulse]| {
            let known = |pulse: &Pulse| instances.get(&pulse.instance).map_or(0, |instance| instance.sequence);
            pulses.iter().any(|pulse| known(pulse) < pulse.sequence)
        };
        if has_arrived(&self.instances.canary, pulses.canary) || has_arrived(&self.instances.stable, pulses.stable) {
            let gap = now.saturating_sub(self.last_arrival.unwrap_or(now));
            self.uptime += if gap <= STEADY { gap } else { Duration::ZERO };
            self.last_arrival = Some(now);
        }
        let sides = [
            (&mut self.instances.canary, pulses.canary, &self.ended.canary.0),
            (&mut self.instances.stable, pulses.stable, &self.ended.stable.0),
        ];
        for (instances, pulses, ended) in sides {
            for pulse in pulses.iter().filter(|pulse| !ended.contains(&pulse.instance)) {
                let instance = instances.entry(pulse.instance.clone()).or_insert_with(|| Instance {
                    looked_alive: is_alive(pulse, unix_now),
                    uptime: self.uptime,
                    ..Instance::default()
                });
                if pulse.sequence > instance.sequence {
                    self.complete_from = self.complete_from.max(instance.remembers_from(pulse));
                    instance.add(pulse, slow_above, now);
                    (instance.has_moved, instance.uptime) = (instance.has_moved || !is_first, self.uptime);
                }
            }
        }
        self.new_misdirected = 0;
        for pulse in pulses.canary.iter().chain(pulses.stable).chain(others) {
            // What was counted before this runner started was before, but for instances that are new.
            let before = if is_first { pulse.misdirected } else { 0 };
            let known = self.misdirected.entry(pulse.instance.clone()).or_insert(before);
            self.new_misdirected = self.new_misdirected.saturating_add(pulse.misdirected.saturating_sub(*known));
            *known = pulse.misdirected.max(*known);
        }
        self.prune();
        // Looks that failed were no looks.
        if pause <= STEADY { pause } else { Duration::ZERO }
    }

    /// The lowest revision that no instance has forgotten while nobody looked: of lower ones, nobody knows the last
    /// counts.
    pub(crate) fn complete_from(&self) -> u64 {
        self.complete_from
    }

    /// Forgets pulses that no cut can need any more.
    fn prune(&mut self) {
        let latest = |instances: &BTreeMap<String, Instance>| {
            instances.values().filter(|instance| self.is_living(instance)).filter_map(Instance::last_seen).min()
        };
        let Pair { canary, stable } = self.instances.map(latest);
        let Some(horizon) = canary.into_iter().chain(stable).min() else { return };
        for instance in self.instances.canary.values_mut().chain(self.instances.stable.values_mut()) {
            while instance.seen.get(1).is_some_and(|(seen, _)| *seen < horizon) {
                instance.seen.pop_front();
            }
        }
    }

    /// For how long nothing has arrived from anybody, if that is longer than it should be.
    pub(crate) fn blackout(&self, now: Duration) -> Option<Duration> {
        let silence = now.saturating_sub(self.last_arrival.unwrap_or_default());
        (silence > STEADY).then_some(silence)
    }

    fn is_living(&self, instance: &Instance) -> bool {
        let is_known = instance.has_moved || instance.looked_alive;
        is_known && !instance.ended && !instance.is_gone && self.uptime - instance.uptime < SILENCE
    }

    fn has_crashed(&self, instance: &Instance) -> bool {
        !instance.ended && (instance.is_gone || self.uptime - instance.uptime >= SILENCE)
    }

    /// Whether all of a version's instances have been silent for 30 s while the other version's pulses arrived.
    pub(crate) fn is_dead(&self) -> Pair<bool> {
        self.instances.map(|instances| {
            let last_move = instances.values().map(|instance| instance.uptime).max().unwrap_or_default();
            self.uptime - last_move >= SILENCE
        })
    }

    /// Instances of this rollout whose pulses stopped without one that says so. `revisions`: those of the rollout.
    pub(crate) fn crashes(&self, revisions: impl Fn(u64) -> bool) -> Pair<usize> {
        self.instances.map(|instances| {
            let is_ours = |instance: &&Instance| {
                let counts = instance.last_counts();
                instance.has_moved
                    || instance.is_gone
                    || counts.is_some_and(|counts| counts.keys().any(|revision| revisions(*revision)))
            };
            instances.values().filter(|instance| self.has_crashed(instance)).filter(is_ours).count()
        })
    }

    /// Requests since the last look that the edge meant for another version.
    pub(crate) fn new_misdirected(&self) -> u64 {
        self.new_misdirected
    }

    /// A living instance whose sessions have no receipts.
    pub(crate) fn without_receipts(&self) -> Option<&str> {
        let mut instances = self.instances.canary.iter().chain(&self.instances.stable);
        let found = instances.find(|(_, instance)| self.is_living(instance) && !instance.has_receipts);
        found.map(|(name, _)| name.as_str())
    }

    /// The latest moment up to which all living instances of each version have reported to this runner. `None` without
    /// one, while the age of a pulse is not known, or if it is old: the table was away.
    pub(crate) fn cuts(&self) -> Pair<Option<Duration>> {
        self.instances.map(|instances| {
            let mut living = instances.values().filter(|instance| self.is_living(instance)).peekable();
            living.peek()?;
            let latest = living.map(|instance| instance.last_seen().filter(|_| instance.has_moved));
            let cut = latest.collect::<Option<Vec<_>>>()?.into_iter().min();
            cut.filter(|cut| self.last_look.unwrap_or_default().saturating_sub(*cut) <= SILENCE)
        })
    }

    /// What both versions have counted, each by its pulses that were seen before a moment, or by all. Of two pulses that
    /// were seen at the same look, nobody knows which is older.
    pub(crate) fn counts(&self, before: Pair<Option<Duration>>) -> Pair<ByRevision> {
        let sum = |ended: &ByRevision, instances: &BTreeMap<String, Instance>, before: Option<Duration>| {
            let mut sum = ended.clone();
            for instance in instances.values() {
                let is_older = |seen: Duration| before.is_none_or(|before| seen < before);
                if let Some((_, counts)) = instance.seen.iter().rev().find(|(seen, _)| is_older(*seen)) {
                    add_all(&mut sum, counts);
                }
            }
            sum
        };
        Pair {
            canary: sum(&self.ended.canary.1, &self.instances.canary, before.canary),
            stable: sum(&self.ended.stable.1, &self.instances.stable, before.stable),
        }
    }

    /// The instances that report no more, with what they counted under revisions of the rollout.
    pub(crate) fn finished(&self, revisions: impl Fn(u64) -> bool) -> Pair<Finished> {
        let finished = |ended: &(BTreeSet<String>, ByRevision), instances: &BTreeMap<String, Instance>| {
            let mut finished = Finished { ended: ended.0.clone(), counts: ended.1.clone(), crashed: BTreeMap::new() };
            for (name, instance) in instances {
                let mut counts = instance.last_counts().cloned().unwrap_or_default();
                counts.retain(|revision, _| revisions(*revision));
                if instance.ended && !counts.is_empty() {
                    add_all(&mut finished.counts, &counts);
                    finished.ended.insert(name.clone());
                } else if self.has_crashed(instance) && (instance.has_moved || instance.is_gone || !counts.is_empty()) {
                    finished.crashed.insert(name.clone(), Crashed { sequence: instance.sequence, counts });
                }
            }
            finished.counts.retain(|revision, _| revisions(*revision));
            finished
        };
        Pair {
            canary: finished(&self.ended.canary, &self.instances.canary),
            stable: finished(&self.ended.stable, &self.instances.stable),
        }
    }
}

fn add_all(sum: &mut ByRevision, counts: &ByRevision) {
    for (revision, counts) in counts {
        sum.entry(*revision).or_default().combine(counts, u64::saturating_add);
    }
}

impl Instance {
    fn last_seen(&self) -> Option<Duration> {
        self.seen.back().map(|(seen, _)| *seen)
    }

    fn last_counts(&self) -> Option<&ByRevision> {
        self.seen.back().map(|(_, counts)| counts)
    }

    /// The lowest revision that has not fallen out of the pulses of this instance unseen.
    fn remembers_from(&self, pulse: &Pulse) -> u64 {
        let was_watched = self.sequence > 0 && pulse.sequence <= self.sequence.saturating_add(2);
        let is_full = pulse.revisions.len() >= Pulse::REVISIONS;
        pulse.revisions.keys().next().copied().filter(|_| is_full && !was_watched).unwrap_or(0)
    }

    fn add(&mut self, pulse: &Pulse, slow_above: Option<u8>, now: Duration) {
        // Every number only rises, so the maximum keeps what fell out of the pulse.
        let mut counts = self.last_counts().cloned().unwrap_or_default();
        for (revision, draws) in &pulse.revisions {
            counts.entry(*revision).or_default().combine(&Counts::new(draws, slow_above), u64::max);
        }
        self.seen.push_back((now, counts));
        self.sequence = pulse.sequence;
        (self.ended, self.is_gone, self.has_receipts) = (pulse.ended, false, pulse.has_receipts);
    }
}
