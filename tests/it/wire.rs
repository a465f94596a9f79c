//! Wires to a DynamoDB that have troubles of their own: they are long, go dead, or are cut; and one with TLS.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// A wire to an endpoint; connections go by [`Wire::url`].
pub(crate) struct Wire {
    pub url: String,
    trouble: watch::Sender<Trouble>,
    is_refusing: Arc<AtomicBool>,
}

#[derive(Clone, Copy, PartialEq)]
enum Trouble {
    None,
    Cut,
    Dead,
}

impl Wire {
    /// A wire on which every new connection carries nothing for a time, as when the other end is far away.
    pub(crate) async fn opening_after(endpoint: &str, opening: Duration) -> Self {
        let (listener, port) = listen().await;
        let (trouble, troubles) = watch::channel(Trouble::None);
        let is_refusing = Arc::new(AtomicBool::new(false));
        let refuses = Arc::clone(&is_refusing);
        let target = endpoint.trim_start_matches("http://").to_owned();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                if refuses.load(Ordering::SeqCst) {
                    continue;
                }
                let (target, mut troubles) = (target.clone(), troubles.clone());
                // Troubles are for the connections that are open at the time.
                troubles.mark_unchanged();
                tokio::spawn(async move {
                    tokio::time::sleep(opening).await;
                    let Ok(mut far) = TcpStream::connect(target).await else { return };
                    let mut near = near;
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => return,
                        _ = troubles.changed() => (),
                    }
                    let is_dead = *troubles.borrow() == Trouble::Dead;
                    if is_dead {
                        // Both ends stay open, and nothing gets through.
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        Self { url: format!("http://127.0.0.1:{port}"), trouble, is_refusing }
    }

    pub(crate) async fn to(endpoint: &str) -> Self {
        Self::opening_after(endpoint, Duration::ZERO).await
    }

    /// Closes all connections, as a server does that has waited long enough.
    pub(crate) fn cut(&self) {
        self.trouble.send_replace(Trouble::Cut);
    }

    /// Closes every new connection at once, or takes them again.
    pub(crate) fn refuse(&self, is_refusing: bool) {
        self.is_refusing.store(is_refusing, Ordering::SeqCst);
    }

    /// Lets nothing through any more on the connections there are, and tells nobody.
    pub(crate) fn go_dead(&self) {
        self.trouble.send_replace(Trouble::Dead);
    }
}

/// TLS in front of an endpoint: its URL, and the file with the root certificate to trust.
pub(crate) async fn tls(endpoint: &str) -> (String, PathBuf, tempfile::TempDir) {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("root.pem");
    std::fs::write(&file, certified.cert.pem()).expect("written");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der()));
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let config = config.with_no_client_auth().with_single_cert(vec![certified.cert.der().clone()], key);
    let acceptor = TlsAcceptor::from(Arc::new(config.expect("a key for the certificate")));
    let (listener, port) = listen().await;
    let target = endpoint.trim_start_matches("http://").to_owned();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let (acceptor, target) = (acceptor.clone(), target.clone());
            tokio::spawn(async move {
                let Ok(mut near) = acceptor.accept(near).await else { return };
                let Ok(mut far) = TcpStream::connect(target).await else { return };
                copy_bidirectional(&mut near, &mut far).await.ok();
            });
        }
    });
    (format!("https://localhost:{port}"), file, folder)
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}
