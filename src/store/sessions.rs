//! Writing sessions to the table of sessions.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::error::Error;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConsumedCapacity, ReturnConsumedCapacity, ReturnValue, ReturnValuesOnConditionCheckFailure,
};
use futures_util::{StreamExt as _, TryStreamExt as _, future, stream};
use stickshift_contract::{
    Placed, Placement, Receipt, SESSIONS_SCHEMA, SessionItem, TTL_ATTRIBUTE, Token, VersionCode,
};
use stickshift_session::{Change, Claimed, Stored, Write, Written};

use super::activity::{Activity, ActivityStep, attribute};
use crate::causes::causes;

/// The table of sessions.
#[derive(Debug, Clone)]
pub struct SessionStore {
    client: Client,
    table: String,
}

/// DynamoDB gave no answer, or one that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}", causes(.0.as_ref()))]
pub struct SessionStoreError(Box<aws_sdk_dynamodb::Error>);

type Item = HashMap<String, AttributeValue>;

/// A number for each version; `None` for sessions on no version.
pub type Counts = BTreeMap<Option<VersionCode>, u64>;

/// The live sessions in parts of a table, and what reading them cost.
#[derive(Debug)]
pub struct LiveSessions {
    /// The counts of each part that was read.
    pub counts: Vec<Counts>,
    /// How many parts the table has. If all were read, the counts are exact.
    pub parts: u64,
    /// When the last session of each version ends, of those that were read, if its viewer does not come back. In Unix
    /// seconds.
    pub last_ends: Counts,
    /// Items read, live or not.
    pub items_read: u64,
    /// Read units of DynamoDB.
    pub read_units: f64,
}

/// How a write of a session ended, and the step of the activity that went with it.
pub enum SessionWritten {
    /// What the session rules need to know. If a step went with the write, both were done or neither.
    Session(Written),
    /// Both were done, and with them the session has finished its activity for the first time.
    FirstFinish(Written),
    /// The session's own write could be done, but the activity is no longer as the step expects it. This is what the
    /// item holds. Nothing was written.
    Overtaken(Activity),
}

/// What all parts of a count share.
#[derive(Debug, Default)]
struct Seen {
    last_ends: RefCell<Counts>,
    items: Cell<u64>,
    units: Cell<f64>,
}

impl SessionStoreError {
    fn new(cause: impl Into<aws_sdk_dynamodb::Error>) -> Self {
        Self(Box::new(cause.into()))
    }
}

impl SessionStore {
    /// The table with that name.
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Does a write of the session rules, if its guard admits it. A step of the activity goes with a write that leaves
    /// the session on this version.
    ///
    /// Errors: [`SessionStoreError`] if DynamoDB does not answer in time or refuses. The write may have
    /// happened all the same.
    pub async fn write(&self, write: &Write, step: Option<&ActivityStep>) -> Result<SessionWritten, SessionStoreError> {
        match write.change {
            Change::Put => self.put(write).await.map(SessionWritten::Session),
            Change::Extend => self.update(write, None).await,
            Change::Renew | Change::Place => self.update(write, step).await,
        }
    }

    /// Writes a whole item. A put costs both sides less than an update.
    async fn put(&self, write: &Write) -> Result<Written, SessionStoreError> {
        let Write { claimed: Claimed { receipt, .. }, guard, .. } = write;
        let item = write.change.apply(None, receipt, write.expiration);
        let item = serde_dynamo::to_item(item).expect("an item can hold every value of a session");
        let call = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(guard.expression())
            .set_expression_attribute_names(Some(names(guard.expression())))
            .set_expression_attribute_values(values(guard.expression(), write))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match call.send().await {
            Ok(_) => Ok(Written::Done { started: receipt.started, placed: receipt.placed, last_visit: None }),
            Err(cause) => Ok(Written::Refused(refusal(cause)?.0)),
        }
    }

    /// Updates an item. Attributes of the app's own keep their values.
    async fn update(&self, write: &Write, step: Option<&ActivityStep>) -> Result<SessionWritten, SessionStoreError> {
        let Write { claimed: Claimed { receipt, .. }, guard, change, .. } = write;
        let (mut update, mut condition) = (change.update_expression().to_owned(), guard.expression().to_owned());
        let expressions = format!("{update} {condition}");
        let (mut names, mut values) = (names(&expressions), values(&expressions, write).unwrap_or_default());
        if let Some(step) = step {
            update.push_str(&step.update());
            condition = format!("({condition}) AND {}", step.condition());
            names.extend(step.names());
            values.extend(step.values());
        }
        let call = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(SESSIONS_SCHEMA.hash_key, AttributeValue::S(receipt.token.as_str().to_owned()))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values))
            .return_values(ReturnValue::UpdatedOld)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match call.send().await {
            Ok(output) => {
                let before = output.attributes.unwrap_or_default();
                let Receipt { started, placed, .. } = *receipt;
                let placed = match change {
                    Change::Place | Change::Put => placed,
                    // What was there stays.
                    Change::Renew | Change::Extend => Placed {
                        revision: read_number(&before, "revision").unwrap_or(placed.revision),
                        placement: read_placement(&before).unwrap_or(placed.placement),
                    },
                };
                let started = read_number(&before, "started").unwrap_or(started);
                let written = Written::Done { started, placed, last_visit: read_number(&before, "touched") };
                let finishes = step.is_some_and(|step| step.finishes);
                Ok(match finishes && !before.contains_key(attribute::FINISHED) {
                    true => SessionWritten::FirstFinish(written),
                    false => SessionWritten::Session(written),
                })
            }
            Err(cause) => {
                let (stored, activity) = refusal(cause)?;
                let item = match &stored {
                    Stored::Item(item) => Some(item),
                    Stored::Absent | Stored::Unreadable => None,
                };
                let is_overtaken = step.is_some() && guard.admits(item, &write.claimed);
                Ok(match is_overtaken && stored != Stored::Unreadable {
                    true => SessionWritten::Overtaken(activity),
                    false => SessionWritten::Session(Written::Refused(stored)),
                })
            }
        }
    }

    /// Reads what a session's item holds of the activity.
    ///
    /// Errors: [`SessionStoreError`] if DynamoDB does not answer in time or refuses.
    pub async fn read_activity(&self, token: Token) -> Result<Activity, SessionStoreError> {
        let call = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(SESSIONS_SCHEMA.hash_key, AttributeValue::S(token.as_str().to_owned()))
            .projection_expression("#activity, #activity_step")
            .expression_attribute_names("#activity", attribute::ACTIVITY)
            .expression_attribute_names("#activity_step", attribute::COUNTER)
            .consistent_read(true);
        let item = call.send().await.map_err(SessionStoreError::new)?.item;
        Ok(Activity::take_from(&mut item.unwrap_or_default()))
    }

    /// Deletes the activity of a session, live or over, if it is of the browser with that mark. Its counter goes on, so
    /// that no form that is still open brings it back.
    ///
    /// Errors: [`SessionStoreError`] if DynamoDB does not answer in time or refuses.
    pub async fn forget_activity(&self, token: Token, owner: &str) -> Result<(), SessionStoreError> {
        let call = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(SESSIONS_SCHEMA.hash_key, AttributeValue::S(token.as_str().to_owned()))
            .update_expression("SET #activity = :nothing ADD #activity_step :one")
            .condition_expression("#activity.#owner = :owner")
            .expression_attribute_names("#activity", attribute::ACTIVITY)
            .expression_attribute_names("#activity_step", attribute::COUNTER)
            .expression_attribute_names("#owner", attribute::OWNER)
            .expression_attribute_values(":nothing", AttributeValue::M(HashMap::new()))
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
            .expression_attribute_values(":owner", AttributeValue::S(owner.to_owned()));
        match call.send().await {
            Ok(_) => Ok(()),
            // There is nothing of this browser.
            Err(SdkError::ServiceError(cause)) if cause.err().is_conditional_check_failed_exception() => Ok(()),
            Err(cause) => Err(SessionStoreError::new(cause)),
        }
    }

    /// Records the first answer of a session with a 5xx status, if none is recorded yet. Returns whether it
    /// was the first.
    ///
    /// Errors: [`SessionStoreError`] if DynamoDB does not answer in time or refuses.
    pub async fn note_failure(&self, token: Token, now: u64) -> Result<bool, SessionStoreError> {
        let call = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(SESSIONS_SCHEMA.hash_key, AttributeValue::S(token.as_str().to_owned()))
            .update_expression("SET #failed = :now")
            .condition_expression("attribute_exists(#token) AND attribute_not_exists(#failed)")
            .expression_attribute_names("#failed", "failed")
            .expression_attribute_names("#token", SESSIONS_SCHEMA.hash_key)
            .expression_attribute_values(":now", AttributeValue::N(now.to_string()));
        match call.send().await {
            Ok(_) => Ok(true),
            Err(SdkError::ServiceError(cause)) if cause.err().is_conditional_check_failed_exception() => Ok(false),
            Err(cause) => Err(SessionStoreError::new(cause)),
        }
    }

    /// Reads a session's item; `None` if there is none, or none that can be read.
    ///
    /// Errors: [`SessionStoreError`] if DynamoDB does not answer in time or refuses.
    pub async fn read(&self, token: Token) -> Result<Option<SessionItem>, SessionStoreError> {
        let key = AttributeValue::S(token.as_str().to_owned());
        let call =
            self.client.get_item().table_name(&self.table).key(SESSIONS_SCHEMA.hash_key, key).consistent_read(true);
        let item = call.send().await.map_err(SessionStoreError::new)?.item;
        Ok(item.and_then(|item| serde_dynamo::from_item(item).ok()))
    }

    /// Counts the live sessions of each version by a scan. A table with more than `bound` items is not read whole:
    /// some of its parts are, drawn at random, so that the cost does not grow with the table.
    ///
    /// Errors: [`SessionStoreError`] if DynamoDB does not answer in time or refuses.
    pub async fn count_live(&self, now: u64, bound: u64) -> Result<LiveSessions, SessionStoreError> {
        /// How many parts of a whole table are read at once.
        const PARTS: u32 = 4;
        /// How many parts of a large table are read, in all and at once, and about how many items each has.
        const SAMPLE: u32 = 64;
        const AT_ONCE: usize = 8;
        const ITEMS_OF_A_PART: u64 = 500;
        let seen = Seen::default();
        let whole =
            future::try_join_all((0..PARTS).map(|part| self.count_part(part, PARTS, now, bound, &seen))).await?;
        let whole: Option<Vec<_>> = whole.into_iter().collect();
        let (counts, parts) = match whole {
            Some(counts) => (counts, PARTS),
            None => {
                let table = self.client.describe_table().table_name(&self.table).send().await;
                let table = table.map_err(SessionStoreError::new)?.table;
                let items = table.and_then(|table| u64::try_from(table.item_count()?).ok()).unwrap_or(0);
                // DynamoDB takes at most a million.
                let parts = (items.max(bound) / ITEMS_OF_A_PART).clamp(u64::from(SAMPLE) + 1, 1_000_000);
                let parts = u32::try_from(parts).expect("at most a million");
                let drawn = rand::seq::index::sample(&mut rand::rng(), parts as usize, SAMPLE as usize);
                let drawn = drawn.into_iter().filter_map(|part| u32::try_from(part).ok());
                let counts = stream::iter(drawn.map(|part| self.count_part(part, parts, now, u64::MAX, &seen)));
                let counts: Vec<Option<Counts>> = counts.buffer_unordered(AT_ONCE).try_collect().await?;
                (counts.into_iter().flatten().collect(), parts)
            }
        };
        Ok(LiveSessions {
            counts,
            parts: u64::from(parts),
            last_ends: seen.last_ends.take(),
            items_read: seen.items.into_inner(),
            read_units: seen.units.take(),
        })
    }

    /// Counts in one part of the table; `None` if more than `bound` items were read in all.
    async fn count_part(
        &self,
        part: u32,
        parts: u32,
        now: u64,
        bound: u64,
        seen: &Seen,
    ) -> Result<Option<Counts>, SessionStoreError> {
        let mut counts = Counts::new();
        let number = |value: u32| i32::try_from(value).expect("at most a million parts");
        let mut pages = self
            .client
            .scan()
            .table_name(&self.table)
            .consistent_read(true)
            .segment(number(part))
            .total_segments(number(parts))
            .filter_expression("#expiration > :now")
            .projection_expression("#version, #expiration")
            .expression_attribute_names("#expiration", TTL_ATTRIBUTE)
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":now", AttributeValue::N(now.to_string()))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(SessionStoreError::new)?;
            for item in page.items() {
                let version = item.get("version").and_then(|version| VersionCode::parse(version.as_s().ok()?).ok());
                *counts.entry(version).or_default() += 1;
                let end = read_number(item, TTL_ATTRIBUTE).unwrap_or(0);
                let mut last_ends = seen.last_ends.borrow_mut();
                let last_end = last_ends.entry(version).or_default();
                *last_end = end.max(*last_end);
            }
            let read = u64::try_from(page.scanned_count()).unwrap_or(0);
            let units = page.consumed_capacity().and_then(ConsumedCapacity::capacity_units).unwrap_or(0.0);
            seen.units.set(seen.units.get() + units);
            seen.items.set(seen.items.get() + read);
            if seen.items.get() > bound {
                return Ok(None);
            }
        }
        Ok(Some(counts))
    }

    /// Reads the table once, to see whether DynamoDB answers. Errors: [`SessionStoreError`] if it does not.
    pub async fn check(&self) -> Result<(), SessionStoreError> {
        // No session has this token. Only the answer counts.
        let key = AttributeValue::S("0".repeat(Token::LENGTH));
        let call = self.client.get_item().table_name(&self.table).key(SESSIONS_SCHEMA.hash_key, key);
        call.send().await.map(|_| ()).map_err(SessionStoreError::new)
    }
}

/// The names that expressions use. DynamoDB refuses a name that is not used.
fn names(expressions: &str) -> HashMap<String, String> {
    let attributes = Change::ATTRIBUTES.into_iter().chain([SESSIONS_SCHEMA.hash_key]);
    let names = attributes.map(|name| (format!("#{name}"), name.to_owned()));
    names.filter(|(name, _)| expressions.contains(name.as_str())).collect()
}

/// The values that expressions use; `None` without any, because DynamoDB refuses an empty map.
fn values(expressions: &str, write: &Write) -> Option<Item> {
    let Claimed { receipt, order: (claimed_revision, claimed_touched), from } = write.claimed;
    let number = |value: u64| AttributeValue::N(value.to_string());
    let from = from.unwrap_or(receipt.version);
    let values = [
        (":version", AttributeValue::S(receipt.version.to_string())),
        (":from", AttributeValue::S(from.to_string())),
        (":expiration", number(write.expiration)),
        (":touched", number(receipt.touched)),
        (":started", number(receipt.started)),
        (":revision", number(receipt.placed.revision)),
        (":placement", AttributeValue::S(receipt.placed.placement.as_str().to_owned())),
        (":claimed_revision", number(claimed_revision)),
        (":claimed_touched", number(claimed_touched)),
    ];
    let values = values.into_iter().filter(|(name, _)| expressions.contains(name));
    let values: Item = values.map(|(name, value)| (name.to_owned(), value)).collect();
    (!values.is_empty()).then_some(values)
}

/// What a failed write means: the guard refused what is stored, or the table gave no usable answer.
fn refusal<E>(cause: SdkError<E>) -> Result<(Stored, Activity), SessionStoreError>
where
    E: Error + Send + Sync + 'static,
    aws_sdk_dynamodb::Error: From<SdkError<E>>,
{
    match aws_sdk_dynamodb::Error::from(cause) {
        aws_sdk_dynamodb::Error::ConditionalCheckFailedException(refusal) => {
            let Some(mut item) = refusal.item else { return Ok((Stored::Absent, Activity::default())) };
            let activity = Activity::take_from(&mut item);
            Ok((serde_dynamo::from_item(item).map_or(Stored::Unreadable, Stored::Item), activity))
        }
        cause => Err(SessionStoreError::new(cause)),
    }
}

fn read_number(attributes: &Item, name: &str) -> Option<u64> {
    attributes.get(name)?.as_n().ok()?.parse().ok()
}

fn read_placement(attributes: &Item) -> Option<Placement> {
    Placement::parse(attributes.get("placement")?.as_s().ok()?)
}
