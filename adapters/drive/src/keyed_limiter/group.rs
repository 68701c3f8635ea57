//! Some keys behind one lock: whole cache lines.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use fusebox::bucket::{LeanQuota, LeanState};
use fusebox::{GateKind, Instant};

/// Keys of a group.
pub(super) const KEYS: usize = 15;

/// Four cache lines of 64 bytes: the lock and the hashes in the first two, which are fetched as a pair, and the states
/// in the others.
#[derive(Debug)]
#[repr(align(256))]
pub(super) struct Group(Mutex<Slots>);

const _: () = assert!(size_of::<Group>() == 256, "a lock of at most 16 bytes");

impl Group {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Slots { hashes: [NOBODY; KEYS], states: [LeanQuota::FRESH; KEYS] }))
    }

    /// A poisoned mutex is used as it is: nothing that runs under it can panic.
    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, Slots> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` when somebody else has it.
    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, Slots>> {
        match self.0.try_lock() {
            Ok(slots) => Some(slots),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// The hash of no key.
pub(super) const NOBODY: u64 = 0;

/// What a group remembers. A key whose state is at rest need not be there, so its slot is free for any other.
#[derive(Debug)]
pub(super) struct Slots {
    hashes: [u64; KEYS],
    states: [LeanState; KEYS],
}

impl Slots {
    /// The state of the key with that hash.
    #[inline]
    pub(super) fn find(&mut self, hash: u64) -> Option<&mut LeanState> {
        // All are compared whatever is found: quicker than a branch that cannot be foreseen.
        let found =
            self.hashes.iter().enumerate().fold(KEYS, |found, (at, &other)| if other == hash { at } else { found });
        self.states.get_mut(found)
    }

    /// The slot that has been free for longest, or else will be first.
    pub(super) fn freest(&mut self, quota: &LeanQuota, now: Instant) -> Option<Slot<'_>> {
        let slots = self.iter_mut().map(|(hash, state)| Slot { free_in: quota.rests_in(state, now), hash, state });
        slots.min_by_key(|slot| slot.free_in)
    }

    /// All slots: those of no key, too.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&mut u64, &mut LeanState)> {
        self.hashes.iter_mut().zip(&mut self.states)
    }
}

/// A place for a key.
pub(super) struct Slot<'a> {
    /// Nanoseconds; not above zero: it is free, and has been for so long.
    pub(super) free_in: i64,
    hash: &'a mut u64,
    state: &'a mut LeanState,
}

impl Slot<'_> {
    pub(super) const fn is_free(&self) -> bool {
        self.free_in <= 0
    }

    pub(super) const fn put(self, hash: u64, state: LeanState) {
        (*self.hash, *self.state) = (hash, state);
    }
}
