//! How far above what is in flight the limit may be.

use core::time::Duration;

use super::fixed::{Estimate, log10, log10_fine};
use crate::{ConfigError, Instant, nanos};

/// How far above what is really in flight a limit is still put to the test: only below that bound do served calls
/// change it. A limit that nobody fills says nothing when calls are quick, and would grow until it protects nobody.
///
/// The bound is `in flight x max(least, factor - decay x lg(in flight))`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Headroom {
    /// In parts of 65536, as the next two.
    factor: u32,
    decay: u32,
    least: u32,
    window: u64,
    lowers: bool,
}

impl Headroom {
    /// Twice what is in flight, as Netflix has it.
    pub const DEFAULT: Self = Self { factor: fixed(2_000), decay: 0, least: fixed(1_000), window: 0, lowers: false };

    /// `permille` of what is in flight.
    ///
    /// # Errors
    /// When it is below 1000 or above 100000.
    pub const fn new(permille: u32) -> Result<Self, ConfigError> {
        if permille < 1_000 || permille > 100_000 {
            return Err(ConfigError::new("permille", "from 1000 to 100000"));
        }
        Ok(Self { factor: fixed(permille), ..Self::DEFAULT })
    }

    /// Less of it the more is in flight: `permille` less for each tenfold, but not below `least`.
    ///
    /// # Errors
    /// When `permille` is above 100000, or `least` below 1000 or above the factor.
    pub const fn decays(mut self, permille: u32, least: u32) -> Result<Self, ConfigError> {
        if permille > 100_000 {
            return Err(ConfigError::new("permille", "from 0 to 100000"));
        }
        if least < 1_000 || least > 100_000 || fixed(least) > self.factor {
            return Err(ConfigError::new("least", "from 1000 to the factor"));
        }
        (self.decay, self.least) = (fixed(permille), fixed(least));
        Ok(self)
    }

    /// Of the most that was in flight within `window`, or at least half of it: so that a short dip of the traffic does
    /// not count. Default none: of what was in flight when the call started.
    ///
    /// # Errors
    /// When it is zero.
    pub const fn within(mut self, window: Duration) -> Result<Self, ConfigError> {
        if window.is_zero() {
            return Err(ConfigError::new("window", "leave it out to look at the single call"));
        }
        self.window = nanos(window);
        Ok(self)
    }

    /// A limit above the bound is lowered with each served call by its logarithm, rather than left: so that it does not
    /// let a burst through, after quiet times, that nobody knows to be bearable.
    #[must_use]
    pub const fn lowers(mut self) -> Self {
        self.lowers = true;
        self
    }

    /// The bound.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the decay is below 500 times 65536; the bound is clamped")]
    pub const fn bound(&self, in_flight: u16) -> Estimate {
        let decay = ((self.decay as u64 * log10_fine(in_flight) as u64) >> 16) as u32;
        let factor = self.factor.saturating_sub(decay);
        let factor = if factor < self.least { self.least } else { factor };
        let bound = in_flight as u64 * factor as u64;
        Estimate::from_bits(if bound > u32::MAX as u64 { u32::MAX } else { bound as u32 })
    }

    /// What becomes of a `limit` above the bound.
    pub(super) const fn unused(&self, limit: Estimate) -> Estimate {
        if self.lowers { limit.minus(log10(limit.whole())) } else { limit }
    }
}

/// `permille` in parts of 65536, rounded up; for up to 100000.
#[expect(clippy::cast_possible_truncation, reason = "at most 100 times 65536")]
const fn fixed(permille: u32) -> u32 {
    ((permille as u64) << 16).div_ceil(1_000) as u32
}

/// The most that was in flight, in two halves of the window.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Peak {
    since: Option<Instant>,
    current: u16,
    previous: u16,
}

impl Peak {
    pub(super) const NONE: Self = Self { since: None, current: 0, previous: 0 };

    /// The most that was in flight, with `in_flight` now.
    pub(super) fn with(&mut self, headroom: &Headroom, in_flight: u16, now: Instant) -> u16 {
        let half = headroom.window >> 1;
        if half == 0 {
            return in_flight;
        }
        // A clock that stepped back starts anew.
        let since = self.since.filter(|since| *since <= now);
        let age = since.map_or(u64::MAX, |since| now.nanos_since(since));
        if age >= half {
            let previous = if age - half < half { self.current } else { 0 };
            *self = Self { since: Some(now), current: 0, previous };
        }
        self.current = self.current.max(in_flight);
        self.current.max(self.previous)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(headroom: Headroom, in_flight: u16) -> u16 {
        headroom.bound(in_flight).whole()
    }

    #[test]
    fn bounds_are_those_of_the_formula() {
        let five = Headroom::new(5_000).unwrap();
        assert_eq!([0, 1, 100, 20_000].map(|n| bound(five, n)), [0, 5, 500, u16::MAX]);
        let decaying = five.decays(1_000, 1_000).unwrap();
        assert_eq!([1, 10, 100, 200, 1_000].map(|n| bound(decaying, n)), [5, 40, 300, 539, 2_000]);
        assert_eq!(bound(five.decays(2_000, 1_200).unwrap(), 10_000), 12_000);
        assert_eq!(bound(five.decays(100_000, 5_000).unwrap(), 10_000), 50_000);
        assert_eq!(bound(five.decays(100_000, 1_000).unwrap(), u16::MAX), u16::MAX);
        assert_eq!(Headroom::DEFAULT.bound(7), Estimate::of(14));
    }

    #[test]
    fn a_peak_is_kept_for_half_a_window_to_a_whole_one() {
        let headroom = Headroom::DEFAULT.within(Duration::from_nanos(10)).unwrap();
        let mut peak = Peak::NONE;
        let mut told = |n, t| peak.with(&headroom, n, Instant::from_nanos(t));
        assert_eq!((told(20, 0), told(5, 4), told(5, 5), told(5, 9)), (20, 20, 20, 20));
        assert_eq!((told(4, 10), told(3, 15), told(9, 30), told(2, 40)), (5, 4, 9, 2));
        assert_eq!((told(6, 3), told(1, 4)), (6, 6), "back in time");
        let mut peak = Peak::NONE;
        assert_eq!([9, 3].map(|n| peak.with(&Headroom::DEFAULT, n, Instant::EPOCH)), [9, 3]);
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        assert_eq!(Headroom::new(999).unwrap_err().setting, "permille");
        assert_eq!(Headroom::new(100_001).unwrap_err().setting, "permille");
        assert_eq!(Headroom::DEFAULT.decays(100_001, 1_000).unwrap_err().setting, "permille");
        assert_eq!(Headroom::DEFAULT.decays(1, 999).unwrap_err().setting, "least");
        assert_eq!(Headroom::DEFAULT.decays(1, 2_001).unwrap_err().setting, "least");
        assert_eq!(Headroom::DEFAULT.within(Duration::ZERO).unwrap_err().setting, "window");
    }
}
