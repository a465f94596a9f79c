//! Sends a request to its origin and the answer back to the viewer. Both bodies are streamed.

use std::cell::Cell;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix_web::body::{BoxBody, SizedStream};
use actix_web::http::header::{CONTENT_LENGTH, HeaderName, TRANSFER_ENCODING};
use actix_web::http::{Method, Uri};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use anyhow::{Context as _, anyhow};
use awc::error::{ConnectError, SendRequestError};
use awc::{Client, ClientResponse, Connector};
use futures_util::stream::{self, Stream, StreamExt as _};
use stickshift_contract::Protocol;
use stickshift_edge::{CustomOrigin, Request};

use super::translate::{is_hop_by_hop, value};

/// Why the viewer cannot get the origin's answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ForwardError {
    #[error("it took too long")]
    TooSlow,
    #[error("{0}")]
    Unreachable(SendRequestError),
    #[error("the function's answer cannot be used: {0:#}")]
    BadAnswer(anyhow::Error),
}

/// A client for origins. Each thread has one.
pub(super) fn client() -> Client {
    let connector = Connector::new()
        .timeout(Duration::from_secs(10))
        // As CloudFront does. Origins keep connections longer, so no request is sent on a connection that
        // is being closed.
        .conn_keep_alive(Duration::from_secs(5))
        .conn_lifetime(Duration::MAX)
        // No limit, because viewers must not wait for each other.
        .limit(0);
    Client::builder().connector(connector).disable_timeout().disable_redirects().no_default_headers().finish()
}

/// Sends `request` with the viewer's `body` to the origin that the request names.
pub(super) async fn forward(
    client: &Client,
    request: Request,
    viewer_request: &HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, ForwardError> {
    let origin = request.origin.as_ref().and_then(|origin| origin.custom.as_ref());
    let origin = origin.context("it names no custom origin").map_err(ForwardError::BadAnswer)?;
    let read_timeout = Duration::from_secs(origin.read_timeout.unwrap_or(CustomOrigin::READ_TIMEOUT_SECONDS));
    let outgoing = outgoing(client, &request, origin).map_err(ForwardError::BadAnswer)?;

    // The origin's time begins when it has the whole request. So every part of the body that it accepts
    // begins the time again.
    let last_sent = Rc::new(Cell::new(Instant::now()));
    let noted = Rc::clone(&last_sent);
    let body = body.inspect(move |_| noted.set(Instant::now()));
    let headers = viewer_request.headers();
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let send = match length {
        Some(length) => outgoing.send_body(SizedStream::new(length, body)),
        None if headers.contains_key(TRANSFER_ENCODING) => outgoing.send_stream(body),
        None => outgoing.send(),
    };
    tokio::pin!(send);
    let answer = loop {
        let deadline = last_sent.get() + read_timeout;
        match tokio::time::timeout_at(deadline.into(), &mut send).await {
            Ok(answer) => break answer,
            Err(_) if last_sent.get() + read_timeout > Instant::now() => {}
            Err(_) => return Err(ForwardError::TooSlow),
        }
    };
    match answer {
        Ok(answer) => Ok(hand_on(answer, viewer_request.method(), read_timeout)),
        Err(SendRequestError::Timeout | SendRequestError::Connect(ConnectError::Timeout)) => Err(ForwardError::TooSlow),
        Err(cause) => Err(ForwardError::Unreachable(cause)),
    }
}

/// The request to the origin, without its body.
fn outgoing(client: &Client, request: &Request, origin: &CustomOrigin) -> anyhow::Result<awc::ClientRequest> {
    let domain = origin.domain_name.as_deref().context("its origin has no domain name")?;
    let port = origin.port.context("its origin has no port")?;
    if origin.protocol == Some(Protocol::Https) {
        return Err(anyhow!("this CloudFront speaks plain HTTP to its origins, and {domain} needs HTTPS"));
    }
    let mut path = format!("{}{}", origin.path.as_deref().unwrap_or_default(), request.uri);
    if let Some(query) = request.querystring.as_deref().filter(|query| !query.is_empty()) {
        path.push('?');
        path.push_str(query);
    }
    let uri = Uri::builder().scheme("http").authority(format!("{domain}:{port}")).path_and_query(path).build()?;
    let method: Method = request.method.parse()?;
    let mut outgoing = client.request(method, uri).no_decompress();
    if domain == "localhost" {
        // Origins on this machine listen on 127.0.0.1. Another program may listen on [::1], which the name
        // also stands for, and must not get the viewers.
        outgoing = outgoing.address((Ipv4Addr::LOCALHOST, port).into());
    }
    let custom = origin.custom_headers.as_ref().map(|headers| &headers.0);
    // The distribution's own headers replace a viewer's headers with the same names.
    let viewers = request.headers.0.iter().filter(|(name, _)| !custom.is_some_and(|custom| custom.contains_key(*name)));
    for (name, lines) in viewers.chain(custom.into_iter().flatten()) {
        // The client sets these two headers for the body that it sends.
        if matches!(name.as_str(), "content-length" | "transfer-encoding") {
            continue;
        }
        let header_name: HeaderName = name.parse().with_context(|| format!("`{name}` is no header name"))?;
        for line in lines {
            let line = value(&line.value).with_context(|| format!("the header {name} has no valid value"))?;
            outgoing.headers_mut().append(header_name.clone(), line);
        }
    }
    Ok(outgoing)
}

/// The origin's answer, as the viewer gets it.
fn hand_on(
    answer: ClientResponse<impl Stream<Item = Result<web::Bytes, awc::error::PayloadError>> + Unpin + 'static>,
    method: &Method,
    read_timeout: Duration,
) -> HttpResponse {
    let mut response = HttpResponseBuilder::new(answer.status());
    for (name, value) in answer.headers() {
        if !is_hop_by_hop(name, answer.headers()) && name != CONTENT_LENGTH {
            response.append_header((name.clone(), value.clone()));
        }
    }
    let length = answer.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if method == Method::HEAD {
        // The length of the body that a GET would get, and no body.
        return match length {
            Some(length) => response
                .no_chunking(length)
                .body(BoxBody::new(SizedStream::new(length, stream::empty::<Result<_, std::io::Error>>()))),
            None => response.finish(),
        };
    }
    let body = stream::unfold(answer, move |mut answer| async move {
        // The head is sent already. If the body stops coming, the only thing left is to break off.
        let part = match tokio::time::timeout(read_timeout, answer.next()).await {
            Ok(part) => part?.map_err(std::io::Error::other),
            Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
        };
        Some((part, answer))
    });
    match length {
        Some(length) => response.body(SizedStream::new(length, Box::pin(body))),
        None => response.streaming(Box::pin(body)),
    }
}
