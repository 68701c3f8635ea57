//! Permits that are good for a time.

use core::time::Duration;

use crate::lease::Leases;
use crate::{ConfigError, Gate, GateKind, Instant, Outcome, Reason, Rejected, nanos};

/// How long a permit of a [`LeasedBulkhead`] is good. Share one among bulkheads of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LeasedConfig<const N: usize> {
    ttl: u64,
}

impl<const N: usize> LeasedConfig<N> {
    /// At most `N` in flight, each for `permit_ttl`; after that its place is free again. It should exceed the longest time
    /// that one can honestly take.
    ///
    /// # Errors
    /// When there are no places or no time.
    pub const fn new(permit_ttl: Duration) -> Result<Self, ConfigError> {
        if N == 0 {
            return Err(ConfigError::new("limit", "a bulkhead without places lets nothing through"));
        }
        if permit_ttl.is_zero() {
            return Err(ConfigError::new("permit_ttl", "every permit would lapse at once"));
        }
        Ok(Self { ttl: nanos(permit_ttl) })
    }

    fn give_back(self, state: &mut LeasedState<N>, permit: &LeasedPermit, now: Instant) {
        self.handle_timeout(state, now); // its own lease may be over
        state.leases.give_back(permit.number);
    }
}

/// Permission for one.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "a permit must go back to its bulkhead: release or cancel it"]
pub struct LeasedPermit {
    number: u64,
}

/// What a leased bulkhead can tell about itself. Totals count from its making and stop at their maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LeasedSnapshot {
    /// Places taken, as of the last call.
    pub in_flight: usize,
    /// Places there are.
    pub limit: usize,
    /// The most that were ever taken at once.
    pub highest: usize,
    /// Times it refused.
    pub refused: u32,
    /// Permits that lapsed.
    pub lapsed: u32,
}

/// The machine with its configuration kept elsewhere; always give the same one. 16 bytes a place, stored inline.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LeasedState<const N: usize> {
    leases: Leases<u64, N>,
    /// Permits ever given: the next one's number. Never wraps, so a permit is never taken for another one.
    given: u64,
    highest: usize,
    refused: u32,
    lapsed: u32,
}

impl<const N: usize> Default for LeasedState<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> LeasedState<N> {
    /// Nothing in flight.
    #[must_use]
    pub const fn new() -> Self {
        Self { leases: Leases::EMPTY, given: 0, highest: 0, refused: 0, lapsed: 0 }
    }

    /// See [`LeasedBulkhead::snapshot`].
    #[must_use]
    pub fn snapshot(&self) -> LeasedSnapshot {
        LeasedSnapshot {
            in_flight: self.leases.taken(),
            limit: N,
            highest: self.highest,
            refused: self.refused,
            lapsed: self.lapsed,
        }
    }
}

/// Many bulkheads, one configuration.
impl<const N: usize> GateKind for LeasedConfig<N> {
    type State = LeasedState<N>;
    type Permit = LeasedPermit;
    const FRESH: LeasedState<N> = LeasedState::new();

    fn try_acquire(&self, state: &mut LeasedState<N>, now: Instant) -> Result<LeasedPermit, Rejected> {
        self.handle_timeout(state, now);
        let number = state.given;
        if !state.leases.take(number, now.after(self.ttl)) {
            state.refused = state.refused.saturating_add(1);
            return Err(Rejected { reason: Reason::InFlight, retry_at: state.leases.next_expiry() });
        }
        state.given = number.wrapping_add(1);
        state.highest = state.highest.max(state.leases.taken());
        Ok(LeasedPermit { number })
    }

    fn release(&self, state: &mut LeasedState<N>, permit: LeasedPermit, _outcome: Outcome, now: Instant) {
        self.give_back(state, &permit, now);
    }

    fn cancel(&self, state: &mut LeasedState<N>, permit: LeasedPermit, now: Instant) {
        self.give_back(state, &permit, now);
    }

    fn poll_timeout(&self, state: &LeasedState<N>) -> Option<Instant> {
        state.leases.next_expiry()
    }

    fn handle_timeout(&self, state: &mut LeasedState<N>, now: Instant) {
        state.lapsed = state.lapsed.saturating_add(state.leases.expire(now, self.ttl));
    }

    /// When nothing is in flight.
    fn rests_at(&self, state: &LeasedState<N>) -> Option<Instant> {
        (state.leases.taken() == 0).then_some(Instant::EPOCH)
    }

    fn is_held(&self, _state: &LeasedState<N>) -> bool {
        false
    }

    fn longest_refusal(&self) -> u64 {
        self.ttl
    }
}

/// A [`Bulkhead`](super::Bulkhead) with `N` places whose permits carry a lease, for callers that may be lost without a
/// trace: a task that was killed, a peer that was switched off, a token that crossed a queue.
///
/// A permit that is not back after its time has lapsed: its place is free, and when it comes back after all, nothing
/// happens. So a lost one costs its place for that time and no longer; a refusal's `retry_at` is when the next lease ends,
/// though a release may be earlier. What lapsed but still runs is no longer counted: where that must not be, stop it by a
/// timeout that is shorter than the lease.
///
/// ```
/// use core::time::Duration;
/// use fusebox::bulkhead::{LeasedBulkhead, LeasedConfig};
/// use fusebox::{Gate, Instant, Outcome, checked};
///
/// let mut bulkhead = LeasedBulkhead::new(checked!(LeasedConfig::<1>::new(Duration::from_secs(30))));
/// let at = Instant::from_secs;
/// let lost = bulkhead.try_acquire(at(0)).unwrap();
/// assert_eq!(bulkhead.try_acquire(at(29)).unwrap_err().retry_at, Some(at(30)));
/// let _other = bulkhead.try_acquire(at(30)).unwrap();
/// bulkhead.release(lost, Outcome::Success, at(31)); // too late to free a place
/// assert!(bulkhead.try_acquire(at(31)).is_err());
/// assert_eq!(bulkhead.snapshot().lapsed, 1);
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LeasedBulkhead<const N: usize> {
    config: LeasedConfig<N>,
    state: LeasedState<N>,
}

impl<const N: usize> LeasedBulkhead<N> {
    /// Nothing in flight.
    #[must_use]
    pub const fn new(config: LeasedConfig<N>) -> Self {
        Self { config, state: LeasedState::new() }
    }

    /// What it can tell about itself, as of the last call.
    #[must_use]
    pub fn snapshot(&self) -> LeasedSnapshot {
        self.state.snapshot()
    }
}

impl<const N: usize> Gate for LeasedBulkhead<N> {
    type Permit = LeasedPermit;

    fn try_acquire(&mut self, now: Instant) -> Result<LeasedPermit, Rejected> {
        self.config.try_acquire(&mut self.state, now)
    }

    fn release(&mut self, permit: LeasedPermit, outcome: Outcome, now: Instant) {
        self.config.release(&mut self.state, permit, outcome, now);
    }

    fn cancel(&mut self, permit: LeasedPermit, now: Instant) {
        self.config.cancel(&mut self.state, permit, now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.config.poll_timeout(&self.state)
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.config.handle_timeout(&mut self.state, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulkhead<const N: usize>() -> LeasedBulkhead<N> {
        LeasedBulkhead::new(LeasedConfig::new(Duration::from_nanos(10)).unwrap())
    }

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    #[test]
    fn a_lapsed_permit_frees_its_place_once() {
        let mut b = bulkhead::<2>();
        let lost = b.try_acquire(at(0)).unwrap();
        let kept = b.try_acquire(at(5)).unwrap();
        assert_eq!(b.poll_timeout(), Some(at(10)));
        let refused = b.try_acquire(at(9)).unwrap_err();
        assert_eq!(refused, Rejected { reason: Reason::InFlight, retry_at: Some(at(10)) });
        let new = b.try_acquire(at(10)).unwrap();
        b.cancel(lost, at(11));
        assert!(b.try_acquire(at(11)).is_err());
        b.release(kept, Outcome::Success, at(11));
        b.release(new, Outcome::Success, at(12));
        let told = LeasedSnapshot { in_flight: 0, limit: 2, highest: 2, refused: 2, lapsed: 1 };
        assert_eq!(b.snapshot(), told);
    }

    #[test]
    fn time_alone_frees_and_a_clock_that_steps_back_lengthens_no_lease() {
        let mut b = bulkhead::<1>();
        let late = b.try_acquire(at(1_000)).unwrap();
        b.release(late, Outcome::Success, at(1_010)); // the lease is over by then
        assert_eq!((b.snapshot().lapsed, b.snapshot().in_flight), (1, 0));
        let _lost = b.try_acquire(at(1_000)).unwrap();
        assert_eq!(b.try_acquire(at(3)).unwrap_err().retry_at, Some(at(13)));
        b.handle_timeout(at(12));
        assert_eq!(b.snapshot().in_flight, 1);
        b.handle_timeout(at(13));
        assert_eq!(b.snapshot().in_flight, 0);
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        assert_eq!(LeasedConfig::<0>::new(Duration::MAX).unwrap_err().setting, "limit");
        assert_eq!(LeasedConfig::<1>::new(Duration::ZERO).unwrap_err().setting, "permit_ttl");
    }
}
