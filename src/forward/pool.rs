//! The connections of one thread to one server: a bounded number, reused.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::rt;
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::sent_body::SentBody;
use super::{ForwardError, Target};

/// How long a connection may be idle before it is closed. Node.js and uvicorn keep theirs for 5 s, and a
/// request must not be sent on a connection that is being closed.
const IDLE: Duration = Duration::from_secs(4);

/// How long the addresses of a name are used.
const ADDRESSES: Duration = Duration::from_secs(30);

/// All connections to one server.
#[derive(Debug)]
pub(super) struct Pool {
    target: Target,
    permits: Arc<Semaphore>,
    /// In the order in which they became idle. The last one is used first, so that the others can end.
    idle: RefCell<Vec<Idle>>,
    addresses: RefCell<Option<(Instant, Vec<SocketAddr>)>>,
}

#[derive(Debug)]
struct Idle {
    since: Instant,
    connection: SendRequest<SentBody>,
}

/// A connection in use. It goes back to the pool by [`Lease::release`]; dropped, it is closed.
#[derive(Debug)]
pub(super) struct Lease {
    connection: SendRequest<SentBody>,
    is_reused: bool,
    pool: Rc<Pool>,
    permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(super) fn new(target: Target, connections: usize) -> Self {
        let permits = Arc::new(Semaphore::new(connections));
        Self { target, permits, idle: RefCell::default(), addresses: RefCell::default() }
    }

    /// An idle connection or a new one. Waits for at most `limit` until there may be one more.
    pub(super) async fn lease(self: &Rc<Self>, limit: Duration) -> Result<Lease, ForwardError> {
        let deadline = tokio::time::Instant::now() + limit;
        let permit = match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => tokio::time::timeout_at(deadline, Arc::clone(&self.permits).acquire_owned())
                .await
                .map_err(|_| ForwardError::TooSlow("all connections to it are in use"))?
                .expect("the pool never closes its semaphore"),
        };
        let (connection, is_reused) = match self.take_idle() {
            Some(connection) => (connection, true),
            None => {
                let connection = tokio::time::timeout_at(deadline, self.connect()).await;
                (connection.map_err(|_| ForwardError::TooSlow("connecting to it took too long"))??, false)
            }
        };
        Ok(Lease { connection, is_reused, pool: Rc::clone(self), permit })
    }

    fn take_idle(&self) -> Option<SendRequest<SentBody>> {
        let mut idle = self.idle.borrow_mut();
        while let Some(Idle { since, connection }) = idle.pop() {
            if since.elapsed() >= IDLE {
                // The others have been idle for longer.
                idle.clear();
            } else if connection.is_ready() {
                return Some(connection);
            }
        }
        None
    }

    fn put_idle(&self, connection: SendRequest<SentBody>) {
        let mut idle = self.idle.borrow_mut();
        let ended = idle.iter().take_while(|idle| idle.since.elapsed() >= IDLE).count();
        idle.drain(..ended);
        idle.push(Idle { since: Instant::now(), connection });
    }

    async fn connect(&self) -> Result<SendRequest<SentBody>, ForwardError> {
        let unreachable = |cause: io::Error| ForwardError::Unreachable(Box::new(cause));
        match &self.target {
            Target::Unix(path) => begin(UnixStream::connect(path).await.map_err(unreachable)?).await,
            Target::Tcp { host, port } => {
                let stream = self.connect_tcp(host, *port).await.map_err(unreachable)?;
                begin(stream).await
            }
        }
    }

    /// Tries the addresses of the name, one after the other.
    async fn connect_tcp(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let mut failure = io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address"));
        for address in self.addresses(host, port).await? {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(cause) => failure = cause,
            }
        }
        // The server may have moved.
        *self.addresses.borrow_mut() = None;
        Err(failure)
    }

    async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Some((read_at, addresses)) = &*self.addresses.borrow()
            && read_at.elapsed() < ADDRESSES
        {
            return Ok(addresses.clone());
        }
        let addresses: Vec<_> = tokio::net::lookup_host((host, port)).await?.collect();
        *self.addresses.borrow_mut() = Some((Instant::now(), addresses.clone()));
        Ok(addresses)
    }
}

/// Begins HTTP on a stream.
async fn begin<S>(stream: S) -> Result<SendRequest<SentBody>, ForwardError>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (connection, work) = handshake.map_err(|cause| ForwardError::Unreachable(Box::new(cause)))?;
    // What goes wrong here reaches the request that is being sent, or nobody.
    rt::spawn(work.with_upgrades());
    Ok(connection)
}

impl Lease {
    /// Whether the connection has carried a request before.
    pub(super) fn is_reused(&self) -> bool {
        self.is_reused
    }

    /// Sends a request.
    pub(super) fn send(
        &mut self,
        request: Request<SentBody>,
    ) -> impl Future<Output = Result<hyper::Response<Incoming>, TrySendError<Request<SentBody>>>> + use<> {
        self.connection.try_send_request(request)
    }

    /// Gives the connection back, after the whole answer was read.
    pub(super) fn release(mut self) {
        if self.connection.is_ready() {
            self.pool.put_idle(self.connection);
        } else if !self.connection.is_closed() {
            // The body of the request may still be on its way.
            rt::spawn(async move {
                if self.connection.ready().await.is_ok() {
                    self.pool.put_idle(self.connection);
                }
                drop(self.permit);
            });
        }
    }
}
