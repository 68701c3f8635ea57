//! Adaptive rate: at most so many per second, and the callee's throttling shows how many.
//!
//! # Why
//! A callee with a quota says "too many" when it is exceeded, and seldom says what the quota is; shared with others, it
//! is another one every minute. A client that is throttled and only retries later stays throttled. This one sends less
//! at once, feels its way back to the rate at which it was throttled, stays there for a while, and then tries more.
//!
//! # State picture
//! ```text
//!              throttled                        success or failure: w + scale * (t - k)^3, t since throttled
//!   Unlimited -----------> Limited: w = the rate   w |               k                _/
//!       ^                  throttled at,             |      _________+_______________/
//!       |                  at first beta * w         |   __/   carefully    then faster and faster
//!       |                       |     ^              |  /
//!       |                       |     | throttled    | /  quickly at first
//!       |                       +-----+              +---------------------------------------------> t
//!       +--- nothing throttled for `forget_after`, if that is set
//! ```
//! | a call ended | sent rate | limit |
//! | --- | --- | --- |
//! | as `Unavailable` | counted | w = the sent rate, or the limit if that is less; then beta * w |
//! | as `Success` or `Failure` | counted | along the curve, at most twice the sent rate |
//! | as `Ignored` | counted | stays |
//! | was cancelled, or never came back | not counted | stays |
//!
//! The curve is that of the congestion control CUBIC (RFC 9438, section 4.2), with rates for windows:
//! k = (w * (1 - beta) / scale)^(1/3). The rules are those of the client rate limiter in the "adaptive" retry mode of the
//! AWS SDKs. The sent rate is theirs, too: what ended in pieces of half a second, 4/5 of it new and 1/5 of it from before.
//!
//! # Contract
//! - Nobody is refused before the first throttling. Then the store of tokens is empty, since more was sent than the limit
//!   allows; later it holds a second's worth of calls at most, and one at least.
//! - While it limits, it never grants more over any interval than it held at the beginning + what the rate gave in it.
//! - Only [`Outcome::Unavailable`] lowers the rate; other failures say nothing about quotas. Its hint is not heeded here:
//!   that is for the retry, or for a bucket with [`with_max_hint`](crate::Quota::with_max_hint). A callee that throttles
//!   without a hint is one that is back at once.
//! - The rate is never below [`least`](AdaptiveRateBuilder::least_per_minute), nor above a million a second.
//! - A refusal is [`Reason::RateLimited`](crate::Reason::RateLimited), with the instant at which there will be a token.
//!   The rate may change until then when a call ends.
//! - Cancelling gives the token back, as far as the bound allows it: not what would have been lost by now to a full store.
//! - A `now` up to a second before an earlier one is of a call that comes late and counts as the later. A clock that
//!   steps back further gives nothing and takes nothing: everything is as far away as it was.
//!
//! # Defaults
//! [`AWS`](AdaptiveRateConfig::AWS): beta 0.7, scale 0.4, at least one in two seconds; it limits for ever once throttled.
//!
//! # Example
//! ```
//! use fusebox::{AdaptiveRate, AdaptiveRateConfig, Gate, Instant, Outcome, Reason};
//!
//! let mut rate = const { AdaptiveRate::new(AdaptiveRateConfig::AWS) };
//! let at = Instant::from_millis;
//! for n in 0..50 {
//!     let call = rate.try_acquire(at(n * 100)).unwrap();
//!     rate.release(call, Outcome::Success, at(n * 100)); // ten a second, and nobody minds
//! }
//! let call = rate.try_acquire(at(5_000)).unwrap();
//! rate.release(call, Outcome::Unavailable { retry_at: at(5_000) }, at(5_000));
//! assert_eq!(rate.snapshot().rate.unwrap().whole(), 7);
//!
//! let refused = rate.try_acquire(at(5_000)).unwrap_err();
//! assert_eq!(refused.reason, Reason::RateLimited);
//! let retry_at = refused.retry_at.unwrap();
//! assert!(retry_at > at(5_130) && retry_at < at(5_150)); // a seventh of a second later
//! assert!(rate.try_acquire(retry_at).is_ok());
//! ```
//!
//! # When not
//! A quota that is known is a [`TokenBucket`](crate::TokenBucket)'s. It learns from being throttled, so it must be: a
//! callee that slows down instead wants an [`AdaptiveLimit`](crate::AdaptiveLimit). Each throttled call lowers the rate:
//! one that throttles a hundred calls in flight at once brings it down to the least. One limiter for callees of
//! different quotas slows all of them down for one: use one for each, or [`Keyed`](crate::Keyed) ones.

mod config;
mod curve;
mod machine;
mod sent;
mod stock;
#[cfg(test)]
mod tests;

pub use config::{AdaptiveRateBuilder, AdaptiveRateConfig};
pub use machine::{AdaptiveRateState, Permit};

use crate::limiter::Limiter;
use crate::{GateKind, Instant, Outcome, Rejected};

/// An adaptive rate: see the [module](self).
pub type AdaptiveRate = Limiter<AdaptiveRateConfig>;

impl Limiter<AdaptiveRateConfig> {
    /// What it can tell about itself, as of the last call.
    #[must_use]
    pub fn snapshot(&self) -> AdaptiveRateSnapshot {
        self.state.snapshot()
    }
}

/// Calls a second, with a fraction of 4096. At most about a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Rate(u32);

impl Rate {
    const ZERO: Self = Self(0);
    /// Parts of one call a second.
    const ONE: Self = Self(1 << 12);

    /// Stops at the maximum.
    fn at_most(bits: u64) -> Self {
        Self(u32::try_from(bits).unwrap_or(u32::MAX))
    }

    /// How many parts in 4096.
    #[must_use]
    pub const fn to_bits(self) -> u32 {
        self.0
    }

    /// Without the fraction.
    #[must_use]
    pub const fn whole(self) -> u32 {
        self.0 >> 12
    }
}

/// What an adaptive rate can tell about itself. Totals count from its making and stop at their maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AdaptiveRateSnapshot {
    /// The limit; `None` when there is none.
    pub rate: Option<Rate>,
    /// The rate that calls were sent at, as measured.
    pub sent: Rate,
    /// The rate at which the last throttled call was throttled, while it limits.
    pub throttled_at: Option<Rate>,
    /// When the curve is back at that rate.
    pub back_at: Option<Instant>,
    /// Calls that were throttled by the callee.
    pub throttled: u32,
    /// Calls refused here.
    pub refused: u32,
}

/// Many limiters, one configuration.
impl GateKind for AdaptiveRateConfig {
    type State = AdaptiveRateState;
    type Permit = Permit;
    const FRESH: AdaptiveRateState = AdaptiveRateState::UNLIMITED;

    fn try_acquire(&self, state: &mut AdaptiveRateState, now: Instant) -> Result<Permit, Rejected> {
        state.try_acquire(self, now)
    }

    fn release(&self, state: &mut AdaptiveRateState, _permit: Permit, outcome: Outcome, now: Instant) {
        state.release(self, outcome, now);
    }

    fn cancel(&self, state: &mut AdaptiveRateState, permit: Permit, now: Instant) {
        state.cancel(self, &permit, now);
    }

    /// Nothing is ever armed.
    fn poll_timeout(&self, _state: &AdaptiveRateState) -> Option<Instant> {
        None
    }

    fn handle_timeout(&self, _state: &mut AdaptiveRateState, _now: Instant) {}

    /// When the limit will be forgotten, or what was sent is no news. With a limit and no
    /// [`forget_after`](AdaptiveRateBuilder::forget_after) a key is kept for ever.
    fn rests_at(&self, state: &AdaptiveRateState) -> Option<Instant> {
        state.rests_at(self)
    }

    fn is_held(&self, _state: &AdaptiveRateState) -> bool {
        false
    }

    fn longest_refusal(&self) -> u64 {
        self.longest_refusal()
    }
}
