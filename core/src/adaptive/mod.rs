//! Adaptive limit: at most so many in flight at once, and the calls themselves show how many.
//!
//! # Why
//! A fixed limit is right for the callee of the day it was set. Set too high it lets a queue grow at the callee, in
//! which calls wait until nobody wants their answer; set too low it refuses what could be served. How long calls take
//! shows where the queue begins, and the limit can follow it.
//!
//! # State picture
//! ```text
//!                 in flight < limit                      release: a sample, if it says something about load
//!   0 ... in flight ----------------> in flight + 1 ---------------------------------------------------------> in flight
//!                 otherwise: refused; only a release helps, no time does
//!
//!            16 calls measured                        the interval is over, and calls take a quarter longer
//!   Measuring -----------------> Following the rule ------------------------------------------------------> Probing
//!                                        ^                                                                     |
//!                                        +----------- 16 calls measured, with a quarter of the limit ----------+
//! ```
//!
//! | a call ended | it is |
//! | --- | --- |
//! | as `Success` within the timeout | served |
//! | as `Success` or `Failure` after the timeout | dropped |
//! | as `Unavailable` | dropped, however fast |
//! | as `Failure` within the timeout | nothing |
//! | as `Failure`, and no timeout is set | dropped if it took at least as long as a call without load; else nothing |
//! | as `Ignored`, or was cancelled | nothing |
//! | in no time, or before it began (by the clock) | nothing |
//!
//! # Contract
//! - The limit stays between the least and the greatest. In flight is never above it, except after it was lowered:
//!   nothing is taken away from those in flight.
//! - Only what is served or dropped moves it. It moves once per round trip: by a drop, or by the mean time of the calls
//!   that started first since it last moved.
//! - It does not grow while less than half of it is in flight ([`Headroom`] says otherwise), nor because of a drop.
//! - While the time without load is probed for, the limit is a quarter (not less than the least), until 16 calls that
//!   started since are back. That happens once in an interval, and only while calls take longer than they should.
//! - A refusal is [`Reason::LimitReached`](crate::Reason::LimitReached) without `retry_at`: see
//!   [`Reason::frees_on_release`](crate::Reason::frees_on_release). One release may make room for several.
//! - A permit that never comes back keeps its place for ever, so hold it in a [`Guard`](crate::Guard).
//! - A clock that steps back makes the calls that it concerns say nothing, and puts a probe off by an interval at most.
//!
//! # Rules
//! | rule | limit | for | under 1.25 times the load |
//! | --- | --- | --- | --- |
//! | [`Aimd`] | up until calls take longer than a timeout | who can name the time that is too long | p50 170, p99 219 ms |
//! | [`Vegas`] | holds a queue of 3 to 6, times the logarithm of the limit | short queues at large limits | p50 171, p99 274 ms |
//! | [`Gradient2`] | holds the time at 1.5 times that without load | callees that may queue a bit | p50 222, p99 269 ms |
//!
//! The last column: 125 calls a second for 12 workers of 120 ms, AIMD with a timeout of 200 ms; 98 to 99 of 100
//! possible calls a second are served. They are the algorithms of Netflix' concurrency-limits with three changes, each
//! of which can be undone: judgement [once per round trip](AdaptiveBuilder::on_every_call), as TCP does; the [share of
//! what is in flight](Aimd::of_limit) after a drop; and [probes](AdaptiveBuilder::never_probe) of the time without load
//! with a lowered limit, as Envoy's gradient controller and BBR do. Published, AIMD serves 69 a second in that test and
//! Gradient2 climbs to its greatest limit, at 2 s a call.
//!
//! One's own is a [`LimitRule`].
//!
//! # Defaults
//! From 1 to 200, 20 at first; it grows up to twice what is in flight; the time without load is measured, and believed
//! for 30 s; no timeout; nothing is forgotten.
//!
//! # Example
//! ```
//! use core::time::Duration;
//! use fusebox::{AdaptiveConfig, AdaptiveLimit, Aimd, Gate, Instant, Outcome, Reason, checked};
//!
//! let mut limit = const {
//!     AdaptiveLimit::new(checked!(
//!         AdaptiveConfig::builder(Aimd::DEFAULT).limits(1, 2, 10).timeout(Duration::from_millis(300)).build()
//!     ))
//! };
//! let at = Instant::from_millis;
//! let (first, second) = (limit.try_acquire(at(0)).unwrap(), limit.try_acquire(at(0)).unwrap());
//! let refused = limit.try_acquire(at(1)).unwrap_err();
//! assert_eq!((refused.reason, refused.retry_at), (Reason::LimitReached, None));
//!
//! limit.release(first, Outcome::Success, at(100));
//! assert_eq!(limit.limit(), 3); // the first round is one call long, as one was in flight when it began
//! limit.release(second, Outcome::Success, at(120)); // was let in under the limit of before
//!
//! let calls = [(); 3].map(|()| limit.try_acquire(at(200)).unwrap());
//! for call in calls {
//!     limit.release(call, Outcome::Failure, at(501)); // too late, all three: one drop is heeded
//! }
//! assert_eq!((limit.limit(), limit.snapshot().dropped), (2, 3));
//! assert_eq!(limit.poll_event().map(|change| (change.from, change.to)), Some((2, 2)));
//! ```
//!
//! # When not
//! Where the limit is known (a pool of ten connections), a [`Bulkhead`](crate::Bulkhead) holds it without guessing. A
//! rate that is agreed on is a [`TokenBucket`](crate::TokenBucket)'s. Calls of very different kinds need a limit each:
//! a mix that changes looks like a queue. A callee of one or two workers leaves little to find out: set the greatest
//! limit. And where others fill the callee's queue, lowering one's own limit does not empty it: a probe then takes
//! their queue for work.

mod baseline;
mod config;
mod fixed;
mod headroom;
mod holder;
mod machine;
mod round;
mod rule;
#[cfg(test)]
mod tests;

pub use config::{AdaptiveBuilder, AdaptiveConfig};
pub use fixed::{Estimate, Share, log10};
pub use headroom::Headroom;
pub use holder::AdaptiveLimit;
pub use machine::{AdaptiveState, Permit};
pub use rule::{Aimd, Gradient2, Gradient2Memory, LimitRule, NoLoad, Sample, Vegas};

use crate::Instant;

/// One or more changes of the limit that nobody has taken yet, made into one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LimitChange {
    /// The limit before the first of them.
    pub from: u16,
    /// The limit after the last. Equal to `from` when it came back in between.
    pub to: u16,
    /// When the last one happened.
    pub at: Instant,
}

/// What an adaptive limit can tell about itself. Totals count from its making and stop at their maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AdaptiveSnapshot {
    /// How many may be in flight.
    pub limit: u16,
    /// How many are. More than the limit after it was lowered.
    pub in_flight: u16,
    /// How long a call takes without load, in nanoseconds, as far as is known.
    pub no_load_nanos: Option<u64>,
    /// How long the last call took that said something about load, in nanoseconds.
    pub last_nanos: Option<u64>,
    /// Whether the limit is lowered for a moment to measure the time without load.
    pub probing: bool,
    /// Calls that counted as dropped.
    pub dropped: u32,
    /// Calls refused.
    pub refused: u32,
}
