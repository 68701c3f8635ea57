//! A token bucket in shards.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use super::{Line, own_first};
use crate::bucket::Tokens;
use crate::sync::TokenBucket;
use crate::{Clock, ConfigError, Instant, Outcome, Quota, Rejected, SharedGate};

/// A token bucket from which `SHARDS` shards, one per thread or core that asks, lease tokens by the batch: see the
/// [module](super). Most calls take a token from their thread's shard, and do not look at the time.
///
/// The bound is the quota's: no more than burst + rate x elapsed over any interval. What the shards hold is part of the
/// burst, so the bucket behind them has that much less. A caller is refused when there is no token in any shard, nor in the
/// bucket; its `retry_at` is the bucket's. After idle time the first burst may lack what the shards were out of.
///
/// ```
/// use fusebox::sync::sharded::ShardedTokenBucket;
/// use fusebox::{Instant, Quota, SharedGate};
///
/// let bucket = ShardedTokenBucket::<4>::new(Quota::per_second(10_000)?, 100)?;
/// let now = Instant::from_secs(1);
/// assert_eq!((0..20_000).filter(|_| bucket.try_acquire(now).is_ok()).count(), 10_000);
/// # Ok::<(), fusebox::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct ShardedTokenBucket<const SHARDS: usize> {
    /// Each a [`Lease`].
    shards: [Line<AtomicU64>; SHARDS],
    bucket: TokenBucket,
    batch: u32,
}

/// Which batch of its shard it is (upper half), and how many tokens are left of it.
#[derive(Clone, Copy)]
struct Lease(u64);

impl Lease {
    const fn new(number: u32, left: u32) -> Self {
        Self((number as u64) << 32 | left as u64)
    }

    const fn number(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
    const fn left(self) -> u32 {
        self.0 as u32
    }
}

/// A token.
#[derive(Debug)]
#[must_use = "release it when the work ran, cancel it to get the token back"]
pub struct ShardedTokens(From);

#[derive(Debug)]
enum From {
    Shard { shard: usize, lease: u32 },
    Bucket(Tokens),
}

impl<const SHARDS: usize> ShardedTokenBucket<SHARDS> {
    /// A full bucket with full shards, which lease `batch` tokens at a time.
    ///
    /// # Errors
    /// When there is no shard, `batch` is zero, or the burst is not a batch or more above what the shards can hold.
    pub fn new(quota: Quota, batch: u32) -> Result<Self, ConfigError> {
        let error = |setting, problem| ConfigError { setting, problem };
        let leased = u32::try_from(SHARDS).unwrap_or(u32::MAX).saturating_mul(batch);
        if leased == 0 {
            return Err(error("batch", "needs a shard, and a token in each batch"));
        }
        let rest = quota.burst().checked_sub(leased).filter(|rest| *rest >= batch);
        let rest = rest.ok_or(error("burst", "must be a batch or more above what the shards hold"))?;
        let full = Lease::new(0, batch).0;
        let shards = [(); SHARDS].map(|()| Line(AtomicU64::new(full)));
        Ok(Self { shards, bucket: TokenBucket::new(quota.with_burst(rest)?), batch })
    }

    /// The bucket that the shards lease from.
    #[must_use]
    pub const fn bucket(&self) -> &TokenBucket {
        &self.bucket
    }

    /// Tokens there are now, those in the shards included.
    #[must_use]
    pub fn available(&self, now: Instant) -> u32 {
        let left = |Line(shard): &Line<AtomicU64>| Lease(shard.load(Relaxed)).left();
        self.shards.iter().map(left).fold(self.bucket.available(now), u32::saturating_add)
    }

    /// Takes a token of that shard, if it has one.
    #[inline]
    fn take(&self, number: usize) -> Option<ShardedTokens> {
        let Line(shard) = self.shards.get(number)?;
        let mut lease = Lease(shard.load(Relaxed));
        while lease.left() > 0 {
            match shard.compare_exchange_weak(lease.0, lease.0 - 1, Relaxed, Relaxed) {
                Ok(_) => return Some(ShardedTokens(From::Shard { shard: number, lease: lease.number() })),
                Err(other) => lease = Lease(other),
            }
        }
        None
    }

    /// A token of a new batch, or a single one of the bucket, or one of another shard's.
    #[cold]
    #[inline(never)]
    fn lease(&self, number: usize, now: Instant) -> Result<ShardedTokens, Rejected> {
        if let (Ok(batch), Some(Line(shard))) = (self.bucket.try_acquire_n(self.batch, now), self.shards.get(number)) {
            let lease = Lease(shard.load(Relaxed));
            let next = Lease::new(lease.number().wrapping_add(1), self.batch - 1);
            let has_none = lease.left() == 0;
            if has_none && shard.compare_exchange(lease.0, next.0, Relaxed, Relaxed).is_ok() {
                return Ok(ShardedTokens(From::Shard { shard: number, lease: next.number() }));
            }
            // Another thread of this shard was quicker: it must not hold two batches.
            SharedGate::cancel(&self.bucket, batch, now);
        }
        match self.bucket.try_acquire(now) {
            Ok(token) => Ok(ShardedTokens(From::Bucket(token))),
            Err(rejected) => own_first::<SHARDS>().find_map(|number| self.take(number)).ok_or(rejected),
        }
    }
}

/// A cancelled token goes back to the batch it is of, or to the bucket. If its shard has leased another batch since, it is
/// lost: else old tokens could be used beside the new ones.
impl<const SHARDS: usize> SharedGate for ShardedTokenBucket<SHARDS> {
    type Permit = ShardedTokens;

    #[inline]
    fn try_acquire(&self, now: impl Clock) -> Result<ShardedTokens, Rejected> {
        let own = own_first::<SHARDS>().next().unwrap_or(0);
        self.take(own).map_or_else(|| self.lease(own, now.now()), Ok)
    }

    /// Hints are not heeded.
    #[inline]
    fn release(&self, _tokens: ShardedTokens, _outcome: Outcome, _now: impl Clock) {}

    fn cancel(&self, ShardedTokens(from): ShardedTokens, now: impl Clock) {
        match from {
            From::Bucket(tokens) => self.bucket.cancel(tokens, now),
            From::Shard { shard, lease: number } => {
                let Some(Line(shard)) = self.shards.get(shard) else { return };
                let is_same = |lease: &u64| Lease(*lease).number() == number && Lease(*lease).left() < self.batch;
                let _ =
                    shard.fetch_update(Relaxed, Relaxed, |lease| Some(lease).filter(is_same).map(|lease| lease + 1));
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
        assert_eq!(bucket.available(SECOND), before, "its shard has leased others since");
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
