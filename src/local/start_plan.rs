//! The plan that `up` and `edge` put in force when they start.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use aws_sdk_dynamodb::Client;
use stickshift_contract::{Origin, Plan, PlanRecord, PlannedVersion, State, VersionCode, Weight};

use crate::clock::unix_now;
use crate::store::plans::{highest_revision, read_plan, write_plan};

/// What the command line asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct StartPlan<'a> {
    /// Where each version is served, the stable version first.
    pub(super) origins: &'a [(VersionCode, Origin)],
    /// The weights. A version without one keeps its weight or gets a default.
    pub(super) weights: &'a [(VersionCode, Weight)],
    /// The command, for the history.
    pub(super) changed_by: &'static str,
}

/// Puts the plan in force in `table`, unless it is in force already. Returns it.
///
/// Errors: the weights make no plan, or the table cannot be used.
pub(super) async fn put_in_force(client: &Client, table: &str, wanted: &StartPlan<'_>) -> Result<Plan> {
    let in_force = read_plan(client, table).await?;
    // A plan goes on above the history, although no plan is in force.
    let last_revision = match &in_force {
        Some(plan) => plan.revision(),
        None => highest_revision(client, table).await?.unwrap_or(0),
    };
    let plan = plan(wanted.origins, wanted.weights, in_force.as_ref(), last_revision)?;
    if in_force.as_ref() != Some(&plan) {
        let record = PlanRecord {
            plan: plan.clone(),
            changed_at: unix_now(),
            changed_by: wanted.changed_by.to_owned(),
            why: "started on one machine".to_owned(),
        };
        write_plan(client, table, in_force.as_ref().map_or(0, Plan::revision), &record).await?;
    }
    Ok(plan)
}

/// Makes the plan for `origins`, the stable version first.
///
/// What an operator has set survives a restart: a version of the plan in force keeps its state and its
/// weight. A version that the plan in force does not have comes staged, unless a weight is asked for it. In
/// a first plan every version but the first one gets 10 percent of new sessions. The stable version gets
/// the rest.
///
/// Errors: a weight names an unknown version, or the weights break a rule of the plan.
fn plan(
    origins: &[(VersionCode, Origin)],
    weights: &[(VersionCode, Weight)],
    in_force: Option<&Plan>,
    last_revision: u64,
) -> Result<Plan> {
    let codes = || origins.iter().map(|(code, _)| *code);
    for (code, _) in weights {
        if !codes().any(|known| known == *code) {
            let known = codes().map(|code| code.to_string()).collect::<Vec<_>>().join(", ");
            bail!("--weight names version {code}, but there are versions {known}");
        }
    }
    let Some(&(first, _)) = origins.first() else { bail!("there is no version to serve") };
    // The stable version's theme file may be gone.
    let stable = in_force.map(Plan::stable).filter(|stable| codes().any(|code| code == *stable)).unwrap_or(first);
    let asked = |code| weights.iter().rev().find(|(asked, _)| *asked == code).map(|(_, weight)| *weight);
    let mut versions = BTreeMap::new();
    for (code, origin) in origins {
        let known = in_force.and_then(|plan| plan.versions().get(code));
        let mut planned = known.cloned().unwrap_or_else(|| new_version(origin, in_force.is_none()));
        planned.origin = origin.clone();
        if let Some(weight) = asked(*code) {
            planned.weight = weight;
            match planned.state {
                State::Staged if weight != Weight::NONE => planned.state = State::Live,
                State::Staged | State::Live => {}
                State::Draining | State::Withdrawn => {
                    bail!("--weight names version {code}, which is {} and gets no new sessions", planned.state)
                }
            }
        }
        if *code == stable {
            planned.state = State::Live;
            planned.until = None;
        }
        versions.insert(*code, planned);
    }
    if asked(stable).is_none() {
        let others: u32 = versions
            .iter()
            .filter(|(code, planned)| **code != stable && planned.state == State::Live)
            .map(|(_, planned)| u32::from(planned.weight.basis_points()))
            .sum();
        let rest = u16::try_from(others).ok().and_then(|others| Weight::ALL.basis_points().checked_sub(others));
        let rest = rest.context("the weights add up to more than 100 percent: lower them with --weight")?;
        let planned = versions.get_mut(&stable).context("the stable version has no origin")?;
        planned.weight = Weight::from_basis_points(rest).expect("a part of all is a weight");
    }
    match in_force {
        Some(in_force) if *in_force.versions() == versions && in_force.stable() == stable => Ok(in_force.clone()),
        _ => Plan::new(last_revision.saturating_add(1), stable, versions).context("the weights make no plan"),
    }
}

/// A version that no plan has yet.
fn new_version(origin: &Origin, is_first_plan: bool) -> PlannedVersion {
    let (state, basis_points) = if is_first_plan { (State::Live, 1000) } else { (State::Staged, 0) };
    let weight = Weight::from_basis_points(basis_points).expect("at most 10 percent");
    PlannedVersion { origin: origin.clone(), weight, state, until: None, withdrawn_at: None }
}

#[cfg(test)]
mod tests {
    use stickshift_contract::{Domain, Port, Protocol};

    use super::*;

    fn plan(
        origins: &[(VersionCode, Origin)],
        weights: &[(VersionCode, Weight)],
        in_force: Option<&Plan>,
    ) -> Result<Plan> {
        super::plan(origins, weights, in_force, in_force.map_or(0, Plan::revision))
    }

    fn code(text: &str) -> VersionCode {
        VersionCode::parse(text).expect("a code")
    }

    fn percent(text: &str) -> Weight {
        Weight::parse_percent(text).expect("a weight")
    }

    fn origins(codes: &[&str]) -> Vec<(VersionCode, Origin)> {
        let (domain, port) = (Domain::parse("localhost").expect("a name"), Port::new(8081).expect("a port"));
        let origin = Origin { domain, port, protocol: Protocol::Http };
        codes.iter().map(|text| (code(text), origin.clone())).collect()
    }

    fn weights(plan: &Plan) -> Vec<String> {
        plan.versions().values().map(|planned| planned.weight.to_string()).collect()
    }

    #[test]
    fn the_first_version_gets_what_the_others_leave() {
        assert_eq!(weights(&plan(&origins(&["1"]), &[], None).expect("one")), ["100.00"]);
        assert_eq!(weights(&plan(&origins(&["1", "2"]), &[], None).expect("two")), ["90.00", "10.00"]);
        assert_eq!(weights(&plan(&origins(&["1", "2", "3"]), &[], None).expect("three")), ["80.00", "10.00", "10.00"]);
        let asked = [(code("2"), percent("0.25"))];
        assert_eq!(weights(&plan(&origins(&["1", "2"]), &asked, None).expect("asked")), ["99.75", "0.25"]);
    }

    #[test]
    fn a_restart_keeps_the_plan_in_force_unless_a_weight_is_asked_for() {
        let first = plan(&origins(&["1", "2"]), &[(code("2"), percent("40"))], None).expect("first");
        let again = plan(&origins(&["1", "2"]), &[], Some(&first)).expect("again");
        assert_eq!(again, first);
        let changed = plan(&origins(&["1", "2"]), &[(code("2"), percent("5"))], Some(&first)).expect("changed");
        assert_eq!((weights(&changed), changed.revision()), (vec!["95.00".to_owned(), "5.00".to_owned()], 2));
        let removed = plan(&origins(&["1"]), &[], Some(&changed)).expect("a theme file less");
        assert_eq!(weights(&removed), ["100.00"]);
    }

    #[test]
    fn a_new_theme_file_comes_staged_and_changes_no_other_version() {
        let first = plan(&origins(&["1", "2"]), &[(code("2"), percent("40"))], None).expect("first");
        let mut versions = first.versions().clone();
        let two = versions.get_mut(&code("2")).expect("version 2");
        (two.state, two.withdrawn_at) = (State::Withdrawn, Some(5));
        versions.get_mut(&code("1")).expect("version 1").weight = Weight::ALL;
        let withdrawn = Plan::new(2, code("1"), versions).expect("a plan");
        let third = plan(&origins(&["1", "2", "3"]), &[], Some(&withdrawn)).expect("a third theme file");
        let state = |version: &str| third.versions()[&code(version)].state;
        assert_eq!([state("1"), state("2"), state("3")], [State::Live, State::Withdrawn, State::Staged]);
        assert_eq!(third.versions()[&code("2")], withdrawn.versions()[&code("2")]);
        assert_eq!((weights(&third), third.revision()), (vec!["100.00".into(), "40.00".into(), "0.00".into()], 3));
        let refused =
            plan(&origins(&["1", "2", "3"]), &[(code("2"), percent("5"))], Some(&third)).expect_err("withdrawn");
        assert_eq!(refused.to_string(), "--weight names version 2, which is withdrawn and gets no new sessions");
        let after_a_loss = super::plan(&origins(&["1"]), &[], None, 7).expect("the plan in force was lost");
        assert_eq!(after_a_loss.revision(), 8, "above the history");
        let asked = [(code("3"), percent("5"))];
        let asked = plan(&origins(&["1", "2", "3"]), &asked, Some(&third)).expect("a weight for it");
        assert_eq!((asked.versions()[&code("3")].state, weights(&asked)[0].as_str()), (State::Live, "95.00"));
    }

    #[test]
    fn weights_that_make_no_plan_are_refused_with_the_rule() {
        let refused = |codes: &[&str], asked: &[(&str, &str)]| {
            let asked: Vec<_> = asked.iter().map(|(version, weight)| (code(version), percent(weight))).collect();
            format!("{:#}", plan(&origins(codes), &asked, None).expect_err("must be refused"))
        };
        assert_eq!(refused(&["1", "2"], &[("7", "10")]), "--weight names version 7, but there are versions 1, 2");
        assert!(refused(&["1", "2"], &[("1", "50"), ("2", "20")]).contains("add up to 70.00 percent"));
        assert!(refused(&["1", "2", "3"], &[("2", "60"), ("3", "60")]).contains("more than 100 percent"));
    }
}
