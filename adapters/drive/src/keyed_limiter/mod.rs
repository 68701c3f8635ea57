//! A rate limit for each of a great many keys, in bounded memory: for servers.
//!
//! # Why
//! A server that limits callers by address, user or token has more of them than it wants to remember, and some make up
//! new ones all the time. This table has a fixed size. A key whose bucket is full is no different from one that was
//! never seen, so its place is free for any other key, with no list of who came last and nothing to clean up; and a key
//! whose bucket is not full keeps its place, so no flood of new keys ever gives a limited one its tokens back.
//!
//! # State picture
//! ```text
//!            asked                its bucket is full again         another key needs the place
//!   no place -----> busy -------------------------------> at rest -----------------------------> no place
//!      |             ^                                       |
//!      |             +---------------------------------------+
//!      |                             asked
//!      +--> refused `KeysFull`, while all places that it could have are busy
//! ```
//!
//! # Contract
//! - The answer for a key is that of a [`LeanQuota`] bucket of its own, also after its place was another's: it was full
//!   then. (Full by the clock of who took the place: a call that came late for the forgotten key, having read its clock
//!   before that, may find tokens up to as late as it comes.)
//! - Memory is taken when the table is made, 20 bytes for each key of its capacity (in steps of 512), and never again:
//!   no call allocates.
//! - As many keys as its capacity says can be busy at a time. Which places a key can have is chance, so there are a fifth
//!   more; of the new keys that come while all but one of that many are busy, still three in a billion find none. Who
//!   does is refused with [`Reason::KeysFull`] and the instant from which one of its places is free, unless another new
//!   key is quicker.
//! - Keys are known by the 64 bits of their hash alone, so two keys may share a bucket: among a million keys that are
//!   busy at a time, once in 37 million tables. The default hasher is seeded at random, and who does not know the seed
//!   cannot make keys collide on purpose. A hasher of one's own has to be as good in all its bits if its keys come from
//!   outside.
//! - What a call costs does not depend on how many keys there are. A key may be in either of two groups of 31 keys; each
//!   has a lock, held for some nanoseconds. A call locks one or the other; for a key that has no place both, until it has
//!   one or is refused.
//!
//! # Defaults
//! The standard library's [`RandomState`] (`SipHash` 1-3). foldhash, the default of hashbrown, is quicker by some
//! nanoseconds; but its documentation claims no resistance to who can watch the answers, and here a collision is not
//! slow, it spends another's tokens. `with_hasher(.., foldhash::quality::RandomState::default())` is for keys that are
//! given out by oneself.
//!
//! # Example
//! ```
//! use fusebox_drive::KeyedLimiter;
//! use fusebox_drive::fusebox::{Instant, LeanQuota, Reason, checked};
//!
//! // Each caller may come ten times a second; up to 100,000 of them at a time.
//! let callers: KeyedLimiter<str> = KeyedLimiter::new(checked!(LeanQuota::per_second(10)), 100_000).unwrap();
//! let at = Instant::from_millis;
//! assert!((0..10).all(|_| callers.try_acquire("10.0.0.1", at(0)).is_ok()));
//! let refused = callers.try_acquire("10.0.0.1", at(0)).unwrap_err();
//! assert_eq!((refused.reason, refused.retry_at), (Reason::RateLimited, Some(at(100))));
//! assert!(callers.try_acquire("10.0.0.2", at(0)).is_ok());
//! ```
//!
//! # When not
//! For breakers, bulkheads or buckets with more to them than a [`LeanQuota`], or where two keys must never be taken for
//! one: `ShardedKeyed` of `fusebox-tokio`, a table of gates of any kind that keeps the keys. On a microcontroller or for up
//! to a hundred keys: [`fusebox::Keyed`].

mod gate;
mod group;
mod place;

use std::borrow::Borrow;
use std::boxed::Box;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, Ordering};

#[cfg(doc)]
use fusebox::Reason;
use fusebox::bucket::{LeanQuota, LeanTokens};
use fusebox::{ConfigError, Instant, Rejected};
pub use gate::KeyedLimiterGate;
use group::{Group, KEYS, NOBODY};

/// A token bucket for each key: see the [module](self).
pub struct KeyedLimiter<K: ?Sized, S = RandomState> {
    quota: LeanQuota,
    hasher: S,
    groups: Box<[Group]>,
    full: AtomicU32,
    keys: PhantomData<fn(&K)>,
}

/// What a [`KeyedLimiter`] can tell about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimiterSnapshot {
    /// Places: a fifth more than the capacity, or a little above that.
    pub places: usize,
    /// Places that have a key, busy or at rest.
    pub occupied: usize,
    /// Places of keys whose bucket is not full.
    pub busy: usize,
    /// New keys refused because no place was free, since the table was made; stops at the maximum.
    pub full: u32,
}

impl<K: ?Sized> KeyedLimiter<K> {
    /// A table in which up to `capacity` keys can be busy at a time, each with the limit `quota`.
    ///
    /// # Errors
    /// When `capacity` is zero or above 2^28.
    pub fn new(quota: LeanQuota, capacity: usize) -> Result<Self, ConfigError> {
        Self::with_hasher(quota, capacity, RandomState::new())
    }
}

impl<K: ?Sized, S> KeyedLimiter<K, S> {
    /// The same with another hasher than the standard library's.
    ///
    /// # Errors
    /// As [`KeyedLimiter::new`].
    pub fn with_hasher(quota: LeanQuota, capacity: usize, hasher: S) -> Result<Self, ConfigError> {
        if capacity == 0 || capacity > 1 << 28 {
            return Err(ConfigError { setting: "capacity", problem: "from 1 to 2^28 keys" });
        }
        // More than five in six places cannot be relied on to be found: see the contract. If seven in eight were, four keys
        // in a million would be refused.
        let groups = (6 * capacity).div_ceil(5 * KEYS);
        let groups = (0..groups).map(|_| Group::new()).collect();
        Ok(Self { quota, hasher, groups, full: AtomicU32::new(0), keys: PhantomData })
    }

    /// The limit of each key.
    pub const fn quota(&self) -> &LeanQuota {
        &self.quota
    }

    /// What it can tell about itself, group after group: it looks at all places.
    pub fn snapshot(&self, now: Instant) -> LimiterSnapshot {
        let full = self.full.load(Ordering::Relaxed);
        let mut all = LimiterSnapshot { places: self.groups.len() * KEYS, occupied: 0, busy: 0, full };
        for group in &self.groups {
            for (hash, state) in group.lock().iter_mut() {
                all.occupied += usize::from(*hash != NOBODY);
                all.busy += usize::from(self.quota.rests_in(state, now) > 0);
            }
        }
        all
    }
}

impl<K: ?Sized, S: BuildHasher> KeyedLimiter<K, S> {
    /// Takes a token of `key`.
    ///
    /// # Errors
    /// As [`try_acquire_n`](Self::try_acquire_n).
    #[inline]
    pub fn try_acquire<Q: Hash + ?Sized>(&self, key: &Q, now: Instant) -> Result<LeanTokens, Rejected>
    where
        K: Borrow<Q>,
    {
        self.try_acquire_n(key, 1, now)
    }

    /// Takes `n` tokens of `key`, or none. Zero tokens are always granted and take nothing, no place either.
    ///
    /// # Errors
    /// [`Reason::RateLimited`] with the instant at which there will be `n`; [`Reason::OverBurst`] when there never will;
    /// [`Reason::KeysFull`] with the instant at which there will be a place for the key.
    #[inline]
    pub fn try_acquire_n<Q: Hash + ?Sized>(&self, key: &Q, n: u32, now: Instant) -> Result<LeanTokens, Rejected>
    where
        K: Borrow<Q>,
    {
        self.take(self.hash(key), n, now)
    }

    /// Gives back `tokens` of `key`, if nobody took any of it since.
    #[inline]
    pub fn cancel<Q: Hash + ?Sized>(&self, key: &Q, tokens: LeanTokens, now: Instant)
    where
        K: Borrow<Q>,
    {
        self.give_back(self.hash(key), tokens, now);
    }

    #[inline]
    fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u64 {
        match self.hasher.hash_one(key) {
            NOBODY => NOBODY + 1,
            hash => hash,
        }
    }
}

impl<K: ?Sized, S> fmt::Debug for KeyedLimiter<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedLimiter").field("quota", &self.quota).finish_non_exhaustive()
    }
}
