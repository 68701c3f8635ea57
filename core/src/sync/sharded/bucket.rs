//! A token bucket in shards.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, Relaxed};

use super::{CacheLine, own_first};
use crate::bucket::Tokens;
use crate::sync::TokenBucket;
use crate::{Clock, ConfigError, Instant, Outcome, Quota, Rejected, SharedGate};

/// A token bucket from which `SHARDS` shards, one per thread or core that asks, take tokens by the batch: see the
/// [module](super). Most calls take a token from their thread's shard, and do not look at the time.
///
/// The bound is the quota's: no more than burst + rate x elapsed over any interval. What the shards hold is part of the
/// burst, so the bucket behind them has that much less. A caller is refused when there is no token in any shard, nor in the
/// bucket; its `retry_at` is the bucket's. After idle time the first burst may lack what the shards were out of.
///
/// ```
/// use fusebox::sync::sharded::ShardedTokenBucket;
/// use fusebox::{Instant, Quota, SharedGate, checked};
///
/// static BUCKET: ShardedTokenBucket<4> = checked!(ShardedTokenBucket::new(checked!(Quota::per_second(10_000)), 100));
///
/// let now = Instant::from_secs(1);
/// assert_eq!((0..20_000).filter(|_| BUCKET.try_acquire(now).is_ok()).count(), 10_000);
/// ```
#[derive(Debug)]
pub struct ShardedTokenBucket<const SHARDS: usize> {
    /// Each a [`Batch`].
    shards: [CacheLine<AtomicU64>; SHARDS],
    bucket: TokenBucket,
    batch: u32,
}

/// Which batch of its shard it is (upper half), and how many tokens of it are taken.
#[derive(Clone, Copy)]
struct Batch(u64);

impl Batch {
    const fn new(number: u32, taken: u32) -> Self {
        Self((number as u64) << 32 | taken as u64)
    }

    const fn number(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
    const fn taken(self) -> u32 {
        self.0 as u32
    }
}

/// A token.
#[derive(Debug)]
#[must_use = "release it when the work ran, cancel it to get the token back"]
pub struct ShardedTokens(Source);

#[derive(Debug)]
enum Source {
    Shard { shard: usize, batch: u32 },
    Bucket(Tokens),
}

impl<const SHARDS: usize> ShardedTokenBucket<SHARDS> {
    /// A full bucket with full shards, which take `batch` tokens at a time.
    ///
    /// # Errors
    /// When there is no shard, `batch` is zero, or the burst is not a batch or more above what the shards can hold.
    pub const fn new(quota: Quota, batch: u32) -> Result<Self, ConfigError> {
        if SHARDS == 0 || batch == 0 {
            return Err(ConfigError::new("batch", "needs a shard, and a token in each batch"));
        }
        let held = (SHARDS as u64).saturating_mul(batch as u64);
        if held.saturating_add(batch as u64) > quota.burst() as u64 {
            return Err(ConfigError::new("burst", "must be a batch or more above what the shards hold"));
        }
        #[expect(clippy::cast_possible_truncation, reason = "below the burst")]
        let rest = quota.burst() - held as u32;
        match quota.with_burst(rest) {
            Ok(quota) => {
                let shards = [const { CacheLine(AtomicU64::new(0)) }; SHARDS];
                Ok(Self { shards, bucket: TokenBucket::new(quota), batch })
            }
            Err(error) => Err(error),
        }
    }

    /// Tokens there are now, those in the shards included.
    #[must_use]
    pub fn available(&self, now: Instant) -> u32 {
        let left = |CacheLine(shard): &CacheLine<AtomicU64>| self.batch - Batch(shard.load(Relaxed)).taken();
        self.shards.iter().map(left).fold(self.bucket.available(now), u32::saturating_add)
    }

    /// Takes a token of that shard, if it has one.
    #[inline]
    fn take(&self, number: usize) -> Option<ShardedTokens> {
        let CacheLine(shard) = self.shards.get(number)?;
        let mut seen = Batch(shard.load(Relaxed));
        while seen.taken() < self.batch {
            match shard.compare_exchange_weak(seen.0, seen.0 + 1, Relaxed, Relaxed) {
                Ok(_) => return Some(ShardedTokens(Source::Shard { shard: number, batch: seen.number() })),
                Err(other) => seen = Batch(other),
            }
        }
        None
    }

    /// A token of a new batch, or a single one of the bucket, or one of another shard's.
    #[cold]
    #[inline(never)]
    fn refill(&self, number: usize, now: Instant) -> Result<ShardedTokens, Rejected> {
        // Acquire: seen before the new batch is taken.
        let seen = self.shards.get(number).map(|CacheLine(shard)| Batch(shard.load(Acquire)));
        if let Some(used_up) = seen.filter(|seen| seen.taken() >= self.batch) {
            let new = self.bucket.try_acquire_n(self.batch, now);
            if let Some(token) = new.ok().and_then(|new| self.show(number, used_up, new, now)) {
                return Ok(token);
            }
        }
        match self.bucket.try_acquire(now) {
            Ok(token) => Ok(ShardedTokens(Source::Bucket(token))),
            Err(rejected) => own_first::<SHARDS>().find_map(|number| self.take(number)).ok_or(rejected),
        }
    }

    /// The first token of `new`, which becomes the batch of a shard whose last one is still `used_up`. If not, another
    /// thread of this shard was quicker: with both, even if the other is used up as well, more could be granted than there
    /// ever were at a time.
    fn show(&self, number: usize, used_up: Batch, new: Tokens, now: Instant) -> Option<ShardedTokens> {
        let CacheLine(shard) = self.shards.get(number)?;
        let next = Batch::new(used_up.number().wrapping_add(1), 1);
        if shard.compare_exchange(used_up.0, next.0, Relaxed, Relaxed).is_err() {
            SharedGate::cancel(&self.bucket, new, now);
            return None;
        }
        Some(ShardedTokens(Source::Shard { shard: number, batch: next.number() }))
    }
}

/// A cancelled token goes back to the batch it is of, or to the bucket. If its shard has taken another batch since, it is
/// lost: else old tokens could be used beside the new ones.
impl<const SHARDS: usize> SharedGate for ShardedTokenBucket<SHARDS> {
    type Permit = ShardedTokens;

    #[inline]
    fn try_acquire(&self, now: impl Clock) -> Result<ShardedTokens, Rejected> {
        let own = own_first::<SHARDS>().next().unwrap_or(0);
        self.take(own).map_or_else(|| self.refill(own, now.now()), Ok)
    }

    /// Hints are not heeded.
    #[inline]
    fn release(&self, _tokens: ShardedTokens, _outcome: Outcome, _now: impl Clock) {}

    fn cancel(&self, ShardedTokens(from): ShardedTokens, now: impl Clock) {
        match from {
            Source::Bucket(tokens) => self.bucket.cancel(tokens, now),
            Source::Shard { shard, batch } => {
                let Some(CacheLine(shard)) = self.shards.get(shard) else { return };
                let is_same = |seen: &u64| Batch(*seen).number() == batch && Batch(*seen).taken() > 0;
                let _ = shard.fetch_update(Relaxed, Relaxed, |seen| Some(seen).filter(is_same).map(|seen| seen - 1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const SECOND: Instant = Instant::from_secs(1);

    fn bucket() -> ShardedTokenBucket<2> {
        ShardedTokenBucket::new(Quota::per_second(100).unwrap(), 10).unwrap()
    }

    fn taken(bucket: &ShardedTokenBucket<2>, now: Instant) -> Vec<ShardedTokens> {
        (0..1_000).map_while(|_| bucket.try_acquire(now).ok()).collect()
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        let setting = |burst, batch| {
            let quota = Quota::per_second(100).unwrap().with_burst(burst).unwrap();
            ShardedTokenBucket::<2>::new(quota, batch).err().map(|error| error.setting)
        };
        assert_eq!([setting(100, 0), setting(29, 10), setting(30, 10)], [Some("batch"), Some("burst"), None]);
        assert!(ShardedTokenBucket::<0>::new(Quota::per_second(1).unwrap(), 1).is_err());
    }

    #[test]
    fn it_grants_the_burst_and_then_the_rate() {
        let bucket = bucket();
        assert_eq!((bucket.available(SECOND), taken(&bucket, SECOND).len()), (100, 100));
        let rejected = bucket.try_acquire(SECOND).unwrap_err();
        let next = SECOND.after(10_000_000);
        assert_eq!(rejected.retry_at, Some(next));
        assert!(bucket.try_acquire(SECOND.after(9_999_999)).is_err() && bucket.try_acquire(next).is_ok());
        // Idle for long: all shards are empty, and what they hold when full is not granted beside the burst.
        assert_eq!(taken(&bucket, Instant::from_secs(1_000)).len(), 80);
        assert!(taken(&bucket, Instant::from_secs(1_001)).len() <= 100);
    }

    #[test]
    fn a_cancelled_token_goes_back_to_its_own_batch_only() {
        let bucket = bucket();
        let mut tokens = taken(&bucket, SECOND);
        let first = tokens.remove(0);
        bucket.cancel(tokens.pop().unwrap(), SECOND);
        assert_eq!(taken(&bucket, SECOND).len(), 1);
        let before = bucket.available(SECOND);
        bucket.cancel(first, SECOND);
        assert_eq!(bucket.available(SECOND), before, "its shard has taken others since");
    }

    #[test]
    fn a_batch_that_comes_too_late_goes_back() {
        let bucket = bucket();
        let shard = || Batch(bucket.shards[0].0.load(Relaxed));
        // A thread sees a batch that is used up, takes a new one, and sleeps before it shows that.
        while bucket.take(0).is_some() {}
        let (used_up, late) = (shard(), bucket.bucket.try_acquire_n(10, SECOND).unwrap());
        // Others use up a batch meanwhile.
        let quick = bucket.bucket.try_acquire_n(10, SECOND).unwrap();
        drop(bucket.show(0, used_up, quick, SECOND).unwrap());
        while bucket.take(0).is_some() {}
        // All comes back; that batch is one too many.
        let later = Instant::from_secs(1_000);
        assert!(bucket.show(0, used_up, late, later).is_none());
        assert_eq!(bucket.available(later), 90, "a shard of two is full, and so is the bucket");
    }

    #[test]
    fn threads_are_granted_no_more_than_there_is() {
        for batch in [1, 7, 25] {
            let bucket = ShardedTokenBucket::<2>::new(Quota::per_second(1_000).unwrap(), batch).unwrap();
            let ask = |_| (0..1_000).filter(|_| bucket.try_acquire(SECOND).is_ok()).count();
            let granted: usize = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|n| scope.spawn(move || ask(n))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).sum()
            });
            assert_eq!(granted, 1_000, "batches of {batch}");
        }
    }
}
