//! The rollout that runs by itself, in the table of plans.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, Put};
use stickshift_contract::{PlanRecord, ROLLOUT_SCHEMA, RUN};
use stickshift_rollout::Run;

use super::plans::{PlanStoreError, plan_key, read_item, write_plan_and};

/// The run in its table.
#[derive(Debug, Clone)]
pub struct RunStore {
    client: Client,
    table: String,
}

impl RunStore {
    /// The run in `table`.
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Reads the last run; `None` if there was none. Errors: [`PlanStoreError`].
    pub async fn read(&self) -> Result<Option<Run>, PlanStoreError> {
        read_item(&self.client, &self.table, RUN).await
    }

    /// Writes a run over the one that was read as `before`. The run gets the sequence number after it.
    ///
    /// Errors: [`PlanStoreError::RunConflict`] if somebody else has written it since.
    pub async fn write(&self, before: Option<&Run>, run: &mut Run) -> Result<(), PlanStoreError> {
        let put = self.put(before, run);
        let call = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(put.item))
            .set_condition_expression(put.condition_expression)
            .set_expression_attribute_names(put.expression_attribute_names)
            .set_expression_attribute_values(put.expression_attribute_values);
        match call.send().await.map_err(aws_sdk_dynamodb::Error::from) {
            Ok(_) => Ok(()),
            // The SDK's own second attempt fails if the first one was written and its answer was lost.
            Err(aws_sdk_dynamodb::Error::ConditionalCheckFailedException(_)) => match self.read().await? {
                Some(stored) if stored == *run => Ok(()),
                _ => Err(PlanStoreError::RunConflict),
            },
            Err(cause) => Err(PlanStoreError::store(cause)),
        }
    }

    /// Writes it together with a plan, or neither. `plan_before`: the revision of the plan in force.
    ///
    /// Errors: [`PlanStoreError::RunConflict`], or that of the plan.
    pub async fn write_with_plan(
        &self,
        before: &Run,
        run: &mut Run,
        plan_before: u64,
        record: &PlanRecord,
    ) -> Result<(), PlanStoreError> {
        let put = self.put(Some(before), run);
        write_plan_and(&self.client, &self.table, plan_before, record, Some(put)).await
    }

    fn put(&self, before: Option<&Run>, run: &mut Run) -> Put {
        run.sequence = before.map_or(0, |before| before.sequence) + 1;
        let item: HashMap<_, _> = serde_dynamo::to_item(&*run).expect("an item can hold every value of a run");
        let [hash_key, range_key] = plan_key(RUN);
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .item(hash_key.0, hash_key.1)
            .item(range_key.0, range_key.1);
        let put = match before {
            None => put
                .condition_expression("attribute_not_exists(#pk)")
                .expression_attribute_names("#pk", ROLLOUT_SCHEMA.hash_key),
            Some(before) => put
                .condition_expression("#sequence = :before")
                .expression_attribute_names("#sequence", "sequence")
                .expression_attribute_values(":before", AttributeValue::N(before.sequence.to_string())),
        };
        put.build().expect("the table and the item are set")
    }
}
