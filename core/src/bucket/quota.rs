//! How many per period.

use core::time::Duration;

use super::fine::Fine;
use crate::{ConfigError, Instant, nanos};

/// So many tokens per period, and how many at once: the configuration of a [`TokenBucket`](super::TokenBucket).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Quota {
    period: u64,
    max_wait: u64,
    max_pause: u64,
    /// Zero: hints are not heeded.
    max_hint: u64,
    /// The time of one token: exact if it can be, else rounded up, so that rounding never grants more.
    cell: Fine,
    /// The time of `burst` tokens.
    tolerance: Fine,
    count: u32,
    burst: u32,
    /// Units of a nanosecond.
    parts: u32,
}

/// Units of a nanosecond, at most.
const PARTS_BITS: u32 = 22;
/// A full bucket's time fits in so many bits, if it is not above 208 days: room for it, for debts and for the time since
/// the last look in the word of an atomic twin. With the finest units that leave this room, a cell that must be rounded
/// has 2^21 of them at least.
pub(super) const TOLERANCE_BITS: u32 = 54;

const MINUTE: u64 = 60_000_000_000;

/// Nanoseconds, if a rate of `count` per `period` makes sense.
pub(super) const fn checked_period(count: u32, period: Duration) -> Result<u64, ConfigError> {
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
    Ok(period)
}

impl Quota {
    /// `count` tokens per `period`, with a burst of `count`.
    ///
    /// # Errors
    /// When either is zero, when it is more than one token per nanosecond, or when the burst takes over 292 years to
    /// refill.
    pub const fn new(count: u32, period: Duration) -> Result<Self, ConfigError> {
        let period = match checked_period(count, period) {
            Ok(period) => period,
            Err(error) => return Err(error),
        };
        let quota = Self {
            period,
            max_wait: MINUTE,
            max_pause: MINUTE,
            max_hint: 0,
            cell: Fine::ZERO,
            tolerance: Fine::ZERO,
            count,
            burst: 0,
            parts: 1,
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
        self.divide();
        if self.tolerance.nanos(self.parts) > i64::MAX as u64 {
            return Err(ConfigError::new("burst", "takes over 292 years to refill"));
        }
        Ok(self)
    }

    /// Chooses units such that a cell is a whole number of them, or else as fine as there is room for.
    #[expect(clippy::integer_division, clippy::cast_possible_truncation, reason = "configuration; at most the count")]
    const fn divide(&mut self) {
        let count = self.count as u64;
        let common = common_divisor(self.period, count);
        let parts = count / common;
        if parts >> PARTS_BITS == 0 {
            self.use_units(parts as u32, Fine::from_units(self.period / common));
            if self.fits() {
                return;
            }
        }
        let mut bits = PARTS_BITS;
        loop {
            // The remainder is below 2^32, so it fits when it is shifted.
            let rest = ((self.period % count) << bits).div_ceil(count);
            self.use_units(1 << bits, Fine::from_nanos(self.period / count, 1 << bits).plus(Fine::from_units(rest)));
            if self.fits() || bits == 0 {
                return;
            }
            bits -= 1;
        }
    }

    const fn use_units(&mut self, parts: u32, cell: Fine) {
        self.parts = parts;
        self.cell = cell;
        self.tolerance = cell.times(self.burst);
    }

    const fn fits(&self) -> bool {
        matches!(self.tolerance.units(), Some(units) if units >> TOLERANCE_BITS == 0)
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
        self.cell.nanos(self.parts)
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
    pub(crate) const fn time(&self, at: Instant) -> Fine {
        self.span(at.as_nanos())
    }

    #[inline]
    pub(crate) const fn span(&self, nanos: u64) -> Fine {
        Fine::from_nanos(nanos, self.parts)
    }

    #[inline]
    pub(crate) const fn parts(&self) -> u32 {
        self.parts
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

const fn common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(f: Fine) -> u128 {
        let (high, low) = f.to_words();
        u128::from(high) << 64 | u128::from(low)
    }

    #[test]
    fn the_cell_is_exact_or_rounded_up_by_less_than_a_part_in_two_million() {
        let day = 86_400;
        for (count, secs, burst, is_exact) in [
            (1, day, 1, true),
            (1, day, 100_000, true),
            (3, 1, 3, true),
            (7, 1, 700, true),
            (1_000_003, 1, 1_000, true),
            (4_194_301, 1, 7, true),
            (4_194_319, 1, 7, false),
            (999_999_937, 1, 1, false),
            (999_999_937, 1, u32::MAX, false),
            (1_000_000_000, 1, 5, true),
            (1_000_000_000, 1, u32::MAX, true),
            (700_000_001, 1, u32::MAX, false),
            (u32::MAX, 60, u32::MAX, false),
            (u32::MAX, 365 * day, u32::MAX, false),
            (99, 365 * day, 900, false),
        ] {
            let quota = Quota::new(count, Duration::from_secs(secs)).unwrap().with_burst(burst).unwrap();
            let ideal = u128::from(secs) * 1_000_000_000 * u128::from(quota.parts);
            let cells = exact(quota.cell) * u128::from(count);
            assert!(cells >= ideal && (cells - ideal) * 2_000_000 <= ideal, "{quota:?}");
            assert_eq!(cells == ideal, is_exact, "{quota:?}");
            assert!(exact(quota.tolerance) < 1 << TOLERANCE_BITS || quota.parts == 1);
            assert!(quota.parts <= 1 << PARTS_BITS);
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
