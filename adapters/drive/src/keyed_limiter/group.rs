//! Some keys behind one lock: whole cache lines.

use std::sync::{Mutex, MutexGuard, PoisonError};

use fusebox::bucket::{LeanQuota, LeanState};
use fusebox::{GateKind, Instant};

/// Keys of a group.
pub(super) const KEYS: usize = 31;

/// Eight cache lines of 64 bytes: the lock and the hashes, which are looked through in order, and then the states.
#[derive(Debug)]
#[repr(align(512))]
pub(super) struct Group(Mutex<Slots>);

const _: () = assert!(size_of::<Group>() == 512, "a lock of at most 16 bytes");

impl Group {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Slots { hashes: [NOBODY; KEYS], states: [LeanQuota::FRESH; KEYS] }))
    }

    /// A poisoned mutex is used as it is: nothing that runs under it can panic.
    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, Slots> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        let at = self.hashes.iter().position(|&other| other == hash)?;
        self.states.get_mut(at)
    }

    /// What it has to offer to a new key.
    pub(super) fn offer(&mut self, quota: &LeanQuota, now: Instant) -> Option<Offer<'_>> {
        let mut free = 0;
        let freest = self.iter_mut().map(|(hash, state)| {
            let free_in = quota.rests_in(state, now);
            free += usize::from(free_in <= 0);
            (free_in, hash, state)
        });
        let (free_in, hash, state) = freest.min_by_key(|&(free_in, ..)| free_in)?;
        Some(Offer { free, free_in, hash, state })
    }

    /// All slots: those of no key, too.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&mut u64, &mut LeanState)> {
        self.hashes.iter_mut().zip(&mut self.states)
    }
}

/// The slot that has been free for longest, or else will be first.
pub(super) struct Offer<'a> {
    /// How many of the group are free.
    pub(super) free: usize,
    /// Nanoseconds; not above zero: it is free, and has been for so long.
    pub(super) free_in: i64,
    hash: &'a mut u64,
    state: &'a mut LeanState,
}

impl Offer<'_> {
    pub(super) const fn accept(self, hash: u64, state: LeanState) {
        (*self.hash, *self.state) = (hash, state);
    }
}
