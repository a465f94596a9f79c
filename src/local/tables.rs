//! The tables, where no Terraform makes them.

use anyhow::Result;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TimeToLiveSpecification,
};
use stickshift_edge::Tables;

/// Makes both tables as `infra/tables.tf` does, unless they are there. Errors: DynamoDB does not answer, or refuses.
pub async fn create_tables(client: &Client, tables: &Tables) -> Result<()> {
    let existing = client.list_tables().send().await?.table_names.unwrap_or_default();
    for (table, key_names) in [(&tables.sessions, &["token"][..]), (&tables.rollout, &["pk", "sk"])] {
        if existing.contains(table) {
            continue;
        }
        let mut call = client.create_table().table_name(table).billing_mode(BillingMode::PayPerRequest);
        for (name, key_type) in key_names.iter().zip([KeyType::Hash, KeyType::Range]) {
            let attribute = AttributeDefinition::builder().attribute_name(*name).attribute_type(ScalarAttributeType::S);
            call = call
                .attribute_definitions(attribute.build()?)
                .key_schema(KeySchemaElement::builder().attribute_name(*name).key_type(key_type).build()?);
        }
        call.send().await?;
        let ttl = TimeToLiveSpecification::builder().attribute_name("expiration").enabled(true).build()?;
        client.update_time_to_live().table_name(table).time_to_live_specification(ttl).send().await?;
    }
    Ok(())
}
