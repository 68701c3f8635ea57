//! A token bucket in one word, for a great many keys.
//!
//! # Why
//! A server that limits each of its callers keeps a bucket for each of them. What a [`Quota`](super::Quota) remembers
//! for one is 48 bytes, most of it for reservations, pauses and refunds that such a limit does not use. The TAT alone
//! is enough to say yes or no: 8 bytes.
//!
//! # State picture
//! As that of a [token bucket](super), without debt.
//! ```text
//!   at rest: full                  some left                       empty
//!   TAT <= now ............ now < TAT <= now + burst - T ........ now + burst
//! ```
//!
//! # Contract
//! - Never grants more than burst + rate x elapsed over any interval, by the times at which it was asked, in whatever
//!   order these come in. The long-run rate is that of the quota or less by up to a part in a million.
//! - A refusal says when the same request would succeed; more than the burst is refused for ever.
//! - Cancelled tokens come back if nobody took any since; else none of them do.
//! - The outcome is ignored, and so are its hints.
//! - A clock that steps back gives nothing: what was taken before is paid back later. But by a step of over a second no
//!   TAT stays further ahead than a full burst can put it, and a second: who is refused then finds the bucket empty as
//!   of now. So nobody waits for longer than the burst's refill and a second. (A call that late is taken for such a
//!   step. And a permit from before may cancel tokens taken since, if the TAT comes to the very same unit again.)
//! - Time is counted in whole nanoseconds if that keeps the rate, else in parts of them, and goes round: after 584 years,
//!   or two for the finest parts. Who was not asked for half as long may find the bucket empty, as after a clock that
//!   stepped back; and a [`Keyed`](crate::Keyed) table that counts in parts knows such a key at rest only when it is
//!   idle.
//!
//! # Defaults
//! The burst is the count of one period unless set.
//!
//! # Example
//! ```
//! use fusebox::{Gate, Instant, Keyed, LeanQuota, Limiter, Reason, checked};
//!
//! const QUOTA: LeanQuota = checked!(LeanQuota::per_second(2));
//! let at = Instant::from_millis;
//! let mut bucket = Limiter::new(QUOTA);
//! assert!(bucket.try_acquire_n(2, at(0)).is_ok());
//! let refused = bucket.try_acquire(at(0)).unwrap_err();
//! assert_eq!((refused.reason, refused.retry_at), (Reason::RateLimited, Some(at(500))));
//!
//! // A bucket for each of up to 16 callers.
//! let mut callers: Keyed<u8, LeanQuota, 16> = Keyed::new(QUOTA);
//! assert!(callers.try_acquire(&7, at(0)).is_ok());
//! ```
//!
//! # When not
//! Take a [`Quota`](super::Quota) to reserve, to settle, to pause, to change the rate while it runs, to heed a callee's
//! hints, to give back tokens whatever was taken since, or for a rate that has to be exact. For up to some thousands of
//! keys its bytes do not matter. Servers keep these buckets in the `KeyedLimiter` of `fusebox-tokio` and
//! `fusebox-async-std`.

use core::time::Duration;

use super::fine::Fine;
use super::quota::checked_period;
use super::state::{NEVER, not_until};
use crate::limiter::Weighted;
use crate::seen::LATE;
use crate::{ConfigError, GateKind, Instant, Outcome, Rejected};

/// So many tokens per period, and how many at once, for buckets of one word: see the [module](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LeanQuota {
    /// The time of one token in units, rounded up, so that rounding never grants more.
    cell: u64,
    /// The time of `burst` tokens: below 2^62, so sums of it and a time ahead fit.
    tolerance: u64,
    burst: u32,
    /// A nanosecond has two to the power of this many units: no more than the rate needs, so that time goes round late.
    shift: u32,
}

/// What one bucket remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LeanState(
    /// The TAT in units since the epoch, in a circle of 2^64; half of it is the past. Zero: full.
    u64,
);

/// Tokens that were taken.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "release it when the work ran, cancel it to get the tokens back"]
pub struct LeanTokens {
    /// The TAT when they were taken.
    end: u64,
    n: u32,
}

impl LeanTokens {
    /// How many.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.n
    }
}

/// Any rate up to 250,000 a second fits. Finer, and time would go round too soon.
const FINEST: u32 = 8;
const TOO_LONG: u64 = 1 << 62;
const MILLION: u64 = 1_000_000;

impl LeanQuota {
    /// `count` tokens per `period`, with a burst of `count`.
    ///
    /// # Errors
    /// When either is zero, when it is more than one token per nanosecond, when the burst takes over 146 years to
    /// refill, or when the rate cannot be kept to a part in a million: it is above 250,000 a second then, and a token's
    /// time is no whole number of 256ths of a nanosecond.
    pub const fn new(count: u32, period: Duration) -> Result<Self, ConfigError> {
        let period = match checked_period(count, period) {
            Ok(period) => period,
            Err(error) => return Err(error),
        };
        let mut shift = 0;
        while shift <= FINEST {
            // Not shifted out: a period of over a million nanoseconds per token needs no parts.
            let units = period << shift;
            let cell = units.div_ceil(count as u64);
            if excess(units, count as u64) * MILLION <= units {
                return Self { cell, tolerance: 0, burst: 0, shift }.with_burst(count);
            }
            shift += 1;
        }
        Err(ConfigError::new("count", "rounded, the rate would be off by over a part in a million: take a Quota"))
    }

    /// `count` tokens a second.
    ///
    /// # Errors
    /// As [`LeanQuota::new`].
    pub const fn per_second(count: u32) -> Result<Self, ConfigError> {
        Self::new(count, Duration::from_secs(1))
    }

    /// The same rate with another burst: how many tokens a full bucket holds.
    ///
    /// # Errors
    /// When `burst` is zero or takes over 146 years to refill.
    pub const fn with_burst(mut self, burst: u32) -> Result<Self, ConfigError> {
        if burst == 0 {
            return Err(ConfigError::new("burst", "a bucket that holds no token lets nothing through"));
        }
        self.burst = burst;
        self.tolerance = self.cell.saturating_mul(burst as u64);
        if self.tolerance >= TOO_LONG {
            return Err(ConfigError::new("burst", "takes over 146 years to refill"));
        }
        Ok(self)
    }

    /// How many tokens a full bucket holds.
    #[must_use]
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    /// The time of one token in nanoseconds, rounded down.
    #[must_use]
    pub const fn cell_nanos(&self) -> u64 {
        self.cell >> self.shift
    }

    /// In how many nanoseconds `state` is no different from a [fresh](GateKind::FRESH) one, if it is left alone: if that
    /// is not above zero, it is so now, and has been for so long; `i64::MIN` for a fresh one. Learns of a clock that
    /// stepped back, as asking does.
    #[inline]
    #[expect(clippy::cast_possible_wrap, reason = "less than half the circle")]
    pub const fn rests_in(&self, state: &mut LeanState, now: Instant) -> i64 {
        let time = self.time(now);
        match self.look(state, time) {
            0 if state.0 == 0 => i64::MIN,
            0 => 0_i64.saturating_sub_unsigned(time.wrapping_sub(state.0) >> self.shift),
            ahead => self.nanos_up(ahead) as i64,
        }
    }

    #[inline]
    const fn time(&self, at: Instant) -> u64 {
        at.as_nanos() << self.shift
    }

    #[inline]
    const fn nanos_up(&self, units: u64) -> u64 {
        (units + (1 << self.shift) - 1) >> self.shift
    }

    /// How far the TAT is ahead of `time`: below 2^63.
    #[inline]
    const fn ahead(state: LeanState, time: u64) -> u64 {
        let ahead = state.0.wrapping_sub(time);
        if state.0 == 0 || ahead >> 63 != 0 { 0 } else { ahead }
    }

    /// The same, once a TAT that no burst has put there is brought down.
    #[inline]
    const fn look(&self, state: &mut LeanState, time: u64) -> u64 {
        let ahead = Self::ahead(*state, time);
        if ahead <= self.tolerance + (LATE << self.shift) {
            return ahead;
        }
        *state = LeanState::ending(time.wrapping_add(self.tolerance));
        self.tolerance
    }

    #[inline]
    fn take(&self, state: &mut LeanState, n: u32, now: Instant) -> Result<LeanTokens, Rejected> {
        if n == 0 {
            return Ok(LeanTokens { end: 0, n });
        }
        if n > self.burst {
            return Err(NEVER);
        }
        let (time, cost) = (self.time(now), self.cell * u64::from(n));
        let debt = Self::ahead(*state, time) + cost;
        if debt > self.tolerance {
            return Err(self.refuse(state, cost, now));
        }
        *state = LeanState::ending(time.wrapping_add(debt));
        Ok(LeanTokens { end: state.0, n })
    }

    #[cold]
    fn refuse(&self, state: &mut LeanState, cost: u64, now: Instant) -> Rejected {
        let wait = self.look(state, self.time(now)) + cost - self.tolerance;
        not_until(now.as_nanos().saturating_add(self.nanos_up(wait)))
    }
}

/// By how much `count` whole cells are more than `units`.
const fn excess(units: u64, count: u64) -> u64 {
    match units % count {
        0 => 0,
        rest => count - rest,
    }
}

impl LeanState {
    #[inline]
    const fn ending(tat: u64) -> Self {
        // A unit late once in a circle, which is better than full.
        Self(if tat == 0 { 1 } else { tat })
    }
}

/// Many buckets, one quota.
impl GateKind for LeanQuota {
    type State = LeanState;
    type Permit = LeanTokens;
    const FRESH: LeanState = LeanState(0);

    #[inline]
    fn try_acquire(&self, state: &mut LeanState, now: Instant) -> Result<LeanTokens, Rejected> {
        self.take(state, 1, now)
    }

    /// The tokens are spent.
    #[inline]
    fn release(&self, _state: &mut LeanState, _tokens: LeanTokens, _outcome: Outcome, _now: Instant) {}

    #[inline]
    fn cancel(&self, state: &mut LeanState, tokens: LeanTokens, _now: Instant) {
        if tokens.n > 0 && state.0 == tokens.end {
            state.0 = tokens.end.wrapping_sub(self.cell * u64::from(tokens.n));
        }
    }

    /// Nothing is ever armed.
    #[inline]
    fn poll_timeout(&self, _state: &LeanState) -> Option<Instant> {
        None
    }

    #[inline]
    fn handle_timeout(&self, _state: &mut LeanState, _now: Instant) {}

    /// When it is full again; `None` if its time goes round too soon to tell without the time. See
    /// [`rests_in`](LeanQuota::rests_in).
    fn rests_at(&self, state: &LeanState) -> Option<Instant> {
        (self.shift == 0 || *state == Self::FRESH).then(|| Instant::from_nanos(state.0))
    }

    fn is_held(&self, _state: &LeanState) -> bool {
        false
    }

    fn longest_refusal(&self) -> u64 {
        self.nanos_up(self.tolerance) + LATE
    }
}

impl Weighted for LeanQuota {
    #[inline]
    fn try_acquire_n(&self, state: &mut LeanState, n: u32, now: Instant) -> Result<LeanTokens, Rejected> {
        self.take(state, n, now)
    }

    fn available(&self, state: &LeanState, now: Instant) -> u32 {
        let room = self.tolerance.saturating_sub(Self::ahead(*state, self.time(now)));
        Fine::from_units(room).whole(Fine::from_units(self.cell), self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Gate, Limiter, Reason};

    const fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    #[test]
    fn units_are_no_finer_than_the_rate_needs() {
        for (count, nanos, shift) in [
            (1, 86_400_000_000_000, 0),
            (3, 1_000_000_000, 0),
            (999, 1_000_000_000, 0),
            (3_000, 1_000_000_000, 1),
            (30_000, 1_000_000_000, 5),
            (44_100, 1_000_000_000, 2),
            (249_999, 1_000_000_000, 8),
            (1_000_000, 1_000_000_000, 0),
            (1_000_000_000, 1_000_000_000, 0),
            (128_000_000, 1_000_000_000, 4),
            (u32::MAX, 1 << 61, 0),
        ] {
            let quota =
                LeanQuota::new(count, Duration::from_nanos(nanos)).and_then(|quota| quota.with_burst(1)).unwrap();
            let (ideal, cells) = (u128::from(nanos) << shift, u128::from(quota.cell) * u128::from(count));
            assert!(cells >= ideal && (cells - ideal) * 1_000_000 <= ideal, "{quota:?}");
            assert_eq!(quota.shift, shift, "{quota:?}");
        }
    }

    #[test]
    fn every_rate_up_to_a_quarter_of_a_million_fits() {
        for count in (1..250_000).step_by(97) {
            let quota = LeanQuota::per_second(count).unwrap();
            assert!(quota.with_burst(u32::MAX).is_ok(), "{quota:?}");
        }
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        let setting = |quota: Result<LeanQuota, ConfigError>| quota.unwrap_err().setting;
        assert_eq!(setting(LeanQuota::new(0, Duration::from_secs(1))), "count");
        assert_eq!(setting(LeanQuota::new(1, Duration::ZERO)), "period");
        assert_eq!(setting(LeanQuota::new(2, Duration::from_nanos(1))), "count");
        assert_eq!(setting(LeanQuota::per_second(999_999_937)), "count");
        assert_eq!(setting(LeanQuota::per_second(1).unwrap().with_burst(0)), "burst");
        assert_eq!(setting(LeanQuota::new(1, Duration::MAX)), "burst");
        assert!(LeanQuota::per_second(999_999_937).unwrap_err().problem.contains("Quota"));
    }

    /// When time has gone round, a bucket is what it was.
    #[test]
    fn time_goes_round() {
        const TURN: u64 = 1 << (64 - FINEST);
        let quota = LeanQuota::per_second(249_999).and_then(|quota| quota.with_burst(2)).unwrap();
        assert_eq!(quota.shift, FINEST);
        for before in 0..20_000 {
            let begin = 3 * TURN - before;
            let mut bucket = Limiter::new(quota);
            drop(bucket.try_acquire_n(2, at(begin)).unwrap());
            let refused = bucket.try_acquire(at(begin)).unwrap_err();
            assert_eq!(refused.retry_at, Some(at(begin + 4_001)), "{before}");
            assert!(bucket.clone().try_acquire(at(begin + 4_000)).is_err());
            assert!(bucket.try_acquire(at(begin + 4_001)).is_ok());
            assert_eq!(quota.rests_in(&mut bucket.state, at(begin + 12_001)), 0);
        }
    }

    #[test]
    fn the_end_of_time() {
        let mut bucket = Limiter::new(LeanQuota::per_second(5).unwrap());
        drop(bucket.try_acquire_n(5, Instant::MAX).unwrap());
        let refused = bucket.try_acquire(Instant::MAX).unwrap_err();
        assert_eq!((refused.reason, refused.retry_at), (Reason::RateLimited, None));
    }
}
