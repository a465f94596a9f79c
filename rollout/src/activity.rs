//! What instances counted between two of their pulses.

use std::collections::BTreeMap;

use stickshift_contract::{Draws, Histogram, Pulse};

/// What one or more instances of a version counted in a stretch of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Activity {
    /// What became of drawn sessions, by the revision that they were drawn under.
    pub draws: BTreeMap<u64, Draws>,
    /// Requests.
    pub requests: u64,
    /// Requests that were answered with a 5xx.
    pub server_errors: u64,
    /// How long the answers took.
    pub latencies: Histogram,
    /// Requests that the edge meant for another version.
    pub misdirected: u64,
    /// Writes of sessions that failed.
    pub failed_writes: u64,
    /// Calls to DynamoDB that read.
    pub table_reads: u64,
    /// Calls to DynamoDB that write.
    pub table_writes: u64,
}

impl Activity {
    /// What an instance counted from one of its pulses to a later one.
    pub fn between(before: &Pulse, after: &Pulse) -> Self {
        let since = |count: fn(&Pulse) -> u64| count(after).saturating_sub(count(before));
        let none = Draws::default();
        let draws = after.revisions.iter().map(|(revision, draws)| {
            let earlier = before.revisions.get(revision).unwrap_or(&none);
            (*revision, draws.since(earlier))
        });
        Self {
            draws: draws.filter(|(_, draws)| *draws != none).collect(),
            requests: since(Pulse::requests),
            server_errors: since(Pulse::server_errors),
            latencies: after.latencies.since(&before.latencies),
            misdirected: since(|pulse| pulse.misdirected),
            failed_writes: since(|pulse| pulse.failed_writes),
            table_reads: since(|pulse| pulse.table_reads),
            table_writes: since(|pulse| pulse.table_writes),
        }
    }

    /// Adds what another instance counted, or the same one at another time.
    pub fn add(&mut self, other: &Self) {
        for (revision, draws) in &other.draws {
            self.draws.entry(*revision).or_default().add_all(draws);
        }
        self.latencies.add_all(&other.latencies);
        let numbers = [
            (&mut self.requests, other.requests),
            (&mut self.server_errors, other.server_errors),
            (&mut self.misdirected, other.misdirected),
            (&mut self.failed_writes, other.failed_writes),
            (&mut self.table_reads, other.table_reads),
            (&mut self.table_writes, other.table_writes),
        ];
        // Numbers from a table may be anything.
        numbers.into_iter().for_each(|(sum, number)| *sum = sum.saturating_add(number));
    }

    /// A number of drawn sessions, under every revision.
    pub fn sum_of(&self, number: fn(&Draws) -> u64) -> u64 {
        self.draws.values().fold(0, |sum, draws| sum.saturating_add(number(draws)))
    }
}
