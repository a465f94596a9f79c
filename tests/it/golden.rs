//! Golden events in, golden events out; see `edge/tests/it/data/README.md`. The bundle is put through the same ones.

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde::Deserialize;
use serde_json::{Value, json};
use stickshift::clock::unix_now;
use stickshift::store::DynamoDb;
use stickshift_contract::{HEADER_PREFIX, Plan, Receipt, VersionCode};
use stickshift_edge::replicas::{Replicas, route};
use stickshift_edge::{Request, Router, RouterConfig};

use crate::support::{drawn, dynamodb, keys, put_as_plan, put_session, session_item, settings, token};

/// All of the file, with its receipts signed now.
pub(crate) struct Golden {
    pub plan: Value,
    pub vectors: Vec<Vector>,
}

pub(crate) struct Vector {
    pub about: String,
    pub event: Value,
    pub answer: Value,
    session: Option<Receipt>,
}

impl Golden {
    pub(crate) fn load() -> Self {
        #[derive(Deserialize)]
        struct File {
            plan: Value,
            vectors: Vec<Unsigned>,
        }
        let file = include_str!("../../edge/tests/it/data/golden.json");
        let file: File = serde_json::from_str(file).expect("golden events");
        // Each vector is a viewer of its own.
        let vectors = file.vectors.into_iter().zip(100..).map(|(vector, seed)| vector.sign(seed)).collect();
        Self { plan: file.plan, vectors }
    }

    /// Puts the plan and the sessions into a table.
    pub(crate) async fn store(&self, client: &aws_sdk_dynamodb::Client) {
        put_as_plan(client, self.plan.clone()).await;
        for session in self.vectors.iter().filter_map(|vector| vector.session) {
            put_session(client, &session_item(&session)).await;
        }
    }

    /// The same plan as a bundle may have it, from before: other weights, so that a decision by them would show.
    pub(crate) fn old_plan(&self) -> Value {
        let mut plan = self.plan.clone();
        plan["revision"] = json!(1);
        plan["versions"]["1"]["weight_basis_points"] = json!(10_000);
        plan["versions"]["2"]["weight_basis_points"] = json!(0);
        plan
    }
}

/// A vector as it is in the file.
#[derive(Deserialize)]
struct Unsigned {
    about: String,
    receipt: Option<Written>,
    session: Option<Written>,
    request: Value,
    answer: Value,
}

#[derive(Clone, Copy, Deserialize)]
struct Written {
    version: VersionCode,
    age_seconds: u64,
}

impl Unsigned {
    fn sign(self, seed: u64) -> Vector {
        let written = |Written { version, age_seconds }| {
            let touched = unix_now() - age_seconds;
            Receipt { token: token(seed), version, placed: drawn(), started: touched, touched }
        };
        let mut request = self.request.to_string();
        if let Some(receipt) = self.receipt.map(written) {
            let text = keys().sign(&receipt);
            let forged = Receipt { touched: receipt.touched + 1, ..receipt };
            let tag = keys().sign(&forged).rsplit_once('.').expect("a tag").1.to_owned();
            let forged = format!("{}.{tag}", text.rsplit_once('.').expect("a tag").0);
            request = request.replace("{receipt}", &text).replace("{forged}", &forged);
            request = request.replace("{token}", token(seed).as_str());
        }
        let mut event = event();
        let incoming = &mut event["Records"][0]["cf"]["request"];
        json_patch::merge(incoming, &serde_json::from_str(&request).expect("JSON"));
        let mut answer = incoming.clone();
        json_patch::merge(&mut answer, &self.answer);
        Vector { about: self.about, event, answer, session: self.session.map(written) }
    }
}

/// The example event, without a session.
pub(crate) fn event() -> Value {
    serde_json::from_str(include_str!("../../edge/tests/it/data/origin-request.json")).expect("an event")
}

#[actix_web::test]
async fn the_router_answers_golden_events_with_golden_events() {
    let golden = Golden::load();
    let (dynamodb, client) = dynamodb().await;
    golden.store(&client).await;
    let bundled_plan: Plan = serde_json::from_value(golden.old_plan()).expect("a plan");
    let config = RouterConfig { plan_ttl_seconds: 0, ..RouterConfig::new(settings("1").shared.cookie, bundled_plan) };
    let patient = std::time::Duration::from_secs(10);
    let replicas = Replicas::new(vec![DynamoDb::at(dynamodb.endpoint()).look_up_client()]);
    let (router, replicas) = (Router::new(config), Replicas { deadline: patient, ..replicas });
    for (index, vector) in golden.vectors.into_iter().enumerate() {
        let mut answer = vector.event["Records"][0]["cf"]["request"].clone();
        let mut request: Request = serde_json::from_value(answer.clone()).expect("a request");
        route(&router, &replicas, &mut request, unix_now(), &mut StdRng::seed_from_u64(1)).await;
        // The same as in index.mjs.
        let mut changes = serde_json::to_value(request.changes()).expect("JSON");
        let headers = answer["headers"].as_object_mut().expect("headers");
        headers.retain(|name, _| !name.starts_with(HEADER_PREFIX));
        headers.append(changes["headers"].as_object_mut().expect("headers"));
        answer["origin"] = changes["origin"].take();
        assert_eq!(answer, vector.answer, "{}", vector.about);
        if index == 0 {
            insta::assert_snapshot!("answer_to_a_new_viewer", format!("{answer:#}"));
        }
    }
}
