//! Looking a session and the plan up in the replicas of the tables.

use std::collections::HashMap;
use std::error::Error;
use std::iter::successors;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{Builder, Region, StalledStreamProtectionConfig};
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::batch_get_item::BatchGetItemError;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use log::{error, warn};
use serde::de::DeserializeOwned;
use stickshift_contract::{PLAN_IN_FORCE, PLAN_PARTITION, Plan, SessionItem, Token};
use tokio::sync::mpsc;

use crate::{LookUp, Tables};

/// The tables' replicas, nearest first, and how long to wait for them.
#[derive(Debug, Clone)]
pub struct Replicas {
    /// One client a replica, nearest first; at least one; from [`Replicas::client`].
    pub clients: Vec<Client>,
    /// What the tables are called.
    pub tables: Tables,
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
    #[error("{}", causes(.0))]
    Call(#[from] Box<SdkError<BatchGetItemError>>),
    #[error("the table is throttled: keys came back unprocessed")]
    Throttled,
    #[error("{} s went by", Replicas::ATTEMPT_LIMIT.as_secs())]
    TooLate,
}

type Item = HashMap<String, AttributeValue>;

impl Replicas {
    /// How long the nearest replica may take before the next one is asked as well.
    pub const HEDGE_DELAY: Duration = Duration::from_millis(60);
    /// How long a look-up may take.
    pub const DEADLINE: Duration = Duration::from_millis(250);
    /// When one attempt is given up, whether or not somebody still waits for it.
    pub const ATTEMPT_LIMIT: Duration = Duration::from_secs(3);

    /// Replicas with [`Replicas::HEDGE_DELAY`] and [`Replicas::DEADLINE`].
    pub fn new(clients: Vec<Client>) -> Self {
        Self { clients, tables: Tables::default(), hedge_delay: Self::HEDGE_DELAY, deadline: Self::DEADLINE }
    }

    /// A client for look-ups. It neither retries nor times out, whatever `config` says: the hedge is the retry, and there
    /// is a deadline for all of it.
    pub fn client(config: Builder) -> Client {
        let config = config
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::disabled())
            // Items are small, and a stalled one is late.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        Client::from_conf(config.build())
    }

    /// Asks for a session, the plan or both, in one call. Always answers before the deadline.
    pub(crate) async fn ask(&self, token: Option<Token>, is_plan_wanted: bool) -> Answer {
        if let Ok(Some(answer)) = tokio::time::timeout(self.deadline, self.hedged(token, is_plan_wanted)).await {
            return answer;
        }
        let wanted = token.map_or_else(|| "the plan".to_owned(), |token| format!("session {}", token.short()));
        warn!("could not look up {wanted}: no replica gave an answer (deadline {} ms)", self.deadline.as_millis());
        Answer { session: LookUp::NoAnswer, plan: None }
    }

    /// Asks the nearest replica, the next one too if the first is late or fails, and then the nearest once more. The
    /// first good answer wins.
    async fn hedged(&self, token: Option<Token>, is_plan_wanted: bool) -> Option<Answer> {
        let nearest = &self.clients[0];
        let next = self.clients.get(1).unwrap_or(nearest);
        // A function that was frozen wakes with dead connections: asking the nearest again opens a new one, and half of
        // the time that is left should do for that.
        let half_of_the_rest = self.deadline.saturating_sub(self.hedge_delay) / 2;
        let (answer, mut answers) = mpsc::channel(3);
        for (client, patience) in [(nearest, self.hedge_delay), (next, half_of_the_rest)] {
            self.attempt(client, token, is_plan_wanted, answer.clone());
            if let Ok(Some(Some(answer))) = tokio::time::timeout(patience, answers.recv()).await {
                return Some(answer);
            }
        }
        self.attempt(nearest, token, is_plan_wanted, answer);
        while let Some(answer) = answers.recv().await {
            if answer.is_some() {
                return answer;
            }
        }
        None
    }

    /// Asks one replica, in a task of its own that goes on when nobody waits for it any more: a connection to a replica
    /// so far away that opening one takes longer than the deadline would otherwise never come about.
    fn attempt(
        &self,
        client: &Client,
        token: Option<Token>,
        is_plan_wanted: bool,
        result: mpsc::Sender<Option<Answer>>,
    ) {
        let (client, tables) = (client.clone(), self.tables.clone());
        tokio::spawn(async move {
            let attempt = read(&client, &tables, token, is_plan_wanted);
            let answer = tokio::time::timeout(Self::ATTEMPT_LIMIT, attempt).await;
            let answer = answer.unwrap_or(Err(ReplicaError::TooLate)).inspect_err(|cause| {
                let region = client.config().region().map_or("?", Region::as_ref);
                warn!("the replica in {region} gave no answer: {cause}");
            });
            // Whoever asked may have an answer already, or have given up.
            result.try_send(answer.ok()).ok();
        });
    }
}

/// An error and all that caused it, in a line.
fn causes(error: &dyn Error) -> String {
    successors(Some(error), |&error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

async fn read(
    client: &Client,
    tables: &Tables,
    token: Option<Token>,
    is_plan_wanted: bool,
) -> Result<Answer, ReplicaError> {
    let mut call = client.batch_get_item();
    if let Some(token) = token {
        call = call.request_items(&tables.sessions, key([("token", token.as_str())]));
    }
    if is_plan_wanted {
        call = call.request_items(&tables.rollout, key([("pk", PLAN_PARTITION), ("sk", PLAN_IN_FORCE)]));
    }
    let output = call.send().await.map_err(Box::new)?;
    // What was asked for first of all must have been read; a plan that came along can wait for the next request.
    let essential = if token.is_some() { &tables.sessions } else { &tables.rollout };
    let unprocessed = output.unprocessed_keys.unwrap_or_default();
    if unprocessed.contains_key(essential) {
        return Err(ReplicaError::Throttled);
    }
    let mut responses = output.responses.unwrap_or_default();
    let mut item = |table: &str| responses.remove(table).and_then(|mut items| items.pop());
    Ok(Answer {
        session: match item(&tables.sessions).and_then(|item| parse::<SessionItem>(item, "session")) {
            Some(session) => LookUp::Found(session),
            None => LookUp::Absent,
        },
        plan: match item(&tables.rollout) {
            Some(item) => parse(item, "plan"),
            None => {
                if unprocessed.contains_key(&tables.rollout) {
                    warn!("{} is throttled: the plan is read another time", tables.rollout);
                } else if is_plan_wanted {
                    warn!("there is no plan in {}", tables.rollout);
                }
                None
            }
        },
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
