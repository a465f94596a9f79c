//! The look-up of a session and the plan in the replicas of the tables.

use std::collections::HashMap;
use std::error::Error;
use std::iter::successors;
use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{Builder, Region, StalledStreamProtectionConfig};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_dynamodb::operation::batch_get_item::BatchGetItemError;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use log::{error, warn};
use rand::Rng;
use serde::de::DeserializeOwned;
use stickshift_contract::{
    DEADLINE, HEDGE_DELAY, PLAN_IN_FORCE, PLAN_PARTITION, Plan, ROLLOUT_SCHEMA, SESSIONS_SCHEMA, SessionItem,
    TableNames, Token,
};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::task::{AbortHandle, JoinSet, yield_now};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

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
    /// Lets one caller at a time read the plan.
    pub plan_turn: PlanTurn,
}

/// Lets one caller at a time read the plan, while the others wait for that read.
#[derive(Debug, Clone, Default)]
pub struct PlanTurn(Arc<Mutex<()>>);

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

/// Sends a request to its origin: the three steps of the router, with the look-ups that are needed.
pub async fn route(
    router: &Router,
    replicas: &Replicas,
    request: &mut Request,
    now: u64,
    rng: &mut impl Rng,
) -> Decision {
    let considered = router.consider(router.read(request, now), now);
    let knowledge = replicas.complete(router, considered, now).await;
    router.forward(request, &knowledge, now, rng)
}

/// Reads the plan before the first request, and so opens the connection. It never fails: a later request
/// reads a plan that cannot be read now. Returns the plan's revision, if a plan is known then.
pub async fn warm(router: &Router, replicas: &Replicas, now: u64) -> Option<u64> {
    let considered = Considered::Needs(router.first_look_up());
    replicas.complete(router, considered, now).await.plan_revision()
}

impl Replicas {
    /// How long an attempt goes on when nobody waits for it any more. In the function, this time begins
    /// at the next look-up.
    pub const ATTEMPT_LIMIT: Duration = Duration::from_millis(DEADLINE.maximum);

    /// Replicas with the default times and table names.
    pub fn new(clients: Vec<Client>) -> Self {
        Self {
            clients,
            tables: TableNames::default(),
            hedge_delay: Duration::from_millis(HEDGE_DELAY.default),
            deadline: Duration::from_millis(DEADLINE.default),
            plan_turn: PlanTurn::default(),
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

    /// Does the look-ups that a request still needs.
    pub async fn complete(&self, router: &Router, mut considered: Considered, now: u64) -> Knowledge {
        let deadline = Instant::now() + self.deadline;
        loop {
            match considered {
                Considered::Ready(knowledge) => return knowledge,
                Considered::Needs(look_up) => {
                    considered = self.look_up(router, look_up, now, deadline).await;
                }
            }
        }
    }

    /// Does a look-up in one call, and hands the answer to the router. It always ends by the deadline.
    async fn look_up(&self, router: &Router, look_up: LookUp, now: u64, deadline: Instant) -> Considered {
        let mut turn = None;
        if look_up.is_plan_wanted && router.shares_plan_reads() {
            turn = self.plan_turn.0.try_lock().ok();
            if turn.is_none() && look_up.tokens.is_empty() {
                // Another caller reads the plan. Its result counts for this caller, too.
                turn = timeout_at(deadline, self.plan_turn.0.lock()).await.ok();
                if turn.is_none() || router.has_fresh_plan(now) || !router.may_read_plan(now) {
                    return router.use_known_plan(look_up, now);
                }
            }
        }
        let answer = match self.first_answer(&look_up, now, deadline).await {
            Some(answer) => answer,
            None => {
                let session = look_up.tokens.first().map(|token| format!("session {}", token.short()));
                let (wanted, limit) = (session.as_deref().unwrap_or("the plan"), self.deadline.as_millis());
                warn!("could not look up {wanted}: no replica gave an answer (deadline {limit} ms)");
                Answer { session: StoredSession::Unanswered, plan: None }
            }
        };
        let considered = router.learn(look_up, answer, now, self.deadline.as_secs());
        // The next caller must see what the router has learned.
        drop(turn);
        considered
    }

    /// Asks the nearest replica; then the next one too, if the first is late or fails; then the nearest
    /// one again. The first good answer wins. It always ends by the deadline.
    async fn first_answer(&self, look_up: &LookUp, now: u64, deadline: Instant) -> Option<Answer> {
        let nearest = &self.clients[0];
        let next = self.clients.get(1).unwrap_or(nearest);
        let wanted = Arc::new(Wanted { tokens: look_up.tokens.clone(), is_plan_wanted: look_up.is_plan_wanted, now });
        let mut attempts = Attempts::default();
        for (place, client) in [nearest, next].into_iter().enumerate() {
            attempts.start(client, &self.tables, &wanted);
            let begin = Instant::now();
            // Half of the time that is left should be enough for the third attempt.
            let patience = if place == 0 { self.hedge_delay } else { deadline.saturating_duration_since(begin) / 2 };
            let answer = attempts.wait(deadline.min(begin + patience)).await;
            if answer.is_some() || Instant::now() >= deadline {
                return answer;
            }
        }
        // A function that was frozen wakes with dead connections. This attempt opens a new one.
        attempts.start(nearest, &self.tables, &wanted);
        attempts.wait_for_all(deadline).await
    }
}

/// The attempts of one look-up, each in a task of its own. While somebody waits for them, they set no timers of their
/// own: a new timer often costs a system call, and most attempts end long before it would fire.
#[derive(Default)]
struct Attempts {
    running: JoinSet<Result<Answer, IsThrottled>>,
    started: Vec<(Client, AbortHandle)>,
}

impl Attempts {
    /// Asks one replica.
    fn start(&mut self, client: &Client, tables: &TableNames, wanted: &Arc<Wanted>) {
        let (asked, tables, wanted) = (client.clone(), tables.clone(), Arc::clone(wanted));
        let handle = self.running.spawn(async move {
            read(&asked, &tables, &wanted).await.map_err(|cause| {
                warn_of(&asked, &cause);
                IsThrottled(cause.is_throttled())
            })
        });
        self.started.push((client.clone(), handle));
    }

    /// Waits for a good answer. It also ends when an attempt fails, so that the next one can start, unless the table is
    /// throttled.
    async fn wait(&mut self, until: Instant) -> Option<Answer> {
        while let Ok(ended) = timeout_at(until, self.running.join_next()).await {
            match ended {
                Some(Ok(Ok(answer))) => return Some(answer),
                // A table that is throttled gets its pause before the next attempt.
                Some(Ok(Err(IsThrottled(true)))) => {}
                Some(_) => return None,
                None => {
                    sleep_until(until).await;
                    return None;
                }
            }
        }
        None
    }

    /// Waits for a good answer until all attempts have ended.
    async fn wait_for_all(&mut self, until: Instant) -> Option<Answer> {
        while let Ok(Some(ended)) = timeout_at(until, self.running.join_next()).await {
            if let Ok(Ok(answer)) = ended {
                return Some(answer);
            }
        }
        None
    }
}

impl Drop for Attempts {
    /// Attempts go on when nobody waits for them any more. Otherwise a connection to a far replica, which takes longer
    /// to open than the deadline, would never be ready.
    fn drop(&mut self) {
        let Ok(runtime) = Handle::try_current() else { return };
        if self.running.is_empty() {
            return;
        }
        let (mut running, started) = (take(&mut self.running), take(&mut self.started));
        runtime.spawn(async move {
            let all = async { while running.join_next().await.is_some() {} };
            if timeout(Replicas::ATTEMPT_LIMIT, all).await.is_ok() {
                return;
            }
            // After a freeze, the answers that have come meanwhile are read before attempts are given up.
            yield_now().await;
            for (client, handle) in started {
                if !handle.is_finished() {
                    warn_of(&client, &ReplicaError::TooLate);
                }
            }
        });
    }
}

fn warn_of(client: &Client, cause: &ReplicaError) {
    let region = client.config().region().map_or("?", Region::as_ref);
    warn!("the replica in {region} gave no answer: {cause}");
}

/// What one attempt reads.
struct Wanted {
    tokens: Vec<Token>,
    is_plan_wanted: bool,
    now: u64,
}

/// Whether an attempt failed because the table is throttled.
struct IsThrottled(bool);

impl ReplicaError {
    fn is_throttled(&self) -> bool {
        const CODES: [&str; 3] =
            ["ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException"];
        match self {
            Self::Call(cause) => cause.code().is_some_and(|code| CODES.contains(&code)),
            Self::Throttled => true,
            Self::TooLate => false,
        }
    }
}

/// An error and its causes, in one line.
fn causes(error: &dyn Error) -> String {
    successors(Some(error), |&error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

async fn read(client: &Client, tables: &TableNames, wanted: &Wanted) -> Result<Answer, ReplicaError> {
    let mut call = client.batch_get_item();
    if !wanted.tokens.is_empty() {
        let keys = wanted.tokens.iter().map(|token| key([(SESSIONS_SCHEMA.hash_key, token.as_str())])).collect();
        call = call.request_items(&tables.sessions, projected(keys, &SessionItem::EDGE_ATTRIBUTES));
    }
    if wanted.is_plan_wanted {
        let range_key = ROLLOUT_SCHEMA.range_key.expect("the table of plans has a range key");
        let plan = key([(ROLLOUT_SCHEMA.hash_key, PLAN_PARTITION), (range_key, PLAN_IN_FORCE)]);
        call = call.request_items(&tables.rollout, projected(vec![plan], &Plan::ATTRIBUTES));
    }
    let output = call.send().await.map_err(Box::new)?;
    // The sessions must have been read, if some were asked for. The plan can wait for the next request then.
    let essential = if wanted.tokens.is_empty() { &tables.rollout } else { &tables.sessions };
    let unprocessed = output.unprocessed_keys.unwrap_or_default();
    if unprocessed.contains_key(essential) {
        return Err(ReplicaError::Throttled);
    }
    let mut responses = output.responses.unwrap_or_default();
    let items = responses.remove(&tables.sessions).unwrap_or_default();
    let items: Vec<SessionItem> = items.into_iter().filter_map(|item| parse(item, "session")).collect();
    let plan = responses.remove(&tables.rollout).and_then(|mut items| items.pop());
    if plan.is_none() && unprocessed.contains_key(&tables.rollout) {
        warn!("{} is throttled: a later request reads the plan", tables.rollout);
    } else if plan.is_none() && wanted.is_plan_wanted {
        warn!("there is no plan in {}", tables.rollout);
    }
    Ok(Answer { session: wanted.pick(items), plan: plan.and_then(|item| parse(item, "plan")) })
}

impl Wanted {
    /// The item of the first token with a live one, or of the first token with any.
    fn pick(&self, items: Vec<SessionItem>) -> StoredSession {
        let place = |item: &SessionItem| {
            let place = self.tokens.iter().position(|token| *token == item.token);
            (!item.is_live(self.now) || item.version.is_none(), place)
        };
        items.into_iter().min_by_key(place).map_or(StoredSession::Absent, StoredSession::Found)
    }
}

fn key<'a>(attributes: impl IntoIterator<Item = (&'a str, &'a str)>) -> Item {
    attributes.into_iter().map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned()))).collect()
}

/// These keys, and only these attributes: an app may keep large attributes of its own in an item.
fn projected(keys: Vec<Item>, attributes: &[&str]) -> KeysAndAttributes {
    let names: HashMap<_, _> = attributes.iter().map(|name| (format!("#{name}"), (*name).to_owned())).collect();
    let expression: Vec<String> = attributes.iter().map(|name| format!("#{name}")).collect();
    KeysAndAttributes::builder()
        .set_keys(Some(keys))
        .projection_expression(expression.join(", "))
        .set_expression_attribute_names(Some(names))
        .build()
        .expect("the keys are set")
}

/// Reads an item. An item that cannot be read counts as absent, because viewers must be served whoever
/// wrote it.
fn parse<T: DeserializeOwned>(item: Item, what: &str) -> Option<T> {
    serde_dynamo::from_item(item).map_err(|cause| error!("ignoring a {what} in DynamoDB: {cause}")).ok()
}
