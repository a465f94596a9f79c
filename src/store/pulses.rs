//! The pulses of instances, in the table of plans.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::AttributeValue;
use stickshift_contract::{
    MINUTE_LIFETIME_SECONDS, PULSE_LIFETIME_SECONDS, Pulse, ROLLOUT_SCHEMA, TTL_ATTRIBUTE, VersionCode, minute_key,
    minute_partition, pulse_partition,
};

use crate::causes::causes;

/// The pulses in their table.
#[derive(Debug, Clone)]
pub struct PulseStore {
    client: Client,
    table: String,
}

/// What can go wrong with pulses.
#[derive(Debug, thiserror::Error)]
pub enum PulseStoreError {
    /// A stored item is not a pulse that this release can read.
    #[error("a pulse of version {version} cannot be read, so its instance is of another release: {cause}")]
    Unreadable {
        /// The version that the instance serves.
        version: VersionCode,
        /// Why it cannot be read.
        cause: serde_dynamo::Error,
    },
    /// DynamoDB did not answer, or refused.
    #[error("could not use the table of plans: {}", causes(.0.as_ref()))]
    Store(Box<aws_sdk_dynamodb::Error>),
}

impl PulseStoreError {
    fn store(cause: impl Into<aws_sdk_dynamodb::Error>) -> Self {
        Self::Store(Box::new(cause.into()))
    }
}

impl PulseStore {
    /// The pulses in `table`.
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Writes an instance's pulse over its last one. One that comes late changes nothing. Errors:
    /// [`PulseStoreError::Store`].
    pub async fn write(&self, version: VersionCode, pulse: &Pulse) -> Result<(), PulseStoreError> {
        let expiration = pulse.written_at + PULSE_LIFETIME_SECONDS;
        self.put(pulse_partition(version), pulse.instance.clone(), pulse, expiration).await
    }

    /// Writes an instance's pulse of this minute. Errors: [`PulseStoreError::Store`].
    pub async fn write_minute(&self, version: VersionCode, pulse: &Pulse) -> Result<(), PulseStoreError> {
        let expiration = pulse.written_at + MINUTE_LIFETIME_SECONDS;
        self.put(minute_partition(version), minute_key(pulse.written_at, &pulse.instance), pulse, expiration).await
    }

    async fn put(
        &self,
        partition: String,
        sort_key: String,
        pulse: &Pulse,
        expiration: u64,
    ) -> Result<(), PulseStoreError> {
        let item: HashMap<_, _> = serde_dynamo::to_item(pulse).expect("an item can hold every value of a pulse");
        let call = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .item(ROLLOUT_SCHEMA.hash_key, AttributeValue::S(partition))
            .item(range_key(), AttributeValue::S(sort_key))
            .item(TTL_ATTRIBUTE, AttributeValue::N(expiration.to_string()))
            .condition_expression("attribute_not_exists(#sequence) OR #sequence < :sequence")
            .expression_attribute_names("#sequence", "sequence")
            .expression_attribute_values(":sequence", AttributeValue::N(pulse.sequence.to_string()));
        match call.send().await {
            Ok(_) => Ok(()),
            // The SDK's own second attempt, or a later pulse, was faster.
            Err(SdkError::ServiceError(cause)) if cause.err().is_conditional_check_failed_exception() => Ok(()),
            Err(cause) => Err(PulseStoreError::store(cause)),
        }
    }

    /// The last pulse of every instance of a version, for seven days. Errors: [`PulseStoreError`].
    pub async fn last(&self, version: VersionCode) -> Result<Vec<Pulse>, PulseStoreError> {
        self.query(version, pulse_partition(version), "", "~").await
    }

    /// The pulses of each minute between two times in Unix seconds, the earlier ones first. Errors:
    /// [`PulseStoreError`].
    pub async fn minutes(&self, version: VersionCode, from: u64, to: u64) -> Result<Vec<Pulse>, PulseStoreError> {
        self.query(version, minute_partition(version), &minute_key(from, ""), &minute_key(to, "~")).await
    }

    /// `low` and `high`: bounds of the range key. No instance's name has a `~`.
    async fn query(
        &self,
        version: VersionCode,
        partition: String,
        low: &str,
        high: &str,
    ) -> Result<Vec<Pulse>, PulseStoreError> {
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#pk = :pk AND #sk BETWEEN :low AND :high")
            .expression_attribute_names("#pk", ROLLOUT_SCHEMA.hash_key)
            .expression_attribute_names("#sk", range_key())
            .expression_attribute_values(":pk", AttributeValue::S(partition))
            .expression_attribute_values(":low", AttributeValue::S(low.to_owned()))
            .expression_attribute_values(":high", AttributeValue::S(high.to_owned()))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut pulses = Vec::new();
        while let Some(item) = pages.next().await {
            let item = item.map_err(PulseStoreError::store)?;
            pulses.push(serde_dynamo::from_item(item).map_err(|cause| PulseStoreError::Unreadable { version, cause })?);
        }
        Ok(pulses)
    }
}

fn range_key() -> &'static str {
    ROLLOUT_SCHEMA.range_key.expect("the table of plans has a range key")
}
