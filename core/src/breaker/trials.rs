//! The trials of a half-open breaker: who is out, and until when.

use crate::Instant;
use crate::lease::Leases;

/// Places for `N` trials, each with a lease. A trial's number tells it from another one in the same place, earlier or
/// later.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Trials<const N: usize> {
    leases: Leases<u16, N>,
    numbered: u16,
}

impl<const N: usize> Trials<N> {
    pub(super) const EMPTY: Self = Self { leases: Leases::EMPTY, numbered: 0 };

    pub(super) fn out(&self) -> usize {
        self.leases.taken()
    }

    /// A place until `ttl` from now, or `None` when all are taken.
    pub(super) fn take(&mut self, now: Instant, ttl: u64) -> Option<u16> {
        let number = self.numbered;
        let taken = self.leases.take(number, now.after(ttl));
        taken.then(|| {
            self.numbered = number.wrapping_add(1);
            number
        })
    }

    /// Frees the place of trial `number`; whether it still had one.
    pub(super) fn give_back(&mut self, number: u16) -> bool {
        self.leases.give_back(number)
    }

    /// Frees the places whose lease is over and says how many; cuts those that a clock which steps back made longer.
    pub(super) fn expire(&mut self, now: Instant, ttl: u64) -> u32 {
        self.leases.expire(now, ttl)
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.leases.next_expiry()
    }
}
