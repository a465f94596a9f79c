//! The plan in force and the history of plans, in the table of plans.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::DisplayErrorContext;
use aws_sdk_dynamodb::types::builders::PutBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use stickshift_contract::{PLAN_IN_FORCE, PLAN_PARTITION, Plan, PlanRecord, ROLLOUT_SCHEMA, plan_history_key};

/// What can go wrong with the plan in its table.
#[derive(Debug, thiserror::Error)]
pub enum PlanStoreError {
    /// The plan in force changed between the read and the write.
    #[error("the plan is no longer at revision {0}: somebody has changed it; read it and try again")]
    Conflict(u64),
    /// The stored item is not a plan that this release can read.
    #[error("the plan in the table of plans cannot be used: {0}")]
    Unreadable(#[source] serde_dynamo::Error),
    /// DynamoDB did not answer, or refused.
    #[error("could not reach the table of plans: {}", DisplayErrorContext(.0))]
    Store(#[source] Box<aws_sdk_dynamodb::Error>),
}

impl PlanStoreError {
    fn store(cause: impl Into<aws_sdk_dynamodb::Error>) -> Self {
        Self::Store(Box::new(cause.into()))
    }
}

/// Reads the plan in force in `table`; `None` if there is none. Errors: [`PlanStoreError`].
pub async fn read_plan(client: &Client, table: &str) -> Result<Option<Plan>, PlanStoreError> {
    let [hash_key, range_key] = plan_key(PLAN_IN_FORCE);
    let call = client
        .get_item()
        .table_name(table)
        .key(hash_key.0, hash_key.1)
        .key(range_key.0, range_key.1)
        .consistent_read(true);
    let item = call.send().await.map_err(PlanStoreError::store)?.item;
    item.map(serde_dynamo::from_item).transpose().map_err(PlanStoreError::Unreadable)
}

/// Puts a plan in force in `table` and into the history there, in one transaction. The plan in force must
/// have the revision before.
///
/// Errors: [`PlanStoreError::Conflict`] if it has another one.
pub async fn write_plan(client: &Client, table: &str, record: &PlanRecord) -> Result<(), PlanStoreError> {
    let revision = record.plan.revision();
    let before = revision.saturating_sub(1);
    let put = |sort_key: &str| {
        let item: std::collections::HashMap<_, _> =
            serde_dynamo::to_item(record).expect("an item can hold every value of a plan");
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
    let write = |put: PutBuilder| {
        TransactWriteItem::builder().put(put.build().expect("the table and the item are set")).build()
    };
    let call = client.transact_write_items().transact_items(write(in_force)).transact_items(write(history));
    let mut pause = Duration::from_millis(50);
    for _ in 1..ATTEMPTS {
        match call.clone().send().await.map_err(aws_sdk_dynamodb::Error::from) {
            Err(cause) if is_passing(&cause) => {}
            result => return finish(result.map(|_| ()), before),
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    finish(call.send().await.map(|_| ()).map_err(aws_sdk_dynamodb::Error::from), before)
}

/// How often a write is tried while the table is throttled or another transaction is in progress.
const ATTEMPTS: u32 = 5;

/// The reasons for which DynamoDB cancelled a transaction
/// ([list of codes](https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html)).
fn cancellation_codes(cause: &aws_sdk_dynamodb::Error) -> Vec<&str> {
    match cause {
        aws_sdk_dynamodb::Error::TransactionCanceledException(cause) => cause
            .cancellation_reasons()
            .iter()
            .filter_map(|reason| reason.code())
            .filter(|code| *code != "None")
            .collect(),
        _ => Vec::new(),
    }
}

/// Whether a transaction was cancelled for reasons that pass by themselves.
fn is_passing(cause: &aws_sdk_dynamodb::Error) -> bool {
    const PASSING: [&str; 3] = ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
    let codes = cancellation_codes(cause);
    !codes.is_empty() && codes.iter().all(|code| PASSING.contains(code))
}

fn finish(result: Result<(), aws_sdk_dynamodb::Error>, before: u64) -> Result<(), PlanStoreError> {
    result.map_err(|cause| {
        if cancellation_codes(&cause).contains(&"ConditionalCheckFailed") {
            PlanStoreError::Conflict(before)
        } else {
            PlanStoreError::store(cause)
        }
    })
}

/// The key of a plan: names and values of both attributes.
fn plan_key(sort_key: &str) -> [(&'static str, AttributeValue); 2] {
    let range_key = ROLLOUT_SCHEMA.range_key.expect("the table of plans has a range key");
    [
        (ROLLOUT_SCHEMA.hash_key, AttributeValue::S(PLAN_PARTITION.to_owned())),
        (range_key, AttributeValue::S(sort_key.to_owned())),
    ]
}
