//! One shard: a bounded table with hashed lookup.

use std::borrow::Borrow;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fusebox::keyed::{Eviction, Slot};
use fusebox::{GateKind, Instant, Rejected};
use hashbrown::HashTable;

/// How many slots a search for a place looks at, so that a flood of new keys costs each of them the same.
const LOOK: usize = 64;

/// One shard's part of the table. Who calls it has hashed the key.
#[derive(Debug)]
pub(super) struct Shard<K, T> {
    /// Where in `slots` a key is.
    index: HashTable<u32>,
    pub(super) slots: Vec<Slot<K, T>>,
    /// The hashes of the keys in `slots`: moving them in the index calls no code of theirs.
    hashes: Vec<u64>,
    pub(super) capacity: usize,
    pub(super) eviction: Eviction,
}

impl<K, T> Shard<K, T> {
    pub(super) const fn new(capacity: usize, idle: Duration) -> Self {
        let eviction = Eviction::new(idle);
        Self { index: HashTable::new(), slots: Vec::new(), hashes: Vec::new(), capacity, eviction }
    }

    /// Where `key` is.
    pub(super) fn find<Q: Eq + ?Sized>(&self, hash: u64, key: &Q) -> Option<u32>
    where
        K: Borrow<Q>,
    {
        let is_key = |at: &u32| self.slots.get(*at as usize).is_some_and(|slot| slot.key().borrow() == key);
        self.index.find(hash, is_key).copied()
    }

    /// Gives a new key a slot.
    pub(super) fn insert<Q, C>(&mut self, kind: &C, hash: u64, key: &Q, now: Instant) -> Result<u32, Rejected>
    where
        Q: ToOwned<Owned = K> + ?Sized,
        C: GateKind<State = T>,
    {
        let at = if self.slots.len() < self.capacity {
            self.push(hash, Slot::new(key.to_owned(), C::FRESH, now))
        } else {
            let at = self.eviction.victim(kind, &mut self.slots, LOOK, now)?;
            self.replace(at, hash, |slot| slot.renew(key.to_owned(), C::FRESH, now))
        };
        let hashes = &self.hashes;
        self.index.insert_unique(hash, at, |other| hashes.get(*other as usize).copied().unwrap_or_default());
        Ok(at)
    }

    fn push(&mut self, hash: u64, slot: Slot<K, T>) -> u32 {
        grow(&mut self.slots, self.capacity);
        grow(&mut self.hashes, self.capacity);
        self.slots.push(slot);
        self.hashes.push(hash);
        number(self.slots.len() - 1)
    }

    fn replace(&mut self, at: usize, hash: u64, renew: impl FnOnce(&mut Slot<K, T>)) -> u32 {
        if let (Some(slot), Some(old)) = (self.slots.get_mut(at), self.hashes.get_mut(at)) {
            renew(slot);
            if let Ok(entry) = self.index.find_entry(*old, |other| *other == number(at)) {
                entry.remove();
            }
            *old = hash;
        }
        number(at)
    }
}

/// A slot's number in the index.
#[expect(clippy::cast_possible_truncation, reason = "at most 2^31 places")]
const fn number(at: usize) -> u32 {
    at as u32
}

/// Makes room for one more: doubles, but never beyond `capacity`.
fn grow<T>(items: &mut Vec<T>, capacity: usize) {
    if items.len() == items.capacity() {
        let left = capacity.saturating_sub(items.len());
        items.reserve_exact(items.len().max(4).min(left));
    }
}

/// A poisoned mutex is used as it is: a key's or a gate's own code can panic only where the table is whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use fusebox::{BreakerConfig, Consecutive};

    use super::*;

    #[test]
    fn memory_stays_within_the_capacity() {
        let kind = BreakerConfig::builder(Consecutive::new(1).unwrap()).build().unwrap();
        for capacity in [1, 3, 4, 100, 897] {
            let mut shard = Shard::new(capacity, Duration::ZERO);
            for key in 0..20_000_u64 {
                let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                assert!(shard.find(hash, &key).is_none());
                let at = shard.insert(&kind, hash, &key, Instant::EPOCH).unwrap();
                assert_eq!(shard.find(hash, &key), Some(at));
            }
            assert_eq!((shard.slots.len(), shard.hashes.len(), shard.index.len()), (capacity, capacity, capacity));
            assert_eq!((shard.slots.capacity(), shard.hashes.capacity()), (capacity, capacity));
            // At worst: seven eighths full, rounded up to a power of two, and doubled once.
            assert!(shard.index.num_buckets() <= 2 * (capacity + capacity.div_ceil(7)).next_power_of_two().max(4));
        }
    }
}
