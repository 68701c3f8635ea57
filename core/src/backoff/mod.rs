//! Backoff: how long to wait before the next try.
//!
//! # Why
//! A caller that comes back at once, or at the same moment as everybody else, keeps an overloaded callee down. Delays
//! that grow give it room; jitter spreads the callers out.
//!
//! # State picture
//! ```text
//!            growth: from the delay before        jitter: by chance            floor, cap
//!   Schedule ------------------------------> delay -----------------> range -----------> wait
//!      ^                                       |
//!      +---------------------------------------+  what the next one grows from
//! ```
//! | growth | delays before jitter |
//! | --- | --- |
//! | [`constant`](Backoff::constant) | `a, a, a, a, ...` |
//! | [`linear`](Backoff::linear) | `a, a + s, a + 2s, ...` |
//! | [`exponential`](Backoff::exponential), [`_by`](Backoff::exponential_by) | `a, 2a, 4a, ...`, or any other factor |
//! | [`fibonacci`](Backoff::fibonacci) | `a, a, 2a, 3a, 5a, ...` |
//! | [`table`](Backoff::table) | as listed; the last one repeats |
//!
//! The schedules of other systems have their names: [`AWS`](Backoff::AWS), [`GRPC_CONNECT`](Backoff::GRPC_CONNECT),
//! [`grpc_retry`](Backoff::grpc_retry), [`polly_exponential`](Backoff::polly_exponential) and their neighbours.
//!
//! # Contract
//! - A [`Backoff`] is configuration: share one among all calls. A [`Schedule`] is where one call stands in it.
//! - Delays are nanoseconds, never above the cap nor below the floor, jitter included, whatever the entropy. Growth
//!   saturates at the cap.
//! - The floor narrows the range that chance draws from, so nothing piles up there. The cap cuts what was drawn, as the
//!   systems do that jitter by a share or decorrelate: leave them room below it.
//! - Neither cap nor floor bends the growth: it goes on below the floor, and stays at the cap.
//!
//! # Defaults
//! Exponential growth doubles, as AWS, gRPC and most others do. Jitter is off until asked for, because it needs
//! entropy; ask for [`Jitter::Full`] unless you know why not. No floor. A constant and a table have no cap but their own
//! delays; the others must be told one.
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
//! assert_eq!(backoff.total(5), 120 * ms);
//! assert_eq!(backoff.to_string(), "exponential from 10ms, x2, up to 50ms");
//! ```
//!
//! # When not
//! Where the callee says when to come back, do as it says ([`Ended::Retry`](crate::Ended::Retry)). Between a fixed
//! pair of machines with one caller, constant without jitter is enough.

mod growth;
mod jitter;
mod polly;
mod presets;
mod text;

#[cfg(test)]
mod tests;

use core::time::Duration;

pub use jitter::Jitter;

use crate::entropy::scale;
use crate::{ConfigError, nanos};
use growth::Growth;

/// How delays grow, where they begin and stop, and their jitter.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Backoff {
    growth: Growth,
    /// Nanoseconds, as are all below.
    first: u64,
    floor: u64,
    /// [`NO_CAP`] where the growth bounds itself.
    cap: u64,
    jitter: Jitter,
}

const NO_CAP: u64 = u64::MAX;

/// Where a call stands in its [`Backoff`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Schedule {
    /// The delay that the next one grows from; zero before the first.
    last: u64,
    /// The one before that; in a table, and for Polly's curve, how many there were.
    before: u64,
}

impl Schedule {
    /// Before the first delay.
    #[must_use]
    pub const fn new() -> Self {
        Self { last: 0, before: 0 }
    }
}

impl Backoff {
    /// No delay at all: retry at once. The one meaning of a zero delay, and rarely what a callee needs.
    pub const IMMEDIATE: Self =
        Self { growth: Growth::Constant, first: 0, floor: 0, cap: NO_CAP, jitter: Jitter::None };

    /// The same delay each time.
    ///
    /// # Errors
    /// When `delay` is zero.
    pub const fn constant(delay: Duration) -> Result<Self, ConfigError> {
        Self::new(Growth::Constant, delay, Duration::MAX)
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
        let (whole, fraction) = (factor_permille / 1_000, jitter::part(factor_permille % 1_000));
        Self::new(Growth::Exponential { whole, fraction }, first, cap)
    }

    /// `first`, `first`, then always the sum of the last two, up to `cap`: grows by about 1.6 a time.
    ///
    /// # Errors
    /// When a duration is zero.
    pub const fn fibonacci(first: Duration, cap: Duration) -> Result<Self, ConfigError> {
        Self::new(Growth::Fibonacci, first, cap)
    }

    /// The delays one after the other; the last one repeats.
    ///
    /// # Errors
    /// When there are none, or one is zero.
    pub const fn table(delays: &'static [Duration]) -> Result<Self, ConfigError> {
        let [first, ..] = delays else {
            return Err(ConfigError::new("delays", "a table needs at least one delay"));
        };
        let mut rest = delays;
        while let [delay, others @ ..] = rest {
            if delay.is_zero() {
                return Err(ConfigError::new("delays", "a zero delay is Backoff::IMMEDIATE, said outright"));
            }
            rest = others;
        }
        Self::new(Growth::Table(delays), *first, Duration::MAX)
    }

    const fn new(growth: Growth, first: Duration, cap: Duration) -> Result<Self, ConfigError> {
        if first.is_zero() {
            return Err(ConfigError::new("first", "a zero delay is Backoff::IMMEDIATE, said outright"));
        }
        let uncapped = Self { growth, first: nanos(first), floor: 0, cap: NO_CAP, jitter: Jitter::None };
        uncapped.with_cap(cap)
    }

    /// The same backoff with `jitter`.
    #[must_use]
    pub const fn with_jitter(mut self, jitter: Jitter) -> Self {
        if matches!(jitter, Jitter::Decorrelated) && self.cap == NO_CAP {
            // Else it would grow without end.
            self.cap = self.cap();
        }
        self.jitter = jitter;
        self
    }

    /// The same backoff without a delay above `cap`, jitter included.
    ///
    /// # Errors
    /// When it is zero, or below the floor.
    pub const fn with_cap(mut self, cap: Duration) -> Result<Self, ConfigError> {
        self.cap = nanos(cap);
        if self.cap == 0 {
            return Err(ConfigError::new("cap", "a zero cap leaves no delay"));
        }
        if self.cap < self.floor {
            return Err(ConfigError::new("cap", "below the floor"));
        }
        Ok(self)
    }

    /// The same backoff without a delay below `floor`, jitter included.
    ///
    /// # Errors
    /// When it is zero, or above the cap.
    pub const fn with_floor(mut self, floor: Duration) -> Result<Self, ConfigError> {
        self.floor = nanos(floor);
        if self.floor == 0 {
            return Err(ConfigError::new("floor", "a zero floor is none; leave it out"));
        }
        if self.floor > self.cap {
            return Err(ConfigError::new("floor", "above the cap"));
        }
        Ok(self)
    }

    /// The jitter.
    #[must_use]
    pub const fn jitter(&self) -> Jitter {
        self.jitter
    }

    /// The longest delay there can be, in nanoseconds.
    #[must_use]
    pub const fn cap(&self) -> u64 {
        let longest = self.growth.longest(self.first);
        let most = match self.jitter {
            Jitter::Around { part } => longest.saturating_add(scale(longest, part)),
            Jitter::Decorrelated => self.cap,
            Jitter::None | Jitter::Full | Jitter::Equal => longest,
        };
        let most = if most > self.floor { most } else { self.floor };
        if most < self.cap { most } else { self.cap }
    }

    /// The shortest delay that was asked for, in nanoseconds; zero without.
    #[must_use]
    pub const fn floor(&self) -> u64 {
        self.floor
    }

    /// The next delay in nanoseconds; moves `schedule` on. Without jitter `entropy` does not matter; with it, more
    /// entropy is a longer delay.
    #[inline]
    pub fn next(&self, schedule: &mut Schedule, entropy: u32) -> u64 {
        let (low, high) = match (self.jitter, self.growth) {
            (Jitter::Decorrelated, Growth::Polly(curve)) => {
                let delay = curve.draw(self.first, schedule, entropy);
                (delay, delay)
            }
            (Jitter::Decorrelated, _) => {
                let last = schedule.last.max(self.first);
                (self.first, last.saturating_add(last).saturating_add(last))
            }
            (jitter, growth) => {
                let plain = growth.plain(self.first, *schedule).min(self.cap);
                *schedule = growth.after(plain, *schedule);
                jitter.range(plain)
            }
        };
        let low = low.max(self.floor);
        let delay = low.saturating_add(scale(high.saturating_sub(low), entropy)).min(self.cap);
        if matches!(self.jitter, Jitter::Decorrelated) && !matches!(self.growth, Growth::Polly(_)) {
            schedule.last = delay;
        }
        delay
    }

    /// The longest that the delays between so many attempts can be in all, in nanoseconds: for reviews of a
    /// configuration. Takes a step per attempt.
    #[must_use]
    pub fn total(&self, attempts: u16) -> u64 {
        let mut schedule = Schedule::new();
        (1..attempts).fold(0, |sum: u64, _| sum.saturating_add(self.next(&mut schedule, u32::MAX)))
    }
}
