//! How many per period.

use core::time::Duration;

use super::fine::{FRACTION_BITS, Fine};
use crate::{ConfigError, nanos};

/// So many tokens per period, and how many at once: the configuration of a [`TokenBucket`](super::TokenBucket).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Quota {
    period: u64,
    max_wait: u64,
    max_pause: u64,
    /// Zero: hints are not heeded.
    max_hint: u64,
    /// The time of one token, rounded up, so that rounding never grants more.
    cell: Fine,
    /// The time of `burst` tokens.
    tolerance: Fine,
    count: u32,
    burst: u32,
    /// All spans are multiples of 2^`grain` units.
    grain: u32,
}

/// A full bucket's time fits in so many bits of its grains: room for it, for debts and for the time since the last look
/// in the word of an atomic twin. A cell keeps 21 of them at least: it is right to a part in two million.
const TOLERANCE_BITS: u32 = 54;

const MINUTE: u64 = 60_000_000_000;

impl Quota {
    /// `count` tokens per `period`, with a burst of `count`.
    ///
    /// # Errors
    /// When either is zero, when it is more than one token per nanosecond, or when the burst takes over 292 years to
    /// refill.
    pub const fn new(count: u32, period: Duration) -> Result<Self, ConfigError> {
        if count == 0 {
            return Err(ConfigError::new("count", "a quota of no tokens lets nothing through"));
        }
        if period.is_zero() {
            return Err(ConfigError::new("period", "a quota needs a period above zero"));
        }
        let period = nanos(period);
        if period < count as u64 {
            return Err(ConfigError::new("count", "more than one token per nanosecond"));
        }
        let quota = Self {
            period,
            max_wait: MINUTE,
            max_pause: MINUTE,
            max_hint: 0,
            cell: Fine::ZERO,
            tolerance: Fine::ZERO,
            count,
            burst: 0,
            grain: 0,
        };
        quota.with_burst(count)
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
        self.grain = 0;
        let exact = self.exact_cell();
        // A cell that fits is rounded to the next grain; one that does not fit in any is of whole nanoseconds.
        loop {
            self.cell = exact.round_up(self.grain);
            self.tolerance = self.cell.times(burst);
            let fits = matches!(self.tolerance.to_grains(self.grain), Some(grains) if grains >> TOLERANCE_BITS == 0);
            if fits || self.grain == FRACTION_BITS {
                break;
            }
            self.grain += 1;
        }
        if self.tolerance.nanos() > i64::MAX as u64 {
            return Err(ConfigError::new("burst", "takes over 292 years to refill"));
        }
        Ok(self)
    }

    /// The furthest into the future that tokens are given out: how long a reservation may have to wait, and how deep a
    /// [settled](super::TokenBucket::settle) request can put the bucket into debt. Zero: tokens are for use at once, and
    /// there is no debt. Default: a minute.
    #[must_use]
    pub const fn with_max_wait(mut self, max: Duration) -> Self {
        self.max_wait = nanos(max);
        self
    }

    /// The longest [pause](super::TokenBucket::pause_until), whatever was asked for. Default: a minute.
    ///
    /// # Errors
    /// When it is zero.
    pub const fn with_max_pause(mut self, max: Duration) -> Result<Self, ConfigError> {
        if max.is_zero() {
            return Err(ConfigError::new("max_pause", "no pause could be made"));
        }
        self.max_pause = nanos(max);
        Ok(self)
    }

    /// Lets the callee pause the bucket: released with [`Unavailable`](crate::Outcome::Unavailable), it refuses until
    /// then, but for `max` at most (a hostile or broken callee may ask for a year). Default: hints are not heeded.
    ///
    /// # Errors
    /// When it is zero.
    pub const fn with_max_hint(mut self, max: Duration) -> Result<Self, ConfigError> {
        if max.is_zero() {
            return Err(ConfigError::new("max_hint", "no hint could be heeded; leave it out"));
        }
        self.max_hint = nanos(max);
        Ok(self)
    }

    /// The time of one token, rounded up to 2^-24 ns.
    #[expect(clippy::integer_division, reason = "configuration, not a decision")]
    const fn exact_cell(&self) -> Fine {
        let count = self.count as u64;
        // count < 2^32, so the remainder shifted by 24 fits; rounding up may carry into the nanoseconds.
        let fraction = ((self.period % count) << FRACTION_BITS).div_ceil(count);
        Fine::from_nanos(self.period / count).plus(Fine::from_units(fraction))
    }

    /// How many tokens per period.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The period in nanoseconds.
    #[must_use]
    pub const fn period_nanos(&self) -> u64 {
        self.period
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

    /// The furthest into the future that tokens are given out, in nanoseconds.
    #[must_use]
    pub const fn max_wait_nanos(&self) -> u64 {
        self.max_wait
    }

    /// The time of `n` tokens.
    #[inline]
    pub(crate) const fn cost(&self, n: u32) -> Fine {
        if n == 1 { self.cell } else { self.cell.times(n) }
    }

    #[inline]
    pub(crate) const fn tolerance(&self) -> Fine {
        self.tolerance
    }

    #[inline]
    pub(crate) const fn grain(&self) -> u32 {
        self.grain
    }

    #[inline]
    pub(crate) const fn max_pause(&self) -> u64 {
        self.max_pause
    }

    #[inline]
    pub(super) const fn max_hint(&self) -> u64 {
        self.max_hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In units of 2^-24 ns.
    fn exact(f: Fine) -> u128 {
        let (high, low) = f.to_words();
        u128::from(high) << 64 | u128::from(low)
    }

    #[test]
    fn the_cell_is_rounded_up_by_less_than_a_part_in_a_million() {
        let day = 86_400;
        for (count, secs, burst) in [
            (1, day, 1),
            (1, day, 100_000),
            (3, 1, 3),
            (7, 1, 700),
            (999_999_937, 1, 1),
            (999_999_937, 1, u32::MAX),
            (1_000_000_000, 1, 5),
            (700_000_001, 1, u32::MAX),
            (u32::MAX, 60, u32::MAX),
            (u32::MAX, 365 * day, u32::MAX),
            (99, 365 * day, 900),
        ] {
            let quota = Quota::new(count, Duration::from_secs(secs)).unwrap().with_burst(burst).unwrap();
            let ideal = (u128::from(secs) * 1_000_000_000) << FRACTION_BITS;
            let cells = exact(quota.cell) * u128::from(count);
            assert!(cells >= ideal && (cells - ideal) * 2_000_000 <= ideal, "{quota:?}");
            assert_eq!(exact(quota.cell) % (1 << quota.grain), 0);
            assert!(exact(quota.tolerance) >> quota.grain < 1 << TOLERANCE_BITS || quota.grain == FRACTION_BITS);
        }
    }

    #[test]
    fn a_burst_does_not_leave_a_coarser_rate_behind() {
        let fine = Quota::per_second(999_999_937).unwrap().with_burst(1).unwrap();
        let there_and_back = fine.with_burst(u32::MAX).unwrap().with_burst(1).unwrap();
        assert_eq!(fine, there_and_back);
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        let setting = |q: Result<Quota, ConfigError>| q.unwrap_err().setting;
        assert_eq!(setting(Quota::new(0, Duration::from_secs(1))), "count");
        assert_eq!(setting(Quota::new(1, Duration::ZERO)), "period");
        assert_eq!(setting(Quota::new(2, Duration::from_nanos(1))), "count");
        assert_eq!(setting(Quota::per_second(1).unwrap().with_burst(0)), "burst");
        assert_eq!(setting(Quota::new(1, Duration::MAX)), "burst");
        assert_eq!(setting(Quota::per_second(1).unwrap().with_max_pause(Duration::ZERO)), "max_pause");
        assert_eq!(setting(Quota::per_second(1).unwrap().with_max_hint(Duration::ZERO)), "max_hint");
    }
}
