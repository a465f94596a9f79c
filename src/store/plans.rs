//! The plan in force and the history of plans, in the table of plans.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::get_item::builders::GetItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use serde::de::DeserializeOwned;
use stickshift_contract::{PLAN_IN_FORCE, PLAN_PARTITION, Plan, PlanRecord, ROLLOUT_SCHEMA, plan_history_key};

use crate::causes::causes;

/// What can go wrong with the plan in its table.
#[derive(Debug, thiserror::Error)]
pub enum PlanStoreError {
    /// The plan in force changed between the read and the write.
    #[error("the plan is no longer at revision {0}: somebody has changed it; read it and try again")]
    Conflict(u64),
    /// The history has a plan with this revision already.
    #[error("revision {0} is in the history of plans already: a change goes on above the highest revision there")]
    InHistory(u64),
    /// Somebody else has written the rollout that runs.
    #[error("somebody else has changed the rollout that runs: read it and try again")]
    RunConflict,
    /// The stored item is not a plan that this release can read.
    #[error("the item {key} in the table of plans cannot be used, so put a good one there: {cause}")]
    Unreadable {
        /// Its range key.
        key: String,
        /// Why.
        cause: serde_dynamo::Error,
    },
    /// DynamoDB did not answer, or refused.
    #[error("could not use the table of plans: {}", causes(.0.as_ref()))]
    Store(Box<aws_sdk_dynamodb::Error>),
}

impl PlanStoreError {
    pub(super) fn store(cause: impl Into<aws_sdk_dynamodb::Error>) -> Self {
        Self::Store(Box::new(cause.into()))
    }
}

/// Reads the plan in force in `table`; `None` if there is none. Errors: [`PlanStoreError`].
pub async fn read_plan(client: &Client, table: &str) -> Result<Option<Plan>, PlanStoreError> {
    read_item(client, table, PLAN_IN_FORCE).await
}

/// The same, with when, who and why.
pub async fn read_plan_in_force(client: &Client, table: &str) -> Result<Option<PlanRecord>, PlanStoreError> {
    read_item(client, table, PLAN_IN_FORCE).await
}

/// Reads a plan of the history; `None` if there is none with this revision. Errors: [`PlanStoreError`].
pub async fn read_revision(client: &Client, table: &str, revision: u64) -> Result<Option<PlanRecord>, PlanStoreError> {
    read_item(client, table, &plan_history_key(revision)).await
}

pub(super) async fn read_item<T: DeserializeOwned>(
    client: &Client,
    table: &str,
    sort_key: &str,
) -> Result<Option<T>, PlanStoreError> {
    let call = get_item(client, table, sort_key).consistent_read(true);
    let item = call.send().await.map_err(PlanStoreError::store)?.item;
    let item = item.map(serde_dynamo::from_item).transpose();
    item.map_err(|cause| PlanStoreError::Unreadable { key: sort_key.to_owned(), cause })
}

/// Reads an item of the partition of plans.
pub(super) fn get_item(client: &Client, table: &str, sort_key: &str) -> GetItemFluentBuilder {
    let [hash_key, range_key] = plan_key(sort_key);
    client.get_item().table_name(table).key(hash_key.0, hash_key.1).key(range_key.0, range_key.1)
}

/// Puts a plan in force in `table` and into the history there, in one transaction. The plan in force must
/// still have the revision `before`, if there is one.
///
/// Errors: [`PlanStoreError::Conflict`] if it has another one.
pub async fn write_plan(client: &Client, table: &str, before: u64, record: &PlanRecord) -> Result<(), PlanStoreError> {
    write_plan_and(client, table, before, record, None).await
}

/// The same, together with another write of the table, or neither.
pub(super) async fn write_plan_and(
    client: &Client,
    table: &str,
    before: u64,
    record: &PlanRecord,
    other: Option<Put>,
) -> Result<(), PlanStoreError> {
    let revision = record.plan.revision();
    let put = |sort_key: &str| {
        let item: HashMap<_, _> = serde_dynamo::to_item(record).expect("an item can hold every value of a plan");
        let [hash_key, range_key] = plan_key(sort_key);
        Put::builder()
            .table_name(table)
            .set_item(Some(item))
            .item(hash_key.0, hash_key.1)
            .item(range_key.0, range_key.1)
            .expression_attribute_names("#pk", ROLLOUT_SCHEMA.hash_key)
    };
    let in_force = put(PLAN_IN_FORCE)
        .condition_expression("attribute_not_exists(#pk) OR #revision = :before")
        .expression_attribute_names("#revision", "revision")
        .expression_attribute_values(":before", AttributeValue::N(before.to_string()));
    let history = put(&plan_history_key(revision)).condition_expression("attribute_not_exists(#pk)");
    let puts = [in_force, history].map(|put| put.build().expect("the table and the item are set"));
    let writes = puts.into_iter().chain(other).map(|put| TransactWriteItem::builder().put(put).build());
    let call = client.transact_write_items().set_transact_items(Some(writes.collect()));
    let mut pause = Duration::from_millis(50);
    for _ in 1..ATTEMPTS {
        match call.clone().send().await.map_err(aws_sdk_dynamodb::Error::from) {
            Err(cause) if is_passing(&cause) => {}
            result => return finish(result.map(|_| ()), before, revision),
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    finish(call.send().await.map(|_| ()).map_err(aws_sdk_dynamodb::Error::from), before, revision)
}

/// How often a write is tried while the table is throttled or another transaction is in progress.
const ATTEMPTS: u32 = 5;

/// The reasons for which DynamoDB cancelled a transaction, one for each of its writes
/// ([list of codes](https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html)).
fn cancellation_codes(cause: &aws_sdk_dynamodb::Error) -> Vec<&str> {
    match cause {
        aws_sdk_dynamodb::Error::TransactionCanceledException(cause) => {
            cause.cancellation_reasons().iter().map(|reason| reason.code().unwrap_or("None")).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether a transaction was cancelled for reasons that pass by themselves.
fn is_passing(cause: &aws_sdk_dynamodb::Error) -> bool {
    const PASSING: [&str; 3] = ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
    let codes = cancellation_codes(cause);
    let mut reasons = codes.iter().filter(|code| **code != "None").peekable();
    reasons.peek().is_some() && reasons.all(|code| PASSING.contains(code))
}

fn finish(result: Result<(), aws_sdk_dynamodb::Error>, before: u64, revision: u64) -> Result<(), PlanStoreError> {
    const FAILED: &str = "ConditionalCheckFailed";
    result.map_err(|cause| match cancellation_codes(&cause).as_slice() {
        [FAILED, ..] => PlanStoreError::Conflict(before),
        [_, FAILED, ..] => PlanStoreError::InHistory(revision),
        [_, _, FAILED] => PlanStoreError::RunConflict,
        _ => PlanStoreError::store(cause),
    })
}

/// The highest revision in the history; `None` if the history is empty. Errors: [`PlanStoreError`].
pub async fn highest_revision(client: &Client, table: &str) -> Result<Option<u64>, PlanStoreError> {
    let newest = query_history(client, table, 1).await?;
    let range_key = super::range_key();
    Ok(newest.first().and_then(|item| item.get(range_key)?.as_s().ok()?.parse().ok()))
}

/// The last plans of the history, the newest first. One that this release cannot read is left out. Errors:
/// [`PlanStoreError`].
pub async fn history(client: &Client, table: &str, count: u16) -> Result<Vec<PlanRecord>, PlanStoreError> {
    let items = query_history(client, table, count).await?;
    Ok(items.into_iter().filter_map(|item| serde_dynamo::from_item(item).ok()).collect())
}

async fn query_history(
    client: &Client,
    table: &str,
    count: u16,
) -> Result<Vec<HashMap<String, AttributeValue>>, PlanStoreError> {
    let [(hash_key, partition), (range_key, end)] = plan_key(&plan_history_key(Plan::MAX_REVISION));
    let call = client
        .query()
        .table_name(table)
        .key_condition_expression("#pk = :pk AND #sk <= :end")
        .expression_attribute_names("#pk", hash_key)
        .expression_attribute_names("#sk", range_key)
        .expression_attribute_values(":pk", partition)
        .expression_attribute_values(":end", end)
        .consistent_read(true)
        .scan_index_forward(false)
        .limit(i32::from(count));
    Ok(call.send().await.map_err(PlanStoreError::store)?.items.unwrap_or_default())
}

/// The key of a plan, or of the run: names and values of both attributes.
pub(super) fn plan_key(sort_key: &str) -> [(&'static str, AttributeValue); 2] {
    let range_key = super::range_key();
    [
        (ROLLOUT_SCHEMA.hash_key, AttributeValue::S(PLAN_PARTITION.to_owned())),
        (range_key, AttributeValue::S(sort_key.to_owned())),
    ]
}
