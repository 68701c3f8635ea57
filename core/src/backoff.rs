//! Backoff: how long to wait before the next try.
//!
//! # Why
//! A caller that comes back at once, or at the same moment as everybody else, keeps an overloaded callee down. Delays
//! that grow give it room; jitter spreads the callers out.
//!
//! # Contract
//! A [`Backoff`] is configuration: share one among all calls. A [`Schedule`] is where one call stands in it. Delays are
//! nanoseconds, never above the cap, jitter included, whatever the entropy; growth saturates at the cap.
//!
//! # Defaults
//! Exponential growth doubles, as AWS, gRPC and most others do. Jitter is off until asked for, because it needs
//! entropy; ask for [`Jitter::Full`] unless you know why not.
//!
//! # Example
//! ```
//! use core::time::Duration;
//! use fusebox::{Backoff, Schedule, checked};
//!
//! let ms = 1_000_000;
//! let backoff = checked!(Backoff::exponential(Duration::from_millis(10), Duration::from_millis(50)));
//! let mut schedule = Schedule::new();
//! let delays = [0; 4].map(|_| backoff.next(&mut schedule, 0));
//! assert_eq!(delays, [10 * ms, 20 * ms, 40 * ms, 50 * ms]);
//! ```
//!
//! # When not
//! Where the callee says when to come back, do as it says ([`Ended::Retry`](crate::Ended::Retry)). Between a fixed
//! pair of machines with one caller, constant without jitter is enough.

use core::time::Duration;

use crate::entropy::scale;
use crate::{ConfigError, nanos};

/// How chance changes a delay. The names and formulas are those of Marc Brooker, "Exponential Backoff And Jitter" (AWS
/// Architecture Blog, 2015).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Jitter {
    /// The delay as it is. A fleet that fails together retries together.
    None,
    /// Anything from zero to the delay: spreads best.
    Full,
    /// Half the delay, plus anything up to the other half: never comes back at once.
    Equal,
    /// Anything from the first delay to three times the previous one. Replaces the growth by its own.
    Decorrelated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Growth {
    Constant,
    Linear {
        step: u64,
    },
    /// The factor as a whole part and a fraction of 2^32.
    Exponential {
        whole: u32,
        fraction: u32,
    },
}

/// How delays grow, where they stop, and their jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Backoff {
    growth: Growth,
    first: u64,
    cap: u64,
    jitter: Jitter,
}

/// Where a call stands in its [`Backoff`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Schedule {
    /// The delay that the next one grows from; `None` before the first.
    previous: Option<u64>,
}

impl Schedule {
    /// Before the first delay.
    #[must_use]
    pub const fn new() -> Self {
        Self { previous: None }
    }
}

impl Backoff {
    /// No delay at all: retry at once. The one meaning of a zero delay, and rarely what a callee needs.
    pub const IMMEDIATE: Self = Self { growth: Growth::Constant, first: 0, cap: 0, jitter: Jitter::None };

    /// The same delay each time.
    ///
    /// # Errors
    /// When `delay` is zero.
    pub const fn constant(delay: Duration) -> Result<Self, ConfigError> {
        Self::new(Growth::Constant, delay, delay)
    }

    /// `first`, `first + step`, `first + 2 step`, ... up to `cap`.
    ///
    /// # Errors
    /// When a duration is zero.
    pub const fn linear(first: Duration, step: Duration, cap: Duration) -> Result<Self, ConfigError> {
        if step.is_zero() {
            return Err(ConfigError::new("step", "a linear backoff needs a step above zero; use constant"));
        }
        Self::new(Growth::Linear { step: nanos(step) }, first, cap)
    }

    /// `first`, doubled each time, up to `cap`.
    ///
    /// # Errors
    /// When a duration is zero.
    pub const fn exponential(first: Duration, cap: Duration) -> Result<Self, ConfigError> {
        Self::exponential_by(2_000, first, cap)
    }

    /// `first`, multiplied by `factor_permille` / 1000 each time, up to `cap`. The factor is kept to 2^-32.
    ///
    /// # Errors
    /// When a duration is zero or the factor does not grow.
    #[expect(clippy::integer_division, reason = "configuration, not a decision")]
    pub const fn exponential_by(factor_permille: u32, first: Duration, cap: Duration) -> Result<Self, ConfigError> {
        if factor_permille <= 1_000 {
            return Err(ConfigError::new(
                "factor_permille",
                "an exponential backoff needs a factor above 1000 permille",
            ));
        }
        let fraction = (((factor_permille % 1_000) as u64) << 32).div_ceil(1_000);
        #[expect(clippy::cast_possible_truncation, reason = "999/1000 of 2^32 fits 32 bits")]
        let growth = Growth::Exponential { whole: factor_permille / 1_000, fraction: fraction as u32 };
        Self::new(growth, first, cap)
    }

    const fn new(growth: Growth, first: Duration, cap: Duration) -> Result<Self, ConfigError> {
        if first.is_zero() {
            return Err(ConfigError::new("first", "a zero delay is Backoff::IMMEDIATE, said outright"));
        }
        if cap.is_zero() {
            return Err(ConfigError::new("cap", "a zero cap leaves no delay"));
        }
        Ok(Self { growth, first: nanos(first), cap: nanos(cap), jitter: Jitter::None })
    }

    /// The same backoff with `jitter`.
    #[must_use]
    pub const fn with_jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// The jitter.
    #[must_use]
    pub const fn jitter(&self) -> Jitter {
        self.jitter
    }

    /// The longest delay there can be, in nanoseconds.
    #[must_use]
    pub const fn cap(&self) -> u64 {
        self.cap
    }

    /// The next delay in nanoseconds; moves `schedule` on. Without jitter `entropy` does not matter.
    #[inline]
    pub const fn next(&self, schedule: &mut Schedule, entropy: u32) -> u64 {
        let plain = self.plain(schedule.previous);
        let delay = match self.jitter {
            Jitter::None => plain,
            Jitter::Full => scale(plain, entropy),
            Jitter::Equal => (plain - (plain >> 1)) + scale(plain >> 1, entropy),
            Jitter::Decorrelated => self.decorrelated(schedule.previous, entropy),
        };
        schedule.previous = Some(if matches!(self.jitter, Jitter::Decorrelated) { delay } else { plain });
        delay
    }

    /// The delay before jitter.
    const fn plain(&self, previous: Option<u64>) -> u64 {
        let grown = match (previous, self.growth) {
            (None, _) | (Some(_), Growth::Constant) => self.first,
            (Some(previous), Growth::Linear { step }) => previous.saturating_add(step),
            (Some(previous), Growth::Exponential { whole, fraction }) => {
                previous.saturating_mul(whole as u64).saturating_add(scale(previous, fraction))
            }
        };
        self.capped(grown)
    }

    const fn decorrelated(&self, previous: Option<u64>, entropy: u32) -> u64 {
        let previous = match previous {
            Some(previous) => previous,
            None => self.first,
        };
        let span = previous.saturating_mul(3).saturating_sub(self.first);
        self.capped(self.first.saturating_add(scale(span, entropy)))
    }

    const fn capped(&self, delay: u64) -> u64 {
        if delay < self.cap { delay } else { self.cap }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn delays<const N: usize>(backoff: Backoff, entropy: u32) -> [u64; N] {
        let mut schedule = Schedule::new();
        core::array::from_fn(|_| backoff.next(&mut schedule, entropy))
    }

    #[test]
    fn schedules() {
        let constant = Backoff::constant(ms(3)).unwrap();
        assert_eq!(delays(constant, 0), [3 * MS, 3 * MS, 3 * MS]);
        let linear = Backoff::linear(ms(10), ms(5), ms(18)).unwrap();
        assert_eq!(delays(linear, 0), [10 * MS, 15 * MS, 18 * MS, 18 * MS]);
        let half_more = Backoff::exponential_by(1_500, ms(4), ms(1_000)).unwrap();
        assert_eq!(delays(half_more, 0), [4 * MS, 6 * MS, 9 * MS, 13_500_000]);
    }

    #[test]
    fn cap_holds_for_every_kind_and_entropy() {
        let shapes = [
            Backoff::constant(ms(100)),
            Backoff::linear(ms(100), ms(30), ms(250)),
            Backoff::exponential(ms(100), ms(250)),
            Backoff::exponential(Duration::MAX, Duration::MAX),
        ];
        for shape in shapes {
            for jitter in [Jitter::None, Jitter::Full, Jitter::Equal, Jitter::Decorrelated] {
                for entropy in [0, 1, u32::MAX >> 1, u32::MAX] {
                    let backoff = shape.unwrap().with_jitter(jitter);
                    assert!(delays::<100>(backoff, entropy).iter().all(|d| *d <= backoff.cap()));
                }
            }
        }
    }

    #[test]
    fn jitter_ranges() {
        let backoff = Backoff::constant(ms(100)).unwrap();
        let first = |jitter, entropy| delays::<1>(backoff.with_jitter(jitter), entropy)[0];
        assert_eq!(first(Jitter::Full, 0), 0);
        assert_eq!(first(Jitter::Full, 1 << 31), 50 * MS);
        assert_eq!(first(Jitter::Equal, 0), 50 * MS);
        assert!((99 * MS..=100 * MS).contains(&first(Jitter::Equal, u32::MAX)));
        let wide = Backoff::exponential(ms(100), ms(1_000)).unwrap().with_jitter(Jitter::Decorrelated);
        assert_eq!(delays(wide, 0), [100 * MS; 3]);
        assert_eq!(delays::<1>(wide, 1 << 31), [200 * MS]);
        assert_eq!(delays::<5>(wide, u32::MAX)[4], 1_000 * MS);
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        assert_eq!(Backoff::constant(Duration::ZERO).unwrap_err().setting, "first");
        assert_eq!(Backoff::linear(ms(1), Duration::ZERO, ms(1)).unwrap_err().setting, "step");
        assert_eq!(Backoff::exponential(ms(1), Duration::ZERO).unwrap_err().setting, "cap");
        assert_eq!(Backoff::exponential_by(1_000, ms(1), ms(2)).unwrap_err().setting, "factor_permille");
    }
}
