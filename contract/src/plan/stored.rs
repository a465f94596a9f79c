//! The format of a stored plan: its fields before the rules are checked.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Plan, PlannedVersion};
use crate::format;
use crate::version::VersionCode;

/// The format of plans that this release reads and writes; `docs/formats.md` tells how to change it.
pub const PLAN_FORMAT: u64 = 1;

#[derive(Serialize, Deserialize)]
struct StoredPlan {
    /// A plan without a format was written before formats had numbers. It has the fields of format 1.
    #[serde(default = "first_format", deserialize_with = "known_format")]
    format: u64,
    /// The plan in a function's bundle may leave it out: it is older than any plan in a table.
    #[serde(default)]
    revision: u64,
    stable: VersionCode,
    #[serde(deserialize_with = "each_once")]
    versions: BTreeMap<VersionCode, PlannedVersion>,
}

impl<'de> Deserialize<'de> for Plan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let StoredPlan { revision, stable, versions, .. } = StoredPlan::deserialize(deserializer)?;
        Self::new(revision, stable, versions).map_err(D::Error::custom)
    }
}

impl Serialize for Plan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { revision, stable, versions } = self.clone();
        StoredPlan { format: PLAN_FORMAT, revision, stable, versions }.serialize(serializer)
    }
}

fn first_format() -> u64 {
    1
}

fn known_format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    format::known(deserializer, "plan", PLAN_FORMAT)
}

/// Reads the map of versions. A JSON text may name one version twice; serde would silently keep only
/// the last one, so this refuses it.
fn each_once<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<VersionCode, PlannedVersion>, D::Error> {
    struct Versions;

    impl<'de> Visitor<'de> for Versions {
        type Value = BTreeMap<VersionCode, PlannedVersion>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map from version codes to versions")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut versions = BTreeMap::new();
            while let Some((version, planned)) = map.next_entry::<VersionCode, _>()? {
                if versions.insert(version, planned).is_some() {
                    return Err(A::Error::custom(format!("version {version} is in the plan twice")));
                }
            }
            Ok(versions)
        }
    }

    deserializer.deserialize_map(Versions)
}
