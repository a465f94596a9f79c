//! The forms: each first shows what would change, then changes it, by the functions of the command line.

mod asked;

use std::collections::BTreeSet;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path, Query, ReqData};
use anyhow::{Context as _, Result, anyhow};
use askama::Template;
use stickshift_contract::{PASS_HEADER, Plan, VersionCode};
use stickshift_rollout::Change;

use asked::{Asked, Field, Verb};

use super::Facts;
use super::board::Board;
use super::guard::{Guard, Viewer};
use super::page::{Message, html, not_found, see};
use crate::operator::change::{self, Dangerous, Outrun, Proposal, Terms};
use crate::operator::preview::Preview;
use crate::operator::{steer, words};

/// A form.
#[derive(Template)]
#[template(path = "dashboard/change.html")]
struct ChangePage<'a> {
    site: &'a str,
    title: String,
    about: String,
    button: &'static str,
    problem: Option<String>,
    version: Option<VersionCode>,
    to: Option<u64>,
    field: Option<Field>,
    rows: Vec<Row>,
    dangers: Vec<String>,
    /// The end of a drain, in Unix seconds.
    ends: Option<u64>,
    /// The rollout that is steered.
    run: Option<steer::Seen>,
    /// The revision that is in force, if the change can be made.
    confirm: Option<u64>,
    csrf: &'a str,
    reason: String,
    longest_reason: usize,
    is_abort: bool,
    /// Who reads the reason.
    readers: &'static str,
}

/// A version, or the rollout, before and after.
struct Row {
    name: String,
    before: String,
    after: String,
}

/// Whom a change is by, and what it depends on.
struct Context<'a> {
    verb: Verb,
    facts: &'a Facts,
    csrf: &'a str,
}

impl Context<'_> {
    /// The form, with what the change would do. `problem`: what went wrong when it was sent.
    async fn page(&self, asked: &Asked, problem: Option<String>) -> ChangePage<'_> {
        let Self { verb, facts, csrf } = *self;
        let version = asked.version().ok().filter(|_| verb.takes_version());
        let title = match (version, asked.to().ok().filter(|_| verb == Verb::Undo)) {
            (Some(version), _) => format!("{}: version {version}", verb.button()),
            (_, Some(to)) => format!("Undo: back to revision {to}"),
            _ => format!("{} the rollout", verb.button()),
        };
        let mut page = ChangePage {
            site: &facts.site.name,
            title,
            about: verb.about().to_owned(),
            button: verb.button(),
            problem,
            version,
            to: asked.to().ok(),
            field: asked.field(verb),
            rows: Vec::new(),
            dangers: Vec::new(),
            ends: None,
            run: None,
            confirm: None,
            csrf,
            reason: asked.reason.clone().unwrap_or_default(),
            longest_reason: words::LONGEST_REASON,
            is_abort: verb == Verb::Abort,
            readers: match verb {
                Verb::Preview => "the log of the dashboard",
                Verb::Pause | Verb::Resume => "whoever looks at the rollout",
                _ => "the history",
            },
        };
        if verb.takes_version()
            && let Err(cause) = asked.version()
        {
            (page.field, page.problem) = (None, Some(format!("{cause:#}")));
            return page;
        }
        if page.field.as_ref().is_some_and(|field| !field.is_chosen) {
            return page;
        }
        if let Err(cause) = self.preview_of_change(asked, &mut page).await {
            page.problem.get_or_insert_with(|| format!("{cause:#}"));
        }
        page
    }

    /// Puts what would change on the page, and what speaks against it. Errors: it is refused.
    async fn preview_of_change(&self, asked: &Asked, page: &mut ChangePage<'_>) -> Result<()> {
        let site = &self.facts.site;
        let Some((change, _)) = asked.change(self.verb, site, "").await? else {
            return self.preview_beside(asked, page).await;
        };
        if let Change::Drain { until, .. } = &change {
            page.ends = *until;
        }
        match Proposal::new(site, change, 0).await {
            Ok(proposal) => {
                page.rows = rows(&proposal.before.plan, &proposal.after);
                page.dangers = proposal.dangers(site).await?;
                page.confirm = Some(proposal.before.plan.revision());
                Ok(())
            }
            // The version is out already, and its rollout goes on.
            Err(cause) if self.verb == Verb::Abort && steer::canary_of_run(site).await == Some(asked.version()?) => {
                let plan = site.plan_in_force().await?.plan;
                page.about = format!("The plan stays as it is: {cause}. Only the rollout to the version ends.");
                (page.rows, page.confirm) = (rows(&plan, &plan), Some(plan.revision()));
                Ok(())
            }
            Err(cause) => Err(cause),
        }
    }

    /// The same for what leaves the plan as it is.
    async fn preview_beside(&self, asked: &Asked, page: &mut ChangePage<'_>) -> Result<()> {
        let site = &self.facts.site;
        let plan = site.plan_in_force().await?.plan;
        page.rows = rows(&plan, &plan);
        page.confirm = Some(plan.revision());
        if self.verb == Verb::Preview {
            page.confirm = None;
            // What keeps a link from being made is said before the button, and this link is thrown away.
            asked.preview(site).await?;
            page.confirm = Some(plan.revision());
            return Ok(());
        }
        page.confirm = None;
        let run = site.runs.read().await?.context("no rollout runs")?;
        let after = if self.verb == Verb::Pause {
            run.clone().pause(String::new())?;
            "paused: it takes no step"
        } else {
            run.clone().resume("")?;
            "it goes on"
        };
        page.run = Some(steer::Seen::of(&run));
        let before = words::place(&run) + if run.paused.is_some() { ", paused" } else { "" };
        page.rows.push(Row { name: format!("rollout to {}", run.canary()), before, after: after.to_owned() });
        page.confirm = Some(plan.revision());
        Ok(())
    }

    /// Does it. Errors: it is refused, dangerous, or somebody else was faster.
    async fn make(&self, asked: &Asked, name: Option<&str>) -> Result<HttpResponse> {
        let site = &self.facts.site;
        let reason = asked.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty());
        let reason = reason.context("say why")?;
        let reason = words::parse_reason(reason).map_err(|problem| anyhow!(problem))?;
        let by = match name {
            Some(name) => name.to_owned(),
            None => site.caller().await?,
        };
        match self.verb {
            Verb::Preview => {
                let preview = asked.preview(site).await?;
                let (version, until) = (asked.version()?, words::time(preview.expires));
                log::info!("{by} made a link that shows version {version} until {until}: {reason}");
                return Ok(link(&preview));
            }
            Verb::Pause => drop(steer::pause(site, &by, &reason, Some(&asked.run()?)).await?),
            Verb::Resume => drop(steer::resume(site, &format!("{by}: {reason}"), Some(&asked.run()?)).await?),
            verb => {
                let changed = asked.change(verb, site, &reason).await?;
                let (change, reason) = changed.context("the form does not say what to change")?;
                let seen = asked.seen.as_deref().and_then(|seen| seen.parse().ok());
                let seen = Some(seen.context("the form does not say which plan it was made for")?);
                let is_forced = asked.force.is_some();
                if is_forced {
                    // Only the dangers that the page has shown.
                    let dangers = Proposal::new(site, change.clone(), 0).await?.dangers(site).await?;
                    if asked.dangers.as_deref() != Some(dangers.join("; ").as_str()) {
                        return Err(Dangerous(dangers).into());
                    }
                }
                let terms = Terms { by: Some(by), reason, is_dry_run: false, is_forced, seen, above: 0 };
                match change {
                    Change::Abort { version, leaving } => {
                        change::abort(site, version, leaving, &terms).await?;
                    }
                    change => drop(change::change(site, &change, &terms).await?),
                }
            }
        }
        Ok(see("/").finish())
    }
}

/// Two plans side by side.
fn rows(before: &Plan, after: &Plan) -> Vec<Row> {
    let versions: BTreeSet<VersionCode> = before.versions().keys().chain(after.versions().keys()).copied().collect();
    let row = |version: VersionCode| Row {
        name: version.to_string(),
        before: words::version(before, version),
        after: words::version(after, version),
    };
    versions.into_iter().map(row).collect()
}

fn link(preview: &Preview) -> HttpResponse {
    let lines = vec![
        format!(
            "Open it before {}. The browser then sees the version until {}, with a session of its own there.",
            words::time(preview.redeem_by),
            words::time(preview.expires)
        ),
        format!("To end it earlier: {}", preview.leave),
        format!("For programs, as a header: {PASS_HEADER}: {}", preview.header),
    ];
    Message::new("A link for one browser", lines).with_link(&preview.link).answer(StatusCode::OK)
}

/// `GET /changes/{verb}`: what would change.
pub(super) async fn ask(
    verb: Path<String>,
    asked: Query<Asked>,
    facts: Data<Facts>,
    guard: Data<Guard>,
) -> HttpResponse {
    let Some(verb) = Verb::parse(&verb) else { return not_found().await };
    let context = Context { verb, facts: &facts, csrf: guard.csrf() };
    // A link must not fill in what the operator has to say.
    let asked = asked.into_inner().without_answers();
    html(StatusCode::OK, &context.page(&asked, None).await)
}

/// `POST /changes/{verb}`: changes it.
pub(super) async fn make(
    verb: Path<String>,
    asked: Form<Asked>,
    facts: Data<Facts>,
    guard: Data<Guard>,
    board: Data<std::sync::Arc<Board>>,
    viewer: ReqData<Viewer>,
) -> HttpResponse {
    let Some(verb) = Verb::parse(&verb) else { return not_found().await };
    let context = Context { verb, facts: &facts, csrf: guard.csrf() };
    if !asked.csrf.as_deref().is_some_and(|csrf| guard.is_own_form(csrf)) {
        let problem = "the form is from before the dashboard started: look at the plan once more".to_owned();
        return html(StatusCode::FORBIDDEN, &context.page(&asked, Some(problem)).await);
    }
    match context.make(&asked, viewer.name.as_deref()).await {
        Ok(answer) => {
            board.note_change();
            answer
        }
        Err(cause) => {
            board.note_change();
            let is_conflict = cause.is::<Outrun>() || cause.is::<Dangerous>() || cause.is::<steer::Changed>();
            let status = if is_conflict { StatusCode::CONFLICT } else { StatusCode::UNPROCESSABLE_ENTITY };
            let problem = match cause.downcast_ref() {
                Some(Dangerous(_)) => "nothing was changed, because it is dangerous: see below".to_owned(),
                None => format!("{cause:#}"),
            };
            html(status, &context.page(&asked, Some(problem)).await)
        }
    }
}
