//! The operator: the verbs of `rollout`, and the plan that they begin with.

use stickshift_contract::{Domain, Origin, Plan, PlannedVersion, Port, Protocol, State, VersionCode, Weight};
use stickshift_rollout::{Change as Verb, Leaving};

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

/// The verbs that make a change, one after the other. `before`: the plan of the revision before, if there is one.
///
/// The stable version cannot leave. So another version becomes stable first, as an operator would do it.
pub(crate) fn verbs(change: Change, plan: &Plan, before: Option<&Plan>, now: u64) -> Vec<Verb> {
    let leave = |index, verb| {
        let is_live = |(version, planned): &(&VersionCode, &PlannedVersion)| {
            **version != code(index) && planned.state == State::Live
        };
        let heir = plan.versions().iter().find(is_live).filter(|_| plan.stable() == code(index));
        heir.map(|(heir, _)| Verb::Promote(*heir)).into_iter().chain([verb]).collect()
    };
    match change {
        Change::Ramp(basis_points) => {
            let canary = if plan.stable() == code(1) { code(0) } else { code(1) };
            let rest = Weight::ALL.basis_points() - basis_points;
            let is_other = |version| version != canary && version != plan.stable();
            let others = plan.versions().iter().filter(|(version, _)| is_other(**version));
            let others = others.map(|(version, planned)| (*version, planned.weight.basis_points().min(rest)));
            let weights = others.chain([(canary, basis_points)]);
            let weight = |basis_points| Weight::from_basis_points(basis_points).expect("at most 10,000");
            vec![Verb::SetWeights(weights.map(|(version, share)| (version, weight(share))).collect())]
        }
        Change::Promote(index) => vec![Verb::Promote(code(index))],
        Change::Drain(index, seconds) => {
            leave(index, Verb::Drain { version: code(index), until: seconds.map(|seconds| now + seconds) })
        }
        Change::Withdraw(index) => leave(index, Verb::Abort { version: code(index), leaving: Leaving::Evict }),
        Change::Undo => before.cloned().map(Verb::PutBack).into_iter().collect(),
        Change::Reissue => vec![Verb::Reissue],
        Change::Remove(index) => leave(index, Verb::Remove(code(index))),
    }
}
