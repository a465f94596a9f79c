//! The counters, for Prometheus.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use stickshift_contract::{Pulse, VersionCode};

use super::answered::Answered;
use super::tally::Tally;
use crate::clock::unix_now;
use crate::store::Calls;

/// The counters of one version.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    /// The answered requests.
    pub answered: Arc<Answered>,
    /// Calls to DynamoDB.
    pub calls: Calls,
    /// What only pulses have.
    pub tally: Tally,
    /// Sessions that began here.
    pub sessions_begun: Counter,
    /// Writes of sessions, including new ones.
    pub writes_made: Counter,
    /// Views without a write, because the receipt was young.
    pub writes_saved: Counter,
    /// Writes that failed.
    writes_failed: Counter,
    /// Views of sessions that are on another version.
    pub foreign_views: Counter,
    /// Sessions that saw their first 5xx.
    pub sessions_failed: Counter,
    /// Sessions that finished their activity.
    pub sessions_finished: Counter,
    /// Requests that the edge meant for another version.
    pub misdirected: Counter,
    /// Answers of a sidecar that are still being sent, WebSockets among them.
    pub open_connections: Gauge,
    /// Unix seconds at which the certificate of TLS ends; 0 without TLS.
    pub certificate_expires: Gauge,
    /// For how many seconds nobody has looked at the rollout that runs by itself; 0 without one.
    pub lease_age: Gauge,
}

impl Metrics {
    /// Counters at zero, labelled with the version.
    pub(super) fn new(version: VersionCode) -> Self {
        let label = ("version".into(), version.to_string().into());
        let mut registry = Registry::with_prefix_and_labels("stickshift", std::iter::once(label));
        let answered = Arc::<Answered>::default();
        registry.register_collector(Box::new(answered.clone()));
        let open_connections = Gauge::default();
        registry.register(
            "open_connections",
            "Answers that are still being sent, with WebSockets",
            open_connections.clone(),
        );
        let lease_age = Gauge::default();
        registry.register(
            "rollout_lease_age_seconds",
            "For how long nobody has looked at the rollout that runs, 0 without one",
            lease_age.clone(),
        );
        let certificate_expires = Gauge::default();
        registry.register(
            "tls_certificate_expires_timestamp_seconds",
            "When the certificate of TLS ends, 0 without TLS",
            certificate_expires.clone(),
        );
        let calls = Calls::default();
        registry.register("table_reads", "Calls to DynamoDB that read", calls.reads.clone());
        registry.register("table_writes", "Calls to DynamoDB that write", calls.writes.clone());
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::<u64, AtomicU64>::default();
            registry.register(name, help, counter.clone());
            counter
        };
        Self {
            sessions_begun: counter("sessions_begun", "Sessions begun"),
            writes_made: counter("session_writes", "Sessions written to DynamoDB"),
            writes_saved: counter("session_writes_saved", "Views without a write, because the receipt was young"),
            writes_failed: counter("session_writes_failed", "Writes that failed"),
            foreign_views: counter("foreign_views", "Views of sessions that are on another version"),
            sessions_failed: counter("sessions_failed", "Sessions that saw their first answer with a 5xx status"),
            sessions_finished: counter("sessions_finished", "Sessions that finished their activity"),
            misdirected: counter("misdirected", "Requests that the edge meant for another version"),
            calls,
            open_connections,
            lease_age,
            certificate_expires,
            registry,
            answered,
            tally: Tally::default(),
        }
    }

    /// Counts a write of a session that failed.
    pub(super) fn note_failed_write(&self) {
        self.writes_failed.inc();
        self.tally.note_failed_write(unix_now());
    }

    /// Writes the counters into a pulse.
    pub(super) fn put_into(&self, pulse: &mut Pulse) {
        pulse.open_connections = self.open_connections.get().try_into().unwrap_or(0);
        pulse.misdirected = self.misdirected.get();
        pulse.failed_writes = self.writes_failed.get();
        (pulse.table_reads, pulse.table_writes) = (self.calls.reads.get(), self.calls.writes.get());
        self.answered.put_into(pulse);
        self.tally.put_into(pulse);
    }

    /// All counters in the [OpenMetrics text format](https://prometheus.io/docs/specs/om/open_metrics_spec/).
    pub(super) fn encode(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a String takes any text");
        text
    }
}
