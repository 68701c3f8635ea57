//! Where a key is, and where it could be.
//!
//! No key is ever in two places, with two buckets: that it has none is found out, and changed, under the locks of both of
//! its groups. A look at one after the other may miss a key that gets its place in between, and so decides nothing. No
//! key is ever moved: it stays where it is until it is at rest and another one takes its place.

use std::cmp::{Ordering, Reverse};
use std::sync::MutexGuard;
use std::sync::atomic::Ordering::Relaxed;

use fusebox::bucket::{LeanQuota, LeanState, LeanTokens};
use fusebox::{GateKind, Instant, Reason, Rejected, Weighted};

use super::KeyedLimiter;
use super::group::{Group, KEYS, Slots};

/// The two groups of a key, locked, its home first; one if there is only one.
type Both<'a> = [Option<MutexGuard<'a, Slots>>; 2];

impl<K: ?Sized, S> KeyedLimiter<K, S> {
    /// The group in which a key is looked for first.
    #[inline]
    fn home(&self, hash: u64) -> usize {
        spread(hash, 0x9e37_79b9_7f4a_7c15, self.groups.len())
    }

    /// The other group that it may be in; the same if there is one only.
    fn other(&self, hash: u64, home: usize) -> usize {
        let groups = self.groups.len();
        let other = home + 1 + spread(hash, 0xd1b5_4a32_d192_ed03, groups - 1);
        if other < groups { other } else { other - groups }
    }

    /// Runs `f` on the state of a key that is in that group.
    #[inline]
    fn at<R>(&self, group: usize, hash: u64, f: impl FnOnce(&mut LeanState) -> R) -> Option<R> {
        self.groups.get(group)?.lock().find(hash).map(f)
    }

    #[inline]
    pub(super) fn take(&self, hash: u64, n: u32, now: Instant) -> Result<LeanTokens, Rejected> {
        let home = self.home(hash);
        let answer = self.at(home, hash, |state| self.quota.try_acquire_n(state, n, now));
        answer.unwrap_or_else(|| self.take_further(hash, home, n, now))
    }

    /// For a key that is not at home.
    #[inline(never)]
    fn take_further(&self, hash: u64, home: usize, n: u32, now: Instant) -> Result<LeanTokens, Rejected> {
        let other = self.other(hash, home);
        let ask = |state: &mut LeanState| self.quota.try_acquire_n(state, n, now);
        if let Some(answer) = self.at(other, hash, ask) {
            return answer;
        }
        let mut both = self.lock_both(home, other);
        // Somebody may have placed it meanwhile.
        if let Some(state) = both.iter_mut().flatten().find_map(|slots| slots.find(hash)) {
            return ask(state);
        }
        let mut state = LeanQuota::FRESH;
        let tokens = ask(&mut state)?;
        if tokens.count() > 0 {
            self.place(&mut both, hash, state, now)?;
        }
        Ok(tokens)
    }

    pub(super) fn give_back(&self, hash: u64, tokens: LeanTokens, now: Instant) {
        let home = self.home(hash);
        for group in [home, self.other(hash, home)].into_iter().filter_map(|group| self.groups.get(group)) {
            if let Some(state) = group.lock().find(hash) {
                return self.quota.cancel(state, tokens, now);
            }
        }
    }

    /// In the order of their numbers, so that nobody waits for who waits for them.
    fn lock_both(&self, home: usize, other: usize) -> Both<'_> {
        let lock = |number| self.groups.get(number).map(Group::lock);
        match home.cmp(&other) {
            Ordering::Less => [lock(home), lock(other)],
            Ordering::Equal => [lock(home), None],
            Ordering::Greater => {
                let other = lock(other);
                [lock(home), other]
            }
        }
    }

    /// Gives a new key a place: at home, where it is found sooner, while half of that is free; then in the emptier of its
    /// groups, so that all groups of the table are about equally full.
    fn place(&self, both: &mut Both<'_>, hash: u64, state: LeanState, now: Instant) -> Result<(), Rejected> {
        // The last of the best: so home is last.
        let offers = both.iter_mut().rev().flatten().filter_map(|slots| slots.offer(&self.quota, now));
        let best = offers.max_by_key(|offer| (offer.free.min(KEYS >> 1), Reverse(offer.free_in.max(0))));
        let Some(best) = best else { return Err(KEYS_FULL) };
        if best.free > 0 {
            best.accept(hash, state);
            return Ok(());
        }
        let _ = self.full.fetch_update(Relaxed, Relaxed, |full| full.checked_add(1));
        Err(Rejected { retry_at: Some(now.after(best.free_in.unsigned_abs())), ..KEYS_FULL })
    }
}

const KEYS_FULL: Rejected = Rejected { reason: Reason::KeysFull, retry_at: None };

/// A number below `groups`. Multiplied by an odd number first, so that every bit of a weak hash has a say.
#[inline]
const fn spread(hash: u64, odd: u64, groups: usize) -> usize {
    (((hash.wrapping_mul(odd) >> 32) * groups as u64) >> 32) as usize
}
