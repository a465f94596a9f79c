//! The share of new sessions that a version gets.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Share of **new** sessions sent to a version, in basis points (hundredths of a percent), `0..=10_000`.
///
/// `0` never assigns, `10_000` always does. Sessions in progress keep their version.
/// Errors: [`WeightError`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Weight(u16);

/// The value is not a [`Weight`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WeightError {
    /// More than 100 percent.
    #[error("a weight of {0} basis points is out of range: expected 0 to 10000 (100.00 percent)")]
    OutOfRange(u16),
    /// Not a percentage with at most two decimals.
    #[error(
        "`{0}` is not a weight: expected a percentage from 0 to 100 with at most two decimals, for example 10 or 0.25"
    )]
    Malformed(String),
}

impl Weight {
    /// No new session.
    pub const NONE: Self = Self(0);
    /// Every new session.
    pub const ALL: Self = Self(10_000);

    /// A weight from basis points. Errors: [`WeightError::OutOfRange`] above 10,000.
    pub fn from_basis_points(basis_points: u16) -> Result<Self, WeightError> {
        if basis_points <= Self::ALL.0 { Ok(Self(basis_points)) } else { Err(WeightError::OutOfRange(basis_points)) }
    }

    /// The weight in basis points, `0..=10_000`.
    pub fn basis_points(self) -> u16 {
        self.0
    }

    /// Reads a percentage with at most two decimals: `10`, `0.25`, `33.3`. It uses no floating-point
    /// number, so `0.29` is exact.
    ///
    /// Errors: [`WeightError`].
    pub fn parse_percent(text: &str) -> Result<Self, WeightError> {
        let malformed = || WeightError::Malformed(text.chars().take(40).collect());
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !all_digits(whole) || !all_digits(decimals) || whole.len() > 3 || decimals.len() > 2 {
            return Err(malformed());
        }
        let basis_points: u32 = format!("{whole}{decimals:0<2}").parse().map_err(|_| malformed())?;
        u16::try_from(basis_points).map_err(|_| malformed()).and_then(Self::from_basis_points)
    }
}

/// In percent with two decimals, without the percent sign: `10.00`.
impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{:02}", self.0 / 100, self.0 % 100))
    }
}

impl TryFrom<u16> for Weight {
    type Error = WeightError;

    fn try_from(basis_points: u16) -> Result<Self, Self::Error> {
        Self::from_basis_points(basis_points)
    }
}

impl From<Weight> for u16 {
    fn from(weight: Weight) -> Self {
        weight.0
    }
}
