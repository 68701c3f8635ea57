//! What rate limiters of all kinds have in common: one holder, weighted requests, reservations.

use crate::{Gate, GateKind, Instant, Outcome, Rejected};

/// A kind of limiter that is asked for any number of tokens, not only one.
pub trait Weighted: GateKind {
    /// Takes `n` tokens at once, or none. Zero tokens are always granted and take nothing.
    ///
    /// # Errors
    /// [`Reason::RateLimited`](crate::Reason::RateLimited) with the instant at which there will be `n`;
    /// [`Reason::OverBurst`](crate::Reason::OverBurst) when there never will.
    fn try_acquire_n(&self, state: &mut Self::State, n: u32, now: Instant) -> Result<Self::Permit, Rejected>;

    /// How many tokens could be taken at `now`.
    fn available(&self, state: &Self::State, now: Instant) -> u32;
}

/// A kind of limiter whose tokens can be taken before they may be used: whoever does queues in time.
pub trait Reserving: Weighted {
    /// Takes `n` tokens that may be used from some instant on, if that is no later than `until` and no further away
    /// than the kind lets anybody wait. Takes nothing otherwise.
    ///
    /// # Errors
    /// As [`Weighted::try_acquire_n`]. When it would be later than `until`, `retry_at` is that instant: who asks then
    /// need not wait. When it would be too far away, `retry_at` is when it no longer is.
    fn reserve_until(
        &self,
        state: &mut Self::State,
        n: u32,
        until: Instant,
        now: Instant,
    ) -> Result<Reservation<Self::Permit>, Rejected>;
}

/// Tokens that were taken, and when they may be used.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "wait until `ready_at`, then use its permit; or cancel that"]
pub struct Reservation<P> {
    permit: P,
    ready_at: Instant,
}

impl<P> Reservation<P> {
    pub(crate) const fn new(permit: P, ready_at: Instant) -> Self {
        Self { permit, ready_at }
    }

    /// From when on the tokens may be used.
    #[must_use]
    pub const fn ready_at(&self) -> Instant {
        self.ready_at
    }

    /// The permit: to be used from [`ready_at`](Self::ready_at) on, or cancelled before or after.
    pub fn into_permit(self) -> P {
        self.permit
    }
}

/// A rate limiter of the kind `C`: its configuration, and what one limiter remembers. Many limiters share a
/// configuration in a [keyed](crate::keyed) table.
///
/// | kind | rule |
/// | --- | --- |
/// | [`Quota`](crate::Quota) | token bucket; [`TokenBucket`](crate::TokenBucket) is a limiter of this kind |
/// | [`LeanQuota`](crate::LeanQuota) | a token bucket of 8 bytes |
/// | [`Quotas`](crate::Quotas) | several token buckets, as one |
/// | [`WarmUp`](crate::WarmUp) | a token bucket that starts slowly |
/// | [`FixedWindow`](crate::FixedWindow) | all tokens come back at once, at fixed intervals |
/// | [`SlidingCounter`](crate::SlidingCounter) | two fixed windows, weighted |
/// | [`SlidingLog`](crate::SlidingLog) | strict: remembers every grant |
/// | [`AdaptiveRateConfig`](crate::AdaptiveRateConfig) | a token bucket whose rate follows what the callee throttles |
#[derive(Clone, Debug)]
pub struct Limiter<C: GateKind> {
    pub(crate) kind: C,
    pub(crate) state: C::State,
}

#[cfg(feature = "defmt")]
impl<C: GateKind<State: defmt::Format> + defmt::Format> defmt::Format for Limiter<C> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Limiter {{ kind: {}, state: {} }}", self.kind, self.state);
    }
}

impl<C: GateKind> Limiter<C> {
    /// A limiter from which nothing was taken yet.
    #[must_use]
    pub const fn new(kind: C) -> Self {
        Self { kind, state: C::FRESH }
    }

    /// The configuration.
    #[must_use]
    pub const fn kind(&self) -> &C {
        &self.kind
    }
}

impl<C: Weighted> Limiter<C> {
    /// See [`Weighted::try_acquire_n`].
    ///
    /// # Errors
    /// As there.
    #[inline]
    pub fn try_acquire_n(&mut self, n: u32, now: Instant) -> Result<C::Permit, Rejected> {
        self.kind.try_acquire_n(&mut self.state, n, now)
    }

    /// How many tokens could be taken at `now`.
    #[must_use]
    pub fn available(&self, now: Instant) -> u32 {
        self.kind.available(&self.state, now)
    }
}

impl<C: Reserving> Limiter<C> {
    /// Takes `n` tokens now that may be used from [`ready_at`](Reservation::ready_at) on, however far away that is
    /// within what the configuration lets anybody wait.
    ///
    /// # Errors
    /// See [`Reserving::reserve_until`].
    #[inline]
    pub fn reserve(&mut self, n: u32, now: Instant) -> Result<Reservation<C::Permit>, Rejected> {
        self.reserve_until(n, Instant::MAX, now)
    }

    /// See [`Reserving::reserve_until`].
    ///
    /// # Errors
    /// As there.
    #[inline]
    pub fn reserve_until(&mut self, n: u32, until: Instant, now: Instant) -> Result<Reservation<C::Permit>, Rejected> {
        self.kind.reserve_until(&mut self.state, n, until, now)
    }
}

impl<C: GateKind> Gate for Limiter<C> {
    type Permit = C::Permit;

    #[inline]
    fn try_acquire(&mut self, now: Instant) -> Result<C::Permit, Rejected> {
        self.kind.try_acquire(&mut self.state, now)
    }

    #[inline]
    fn release(&mut self, permit: C::Permit, outcome: Outcome, now: Instant) {
        self.kind.release(&mut self.state, permit, outcome, now);
    }

    #[inline]
    fn cancel(&mut self, permit: C::Permit, now: Instant) {
        self.kind.cancel(&mut self.state, permit, now);
    }

    #[inline]
    fn poll_timeout(&self) -> Option<Instant> {
        self.kind.poll_timeout(&self.state)
    }

    #[inline]
    fn handle_timeout(&mut self, now: Instant) {
        self.kind.handle_timeout(&mut self.state, now);
    }
}
