//! The pages of the booking.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use stickshift_contract::{SameSite, Token, VersionCode};

use super::form::{Refusal, Typed, today};
use crate::booking::{Answers, Booking, Field, Flow, MOST_SEATS, Problem, SEAT_CENTS, Step, dates};
use crate::serve::themed_app::RenderError;
use crate::serve::themed_app::browser::Browser;
use crate::serve::themed_app::draft::Draft;
use crate::serve::themed_app::html;
use crate::serve::themed_app::language::Language;
use crate::store::activity::Activity;
use crate::theme::Theme;

/// What all pages of the booking have in common.
#[derive(Debug)]
pub(in crate::serve::themed_app) struct Pages {
    pub(in crate::serve::themed_app) version: VersionCode,
    pub(in crate::serve::themed_app) theme: Theme,
    pub(in crate::serve::themed_app) flow: Flow,
    /// Of the cookies.
    pub(in crate::serve::themed_app) same_site: SameSite,
}

/// The pages for one request.
pub(super) struct PagesFor<'a> {
    pages: &'a Pages,
    browser: &'a Browser,
    language: Language,
    /// See [`Browser::form_mark`].
    mark: String,
    gives_secret: bool,
}

/// What the page of a step shows.
pub(super) struct FormPage {
    pub(super) step: Step,
    pub(super) typed: Typed,
    pub(super) problems: BTreeMap<Field, Problem>,
    pub(super) notice: Option<Notice>,
    /// [`Activity::counter`].
    pub(super) counter: u64,
    /// Whether the step begins a booking.
    pub(super) replaces: bool,
    /// The mark that the form has kept from its first page; `None` for a new one.
    pub(super) mark: Option<String>,
    /// The id of the draft that is shown.
    pub(super) draft_id: Option<String>,
}

/// What happened, for the viewer.
pub(super) enum Notice {
    /// The session had ended. What was typed is in the form.
    Ended,
    /// The form was not taken, and the browser has not kept what was typed. Nothing is saved.
    DraftLost,
    /// The same, and something is saved.
    DraftGone,
    /// The session of this browser's last booking is over.
    NewSession,
    /// The viewer has come from another version half-way.
    OtherVersion,
    /// The booking has changed. Its answers now, if this browser may see them.
    Overtaken(Box<Answers>),
    /// The booking is confirmed.
    AlreadyConfirmed,
    /// The table did not answer.
    Unwritten,
    /// The form was not rendered for this browser and this session.
    Unchecked,
    /// Everything typed is deleted.
    Forgotten,
}

impl Notice {
    /// This was written since the form was rendered.
    pub(super) fn overtaken(booking: &Booking) -> Self {
        match booking.confirmed_at {
            Some(_) => Self::AlreadyConfirmed,
            None => Self::Overtaken(Box::new(booking.answers.clone())),
        }
    }

    /// Whether something that was sent is not saved.
    fn is_problem(&self) -> bool {
        !matches!(self, Self::DraftGone | Self::NewSession | Self::OtherVersion | Self::Forgotten)
    }
}

impl FormPage {
    fn empty(step: Step) -> Self {
        let (typed, problems) = (Typed::default(), BTreeMap::new());
        Self { step, typed, problems, notice: None, counter: 0, replaces: true, mark: None, draft_id: None }
    }

    /// The form of a draft. It still fits the activity as it was when the form was first rendered.
    pub(super) fn of_draft(step: Step, typed: Typed, draft: &Draft) -> Self {
        let Draft { counter, replaces, ref mark, .. } = *draft;
        Self { typed, counter, replaces, mark: Some(mark.clone()), ..Self::empty(step) }
    }

    /// A form that fits the activity as it is now.
    pub(super) fn new(step: Step, typed: Typed, activity: &Activity, booking: &Booking) -> Self {
        let replaces = booking.version.is_none() || booking.confirmed_at.is_some();
        Self { typed, counter: activity.counter, replaces, ..Self::empty(step) }
    }
}

/// A question, as its form shows it.
struct Input<'a> {
    name: &'static str,
    label: &'static str,
    hint: Option<String>,
    /// What one costs, and the language that the amount is written in.
    price: Option<(String, &'static str)>,
    kind: &'static str,
    autocomplete: &'static str,
    value: &'a str,
    is_optional: bool,
    problem: Option<&'a str>,
    range: Option<(String, String)>,
}

/// An answer, as people read it.
struct Row {
    label: &'static str,
    value: String,
    /// The tag of the language that the value is written in, if it is not the page's.
    language: Option<&'static str>,
    /// The step that asks for it, if it may still be changed.
    changed_in: Option<Step>,
}

#[derive(Template)]
#[template(path = "booking/form.html")]
struct FormTemplate<'a> {
    version: VersionCode,
    theme: &'a Theme,
    step: Step,
    place: usize,
    steps: usize,
    /// The step before.
    back: Option<Step>,
    inputs: Vec<Input<'a>>,
    hidden: Vec<(&'static str, &'a str)>,
    /// Whether something has to be sent again.
    is_error: bool,
    has_problems: bool,
    /// The answers to confirm.
    rows: Vec<Row>,
    notice: Option<&'a Notice>,
    /// The answers of the other tab.
    others: Vec<Row>,
    counter: u64,
    replaces: bool,
    /// Whether anything was entered.
    can_forget: bool,
    form_mark: String,
    draft_id: Option<String>,
    mark: String,
}

#[derive(Template)]
#[template(path = "booking/done.html")]
struct DoneTemplate<'a> {
    version: VersionCode,
    theme: &'a Theme,
    rows: Vec<Row>,
    another: Step,
    mark: String,
}

#[derive(Template)]
#[template(path = "booking/message.html")]
struct MessageTemplate<'a> {
    version: VersionCode,
    theme: &'a Theme,
    heading: &'static str,
    sentence: &'static str,
    /// Shows the button that deletes everything, if there is one.
    mark: Option<String>,
}

impl PagesFor<'_> {
    /// The page of a step.
    pub(super) fn form(self, status: StatusCode, page: FormPage) -> Result<HttpResponse, RenderError> {
        let Self { pages: &Pages { version, ref theme, flow, same_site }, browser, language, mark, gives_secret } =
            self;
        let FormPage { step, typed, mut problems, notice, counter, replaces, mark: first_mark, draft_id } = page;
        let is_asked = |field: &Field| step.fields().contains(field);
        problems.retain(|field, _| is_asked(field));
        let steps = flow.steps();
        let place = steps.iter().position(|other| *other == step).unwrap_or(0);
        let (answers, _) = typed.check();
        let others = match &notice {
            // The page of this step shows them anyway.
            Some(Notice::Overtaken(answers)) if step != Step::Confirm => rows(answers, language, flow, false),
            _ => Vec::new(),
        };
        let hidden = Field::EVERY.into_iter().filter(|field| !is_asked(field));
        let template = FormTemplate {
            version,
            theme,
            step,
            place: place + 1,
            steps: steps.len(),
            back: place.checked_sub(1).map(|before| steps[before]),
            inputs: step.fields().iter().map(|field| input(*field, &typed, &problems, language)).collect(),
            hidden: hidden.filter_map(|field| Some((field.as_str(), typed.get(field)?))).collect(),
            is_error: !problems.is_empty() || notice.as_ref().is_some_and(Notice::is_problem),
            has_problems: !problems.is_empty(),
            rows: if step == Step::Confirm { rows(&answers, language, flow, true) } else { Vec::new() },
            notice: notice.as_ref(),
            others,
            counter,
            replaces,
            can_forget: !typed.is_empty(),
            form_mark: first_mark.unwrap_or_else(|| mark.clone()),
            draft_id,
            mark,
        };
        let mut response = html(status).body(template.render()?);
        if gives_secret {
            // It lasts as long as the session's cookie.
            super::add_cookie(&mut response, &browser.cookie(same_site));
        }
        Ok(response)
    }

    /// The page of a booking that is confirmed.
    pub(super) fn done(self, booking: &Booking) -> Result<HttpResponse, RenderError> {
        let Pages { version, theme, flow, .. } = self.pages;
        let template = DoneTemplate {
            version: *version,
            theme,
            rows: rows(&booking.answers, self.language, *flow, false),
            another: flow.steps()[0],
            mark: self.mark,
        };
        Ok(html(StatusCode::OK).body(template.render()?))
    }
}

impl Pages {
    /// Pages for a browser in a session, if it has one. `gives_secret`: whether the browser may get its secret.
    pub(super) fn for_request<'a>(
        &'a self,
        request: &HttpRequest,
        browser: &'a Browser,
        session: Option<Token>,
        gives_secret: bool,
    ) -> PagesFor<'a> {
        PagesFor {
            pages: self,
            browser,
            language: Language::of(request),
            mark: browser.form_mark(session),
            gives_secret,
        }
    }

    /// The booking cannot be read.
    pub(super) fn unreadable(&self) -> Result<HttpResponse, RenderError> {
        self.message(
            StatusCode::SERVICE_UNAVAILABLE,
            "Your booking cannot be read just now",
            "Nothing is lost. Please try again in a moment.",
            None,
        )
    }

    /// What was typed cannot be deleted. `mark`: of the form that asked for it.
    pub(super) fn not_forgotten(&self, mark: String) -> Result<HttpResponse, RenderError> {
        self.message(
            StatusCode::SERVICE_UNAVAILABLE,
            "Your booking could not be deleted just now",
            "What you entered may still be there. Please try again in a moment.",
            Some(mark),
        )
    }

    /// A form that is refused.
    pub(super) fn refuse(&self, refusal: Refusal) -> Result<HttpResponse, RenderError> {
        let (status, heading, sentence) = match refusal {
            Refusal::FromElsewhere => (
                StatusCode::FORBIDDEN,
                "This form came from another site",
                "Nothing was changed. If you want to book a trip, please begin here.",
            ),
            Refusal::Unchecked => (
                StatusCode::FORBIDDEN,
                "This form could not be checked",
                "Nothing was changed, because your browser has no cookie that belongs to the form. Please open the \
                 booking again.",
            ),
            Refusal::NoForm => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "This is not a form of ours",
                "Nothing was changed. Please send the form from its page.",
            ),
            Refusal::Incomplete => (
                StatusCode::BAD_REQUEST,
                "This form is not complete",
                "Nothing was changed. Please send the form from its page.",
            ),
            Refusal::TooLong => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "This form is too long",
                "Nothing was changed. Please go back and shorten your text.",
            ),
        };
        self.message(status, heading, sentence, None)
    }

    fn message(
        &self,
        status: StatusCode,
        heading: &'static str,
        sentence: &'static str,
        mark: Option<String>,
    ) -> Result<HttpResponse, RenderError> {
        let template = MessageTemplate { version: self.version, theme: &self.theme, heading, sentence, mark };
        Ok(html(status).body(template.render()?))
    }
}

/// The answers that a flow asks for, as far as they are known.
fn rows(answers: &Answers, language: Language, flow: Flow, may_change: bool) -> Vec<Row> {
    let row = |field: Field| {
        let step = flow.steps().iter().copied().find(|step| step.fields().contains(&field))?;
        let (label, value, is_formatted) = match field {
            Field::Date => ("Date", language.date(answers.date?), true),
            Field::Seats => ("Seats", answers.seats?.to_string(), false),
            Field::Name => ("Name", answers.name.clone()?, false),
            Field::Email => ("E-mail", answers.email.clone()?, false),
            Field::Wishes => ("Wishes", answers.wishes.clone().filter(|wishes| !wishes.is_empty())?, false),
        };
        let language = is_formatted.then(|| language.tag());
        Some(Row { label, value, language, changed_in: may_change.then_some(step) })
    };
    let price = answers.seats.map(|seats| Row {
        label: "Price",
        value: language.euros(SEAT_CENTS * u32::from(seats)),
        language: Some(language.tag()),
        changed_in: None,
    });
    let (trip, person) = ([Field::Date, Field::Seats], [Field::Name, Field::Email, Field::Wishes]);
    trip.into_iter().filter_map(row).chain(price).chain(person.into_iter().filter_map(row)).collect()
}

fn input<'a>(field: Field, typed: &'a Typed, problems: &'a BTreeMap<Field, Problem>, language: Language) -> Input<'a> {
    let (label, hint, kind, autocomplete) = match field {
        Field::Date => ("Date", None, "date", "off"),
        Field::Seats => ("Seats", Some(format!("1 to {MOST_SEATS}")), "number", "off"),
        Field::Name => ("Name", None, "text", "name"),
        Field::Email => {
            ("E-mail address", Some("For this demonstration, nothing is sent.".to_owned()), "email", "email")
        }
        Field::Wishes => ("Wishes (optional)", Some("For example a seat at the window".to_owned()), "text", "off"),
    };
    let range = match field {
        Field::Date => {
            let dates = dates(today());
            Some((dates.start().to_string(), dates.end().to_string()))
        }
        Field::Seats => Some(("1".to_owned(), MOST_SEATS.to_string())),
        Field::Name | Field::Email | Field::Wishes => None,
    };
    Input {
        name: field.as_str(),
        label,
        hint,
        price: (field == Field::Seats).then(|| (language.euros(SEAT_CENTS), language.tag())),
        kind,
        autocomplete,
        value: typed.get(field).unwrap_or_default(),
        is_optional: field.is_optional(),
        problem: problems.get(&field).map(|problem| problem.0.as_str()),
        range,
    }
}
