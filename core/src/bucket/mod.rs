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
//!            full                      some left                     empty
//!   TAT <= now ............ now < TAT <= now + burst - T ........ now + burst (never beyond)
//! ```
//! Taking `n` tokens moves the TAT on by `n` cells (`T` = period / count, kept to 2^-32 ns and rounded up). Nothing runs
//! in the background, and no division is done after the quota is built.
//!
//! # Contract
//! - Never grants more than burst + rate x elapsed over any interval; the long-run rate is within 1e-9 of the quota.
//!   A burst of one leaves nothing to make up for rounding with: each grant then takes up to a nanosecond longer.
//! - A refusal says when the same request would succeed; more than the burst is refused for ever.
//! - Cancelling gives the tokens back, except those that the bucket would by now have lost to being full.
//! - A clock that steps back empties the bucket at worst; it never locks it for longer than a full refill.
//!
//! # Defaults
//! The burst is the count of one period unless set.
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
//! assert!(bucket.try_acquire(at(500)).is_ok());
//! ```
//!
//! # When not
//! To limit how many run at once, whatever the rate, use a bulkhead. A bucket can let up to twice the count through
//! around a period's edge (burst, then refill); a strict window needs a sliding log.

mod fine;
mod quota;

use fine::Fine;
pub use quota::Quota;

use crate::{Gate, Instant, Outcome, Reason, Rejected};

/// A token bucket: see the [module](self). As a [`Gate`] it takes one token per permit.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TokenBucket {
    quota: Quota,
    tat: Fine,
    /// Tokens ever taken, less the cancelled ones that were the last to be taken; wraps.
    taken: u64,
}

/// Tokens that were taken.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "release it when the work ran, cancel it to get the tokens back"]
pub struct Tokens {
    n: u32,
    /// The bucket's total right after they were taken: tells what others took since.
    taken: u64,
}

impl TokenBucket {
    /// A full bucket.
    #[must_use]
    pub const fn new(quota: Quota) -> Self {
        Self { quota, tat: Fine::ZERO, taken: 0 }
    }

    /// The quota.
    #[must_use]
    pub const fn quota(&self) -> &Quota {
        &self.quota
    }

    /// Takes `n` tokens at once, or none. Zero tokens are always granted and take nothing.
    ///
    /// # Errors
    /// [`Reason::RateLimited`] with the instant at which there will be `n`; [`Reason::OverBurst`] when there never
    /// will.
    #[inline]
    pub fn try_acquire_n(&mut self, n: u32, now: Instant) -> Result<Tokens, Rejected> {
        if n > self.quota.burst() {
            return Err(Rejected { reason: Reason::OverBurst, retry_at: None });
        }
        let now = Fine::from_instant(now);
        let cost = self.quota.cost(n);
        let full_debt = now.plus(self.quota.tolerance());
        // Beyond a full debt only if the clock stepped back: written back even when refusing, else the bucket would
        // stay locked until the old time comes round again.
        self.tat = self.tat.min(full_debt);
        let tat = self.tat.max(now).plus(cost);
        if n == 0 {
            return Ok(Tokens { n, taken: self.taken });
        }
        if tat > full_debt {
            let retry_at = tat.minus(self.quota.tolerance()).to_instant_up();
            return Err(Rejected { reason: Reason::RateLimited, retry_at: Some(retry_at) });
        }
        self.tat = tat;
        self.taken = self.taken.wrapping_add(n.into());
        Ok(Tokens { n, taken: self.taken })
    }

    /// Gives `tokens` back.
    ///
    /// The bound (burst + rate x elapsed) must hold for what was really used, so tokens that a bucket without this
    /// permit would have lost to being full are not given back: what others took since counts as if taken now. The TAT
    /// cannot tell what that was, because other refunds and a clock that steps back lower it.
    fn refund(&mut self, tokens: &Tokens, now: Instant) {
        let since = self.taken.wrapping_sub(tokens.taken);
        if since == 0 {
            self.taken = self.taken.wrapping_sub(tokens.n.into());
        }
        // With a whole burst taken since, all would have been lost.
        let Some(since) = u32::try_from(since).ok().filter(|since| *since < self.quota.burst()) else { return };
        let floor = Fine::from_instant(now).plus(self.quota.cost(since));
        self.tat = self.tat.minus(self.quota.cost(tokens.n)).max(floor).min(self.tat);
    }
}

impl Gate for TokenBucket {
    type Permit = Tokens;

    #[inline]
    fn try_acquire(&mut self, now: Instant) -> Result<Tokens, Rejected> {
        self.try_acquire_n(1, now)
    }

    /// The outcome does not matter: the tokens are spent.
    #[inline]
    fn release(&mut self, _tokens: Tokens, _outcome: Outcome, _now: Instant) {}

    #[inline]
    fn cancel(&mut self, tokens: Tokens, now: Instant) {
        self.refund(&tokens, now);
    }

    /// Nothing is ever armed.
    #[inline]
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    #[inline]
    fn handle_timeout(&mut self, _now: Instant) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    fn bucket(count: u32, period_ms: u64, burst: u32) -> TokenBucket {
        TokenBucket::new(Quota::new(count, Duration::from_millis(period_ms)).unwrap().with_burst(burst).unwrap())
    }

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn more_than_the_burst_never_passes() {
        let mut b = bucket(10, 1_000, 5);
        let refused = b.try_acquire_n(6, at(0)).unwrap_err();
        assert_eq!(refused, Rejected { reason: Reason::OverBurst, retry_at: None });
        assert!(b.try_acquire_n(5, at(0)).is_ok());
    }

    #[test]
    fn retry_at_is_exact() {
        let mut b = bucket(3, 1_000, 3); // a third of a second does not divide into nanoseconds
        drop(b.try_acquire_n(3, at(0)).unwrap());
        let retry_at = b.try_acquire_n(1, at(0)).unwrap_err().retry_at.unwrap();
        assert_eq!(retry_at.as_nanos(), 333_333_334);
        assert!(b.try_acquire_n(1, Instant::from_nanos(333_333_333)).is_err());
        assert!(b.try_acquire_n(1, retry_at).is_ok());
    }

    #[test]
    fn zero_takes_nothing() {
        let mut b = bucket(1, 1_000, 1);
        for _ in 0..3 {
            let none = b.try_acquire_n(0, at(0)).unwrap();
            b.cancel(none, at(0));
        }
        assert!(b.try_acquire(at(0)).is_ok());
        assert!(b.try_acquire_n(0, at(0)).is_ok());
        assert!(b.try_acquire(at(0)).is_err());
    }

    #[test]
    fn cancel_restores() {
        let mut b = bucket(10, 10_000, 10); // one a second
        let a = b.try_acquire_n(5, at(0)).unwrap();
        let other = b.try_acquire_n(1, at(0)).unwrap();
        b.cancel(a, at(0));
        assert!(b.try_acquire_n(10, at(0)).is_err());
        assert!(b.try_acquire_n(9, at(0)).is_ok());
        b.release(other, Outcome::Success, at(0));
    }

    #[test]
    fn cancel_does_not_overfill() {
        let mut b = bucket(10, 10_000, 10);
        let a = b.try_acquire_n(5, at(0)).unwrap();
        let _other = b.try_acquire_n(1, at(4_000)).unwrap(); // the bucket held 9, now 8
        b.cancel(a, at(4_000)); // without `a` it would hold 9, not 13 or 10
        assert!(b.try_acquire_n(10, at(4_000)).is_err());
        assert!(b.try_acquire_n(9, at(4_000)).is_ok());
    }

    #[test]
    fn a_clock_that_steps_back_locks_for_one_refill_at_most() {
        let mut b = bucket(10, 10_000, 10);
        assert!(b.try_acquire(at(1_000_000)).is_ok());
        let refused = b.try_acquire(at(0)).unwrap_err();
        assert_eq!(refused.retry_at, Some(at(1_000)));
        assert!(b.try_acquire(at(1_000)).is_ok());
    }

    #[test]
    fn the_end_of_time_is_no_panic() {
        let mut b = bucket(1, 1_000, 1);
        let _ = b.try_acquire(Instant::MAX);
        let _ = b.try_acquire(Instant::MAX);
        let tokens = b.try_acquire(Instant::EPOCH);
        if let Ok(tokens) = tokens {
            b.cancel(tokens, Instant::MAX);
        }
    }

    #[test]
    fn size() {
        assert_eq!(size_of::<TokenBucket>(), 64);
    }
}
