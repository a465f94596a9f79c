//! Tests that hold at every moment, however often somebody looks.
//!
//! A draw puts a session on the canary with a known probability, its *share*. If the versions are alike, each failure
//! lies on the canary with that probability, whatever the hour, the load or the ramp did meanwhile. So the failures
//! themselves are the sample, and the shares are the hypothesis. `docs/analysis.md` explains it.

use libm::lgamma;

/// Failures on the two versions of a rollout.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Failures {
    /// The share of a draw that goes to the canary, strictly between 0 and 1, and the failures of sessions that were
    /// drawn under it.
    by_share: Vec<(f64, u64)>,
    on_canary: u64,
}

/// How many times the tolerated ratio the canary's risk may be: each guess gets the same weight.
const GUESSES: [f64; 6] = [1.5, 2.0, 4.0, 8.0, 16.0, 32.0];

/// The confidence sequence mixes ratios `2^(k/2)` for `k` from `-GRID` to `GRID`.
const GRID: i32 = 12;

/// The natural logarithm of the lowest and the highest ratio that is looked at.
const RATIO_BOUND: f64 = 30.0;

/// Halvings until an end of an interval is exact to the last digits.
const HALVINGS: u32 = 80;

impl Failures {
    /// Adds failures of sessions that were drawn for the canary with the probability `share`. A share of 0 or 1 says
    /// nothing: there is nothing to compare with.
    pub fn add(&mut self, share: f64, on_canary: u64, on_stable: u64) {
        if share > 0.0 && share < 1.0 {
            self.by_share.push((share, on_canary.saturating_add(on_stable)));
            self.on_canary = self.on_canary.saturating_add(on_canary);
        }
    }

    /// Failures on the canary.
    pub fn on_canary(&self) -> u64 {
        self.on_canary
    }

    /// Failures on either version.
    pub fn on_both(&self) -> u64 {
        self.by_share.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// The evidence that the canary's risk is more than `tolerance` times stable's. If it is not, the probability that
    /// the evidence **ever** reaches `1 / alpha` is at most `alpha`
    /// ([Ville's inequality](https://arxiv.org/abs/2011.06931)).
    pub fn evidence(&self, tolerance: f64) -> f64 {
        let tolerated = self.ln_likelihood(tolerance.ln());
        ln_mean_exp(GUESSES.iter().map(|guess| self.ln_likelihood((guess * tolerance).ln()) - tolerated)).exp()
    }

    /// Whether [`Failures::ratio`] ends below `ratio`.
    pub(crate) fn is_below(&self, ratio: f64, alpha: f64) -> bool {
        self.slope(ratio.ln()) < 0.0 && !self.allows(ratio.ln(), self.ln_mixed(), alpha)
    }

    /// Whether it begins above `ratio`.
    pub(crate) fn is_above(&self, ratio: f64, alpha: f64) -> bool {
        self.slope(ratio.ln()) > 0.0 && !self.allows(ratio.ln(), self.ln_mixed(), alpha)
    }

    /// Where the true ratio of the risks is, canary to stable, with a probability of `1 - alpha` at all looks together.
    /// The upper end may be infinite.
    pub fn ratio(&self, alpha: f64) -> (f64, f64) {
        let ln_mixed = self.ln_mixed();
        let is_inside = |ln_ratio: f64| self.allows(ln_ratio, ln_mixed, alpha);
        // The likelihood is concave in the logarithm of the ratio, so what is inside is one interval around its peak.
        let peak = halved(-RATIO_BOUND, RATIO_BOUND, |ln_ratio| self.slope(ln_ratio) > 0.0);
        let low = if is_inside(-RATIO_BOUND) { 0.0 } else { halved(peak, -RATIO_BOUND, is_inside).exp() };
        let high = if is_inside(RATIO_BOUND) { f64::INFINITY } else { halved(peak, RATIO_BOUND, is_inside).exp() };
        (low, high)
    }

    /// The same failures as if there were `numerator / denominator` times as many sessions.
    pub(crate) fn scaled(&self, numerator: u64, denominator: u64) -> Self {
        let scaled = |(share, count): &(f64, u64)| (*share, scale(*count, numerator, denominator));
        Self {
            by_share: self.by_share.iter().map(scaled).collect(),
            on_canary: scale(self.on_canary, numerator, denominator),
        }
    }

    /// Whether a ratio is in the confidence sequence.
    fn allows(&self, ln_ratio: f64, ln_mixed: f64, alpha: f64) -> bool {
        ln_mixed - self.ln_likelihood(ln_ratio) < -alpha.ln()
    }

    /// The logarithm of the mean likelihood of the ratios that the confidence sequence mixes.
    fn ln_mixed(&self) -> f64 {
        ln_mean_exp((-GRID..=GRID).map(|k| self.ln_likelihood(f64::from(k) / 2.0 * std::f64::consts::LN_2)))
    }

    /// The logarithm of the likelihood of a ratio, relative to that of the ratio 1.
    fn ln_likelihood(&self, ln_ratio: f64) -> f64 {
        let of_share = |(share, count): &(f64, u64)| real(*count) * (share * ln_ratio.exp_m1()).ln_1p();
        real(self.on_canary) * ln_ratio - self.by_share.iter().map(of_share).sum::<f64>()
    }

    /// Its derivative.
    fn slope(&self, ln_ratio: f64) -> f64 {
        let ratio = ln_ratio.exp();
        let of_share = |(share, count): &(f64, u64)| real(*count) * share * ratio / (1.0 - share + share * ratio);
        real(self.on_canary) - self.by_share.iter().map(of_share).sum::<f64>()
    }
}

/// Where the true share of failures is, if `failed` of `seen` failed, with a probability of `1 - alpha` at all looks
/// together. `failed` is at most `seen`.
pub fn rate(failed: u64, seen: u64, alpha: f64) -> (f64, f64) {
    let failed = failed.min(seen);
    let is_inside = |share: f64| ln_rate_quotient(failed, seen, share) < -alpha.ln();
    let seen_share = if seen == 0 { 0.5 } else { real(failed) / real(seen) };
    let low = if failed == 0 { 0.0 } else { halved(seen_share, 0.0, is_inside) };
    let high = if failed == seen { 1.0 } else { halved(seen_share, 1.0, is_inside) };
    (low, high)
}

/// Whether [`rate`] ends at `limit` or below.
pub(crate) fn is_rare(failed: u64, seen: u64, limit: f64, alpha: f64) -> bool {
    let failed = failed.min(seen);
    limit >= 1.0 || real(failed) <= limit * real(seen) && ln_rate_quotient(failed, seen, limit) >= -alpha.ln()
}

/// The logarithm of `B(1+S, 1+n-S) / (p^S (1-p)^(n-S))`.
fn ln_rate_quotient(failed: u64, seen: u64, share: f64) -> f64 {
    let (failed, passed) = (real(failed), real(seen - failed));
    let ln_beta = lgamma(1.0 + failed) + lgamma(1.0 + passed) - lgamma(2.0 + failed + passed);
    // Zero times the logarithm of zero is zero here.
    let power = |count: f64, ln_share: f64| if count == 0.0 { 0.0 } else { count * ln_share };
    ln_beta - power(failed, share.ln()) - power(passed, (-share).ln_1p())
}

/// Where `holds` ends between `inside`, where it holds, and `outside`, where it does not.
fn halved(inside: f64, outside: f64, holds: impl Fn(f64) -> bool) -> f64 {
    let (mut inside, mut outside) = (inside, outside);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(inside, outside);
        *(if holds(middle) { &mut inside } else { &mut outside }) = middle;
    }
    outside
}

/// The logarithm of the mean of exponentials, none of which may overflow.
fn ln_mean_exp(logarithms: impl Iterator<Item = f64> + Clone) -> f64 {
    let highest = logarithms.clone().fold(f64::NEG_INFINITY, f64::max);
    let (mut sum, mut count) = (0.0, 0.0);
    for logarithm in logarithms {
        sum += (logarithm - highest).exp();
        count += 1.0;
    }
    highest + (sum / count).ln()
}

/// `count * numerator / denominator`, rounded up.
pub(crate) fn scale(count: u64, numerator: u64, denominator: u64) -> u64 {
    let scaled = (u128::from(count) * u128::from(numerator)).div_ceil(u128::from(denominator));
    scaled.try_into().unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quotient_of_a_rate_is_the_second_implementation_s() {
        for (failed, seen, share, quotient) in
            [(1, 3, 0.01, 8.502_534), (1, 3, 0.05, 1.846_722), (0, 3, 0.01, 0.257_653), (5, 100, 0.01, 3.416_742)]
        {
            let ours = ln_rate_quotient(failed, seen, share).exp();
            assert!((ours - quotient).abs() < 5.1e-7, "{failed} of {seen} at {share}: {ours}");
        }
    }
}
