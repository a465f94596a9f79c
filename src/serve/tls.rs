//! TLS between CloudFront and an origin. The certificate follows its files while the origin serves.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use actix_web::rt;
use anyhow::{Context as _, Result, bail};
use chrono::DateTime;
use log::{Level, info, warn};
use prometheus_client::metrics::gauge::Gauge;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::parse_x509_certificate;

use crate::clock::unix_now;
use crate::minute_log::MinuteLog;
use crate::settings::TlsFiles;

/// How often the files are read again.
const RELOAD: Duration = Duration::from_secs(5);

/// How many seconds before its end a certificate is warned of: 14 days. Services that renew certificates do it
/// earlier.
const WARNING_SECONDS: i64 = 14 * DAY;

/// Seconds between two such warnings.
const DAY: i64 = 86_400;

/// Files that could not be used while the origin served.
static NOT_RELOADED: MinuteLog = MinuteLog::new(
    Level::Warn,
    "the certificate for TLS could not be read again, so the last one is still in use",
    Some("the certificate for TLS can be read again"),
);

/// The certificate that new connections get.
#[derive(Debug)]
struct Certificate {
    files: TlsFiles,
    current: RwLock<Arc<CertifiedKey>>,
    /// Unix seconds of its end.
    expires: Gauge,
}

/// What the files contain.
struct Read {
    certified: CertifiedKey,
    /// Unix seconds at which the certificate ends.
    expires: i64,
}

/// How an origin's listener speaks TLS: version 1.2 or 1.3, with the certificate of these files. They are read again
/// every 5 s for as long as the listener exists. `expires` gets the certificate's end.
///
/// Errors: a file cannot be read, is not PEM, or the two do not belong together.
pub(super) fn server_config(files: TlsFiles, expires: Gauge) -> Result<ServerConfig> {
    let read = read(&files)?;
    announce(&files, read.expires);
    expires.set(read.expires);
    let certificate = Arc::new(Certificate { files, current: RwLock::new(Arc::new(read.certified)), expires });
    let follower = Arc::downgrade(&certificate);
    rt::spawn(async move {
        let mut warned_at = now();
        loop {
            rt::time::sleep(RELOAD).await;
            let Some(certificate) = follower.upgrade() else { return };
            match certificate.reload() {
                Ok(()) => NOT_RELOADED.note_success(),
                Err(cause) => NOT_RELOADED.note(&format_args!("{cause:#}")),
            }
            if ends_soon(certificate.expires.get()) && now() - warned_at >= DAY {
                announce(&certificate.files, certificate.expires.get());
                warned_at = now();
            }
        }
    });
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().context("ring cannot do TLS 1.2 and 1.3")?;
    Ok(builder.with_no_client_auth().with_cert_resolver(certificate))
}

impl Certificate {
    /// Takes the files' certificate into use, if it is another one.
    fn reload(&self) -> Result<()> {
        let read = read(&self.files)?;
        if read.certified.cert != self.current().cert {
            announce(&self.files, read.expires);
            self.expires.set(read.expires);
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(read.certified);
        }
        Ok(())
    }

    fn current(&self) -> Arc<CertifiedKey> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Logs until when the certificate in use is good.
fn announce(files: &TlsFiles, expires: i64) {
    let file = files.certificate.display();
    let end = DateTime::from_timestamp(expires, 0).unwrap_or(DateTime::UNIX_EPOCH).format("%F %T UTC");
    if expires <= now() {
        warn!("the certificate in {file} ended at {end}: CloudFront answers 502 until there is a new one");
    } else if ends_soon(expires) {
        warn!("the certificate in {file} ends at {end}: after that, CloudFront answers 502 until there is a new one");
    } else {
        info!("the certificate in {file} is in use until {end}");
    }
}

fn ends_soon(expires: i64) -> bool {
    expires - now() < WARNING_SECONDS
}

fn now() -> i64 {
    unix_now().try_into().unwrap_or(i64::MAX)
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

/// Reads a certificate with its chain, and its key.
fn read(files: &TlsFiles) -> Result<Read> {
    let (certificate, key) = (files.certificate.display(), files.key.display());
    let chain = CertificateDer::pem_file_iter(&files.certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.with_context(|| format!("STICKSHIFT_TLS_CERTIFICATE: could not read {certificate}"))?;
    let Some(first) = chain.first() else {
        bail!("STICKSHIFT_TLS_CERTIFICATE: {certificate} contains no certificate in PEM");
    };
    let (_, parsed) = parse_x509_certificate(first).with_context(|| {
        format!("STICKSHIFT_TLS_CERTIFICATE: {certificate} begins with a certificate that cannot be read")
    })?;
    let expires = parsed.validity().not_after.timestamp();
    let private_key = PrivateKeyDer::from_pem_file(&files.key);
    let private_key = private_key.with_context(|| format!("STICKSHIFT_TLS_KEY: could not read a key from {key}"))?;
    let certified = CertifiedKey::from_der(chain, private_key, &ring::default_provider());
    let certified =
        certified.with_context(|| format!("the key in {key} does not fit the certificate in {certificate}"))?;
    Ok(Read { certified, expires })
}
