//! The logger: `env_logger`, with one exception for lines that anybody can cause.

use env_logger::{Env, Logger};
use log::{Level, Log, Metadata, Record};
use stickshift::minute_log::MinuteLog;

/// Requests that are not HTTP.
static MALFORMED: MinuteLog = MinuteLog::new(Level::Warn, "requests could not be read", None);

/// The server logs an error for each request that it cannot read. Anybody can send such requests, so they
/// are logged once a minute.
struct WithoutFloods(Logger);

/// Starts to log. `RUST_LOG` says which messages.
pub(crate) fn start() {
    let logger = env_logger::Builder::from_env(Env::default().default_filter_or("info,actix_server=warn")).build();
    log::set_max_level(logger.filter());
    // The process has no other logger.
    log::set_boxed_logger(Box::new(WithoutFloods(logger))).expect("no logger was set before");
}

impl Log for WithoutFloods {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let is_malformed_request = record.level() == Level::Error
            && record.target() == "actix_http::h1::dispatcher"
            && record.args().to_string().starts_with("stream error");
        if is_malformed_request {
            MALFORMED.note(record.args());
        } else {
            self.0.log(record);
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}
