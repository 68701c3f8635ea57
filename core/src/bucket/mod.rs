//! Token bucket: at most so many per period, with a burst.
//!
//! # Why
//! Callees have quotas and limits; a caller that keeps to them is not throttled, and a shared bus or radio stays usable
//! for others. A bucket lets short bursts through and holds the long-run rate.
//!
//! # State picture
//! The generic cell rate algorithm (GCRA; ITU-T I.371) keeps one instant, the theoretical arrival time (TAT): when the
//! bucket would be full again.
//! ```text
//!            full                      some left                     empty              reserved ahead, in debt
//!   TAT <= now ............ now < TAT <= now + burst - T ........ now + burst ........ now + burst + max_wait
//! ```
//! Taking `n` tokens moves the TAT on by `n` cells. A cell, `T` = period / count, is exact: time is counted in parts of a
//! nanosecond of which it is a whole number. (Above four million tokens a period that have no divisor in common with it,
//! and for bursts that take long to refill, it is rounded up, by less than a part in two million.) Nothing runs in the
//! background, and nothing is divided but, digit by digit, to say when to come back.
//!
//! # Contract
//! - Never grants more than burst + rate x elapsed over any interval, and no less. A burst of one leaves nothing to make
//!   up with for instants that are whole nanoseconds: each grant then takes up to a nanosecond longer.
//! - A refusal says when the same request would succeed; more than the burst is refused for ever.
//! - A [reservation](TokenBucket::reserve) takes tokens that are not there yet and says from when on they may be used;
//!   used then, they keep to the bound. It goes no further ahead than `max_wait`.
//! - Cancelling gives the tokens back, as far as the bound allows it: not those that the bucket would by now have lost
//!   to being full, and not those that others, told to wait since, wait behind (up to a burst less what they wait for).
//!   What was taken last comes back whole. A cancellation that comes late, after others took tokens at a later `now`,
//!   knows nothing of that time: it may give back what the bucket lost in it.
//! - [`settle`](TokenBucket::settle) makes up for an estimate; it may put the bucket into debt, `max_wait` deep at most.
//! - A pause lasts `max_pause` at most (`max_hint`, when the callee asked for it). The bucket fills meanwhile.
//! - A [new quota](TokenBucket::set_quota) keeps the share of the burst that is left, and what reservations were told.
//! - A `now` up to a second before an earlier one is of a call that comes late and counts as the later. A clock that
//!   steps back further than that gives nothing and takes nothing: everything is as far away as it was. So it locks the
//!   bucket for two seconds longer at most.
//!
//! # Defaults
//! The burst is the count of one period unless set. `max_wait` and `max_pause` are one minute; hints are not heeded.
//!
//! # Example
//! ```
//! use core::time::Duration;
//! use fusebox::{Gate, Instant, Quota, Reason, TokenBucket, checked};
//!
//! // In a `static`: behind a lock, see `Shared`.
//! let mut bucket = const { TokenBucket::new(checked!(Quota::new(2, Duration::from_secs(1)))) };
//! let at = Instant::from_millis;
//! assert!(bucket.try_acquire(at(0)).is_ok());
//! assert!(bucket.try_acquire(at(0)).is_ok());
//! let refused = bucket.try_acquire(at(0)).unwrap_err();
//! assert_eq!((refused.reason, refused.retry_at), (Reason::RateLimited, Some(at(500))));
//!
//! // Rather than to ask again, queue in time.
//! let reserved = bucket.reserve(1, at(0)).unwrap();
//! assert_eq!(reserved.ready_at(), at(500));
//! bucket.cancel(reserved.into_permit(), at(100)); // gave up: it is the next one's
//! assert!(bucket.try_acquire(at(500)).is_ok());
//! ```
//!
//! # When not
//! To limit how many run at once, whatever the rate, use a bulkhead. A bucket can let up to twice the count through
//! around a period's edge (burst, then refill); for a strict window see [`window_limit`](crate::window_limit). Several
//! limits at once are [`Quotas`]; a callee that must not get its full rate at once wants a [`WarmUp`]. A great many keys,
//! each with a bucket, want a [`LeanQuota`].

mod fine;
pub mod lean;
mod quota;
mod several;
mod state;
#[cfg(test)]
mod tests;
mod warm_up;

pub(crate) use fine::Fine;
pub use lean::{LeanQuota, LeanState, LeanTokens};
pub use quota::Quota;
pub use several::{JointTokens, Quotas};
pub use state::{BucketState, Tokens};
pub use warm_up::{WarmTokens, WarmUp, WarmUpState};

use crate::limiter::{Limiter, Reservation, Reserving, Weighted};
use crate::{GateKind, Instant, Outcome, Rejected};

/// A token bucket: see the [module](self). As a [`Gate`](crate::Gate) it takes one token per permit.
pub type TokenBucket = Limiter<Quota>;

impl Limiter<Quota> {
    /// The quota.
    #[must_use]
    pub const fn quota(&self) -> &Quota {
        &self.kind
    }

    /// What was done took `actual` tokens, not what was estimated when `tokens` were taken. Gives the rest back, as
    /// cancelling would, or takes more: also more than there are, and more than the burst, so that others wait for
    /// longer. The bucket goes `max_wait` deep into debt at most; what is owed beyond that is forgiven.
    pub fn settle(&mut self, tokens: Tokens, actual: u32, now: Instant) {
        self.state.settle(&self.kind, &tokens, actual, now);
    }

    /// Takes all tokens that there are.
    pub fn drain(&mut self, now: Instant) -> Tokens {
        self.state.drain(&self.kind, now)
    }

    /// Grants nothing until `until`, which is brought down to [`max_pause`](Quota::with_max_pause) from now. A pause that
    /// is on and longer stays. Reservations that were made before keep their instants; new ones begin after the pause.
    pub fn pause_until(&mut self, until: Instant, now: Instant) {
        self.state.pause(&self.kind, until, self.kind.max_pause(), now);
    }

    /// Ends a pause.
    pub const fn resume(&mut self) {
        self.state.resume();
    }

    /// Changes the quota. The bucket keeps the share of its burst that is left: an interval in which that happens has no
    /// more than the larger burst + what either rate gave in its time (if it happens more often, each growth of the
    /// burst counts). Tokens taken before are not given back any more.
    pub fn set_quota(&mut self, quota: Quota, now: Instant) {
        self.state.retune(&self.kind, &quota, now);
        self.kind = quota;
    }
}

/// Many buckets, one quota.
impl GateKind for Quota {
    type State = BucketState;
    type Permit = Tokens;
    const FRESH: BucketState = BucketState::FULL;

    #[inline]
    fn try_acquire(&self, state: &mut BucketState, now: Instant) -> Result<Tokens, Rejected> {
        state.try_acquire_n(self, 1, now)
    }

    /// The tokens are spent; of the outcome only a hint matters.
    #[inline]
    fn release(&self, state: &mut BucketState, _tokens: Tokens, outcome: Outcome, now: Instant) {
        state.release(self, outcome, now);
    }

    #[inline]
    fn cancel(&self, state: &mut BucketState, tokens: Tokens, now: Instant) {
        state.cancel(self, &tokens, now);
    }

    /// Nothing is ever armed.
    #[inline]
    fn poll_timeout(&self, _state: &BucketState) -> Option<Instant> {
        None
    }

    #[inline]
    fn handle_timeout(&self, _state: &mut BucketState, _now: Instant) {}

    /// When it is full again.
    fn rests_at(&self, state: &BucketState) -> Option<Instant> {
        Some(state.rests_at(self))
    }

    fn is_held(&self, _state: &BucketState) -> bool {
        false
    }

    fn longest_refusal(&self) -> u64 {
        self.longest_wait()
    }
}

impl Weighted for Quota {
    #[inline]
    fn try_acquire_n(&self, state: &mut BucketState, n: u32, now: Instant) -> Result<Tokens, Rejected> {
        state.try_acquire_n(self, n, now)
    }

    fn available(&self, state: &BucketState, now: Instant) -> u32 {
        state.available(self, now)
    }
}

impl Reserving for Quota {
    #[inline]
    fn reserve_until(
        &self,
        state: &mut BucketState,
        n: u32,
        until: Instant,
        now: Instant,
    ) -> Result<Reservation<Tokens>, Rejected> {
        state.reserve_until(self, n, until, now)
    }
}
