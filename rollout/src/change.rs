//! The verbs.

use std::collections::BTreeMap;

use stickshift_contract::{Origin, Plan, PlannedVersion, State, VersionCode, Weight};

use crate::refusal::Refusal;

/// What an operator asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A version joins the plan, staged: it gets no new sessions yet.
    Add {
        /// The version.
        version: VersionCode,
        /// Where it is served.
        origin: Origin,
    },
    /// Versions get a share of new sessions, and the stable version gets the rest. A version with a share is
    /// live, whatever it was before.
    SetWeights(Vec<(VersionCode, Weight)>),
    /// All new sessions go to a version, and it becomes stable. The other live versions stay live without new
    /// sessions, so their sessions stay.
    Promote(VersionCode),
    /// A version gets no new sessions. Its sessions stay, or move at `until`, in Unix seconds.
    Drain {
        /// The version.
        version: VersionCode,
        /// The end of the drain.
        until: Option<u64>,
    },
    /// A version gets no new sessions.
    Abort {
        /// The version.
        version: VersionCode,
        /// What becomes of its sessions.
        leaving: Leaving,
    },
    /// A version leaves the plan. Whether sessions are still on it, the caller must know.
    Remove(VersionCode),
    /// An earlier plan comes back, as the next revision.
    PutBack(Plan),
    /// The same plan gets another revision: after the table came back from a backup, because edges ignore the plan in it
    /// as an older one; or to count sessions apart from those before.
    Reissue,
}

/// What becomes of the sessions of a version that is aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// They finish where they are.
    Drain,
    /// They move to a live version with their next request.
    Evict,
}

type Versions = BTreeMap<VersionCode, PlannedVersion>;

impl Change {
    /// The plan after the change, with the revision after `last_revision`: the highest one that is known, at
    /// least the plan's own. `now`: Unix seconds.
    ///
    /// Errors: the [`Refusal`].
    pub fn apply(&self, plan: &Plan, last_revision: u64, now: u64) -> Result<Plan, Refusal> {
        let mut stable = plan.stable();
        let mut versions = plan.versions().clone();
        match self {
            Self::Add { version, origin } => {
                if let Some(planned) = versions.get(version) {
                    return Err(Refusal::Known(*version, planned.state));
                }
                let (origin, weight, state) = (origin.clone(), Weight::NONE, State::Staged);
                versions.insert(*version, PlannedVersion { origin, weight, state, until: None, withdrawn_at: None });
            }
            Self::SetWeights(weights) => set_weights(&mut versions, stable, weights)?,
            Self::Promote(version) => {
                let planned = get(&mut versions, *version)?;
                (planned.state, planned.until) = (State::Live, None);
                for (other, planned) in &mut versions {
                    planned.weight = if other == version { Weight::ALL } else { Weight::NONE };
                }
                stable = *version;
            }
            Self::Drain { version, until } => {
                if until.is_some_and(|until| until <= now) {
                    return Err(Refusal::UntilIsOver);
                }
                let planned = leave(&mut versions, *version, stable)?;
                (planned.state, planned.until) = (State::Draining, *until);
                give_rest_to(&mut versions, stable)?;
            }
            Self::Abort { version, leaving } => {
                let planned = leave(&mut versions, *version, stable)?;
                (planned.state, planned.until) = match leaving {
                    Leaving::Drain => (State::Draining, None),
                    Leaving::Evict => (State::Withdrawn, None),
                };
                if *leaving == Leaving::Evict && plan.versions()[version].state != State::Withdrawn {
                    planned.withdrawn_at = Some(now);
                }
                give_rest_to(&mut versions, stable)?;
            }
            Self::Remove(version) => {
                leave(&mut versions, *version, stable)?;
                versions.remove(version);
                give_rest_to(&mut versions, stable)?;
            }
            Self::Reissue => {}
            Self::PutBack(earlier) => {
                stable = earlier.stable();
                let present = std::mem::replace(&mut versions, earlier.versions().clone());
                for (version, planned) in &mut versions {
                    // Receipts from before the last withdrawal stay doubtful, whichever plan is in force.
                    let known = present.get(version).and_then(|planned| planned.withdrawn_at);
                    planned.withdrawn_at = planned.withdrawn_at.max(known);
                }
            }
        }
        if versions == *plan.versions() && stable == plan.stable() && *self != Self::Reissue {
            return Err(Refusal::NothingChanges);
        }
        let revision = last_revision.max(plan.revision()).saturating_add(1);
        Ok(Plan::new(revision, stable, versions)?)
    }
}

fn get(versions: &mut Versions, version: VersionCode) -> Result<&mut PlannedVersion, Refusal> {
    if !versions.contains_key(&version) {
        return Err(Refusal::Unknown { version, known: versions.keys().copied().collect() });
    }
    Ok(versions.get_mut(&version).expect("it was found a moment ago"))
}

/// A version that may leave, without its weight.
fn leave(versions: &mut Versions, version: VersionCode, stable: VersionCode) -> Result<&mut PlannedVersion, Refusal> {
    let planned = get(versions, version)?;
    if version == stable {
        return Err(Refusal::IsStable(version));
    }
    planned.weight = Weight::NONE;
    Ok(planned)
}

fn set_weights(versions: &mut Versions, stable: VersionCode, weights: &[(VersionCode, Weight)]) -> Result<(), Refusal> {
    for (index, (version, weight)) in weights.iter().enumerate() {
        if weights[..index].iter().any(|(earlier, _)| earlier == version) {
            return Err(Refusal::Twice(*version));
        }
        let planned = get(versions, *version)?;
        planned.weight = *weight;
        if *weight != Weight::NONE {
            (planned.state, planned.until) = (State::Live, None);
        }
    }
    match weights.iter().find(|(version, _)| *version == stable) {
        None => give_rest_to(versions, stable),
        Some((version, weight)) => {
            let sum = sum_of_live(versions, None);
            if sum == u32::from(Weight::ALL.basis_points()) {
                return Ok(());
            }
            Err(Refusal::StableWeight { version: *version, stable: *weight, sum })
        }
    }
}

/// The stable version gets what the others leave.
fn give_rest_to(versions: &mut Versions, stable: VersionCode) -> Result<(), Refusal> {
    let others = sum_of_live(versions, Some(stable));
    let rest = u16::try_from(others).ok().and_then(|others| Weight::ALL.basis_points().checked_sub(others));
    let rest = rest.ok_or(Refusal::TooMuch(others))?;
    get(versions, stable)?.weight = Weight::from_basis_points(rest).expect("a part of all is a weight");
    Ok(())
}

/// The weights of the live versions, in basis points.
fn sum_of_live(versions: &Versions, without: Option<VersionCode>) -> u32 {
    let live = versions.iter().filter(|(version, planned)| planned.state == State::Live && Some(**version) != without);
    live.map(|(_, planned)| u32::from(planned.weight.basis_points())).sum()
}

/// The only version besides the stable one that gets new sessions. Errors: there is none, or several.
pub fn canary(plan: &Plan) -> Result<VersionCode, Refusal> {
    let is_canary = |(version, planned): &(&VersionCode, &PlannedVersion)| {
        **version != plan.stable() && planned.state == State::Live && planned.weight != Weight::NONE
    };
    let canaries: Vec<VersionCode> = plan.versions().iter().filter(is_canary).map(|(version, _)| *version).collect();
    match canaries.as_slice() {
        [] => Err(Refusal::NothingToAbort),
        [canary] => Ok(*canary),
        _ => Err(Refusal::Ambiguous(canaries)),
    }
}
