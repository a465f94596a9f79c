//! The logger: `env_logger`, with an exception for lines that anybody can cause.

use env_logger::{Env, Logger};
use log::{Level, Log, Metadata, Record};
use stickshift::minute_log::MinuteLog;

/// Requests that are not HTTP.
static MALFORMED: MinuteLog = MinuteLog::new(Level::Warn, "requests could not be read", None);

/// Answers whose end did not come from the app or the origin.
static BROKEN_OFF: MinuteLog = MinuteLog::new(Level::Warn, "answers were broken off", None);

/// The server logs an error for each request that it cannot read and for each answer that it cannot finish.
/// Anybody can cause many of them, so they are logged once a minute.
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
        if record.level() != Level::Error || record.target() != "actix_http::h1::dispatcher" {
            return self.0.log(record);
        }
        let message = record.args().to_string();
        if message.starts_with("stream error") {
            MALFORMED.note(&message);
        } else if message.starts_with("Response payload stream error") {
            BROKEN_OFF.note(&message);
        } else {
            self.0.log(record);
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}
