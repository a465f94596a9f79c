//! The live sessions that dashboards counted, one item a minute, in the table of plans. Nothing else tells how many
//! there were: the table of sessions has those that are live now, and pulses have what instances did.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use stickshift_contract::{
    LIVE_PARTITION, MINUTE_LIFETIME_SECONDS, ROLLOUT_SCHEMA, TTL_ATTRIBUTE, VersionCode, minute_key,
};

use super::range_key;

/// Live sessions at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveSample {
    /// Unix seconds.
    pub at: u64,
    /// By version, counted or estimated.
    pub sessions: BTreeMap<VersionCode, u64>,
}

/// Writes the sample of a minute over the one that another dashboard has written. Errors: the table cannot be used, or
/// whoever runs the dashboard may only read it.
pub async fn write_live(client: &Client, table: &str, sample: &LiveSample) -> Result<(), Box<aws_sdk_dynamodb::Error>> {
    let item: HashMap<_, _> = serde_dynamo::to_item(sample).expect("an item can hold every value of a sample");
    let call = client
        .put_item()
        .table_name(table)
        .set_item(Some(item))
        .item(ROLLOUT_SCHEMA.hash_key, AttributeValue::S(LIVE_PARTITION.to_owned()))
        .item(range_key(), AttributeValue::S(minute_key(sample.at, "")))
        .item(TTL_ATTRIBUTE, AttributeValue::N((sample.at + MINUTE_LIFETIME_SECONDS).to_string()));
    call.send().await.map(|_| ()).map_err(|cause| Box::new(cause.into()))
}

/// Reads the samples since a time in Unix seconds, the earliest first. Errors: the table cannot be used.
pub async fn read_live(
    client: &Client,
    table: &str,
    from: u64,
) -> Result<Vec<LiveSample>, Box<aws_sdk_dynamodb::Error>> {
    let mut pages = client
        .query()
        .table_name(table)
        .key_condition_expression("#pk = :pk AND #sk >= :from")
        .expression_attribute_names("#pk", ROLLOUT_SCHEMA.hash_key)
        .expression_attribute_names("#sk", range_key())
        .expression_attribute_values(":pk", AttributeValue::S(LIVE_PARTITION.to_owned()))
        .expression_attribute_values(":from", AttributeValue::S(minute_key(from, "")))
        .into_paginator()
        .items()
        .send();
    let mut samples = Vec::new();
    while let Some(item) = pages.next().await {
        let item = item.map_err(|cause| Box::new(cause.into()))?;
        // One that another release wrote is left out.
        samples.extend(serde_dynamo::from_item::<_, LiveSample>(item).ok());
    }
    Ok(samples)
}
