//! Where a key is, and where it could be.

use std::sync::MutexGuard;
use std::sync::atomic::Ordering::Relaxed;

use fusebox::bucket::{LeanQuota, LeanState, LeanTokens};
use fusebox::{GateKind, Instant, Reason, Rejected, Weighted};

use super::KeyedLimiter;
use super::group::{Group, Slots};

/// The home of a key and its other group, locked.
struct Both<'a> {
    numbers: [usize; 2],
    /// One if they are the same.
    slots: [Option<MutexGuard<'a, Slots>>; 2],
}

impl Both<'_> {
    fn find(&mut self, hash: u64) -> Option<&mut LeanState> {
        self.slots.iter_mut().flatten().find_map(|slots| slots.find(hash))
    }
}

impl<K: ?Sized, S> KeyedLimiter<K, S> {
    /// The group in which a key is looked for first.
    #[inline]
    fn home(&self, hash: u64) -> usize {
        spread(hash, 0x9e37_79b9_7f4a_7c15, self.groups.len())
    }

    /// The other group that it may be in; the same if there is one only.
    fn other(&self, hash: u64) -> usize {
        let groups = self.groups.len();
        let other = self.home(hash) + 1 + spread(hash, 0xd1b5_4a32_d192_ed03, groups - 1);
        if other < groups { other } else { other - groups }
    }

    /// Of a key's two groups the one that is not `this`.
    fn elsewhere(&self, hash: u64, this: usize) -> usize {
        let home = self.home(hash);
        if home == this { self.other(hash) } else { home }
    }

    /// Runs `f` on the state of a key that is at home.
    #[inline]
    pub(super) fn at_home<R>(&self, hash: u64, f: impl FnOnce(&mut LeanState) -> R) -> Option<R> {
        self.groups.get(self.home(hash))?.lock().find(hash).map(f)
    }

    /// Runs `f` on the state of a key, if it has a place.
    pub(super) fn anywhere<R>(&self, hash: u64, f: impl FnOnce(&mut LeanState) -> R) -> Option<R> {
        self.lock_both(hash).find(hash).map(f)
    }

    /// For a key that is not at home.
    #[inline(never)]
    pub(super) fn try_further(&self, hash: u64, n: u32, now: Instant) -> Result<LeanTokens, Rejected> {
        let ask = |state: &mut LeanState| self.quota.try_acquire_n(state, n, now);
        let other = self.groups.get(self.other(hash)).and_then(|group| group.lock().find(hash).map(ask));
        other.unwrap_or_else(|| {
            // It may have been moved from where it was not looked for yet to where it had been.
            let mut both = self.lock_both(hash);
            if let Some(state) = both.find(hash) {
                return ask(state);
            }
            let mut state = LeanQuota::FRESH;
            let answer = ask(&mut state);
            if state != LeanQuota::FRESH {
                self.place(&mut both, hash, state, now)?;
            }
            answer
        })
    }

    /// In the order of their numbers, so that nobody waits for who waits for them.
    fn lock_both(&self, hash: u64) -> Both<'_> {
        let numbers = [self.home(hash), self.other(hash)];
        let lock = |number: usize| self.groups.get(number).map(Group::lock);
        let [home, other] = numbers;
        let slots = if home < other {
            [lock(home), lock(other)]
        } else {
            let first = (other < home).then(|| lock(other)).flatten();
            [lock(home), first]
        };
        Both { numbers, slots }
    }

    /// Gives a new key a place in one of its groups: a free one, or else that of a key that goes to where else it can be.
    fn place(&self, both: &mut Both<'_>, hash: u64, state: LeanState, now: Instant) -> Result<(), Rejected> {
        let freest = both.slots.iter_mut().flatten().filter_map(|slots| slots.freest(&self.quota, now));
        // Of two that never had a key: the one at home.
        let Some(slot) = freest.min_by_key(|slot| slot.free_in) else { return Err(NO_PLACE) };
        if slot.is_free() {
            slot.put(hash, state);
            return Ok(());
        }
        let mut soonest = slot.free_in;
        for (slots, this) in both.slots.iter_mut().flatten().zip(both.numbers) {
            for (other_hash, other_state) in slots.iter_mut() {
                // Not waited for, since two are locked. Those are not to be had either, and are full.
                let elsewhere = self.groups.get(self.elsewhere(*other_hash, this)).and_then(Group::try_lock);
                let Some(mut elsewhere) = elsewhere else { continue };
                let Some(slot) = elsewhere.freest(&self.quota, now) else { continue };
                if slot.is_free() {
                    slot.put(*other_hash, *other_state);
                    (*other_hash, *other_state) = (hash, state);
                    return Ok(());
                }
                soonest = soonest.min(slot.free_in);
            }
        }
        let _ = self.full.fetch_update(Relaxed, Relaxed, |full| full.checked_add(1));
        Err(Rejected { retry_at: Some(now.after(soonest.unsigned_abs())), ..NO_PLACE })
    }
}

const NO_PLACE: Rejected = Rejected { reason: Reason::KeysFull, retry_at: None };

/// A number below `groups`. Multiplied by an odd number first, so that every bit of a weak hash has a say.
#[inline]
const fn spread(hash: u64, odd: u64, groups: usize) -> usize {
    (((hash.wrapping_mul(odd) >> 32) * groups as u64) >> 32) as usize
}
