//! Which recent calls a rate is taken over.

mod count;
mod time;

pub use count::{CountMemory, CountWindow};
pub use time::{TimeMemory, TimeWindow};

use crate::Instant;

/// How many calls there were, and how many of them were bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Tally {
    /// All calls. Stops at its maximum.
    pub calls: u32,
    /// The bad ones; never more than `calls`.
    pub bad: u32,
}

/// Which recent calls a rate is taken over. The window is configuration and shared; what it remembers of the calls is
/// its `Memory`.
pub trait Window: Copy + core::fmt::Debug {
    /// What is remembered per breaker.
    type Memory: Clone + core::fmt::Debug;
    /// Nothing remembered.
    const EMPTY: Self::Memory;

    /// Takes one call in, and tells what the window holds then.
    fn push(&self, memory: &mut Self::Memory, bad: bool, now: Instant) -> Tally;

    /// What the window holds at `now`.
    fn tally(&self, memory: &Self::Memory, now: Instant) -> Tally;

    /// See [`TripRule::rests_at`](super::TripRule::rests_at).
    fn rests_at(&self, memory: &Self::Memory) -> Option<Instant>;

    /// See [`TripRule::pack`](super::TripRule::pack).
    fn pack(&self, memory: &Self::Memory) -> Option<u64> {
        let _ = memory;
        None
    }

    /// See [`TripRule::unpack`](super::TripRule::unpack).
    fn unpack(&self, packed: u64) -> Self::Memory {
        let _ = packed;
        Self::EMPTY
    }

    /// See [`TripRule::record_packed`](super::TripRule::record_packed).
    #[inline]
    fn push_packed(&self, packed: u64, bad: bool) -> (u64, Tally) {
        let _ = bad;
        (packed, Tally::default())
    }
}
