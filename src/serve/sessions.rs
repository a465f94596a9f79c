//! The sessions table, as the app writes it.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{DisplayErrorContext, SdkError};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use stickshift_contract::{Receipt, SessionItem, Token};

use super::visit::Proof;

/// The sessions table.
#[derive(Debug, Clone)]
pub(super) struct Sessions {
    client: Client,
    table: String,
}

/// How a write ended.
#[derive(Debug)]
pub(super) enum Written {
    /// The session is on this version, and has been since `started`.
    Done {
        /// First visit, in Unix seconds.
        started: u64,
    },
    /// It is not, and was left alone; this is its item, if there is one.
    Refused(Option<SessionItem>),
}

/// DynamoDB gave no answer, or none to work with.
#[derive(Debug, thiserror::Error)]
#[error("{}", DisplayErrorContext(.0))]
pub(super) struct StoreError(#[source] Box<aws_sdk_dynamodb::Error>);

impl StoreError {
    fn new(cause: impl Into<aws_sdk_dynamodb::Error>) -> Self {
        Self(Box::new(cause.into()))
    }
}

impl Sessions {
    /// The table of that name that `client` reaches.
    pub(super) fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Writes a session that begins: cheaper than [`Sessions::write`], for there is nothing to keep.
    ///
    /// Errors: [`StoreError`] if DynamoDB does not answer in time or refuses; the session may have been written then.
    pub(super) async fn begin(&self, receipt: &Receipt, expiration: u64) -> Result<(), StoreError> {
        let item = SessionItem {
            token: receipt.token,
            version: Some(receipt.version),
            expiration,
            started: receipt.started,
            touched: receipt.touched,
        };
        let item = serde_dynamo::to_item(item).expect("a session has nothing that an item cannot hold");
        // The token is new, so there is nothing to overwrite, unless a first attempt got through and only its answer
        // was lost: then this writes the same again.
        self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await.map_err(StoreError::new)?;
        Ok(())
    }

    /// Writes a session again: its version, first visit, this visit and the end, in one call. Attributes of the app's own stay.
    ///
    /// Errors: [`StoreError`] if DynamoDB does not answer in time or refuses; the session may have been written then.
    pub(super) async fn write(&self, receipt: &Receipt, expiration: u64, proof: Proof) -> Result<Written, StoreError> {
        // A live item without a version binds nobody, and an absent one has none either.
        let condition = match proof {
            Proof::Receipt => Some("attribute_not_exists(#version) OR #expiration <= :touched OR #version = :version"),
            Proof::Item => Some("#expiration > :touched AND #version = :version"),
            Proof::MovedReceipt => None,
            Proof::MovedItem => Some("#expiration > :touched"),
        };
        let update = "SET #version = :version, #expiration = :expiration, #touched = :touched, \
                      #started = if_not_exists(#started, :started)";
        let number = |value: u64| AttributeValue::N(value.to_string());
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("token", AttributeValue::S(receipt.token.as_str().to_owned()))
            .update_expression(update)
            .set_condition_expression(condition.map(str::to_owned))
            .set_expression_attribute_names(Some(
                ["version", "expiration", "touched", "started"]
                    .map(|name| (format!("#{name}"), name.to_owned()))
                    .into(),
            ))
            .expression_attribute_values(":version", AttributeValue::S(receipt.version.to_string()))
            .expression_attribute_values(":expiration", number(expiration))
            .expression_attribute_values(":touched", number(receipt.touched))
            .expression_attribute_values(":started", number(receipt.started))
            .return_values(ReturnValue::UpdatedNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match answer {
            Ok(output) => {
                let started = output.attributes.and_then(|attributes| read_number(&attributes, "started"));
                Ok(Written::Done { started: started.unwrap_or(receipt.started) })
            }
            Err(SdkError::ServiceError(failure)) if failure.err().is_conditional_check_failed_exception() => {
                let UpdateItemError::ConditionalCheckFailedException(refusal) = failure.into_err() else {
                    unreachable!("just checked to be this one");
                };
                Ok(Written::Refused(refusal.item.and_then(|item| serde_dynamo::from_item(item).ok())))
            }
            Err(cause) => Err(StoreError::new(cause)),
        }
    }

    /// Reads the table once, to see that it can be reached. Errors: [`StoreError`] if it cannot.
    pub(super) async fn check(&self) -> Result<(), StoreError> {
        // An item that no session has: what counts is the answer.
        let key = AttributeValue::S("0".repeat(Token::LENGTH));
        let call = self.client.get_item().table_name(&self.table).key("token", key);
        call.send().await.map(|_| ()).map_err(StoreError::new)
    }
}

fn read_number(attributes: &HashMap<String, AttributeValue>, name: &str) -> Option<u64> {
    attributes.get(name)?.as_n().ok()?.parse().ok()
}
