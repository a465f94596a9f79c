//! The connections of one thread to one server: a bounded number, reused.

use std::cell::{Cell, RefCell};
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
use tokio::task::AbortHandle;

use super::sent_body::SentBody;
use super::{ForwardError, Target};

/// How long a connection may be idle before it is closed. Node.js and uvicorn keep theirs for 5 s, and a
/// request must not be sent on a connection that is being closed.
const IDLE: Duration = Duration::from_secs(4);

/// How long the addresses of a name are used.
const ADDRESSES: Duration = Duration::from_secs(30);

/// How long they are used after a connection was lost: the server may have moved.
const DOUBTFUL_ADDRESSES: Duration = Duration::from_secs(1);

/// All connections to one server.
#[derive(Debug)]
pub(super) struct Pool {
    target: Target,
    permits: Arc<Semaphore>,
    /// In the order in which they became idle. The last one is used first, so that the others can end.
    idle: RefCell<Vec<Idle>>,
    addresses: RefCell<Option<(Instant, Vec<SocketAddr>)>>,
    /// Whether a connection was lost since the addresses were looked up.
    is_doubtful: Cell<bool>,
}

#[derive(Debug)]
struct Idle {
    since: Instant,
    connection: Connection,
}

/// A connection and the task that works on it.
#[derive(Debug)]
struct Connection {
    sender: SendRequest<SentBody>,
    work: AbortOnDrop,
}

/// Ends a task when it is dropped. A task that cannot write would not notice by itself that nobody needs it.
#[derive(Debug)]
pub(super) struct AbortOnDrop(Option<AbortHandle>);

impl AbortOnDrop {
    pub(super) fn new(task: AbortHandle) -> Self {
        Self(Some(task))
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// A connection in use. It goes back to the pool by [`Lease::release`]; dropped, it is closed.
#[derive(Debug)]
pub(super) struct Lease {
    connection: Connection,
    is_reused: bool,
    is_retired: bool,
    pool: Rc<Pool>,
    permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(super) fn new(target: Target, connections: usize) -> Self {
        let permits = Arc::new(Semaphore::new(connections));
        let is_doubtful = Cell::new(false);
        Self { target, permits, idle: RefCell::default(), addresses: RefCell::default(), is_doubtful }
    }

    /// An idle connection or a new one; with `is_fresh` a new one. Waits for at most `limit` until there may be one
    /// more.
    pub(super) async fn lease(self: &Rc<Self>, limit: Duration, is_fresh: bool) -> Result<Lease, ForwardError> {
        let deadline = tokio::time::Instant::now() + limit;
        let permit = match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => tokio::time::timeout_at(deadline, Arc::clone(&self.permits).acquire_owned())
                .await
                .map_err(|_| ForwardError::TooSlow("all connections to it are in use"))?
                .expect("the pool never closes its semaphore"),
        };
        let idle = if is_fresh { None } else { self.take_idle() };
        let (connection, is_reused) = match idle {
            Some(connection) => (connection, true),
            None => match tokio::time::timeout_at(deadline, self.connect(limit)).await {
                Ok(connection) => (connection?, false),
                Err(_) => {
                    self.is_doubtful.set(true);
                    return Err(ForwardError::TooSlow("connecting to it took too long"));
                }
            },
        };
        Ok(Lease { connection, is_reused, is_retired: false, pool: Rc::clone(self), permit })
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        while let Some(Idle { since, connection }) = idle.pop() {
            if since.elapsed() >= IDLE {
                // The others have been idle for longer.
                idle.clear();
            } else if connection.sender.is_ready() {
                return Some(connection);
            } else {
                self.is_doubtful.set(true);
            }
        }
        None
    }

    fn put_idle(&self, connection: Connection) {
        let mut idle = self.idle.borrow_mut();
        let ended = idle.iter().take_while(|idle| idle.since.elapsed() >= IDLE).count();
        idle.drain(..ended);
        idle.push(Idle { since: Instant::now(), connection });
    }

    async fn connect(&self, limit: Duration) -> Result<Connection, ForwardError> {
        let unreachable = |cause: io::Error| ForwardError::Unreachable(Box::new(cause));
        match &self.target {
            Target::Unix(path) => begin(UnixStream::connect(path).await.map_err(unreachable)?).await,
            Target::Tcp { host, port } => {
                let stream = self.connect_tcp(host, *port, limit).await.map_err(unreachable)?;
                begin(stream).await
            }
        }
    }

    /// Tries the addresses of the name, one after the other.
    async fn connect_tcp(&self, host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
        let addresses = self.addresses(host, port).await?;
        // An address that does not answer must leave time for the others.
        let limit = limit / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
        let mut failure = io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address"));
        for address in addresses {
            let connecting = tokio::time::timeout(limit, TcpStream::connect(address)).await;
            match connecting.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(cause) => failure = cause,
            }
        }
        self.is_doubtful.set(true);
        Err(failure)
    }

    async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let is_doubtful = self.is_doubtful.get();
        let usable = if is_doubtful { DOUBTFUL_ADDRESSES } else { ADDRESSES };
        let known = self.addresses.borrow().clone();
        if let Some((read_at, addresses)) = &known
            && read_at.elapsed() < usable
        {
            return Ok(addresses.clone());
        }
        match tokio::net::lookup_host((host, port)).await {
            Ok(addresses) => {
                let addresses: Vec<_> = addresses.collect();
                *self.addresses.borrow_mut() = Some((Instant::now(), addresses.clone()));
                self.is_doubtful.set(false);
                Ok(addresses)
            }
            // While the server is well, the last known addresses are better than none.
            Err(cause) => known.map(|(_, addresses)| addresses).filter(|_| !is_doubtful).ok_or(cause),
        }
    }
}

/// Begins HTTP on a stream.
async fn begin<S>(stream: S) -> Result<Connection, ForwardError>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (sender, work) = handshake.map_err(|cause| ForwardError::Unreachable(Box::new(cause)))?;
    // What goes wrong here reaches the request that is being sent, or nobody.
    let work = rt::spawn(work.with_upgrades());
    Ok(Connection { sender, work: AbortOnDrop::new(work.abort_handle()) })
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
        self.connection.sender.try_send_request(request)
    }

    /// Gives the connection back, after the whole answer was read.
    pub(super) fn release(mut self) {
        /// How long the rest of a request's body may take, after the whole answer has come.
        const REST: Duration = Duration::from_secs(5);
        if self.is_retired {
            return;
        }
        if self.connection.sender.is_ready() {
            self.pool.put_idle(self.connection);
        } else if !self.connection.sender.is_closed() {
            // The body of the request may still be on its way.
            rt::spawn(async move {
                if let Ok(Ok(())) = tokio::time::timeout(REST, self.connection.sender.ready()).await {
                    self.pool.put_idle(self.connection);
                }
                drop(self.permit);
            });
        }
    }

    /// Leaves the connection to a tunnel.
    pub(super) fn leave(mut self) {
        // The task ends by itself, when it has handed the connection over.
        self.connection.work.0 = None;
    }

    /// From now on, the connection is not given back.
    pub(super) fn retire(&mut self) {
        self.is_retired = true;
    }
}
