//! The operator: from a plan to the next one.

use std::collections::BTreeMap;

use stickshift_contract::{Domain, Origin, Plan, PlannedVersion, Port, Protocol, State, VersionCode, Weight};

use crate::timeline::{Change, VERSIONS};

/// The code of a version.
pub(crate) fn code(index: usize) -> VersionCode {
    const CODES: [&str; VERSIONS] = ["1", "2", "3"];
    VersionCode::parse(CODES[index]).expect("a digit is a version code")
}

/// The index of a version.
pub(crate) fn index(version: VersionCode) -> usize {
    (0..VERSIONS).find(|&index| code(index) == version).expect("no other version is ever planned")
}

/// The plan at the begin, by the weights of versions 2 and 3. Version 1 has the rest.
pub(crate) fn first_plan(weights: [u16; 2]) -> Plan {
    let planned = |index: usize, state, basis_points| {
        let origin = Origin {
            domain: Domain::parse("v.example.org").expect("a name"),
            port: Port::new(80).expect("a port"),
            protocol: Protocol::Http,
        };
        let weight = Weight::from_basis_points(basis_points).expect("at most 10,000");
        (code(index), PlannedVersion { origin, weight, state, until: None, withdrawn_at: None })
    };
    let versions = [
        planned(0, State::Live, Weight::ALL.basis_points() - weights[0] - weights[1]),
        planned(1, State::Live, weights[0]),
        planned(2, if weights[1] == 0 { State::Staged } else { State::Live }, weights[1]),
    ];
    Plan::new(1, code(0), versions.into()).expect("the weights add up")
}

/// The plan after a change, with this revision; `None` if the change breaks a rule of plans, so that the plan
/// stays. `before` is the plan before the last change.
pub(crate) fn changed(plan: &Plan, before: Option<&Plan>, change: Change, revision: u64, now: u64) -> Option<Plan> {
    let (mut stable, mut versions) = (plan.stable(), plan.versions().clone());
    match change {
        Change::Ramp(basis_points) => {
            let weight = Weight::from_basis_points(basis_points).ok()?;
            set_state(&mut versions, code(1), State::Live)?;
            let others: u16 = live(&versions).filter(|(version, _)| *version != code(1)).count().try_into().ok()?;
            let rest = (Weight::ALL.basis_points() - basis_points).checked_div(others)?;
            for (version, planned) in &mut versions {
                planned.weight = match planned.state {
                    State::Live if *version == code(1) => weight,
                    State::Live => Weight::from_basis_points(rest).ok()?,
                    _ => Weight::NONE,
                };
            }
        }
        Change::Promote(index) => {
            stable = code(index);
            set_state(&mut versions, stable, State::Live)?;
            for (version, planned) in &mut versions {
                planned.weight = if *version == stable { Weight::ALL } else { Weight::NONE };
            }
        }
        Change::Drain(index, seconds) => {
            stable = leave(&mut versions, stable, code(index))?;
            let planned = versions.get_mut(&code(index))?;
            planned.state = State::Draining;
            planned.until = seconds.map(|seconds| now + seconds);
        }
        Change::Withdraw(index) => {
            stable = leave(&mut versions, stable, code(index))?;
            let planned = versions.get_mut(&code(index))?;
            (planned.state, planned.until, planned.withdrawn_at) = (State::Withdrawn, None, Some(now));
        }
        Change::Undo => {
            let before = before?;
            stable = before.stable();
            let current = std::mem::replace(&mut versions, before.versions().clone());
            for (version, planned) in &mut versions {
                let withdrawn_at = current.get(version).and_then(|planned| planned.withdrawn_at);
                planned.withdrawn_at = planned.withdrawn_at.max(withdrawn_at);
            }
        }
        Change::Remove(index) => {
            stable = leave(&mut versions, stable, code(index))?;
            versions.remove(&code(index));
        }
    }
    Plan::new(revision, stable, versions).ok()
}

/// Takes the weight of a version away. The first other version that is live gets it, and it becomes stable
/// if the version was. Returns the stable version.
fn leave(
    versions: &mut BTreeMap<VersionCode, PlannedVersion>,
    stable: VersionCode,
    leaving: VersionCode,
) -> Option<VersionCode> {
    let weight = std::mem::take(&mut versions.get_mut(&leaving)?.weight);
    let (heir, _) = live(versions).find(|(version, _)| *version != leaving)?;
    let heir_weight = &mut versions.get_mut(&heir)?.weight;
    *heir_weight = Weight::from_basis_points(heir_weight.basis_points() + weight.basis_points()).ok()?;
    Some(if stable == leaving { heir } else { stable })
}

fn set_state(versions: &mut BTreeMap<VersionCode, PlannedVersion>, version: VersionCode, state: State) -> Option<()> {
    let planned = versions.get_mut(&version)?;
    (planned.state, planned.until) = (state, None);
    Some(())
}

fn live(versions: &BTreeMap<VersionCode, PlannedVersion>) -> impl Iterator<Item = (VersionCode, Weight)> {
    let is_live = |(_, planned): &(&VersionCode, &PlannedVersion)| planned.state == State::Live;
    versions.iter().filter(is_live).map(|(&version, planned)| (version, planned.weight))
}
