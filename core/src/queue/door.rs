//! Coming in: who is let in, and who gives way.

use super::machine::{count, token_at};
use super::store::{End, Entry};
use super::{LevelingQueue, Overflow, Refused, Terms, Unserved, Why};
use crate::gate::earlier;
use crate::{Instant, Reason, Rejected};

/// An item that gives way to another.
#[derive(Clone, Copy, Debug)]
struct Victim {
    class: usize,
    end: End,
    why: Why,
}

const fn refusal(reason: Reason) -> Rejected {
    Rejected { reason, retry_at: None }
}

/// Never seen: a place is free whenever one is taken.
const FULL: Rejected = refusal(Reason::QueueFull);

impl<T, const N: usize, const C: usize> LevelingQueue<T, N, C> {
    /// Takes `item` in. What had to give way to it comes back.
    ///
    /// # Errors
    /// The item, with [`Reason::QueueFull`], [`Reason::TooLate`] if its deadline is over, [`Reason::WouldBeLate`] if it
    /// will be (under `refuse_late`), or [`Reason::Closed`].
    pub fn push(&mut self, item: T, terms: Terms, now: Instant) -> Result<Option<Unserved<T>>, Refused<T>> {
        self.settle(now);
        let class = usize::from(terms.class).min(C - 1);
        let entry = Entry { item, since: now, deadline: self.config.deadline(terms.deadline, now) };
        let answer = match self.admit(class, &entry, now) {
            Err(rejected) => Err((entry, rejected)),
            Ok(victim) => {
                let unserved = victim.and_then(|victim| self.remove(victim));
                // There is a place: one was free, or is now.
                self.store.push(class, entry).map(|()| unserved).map_err(|entry| (entry, FULL))
            }
        };
        self.note(now);
        answer.map_err(|(entry, rejected)| {
            count(&mut self.totals.refused);
            Refused { item: entry.item, rejected }
        })
    }

    /// Whether an item may come in, and what must give way.
    fn admit(&self, class: usize, entry: &Entry<T>, now: Instant) -> Result<Option<Victim>, Rejected> {
        if self.closed {
            return Err(refusal(Reason::Closed));
        }
        if entry.is_late(now) {
            return Err(refusal(Reason::TooLate));
        }
        let victim = if self.is_full() { Some(self.victim(class, now).ok_or(self.full(now))?) } else { None };
        if self.config.refuse_late && entry.is_late(self.turn(class, victim, now)) {
            return Err(refusal(Reason::WouldBeLate));
        }
        Ok(victim)
    }

    /// What gives way to an item of `class`, if anything does.
    fn victim(&self, class: usize, now: Instant) -> Option<Victim> {
        if let Some(class) = self.late_class(now) {
            return Some(Victim { class, end: End::Oldest, why: Why::Expired });
        }
        let (above, end) = match self.config.overflow {
            Overflow::RefuseNewest => return None,
            Overflow::DropOldest => (class, End::Oldest),
            Overflow::DropLowest => (class + 1, End::Newest),
        };
        let class = (above..C).rev().find(|class| self.store.len_of(*class) > 0)?;
        Some(Victim { class, end, why: Why::Displaced })
    }

    fn remove(&mut self, victim: Victim) -> Option<Unserved<T>> {
        let queued = self.take_from(victim.class, victim.end)?;
        Some(self.unserved(queued, victim.why))
    }

    /// The refusal of a full queue: when the rate lets the next one go, or the first gives up.
    fn full(&self, now: Instant) -> Rejected {
        let token = self.next_token(now).filter(|token| *token < Instant::MAX);
        Rejected { reason: Reason::QueueFull, retry_at: earlier(token, self.next_deadline()) }
    }

    /// When it is the turn of an item of `class` that comes now, if `victim` gives way and all others before it are
    /// served as fast as the rate allows.
    fn turn(&self, class: usize, victim: Option<Victim>, now: Instant) -> Instant {
        let first = if self.next_end(class) == End::Newest { class } else { class + 1 };
        let before: usize = (0..first).map(|class| self.store.len_of(class)).sum();
        let before = before - usize::from(victim.is_some_and(|victim| victim.class < first));
        let Some(mut bucket) = self.bucket.clone() else { return now };
        #[expect(clippy::cast_possible_truncation, reason = "at most 65535 places")]
        let tokens = before as u32 + 1;
        let at_once = tokens.min(bucket.quota().burst());
        let then = u64::from(tokens - at_once).saturating_mul(bucket.quota().cell_nanos());
        let taken = bucket.try_acquire_n(at_once, now);
        taken.map_or_else(token_at, |_| now).after(then)
    }
}
