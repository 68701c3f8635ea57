//! Throttle: refuse the calls that the callee would refuse.
//!
//! # Why
//! An overloaded callee that only says no is still busy: saying no costs. Each of its callers sees how many of its calls
//! get through, and can refuse the hopeless share by itself, without a word to anybody. Unlike a breaker it is never all
//! or nothing: load falls until what is sent is some multiple of what is accepted.
//!
//! # State picture
//! ```text
//!                    requests - K * accepts
//!   chance = max(0, ------------------------), at most `at_most`; 0 below `minimum` requests
//!                        requests + 1
//!
//!   refused: requests + 1    success: requests + 1, accepts + 1    failure: requests + 1    ignored, cancelled: nothing
//! ```
//! The rule of "Handling Overload" in Google's book Site Reliability Engineering, over the last `window`. It is also
//! failsafe-go's adaptive throttler, which says K as a threshold: see [`ThrottleBuilder::accept_permille`].
//!
//! # Contract
//! - Local refusals are requests too: so while nothing is accepted the chance grows, and it shrinks as soon as what is sent
//!   gets through.
//! - In a steady overload what is sent settles at K times what is accepted.
//! - The chance is compared exactly, in integers. Entropy is an argument of [`Throttle::try_acquire_with`]; as a [`Gate`] it
//!   draws from the seed it was given, so that a run can be repeated.
//! - A call counts when it ends. Who counts it when it starts, as the book does, takes the first calls in flight for
//!   refused ones, and turns away most of a burst at a healthy callee. One that never comes back counts as nothing.
//! - The caller's own mistakes must not count: report them as [`Outcome::Ignored`].
//! - A refusal's `retry_at` is when nothing is refused any more if nobody else comes. Before it, asking again is another
//!   draw.
//! - The window expires on read. A clock that steps back keeps nothing longer than the window from then on.
//!
//! # Defaults
//! K = 2 over two minutes, as in the book: for each call that is accepted one more is let through to see whether it still
//! refuses. At most 900 permille are refused, so that recovery is noticed; nothing below 10 requests.
//!
//! # Example
//! ```
//! use fusebox::throttle::{Throttle, ThrottleConfig};
//! use fusebox::{Gate, Instant, Outcome, Reason, checked};
//!
//! let mut throttle: Throttle = const { Throttle::new(checked!(ThrottleConfig::builder().minimum(1).build()), 0x5eed) };
//! let now = Instant::from_secs(1);
//! for _ in 0..9 {
//!     let permit = throttle.try_acquire_with(u32::MAX, now).unwrap();
//!     throttle.release(permit, Outcome::Failure, now);
//! }
//! assert_eq!(throttle.chance_permille(now), 900); // 9 of 10
//! assert_eq!(throttle.try_acquire_with(0, now).unwrap_err().reason, Reason::Throttled);
//! assert!(throttle.try_acquire_with(u32::MAX, now).is_ok());
//! ```
//!
//! # When not
//! Where calls fail for other reasons than load: it would refuse the good ones with the bad. For a callee that is down, a
//! breaker is quicker. With a few calls per window there is nothing to tell from.

use core::time::Duration;

use crate::entropy::{nth, scale};
use crate::pieces::{Pieces, length};
use crate::{ConfigError, Gate, Instant, Outcome, Reason, Rejected};

/// How a [`Throttle`] judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ThrottleConfig<const BUCKETS: usize = 10> {
    k: Ratio,
    minimum: u32,
    at_most: u16,
    /// Nanoseconds per piece.
    piece: u64,
}

/// K as a fraction, so that the inverse of a threshold is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Ratio {
    above: u32,
    below: u32,
}

/// Builds a [`ThrottleConfig`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct ThrottleBuilder<const BUCKETS: usize = 10> {
    k: Ratio,
    minimum: u32,
    at_most: u16,
    window: Duration,
}

impl<const BUCKETS: usize> ThrottleBuilder<BUCKETS> {
    /// K: how many calls are let through for one that is accepted, in permille. Lower protects the callee more; higher
    /// notices its recovery sooner. Default 2000.
    pub const fn k_permille(mut self, permille: u32) -> Self {
        self.k = Ratio { above: permille, below: 1_000 };
        self
    }

    /// K said the other way round, exactly: nothing is refused while at least so many permille are accepted.
    pub const fn accept_permille(mut self, permille: u16) -> Self {
        self.k = Ratio { above: 1_000, below: permille as u32 };
        self
    }

    /// Nothing is refused below so many requests in the window. Default 10.
    pub const fn minimum(mut self, requests: u32) -> Self {
        self.minimum = requests;
        self
    }

    /// Never more than this chance of a refusal, in permille. Default 900.
    pub const fn at_most_permille(mut self, permille: u16) -> Self {
        self.at_most = permille;
        self
    }

    /// How far back it looks; in `BUCKETS` pieces. Default two minutes.
    pub const fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// The configuration.
    ///
    /// # Errors
    /// When K is below one, a number is zero, the maximum is no chance, or there is no window.
    pub const fn build(self) -> Result<ThrottleConfig<BUCKETS>, ConfigError> {
        let Ratio { above, below } = self.k;
        if below == 0 || above < below {
            return Err(ConfigError::new("k_permille", "below 1 it would refuse although all are accepted"));
        }
        if self.minimum == 0 {
            return Err(ConfigError::new("minimum", "no requests tell nothing"));
        }
        if self.at_most == 0 || self.at_most > 1_000 {
            return Err(ConfigError::new("at_most_permille", "from 1 to 1000"));
        }
        match length(self.window, BUCKETS, "window") {
            Ok(piece) => Ok(ThrottleConfig { k: self.k, minimum: self.minimum, at_most: self.at_most, piece }),
            Err(error) => Err(error),
        }
    }
}

impl<const BUCKETS: usize> ThrottleConfig<BUCKETS> {
    /// A builder with the defaults.
    pub const fn builder() -> ThrottleBuilder<BUCKETS> {
        let k = Ratio { above: 2_000, below: 1_000 };
        ThrottleBuilder { k, minimum: 10, at_most: 900, window: Duration::from_secs(120) }
    }

    /// The chance's numerator; its denominator is [`of`](Self::of).
    const fn excess(&self, load: Load) -> u64 {
        if load.requests < self.minimum {
            return 0;
        }
        let accepted = load.accepts as u64 * self.k.above as u64;
        (load.requests as u64 * self.k.below as u64).saturating_sub(accepted)
    }

    const fn of(&self, load: Load) -> u64 {
        (load.requests as u64 + 1) * self.k.below as u64
    }

    /// Whether `entropy` of 2^32 is below the chance. A product rounded down is below a whole number exactly when it was
    /// before.
    const fn refuses(&self, load: Load, entropy: u32) -> bool {
        scale(self.of(load), entropy) < self.excess(load) && scale(1_000, entropy) < self.at_most as u64
    }
}

/// What happened in a piece of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Load {
    requests: u32,
    accepts: u32,
}

impl Load {
    const NONE: Self = Self { requests: 0, accepts: 0 };
}

/// A request that was let through.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "release it with how it ended; else it counts as nothing"]
pub struct Request(());

/// What a throttle can tell about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ThrottleSnapshot {
    /// Requests in the window that are over, refused ones included.
    pub requests: u32,
    /// Requests in the window that were accepted.
    pub accepts: u32,
    /// Requests refused since its making. Stops at its maximum.
    pub refused: u32,
}

/// Adaptive throttling: see the [module](self). `BUCKETS` x 8 + 64 bytes.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Throttle<const BUCKETS: usize = 10> {
    config: ThrottleConfig<BUCKETS>,
    pieces: Pieces<Load, BUCKETS>,
    sum: Load,
    seed: u32,
    draws: u32,
    refused: u32,
}

impl<const BUCKETS: usize> Throttle<BUCKETS> {
    /// A throttle that has seen nothing. Give each caller another `seed`.
    #[must_use]
    pub const fn new(config: ThrottleConfig<BUCKETS>, seed: u32) -> Self {
        Self { config, pieces: Pieces::new(Load::NONE), sum: Load::NONE, seed, draws: 0, refused: 0 }
    }

    /// Asks to start one call at `now`, with `entropy` for the draw: 0 is refused whenever anything is, the maximum never.
    ///
    /// # Errors
    /// [`Reason::Throttled`], and when nothing will be refused any more.
    pub fn try_acquire_with(&mut self, entropy: u32, now: Instant) -> Result<Request, Rejected> {
        self.advance(now);
        if !self.config.refuses(self.sum, entropy) {
            return Ok(Request(()));
        }
        self.refused = self.refused.saturating_add(1);
        self.count(false, now);
        Err(Rejected { reason: Reason::Throttled, retry_at: Some(self.clear_at()) })
    }

    /// The chance of a refusal at `now`, in permille, rounded down. Divides, so it is for reports.
    #[must_use]
    #[expect(clippy::integer_division, clippy::cast_possible_truncation, reason = "for reports; at most 1000")]
    pub fn chance_permille(&self, now: Instant) -> u16 {
        let sum = self.load(now);
        let chance = (self.config.excess(sum) * 1_000 / self.config.of(sum)) as u16;
        chance.min(self.config.at_most)
    }

    /// What it can tell about itself at `now`.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> ThrottleSnapshot {
        let Load { requests, accepts } = self.load(now);
        ThrottleSnapshot { requests, accepts, refused: self.refused }
    }

    fn load(&self, now: Instant) -> Load {
        let mut then = self.clone();
        then.advance(now);
        then.sum
    }

    /// Lets go what is older than the window.
    fn advance(&mut self, now: Instant) {
        let sum = &mut self.sum;
        let all = self.pieces.roll(self.config.piece, now, |gone| {
            sum.requests -= gone.requests;
            sum.accepts -= gone.accepts;
        });
        if all {
            *sum = Load::NONE;
        }
    }

    /// Counts a request that is over.
    fn count(&mut self, accepted: bool, now: Instant) {
        self.advance(now);
        if self.sum.requests == 0 {
            self.pieces.begin(now);
        }
        let Some(piece) = self.pieces.current_mut().filter(|_| self.sum.requests < u32::MAX) else {
            return; // at 4 billion requests one more says nothing
        };
        for load in [piece, &mut self.sum] {
            load.requests += 1;
            load.accepts += u32::from(accepted);
        }
    }

    /// When so much is gone that nothing is refused.
    fn clear_at(&self) -> Instant {
        let mut then = self.clone();
        let mut at = self.pieces.ends(self.config.piece);
        for _ in 0..BUCKETS {
            then.advance(at);
            if then.config.excess(then.sum) == 0 {
                break;
            }
            at = at.after(self.config.piece);
        }
        at
    }
}

/// Draws from its seed.
impl<const BUCKETS: usize> Gate for Throttle<BUCKETS> {
    type Permit = Request;

    #[inline]
    fn try_acquire(&mut self, now: Instant) -> Result<Request, Rejected> {
        self.draws = self.draws.wrapping_add(1);
        self.try_acquire_with(nth(self.seed, self.draws), now)
    }

    #[inline]
    fn release(&mut self, _request: Request, outcome: Outcome, now: Instant) {
        if outcome != Outcome::Ignored {
            self.count(outcome == Outcome::Success, now);
        }
    }

    #[inline]
    fn cancel(&mut self, _request: Request, _now: Instant) {}

    /// Nothing is ever armed: what is due is done when it is asked.
    #[inline]
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    #[inline]
    fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
    }
}

#[cfg(test)]
mod tests;
