//! The look-up of a session and the plan in the replicas of the tables.

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
use rand::Rng;
use serde::de::DeserializeOwned;
use stickshift_contract::{
    DEADLINE, HEDGE_DELAY, PLAN_IN_FORCE, PLAN_PARTITION, ROLLOUT_SCHEMA, SESSIONS_SCHEMA, SessionItem, TableNames,
    Token,
};
use tokio::sync::mpsc;

use crate::decide::Decision;
use crate::event::Request;
use crate::look_up::{Answer, LookUp, StoredSession};
use crate::router::{Considered, Knowledge, Router};

/// The replicas of the tables, nearest first, and how long to wait for them.
#[derive(Debug, Clone)]
pub struct Replicas {
    /// One client per replica, nearest first; at least one; made by [`Replicas::client`].
    pub clients: Vec<Client>,
    /// The names of the tables.
    pub tables: TableNames,
    /// See [`HEDGE_DELAY`].
    pub hedge_delay: Duration,
    /// See [`DEADLINE`].
    pub deadline: Duration,
}

/// Why a replica's answer cannot be used.
#[derive(Debug, thiserror::Error)]
enum ReplicaError {
    #[error("{}", causes(.0))]
    Call(#[from] Box<SdkError<BatchGetItemError>>),
    #[error("the table is throttled: keys came back unprocessed")]
    Throttled,
    #[error("it took more than {} s", Replicas::ATTEMPT_LIMIT.as_secs())]
    TooLate,
}

type Item = HashMap<String, AttributeValue>;

/// Sends a request to its origin: the three steps of the router, with a look-up if one is needed.
pub async fn route(
    router: &Router,
    replicas: &Replicas,
    request: &mut Request,
    now: u64,
    rng: &mut impl Rng,
) -> Decision {
    let knowledge = match router.consider(request, now) {
        Considered::Ready(knowledge) => knowledge,
        Considered::Needs(look_up) => replicas.look_up(router, look_up, now).await,
    };
    router.forward(request, &knowledge, now, rng)
}

/// Reads the plan before the first request, and so opens the connection. It never fails: a later request
/// reads a plan that cannot be read now. Returns the plan's revision, if a plan is known then.
pub async fn warm(router: &Router, replicas: &Replicas, now: u64) -> Option<u64> {
    replicas.look_up(router, router.first_look_up(now), now).await.plan_revision()
}

impl Replicas {
    /// When an attempt is given up, even if nobody waits for it any more: no deadline is longer.
    pub const ATTEMPT_LIMIT: Duration = Duration::from_millis(DEADLINE.maximum);

    /// Replicas with the default times and table names.
    pub fn new(clients: Vec<Client>) -> Self {
        Self {
            clients,
            tables: TableNames::default(),
            hedge_delay: Duration::from_millis(HEDGE_DELAY.default),
            deadline: Duration::from_millis(DEADLINE.default),
        }
    }

    /// A client for look-ups. Whatever `config` says, the client neither retries nor times out: the
    /// second replica takes the place of a retry, and the deadline ends the whole look-up.
    pub fn client(config: Builder) -> Client {
        let config = config
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::disabled())
            // Items are small. The deadline handles a stream that stalls.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        Client::from_conf(config.build())
    }

    /// Does a look-up in one call, and hands the answer to the router. It always ends by the deadline.
    pub async fn look_up(&self, router: &Router, look_up: LookUp, now: u64) -> Knowledge {
        let (token, is_plan_wanted) = (look_up.token, look_up.is_plan_wanted);
        let answer = match tokio::time::timeout(self.deadline, self.first_answer(token, is_plan_wanted)).await {
            Ok(Some(answer)) => answer,
            _ => {
                let wanted = token.map_or_else(|| "the plan".to_owned(), |token| format!("session {}", token.short()));
                let deadline = self.deadline.as_millis();
                warn!("could not look up {wanted}: no replica gave an answer (deadline {deadline} ms)");
                Answer { session: StoredSession::Unanswered, plan: None }
            }
        };
        router.learn(look_up, answer, now, self.deadline.as_secs())
    }

    /// Asks the nearest replica; then the next one too, if the first is late or fails; then the nearest
    /// one again. The first good answer wins.
    async fn first_answer(&self, token: Option<Token>, is_plan_wanted: bool) -> Option<Answer> {
        let nearest = &self.clients[0];
        let next = self.clients.get(1).unwrap_or(nearest);
        // A function that was frozen wakes with dead connections. A second attempt at the nearest replica
        // opens a new connection. Half of the time that is left should be enough for it.
        let half_of_the_rest = self.deadline.saturating_sub(self.hedge_delay) / 2;
        let (answer, mut answers) = mpsc::channel(3);
        for (client, patience) in [(nearest, self.hedge_delay), (next, half_of_the_rest)] {
            self.start_attempt(client, token, is_plan_wanted, answer.clone());
            if let Ok(Some(Some(answer))) = tokio::time::timeout(patience, answers.recv()).await {
                return Some(answer);
            }
        }
        self.start_attempt(nearest, token, is_plan_wanted, answer);
        while let Some(answer) = answers.recv().await {
            if answer.is_some() {
                return answer;
            }
        }
        None
    }

    /// Asks one replica in a task of its own, which continues when nobody waits for it any more.
    /// Otherwise a connection to a far replica, which takes longer to open than the deadline, would never
    /// be ready.
    fn start_attempt(
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
            // The receiver may have an answer already, or may have given up.
            result.try_send(answer.ok()).ok();
        });
    }
}

/// An error and its causes, in one line.
fn causes(error: &dyn Error) -> String {
    successors(Some(error), |&error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

async fn read(
    client: &Client,
    tables: &TableNames,
    token: Option<Token>,
    is_plan_wanted: bool,
) -> Result<Answer, ReplicaError> {
    let mut call = client.batch_get_item();
    if let Some(token) = token {
        call = call.request_items(&tables.sessions, key([(SESSIONS_SCHEMA.hash_key, token.as_str())]));
    }
    if is_plan_wanted {
        let range_key = ROLLOUT_SCHEMA.range_key.expect("the table of plans has a range key");
        let plan = [(ROLLOUT_SCHEMA.hash_key, PLAN_PARTITION), (range_key, PLAN_IN_FORCE)];
        call = call.request_items(&tables.rollout, key(plan));
    }
    let output = call.send().await.map_err(Box::new)?;
    // The session must have been read, if one was asked for. The plan can wait for the next request then.
    let essential = if token.is_some() { &tables.sessions } else { &tables.rollout };
    let unprocessed = output.unprocessed_keys.unwrap_or_default();
    if unprocessed.contains_key(essential) {
        return Err(ReplicaError::Throttled);
    }
    let mut responses = output.responses.unwrap_or_default();
    let mut item = |table: &str| responses.remove(table).and_then(|mut items| items.pop());
    Ok(Answer {
        session: match item(&tables.sessions).and_then(|item| parse::<SessionItem>(item, "session")) {
            Some(session) => StoredSession::Found(session),
            None => StoredSession::Absent,
        },
        plan: match item(&tables.rollout) {
            Some(item) => parse(item, "plan"),
            None => {
                if unprocessed.contains_key(&tables.rollout) {
                    warn!("{} is throttled: a later request reads the plan", tables.rollout);
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
    KeysAndAttributes::builder().keys(key).build().expect("the keys are set")
}

/// Reads an item. An item that cannot be read counts as absent, because viewers must be served whoever
/// wrote it.
fn parse<T: DeserializeOwned>(item: Item, what: &str) -> Option<T> {
    serde_dynamo::from_item(item).map_err(|cause| error!("ignoring a {what} in DynamoDB: {cause}")).ok()
}
