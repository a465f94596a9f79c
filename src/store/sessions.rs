//! Writing sessions to the table of sessions.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{DisplayErrorContext, SdkError};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use stickshift_contract::{Placed, Placement, Receipt, SESSIONS_SCHEMA, Token};
use stickshift_session::{Guard, Write, Written};

/// The table of sessions.
#[derive(Debug, Clone)]
pub struct SessionStore {
    client: Client,
    table: String,
}

/// DynamoDB gave no answer, or one that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}", DisplayErrorContext(.0))]
pub struct SessionStoreError(#[source] Box<aws_sdk_dynamodb::Error>);

impl SessionStoreError {
    fn new(cause: impl Into<aws_sdk_dynamodb::Error>) -> Self {
        Self(Box::new(cause.into()))
    }
}

impl SessionStore {
    /// The table with that name.
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Does a write of the session rules, if its guard admits it.
    ///
    /// Errors: [`SessionStoreError`] if DynamoDB does not answer in time or refuses. The write may have
    /// happened all the same.
    pub async fn write(&self, write: &Write) -> Result<Written, SessionStoreError> {
        match write.guard {
            Guard::Begin => self.put(write).await,
            _ => self.update(write).await,
        }
    }

    /// Writes the item of a session that begins. A put costs both sides less than an update.
    async fn put(&self, write: &Write) -> Result<Written, SessionStoreError> {
        let item = serde_dynamo::to_item(write.apply(None)).expect("an item can hold every value of a session");
        // No item has the new token yet, unless the answer to a first attempt was lost. Then this writes
        // the same item again.
        let call = self.client.put_item().table_name(&self.table).set_item(Some(item));
        call.send().await.map_err(SessionStoreError::new)?;
        let Receipt { started, placed, .. } = write.receipt;
        Ok(Written::Done { started, placed })
    }

    /// Updates a session's item. Attributes of the app's own keep their values.
    async fn update(&self, write: &Write) -> Result<Written, SessionStoreError> {
        let Receipt { token, version, placed, started, touched } = write.receipt;
        let number = |value: u64| AttributeValue::N(value.to_string());
        let names = Write::ATTRIBUTES.map(|name| (format!("#{name}"), name.to_owned()));
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(SESSIONS_SCHEMA.hash_key, AttributeValue::S(token.as_str().to_owned()))
            .update_expression(write.update_expression())
            .set_condition_expression(write.guard.expression().map(str::to_owned))
            .set_expression_attribute_names(Some(names.into()))
            .expression_attribute_values(":version", AttributeValue::S(version.to_string()))
            .expression_attribute_values(":expiration", number(write.expiration))
            .expression_attribute_values(":touched", number(touched))
            .expression_attribute_values(":started", number(started))
            .expression_attribute_values(":revision", number(placed.revision))
            .expression_attribute_values(":placement", AttributeValue::S(placed.placement.as_str().to_owned()))
            .return_values(ReturnValue::UpdatedNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match answer {
            Ok(output) => {
                let attributes = output.attributes.unwrap_or_default();
                let placed = Placed {
                    revision: read_number(&attributes, "revision").unwrap_or(placed.revision),
                    placement: read_placement(&attributes).unwrap_or(placed.placement),
                };
                Ok(Written::Done { started: read_number(&attributes, "started").unwrap_or(started), placed })
            }
            Err(SdkError::ServiceError(failure)) if failure.err().is_conditional_check_failed_exception() => {
                let UpdateItemError::ConditionalCheckFailedException(refusal) = failure.into_err() else {
                    unreachable!("the guard of this arm has checked it");
                };
                Ok(Written::Refused(refusal.item.and_then(|item| serde_dynamo::from_item(item).ok())))
            }
            Err(cause) => Err(SessionStoreError::new(cause)),
        }
    }

    /// Reads the table once, to see whether DynamoDB answers. Errors: [`SessionStoreError`] if it does not.
    pub async fn check(&self) -> Result<(), SessionStoreError> {
        // No session has this token. Only the answer counts.
        let key = AttributeValue::S("0".repeat(Token::LENGTH));
        let call = self.client.get_item().table_name(&self.table).key(SESSIONS_SCHEMA.hash_key, key);
        call.send().await.map(|_| ()).map_err(SessionStoreError::new)
    }
}

fn read_number(attributes: &HashMap<String, AttributeValue>, name: &str) -> Option<u64> {
    attributes.get(name)?.as_n().ok()?.parse().ok()
}

fn read_placement(attributes: &HashMap<String, AttributeValue>) -> Option<Placement> {
    Placement::parse(attributes.get("placement")?.as_s().ok()?)
}
