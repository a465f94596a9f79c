//! A WebSocket: after the server has agreed, bytes pass both ways as they come.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix_web::http::ConnectionType;
use actix_web::http::header::UPGRADE;
use actix_web::web::{self, Bytes, BytesMut};
use actix_web::{HttpResponse, body, rt};
use futures_util::{Stream, StreamExt as _, stream};
use hyper::body::Incoming;
use hyper::http;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};

use super::answer::{put_fields, status};
use super::pool::AbortOnDrop;

type Server = TokioIo<Upgraded>;

/// The server's agreement, as the viewer gets it. The tunnel is its body.
pub(super) fn open(
    mut answer: http::Response<Incoming>,
    payload: web::Payload,
    silence: Duration,
    ends: impl Future<Output = ()> + 'static,
) -> HttpResponse {
    let upgrade = hyper::upgrade::on(&mut answer);
    let mut response = HttpResponse::new(status(answer.status()));
    put_fields(&mut response, answer.headers());
    response.headers_mut().insert(UPGRADE, actix_web::http::header::HeaderValue::from_static("websocket"));
    response.head_mut().set_connection_type(ConnectionType::Upgrade);
    let bytes = stream::once(async move {
        let server = upgrade.await.map_err(io::Error::other)?;
        let (reader, writer) = tokio::io::split(TokioIo::new(server));
        let heard = Rc::new(Cell::new(Instant::now()));
        let writing = rt::spawn(to_server(payload, writer, Rc::clone(&heard)));
        // When the viewer is gone, nobody needs what is still to be written.
        let writing = AbortOnDrop::new(writing.abort_handle());
        Ok::<_, io::Error>(from_server(reader, writing, heard, silence))
    });
    let bytes = bytes.flat_map(|opened| match opened {
        Ok(bytes) => bytes.left_stream(),
        Err(cause) => stream::iter([Err(cause)]).right_stream(),
    });
    response.set_body(body::BoxBody::new(body::BodyStream::new(Box::pin(bytes.take_until(ends)))))
}

/// Passes the viewer's bytes on until the viewer ends. Then the server's side is closed too.
async fn to_server(mut payload: web::Payload, mut writer: WriteHalf<Server>, heard: Rc<Cell<Instant>>) {
    while let Some(Ok(part)) = payload.next().await {
        heard.set(Instant::now());
        if writer.write_all(&part).await.is_err() || writer.flush().await.is_err() {
            return;
        }
    }
    // The viewer is gone, so nobody needs to know whether this arrives.
    writer.shutdown().await.ok();
}

/// The server's bytes, until it ends or both sides have been silent for too long.
fn from_server(
    reader: ReadHalf<Server>,
    writing: AbortOnDrop,
    heard: Rc<Cell<Instant>>,
    silence: Duration,
) -> impl Stream<Item = io::Result<Bytes>> {
    const PART: usize = 16 * 1024;
    stream::unfold((reader, writing, BytesMut::new()), move |(mut reader, writing, mut buffer)| {
        let heard = Rc::clone(&heard);
        async move {
            buffer.reserve(PART);
            loop {
                let deadline = heard.get() + silence;
                match tokio::time::timeout_at(deadline.into(), reader.read_buf(&mut buffer)).await {
                    Ok(Ok(0)) => return None,
                    Ok(Ok(_)) => break,
                    Ok(Err(cause)) => return Some((Err(cause), (reader, writing, buffer))),
                    Err(_) if heard.get() + silence > Instant::now() => {}
                    Err(_) => return None,
                }
            }
            heard.set(Instant::now());
            Some((Ok(buffer.split().freeze()), (reader, writing, buffer)))
        }
    })
}
