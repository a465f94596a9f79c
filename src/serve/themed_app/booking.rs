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

use super::browser::Browser;
use super::draft::{Draft, DraftSeal, Reason};
use super::html;
use crate::booking::{Answers, Booking, Field, Step};
use crate::clock::unix_now;
use crate::serve::answers::not_found;
use crate::serve::edge_headers::route;
use crate::serve::session_layer::{SessionLayer, Taken};
use crate::store::activity::{Activity, ActivityStep};
use form::{Posted, Refusal, Typed};
use pages::{FormPage, Notice};
pub(super) use pages::{Pages, RenderError};

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
    session: web::ReqData<Session>,
    kind: web::ReqData<Kind>,
    layer: web::Data<SessionLayer>,
    pages: web::Data<Pages>,
    drafts: web::Data<DraftSeal>,
) -> Rendered {
    let name = request.match_info().get("step");
    if name.is_some_and(|name| name != DONE && Step::parse(name).is_none()) {
        return Ok(not_found().await);
    }
    let browser = Browser::of(&request);
    let token = match *session {
        Session::Here { receipt, .. } | Session::New(receipt) => Some(receipt.token),
        _ => None,
    };
    let flow = pages.flow;
    let query = request.query_string();
    let draft_id = query.strip_prefix(DRAFT);
    let draft = draft_id.and_then(|id| drafts.read(&request, &browser, id, unix_now()));
    // Nobody gets a cookie for a request that has no effect on a session.
    let gives_secret = token.is_some() && *kind != Kind::Rest;
    let shown = pages.shown(&request, &browser, token, gives_secret);
    let activity = match (*session, token) {
        (Session::Here { .. }, Some(token)) => match layer.store().read_activity(token).await {
            Ok(activity) => activity,
            Err(cause) => {
                layer.note_activity_failure(&cause);
                let Some(draft) = draft else { return pages.unreadable() };
                let typed = Typed::default().with_draft(&draft);
                let step = flow.step_to_show(flow.step(draft.step.as_str()), &typed.check(Field::EVERY).0);
                let page = FormPage { notice: Some(Notice::Unwritten), ..FormPage::of_draft(step, typed, &draft) };
                return shown.form(StatusCode::SERVICE_UNAVAILABLE, page);
            }
        },
        (Session::Unknown, _) => return pages.unreadable(),
        _ => Activity::default(),
    };
    let booking = Booking::read(&activity, &browser.owner_mark());
    let wanted = name.and_then(|name| flow.step(name));
    if booking.confirmed_at.is_some() && draft.is_none() && wanted != flow.steps().first().copied() {
        return match name {
            Some(DONE) => shown.done(&booking),
            _ => Ok(see("/booking/done")),
        };
    }
    // A booking that is confirmed is no part of the next one.
    let answers = if booking.confirmed_at.is_some() { Answers::default() } else { booking.answers.clone() };
    let mut typed = Typed::of(&answers);
    if let Some(draft) = &draft {
        typed = typed.with_draft(draft);
    }
    let (answers, mut problems) = typed.check(Field::EVERY);
    let step = flow.step_to_show(wanted, &answers);
    // Under a pass, the session that the browser had waits.
    let is_new_session = matches!(*session, Session::New(_)) && !browser.is_new && route(&request) != Some(Route::Pass);
    if name != Some(step.as_str()) {
        let query = match query {
            _ if draft_id.is_some() || query == FORGOTTEN || query == ENDED => format!("?{query}"),
            _ if is_new_session => format!("?{ENDED}"),
            _ => String::new(),
        };
        return Ok(see(&format!("/booking/{}{query}", step.as_str())));
    }
    let notice = match &draft {
        Some(draft) => notice_of_draft(draft.reason, &booking),
        // An address alone proves nothing: somebody may have sent it, or gone on since.
        None if booking.version.is_none() => match query {
            _ if draft_id.is_some() => Some(Notice::DraftLost),
            _ if is_new_session || query == ENDED => Some(Notice::NewSession),
            FORGOTTEN => Some(Notice::Forgotten),
            _ => None,
        },
        None => None,
    };
    let is_moved = booking.is_half_way_on_another(pages.version);
    let notice = notice.or_else(|| is_moved.then_some(Notice::OtherVersion));
    let page = match &draft {
        Some(draft) if matches!(draft.reason, Reason::Problems | Reason::Unwritten) => {
            FormPage::of_draft(step, typed, draft)
        }
        _ => FormPage::new(step, typed, &activity, &booking),
    };
    if !draft.is_some_and(|draft| draft.reason == Reason::Problems) {
        problems.clear();
    }
    shown.form(StatusCode::OK, FormPage { notice, problems, ..page })
}

fn notice_of_draft(reason: Reason, booking: &Booking) -> Option<Notice> {
    match reason {
        // The fields have it.
        Reason::Problems => None,
        Reason::Ended => Some(Notice::Ended),
        Reason::Overtaken => Some(Notice::overtaken(booking)),
        Reason::Unwritten => Some(Notice::Unwritten),
        Reason::Unchecked => Some(Notice::Unchecked),
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
    let Some(step) = Step::parse(request.match_info().query("step")) else { return Ok(not_found().await) };
    let posted = match Posted::read(&request, payload).await {
        Ok(posted) => posted,
        Err(refusal) => return refuse(&request, &layer, &pages, refusal).await,
    };
    let browser = Browser::of(&request);
    let is_ours = browser.has_got_form(&posted.mark, &layer.claimed_tokens(&request));
    let (answers, problems) = posted.typed.check(Field::EVERY);
    let is_answered = step.fields().iter().all(|field| !problems.contains_key(field));
    // A form of another version brings its answers. Only a form of ours confirms.
    let finishes = step == Step::Confirm && posted.version == pages.version;
    let is_complete = pages.flow.steps().iter().all(|step| answers.have_all_of(*step));
    let mut write = (is_ours && is_answered && (is_complete || !finishes)).then(|| ActivityStep {
        step: posted.step,
        owner: browser.owner_mark(),
        replaces: posted.replaces,
        entries: Booking::entries(posted.version, &answers, finishes.then(unix_now)),
        finishes,
    });
    let (mut session, mut taken) = layer.take_step(&request, write.as_ref()).await;
    if let (Taken::Overtaken(Activity { step: 0, .. }), Some(write), 1..) = (&taken, &mut write, posted.step) {
        // The session has lost its item and got a new one. The form has every answer that was in it.
        (write.step, write.replaces) = (0, true);
        (session, taken) = layer.take_step(&request, Some(write)).await;
    }
    let is_written = match (&session, &taken) {
        (Ok(Session::Here { .. }), Taken::Written) => true,
        (Ok(Session::Here { .. }), Taken::Overtaken(activity)) => {
            // This very step may have been sent twice.
            let booking = Booking::read(activity, &browser.owner_mark());
            let is_same = booking.step == posted.step + 1 && booking.answers == answers;
            is_same && booking.confirmed_at.is_some() == finishes
        }
        _ => false,
    };
    let reason = match (&session, &taken) {
        (Ok(Session::Here { .. }), Taken::Overtaken(_)) => Reason::Overtaken,
        (Ok(Session::Here { .. }), Taken::NoSession) if !is_ours => Reason::Unchecked,
        (Ok(Session::Here { .. }), Taken::NoSession) if write.is_none() => Reason::Problems,
        // A post begins no session. The page does, and finds what was typed in the draft.
        (Ok(Session::Absent | Session::New(_)), _) => Reason::Ended,
        _ => Reason::Unwritten,
    };
    let mut response = if is_written {
        let next = if finishes { DONE } else { pages.flow.step_to_show(None, &answers).as_str() };
        let mut response = see(&format!("/booking/{next}"));
        if let Some(cookie) = drafts.cookie_to_delete(&request) {
            add_cookie(&mut response, &cookie);
        }
        response
    } else {
        let Posted { typed, step: counter, replaces, .. } = posted;
        let draft = Draft { step, typed: typed.to_draft(), reason, counter, replaces };
        let (id, cookie) = drafts.cookie(&request, &browser, &draft, unix_now());
        let mut response = see(&format!("/booking/{}?{DRAFT}{id}", step.as_str()));
        add_cookie(&mut response, &cookie);
        response
    };
    // It lasts as long as the session's cookie.
    add_cookie(&mut response, &browser.cookie(pages.same_site));
    layer.end_step(&request, session.unwrap_or(Session::Unwritten), &mut response);
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
    let posted = match Posted::read_mark(&request, payload).await {
        Ok(mark) => mark,
        Err(refusal) => return refuse(&request, &layer, &pages, refusal).await,
    };
    let browser = Browser::of(&request);
    // The session may be over, and its item still there.
    let tokens = layer.claimed_tokens(&request);
    if !browser.has_got_form(&posted, &tokens) {
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
        if let Some(cookie) = drafts.cookie_to_delete(&request) {
            add_cookie(&mut response, &cookie);
        }
        response
    } else {
        pages.not_forgotten(posted)?
    };
    layer.end_step(&request, session.unwrap_or(Session::Unwritten), &mut response);
    Ok(response)
}

/// Answers a form that is not looked at. It renews its session like any other visit.
async fn refuse(request: &HttpRequest, layer: &SessionLayer, pages: &Pages, refusal: Refusal) -> Rendered {
    let (session, _) = layer.take_step(request, None).await;
    let mut response = pages.refuse(refusal)?;
    layer.end_step(request, session.unwrap_or(Session::Unwritten), &mut response);
    Ok(response)
}

/// Sends the browser to another page of ours. A reload there sends nothing again.
fn see(path: &str) -> HttpResponse {
    html(StatusCode::SEE_OTHER).insert_header((LOCATION, path)).finish()
}

fn add_cookie(response: &mut HttpResponse, cookie: &str) {
    let cookie = HeaderValue::from_str(cookie).expect("a cookie of ours is ASCII");
    response.headers_mut().append(SET_COOKIE, cookie);
}
