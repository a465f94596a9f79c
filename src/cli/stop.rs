//! Waiting for the signal to stop.

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};

/// Waits for Ctrl-C or SIGTERM. From then on, a second signal ends the process at once.
pub(super) async fn until_signal() -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut next_signal = async move || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    next_signal().await;
    actix_web::rt::spawn(async move {
        next_signal().await;
        std::process::exit(130);
    });
    Ok(())
}
