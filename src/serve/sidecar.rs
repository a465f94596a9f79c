//! The sidecar: sends every request on to somebody else's app, and the answer back.
//!
//! The app sees none of our cookies and headers but three: version, reason and the session's first digits.

use actix_web::http::header::{CONTENT_TYPE, HeaderMap, SET_COOKIE};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use hyper::http::header::{self, HeaderName, HeaderValue};
use hyper::http::{self, Uri};
use log::Level;
use stickshift_contract::{
    ASSET_PREFIX, HEADER_PREFIX, Kind, ORIGIN_VERIFY_HEADER, OUR_COOKIES, Receipt, SESSION_HEADER, Token,
    VERSION_HEADER, VersionCode,
};
use stickshift_session::Session;

use super::answers::{method_not_allowed, not_found, plain};
use super::edge_headers::is_https;
use super::open_answers::OpenAnswers;
use super::session_layer::{Entered, SessionLayer};
use crate::forward::{ForwardError, Forwarder, Outgoing, received_fields};
use crate::minute_log::MinuteLog;
use crate::settings::{Upstream, UpstreamHost};

/// What the requests of one thread share.
#[derive(Debug)]
pub(super) struct Sidecar {
    version: VersionCode,
    upstream: Upstream,
    forwarder: Forwarder,
    open: OpenAnswers,
    logs: web::Data<SidecarLogs>,
}

/// What is logged once a minute.
#[derive(Debug)]
pub(super) struct SidecarLogs {
    failures: MinuteLog,
    our_cookies: MinuteLog,
}

impl Default for SidecarLogs {
    fn default() -> Self {
        Self {
            failures: MinuteLog::new(
                Level::Error,
                "requests got no answer from the app",
                Some("the app answers again"),
            ),
            our_cookies: MinuteLog::new(
                Level::Warn,
                "cookies of the app were dropped, because their names are Stickshift's",
                None,
            ),
        }
    }
}

impl Sidecar {
    pub(super) fn new(
        version: VersionCode,
        upstream: Upstream,
        open: OpenAnswers,
        logs: web::Data<SidecarLogs>,
    ) -> Self {
        let forwarder = Forwarder::new(upstream.limits);
        Self { version, upstream, forwarder, open, logs }
    }

    /// Every path of the app.
    pub(super) fn routes(config: &mut web::ServiceConfig) {
        config.default_service(web::to(answer));
    }

    /// The path and query that the app is asked for; `None` if there is nothing at this address.
    fn path(&self, request: &HttpRequest) -> Option<Uri> {
        let uri = request.uri();
        let Some(asset) = uri.path().strip_prefix(ASSET_PREFIX) else {
            return uri.path_and_query()?.as_str().parse().ok();
        };
        let path = asset.strip_prefix(self.version.as_str())?;
        if !self.upstream.asset_paths.contain(path) {
            return None;
        }
        match uri.query() {
            Some(query) => format!("{path}?{query}").parse().ok(),
            None => path.parse().ok(),
        }
    }

    /// The first part of the request, as the app gets it.
    fn outgoing(&self, request: &HttpRequest, uri: Uri, entered: Entered) -> anyhow::Result<Outgoing> {
        let received = request.headers();
        let mut fields = http::HeaderMap::with_capacity(received.len() + 6);
        for (name, value) in received_fields(received) {
            match name.as_str() {
                name if is_dropped(name) => {}
                "cookie" => {
                    if let Some(cookies) = without_our_cookies(value.as_bytes()) {
                        fields.append(header::COOKIE, HeaderValue::from_bytes(&cookies)?);
                    }
                }
                name => drop(
                    fields.append(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_bytes(value.as_bytes())?),
                ),
            }
        }
        self.put_forwarded(request, &mut fields)?;
        fields.insert(VERSION_HEADER, HeaderValue::from_str(self.version.as_str())?);
        if let Some(route) = entered.route {
            fields.insert(stickshift_contract::ROUTE_HEADER, HeaderValue::from_static(route.as_str()));
        }
        if let Some(token) = token(entered.session) {
            fields.insert(SESSION_HEADER, HeaderValue::from_str(token.short())?);
        }
        Ok(Outgoing { method: request.method().as_str().parse()?, uri, fields })
    }

    /// Who the viewer is and where the request was sent, as proxies tell it.
    fn put_forwarded(&self, request: &HttpRequest, fields: &mut http::HeaderMap) -> anyhow::Result<()> {
        const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
        const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
        const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
        if let Some(address) = request.peer_addr() {
            let mut list = Vec::new();
            for known in fields.get_all(&FOR) {
                list.extend_from_slice(known.as_bytes());
                list.extend_from_slice(b", ");
            }
            list.extend_from_slice(address.ip().to_string().as_bytes());
            fields.insert(FOR, HeaderValue::from_bytes(&list)?);
        }
        fields.insert(PROTO, HeaderValue::from_static(if is_https(request) { "https" } else { "http" }));
        // A request may name the server in its first line, and then that name counts (RFC 9112, section 3.2.2).
        if let Some(authority) = request.uri().authority() {
            fields.insert(header::HOST, HeaderValue::from_str(authority.as_str())?);
        }
        // A viewer's own word for it must not get into links that the app makes.
        match fields.get(header::HOST).cloned() {
            Some(host) => fields.insert(HOST, host),
            None => fields.remove(HOST),
        };
        if self.upstream.host == UpstreamHost::Upstream || !fields.contains_key(header::HOST) {
            fields.insert(header::HOST, HeaderValue::from_str(&self.upstream.target.authority())?);
        }
        Ok(())
    }

    /// Drops what the app must not set.
    fn drop_our_cookies(&self, headers: &mut HeaderMap) {
        let name = |value: &[u8]| value.split(|&byte| matches!(byte, b'=' | b';')).next().unwrap_or_default().to_vec();
        if !headers.contains_key(SET_COOKIE) {
            return;
        }
        let (ours, others): (Vec<_>, Vec<_>) =
            headers.remove(SET_COOKIE).partition(|cookie| is_our_cookie(&name(cookie.as_bytes())));
        for cookie in others {
            headers.append(SET_COOKIE, cookie);
        }
        for cookie in ours {
            let name = name(cookie.as_bytes());
            self.logs.our_cookies.note(&format_args!("the app has set {}", String::from_utf8_lossy(name.trim_ascii())));
        }
    }
}

/// The handler of every request.
async fn answer(
    request: HttpRequest,
    payload: web::Payload,
    layer: web::Data<SessionLayer>,
    sidecar: web::Data<Sidecar>,
) -> HttpResponse {
    layer.in_session(&request, async |entered| sidecar.answer(&request, payload, entered).await).await
}

impl Sidecar {
    async fn answer(&self, request: &HttpRequest, payload: web::Payload, entered: Entered) -> HttpResponse {
        let Some(uri) = self.path(request) else { return not_found().await };
        let is_asset = request.path().starts_with(ASSET_PREFIX);
        if is_asset && !matches!(*request.method(), Method::GET | Method::HEAD) {
            return method_not_allowed("GET, HEAD").await;
        }
        let kept = if entered.kind == Kind::Rest { None } else { receipt(entered.session) };
        let (open, ended) = self.open.begin(kept);
        let outgoing = || self.outgoing(request, uri.clone(), entered);
        match self.forwarder.forward(&self.upstream.target, outgoing, request, payload, ended).await {
            Ok(mut response) => {
                self.logs.failures.note_success();
                self.drop_our_cookies(response.headers_mut());
                let content_type = response.headers().get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
                if response.status() == StatusCode::SWITCHING_PROTOCOLS
                    || content_type.starts_with(b"text/event-stream")
                {
                    self.open.mark_endless(open);
                }
                response
            }
            Err(cause) => self.refusal(&cause),
        }
    }

    fn refusal(&self, cause: &ForwardError) -> HttpResponse {
        let (status, text) = match cause {
            ForwardError::TooSlow(_) => (StatusCode::GATEWAY_TIMEOUT, "504: the app took too long to answer\n"),
            ForwardError::Unreachable(_) => (StatusCode::BAD_GATEWAY, "502: the app does not answer\n"),
            ForwardError::ViewerTooSlow => (StatusCode::REQUEST_TIMEOUT, "408: the rest of the request did not come\n"),
            ForwardError::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "413: the request is too large\n"),
            ForwardError::BadRequest(_) | ForwardError::Unsendable(_) => {
                (StatusCode::BAD_REQUEST, "400: the request is not valid\n")
            }
        };
        if status.is_server_error() {
            self.logs.failures.note(cause);
        }
        plain(status).body(text)
    }
}

/// Whether a viewer's header must not reach the app: those of ours, those that say who the viewer is or where the
/// request went in another way than ours, and their doubles with `_`, which many servers take for `-`.
fn is_dropped(name: &str) -> bool {
    let is_ours = |name: &str| name == ORIGIN_VERIFY_HEADER || name.starts_with(HEADER_PREFIX);
    if name.contains('_') {
        let double = name.replace('_', "-");
        return is_ours(&double) || double.starts_with("x-forwarded-") || double.starts_with("cloudfront-");
    }
    is_ours(name) || matches!(name, "forwarded" | "proxy")
}

/// The session that a request belongs to, wherever it is.
fn token(session: Session) -> Option<Token> {
    match session {
        Session::Here { receipt, .. } | Session::New(receipt) => Some(receipt.token),
        Session::Elsewhere { token, .. } => Some(token),
        Session::Unknown | Session::Absent | Session::Misdirected | Session::Unwritten => None,
    }
}

/// The receipt of a session that an open answer keeps alive. One that begins with this answer is written later.
fn receipt(session: Session) -> Option<Receipt> {
    match session {
        Session::Here { receipt, .. } => Some(receipt),
        _ => None,
    }
}

fn is_our_cookie(name: &[u8]) -> bool {
    OUR_COOKIES.iter().any(|ours| ours.as_bytes() == name.trim_ascii())
}

/// A `Cookie` value without our cookies; `None` if no cookie is left.
fn without_our_cookies(value: &[u8]) -> Option<Vec<u8>> {
    let pairs = value.split(|&byte| byte == b';');
    let is_ours = |pair: &&[u8]| is_our_cookie(pair.split(|&byte| byte == b'=').next().unwrap_or_default());
    if !pairs.clone().any(|pair| is_ours(&pair)) {
        return Some(value.to_vec());
    }
    let others: Vec<&[u8]> = pairs.filter(|pair| !is_ours(pair)).map(<[u8]>::trim_ascii).collect();
    (!others.is_empty()).then(|| others.join(&b"; "[..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_app_gets_every_cookie_but_ours() {
        let token = "472ed977dc2fd2700dbb03a58634f789fd58d911";
        for (value, left) in [
            ("a=1; b=2", Some("a=1; b=2")),
            ("a=1;b=\"x y\" ; c", Some("a=1;b=\"x y\" ; c")),
            (&format!("a=1; sessiontoken={token}; b=2"), Some("a=1; b=2")),
            (&format!("sessiontoken={token}"), None),
            ("__Host-sessiontoken=x;  sessiontoken = y;sessiontoken;stickshift-pass=z", None),
            (
                "xsessiontoken=1; sessiontokens=2; SessionToken=3",
                Some("xsessiontoken=1; sessiontokens=2; SessionToken=3"),
            ),
            (
                "sessiontoken-pass=1; __Host-sessiontoken-pass=2; __Host-stickshift-pass=3; theme=dark",
                Some("theme=dark"),
            ),
        ] {
            let got = without_our_cookies(value.as_bytes()).map(|left| String::from_utf8(left).expect("text"));
            assert_eq!(got.as_deref(), left, "{value}");
        }
    }
}
