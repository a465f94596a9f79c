//! What a session's item holds of the app's activity, and how a step of it is written.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use stickshift_contract::Token;

/// The attributes of an item that belong to the activity.
pub(super) mod attribute {
    /// A map: what is known of the activity. It is there whenever [`COUNTER`] is.
    pub(crate) const ACTIVITY: &str = "activity";
    /// The counter: how often the activity was written or deleted. It never goes back, so no form fits twice.
    pub(crate) const COUNTER: &str = "activity_step";
    /// Unix seconds at which the session first finished its activity.
    pub(crate) const FINISHED: &str = "finished";
    /// Within the map: the mark of the browser that may see it.
    pub(crate) const OWNER: &str = "owner";
}

/// The activity as an item holds it. It has no `Debug`, because it is what a person typed.
#[derive(Clone, Default)]
pub struct Activity {
    /// How often it was written or deleted; 0 for never.
    pub counter: u64,
    /// What is known. Entries may be of another version.
    pub entries: HashMap<String, AttributeValue>,
}

/// One step of the activity. It is written together with the renewal of the session, if the activity is still as the
/// form of the step has shown it.
#[derive(Clone)]
pub struct ActivityStep {
    /// The session that the form was rendered in. The step goes to no other one.
    pub session: Token,
    /// [`Activity::counter`] as the form was rendered with it; 0 if the activity was not there.
    pub counter: u64,
    /// The counter after the step.
    pub next_counter: u64,
    /// The mark of the browser that the step comes from.
    pub owner: String,
    /// Whether these entries replace all others. If not, other entries keep their values, and the browser must be the
    /// one of the steps before.
    pub replaces: bool,
    /// The entries to write.
    pub entries: HashMap<&'static str, AttributeValue>,
    /// Whether the activity is finished with this step.
    pub finishes: bool,
}

impl Activity {
    /// Takes the activity out of an item.
    pub(super) fn take_from(item: &mut HashMap<String, AttributeValue>) -> Self {
        let counter = item.remove(attribute::COUNTER).and_then(|counter| counter.as_n().ok()?.parse().ok());
        let entries = match item.remove(attribute::ACTIVITY) {
            Some(AttributeValue::M(entries)) => entries,
            _ => HashMap::new(),
        };
        Self { counter: counter.unwrap_or(0), entries }
    }

    /// Whether the browser with that mark may see the entries.
    pub fn is_owned_by(&self, owner: &str) -> bool {
        matches!(self.entries.get(attribute::OWNER), Some(AttributeValue::S(stored)) if stored == owner)
    }
}

impl ActivityStep {
    /// What the step adds to an update expression that begins with `SET`.
    pub(super) fn update(&self) -> String {
        let entries = if self.replaces {
            "#activity = :activity".to_owned()
        } else {
            let names = self.entries.keys();
            names.map(|name| format!("#activity.#activity_{name} = :activity_{name}")).collect::<Vec<_>>().join(", ")
        };
        let finished = if self.finishes { ", #finished = if_not_exists(#finished, :touched)" } else { "" };
        format!(", #activity_step = :activity_next, {entries}{finished}")
    }

    /// The condition of the step.
    pub(super) fn condition(&self) -> &'static str {
        match (self.replaces, self.counter) {
            (true, 0) => "(attribute_not_exists(#activity_step) OR #activity_step = :activity_step)",
            (true, _) => "#activity_step = :activity_step",
            (false, _) => "(#activity_step = :activity_step AND #activity.#activity_owner = :activity_owner)",
        }
    }

    /// The names that both use.
    pub(super) fn names(&self) -> HashMap<String, String> {
        let entries = self.entries.keys().filter(|_| !self.replaces);
        let mut names: HashMap<_, _> = entries.map(|name| (format!("#activity_{name}"), (*name).to_owned())).collect();
        names.insert("#activity".to_owned(), attribute::ACTIVITY.to_owned());
        names.insert("#activity_step".to_owned(), attribute::COUNTER.to_owned());
        if !self.replaces {
            names.insert("#activity_owner".to_owned(), attribute::OWNER.to_owned());
        }
        if self.finishes {
            names.insert("#finished".to_owned(), attribute::FINISHED.to_owned());
        }
        names
    }

    /// The values that both use.
    pub(super) fn values(&self) -> HashMap<String, AttributeValue> {
        let number = |value: u64| AttributeValue::N(value.to_string());
        let owner = AttributeValue::S(self.owner.clone());
        let mut values = HashMap::from([
            (":activity_step".to_owned(), number(self.counter)),
            (":activity_next".to_owned(), number(self.next_counter)),
        ]);
        if self.replaces {
            let entries = self.entries.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
            let entries = entries.chain([(attribute::OWNER.to_owned(), owner)]).collect();
            values.insert(":activity".to_owned(), AttributeValue::M(entries));
        } else {
            let entries = self.entries.iter().map(|(name, value)| (format!(":activity_{name}"), value.clone()));
            values.extend(entries);
            values.insert(":activity_owner".to_owned(), owner);
        }
        values
    }
}
