//! The plan in force and the earlier ones, in the rollout table.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::DisplayErrorContext;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use serde::{Deserialize, Serialize};
use stickshift_contract::{PLAN_IN_FORCE, PLAN_PARTITION, Plan};

/// A plan with who made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRecord {
    /// The plan.
    #[serde(flatten)]
    pub plan: Plan,
    /// When it came into force, in Unix seconds.
    pub changed_at: u64,
    /// Who put it in force.
    pub changed_by: String,
    /// Why.
    pub why: String,
}

/// What can go wrong with the plan in its table.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// Somebody else changed the plan in between.
    #[error("the plan is no longer at revision {0}: somebody changed it; read it and try again")]
    Conflict(u64),
    /// What is stored is no plan.
    #[error("the plan in the rollout table cannot be used: {0}")]
    Unreadable(#[source] serde_dynamo::Error),
    /// DynamoDB did not answer, or refused.
    #[error("could not reach the rollout table: {}", DisplayErrorContext(.0))]
    Store(#[source] Box<aws_sdk_dynamodb::Error>),
}

impl RolloutError {
    fn store(cause: impl Into<aws_sdk_dynamodb::Error>) -> Self {
        Self::Store(Box::new(cause.into()))
    }
}

/// Reads the plan in force in `table`; `None` if there never was one. Errors: [`RolloutError`].
pub async fn read_plan(client: &Client, table: &str) -> Result<Option<Plan>, RolloutError> {
    let call = client
        .get_item()
        .table_name(table)
        .key("pk", AttributeValue::S(PLAN_PARTITION.to_owned()))
        .key("sk", AttributeValue::S(PLAN_IN_FORCE.to_owned()))
        .consistent_read(true);
    let item = call.send().await.map_err(RolloutError::store)?.item;
    item.map(serde_dynamo::from_item).transpose().map_err(RolloutError::Unreadable)
}

/// Puts a plan in force in `table` and into the history there, both or neither, if the one in force still is the revision before.
///
/// Errors: [`RolloutError::Conflict`] if it is not.
pub async fn write_plan(client: &Client, table: &str, record: &PlanRecord) -> Result<(), RolloutError> {
    let revision = record.plan.revision();
    let before = revision.saturating_sub(1);
    let put = |sort_key: String| {
        let item: std::collections::HashMap<_, _> =
            serde_dynamo::to_item(record).expect("a plan has nothing that an item cannot hold");
        Put::builder()
            .table_name(table)
            .set_item(Some(item))
            .item("pk", AttributeValue::S(PLAN_PARTITION.to_owned()))
            .item("sk", AttributeValue::S(sort_key))
    };
    let in_force = put(PLAN_IN_FORCE.to_owned())
        .condition_expression("attribute_not_exists(pk) OR #revision = :before")
        .expression_attribute_names("#revision", "revision")
        .expression_attribute_values(":before", AttributeValue::N(before.to_string()));
    // Padded, so that a query lists the revisions in their order.
    let history = put(format!("{revision:010}")).condition_expression("attribute_not_exists(pk)");
    let write = |put: aws_sdk_dynamodb::types::builders::PutBuilder| {
        TransactWriteItem::builder().put(put.build().expect("table and item are set")).build()
    };
    let call = client.transact_write_items().transact_items(write(in_force)).transact_items(write(history));
    match call.send().await {
        Ok(_) => Ok(()),
        Err(cause) => match aws_sdk_dynamodb::Error::from(cause) {
            aws_sdk_dynamodb::Error::TransactionCanceledException(_) => Err(RolloutError::Conflict(before)),
            cause => Err(RolloutError::store(cause)),
        },
    }
}
