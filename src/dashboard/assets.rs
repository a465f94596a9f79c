//! What pages load: our scripts and the style sheet, and [uPlot](https://github.com/leeoniya/uPlot).

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Path;

use super::page::{Message, answer};
use actix_web::http::StatusCode;

/// Where they are.
pub(super) const ASSETS: &str = "/assets/";

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";

/// `/assets/{file}`
pub(super) async fn asset(file: Path<String>) -> HttpResponse {
    let (content_type, body) = match file.as_str() {
        "early.js" => (JAVASCRIPT, include_str!("../../assets/dashboard/early.js")),
        "live.js" => (JAVASCRIPT, include_str!("../../assets/dashboard/live.js")),
        "charts.js" => (JAVASCRIPT, include_str!("../../assets/dashboard/charts.js")),
        "uPlot.iife.min.js" => (JAVASCRIPT, include_str!("../../assets/dashboard/uplot/uPlot.iife.min.js")),
        "uPlot.min.css" => (CSS, include_str!("../../assets/dashboard/uplot/uPlot.min.css")),
        "dashboard.css" => (CSS, include_str!("../../assets/dashboard/dashboard.css")),
        "icon.svg" => ("image/svg+xml", include_str!("../../assets/dashboard/icon.svg")),
        _ => return Message::new("Nothing is here", Vec::new()).answer(StatusCode::NOT_FOUND),
    };
    // Another release may have other files under the same names.
    answer(StatusCode::OK).content_type(content_type).insert_header((CACHE_CONTROL, "no-cache")).body(body)
}
