//! Listening on an address, with an error that says what to do.

use std::io;
use std::net::{SocketAddr, TcpListener};

use anyhow::{Context as _, Result};
use socket2::{Domain, Socket, Type};

/// Binds an address. Errors name the address and the flag that moves it.
pub fn bind(address: SocketAddr, flag: &str, what: &str) -> Result<TcpListener> {
    listen(address)
        .with_context(|| format!("could not listen on {address} for {what}: choose another address with {flag}"))
}

/// As `TcpListener::bind`, but its queue holds more than 128 viewers who come at once: past that they are reset.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    const QUEUE: i32 = 4096;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // Or a restart would have to wait for the connections of the last run to be forgotten.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(QUEUE)?;
    Ok(socket.into())
}
