//! How many per period.

use core::time::Duration;

use super::fine::Fine;
use crate::{ConfigError, nanos};

/// So many tokens per period, and how many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Quota {
    /// The time of one token, rounded up, so that rounding never grants more.
    cell: Fine,
    /// The time of `burst` tokens.
    tolerance: Fine,
    burst: u32,
}

impl Quota {
    /// `count` tokens per `period`, with a burst of `count`.
    ///
    /// # Errors
    /// When either is zero, when it is more than one token per nanosecond, or when the burst takes over 292 years to
    /// refill.
    #[expect(clippy::integer_division, clippy::cast_possible_truncation, reason = "configuration, not a decision")]
    pub const fn new(count: u32, period: Duration) -> Result<Self, ConfigError> {
        if count == 0 {
            return Err(ConfigError::new("count", "a quota of no tokens lets nothing through"));
        }
        if period.is_zero() {
            return Err(ConfigError::new("period", "a quota needs a period above zero"));
        }
        let (period, count64) = (nanos(period), count as u64);
        if period < count64 {
            return Err(ConfigError::new("count", "more than one token per nanosecond"));
        }
        // count < 2^32, so the remainder shifted by 32 fits; rounding up may carry into the nanoseconds.
        let fraction = ((period % count64) << 32).div_ceil(count64);
        let cell = Fine::new(period / count64, 0).plus(Fine::new(fraction >> 32, fraction as u32));
        Self { cell, tolerance: Fine::ZERO, burst: 0 }.with_burst(count)
    }

    /// `count` tokens a second.
    ///
    /// # Errors
    /// As [`Quota::new`].
    pub const fn per_second(count: u32) -> Result<Self, ConfigError> {
        Self::new(count, Duration::from_secs(1))
    }

    /// The same rate with another burst: how many tokens a full bucket holds.
    ///
    /// # Errors
    /// When `burst` is zero or takes over 292 years to refill.
    pub const fn with_burst(mut self, burst: u32) -> Result<Self, ConfigError> {
        if burst == 0 {
            return Err(ConfigError::new("burst", "a bucket that holds no token lets nothing through"));
        }
        self.burst = burst;
        self.tolerance = self.cell.times(burst);
        if self.tolerance.nanos() > i64::MAX as u64 {
            return Err(ConfigError::new("burst", "takes over 292 years to refill"));
        }
        Ok(self)
    }

    /// How many tokens a full bucket holds.
    #[must_use]
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    /// The time of one token in nanoseconds, rounded down.
    #[must_use]
    pub const fn cell_nanos(&self) -> u64 {
        self.cell.nanos()
    }

    /// The time of `n` tokens, `n` not above the burst.
    #[inline]
    pub(crate) const fn cost(&self, n: u32) -> Fine {
        if n == 1 { self.cell } else { self.cell.times(n) }
    }

    #[inline]
    pub(crate) const fn tolerance(&self) -> Fine {
        self.tolerance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cell_is_rounded_up_by_less_than_a_part_in_2_pow_32() {
        for (count, secs) in [(1, 86_400), (3, 1), (7, 1), (999_999_937, 1), (1_000_000_000, 1), (u32::MAX, 60)] {
            let quota = Quota::new(count, Duration::from_secs(secs)).unwrap();
            let exact = (u128::from(secs) * 1_000_000_000) << 32;
            let cells = quota.cell.raw() * u128::from(count);
            assert!(cells >= exact && cells - exact < u128::from(count), "{count} per {secs} s");
        }
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        let setting = |q: Result<Quota, ConfigError>| q.unwrap_err().setting;
        assert_eq!(setting(Quota::new(0, Duration::from_secs(1))), "count");
        assert_eq!(setting(Quota::new(1, Duration::ZERO)), "period");
        assert_eq!(setting(Quota::new(2, Duration::from_nanos(1))), "count");
        assert_eq!(setting(Quota::per_second(1).unwrap().with_burst(0)), "burst");
        assert_eq!(setting(Quota::new(1, Duration::MAX)), "burst");
    }
}
