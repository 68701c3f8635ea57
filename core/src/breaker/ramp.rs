//! Slow start: what share of calls a breaker that has just closed lets through.

use core::time::Duration;

use crate::{ConfigError, nanos};

/// The share grows in so many equal steps.
const STEPS: u32 = 32;

/// From a fraction to all, step by step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Ramp {
    /// The share in the first step, of 2^32.
    first: u32,
    /// What each step adds to it.
    more: u32,
    /// Nanoseconds per step.
    step: u64,
}

impl Ramp {
    #[expect(clippy::cast_possible_truncation, reason = "999/1000 of 2^32 fits 32 bits")]
    #[expect(clippy::integer_division, reason = "configuration, not a decision")]
    pub(super) const fn new(from_permille: u16, over: Duration) -> Result<Self, ConfigError> {
        if from_permille == 0 || from_permille >= 1_000 {
            return Err(ConfigError::new("slow_start", "from 1 to 999 permille of the calls at first"));
        }
        if over.is_zero() {
            return Err(ConfigError::new("slow_start", "no time to start slowly in"));
        }
        let first = (((from_permille as u64) << 32) / 1_000) as u32;
        let more = (u32::MAX - first).div_ceil(STEPS);
        Ok(Self { first, more, step: nanos(over).div_ceil(STEPS as u64) })
    }

    /// The time from closing until all calls are let through.
    pub(super) const fn length(&self) -> u64 {
        self.step.saturating_mul(STEPS as u64)
    }

    /// The share so many nanoseconds after closing.
    pub(super) fn share(&self, elapsed: u64) -> u32 {
        self.steps().take_while(|(at, _)| *at <= elapsed).last().map_or(0, |(_, share)| share)
    }

    /// How long after closing the share and `credit` make a whole: then the next call is let through.
    pub(super) fn whole_at(&self, credit: u32) -> u64 {
        let whole = |(_, share): &(u64, u32)| share.checked_add(credit).is_none();
        self.steps().find(whole).map_or(self.length(), |(at, _)| at)
    }

    /// When each step begins, and its share.
    fn steps(&self) -> impl Iterator<Item = (u64, u32)> {
        let first = (0_u64, self.first);
        let next = |(at, share): &(u64, u32)| Some((at.saturating_add(self.step), share.saturating_add(self.more)));
        core::iter::successors(Some(first), next).take(STEPS as usize)
    }
}

#[cfg(test)]
#[allow(clippy::integer_division, reason = "a test may round")]
mod tests {
    use super::*;

    #[test]
    fn grows_from_the_first_share_to_all() {
        let ramp = Ramp::new(100, Duration::from_nanos(3_200)).unwrap();
        assert_eq!(ramp.length(), 3_200);
        assert_eq!(ramp.share(0), u32::MAX / 10);
        assert_eq!(ramp.share(99), ramp.share(0));
        assert!(ramp.share(100) > ramp.share(99));
        assert!((0..3_300).all(|at| ramp.share(at) <= ramp.share(at + 1)));
        let middle = f64::from(ramp.share(1_600)) / f64::from(u32::MAX);
        assert!((0.54..0.56).contains(&middle), "{middle}");
    }

    #[test]
    fn a_whole_is_reached_when_told_and_not_before() {
        let ramp = Ramp::new(1, Duration::from_nanos(3_200)).unwrap();
        for credit in (0..u32::MAX - 70_000_000).step_by(65_537_003) {
            let at = ramp.whole_at(credit);
            assert!(at == 3_200 || ramp.share(at).checked_add(credit).is_none());
            assert!(at == 0 || ramp.share(at - 1).checked_add(credit).is_some());
        }
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for (permille, length) in [(0, 1), (1_000, 1), (500, 0)] {
            assert_eq!(Ramp::new(permille, Duration::from_secs(length)).unwrap_err().setting, "slow_start");
        }
    }
}
