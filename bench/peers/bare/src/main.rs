//! The program that the app is compared with. It has one actix-web route, which answers with the
//! bytes of a file, with given headers, and does nothing else.

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{App, HttpResponse, HttpServer, web};

/// The app uses the same allocator, so that the comparison measures the app and not the allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(file)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: bare ADDRESS FILE [NAME=VALUE]…");
        std::process::exit(2);
    };
    let body = web::Bytes::from(std::fs::read(file)?);
    let header = |argument: String| {
        let (name, value) = argument.split_once('=')?;
        Some((name.parse::<HeaderName>().ok()?, value.parse::<HeaderValue>().ok()?))
    };
    let headers: Vec<_> = arguments.filter_map(header).collect();
    let page = move || {
        let (body, headers) = (body.clone(), headers.clone());
        async move {
            let mut response = HttpResponse::Ok();
            for header in headers {
                response.insert_header(header);
            }
            response.content_type("text/html; charset=utf-8").body(body)
        }
    };
    HttpServer::new(move || App::new().route("/", web::get().to(page.clone()))).bind(address)?.run().await
}
