//! Keyed gates for servers: see [`ShardedKeyed`].

mod builder;
mod shard;

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, MutexGuard};

pub use builder::ShardedKeyedBuilder;
use fusebox::keyed::Slot;
use fusebox::{Clock, GateKind, Instant, KeyedPermit, KeyedSnapshot, Outcome, Reason, Rejected, SharedGate};
use shard::{Shard, lock};

/// A table from keys to gates of one kind for servers: [`fusebox::keyed`] through `&self`, with hashed lookup, in shards
/// of which each has its lock.
///
/// The contract is that of [`fusebox::keyed`], except that each shard is a table of its own with its share of the
/// places, and that the search for a place looks at no more than 64 keys. So a new key may be refused although a key at
/// rest is elsewhere; its next ask looks further, and may succeed before the `retry_at` it was told. Give the table room
/// for half as many keys again as are in use at a time.
///
/// Memory grows with the number of keys, up to the capacity.
///
/// One breaker per endpoint; "a" being down does not stop "b":
/// ```
/// use fusebox_tokio::fusebox::{BreakerConfig, Cause, Consecutive, Entropy, RetryPolicy, checked};
/// use fusebox_tokio::{Attempt, CallError, ShardedKeyed, TokioTimer, drive};
///
/// type Endpoints = ShardedKeyed<String, BreakerConfig<Consecutive>>;
///
/// struct Client {
///     endpoints: Endpoints,
///     timer: TokioTimer,
///     entropy: Entropy,
/// }
///
/// impl Client {
///     async fn call(&self, endpoint: &str) -> Result<&'static str, CallError<&'static str>> {
///         // A pipeline over a view is a few words on the stack: made for each call.
///         let entropy = Entropy::new(self.entropy.draw());
///         let pipeline = drive::Pipeline::new(self.timer, self.endpoints.gate(endpoint), RetryPolicy::ONCE, entropy);
///         pipeline.call(|_: Attempt| async { if endpoint == "a" { Err("refused") } else { Ok("hello") } }).await
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let breaker = checked!(BreakerConfig::builder(checked!(Consecutive::new(1))).build());
/// let client = Client {
///     endpoints: Endpoints::builder(breaker, 10_000).build().unwrap(),
///     timer: TokioTimer::new(),
///     entropy: fusebox_tokio::entropy(),
/// };
/// assert_eq!(client.call("a").await.unwrap_err().last, Some("refused"));
/// assert!(matches!(client.call("a").await.unwrap_err().cause, Cause::Refused(_))); // its breaker is open
/// assert_eq!(client.call("b").await.unwrap(), "hello");
/// # }
/// ```
pub struct ShardedKeyed<K, C: GateKind, S = RandomState> {
    kind: C,
    hasher: S,
    shards: Shards<K, C::State>,
    /// There are two to the power of this many shards.
    bits: u32,
}

type Shards<K, T> = Box<[Mutex<Shard<K, T>>]>;

impl<K, C: GateKind> ShardedKeyed<K, C> {
    /// A builder of a table of gates with the configuration `kind` and places for `capacity` keys.
    pub fn builder(kind: C, capacity: usize) -> ShardedKeyedBuilder<K, C, RandomState> {
        ShardedKeyedBuilder::new(kind, capacity)
    }
}

impl<K, C: GateKind, S> ShardedKeyed<K, C, S> {
    /// The configuration.
    pub const fn kind(&self) -> &C {
        &self.kind
    }

    /// The gate of `key`: what a [`Pipeline`](crate::drive::Pipeline) or a [`Guard`](fusebox::Guard) takes. Costs nothing
    /// to make and gives the key no place before it is asked.
    pub const fn gate<'a, Q: ?Sized>(&'a self, key: &'a Q) -> ShardedGate<'a, K, C, S, Q> {
        ShardedGate { table: self, key }
    }

    /// The number of keys in the table.
    pub fn len(&self) -> usize {
        self.each().map(|shard| shard.slots.len()).sum()
    }

    /// Whether there is no key in the table.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What it can tell about itself, shard after shard.
    pub fn snapshot(&self) -> KeyedSnapshot {
        let mut all = KeyedSnapshot { len: 0, capacity: 0, evicted: 0, full: 0 };
        for shard in self.each() {
            all.len += shard.slots.len();
            all.capacity += shard.capacity;
            all.evicted = all.evicted.saturating_add(shard.eviction.evicted());
            all.full = all.full.saturating_add(shard.eviction.full());
        }
        all
    }

    /// Goes over all keys, to take events and the like; each shard is locked meanwhile, so `f` must be short and must not
    /// use the table. That is no use of a key: what is made to refuse here may be forgotten too early, so trip through
    /// [`with`](Self::with).
    pub fn for_each(&self, mut f: impl FnMut(&K, &C, &mut C::State)) {
        for mut shard in self.each() {
            for slot in &mut shard.slots {
                let (key, state) = slot.parts_mut();
                f(key, &self.kind, state);
            }
        }
    }

    /// See [`Gate::release`](fusebox::Gate::release). The permit must be of this table.
    pub fn release(&self, permit: KeyedPermit<C::Permit>, outcome: Outcome, now: Instant) {
        self.at(permit.place(), |slot| slot.release(&self.kind, permit, outcome, now));
    }

    /// See [`Gate::cancel`](fusebox::Gate::cancel). The permit must be of this table.
    pub fn cancel(&self, permit: KeyedPermit<C::Permit>, now: Instant) {
        self.at(permit.place(), |slot| slot.cancel(&self.kind, permit, now));
    }

    /// See [`Gate::poll_timeout`](fusebox::Gate::poll_timeout): the earliest of all keys.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let timer = |slot: &Slot<K, C::State>| self.kind.poll_timeout(slot.state());
        self.each().filter_map(|shard| shard.slots.iter().filter_map(timer).min()).min()
    }

    /// See [`Gate::handle_timeout`](fusebox::Gate::handle_timeout), for all keys.
    pub fn handle_timeout(&self, now: Instant) {
        self.for_each(|_, kind, state| kind.handle_timeout(state, now));
    }

    /// All shards, each locked in turn.
    fn each(&self) -> impl Iterator<Item = MutexGuard<'_, Shard<K, C::State>>> {
        self.shards.iter().map(lock)
    }

    /// The number of the shard in charge of a hash. Multiplied first (Fibonacci hashing), so that every bit of a weak hash
    /// has a say.
    const fn shard_of(&self, hash: u64) -> u32 {
        let spread = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (spread >> 32 >> (32 - self.bits)) as u32
    }

    /// Runs `f` on the slot at a place: its number in the shard, then the shard's number in the low bits.
    fn at<R>(&self, place: u32, f: impl FnOnce(&mut Slot<K, C::State>) -> R) -> Option<R> {
        let shard = place & ((1 << self.bits) - 1);
        let mut shard = lock(self.shards.get(shard as usize)?);
        shard.slots.get_mut((place >> self.bits) as usize).map(f)
    }
}

impl<K: Eq + Hash, C: GateKind, S: BuildHasher> ShardedKeyed<K, C, S> {
    /// Asks the gate of `key`.
    ///
    /// # Errors
    /// What that gate says, or [`Reason::KeysFull`].
    pub fn try_acquire<Q>(&self, key: &Q, now: Instant) -> Result<KeyedPermit<C::Permit>, Rejected>
    where
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
        K: Borrow<Q>,
    {
        self.entry(key, now, |place, slot| slot.try_acquire(&self.kind, place, now))?
    }

    /// Runs `f` on the state of `key`, to force it or take its event. Gives the key a place if it has none, and counts
    /// as a use. Its shard is locked meanwhile: `f` must be short and must not use the table.
    ///
    /// # Errors
    /// [`Reason::KeysFull`].
    pub fn with<Q, R>(&self, key: &Q, now: Instant, f: impl FnOnce(&C, &mut C::State) -> R) -> Result<R, Rejected>
    where
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
        K: Borrow<Q>,
    {
        self.entry(key, now, |_, slot| f(&self.kind, slot.use_at(now)))
    }

    /// Reads what the gate of `key` remembers; `None` when the key is not in the table. That is no use of it. Its shard is
    /// locked meanwhile: `f` must be short and must not use the table.
    pub fn get<Q, R>(&self, key: &Q, f: impl FnOnce(&C, &C::State) -> R) -> Option<R>
    where
        Q: Hash + Eq + ?Sized,
        K: Borrow<Q>,
    {
        let hash = self.hasher.hash_one(key);
        let shard = lock(self.shards.get(self.shard_of(hash) as usize)?);
        let slot = shard.slots.get(shard.find(hash, key)? as usize)?;
        Some(f(&self.kind, slot.state()))
    }

    /// Runs `f` on the slot of `key`, which gets one if need be.
    fn entry<Q, R>(
        &self,
        key: &Q,
        now: Instant,
        f: impl FnOnce(u32, &mut Slot<K, C::State>) -> R,
    ) -> Result<R, Rejected>
    where
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
        K: Borrow<Q>,
    {
        let hash = self.hasher.hash_one(key);
        let number = self.shard_of(hash);
        let mut shard = lock(self.shards.get(number as usize).ok_or(NO_PLACE)?);
        let at = match shard.find(hash, key) {
            Some(at) => at,
            None => shard.insert(&self.kind, hash, key, now)?,
        };
        let slot = shard.slots.get_mut(at as usize).ok_or(NO_PLACE)?;
        Ok(f(at << self.bits | number, slot))
    }
}

/// Never seen: places are looked up right after they were found.
const NO_PLACE: Rejected = Rejected { reason: Reason::KeysFull, retry_at: None };

impl<K, C: GateKind + fmt::Debug, S> fmt::Debug for ShardedKeyed<K, C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardedKeyed").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// The gate of one key in a [`ShardedKeyed`].
#[derive(Debug)]
pub struct ShardedGate<'a, K, C: GateKind, S, Q: ?Sized> {
    table: &'a ShardedKeyed<K, C, S>,
    key: &'a Q,
}

impl<K, C: GateKind, S, Q: ?Sized> Clone for ShardedGate<'_, K, C, S, Q> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, C: GateKind, S, Q: ?Sized> Copy for ShardedGate<'_, K, C, S, Q> {}

impl<K, C, S, Q> SharedGate for ShardedGate<'_, K, C, S, Q>
where
    K: Eq + Hash + Borrow<Q>,
    C: GateKind,
    S: BuildHasher,
    Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
{
    type Permit = KeyedPermit<C::Permit>;

    fn try_acquire(&self, now: impl Clock) -> Result<Self::Permit, Rejected> {
        self.table.try_acquire(self.key, now.now())
    }
    fn release(&self, permit: Self::Permit, outcome: Outcome, now: impl Clock) {
        self.table.release(permit, outcome, now.now());
    }
    fn cancel(&self, permit: Self::Permit, now: impl Clock) {
        self.table.cancel(permit, now.now());
    }
}
