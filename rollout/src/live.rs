//! How many sessions are live, counted or estimated.

/// A number of sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// The number, or the best guess.
    pub sessions: u64,
    /// Where the true number is with a probability of 95 %; `None` if every session was counted.
    pub interval: Option<(u64, u64)>,
}

impl Count {
    /// Every session was counted.
    pub fn exact(sessions: u64) -> Self {
        Self { sessions, interval: None }
    }

    /// Estimates the total of a table from the counts in some of its `parts`, which were drawn at random.
    ///
    /// DynamoDB cuts a table into parts by the hash of the key, so the sessions are spread over them at random.
    /// The interval is that of the mean of a sample without replacement: the mean, plus and minus twice its
    /// standard error ([Cochran, Sampling Techniques, chapter 2](https://archive.org/details/cochran-1977-sampling-techniques)).
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts are far below 2^52, and an estimate is not exact"
    )]
    pub fn estimated(counts: &[u64], parts: u64) -> Self {
        let seen: u64 = counts.iter().sum();
        let sample = counts.len() as f64;
        if counts.len() as u64 >= parts || counts.len() < 2 {
            return Self::exact(seen);
        }
        let mean = seen as f64 / sample;
        let variance = counts.iter().map(|&count| (count as f64 - mean).powi(2)).sum::<f64>() / (sample - 1.0);
        let rest = 1.0 - sample / parts as f64;
        let error = 2.0 * parts as f64 * (variance / sample * rest).sqrt();
        let total = mean * parts as f64;
        // What was seen is there.
        let low = ((total - error).max(0.0) as u64).max(seen);
        Self { sessions: (total.round() as u64).max(seen), interval: Some((low, (total + error).ceil() as u64)) }
    }
}
