//! One limit.

use core::num::NonZeroU32;

use super::{BulkheadSnapshot, admit, refusal};
use crate::{Gate, GateKind, Instant, Outcome, Rejected};

/// The limit of a bulkhead. Share one among bulkheads of a kind, for instance in [`Keyed`](crate::Keyed): so many in
/// flight per key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BulkheadConfig {
    limit: NonZeroU32,
}

impl BulkheadConfig {
    /// At most `limit` in flight.
    #[must_use]
    pub const fn new(limit: NonZeroU32) -> Self {
        Self { limit }
    }

    /// The limit.
    #[must_use]
    pub const fn limit(&self) -> NonZeroU32 {
        self.limit
    }
}

/// Permission for what takes so many places. 4 bytes.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "a permit must go back to its bulkhead: release or cancel it"]
pub struct Permit {
    pub(crate) n: u32,
}

impl Permit {
    /// How many places it takes.
    #[must_use]
    pub const fn places(&self) -> u32 {
        self.n
    }
}

/// The machine with its configuration kept elsewhere, so that many bulkheads can share one; always give the same one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BulkheadState {
    in_flight: u32,
    highest: u32,
    refused: u32,
}

impl BulkheadState {
    /// Nothing in flight.
    #[must_use]
    pub const fn new() -> Self {
        Self { in_flight: 0, highest: 0, refused: 0 }
    }

    /// See [`Bulkhead::try_acquire_n`].
    ///
    /// # Errors
    /// See [`Bulkhead::try_acquire_n`].
    #[inline]
    pub const fn try_acquire_n(&mut self, config: &BulkheadConfig, n: u32, _now: Instant) -> Result<Permit, Rejected> {
        match admit(self.in_flight, config.limit.get(), n) {
            Ok(_) => {
                self.add(n);
                Ok(Permit { n })
            }
            Err(reason) => {
                self.count_refusal();
                Err(refusal(reason))
            }
        }
    }

    pub(super) const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    pub(super) const fn add(&mut self, n: u32) {
        self.in_flight = self.in_flight.saturating_add(n);
        self.highest = if self.in_flight > self.highest { self.in_flight } else { self.highest };
    }

    pub(super) const fn count_refusal(&mut self) {
        self.refused = self.refused.saturating_add(1);
    }

    /// Takes `n` places back. Below zero only by a permit of another bulkhead.
    pub(super) const fn give_back(&mut self, n: u32) {
        self.in_flight = self.in_flight.saturating_sub(n);
    }

    /// See [`Bulkhead::snapshot`].
    #[must_use]
    pub const fn snapshot(&self, config: &BulkheadConfig) -> BulkheadSnapshot {
        let Self { in_flight, highest, refused } = *self;
        BulkheadSnapshot { in_flight, limit: config.limit.get(), highest, refused }
    }
}

/// A bulkhead: see the [module](super). As a [`Gate`] it takes one place per permit.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Bulkhead {
    config: BulkheadConfig,
    state: BulkheadState,
}

impl Bulkhead {
    /// At most `limit` in flight; nothing is.
    #[must_use]
    pub const fn new(limit: NonZeroU32) -> Self {
        Self { config: BulkheadConfig::new(limit), state: BulkheadState::new() }
    }

    /// The limit.
    #[must_use]
    pub const fn limit(&self) -> NonZeroU32 {
        self.config.limit
    }

    /// Another limit from now on. Below what is in flight, nothing is taken away: new ones are refused until enough came
    /// back. A higher one makes room: wake who waits, as after a release.
    pub const fn resize(&mut self, limit: NonZeroU32, _now: Instant) {
        self.config = BulkheadConfig::new(limit);
    }

    /// Takes `n` places at once, or none. No places are always granted.
    ///
    /// Heavy ones are refused more often than light ones; where that matters, let them wait in a
    /// [`WaitQueue`](crate::WaitQueue), in which nobody overtakes.
    ///
    /// # Errors
    /// [`Reason::InFlight`](crate::Reason::InFlight) until enough came back; [`Reason::OverLimit`](crate::Reason::OverLimit)
    /// when there are not so many places at all.
    #[inline]
    pub const fn try_acquire_n(&mut self, n: u32, now: Instant) -> Result<Permit, Rejected> {
        self.state.try_acquire_n(&self.config, n, now)
    }

    /// Places taken.
    #[must_use]
    pub const fn in_flight(&self) -> u32 {
        self.state.in_flight
    }

    /// Places that are free.
    #[must_use]
    pub const fn available(&self) -> u32 {
        self.snapshot().available()
    }

    /// What it can tell about itself.
    #[must_use]
    pub const fn snapshot(&self) -> BulkheadSnapshot {
        self.state.snapshot(&self.config)
    }
}

impl Gate for Bulkhead {
    type Permit = Permit;

    #[inline]
    fn try_acquire(&mut self, now: Instant) -> Result<Permit, Rejected> {
        self.try_acquire_n(1, now)
    }

    #[inline]
    fn release(&mut self, permit: Permit, _outcome: Outcome, _now: Instant) {
        self.state.give_back(permit.n);
    }

    #[inline]
    fn cancel(&mut self, permit: Permit, _now: Instant) {
        self.state.give_back(permit.n);
    }

    /// Nothing is ever armed.
    #[inline]
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    #[inline]
    fn handle_timeout(&mut self, _now: Instant) {}
}

/// Many bulkheads, one limit.
impl GateKind for BulkheadConfig {
    type State = BulkheadState;
    type Permit = Permit;
    const FRESH: BulkheadState = BulkheadState::new();

    #[inline]
    fn try_acquire(&self, state: &mut BulkheadState, now: Instant) -> Result<Permit, Rejected> {
        state.try_acquire_n(self, 1, now)
    }

    #[inline]
    fn release(&self, state: &mut BulkheadState, permit: Permit, _outcome: Outcome, _now: Instant) {
        state.give_back(permit.n);
    }

    #[inline]
    fn cancel(&self, state: &mut BulkheadState, permit: Permit, _now: Instant) {
        state.give_back(permit.n);
    }

    fn poll_timeout(&self, _state: &BulkheadState) -> Option<Instant> {
        None
    }

    fn handle_timeout(&self, _state: &mut BulkheadState, _now: Instant) {}

    /// When nothing is in flight.
    fn rests_at(&self, state: &BulkheadState) -> Option<Instant> {
        (state.in_flight == 0).then_some(Instant::EPOCH)
    }

    fn is_held(&self, _state: &BulkheadState) -> bool {
        false
    }

    /// For ever: only a release makes room. So a key with something in flight is not forgotten.
    fn longest_refusal(&self) -> u64 {
        u64::MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Keyed, Reason};

    const NOW: Instant = Instant::EPOCH;

    fn limit(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    fn refused(reason: Reason) -> Rejected {
        Rejected { reason, retry_at: None }
    }

    #[test]
    fn the_limit_holds_and_a_return_frees() {
        let mut b = Bulkhead::new(limit(3));
        let two = b.try_acquire_n(2, NOW).unwrap();
        assert_eq!(b.try_acquire_n(2, NOW).unwrap_err(), refused(Reason::InFlight));
        let one = b.try_acquire(NOW).unwrap();
        assert_eq!((two.places(), one.places(), b.available()), (2, 1, 0));
        assert_eq!(b.try_acquire(NOW).unwrap_err(), refused(Reason::InFlight));
        b.release(two, Outcome::Failure, NOW);
        assert_eq!(b.snapshot(), BulkheadSnapshot { in_flight: 1, limit: 3, highest: 3, refused: 2 });
        b.cancel(one, NOW);
        assert_eq!((b.in_flight(), b.available(), b.limit()), (0, 3, limit(3)));
    }

    #[test]
    fn more_than_the_limit_never_passes_and_nothing_always_does() {
        let mut b = Bulkhead::new(limit(2));
        assert_eq!(b.try_acquire_n(3, NOW).unwrap_err(), refused(Reason::OverLimit));
        assert_eq!(b.try_acquire_n(u32::MAX, NOW).unwrap_err(), refused(Reason::OverLimit));
        let all = b.try_acquire_n(2, NOW).unwrap();
        let none = b.try_acquire_n(0, NOW).unwrap();
        b.resize(limit(1), NOW);
        b.cancel(none, NOW);
        let _none = b.try_acquire_n(0, NOW).unwrap();
        assert_eq!(b.in_flight(), 2);
        b.cancel(all, NOW);
        assert_eq!(b.in_flight(), 0);
    }

    #[test]
    fn lowered_it_takes_nothing_away_and_raised_it_has_room() {
        let mut b = Bulkhead::new(limit(3));
        let held = [(); 3].map(|()| b.try_acquire(NOW).unwrap());
        b.resize(limit(1), NOW);
        assert_eq!((b.in_flight(), b.available()), (3, 0));
        for permit in held {
            assert!(b.try_acquire(NOW).is_err(), "{} in flight", b.in_flight());
            b.release(permit, Outcome::Success, NOW);
        }
        let _one = b.try_acquire(NOW).unwrap();
        assert!(b.try_acquire(NOW).is_err());
        b.resize(limit(2), NOW);
        let _two = b.try_acquire(NOW).unwrap();
        assert_eq!(b.snapshot(), BulkheadSnapshot { in_flight: 2, limit: 2, highest: 3, refused: 4 });
    }

    #[test]
    fn at_the_end_of_numbers_nothing_wraps() {
        let mut b = Bulkhead::new(NonZeroU32::MAX);
        let most = b.try_acquire_n(u32::MAX, NOW).unwrap();
        assert_eq!(b.try_acquire_n(u32::MAX, NOW).unwrap_err(), refused(Reason::InFlight));
        b.state.refused = u32::MAX;
        assert!(b.try_acquire(NOW).is_err());
        assert_eq!(b.snapshot().refused, u32::MAX);
        b.resize(limit(1), NOW);
        b.cancel(most, NOW);
        b.cancel(Permit { n: 7 }, NOW); // of another bulkhead
        assert_eq!(b.in_flight(), 0);
    }

    #[test]
    fn a_key_with_something_in_flight_is_not_forgotten() {
        let mut keyed: Keyed<u8, BulkheadConfig, 1> = Keyed::new(BulkheadConfig::new(limit(1)));
        let years = Instant::from_secs(1_000_000_000);
        let permit = keyed.try_acquire(&1, NOW).unwrap();
        assert_eq!(keyed.try_acquire(&2, years).unwrap_err().reason, Reason::KeysFull);
        assert_eq!(keyed.try_acquire(&1, years).unwrap_err(), refused(Reason::InFlight));
        keyed.release(permit, Outcome::Success, years);
        let _other = keyed.try_acquire(&2, years).unwrap();
    }
}
