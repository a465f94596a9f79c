//! Every length of time and every other number that can be set: name, default, range and description, each in one
//! place.
//!
//! Settings, the function's configuration and the docs take them from here. Tests compare
//! `infra/variables.tf` and the docs with them.

/// A length of time that can be set, in the unit that its name ends with, or another number.
#[derive(Debug, PartialEq, Eq)]
pub struct Interval {
    /// The name in lower case, for example `session_seconds`.
    pub name: &'static str,
    /// The value unless another one is set.
    pub default: u64,
    /// The least value.
    pub minimum: u64,
    /// The greatest value.
    pub maximum: u64,
    /// Another interval, which this one must not exceed.
    pub within: Option<&'static Interval>,
    /// What it does, as a sentence.
    pub about: &'static str,
}

/// How long a session goes on after its last visit.
pub static SESSION: Interval = Interval {
    name: "session_seconds",
    default: 600,
    minimum: 60,
    maximum: 86_400,
    within: None,
    about: "How long a session goes on after its last visit, in seconds.",
};

/// How long a session may go on in all, however often its viewer comes back.
pub static SESSION_MAX: Interval = Interval {
    name: "session_max_seconds",
    default: 0,
    minimum: 0,
    maximum: 31_536_000,
    within: None,
    about: "How long a session may go on in all, in seconds after its first visit. 0 sets no end.",
};

/// Age from which a receipt makes the app write the session's item again.
pub static TOUCH_INTERVAL: Interval = Interval {
    name: "touch_interval_seconds",
    default: 60,
    minimum: 0,
    maximum: 86_400,
    within: Some(&SESSION),
    about: "Age in seconds from which a receipt makes the app write the session again. \
            0 writes on every view.",
};

/// Age up to which the edge routes by a receipt without a look-up.
pub static TRUST_WINDOW: Interval = Interval {
    name: "trust_window_seconds",
    default: 60,
    minimum: 0,
    maximum: 86_400,
    within: Some(&SESSION),
    about: "Age in seconds up to which the edge routes by a receipt without a look-up in DynamoDB. \
            0 looks every session up.",
};

/// How far the clocks of two machines may differ.
pub static CLOCK_ALLOWANCE: Interval = Interval {
    name: "clock_allowance_seconds",
    default: 60,
    minimum: 0,
    maximum: 600,
    within: None,
    about: "How many seconds the clocks of two machines may differ.",
};

/// Age from which the edge reads the plan again.
pub static PLAN_TTL: Interval = Interval {
    name: "plan_ttl_seconds",
    default: 5,
    minimum: 0,
    maximum: 30,
    within: None,
    about: "Age in seconds from which the edge reads the plan again. 0 reads it for every new session.",
};

/// How often an instance writes its pulse.
pub static PULSE: Interval = Interval {
    name: "pulse_seconds",
    default: 10,
    minimum: 1,
    maximum: 10,
    within: None,
    about: "How often an instance reports what it has counted and reads the plan, in seconds.",
};

/// How long a look-up may take in all.
pub static DEADLINE: Interval = Interval {
    name: "deadline_milliseconds",
    default: 250,
    minimum: 1,
    maximum: 3000,
    within: None,
    about: "How many milliseconds a look-up may take in all. Then the receipt or the plan decides.",
};

/// How long the nearest replica may take before the edge asks the second nearest as well.
pub static HEDGE_DELAY: Interval = Interval {
    name: "hedge_delay_milliseconds",
    default: 60,
    minimum: 0,
    maximum: 3000,
    within: Some(&DEADLINE),
    about: "How many milliseconds the nearest replica may take before the function asks the second \
            nearest as well.",
};

/// How long the sidecar waits for the beginning of an answer.
pub static UPSTREAM_HEAD: Interval = Interval {
    name: "upstream_head_seconds",
    default: 25,
    minimum: 1,
    maximum: 3600,
    within: None,
    about: "How many seconds the upstream may take until it begins to answer. Then the viewer gets 504. CloudFront \
            waits 30 s.",
};

/// How long an answer may pause behind the sidecar.
pub static UPSTREAM_PAUSE: Interval = Interval {
    name: "upstream_pause_seconds",
    default: 60,
    minimum: 1,
    maximum: 86_400,
    within: None,
    about: "How many seconds the upstream may pause within an answer. Then the answer is broken off. An event stream \
            needs something more often than this, for example a comment.",
};

/// How long a WebSocket may be silent.
pub static TUNNEL_SILENCE: Interval = Interval {
    name: "tunnel_silence_seconds",
    default: 600,
    minimum: 1,
    maximum: 86_400,
    within: None,
    about: "How many seconds a WebSocket may be silent in both directions before it is closed.",
};

/// The largest body of a request that the sidecar sends on.
pub static BODY_LIMIT: Interval = Interval {
    name: "body_limit_bytes",
    default: 21_474_836_480,
    minimum: 0,
    maximum: 1_099_511_627_776,
    within: None,
    about: "The largest body of a request, in bytes. A larger one gets 413. The default is CloudFront's limit.",
};

/// How many connections the sidecar opens to its upstream.
pub static UPSTREAM_CONNECTIONS: Interval = Interval {
    name: "upstream_connections",
    default: 1000,
    minimum: 1,
    maximum: 100_000,
    within: None,
    about: "How many connections to the upstream are open at most, WebSockets not counted. Further requests wait for \
            10 s.",
};

/// How many connections the sidecar accepts.
pub static VIEWER_CONNECTIONS: Interval = Interval {
    name: "viewer_connections",
    default: 20_000,
    minimum: 1,
    maximum: 1_000_000,
    within: None,
    about: "How many connections are accepted at most. Further ones wait in the system's queue.",
};

/// An interval's value is out of its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value} is out of range: {name} takes {minimum} to {maximum}{}", .within.map(|within| format!(", the value of {within}")).unwrap_or_default())]
pub struct OutOfRange {
    /// The interval's name.
    pub name: &'static str,
    value: u64,
    minimum: u64,
    maximum: u64,
    within: Option<&'static str>,
}

impl Interval {
    /// Checks a value against the range. `within` is the value of [`Interval::within`]; an interval
    /// without one ignores it.
    ///
    /// Errors: [`OutOfRange`].
    pub fn check(&self, value: u64, within: u64) -> Result<(), OutOfRange> {
        let limit = self.within.filter(|_| within < self.maximum);
        let maximum = if limit.is_some() { within } else { self.maximum };
        if (self.minimum..=maximum).contains(&value) {
            return Ok(());
        }
        let within = limit.map(|other| other.name);
        Err(OutOfRange { name: self.name, value, minimum: self.minimum, maximum, within })
    }

    /// The range in words: `60 to 86400`, or `0 to session_seconds`.
    pub fn range(&self) -> String {
        let maximum = self.within.map_or_else(|| self.maximum.to_string(), |within| format!("`{}`", within.name));
        format!("{} to {maximum}", self.minimum)
    }
}
