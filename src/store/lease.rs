//! The lease of a rollout that runs by itself, as an instance reads it.

use anyhow::{Context as _, Result};
use aws_sdk_dynamodb::Client;
use stickshift_contract::{Lease, RUN};

use super::plans::get_item;

/// Reads the lease in `table`; `None` if no rollout runs by itself. Errors: the table cannot be used, or the item is of
/// another release.
pub async fn read_lease(client: &Client, table: &str) -> Result<Option<Lease>> {
    let call = get_item(client, table, RUN)
        .projection_expression("#lease")
        .expression_attribute_names("#lease", Lease::ATTRIBUTE);
    let item = call.send().await.map_err(aws_sdk_dynamodb::Error::from)?.item;
    let lease = item.and_then(|mut item| item.remove(Lease::ATTRIBUTE));
    let lease = lease.map(serde_dynamo::from_attribute_value::<_, Lease>).transpose();
    let lease = lease.context("the lease is of another release")?;
    Ok(lease.filter(|lease| !lease.is_over))
}
