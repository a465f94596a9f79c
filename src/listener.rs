//! Listening on an address, with an error that says what to do.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZero;

use anyhow::{Context as _, Result};
use socket2::{Domain, Socket, Type};

/// Binds an address for `what`. The error names the address, and the flag that sets another one.
pub fn bind(address: SocketAddr, flag: &str, what: &str) -> Result<TcpListener> {
    listen(address)
        .with_context(|| format!("could not listen on {address} for {what}: choose another address with {flag}"))
}

/// How many threads serve requests: one for each core. A limit for the whole server is shared among them.
pub fn worker_threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// As `TcpListener::bind`, with a longer queue. That one holds 128 connections; viewers beyond them would
/// be reset when many come at once.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    const QUEUE: i32 = 4096;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // Otherwise a restart would have to wait until the system forgets the connections of the last run.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(QUEUE)?;
    Ok(socket.into())
}
