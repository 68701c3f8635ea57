//! Load levelling: work comes in bursts and goes out evenly, and what cannot be served in time says so.
//!
//! # Why
//! A callee that can do ten things a second should get ten a second, however they come. A queue evens that out; but a
//! queue without an end, or one that serves strictly in turn whatever the time, turns a short overload into a long one:
//! everything waits so long that all of it is served too late to be of use, and the callee is busy with that.
//!
//! # State picture
//! ```text
//!              closed, late, full
//!   push ---------------------------> refused, with the item
//!     |
//!     v            the rate allows
//!   waiting ----------------------------------> served
//!     |  |  \
//!     |  |   `- the deadline is over ---------> expired       } unserved, with the item
//!     |  `----- overloaded, waited too long --> shed (Codel)  }
//!     `-------- another one needs the place --> displaced     }
//!
//!   within a class    oldest first; newest first while overloaded, if so configured
//!   between classes   0 before 1 before 2 ...
//! ```
//!
//! # Contract
//! - Every item comes out exactly once: refused, served, unserved, or handed back at the end
//!   ([`LevelingQueue::drain`]).
//! - Nothing is served at or after its deadline, nor after waiting for `max_wait`; and never more is served than the
//!   rate's burst + rate x elapsed over any interval. What is not served costs no token.
//! - A pop looks at the oldest item of each class, and at the one whose turn it is. So an item with a shorter deadline
//!   than those before it in its class comes out, unserved, when it gets there. Everything is done in constant time per
//!   class.
//! - [`Codel`] judges each class by the wait of its oldest item, each time it is the turn of that class, and sheds
//!   oldest items; served first in, first out, that is folly's rule. Nothing is shed for any other reason.
//! - Higher classes first, always: a class that alone is more than the rate starves those below it. Their items then
//!   expire, or are displaced, or wait: give them deadlines.
//! - Newest first lets the oldest wait: give them deadlines or [`Codel`], which then takes them out.
//! - Asking again at [`Popped::Wait`]'s `until` gets an item, and not before unless one comes whose turn is earlier. A
//!   full queue's `retry_at` is when the rate lets one go, if it is asked for then, or the first of the oldest gives
//!   up; `None` when it depends on who pops.
//! - The queue wakes nobody.
//! - When the clock steps back, everything moves back with it: no item gets older or younger, or has more or less time
//!   left (short of the epoch). So read the clock under the lock, or races look like such steps.
//! - No operation panics or allocates. Only a clock that steps back makes it look at all places.
//!
//! # Defaults
//! No rate, no deadline, first in first out, nothing is shed, what finds no place is refused: a bounded queue and no
//! more. As many places as can be served within the longest useful wait are useful, more are not.
//!
//! # Example
//! ```
//! use core::time::Duration;
//! use fusebox::queue::{LevelConfig, LevelingQueue, Popped, Terms, Why};
//! use fusebox::{Instant, Quota, Reason, checked};
//!
//! // Two SMS a second, one at a time, of no use after three seconds.
//! const RATE: Quota = checked!(checked!(Quota::per_second(2)).with_burst(1));
//! const CONFIG: LevelConfig = checked!(LevelConfig::builder().rate(RATE).max_wait(Duration::from_secs(3)).build());
//! let mut outbox: LevelingQueue<&str, 2> = LevelingQueue::new(CONFIG);
//! let at = Instant::from_millis;
//! assert!(outbox.push("door open", Terms::NONE, at(0)).is_ok());
//! assert!(outbox.push("door closed", Terms::NONE, at(0)).is_ok());
//! let Popped::Serve(first) = outbox.pop(at(0)) else { panic!() };
//! assert_eq!(first.item, "door open");
//! assert!(matches!(outbox.pop(at(0)), Popped::Wait { until } if until == at(500)));
//!
//! assert!(outbox.push("battery low", Terms::NONE, at(400)).is_ok());
//! let refused = outbox.push("door open", Terms::NONE, at(400)).unwrap_err();
//! assert_eq!((refused.rejected.reason, refused.rejected.retry_at), (Reason::QueueFull, Some(at(500))));
//!
//! // Nobody came for it in time.
//! let Popped::Unserved(late) = outbox.pop(at(3_000)) else { panic!() };
//! assert_eq!((late.queued.item, late.why), ("door closed", Why::Expired));
//! ```
//!
//! # When not
//! If whoever brings the work waits for it anyway, let callers wait in line for a gate ([`wait`](crate::wait), or the
//! adapters' fair lines): that moves no work. To limit how many run at once, a bulkhead. If nothing may be lost, a
//! queue that lives in memory is the wrong place.

mod codel;
mod config;
mod door;
mod machine;
mod store;
#[cfg(test)]
mod tests;

pub use codel::Codel;
pub use config::{LevelBuilder, LevelConfig, Order, Overflow};
pub use machine::LevelingQueue;

use crate::{Instant, Rejected};

/// What an item asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Terms {
    /// Its class, 0 being the highest. Classes that the queue does not have are its lowest.
    pub class: u8,
    /// When it is no longer of use, itself not included.
    pub deadline: Option<Instant>,
}

impl Terms {
    /// The highest class, and no deadline but the queue's.
    pub const NONE: Self = Self { class: 0, deadline: None };

    /// Of the highest class, and of no use from `deadline` on.
    #[must_use]
    pub const fn by(deadline: Instant) -> Self {
        Self::NONE.until(deadline)
    }

    /// Of `class`, and without a deadline but the queue's.
    #[must_use]
    pub const fn class(class: u8) -> Self {
        Self { class, deadline: None }
    }

    /// The same, and of no use from `deadline` on.
    #[must_use]
    pub const fn until(self, deadline: Instant) -> Self {
        Self { deadline: Some(deadline), ..self }
    }
}

/// An item that has waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Queued<T> {
    /// The item.
    pub item: T,
    /// Its class.
    pub class: u8,
    /// Since when it has waited.
    pub since: Instant,
    /// When it is no longer of use.
    pub deadline: Option<Instant>,
}

/// An item that was not served, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "the item is in it"]
pub struct Unserved<T> {
    /// The item.
    pub queued: Queued<T>,
    /// Why.
    pub why: Why,
}

/// Why an item that was taken in was not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Why {
    /// Its deadline was over.
    Expired,
    /// It had waited too long for a queue that is overloaded: see [`Codel`].
    Overloaded,
    /// Another one needed its place: see [`Overflow`].
    Displaced,
}

impl core::fmt::Display for Why {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Expired => "deadline over while it waited",
            Self::Overloaded => "shed from an overloaded queue",
            Self::Displaced => "displaced by another one",
        })
    }
}

/// What a pop gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "the item is in it"]
pub enum Popped<T> {
    /// To be served now.
    Serve(Queued<T>),
    /// Not to be served; tell whoever it came from.
    Unserved(Unserved<T>),
    /// Nothing yet.
    Wait {
        /// When there will be something.
        until: Instant,
    },
    /// No item waits.
    Empty,
}

/// An item that was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Refused<T> {
    /// The item.
    pub item: T,
    /// Why, and when to come back.
    pub rejected: Rejected,
}

impl<T> core::fmt::Display for Refused<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(&self.rejected, f)
    }
}

impl<T: core::fmt::Debug> core::error::Error for Refused<T> {}

/// That a queue began or ceased to be overloaded: the last change that nobody has taken yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Load {
    /// Whether it is now.
    pub overloaded: bool,
    /// Since when.
    pub at: Instant,
}

/// What a queue can tell about itself. Totals count from its making and stop at their maximum; each item is in one of
/// them, or still waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LevelSnapshot {
    /// How many wait.
    pub len: usize,
    /// How many could.
    pub capacity: usize,
    /// The most that ever waited at once.
    pub longest: usize,
    /// For how long the oldest has waited, in nanoseconds; 0 when none waits.
    pub oldest_nanos: u64,
    /// Whether [`Codel`] says so of a class that waits, or the queue is long enough for
    /// [`LifoFrom`](Order::LifoFrom). As of the last call.
    pub overloaded: bool,
    /// Whether it takes nothing in any more.
    pub closed: bool,
    /// Served.
    pub served: u32,
    /// Unserved because the deadline was over.
    pub expired: u32,
    /// Unserved because [`Codel`] said so.
    pub shed: u32,
    /// Unserved because another one needed the place.
    pub displaced: u32,
    /// Not taken in.
    pub refused: u32,
    /// Taken out at the end, by [`LevelingQueue::take`].
    pub handed_back: u32,
    /// Of those served: how many were lost on the way, as far as was told.
    pub lost: u32,
}
