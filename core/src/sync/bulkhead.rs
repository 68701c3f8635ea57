//! The bulkhead's atomic twin.

use core::num::NonZeroU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::{AtomicU32, AtomicU64};
use crate::bulkhead::{BulkheadSnapshot, Permit, admit, refusal};
use crate::{Clock, Instant, Outcome, Reason, Rejected, SharedGate};

/// What is in flight (upper half) and the limit (lower half).
#[derive(Clone, Copy)]
struct Word(u64);

impl Word {
    const fn new(in_flight: u32, limit: u32) -> Self {
        Self((in_flight as u64) << 32 | limit as u64)
    }

    const fn in_flight(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
    const fn limit(self) -> u32 {
        self.0 as u32
    }
}

/// A bulkhead that many threads use at once: [`Bulkhead`](crate::Bulkhead)'s atomic twin.
///
/// Asking and giving back are one compare-and-swap each, a refusal is a load and a count. There is no lock. What was
/// done with a permit is visible to whoever is granted its place next. Of the snapshot, `in_flight` and `limit` belong
/// together; the totals may lag behind by what other threads are doing at that moment.
///
/// ```
/// use core::num::NonZeroU32;
/// use fusebox::{Instant, Outcome, SharedGate, sync};
///
/// static BULKHEAD: sync::Bulkhead = sync::Bulkhead::new(NonZeroU32::new(2).unwrap());
///
/// std::thread::scope(|threads| {
///     for _ in 0..2 {
///         threads.spawn(|| {
///             let permit = BULKHEAD.try_acquire(Instant::EPOCH).unwrap();
///             BULKHEAD.release(permit, Outcome::Success, Instant::EPOCH);
///         });
///     }
/// });
/// assert_eq!(BULKHEAD.in_flight(), 0);
/// ```
///
/// It has a cache line of its own, since every call writes to it.
#[derive(Debug)]
#[repr(align(64))]
pub struct Bulkhead {
    word: AtomicU64,
    highest: AtomicU32,
    refused: AtomicU32,
}

impl Bulkhead {
    /// At most `limit` in flight; nothing is.
    #[cfg(not(loom))]
    #[must_use]
    pub const fn new(limit: NonZeroU32) -> Self {
        let word = Word::new(0, limit.get());
        Self { word: AtomicU64::new(word.0), highest: AtomicU32::new(0), refused: AtomicU32::new(0) }
    }

    /// loom's atomics cannot be made while compiling.
    #[cfg(loom)]
    #[must_use]
    pub fn new(limit: NonZeroU32) -> Self {
        let word = Word::new(0, limit.get());
        Self { word: AtomicU64::new(word.0), highest: AtomicU32::new(0), refused: AtomicU32::new(0) }
    }

    #[inline]
    fn load(&self) -> Word {
        Word(self.word.load(Relaxed))
    }

    /// See [`Bulkhead::resize`](crate::Bulkhead::resize).
    pub fn resize(&self, limit: NonZeroU32, _now: Instant) {
        self.update(|word| Word::new(word.in_flight(), limit.get()));
    }

    #[inline]
    fn update(&self, next: impl Fn(Word) -> Word) {
        let mut word = self.load();
        while let Err(other) = self.word.compare_exchange_weak(word.0, next(word).0, Release, Relaxed) {
            word = Word(other);
        }
    }

    /// See [`Bulkhead::try_acquire_n`](crate::Bulkhead::try_acquire_n).
    ///
    /// # Errors
    /// See [`Bulkhead::try_acquire_n`](crate::Bulkhead::try_acquire_n).
    #[inline]
    pub fn try_acquire_n(&self, n: u32, _now: Instant) -> Result<Permit, Rejected> {
        self.take(n)
    }

    #[inline]
    fn take(&self, n: u32) -> Result<Permit, Rejected> {
        let mut word = self.load();
        loop {
            let in_flight = match admit(word.in_flight(), word.limit(), n) {
                Ok(in_flight) => in_flight,
                Err(reason) => return Err(self.refuse(reason)),
            };
            let next = Word::new(in_flight, word.limit());
            match self.word.compare_exchange_weak(word.0, next.0, Acquire, Relaxed) {
                Ok(_) => {
                    self.remember(in_flight);
                    return Ok(Permit { n });
                }
                Err(other) => word = Word(other),
            }
        }
    }

    #[inline]
    fn remember(&self, in_flight: u32) {
        // A record is rare, and a load disturbs nobody.
        if in_flight > self.highest.load(Relaxed) {
            self.highest.fetch_max(in_flight, Relaxed);
        }
    }

    #[cold]
    fn refuse(&self, reason: Reason) -> Rejected {
        // Stops at its maximum.
        let _ = self.refused.fetch_update(Relaxed, Relaxed, |refused| refused.checked_add(1));
        refusal(reason)
    }

    /// Not a subtraction: the permit of another bulkhead would wrap it, and nobody would be granted any more.
    #[inline]
    fn give_back(&self, permit: &Permit) {
        self.update(|word| Word::new(word.in_flight().saturating_sub(permit.n), word.limit()));
    }

    /// Places taken.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.load().in_flight()
    }

    /// Places that are free.
    #[must_use]
    pub fn available(&self) -> u32 {
        self.snapshot().available()
    }

    /// See [`Bulkhead::snapshot`](crate::Bulkhead::snapshot).
    #[must_use]
    pub fn snapshot(&self) -> BulkheadSnapshot {
        let (word, highest, refused) = (self.load(), self.highest.load(Relaxed), self.refused.load(Relaxed));
        let (in_flight, limit) = (word.in_flight(), word.limit());
        BulkheadSnapshot { in_flight, limit, highest: highest.max(in_flight), refused }
    }
}

impl SharedGate for Bulkhead {
    type Permit = Permit;

    #[inline]
    fn try_acquire(&self, _now: impl Clock) -> Result<Permit, Rejected> {
        self.take(1)
    }

    #[inline]
    fn release(&self, permit: Permit, _outcome: Outcome, _now: impl Clock) {
        self.give_back(&permit);
    }

    #[inline]
    fn cancel(&self, permit: Permit, _now: impl Clock) {
        self.give_back(&permit);
    }
}
