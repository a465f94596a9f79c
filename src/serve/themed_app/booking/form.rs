//! What a form sends.

use std::collections::BTreeMap;

use actix_web::http::header::{CONTENT_TYPE, HeaderName};
use actix_web::{HttpRequest, web};
use chrono::{NaiveDate, Utc};
use stickshift_contract::VersionCode;

use crate::booking::{Answers, Field, Problem};
use crate::serve::edge_headers::text;
use crate::serve::themed_app::browser::Sender;
use crate::serve::themed_app::draft::Draft;

/// How many bytes a form may have: 64 KiB.
const BODY_LIMIT: usize = 64 * 1024;

/// Counters stay below this, so that each has a next one. No viewer takes so many steps.
const COUNTER_LIMIT: u64 = 1 << 53;

/// What a person typed, valid or not. It has no `Debug`, because it is personal data.
#[derive(Clone, Default)]
pub(super) struct Typed(BTreeMap<Field, String>);

/// A posted form.
pub(super) struct Posted {
    pub(super) typed: Typed,
    /// The version whose page it comes from.
    pub(super) version: VersionCode,
    /// The counter of the activity as the page was rendered with it.
    pub(super) counter: u64,
    /// Whether the form began a booking when it was rendered.
    pub(super) replaces: bool,
    /// See [`Browser::form_mark`](crate::serve::themed_app::browser::Browser::form_mark).
    pub(super) mark: String,
    /// The id of the draft that the page showed.
    pub(super) draft: Option<String>,
}

/// Why a posted form is refused.
#[derive(Debug, Clone, Copy)]
pub(super) enum Refusal {
    /// A page of another origin has sent it.
    FromElsewhere,
    /// It does not come from a page that this browser got.
    Unchecked,
    /// It is no form.
    NoForm,
    /// It lacks what our pages put into every form.
    Incomplete,
    /// It has more than 64 KiB.
    TooLong,
}

impl Typed {
    /// The answers as a form shows them.
    pub(super) fn of(answers: &Answers) -> Self {
        Self(Field::EVERY.into_iter().filter_map(|field| Some((field, answers.text(field)?))).collect())
    }

    /// What is shown together with a draft: the draft's own step as it was typed, and of the rest what is not known.
    pub(super) fn with_draft(mut self, draft: &Draft) -> Self {
        for (field, value) in &draft.typed {
            if draft.step.fields().contains(field) || !self.0.contains_key(field) {
                self.0.insert(*field, value.clone());
            }
        }
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&self, field: Field) -> Option<&str> {
        self.0.get(&field).map(String::as_str)
    }

    /// The valid answers, and what is wrong with the others.
    pub(super) fn check(&self) -> (Answers, BTreeMap<Field, Problem>) {
        let (mut answers, mut problems) = (Answers::default(), BTreeMap::new());
        for field in Field::EVERY {
            let typed = self.get(field);
            if typed.is_none() && field.is_optional() {
                // Nobody has asked yet.
                continue;
            }
            if let Err(problem) = answers.take(field, typed.unwrap_or_default(), today()) {
                problems.insert(field, problem);
            }
        }
        (answers, problems)
    }

    /// What was typed, for a draft.
    pub(super) fn to_draft(&self) -> Vec<(Field, String)> {
        self.0.iter().map(|(field, value)| (*field, value.clone())).collect()
    }
}

impl Posted {
    /// Reads the form of a step. Errors: a [`Refusal`].
    pub(super) async fn read(request: &HttpRequest, payload: web::Payload) -> Result<Self, Refusal> {
        let fields = Self::fields(request, payload).await?;
        let value = |name: &str| fields.get(name).ok_or(Refusal::Incomplete);
        let typed = Field::EVERY.into_iter().filter_map(|field| Some((field, fields.get(field.as_str())?.clone())));
        let counter = value("counter")?.parse().ok().filter(|counter| *counter < COUNTER_LIMIT);
        Ok(Self {
            typed: Typed(typed.collect()),
            version: VersionCode::parse(value("version")?).map_err(|_| Refusal::Incomplete)?,
            counter: counter.ok_or(Refusal::Incomplete)?,
            replaces: fields.contains_key("replaces"),
            mark: value("mark")?.clone(),
            draft: fields.get("draft").cloned(),
        })
    }

    /// Reads a form that has a mark only. Errors: a [`Refusal`].
    pub(super) async fn read_mark(request: &HttpRequest, payload: web::Payload) -> Result<String, Refusal> {
        Self::fields(request, payload).await?.remove("mark").ok_or(Refusal::Incomplete)
    }

    /// Of fields with one name, the last counts.
    async fn fields(request: &HttpRequest, payload: web::Payload) -> Result<BTreeMap<String, String>, Refusal> {
        const FORM: &str = "application/x-www-form-urlencoded";
        const TYPE: HeaderName = CONTENT_TYPE;
        if Sender::of(request) == Sender::Other {
            return Err(Refusal::FromElsewhere);
        }
        let media_type = text(request.headers(), &TYPE).and_then(|value| value.split(';').next()).unwrap_or_default();
        if !media_type.trim().eq_ignore_ascii_case(FORM) {
            return Err(Refusal::NoForm);
        }
        let body = match payload.to_bytes_limited(BODY_LIMIT).await {
            Ok(Ok(body)) => body,
            Ok(Err(_)) => return Err(Refusal::NoForm),
            Err(_) => return Err(Refusal::TooLong),
        };
        // A field has one line. Browsers send no line ends, but they do send tabs.
        let plain = |value: &str| value.replace(char::is_control, " ");
        Ok(form_urlencoded::parse(&body).map(|(name, value)| (name.into_owned(), plain(&value))).collect())
    }
}

/// The date in UTC.
pub(super) fn today() -> NaiveDate {
    Utc::now().date_naive()
}
