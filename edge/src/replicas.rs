//! Looking a session and the plan up in the replicas of the tables.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::DisplayErrorContext;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use log::{error, warn};
use serde::de::DeserializeOwned;
use stickshift_contract::{PLAN_IN_FORCE, PLAN_PARTITION, Plan, ROLLOUT_TABLE, SESSIONS_TABLE, SessionItem, Token};

use crate::LookUp;

/// The tables' replicas, nearest first, and how long to wait for them.
#[derive(Debug, Clone)]
pub struct Replicas {
    /// One client a replica, nearest first; at least one. Without retries of their own: the hedge is the retry.
    pub clients: Vec<Client>,
    /// How long the nearest replica may take before the next one is asked as well.
    pub hedge_delay: Duration,
    /// How long all of it may take.
    pub deadline: Duration,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) session: LookUp,
    pub(crate) plan: Option<Plan>,
}

/// Why a replica's answer is of no use.
#[derive(Debug, thiserror::Error)]
enum ReplicaError {
    #[error("{}", DisplayErrorContext(.0))]
    Call(#[from] aws_sdk_dynamodb::Error),
    #[error("the table is throttled: keys came back unprocessed")]
    Throttled,
}

type Item = HashMap<String, AttributeValue>;

impl Replicas {
    /// How long the nearest replica may take before the next one is asked as well.
    pub const HEDGE_DELAY: Duration = Duration::from_millis(60);
    /// How long a look-up may take.
    pub const DEADLINE: Duration = Duration::from_millis(250);

    /// Replicas with [`Replicas::HEDGE_DELAY`] and [`Replicas::DEADLINE`].
    pub fn new(clients: Vec<Client>) -> Self {
        Self { clients, hedge_delay: Self::HEDGE_DELAY, deadline: Self::DEADLINE }
    }

    /// Asks for a session, the plan or both, in one call. Always answers before the deadline.
    pub(crate) async fn ask(&self, token: Option<Token>, is_plan_wanted: bool) -> Answer {
        let answer = tokio::time::timeout(self.deadline, self.hedged(token, is_plan_wanted)).await;
        let cause = match answer {
            Ok(Ok(answer)) => return answer,
            Ok(Err(cause)) => cause.to_string(),
            Err(_) => format!("no answer within {} ms", self.deadline.as_millis()),
        };
        let wanted = token.map_or_else(|| "the plan".to_owned(), |token| format!("session {}", token.short()));
        warn!("could not look {wanted} up in DynamoDB: {cause}");
        Answer { session: LookUp::NoAnswer, plan: None }
    }

    /// Asks the nearest replica, and the next one too if the first is late or fails. The first good answer wins.
    async fn hedged(&self, token: Option<Token>, is_plan_wanted: bool) -> Result<Answer, ReplicaError> {
        let nearest = &self.clients[0];
        // A sandbox that was frozen wakes with dead connections, so a lone replica is asked twice.
        let next = self.clients.get(1).unwrap_or(nearest);
        let first = read(nearest, token, is_plan_wanted);
        tokio::pin!(first);
        // Asking the next one starts here: when the first is late, or when it fails.
        if let Ok(answer) = tokio::time::timeout(self.hedge_delay, &mut first).await {
            return match answer {
                Ok(answer) => Ok(answer),
                Err(_) => read(next, token, is_plan_wanted).await,
            };
        }
        let second = read(next, token, is_plan_wanted);
        tokio::pin!(second);
        tokio::select! {
            answer = &mut first => match answer {
                Ok(answer) => Ok(answer),
                Err(_) => second.await,
            },
            answer = &mut second => match answer {
                Ok(answer) => Ok(answer),
                Err(_) => first.await,
            },
        }
    }
}

async fn read(client: &Client, token: Option<Token>, is_plan_wanted: bool) -> Result<Answer, ReplicaError> {
    let mut call = client.batch_get_item();
    if let Some(token) = token {
        call = call.request_items(SESSIONS_TABLE, key([("token", token.as_str())]));
    }
    if is_plan_wanted {
        call = call.request_items(ROLLOUT_TABLE, key([("pk", PLAN_PARTITION), ("sk", PLAN_IN_FORCE)]));
    }
    let output = call.send().await.map_err(aws_sdk_dynamodb::Error::from)?;
    // What was asked for first of all must have been read; a plan that came along can wait for the next request.
    let essential = if token.is_some() { SESSIONS_TABLE } else { ROLLOUT_TABLE };
    if output.unprocessed_keys.is_some_and(|tables| tables.contains_key(essential)) {
        return Err(ReplicaError::Throttled);
    }
    let mut tables = output.responses.unwrap_or_default();
    let mut item = |table| tables.remove(table).and_then(|mut items| items.pop());
    Ok(Answer {
        session: match item(SESSIONS_TABLE).and_then(|item| parse::<SessionItem>(item, "session")) {
            Some(session) => LookUp::Found(session),
            None => LookUp::Absent,
        },
        plan: item(ROLLOUT_TABLE).and_then(|item| parse(item, "plan")),
    })
}

fn key<'a>(attributes: impl IntoIterator<Item = (&'a str, &'a str)>) -> KeysAndAttributes {
    let key: Item =
        attributes.into_iter().map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned()))).collect();
    KeysAndAttributes::builder().keys(key).build().expect("keys are set")
}

/// Reads an item. One that is no such thing counts as absent: whoever wrote it, viewers must be served.
fn parse<T: DeserializeOwned>(item: Item, what: &str) -> Option<T> {
    serde_dynamo::from_item(item).map_err(|cause| error!("passing over a {what} in DynamoDB: {cause}")).ok()
}
