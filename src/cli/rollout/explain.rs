//! `stickshift rollout explain`: what the edge would decide now, and why. It asks the edge's own core.

use std::io::Read as _;

use anyhow::{Context as _, Result};
use clap::Args;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::json;
use stickshift::clock::unix_now;
use stickshift::store::plans::read_plan;
use stickshift::store::sessions::SessionStore;
use stickshift_contract::{Claim, Plan, Receipt, Route, SessionCookie, SessionItem, cookie_values};
use stickshift_edge::{Answer, Considered, Decision, LookUp, Request, Router, RouterConfig, StoredSession};

use super::site::Site;
use super::words;

#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The value of the Cookie header or of the session cookie alone; `-` reads it from stdin, so that it is in no
    /// shell history
    cookie: String,
    /// The path that the viewer asks for
    #[arg(long, value_name = "PATH", default_value = "/")]
    path: String,
    /// What the edge in this region of AWS would decide, by what the replica nearest to it has
    #[arg(long, value_name = "REGION")]
    from: Option<String>,
}

/// A step towards the decision, and what it found.
struct Step(&'static str, String);

impl Explain {
    pub(super) async fn run(self, site: &Site) -> Result<()> {
        let cookie = self.cookie()?;
        let replica = match &self.from {
            Some(region) => Some(site.nearest_replica(region).await?),
            None => None,
        };
        let plan = match &replica {
            Some(replica) => {
                let plan = read_plan(&replica.client, &site.rollout_table).await;
                let plan = plan.with_context(|| format!("could not read the plan in {}", replica.region))?;
                plan.with_context(|| format!("there is no plan in {} yet", replica.region))?
            }
            None => site.plan_in_force().await?.plan,
        };
        let now = unix_now();
        let settings = site.cookie()?;
        let router = Router::new(RouterConfig::new(settings.clone(), plan.clone()));
        router.adopt(plan.clone(), now);
        let mut incoming = router.read(&self.request(&cookie), now);
        let unverified = if settings.keys.is_none() { unverified(&cookie) } else { None };
        if let Some(receipt) = unverified {
            incoming.claim = Claim::Receipt(receipt);
        }
        let what = if incoming.asset.is_some() { "an asset" } else { "a page that a browser opens" };
        let mut steps = vec![
            Step("request", format!("GET {}, {what}", self.path)),
            Step("cookie", cookie_in_words(&incoming.claim, unverified.is_some(), &settings, now)),
            Step("plan", plan_in_words(&plan, &incoming.claim)),
        ];
        if let Some(replica) = &replica {
            steps.push(Step("replica", format!("plan and session as {} has them", replica.region)));
        }
        if let Some(version) = incoming.pass {
            let counts = if plan.is_open(version) { "" } else { ", which the plan does not show to anybody" };
            steps.push(Step("pass", format!("a valid pass to version {version}{counts}")));
        }
        let mut has_looked_up = false;
        let mut considered = router.consider(incoming, now);
        let knowledge = loop {
            match considered {
                Considered::Ready(knowledge) => break knowledge,
                Considered::Needs(look_up) => {
                    let sessions = replica.as_ref().map_or(&site.sessions, |replica| &replica.sessions);
                    let session = read(sessions, &look_up).await?;
                    has_looked_up = true;
                    steps.push(Step("look-up", session_in_words(&session)));
                    considered = router.learn(look_up, Answer { session, plan: Some(plan.clone()) }, now, 0);
                }
            }
        };
        if !has_looked_up {
            steps.push(Step("look-up", "not needed".to_owned()));
        }
        let decision = router.decide(&knowledge, now, &mut StdRng::seed_from_u64(now));
        steps.push(Step("decision", decision_in_words(&decision, &plan)));
        print(site, &steps, &decision)
    }

    fn cookie(&self) -> Result<String> {
        if self.cookie != "-" {
            return Ok(self.cookie.trim().to_owned());
        }
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("could not read the cookie from stdin")?;
        Ok(text.trim().to_owned())
    }

    /// The request of a browser that opens a page with this cookie.
    fn request(&self, cookie: &str) -> Request {
        let mut request = Request { method: "GET".to_owned(), uri: self.path.clone(), ..Request::default() };
        let is_https = cookie.contains("__Host-");
        let pairs = if cookie.contains('=') { cookie.to_owned() } else { format!("{}={cookie}", SessionCookie::NAME) };
        request.headers.set("Cookie", pairs);
        request.headers.set("Sec-Fetch-Dest", "document".to_owned());
        request.headers.set("CloudFront-Forwarded-Proto", if is_https { "https" } else { "http" }.to_owned());
        request
    }
}

/// The receipt of a cookie whose tag cannot be checked.
fn unverified(cookie: &str) -> Option<Receipt> {
    let named = [SessionCookie::PREFIXED_NAME, SessionCookie::NAME];
    let mut values = named.iter().flat_map(|name| cookie_values(cookie.as_bytes(), name));
    values.find_map(Receipt::read_unverified).or_else(|| Receipt::read_unverified(cookie))
}

async fn read(sessions: &SessionStore, look_up: &LookUp) -> Result<StoredSession> {
    for token in &look_up.tokens {
        let item = sessions.read(*token).await.context("could not read the session")?;
        if let Some(item) = item {
            return Ok(StoredSession::Found(item));
        }
    }
    Ok(if look_up.tokens.is_empty() { StoredSession::Unasked } else { StoredSession::Absent })
}

fn cookie_in_words(claim: &Claim, is_unverified: bool, settings: &SessionCookie, now: u64) -> String {
    match claim {
        Claim::Receipt(receipt) => {
            let Receipt { token, version, placed, started, touched } = receipt;
            let age = now.saturating_sub(*touched);
            let tag = if is_unverified { "its tag was NOT checked: there are no keys" } else { "its tag is valid" };
            format!(
                "a receipt of version {version} for session {}, {age} s old, placed {placed}, begun {}; {tag}",
                token.short(),
                words::time(*started)
            )
        }
        Claim::Bare(tokens) => {
            let tokens: Vec<_> = tokens.iter().map(|token| token.short().to_owned()).collect();
            format!("a bare token: {}", tokens.join(", "))
        }
        Claim::Nothing if settings.keys.is_some() => {
            "no session cookie that counts: there is none, its tag is wrong, or its session is past its end".to_owned()
        }
        Claim::Nothing => "no session cookie".to_owned(),
    }
}

fn plan_in_words(plan: &Plan, claim: &Claim) -> String {
    let versions: Vec<_> = match claim {
        Claim::Receipt(receipt) => vec![receipt.version],
        Claim::Bare(_) | Claim::Nothing => plan.versions().keys().copied().collect(),
    };
    let versions = versions.into_iter().map(|version| format!("version {version} {}", words::version(plan, version)));
    format!("revision {}: {}", plan.revision(), versions.collect::<Vec<_>>().join("; "))
}

fn session_in_words(session: &StoredSession) -> String {
    match session {
        StoredSession::Found(SessionItem { version, touched, expiration, .. }) => {
            let version = version.map_or_else(|| "no version".to_owned(), |version| format!("version {version}"));
            format!("the item is on {version}, touched {}, ends {}", words::time(*touched), words::time(*expiration))
        }
        StoredSession::Unasked => "the plan alone".to_owned(),
        _ => "the table has no item".to_owned(),
    }
}

fn decision_in_words(decision: &Decision, plan: &Plan) -> String {
    let Decision { version, route, from } = decision;
    if *route == Route::Roll {
        let live = plan.versions().iter().filter(|(_, planned)| planned.weight.basis_points() > 0);
        let shares = live.map(|(version, planned)| format!("version {version} with {} %", planned.weight));
        return format!("roll: drawn by weight, {}", shares.collect::<Vec<_>>().join(", "));
    }
    let from = from.map_or_else(String::new, |from| format!(", from version {from}"));
    format!("{route}: version {version}{from}")
}

fn print(site: &Site, steps: &[Step], decision: &Decision) -> Result<()> {
    if site.is_json {
        let steps: Vec<_> = steps.iter().map(|Step(what, words)| json!({ "step": what, "found": words })).collect();
        let version = (decision.route != Route::Roll).then(|| decision.version.to_string());
        let told = json!({ "route": decision.route.as_str(), "version": version, "steps": steps });
        return words::show(&told.to_string());
    }
    let rows: Vec<_> = steps.iter().map(|Step(what, words)| vec![(*what).to_owned(), words.clone()]).collect();
    words::show(&format!("{}\n\n{}", site.name, words::table(&rows)))
}
