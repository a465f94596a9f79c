//! The one binary: it reads the command line and calls the command.

mod cli;
mod logger;

use std::process::ExitCode;

/// The SDK and the embedded DynamoDB allocate a lot on every call. The system's allocator showed up in
/// profiles.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[actix_web::main]
async fn main() -> ExitCode {
    logger::start();
    // A viewer takes up to three sockets here, and the default limit of many systems is 1,024 files.
    if let Err(cause) = rlimit::increase_nofile_limit(u64::MAX) {
        log::warn!("could not raise the limit of open files: {cause}");
    }
    match cli::run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            eprintln!("error: {cause:#}");
            #[cfg(feature = "operator")]
            if cause.is::<cli::TimedOut>() {
                return ExitCode::from(4);
            }
            #[cfg(feature = "operator")]
            if cause.is::<cli::TakenBack>() {
                return ExitCode::from(3);
            }
            ExitCode::FAILURE
        }
    }
}
