//! The booking: its pages, its steps, and "forget me".
//!
//! A page reads the session's item. A step checks what was typed, writes it together with the renewal of
//! the session, and sends the browser on to the next page. What cannot be written goes into a draft, and
//! the browser is sent back to its form, which tells why. So back and reload never send anything again.

mod form;
mod pages;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, LOCATION, SET_COOKIE};
use actix_web::{HttpRequest, HttpResponse, web};
use stickshift_contract::{Kind, Route};
use stickshift_session::Session;

use super::browser::{Browser, Sender};
use super::draft::{Draft, DraftSeal, Reason};
use super::{RenderError, html};
use crate::booking::{Answers, Booking, Step};
use crate::clock::unix_now;
use crate::serve::answers::not_found;
use crate::serve::session_layer::{Entered, SessionLayer, Taken};
use crate::store::activity::{Activity, ActivityStep};
use form::{Posted, Refusal, Typed};
pub(super) use pages::Pages;
use pages::{FormPage, Notice, PagesFor};

type Rendered = Result<HttpResponse, RenderError>;

/// The last page. It is no step.
const DONE: &str = "done";

/// The query of a page with a draft: `draft=<id>`.
const DRAFT: &str = "draft=";
/// The query of the first page after "forget me".
const FORGOTTEN: &str = "forgotten";
/// The query of the first page of a viewer whose last session is over.
const ENDED: &str = "ended";

/// `/booking`, `/booking/<step>` and `/booking/done`
pub(super) async fn show(
    request: HttpRequest,
    layer: web::Data<SessionLayer>,
    pages: web::Data<Pages>,
    drafts: web::Data<DraftSeal>,
) -> HttpResponse {
    layer.in_session(&request, async |entered| show_in(entered, &request, &layer, &pages, &drafts).await).await
}

/// The page of an address of the booking, in a session.
async fn show_in(
    Entered { session, kind, route, .. }: Entered,
    request: &HttpRequest,
    layer: &SessionLayer,
    pages: &Pages,
    drafts: &DraftSeal,
) -> Rendered {
    let name = request.match_info().get("step");
    if name.is_some_and(|name| name != DONE && Step::parse(name).is_none()) {
        return Ok(not_found().await);
    }
    let browser = Browser::of(request);
    let token = match session {
        Session::Here { receipt, .. } | Session::New(receipt) => Some(receipt.token),
        _ => None,
    };
    // Nobody gets a cookie for a request that has no effect on a session.
    let pages_for = pages.for_request(request, &browser, token, token.is_some() && kind != Kind::Rest);
    let query = request.query_string();
    let draft_id = query.strip_prefix(DRAFT);
    let draft = draft_id.and_then(|id| Some((id, drafts.read(request, &browser, id, unix_now())?)));
    let activity = match (session, &draft) {
        (Session::Here { receipt, .. }, _) => match layer.store().read_activity(receipt.token).await {
            Ok(activity) => activity,
            Err(cause) => {
                layer.note_activity_failure(&cause);
                return unreadable(pages, pages_for, draft);
            }
        },
        (Session::Unknown | Session::Misdirected, _) => return unreadable(pages, pages_for, draft),
        // The first page tells of it.
        (Session::Elsewhere { .. }, None) => return Ok(see("/")),
        _ => Activity::default(),
    };
    let booking = Booking::read(&activity, &browser.owner_mark());
    if draft.as_ref().is_some_and(|(_, draft)| draft.reason == Reason::Unwritten && is_saved(draft, &booking)) {
        return Ok(see("/booking"));
    }
    let flow = pages.flow;
    let wanted = name.and_then(|name| flow.step(name));
    if booking.confirmed_at.is_some() && draft.is_none() && wanted != flow.steps().first().copied() {
        return if name == Some(DONE) { pages_for.done(&booking) } else { Ok(see("/booking/done")) };
    }
    // A booking that is confirmed is no part of the next one.
    let answers = if booking.confirmed_at.is_some() { Answers::default() } else { booking.answers.clone() };
    let typed = draft.iter().fold(Typed::of(&answers), |typed, (_, draft)| typed.with_draft(draft));
    let (answers, mut problems) = typed.check();
    let step = flow.step_to_show(wanted, &answers);
    // Under a pass, a new session does not mean that the last one has ended.
    let is_new_session = matches!(session, Session::New(_)) && !browser.is_new && route != Some(Route::Pass);
    if name != Some(step.as_str()) {
        let query = match query {
            _ if draft_id.is_some() || query == FORGOTTEN || query == ENDED => format!("?{query}"),
            _ if is_new_session => format!("?{ENDED}"),
            _ => String::new(),
        };
        return Ok(see(&format!("/booking/{}{query}", step.as_str())));
    }
    let notice = match &draft {
        Some((_, draft)) => notice_of_draft(draft.reason, &booking),
        None => notice_of_query(query, is_new_session, &browser, &booking),
    };
    let is_moved = booking.is_half_way_on_another(pages.version);
    let notice = notice.or_else(|| is_moved.then_some(Notice::OtherVersion));
    match &draft {
        Some((_, draft)) if draft.reason == Reason::Problems => {}
        Some(_) => problems.clear(),
        // A saved answer may have become invalid since: a date passes.
        None => problems.retain(|field, _| typed.get(*field).is_some()),
    }
    let page = match &draft {
        Some((_, draft)) if matches!(draft.reason, Reason::Problems | Reason::Unwritten) => {
            FormPage::of_draft(step, typed, draft)
        }
        _ => FormPage::new(step, typed, &activity, &booking),
    };
    let draft_id = draft.map(|(id, _)| id.to_owned());
    pages_for.form(StatusCode::OK, FormPage { notice, problems, draft_id, ..page })
}

/// The page while nobody can tell what is saved. With a draft it is the form, as it was sent.
fn unreadable(pages: &Pages, pages_for: PagesFor<'_>, draft: Option<(&str, Draft)>) -> Rendered {
    let Some((id, draft)) = draft else { return pages.unreadable() };
    let typed = Typed::default().with_draft(&draft);
    let (answers, mut problems) = typed.check();
    let step = pages.flow.step_to_show(Some(draft.step), &answers);
    let notice = (draft.reason != Reason::Problems).then_some(Notice::Unwritten);
    if notice.is_some() {
        problems.clear();
    }
    let draft_id = Some(id.to_owned());
    let page = FormPage { notice, problems, draft_id, ..FormPage::of_draft(step, typed, &draft) };
    pages_for.form(StatusCode::SERVICE_UNAVAILABLE, page)
}

/// Whether the form of a draft is in the item after all.
fn is_saved(draft: &Draft, booking: &Booking) -> bool {
    let (answers, _) = Typed::default().with_draft(draft).check();
    booking.is_left_by(draft.counter, &answers, draft.step == Step::Confirm)
}

fn notice_of_draft(reason: Reason, booking: &Booking) -> Option<Notice> {
    match reason {
        // The errors are shown beside the fields.
        Reason::Problems => None,
        Reason::Unwritten => Some(Notice::Unwritten),
        Reason::Overtaken => Some(Notice::overtaken(booking)),
        // The session has another booking.
        Reason::Ended | Reason::Unchecked if booking.version.is_some() => Some(Notice::overtaken(booking)),
        Reason::Ended => Some(Notice::Ended),
        Reason::Unchecked => Some(Notice::Unchecked),
    }
}

/// The notice for an address without a draft. The address alone proves nothing: somebody may have sent it, or gone on
/// since.
fn notice_of_query(query: &str, is_new_session: bool, browser: &Browser, booking: &Booking) -> Option<Notice> {
    let is_empty = booking.version.is_none();
    match query {
        _ if query.starts_with(DRAFT) => Some(if is_empty { Notice::DraftLost } else { Notice::DraftGone }),
        _ if !is_empty || browser.is_new => None,
        _ if is_new_session || query == ENDED => Some(Notice::NewSession),
        _ => (query == FORGOTTEN).then_some(Notice::Forgotten),
    }
}

/// A posted `/booking/<step>`
pub(super) async fn take_step(
    request: HttpRequest,
    payload: web::Payload,
    layer: web::Data<SessionLayer>,
    pages: web::Data<Pages>,
    drafts: web::Data<DraftSeal>,
) -> Rendered {
    let Some(step) = Step::parse(request.match_info().query("step")) else {
        return Ok(layer.in_session(&request, async |_| not_found().await).await);
    };
    let posted = match Posted::read(&request, payload).await {
        Ok(posted) => posted,
        Err(refusal) => return refuse(&request, &layer, &pages, refusal).await,
    };
    let browser = Browser::of(&request);
    if browser.is_new && Sender::of(&request) != Sender::Ours {
        // The answer would replace the cookies that a page of another site could not send.
        return refuse(&request, &layer, &pages, Refusal::Unchecked).await;
    }
    let form_session = browser.session_of_form(&posted.mark, &layer.claimed_tokens(&request));
    let (answers, problems) = posted.typed.check();
    let is_answered = step.fields().iter().all(|field| !problems.contains_key(field));
    // A form of another version brings its answers. Only a form of ours confirms.
    let finishes = step == Step::Confirm && posted.version == pages.version;
    let is_complete = pages.flow.steps().iter().all(|step| answers.have_all_of(*step));
    let mut write = form_session.filter(|_| is_answered && (is_complete || !finishes)).map(|session| ActivityStep {
        session,
        counter: posted.counter,
        next_counter: posted.counter + 1,
        owner: browser.owner_mark(),
        replaces: posted.replaces,
        entries: Booking::entries(posted.version, &answers, finishes.then(unix_now)),
        finishes,
    });
    let (mut session, mut taken) = layer.take_step(&request, write.as_ref()).await;
    if let (Taken::Overtaken(Activity { counter: 0, .. }), Some(write), 1..) = (&taken, &mut write, posted.counter) {
        // The session has lost its item and got a new one. The form has every answer that was in it.
        (write.counter, write.replaces) = (0, true);
        (session, taken) = layer.take_step(&request, Some(write)).await;
    }
    let is_written = match (&session, &taken) {
        (Ok(Session::Here { .. }), Taken::Written) => true,
        (Ok(Session::Here { .. }), Taken::Overtaken(activity)) => {
            Booking::read(activity, &browser.owner_mark()).is_left_by(posted.counter, &answers, finishes)
        }
        _ => false,
    };
    let mut response = if is_written {
        let next = if finishes { DONE } else { pages.flow.step_to_show(None, &answers).as_str() };
        let mut response = see(&format!("/booking/{next}"));
        let has_draft = |id: &String| drafts.read(&request, &browser, id, unix_now()).is_some();
        if posted.draft.is_some_and(|id| has_draft(&id)) {
            delete_draft(&request, &drafts, &mut response);
        }
        response
    } else {
        let reason = match (&session, &taken) {
            (Ok(Session::Here { .. }), Taken::Overtaken(_)) => Reason::Overtaken,
            (Ok(Session::Here { receipt, .. }), Taken::NoSession) if form_session != Some(receipt.token) => {
                Reason::Unchecked
            }
            (Ok(Session::Here { .. }), Taken::NoSession) if write.is_none() => Reason::Problems,
            // A post begins no session. The page does, and finds what was typed in the draft.
            (Ok(Session::Absent), _) => Reason::Ended,
            _ => Reason::Unwritten,
        };
        let Posted { typed, counter, replaces, mark, .. } = posted;
        let draft = Draft { step, typed: typed.to_draft(), reason, counter, replaces, mark };
        let (id, cookie) = drafts.cookie(&request, &browser, &draft, unix_now());
        let mut response = see(&format!("/booking/{}?{DRAFT}{id}", step.as_str()));
        add_cookie(&mut response, &cookie);
        response
    };
    // It lasts as long as the session's cookie.
    add_cookie(&mut response, &browser.cookie(pages.same_site));
    layer.end(&request, session.unwrap_or(Session::Unwritten), &mut response);
    Ok(response)
}

/// A posted `/booking/forget`: deletes what was typed, at once.
pub(super) async fn forget(
    request: HttpRequest,
    payload: web::Payload,
    layer: web::Data<SessionLayer>,
    pages: web::Data<Pages>,
    drafts: web::Data<DraftSeal>,
) -> Rendered {
    let mark = match Posted::read_mark(&request, payload).await {
        Ok(mark) => mark,
        Err(refusal) => return refuse(&request, &layer, &pages, refusal).await,
    };
    let browser = Browser::of(&request);
    // The session may be over, and its item still there.
    let tokens = layer.every_claimed_token(&request);
    if browser.session_of_form(&mark, &tokens).is_none() {
        return refuse(&request, &layer, &pages, Refusal::Unchecked).await;
    }
    let (session, _) = layer.take_step(&request, None).await;
    let mut is_forgotten = true;
    for token in &tokens {
        if let Err(cause) = layer.store().forget_activity(*token, &browser.owner_mark()).await {
            layer.note_activity_failure(&cause);
            is_forgotten = false;
        }
    }
    let mut response = if is_forgotten {
        let mut response = see(&format!("/booking?{FORGOTTEN}"));
        delete_draft(&request, &drafts, &mut response);
        response
    } else {
        pages.not_forgotten(mark)?
    };
    layer.end(&request, session.unwrap_or(Session::Unwritten), &mut response);
    Ok(response)
}

/// Answers a form that is refused. It renews its session like any other visit.
async fn refuse(request: &HttpRequest, layer: &SessionLayer, pages: &Pages, refusal: Refusal) -> Rendered {
    let (session, _) = layer.take_step(request, None).await;
    let mut response = pages.refuse(refusal)?;
    layer.end(request, session.unwrap_or(Session::Unwritten), &mut response);
    Ok(response)
}

/// Sends the browser to another page of ours. A reload there sends nothing again.
fn see(path: &str) -> HttpResponse {
    html(StatusCode::SEE_OTHER).insert_header((LOCATION, path)).finish()
}

fn delete_draft(request: &HttpRequest, drafts: &DraftSeal, response: &mut HttpResponse) {
    if let Some(cookie) = drafts.cookie_to_delete(request) {
        add_cookie(response, &cookie);
    }
}

fn add_cookie(response: &mut HttpResponse, cookie: &str) {
    let cookie = HeaderValue::from_str(cookie).expect("a cookie of ours is ASCII");
    response.headers_mut().append(SET_COOKIE, cookie);
}
