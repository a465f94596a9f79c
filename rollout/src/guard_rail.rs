//! What a plan must not do without somebody insisting.

use std::collections::BTreeMap;

use stickshift_contract::{PLAN_FORMAT, Plan, Pulse, VersionCode, Weight, format_read};

use crate::report::{edges_in_use, is_alive};

/// Why a plan is dangerous. An operator may insist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Danger {
    /// More new sessions would go to a version that nobody serves.
    #[error("version {0} would get new sessions, and no instance of it is alive")]
    NoInstance(VersionCode),
    /// An edge or an instance cannot read the plan.
    #[error("{who} of version {version} reads plans up to format {reads}, and this one has format {PLAN_FORMAT}")]
    Unreadable {
        /// The instance, or an edge in front of it.
        who: &'static str,
        /// The version.
        version: VersionCode,
        /// The newest format that it reads.
        reads: u64,
    },
}

/// Every danger of the plan `after` where `before` is in force.
///
/// `last`: the last pulse of each instance, by version. `now`: Unix seconds.
pub fn dangers(before: &Plan, after: &Plan, last: &BTreeMap<VersionCode, Vec<Pulse>>, now: u64) -> Vec<Danger> {
    let mut dangers = Vec::new();
    let alive = |version: &VersionCode| last.get(version).into_iter().flatten().filter(|pulse| is_alive(pulse, now));
    for (version, planned) in after.versions() {
        let weight_before = before.versions().get(version).map_or(Weight::NONE, |planned| planned.weight);
        if planned.weight > weight_before && alive(version).next().is_none() {
            dangers.push(Danger::NoInstance(*version));
        }
        for pulse in alive(version) {
            let edges = edges_in_use(pulse).map(|formats| ("an edge in front", formats));
            for (who, formats) in edges.chain([("an instance", pulse.formats.as_str())]) {
                let reads = format_read(formats, "plan").unwrap_or(1);
                let danger = Danger::Unreadable { who, version: *version, reads };
                if reads < PLAN_FORMAT && !dangers.contains(&danger) {
                    dangers.push(danger);
                }
            }
        }
    }
    dangers
}
