//! A booking in a session's item. Every version reads what the others have written.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::NaiveDate;
use stickshift_contract::VersionCode;

use super::answers::{Answers, Field};
use crate::store::activity::Activity;

/// What a browser may see of the booking in its session's item.
#[derive(Clone, Default)]
pub struct Booking {
    /// [`Activity::counter`].
    pub counter: u64,
    /// Valid on the day on which they were given.
    pub answers: Answers,
    /// The version whose form the last step came from; `None` if nothing is known of the booking.
    pub version: Option<VersionCode>,
    /// Unix seconds of the confirmation.
    pub confirmed_at: Option<u64>,
}

const VERSION: &str = "version";
const CONFIRMED_AT: &str = "confirmed_at";

impl Booking {
    /// Reads the booking. A browser without the mark of the one that began it gets an empty booking.
    pub fn read(activity: &Activity, owner: &str) -> Self {
        let mut booking = Self { counter: activity.counter, ..Self::default() };
        if !activity.is_owned_by(owner) {
            return booking;
        }
        for field in Field::EVERY {
            match activity.entries.get(field.as_str()) {
                // It was in the future then.
                Some(AttributeValue::S(date)) if field == Field::Date => booking.answers.date = date.parse().ok(),
                // What this release cannot read is asked for again.
                Some(AttributeValue::S(text) | AttributeValue::N(text)) => {
                    booking.answers.take(field, text, NaiveDate::MIN).ok();
                }
                _ => {}
            }
        }
        let version = activity.entries.get(VERSION).and_then(|version| version.as_s().ok());
        booking.version = version.and_then(|version| VersionCode::parse(version).ok());
        booking.confirmed_at = activity.entries.get(CONFIRMED_AT).and_then(|seconds| seconds.as_n().ok()?.parse().ok());
        booking
    }

    /// Whether the viewer has come to `version` from another one before the end.
    pub fn is_half_way_on_another(&self, version: VersionCode) -> bool {
        self.confirmed_at.is_none() && self.version.is_some_and(|other| other != version)
    }

    /// Whether a form with that counter and those answers has left the booking so. Then the form was sent twice, or the
    /// answer to its write was lost.
    pub fn is_left_by(&self, counter: u64, answers: &Answers, finishes: bool) -> bool {
        self.counter == counter + 1 && self.answers == *answers && self.confirmed_at.is_some() == finishes
    }

    /// What a step writes. `version`: whose form it comes from.
    pub fn entries(
        version: VersionCode,
        answers: &Answers,
        confirmed_at: Option<u64>,
    ) -> HashMap<&'static str, AttributeValue> {
        let answers = Field::EVERY.into_iter().filter_map(|field| {
            let text = answers.text(field)?;
            let value = if field == Field::Seats { AttributeValue::N(text) } else { AttributeValue::S(text) };
            Some((field.as_str(), value))
        });
        let confirmed_at = confirmed_at.map(|seconds| (CONFIRMED_AT, AttributeValue::N(seconds.to_string())));
        answers.chain([(VERSION, AttributeValue::S(version.to_string()))]).chain(confirmed_at).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::booking::{Flow, Step};

    fn code(text: &str) -> VersionCode {
        VersionCode::parse(text).expect("a code")
    }

    /// An activity as an item of that release holds it.
    fn activity(sample: Value) -> Activity {
        Activity { counter: 1, entries: serde_dynamo::to_item(sample).expect("a map") }
    }

    /// As version 1 has written it since the first release with bookings.
    fn sample_of_three_steps() -> Value {
        json!({
            "owner": "o", "version": "1", "date": "2026-12-24", "seats": 2, "name": "Ada", "email": "ada@example.com"
        })
    }

    /// As version 2 has written it since the first release with bookings.
    fn sample_of_two_steps() -> Value {
        json!({
            "owner": "o", "version": "2", "date": "2026-12-24", "seats": 2, "name": "Ada", "email": "ada@example.com",
            "wishes": "A window", "confirmed_at": 1_795_000_000
        })
    }

    #[test]
    fn each_version_reads_what_the_other_has_written() {
        let read = |sample| Booking::read(&activity(sample), "o");
        let old = read(sample_of_three_steps());
        assert_eq!((old.answers.seats, old.answers.wishes.as_deref()), (Some(2), None));
        assert!(old.is_half_way_on_another(code("2")) && !old.is_half_way_on_another(code("1")));
        // It has not been asked for its wishes.
        assert_eq!(Flow::TwoSteps.step_to_show(None, &old.answers), Step::Details);
        let new = read(sample_of_two_steps());
        assert_eq!((new.answers.wishes.as_deref(), new.confirmed_at), (Some("A window"), Some(1_795_000_000)));
        assert_eq!(new.answers.date.map(|date| date.to_string()).as_deref(), Some("2026-12-24"));
        assert!(!new.is_half_way_on_another(code("1")), "it is over");
        assert_eq!(Flow::ThreeSteps.step_to_show(None, &new.answers), Step::Confirm);
    }

    #[test]
    fn entries_are_read_as_they_were_written() {
        for (version, sample) in [("1", sample_of_three_steps()), ("2", sample_of_two_steps())] {
            let booking = Booking::read(&activity(sample.clone()), "o");
            let mut written: HashMap<String, AttributeValue> = HashMap::new();
            for (name, value) in Booking::entries(code(version), &booking.answers, booking.confirmed_at) {
                written.insert(name.to_owned(), value);
            }
            written.insert("owner".to_owned(), AttributeValue::S("o".to_owned()));
            let written: Value = serde_dynamo::from_item(written).expect("a map");
            assert_eq!(written, sample);
        }
    }

    #[test]
    fn nobody_else_sees_anything_and_nonsense_is_asked_for_again() {
        let theirs = Booking::read(&activity(sample_of_two_steps()), "somebody else");
        assert!(theirs.answers == Answers::default() && theirs.version.is_none() && theirs.confirmed_at.is_none());
        assert_eq!(theirs.counter, 1, "their next step needs the current counter");
        let nonsense = json!({
            "owner": "o", "version": "no version", "date": "never", "seats": 77, "name": ["a"], "email": null,
            "wishes": true
        });
        assert!(Booking::read(&activity(nonsense), "o").answers == Answers::default());
        let far = json!({"owner": "o", "date": "+262142-12-31"});
        assert!(Booking::read(&activity(far), "o").answers.date.is_some(), "nobody adds to it");
    }
}
