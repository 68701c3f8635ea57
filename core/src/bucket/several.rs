//! Several quotas at once.

use super::quota::Quota;
use super::state::{BucketState, NEVER, Nanos, Tokens, bounded, not_until};
use crate::limiter::{Limiter, Reservation, Reserving, Weighted};
use crate::{GateKind, Instant, Outcome, Rejected};

/// Several quotas that hold at once, say 10 a second and 300 a minute: a request passes all of them or takes nothing
/// from any.
///
/// A refusal's `retry_at` is the instant at which all of them admit the request. A tuple of buckets would name that of
/// the first one that refuses, and take tokens and give them back.
///
/// ```
/// use core::time::Duration;
/// use fusebox::{Gate, Instant, Limiter, Quota, Quotas, checked};
///
/// let quotas = Quotas::new([
///     checked!(Quota::new(2, Duration::from_secs(1))),
///     checked!(Quota::new(3, Duration::from_secs(60))),
/// ]);
/// let mut limiter = Limiter::new(quotas);
/// let at = Instant::from_secs;
/// assert!(limiter.try_acquire_n(2, at(0)).is_ok());
/// assert_eq!(limiter.try_acquire(at(0)).unwrap_err().retry_at, Some(Instant::from_millis(500)));
/// assert!(limiter.try_acquire(at(1)).is_ok());
/// assert_eq!(limiter.try_acquire(at(2)).unwrap_err().retry_at, Some(at(20)));
/// ```
///
/// It costs one token of each quota per permit, and 48 bytes per quota and limiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Quotas<const N: usize> {
    quotas: [Quota; N],
}

/// Tokens that were taken from each bucket.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "release it when the work ran, cancel it to get the tokens back"]
pub struct JointTokens<const N: usize> {
    each: [Tokens; N],
    /// For how long a bucket's span stays empty because another bucket's tokens are ready later.
    gaps: [u64; N],
}

impl<const N: usize> JointTokens<N> {
    const NONE: Self = Self { each: [const { Tokens::NONE }; N], gaps: [0; N] };

    /// How many were taken from each.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.each.first().map_or(0, Tokens::count)
    }

    fn iter(&self) -> impl Iterator<Item = (&Tokens, u64)> {
        self.each.iter().zip(self.gaps)
    }
}

impl<const N: usize> Quotas<N> {
    /// All of `quotas`.
    #[must_use]
    pub const fn new(quotas: [Quota; N]) -> Self {
        const { assert!(N > 0, "at least one quota") };
        Self { quotas }
    }

    /// The quotas.
    #[must_use]
    pub const fn each(&self) -> &[Quota; N] {
        &self.quotas
    }

    fn with<'a>(&'a self, states: &'a mut [BucketState; N]) -> impl Iterator<Item = (&'a Quota, &'a mut BucketState)> {
        self.quotas.iter().zip(states)
    }

    /// The time that counts for a call at `now`.
    fn look(&self, states: &mut [BucketState; N], now: Instant) -> Instant {
        self.with(states).fold(now, |latest, (quota, state)| latest.max(state.look(quota, now)))
    }

    /// The same, and when `n` tokens of each are ready.
    fn ready(&self, states: &mut [BucketState; N], n: u32, now: Instant) -> Result<(Instant, Nanos), Rejected> {
        if self.quotas.iter().any(|quota| n > quota.burst()) {
            return Err(NEVER);
        }
        let now = self.look(states, now);
        let none = now.as_nanos();
        if n == 0 {
            return Ok((now, none));
        }
        Ok((now, self.with(states).fold(none, |ready, (quota, state)| ready.max(state.ready(quota, n, now)))))
    }

    fn take(&self, states: &mut [BucketState; N], n: u32, at: Instant, now: Instant) -> JointTokens<N> {
        let mut taken = JointTokens::NONE;
        let places = taken.each.iter_mut().zip(&mut taken.gaps);
        for ((quota, state), (tokens, gap)) in self.with(states).zip(places) {
            *gap = state.gap(quota, at, now);
            *tokens = state.take(quota, n, at, now);
        }
        taken
    }

    /// The furthest into the future that all of them give tokens out.
    fn max_wait(&self) -> u64 {
        self.quotas.iter().fold(u64::MAX, |least, quota| least.min(quota.max_wait_nanos()))
    }
}

impl<const N: usize> GateKind for Quotas<N> {
    type State = [BucketState; N];
    type Permit = JointTokens<N>;
    const FRESH: Self::State = [BucketState::FULL; N];

    #[inline]
    fn try_acquire(&self, states: &mut Self::State, now: Instant) -> Result<JointTokens<N>, Rejected> {
        self.try_acquire_n(states, 1, now)
    }

    fn release(&self, states: &mut Self::State, _tokens: JointTokens<N>, outcome: Outcome, now: Instant) {
        self.with(states).for_each(|(quota, state)| state.release(quota, outcome, now));
    }

    fn cancel(&self, states: &mut Self::State, tokens: JointTokens<N>, now: Instant) {
        for ((quota, state), (tokens, gap)) in self.with(states).zip(tokens.iter()) {
            state.give_back(quota, tokens, tokens.count(), gap, now);
        }
    }

    /// Nothing is ever armed.
    fn poll_timeout(&self, _states: &Self::State) -> Option<Instant> {
        None
    }

    fn handle_timeout(&self, _states: &mut Self::State, _now: Instant) {}

    /// When all buckets are full again.
    fn rests_at(&self, states: &Self::State) -> Option<Instant> {
        self.quotas.iter().zip(states).map(|(quota, state)| state.rests_at(quota)).max()
    }

    fn is_held(&self, _states: &Self::State) -> bool {
        false
    }

    fn longest_refusal(&self) -> u64 {
        self.quotas.iter().fold(0, |longest, quota| longest.max(quota.longest_wait()))
    }
}

impl<const N: usize> Weighted for Quotas<N> {
    fn try_acquire_n(&self, states: &mut [BucketState; N], n: u32, now: Instant) -> Result<JointTokens<N>, Rejected> {
        let (now, ready) = self.ready(states, n, now)?;
        if ready > now.as_nanos() {
            return Err(not_until(ready));
        }
        Ok(self.take(states, n, now, now))
    }

    fn available(&self, states: &[BucketState; N], now: Instant) -> u32 {
        let each = self.quotas.iter().zip(states);
        each.fold(u32::MAX, |least, (quota, state)| least.min(state.available(quota, now)))
    }
}

impl<const N: usize> Reserving for Quotas<N> {
    fn reserve_until(
        &self,
        states: &mut [BucketState; N],
        n: u32,
        until: Instant,
        now: Instant,
    ) -> Result<Reservation<JointTokens<N>>, Rejected> {
        let (now, ready) = self.ready(states, n, now)?;
        let at = bounded(ready, self.max_wait(), until, now)?;
        Ok(Reservation::new(self.take(states, n, at, now), at))
    }
}

/// What one bucket can, all of them can.
impl<const N: usize> Limiter<Quotas<N>> {
    /// See [`TokenBucket::settle`](super::TokenBucket::settle).
    pub fn settle(&mut self, tokens: JointTokens<N>, actual: u32, now: Instant) {
        for ((quota, state), (tokens, _)) in self.kind.with(&mut self.state).zip(tokens.iter()) {
            state.settle(quota, tokens, actual, now);
        }
    }

    /// Takes all tokens that there are in the bucket that has the fewest.
    pub fn drain(&mut self, now: Instant) -> JointTokens<N> {
        let n = self.available(now);
        let now = self.kind.look(&mut self.state, now);
        self.kind.take(&mut self.state, n, now, now)
    }

    /// See [`TokenBucket::pause_until`](super::TokenBucket::pause_until). The longest of the quotas' `max_pause` counts.
    pub fn pause_until(&mut self, until: Instant, now: Instant) {
        self.kind.with(&mut self.state).for_each(|(quota, state)| state.pause(quota, until, quota.max_pause(), now));
    }

    /// Ends a pause.
    pub fn resume(&mut self) {
        self.state.iter_mut().for_each(BucketState::resume);
    }

    /// See [`TokenBucket::set_quota`](super::TokenBucket::set_quota).
    pub fn set_quotas(&mut self, quotas: Quotas<N>, now: Instant) {
        let old = self.kind.with(&mut self.state);
        old.zip(&quotas.quotas).for_each(|((old, state), new)| state.retune(old, new, now));
        self.kind = quotas;
    }
}
