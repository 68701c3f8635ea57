//! The token bucket's atomic twin.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::AtomicU64;
use crate::bucket::{BucketState, Fine, Tokens};
use crate::limiter::Reservation;
use crate::{Clock, Instant, Lock, Outcome, Quota, Rejected, SharedGate};

/// What [`TokenBucketOver`] keeps in its word: the TAT, from the instant last seen on (56 bits; all ones: everything is
/// behind the lock), and a version (8 bits) that each use of the lock changes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Word(u64);

impl Word {
    const OFFSET: u64 = (1 << 56) - 1;
    const VERSION: u64 = 1 << 56;
    /// Come to the lock.
    const LOCKED: Self = Self(Self::OFFSET);

    /// `None` if it does not fit: a full bucket's time takes 54 bits, so it does unless much is reserved, or the quota
    /// takes over 208 days to refill.
    fn offset(state: &BucketState, quota: &Quota) -> Option<u64> {
        state.offset(quota).units().filter(|offset| *offset < Self::OFFSET)
    }

    const fn is_locked(self) -> bool {
        self.0 & Self::OFFSET == Self::OFFSET
    }

    const fn offset_units(self) -> u64 {
        self.0 & Self::OFFSET
    }

    const fn tat(self) -> Fine {
        Fine::from_units(self.offset_units())
    }

    const fn with(self, offset: u64) -> Self {
        Self(self.0 & !Self::OFFSET | offset)
    }

    const fn next(self, offset: Option<u64>) -> Self {
        let version = Self(self.0.wrapping_add(Self::VERSION));
        match offset {
            Some(offset) => version.with(offset),
            None => version.with(Self::OFFSET),
        }
    }
}

/// A token bucket that many threads use at once: [`TokenBucket`](crate::TokenBucket)'s atomic twin, over any lock. Its
/// answers are those of the plain bucket, whose rule it runs.
///
/// Asking is one load when it refuses, and one compare-and-swap when it grants; giving back the tokens that were taken
/// last is one too. The lock is taken to look at the time about once a second, to reserve tokens that are not there
/// yet, to give back others than the last, and while the bucket is paused.
///
#[cfg_attr(feature = "std", doc = "```")]
#[cfg_attr(not(feature = "std"), doc = "```ignore")]
/// use std::time::Duration;
/// use fusebox::{Instant, Quota, SharedGate, checked, sync};
///
/// static BUCKET: sync::TokenBucket = sync::TokenBucket::new(checked!(Quota::new(3, Duration::from_secs(1))));
///
/// let now = Instant::from_secs(1);
/// let granted: usize = std::thread::scope(|threads| {
///     let ask = || (0..5).filter(|_| BUCKET.try_acquire(now).is_ok()).count();
///     [threads.spawn(ask), threads.spawn(ask)].map(|thread| thread.join().unwrap()).into_iter().sum()
/// });
/// assert_eq!(granted, 3);
/// ```
///
/// It begins a cache line of its own, since every call writes to it.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct TokenBucketOver<L> {
    word: AtomicU64,
    /// The rest of the state, to be read without the lock; written under it, while the word says so. It is that of the
    /// word when the word is the same before and after.
    seen: AtomicU64,
    /// The time of `seen`, plus by how much spans were moved.
    base: [AtomicU64; 2],
    quota: Quota,
    /// The plain state. Its TAT is out of date while the word has it.
    rest: L,
}

/// The twin over `std`'s mutex.
#[cfg(feature = "std")]
pub type TokenBucket = TokenBucketOver<std::sync::Mutex<BucketState>>;

#[cfg(feature = "std")]
impl TokenBucket {
    /// A full bucket.
    #[cfg(not(loom))]
    #[must_use]
    pub const fn new(quota: Quota) -> Self {
        Self::over(quota, std::sync::Mutex::new(BucketState::FULL))
    }
}

impl<L: Lock<Value = BucketState>> TokenBucketOver<L> {
    /// A twin over `state`, a lock around a [full bucket](BucketState::FULL).
    #[cfg(not(loom))]
    #[must_use]
    pub const fn over(quota: Quota, state: L) -> Self {
        // The first caller finds out what the lock holds.
        let word = AtomicU64::new(Word::LOCKED.0);
        Self { word, seen: AtomicU64::new(0), base: [AtomicU64::new(0), AtomicU64::new(0)], quota, rest: state }
    }

    /// loom's atomics cannot be made while compiling.
    #[cfg(loom)]
    #[must_use]
    pub fn over(quota: Quota, state: L) -> Self {
        let word = AtomicU64::new(Word::LOCKED.0);
        Self { word, seen: AtomicU64::new(0), base: [AtomicU64::new(0), AtomicU64::new(0)], quota, rest: state }
    }

    /// The quota.
    #[must_use]
    pub const fn quota(&self) -> &Quota {
        &self.quota
    }

    /// The lock it was made over.
    #[must_use]
    pub const fn lock(&self) -> &L {
        &self.rest
    }

    /// Runs `f` on the state: in the word if that is all it changes, otherwise behind the lock. `f` may run several times,
    /// on what turns out to be no state at all, and must do nothing but that.
    #[inline]
    fn with<T>(&self, mut f: impl FnMut(&mut BucketState) -> T) -> T {
        loop {
            let word = Word(self.word.load(Acquire));
            if word.is_locked() {
                break;
            }
            let before = self.read(word);
            let mut state = before;
            let answer = f(&mut state);
            if !state.differs_in_tat_only(&before) {
                break;
            }
            let Some(offset) = Word::offset(&state, &self.quota) else { break };
            let next = word.with(offset);
            // What was read is of this word only if the word is still the same. It could also be the same again, after
            // 256 uses of the lock or a multiple of it that left the very same TAT; we do without more version bits.
            let same = if next == word {
                self.word.load(Relaxed) == word.0
            } else {
                self.word.compare_exchange_weak(word.0, next.0, Relaxed, Relaxed).is_ok()
            };
            if same {
                return answer;
            }
        }
        self.with_lock(f)
    }

    /// The state that `word` is of, as far as it can be read without the lock.
    #[inline]
    fn read(&self, word: Word) -> BucketState {
        // Acquire: who sees what somebody wrote behind the lock then sees that the word was locked before.
        let seen = Instant::from_nanos(self.seen.load(Acquire));
        BucketState::of_words(&self.quota, seen, self.base(), word.tat())
    }

    #[inline]
    fn base(&self) -> Fine {
        let [high, low] = &self.base;
        Fine::from_words((high.load(Acquire), low.load(Acquire)))
    }

    /// Takes `n` tokens, if that can be decided from the word.
    #[expect(clippy::inline_always, reason = "tokens that come back through memory cost as much as all else")]
    #[inline(always)]
    fn take(&self, n: u32, now: Instant) -> Option<Tokens> {
        let mut word = Word(self.word.load(Acquire));
        while !word.is_locked() {
            let seen = Instant::from_nanos(self.seen.load(Acquire));
            let offset = self.quota.take(word.offset_units(), seen, now, n)?;
            let tokens = Tokens::ending(self.base().plus(Fine::from_units(offset)), n);
            match self.word.compare_exchange_weak(word.0, word.with(offset).0, Relaxed, Acquire) {
                Ok(_) => return Some(tokens),
                Err(other) => word = Word(other),
            }
        }
        None
    }

    #[cold]
    fn with_lock<T>(&self, mut f: impl FnMut(&mut BucketState) -> T) -> T {
        self.rest.with(|state| {
            // From here on everybody waits for the lock.
            let word = Word(self.word.fetch_or(Word::OFFSET, Acquire));
            if !word.is_locked() {
                state.set_offset(&self.quota, word.tat());
            }
            let answer = f(state);
            self.publish(state, word);
            answer
        })
    }

    /// Shows everybody the state, if it can be told without the lock.
    fn publish(&self, state: &BucketState, word: Word) {
        let (high, low) = state.base(&self.quota).to_words();
        let [base_high, base_low] = &self.base;
        // Release: see `read`.
        base_high.store(high, Release);
        base_low.store(low, Release);
        self.seen.store(state.seen().as_nanos(), Release);
        let offset = if state.is_paused() { None } else { Word::offset(state, &self.quota) };
        self.word.store(word.next(offset).0, Release);
    }

    /// See [`TokenBucket::try_acquire_n`](crate::TokenBucket::try_acquire_n).
    ///
    /// # Errors
    /// As there.
    #[expect(clippy::inline_always, reason = "tokens that come back through memory cost as much as all else")]
    #[inline(always)]
    pub fn try_acquire_n(&self, n: u32, now: Instant) -> Result<Tokens, Rejected> {
        self.take(n, now).map_or_else(|| self.acquire_by_state(n, now), Ok)
    }

    // Out of line, so that what is usual needs few registers.
    #[inline(never)]
    fn acquire_by_state(&self, n: u32, now: Instant) -> Result<Tokens, Rejected> {
        self.with(|state| state.try_acquire_n(&self.quota, n, now))
    }

    /// See [`TokenBucket::reserve`](crate::TokenBucket::reserve).
    ///
    /// # Errors
    /// As there.
    pub fn reserve(&self, n: u32, now: Instant) -> Result<Reservation<Tokens>, Rejected> {
        self.reserve_until(n, Instant::MAX, now)
    }

    /// See [`Reserving::reserve_until`](crate::Reserving::reserve_until).
    ///
    /// # Errors
    /// As there.
    pub fn reserve_until(&self, n: u32, until: Instant, now: Instant) -> Result<Reservation<Tokens>, Rejected> {
        self.with(|state| state.reserve_until(&self.quota, n, until, now))
    }

    /// See [`TokenBucket::settle`](crate::TokenBucket::settle).
    pub fn settle(&self, tokens: Tokens, actual: u32, now: Instant) {
        self.with(|state| state.settle(&self.quota, &tokens, actual, now));
    }

    /// See [`TokenBucket::available`](crate::TokenBucket::available).
    #[must_use]
    pub fn available(&self, now: Instant) -> u32 {
        self.with(|state| state.available(&self.quota, now))
    }

    /// See [`TokenBucket::drain`](crate::TokenBucket::drain).
    pub fn drain(&self, now: Instant) -> Tokens {
        self.with(|state| state.drain(&self.quota, now))
    }

    /// See [`TokenBucket::pause_until`](crate::TokenBucket::pause_until).
    pub fn pause_until(&self, until: Instant, now: Instant) {
        self.with(|state| state.pause(&self.quota, until, self.quota.max_pause(), now));
    }

    /// See [`TokenBucket::resume`](crate::TokenBucket::resume).
    pub fn resume(&self) {
        self.with_lock(BucketState::resume);
    }
}

impl<L: Lock<Value = BucketState>> SharedGate for TokenBucketOver<L> {
    type Permit = Tokens;

    #[expect(clippy::inline_always, reason = "tokens that come back through memory cost as much as all else")]
    #[inline(always)]
    fn try_acquire(&self, now: impl Clock) -> Result<Tokens, Rejected> {
        self.try_acquire_n(1, now.now())
    }

    #[inline]
    fn release(&self, _tokens: Tokens, outcome: Outcome, now: impl Clock) {
        if outcome.hint().is_some() {
            let now = now.now();
            self.with(|state| state.release(&self.quota, outcome, now));
        }
    }

    #[inline]
    fn cancel(&self, tokens: Tokens, now: impl Clock) {
        let now = now.now();
        self.with(|state| state.cancel(&self.quota, &tokens, now));
    }
}

#[cfg(all(test, not(loom), feature = "std"))]
mod tests {
    use super::*;

    #[test]
    fn whoever_had_the_lock_leaves_another_word() {
        let twin = TokenBucket::new(Quota::per_second(1).unwrap());
        let words = [0; 300].map(|_| {
            twin.with_lock(|_| ());
            twin.word.load(Relaxed)
        });
        assert!(words.windows(2).all(|two| two[0] != two[1] && !Word(two[0]).is_locked()));
    }
}
