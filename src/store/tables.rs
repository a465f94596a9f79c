//! Making the tables, where Terraform does not make them.

use std::time::Duration;

use anyhow::Result;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TimeToLiveSpecification,
    TimeToLiveStatus,
};
use stickshift_contract::{ROLLOUT_SCHEMA, SESSIONS_SCHEMA, TTL_ATTRIBUTE, TableNames};

const PATIENCE: Duration = Duration::from_secs(20);

/// Makes both tables as `infra/tables.tf` does, unless they exist. Errors: DynamoDB does not answer, or
/// refuses.
pub async fn create_tables(client: &Client, tables: &TableNames) -> Result<()> {
    // No viewer waits for this, and a DynamoDB that has just started is slow.
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(PATIENCE).operation_timeout(PATIENCE).build();
    let patient = Builder::new().timeout_config(timeouts).retry_config(RetryConfig::disabled());
    for (table, schema) in [(&tables.sessions, SESSIONS_SCHEMA), (&tables.rollout, ROLLOUT_SCHEMA)] {
        let mut call = client.create_table().table_name(table).billing_mode(BillingMode::PayPerRequest);
        let keys = [(Some(schema.hash_key), KeyType::Hash), (schema.range_key, KeyType::Range)];
        for (name, key_type) in keys.into_iter().filter_map(|(name, key_type)| Some((name?, key_type))) {
            let attribute = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
            call = call
                .attribute_definitions(attribute.build()?)
                .key_schema(KeySchemaElement::builder().attribute_name(name).key_type(key_type).build()?);
        }
        match call.customize().config_override(patient.clone()).send().await {
            Ok(_) => {}
            Err(cause) if cause.as_service_error().is_some_and(CreateTableError::is_resource_in_use_exception) => {
                // A program that made the table may have stopped before it switched TTL on.
                let call = client.describe_time_to_live().table_name(table);
                let described = call.customize().config_override(patient.clone()).send().await?;
                let status = described.time_to_live_description.and_then(|description| description.time_to_live_status);
                if matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)) {
                    continue;
                }
            }
            Err(cause) => return Err(cause.into()),
        }
        let ttl = TimeToLiveSpecification::builder().attribute_name(TTL_ATTRIBUTE).enabled(true).build()?;
        let call = client.update_time_to_live().table_name(table).time_to_live_specification(ttl);
        call.customize().config_override(patient.clone()).send().await?;
    }
    Ok(())
}
