//! The pulses of instances, in the table of plans.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::AttributeValue;
use stickshift_contract::{
    MINUTE_LIFETIME_SECONDS, PULSE_LIFETIME_SECONDS, Pulse, ROLLOUT_SCHEMA, TTL_ATTRIBUTE, VersionCode, minute_key,
    minute_partition, pulse_partition,
};

use super::range_key;
use crate::causes::causes;

/// The pulses in their table.
#[derive(Debug, Clone)]
pub struct PulseStore {
    client: Client,
    table: String,
}

/// Pulses as they were read.
#[derive(Debug, Default)]
pub struct StoredPulses {
    /// Those that this release can read.
    pub pulses: Vec<Pulse>,
    /// How many it cannot read: their instances are of another release.
    pub unreadable: u64,
}

/// DynamoDB did not answer, or refused.
#[derive(Debug, thiserror::Error)]
#[error("could not use the table of plans: {}", causes(.0.as_ref()))]
pub struct PulseStoreError(Box<aws_sdk_dynamodb::Error>);

impl PulseStoreError {
    fn new(cause: impl Into<aws_sdk_dynamodb::Error>) -> Self {
        Self(Box::new(cause.into()))
    }
}

impl PulseStore {
    /// The pulses in `table`.
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Writes an instance's pulse over its last one. One that comes late changes nothing. Errors:
    /// [`PulseStoreError`].
    pub async fn write(&self, version: VersionCode, pulse: &Pulse) -> Result<(), PulseStoreError> {
        let expiration = pulse.written_at + PULSE_LIFETIME_SECONDS;
        self.put(pulse_partition(version), pulse.instance.clone(), pulse, expiration).await
    }

    /// Writes an instance's pulse of this minute. Errors: [`PulseStoreError`].
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
            Err(cause) => Err(PulseStoreError::new(cause)),
        }
    }

    /// The last pulse of every instance of a version, for seven days. Errors: [`PulseStoreError`].
    pub async fn last(&self, version: VersionCode) -> Result<StoredPulses, PulseStoreError> {
        self.query("#pk = :pk", &[(":pk", pulse_partition(version))]).await
    }

    /// The pulses of each minute between two times in Unix seconds, the earlier ones first. Errors:
    /// [`PulseStoreError`].
    pub async fn minutes(&self, version: VersionCode, from: u64, to: u64) -> Result<StoredPulses, PulseStoreError> {
        // No instance's name has a `~`.
        let (partition, low, high) = (minute_partition(version), minute_key(from, ""), minute_key(to, "~"));
        self.query("#pk = :pk AND #sk BETWEEN :low AND :high", &[(":pk", partition), (":low", low), (":high", high)])
            .await
    }

    /// `condition` names both keys as `#pk` and `#sk`.
    async fn query(&self, condition: &str, values: &[(&str, String)]) -> Result<StoredPulses, PulseStoreError> {
        let names = [("#pk", ROLLOUT_SCHEMA.hash_key), ("#sk", range_key())];
        let names = names.into_iter().filter(|(name, _)| condition.contains(name));
        let value = |(name, value): &(&str, String)| ((*name).to_owned(), AttributeValue::S(value.clone()));
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression(condition)
            .set_expression_attribute_names(Some(names.map(|(name, key)| (name.to_owned(), key.to_owned())).collect()))
            .set_expression_attribute_values(Some(values.iter().map(value).collect()))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut stored = StoredPulses::default();
        while let Some(item) = pages.next().await {
            let item = item.map_err(PulseStoreError::new)?;
            match serde_dynamo::from_item(item) {
                Ok(pulse) => stored.pulses.push(pulse),
                Err(_) => stored.unreadable += 1,
            }
        }
        Ok(stored)
    }
}
