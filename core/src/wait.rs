//! Waiting in line: first come, first served, bounded in number and in time.
//!
//! # Why
//! What a gate refuses now, it may grant a moment later. Without a line whoever happens to ask then is served, light ones
//! pass heavy ones, and the unlucky wait for ever. With a line that has no end everybody waits for longer than anybody is
//! still interested in an answer.
//!
//! # State picture
//! ```text
//!            nobody waits, the gate grants
//!   enter ------------------------------------------------> granted
//!     | others are first, or the gate says "later"             ^
//!     v                                                        | the gate grants
//!   waiting ---------> in front ------------------------------+
//!     |                   |  \ the gate says "never", or later than the deadline
//!     |                   |   `----------------------------> refused, with the gate's reason
//!     +-------------------+-- deadline --------------------> refused: too late
//!                         `-- cancel: the next one is in front
//! ```
//!
//! # Contract
//! - The one in front asks the gate; nobody overtakes, a newcomer neither. The gate is whatever the closure asks, with
//!   whatever weight.
//! - Nobody waits beyond the deadline, nor for longer than `max_wait`: at that instant the place is lost. So one who was
//!   lost without a trace holds up the line for `max_wait` at most, also when the clock steps back.
//! - Nobody waits in vain if that is known: when the gate says that waiting does not help, or not before the deadline, and
//!   no release can help either ([`Reason::frees_on_release`](crate::Reason::frees_on_release)), that is the answer at
//!   once.
//! - Who must ask: the one in [`front`](WaitQueue::front), after every release (and `resize`), when somebody else was
//!   granted, refused or gave up, and at the `retry_at` that it was told. The queue wakes nobody.
//! - Tickets are never given twice, so an old one is harmless.
//!
//! # Defaults
//! None: as many places as can be served within `max_wait` are useful, more are not.
//!
//! # Example
//! ```
//! use core::{num::NonZeroU32, time::Duration};
//! use fusebox::wait::{Asked, WaitQueue};
//! use fusebox::{Bulkhead, Gate, Instant, Outcome, Reason, checked};
//!
//! let mut bulkhead = Bulkhead::new(NonZeroU32::MIN);
//! let mut queue: WaitQueue<4> = checked!(WaitQueue::new(Duration::from_secs(10)));
//! let at = Instant::from_secs;
//!
//! let Ok(Asked::Granted(permit)) = queue.enter(None, at(0), |now| bulkhead.try_acquire(now)) else { panic!() };
//! let Ok(Asked::Wait { ticket, .. }) = queue.enter(None, at(0), |now| bulkhead.try_acquire(now)) else { panic!() };
//! let Ok(Asked::Wait { ticket: hasty, .. }) = queue.enter(Some(at(1)), at(0), |now| bulkhead.try_acquire(now)) else {
//!     panic!()
//! };
//!
//! bulkhead.release(permit, Outcome::Success, at(2));
//! assert_eq!(queue.front(), Some(ticket));
//! assert!(matches!(queue.ask(ticket, at(2), |now| bulkhead.try_acquire(now)), Ok(Asked::Granted(_))));
//! let refused = queue.ask(hasty, at(2), |now| bulkhead.try_acquire(now)).unwrap_err();
//! assert_eq!(refused.reason, Reason::TooLate);
//! ```
//!
//! # When not
//! Tasks that await are served by the adapters' fair lines, which wake them. Work that is handed over rather than waited
//! for needs a queue that holds it. Each step looks at all places: for up to about a hundred.

use core::time::Duration;

use crate::lease::Leases;
use crate::{ConfigError, Instant, Reason, Rejected, nanos};

/// A place in a [`WaitQueue`]. Later ones compare greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ticket(u64);

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "a permit must go back to its gate, a ticket be used or cancelled"]
pub enum Asked<P> {
    /// The gate's permit; the place in line is given up.
    Granted(P),
    /// Not yet.
    Wait {
        /// The place in line.
        ticket: Ticket,
        /// When the gate says that asking again can succeed; `None` when it does not know, or has not been asked because
        /// others are first.
        retry_at: Option<Instant>,
    },
}

/// What a queue can tell about itself. Totals count from its making and stop at their maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct WaitSnapshot {
    /// How many wait, as of the last call.
    pub len: usize,
    /// How many could.
    pub capacity: usize,
    /// The most that ever waited at once.
    pub longest: usize,
    /// Refused because the line was full.
    pub full: u32,
    /// Refused because the deadline was over.
    pub late: u32,
}

/// A line with places for `N`: see the [module](self). 16 bytes a place, stored inline.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct WaitQueue<const N: usize> {
    max_wait: u64,
    waiting: Leases<u64, N>,
    /// Tickets ever given: the next one's number.
    given: u64,
    longest: usize,
    full: u32,
    late: u32,
}

impl<const N: usize> WaitQueue<N> {
    /// An empty line in which nobody waits for longer than `max_wait`.
    ///
    /// # Errors
    /// When there are no places or no time.
    pub const fn new(max_wait: Duration) -> Result<Self, ConfigError> {
        if N == 0 {
            return Err(ConfigError::new("capacity", "nobody could wait; ask the gate"));
        }
        if max_wait.is_zero() {
            return Err(ConfigError::new("max_wait", "nobody could wait; ask the gate"));
        }
        Ok(Self { max_wait: nanos(max_wait), waiting: Leases::EMPTY, given: 0, longest: 0, full: 0, late: 0 })
    }

    /// Asks `gate` if nobody is first, and stands in line if it does not grant. The place is good until `deadline`, and
    /// for `max_wait` at most.
    ///
    /// # Errors
    /// [`Reason::QueueFull`], until the next one's deadline frees a place; [`Reason::TooLate`] if the deadline is over; or
    /// what the gate says when no wait helps.
    pub fn enter<P>(
        &mut self,
        deadline: Option<Instant>,
        now: Instant,
        gate: impl FnOnce(Instant) -> Result<P, Rejected>,
    ) -> Result<Asked<P>, Rejected> {
        self.handle_timeout(now);
        let longest = now.after(self.max_wait);
        let deadline = deadline.map_or(longest, |deadline| deadline.min(longest));
        if now >= deadline {
            self.late = self.late.saturating_add(1);
            return Err(TOO_LATE);
        }
        let ticket = Ticket(self.given);
        if !self.waiting.take(ticket.0, deadline) {
            self.full = self.full.saturating_add(1);
            return Err(Rejected { reason: Reason::QueueFull, retry_at: self.waiting.next_expiry() });
        }
        self.given = ticket.0.wrapping_add(1);
        let asked = self.ask_if_first(ticket, deadline, now, gate);
        self.longest = self.longest.max(self.len());
        asked
    }

    /// Asks `gate` if `ticket` is in front. Early and repeated calls do no harm.
    ///
    /// # Errors
    /// [`Reason::TooLate`] if the ticket is not in line any more, or what the gate says when no wait helps.
    pub fn ask<P>(
        &mut self,
        ticket: Ticket,
        now: Instant,
        gate: impl FnOnce(Instant) -> Result<P, Rejected>,
    ) -> Result<Asked<P>, Rejected> {
        self.handle_timeout(now);
        let deadline = self.waiting.expires(ticket.0).ok_or(TOO_LATE)?;
        self.ask_if_first(ticket, deadline, now, gate)
    }

    fn ask_if_first<P>(
        &mut self,
        ticket: Ticket,
        deadline: Instant,
        now: Instant,
        gate: impl FnOnce(Instant) -> Result<P, Rejected>,
    ) -> Result<Asked<P>, Rejected> {
        if self.front() != Some(ticket) {
            return Ok(Asked::Wait { ticket, retry_at: None });
        }
        let refused = match gate(now) {
            Ok(permit) => {
                self.cancel(ticket);
                return Ok(Asked::Granted(permit));
            }
            Err(refused) => refused,
        };
        let in_time = refused.retry_at.is_some_and(|at| at < deadline);
        if in_time || refused.reason.frees_on_release() {
            return Ok(Asked::Wait { ticket, retry_at: refused.retry_at });
        }
        self.cancel(ticket);
        Err(refused)
    }

    /// For a newcomer that does not wait: asks `gate` if nobody is first.
    ///
    /// # Errors
    /// [`Reason::OthersFirst`], or what the gate says.
    pub fn try_acquire<P>(
        &mut self,
        now: Instant,
        gate: impl FnOnce(Instant) -> Result<P, Rejected>,
    ) -> Result<P, Rejected> {
        self.handle_timeout(now);
        if self.is_empty() { gate(now) } else { Err(Rejected { reason: Reason::OthersFirst, retry_at: None }) }
    }

    /// Leaves the line; whether it was still in it. Those behind move up.
    pub fn cancel(&mut self, ticket: Ticket) -> bool {
        self.waiting.give_back(ticket.0)
    }

    /// Whose turn it is to ask, as of the last call.
    #[must_use]
    pub fn front(&self) -> Option<Ticket> {
        self.waiting.first().map(Ticket)
    }

    /// How many wait, as of the last call.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.taken()
    }

    /// Whether nobody waits, as of the last call.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.front().is_none()
    }

    /// Takes one out of the line whose deadline is over, the one that came first. For who keeps the tickets and wants to
    /// tell; call it until there are none, before anything else at that instant.
    pub fn poll_late(&mut self, now: Instant) -> Option<Ticket> {
        let late = self.waiting.first_expired(now)?;
        self.waiting.give_back(late);
        self.late = self.late.saturating_add(1);
        Some(Ticket(late))
    }

    /// When [`handle_timeout`](Self::handle_timeout) has work to do: the next deadline.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.waiting.next_expiry()
    }

    /// Takes all out of the line whose deadline is over; they find out when they ask. Early and repeated calls are no-ops.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.late = self.late.saturating_add(self.waiting.expire(now, self.max_wait));
    }

    /// What it can tell about itself.
    #[must_use]
    pub fn snapshot(&self) -> WaitSnapshot {
        let Self { longest, full, late, .. } = *self;
        WaitSnapshot { len: self.len(), capacity: N, longest, full, late }
    }
}

const TOO_LATE: Rejected = Rejected { reason: Reason::TooLate, retry_at: None };

#[cfg(test)]
mod tests;
