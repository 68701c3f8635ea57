//! Which recent calls a rate is taken over.

mod count;
mod time;

pub use count::{CountMemory, CountWindow};
pub use time::{TimeMemory, TimeWindow};

use core::ops::Range;

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

    /// See [`TripRule::alike`](super::TripRule::alike).
    fn alike(&self, memory: &Self::Memory) -> Option<Range<Instant>>;

    /// See [`TripRule::enough`](super::TripRule::enough).
    fn enough(&self) -> u32;

    /// See [`TripRule::record_good`](super::TripRule::record_good).
    fn push_good(&self, memory: &mut Self::Memory, count: u32);
}
