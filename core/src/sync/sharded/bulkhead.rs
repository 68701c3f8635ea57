//! A bulkhead in shards.

use core::num::NonZeroU32;

use super::{Line, own_first};
use crate::bulkhead::{BulkheadSnapshot, Permit};
use crate::sync::Bulkhead;
use crate::{Clock, ConfigError, Instant, Outcome, Rejected, SharedGate};

/// A bulkhead whose places are spread over `SHARDS` [bulkheads](Bulkhead), one per thread or core that asks: see the
/// [module](super). A caller takes a place of its thread's shard, or else of any other; it is refused when all are full, each
/// at the moment it was asked.
///
/// ```
/// use fusebox::sync::sharded::ShardedBulkhead;
/// use fusebox::{Instant, Outcome, SharedGate};
///
/// let bulkhead = ShardedBulkhead::<4>::new(100)?;
/// let permits: Vec<_> = (0..100).map(|_| bulkhead.try_acquire(Instant::EPOCH).unwrap()).collect();
/// assert!(bulkhead.try_acquire(Instant::EPOCH).is_err());
/// for permit in permits {
///     bulkhead.release(permit, Outcome::Success, Instant::EPOCH);
/// }
/// assert_eq!(bulkhead.snapshot().in_flight, 0);
/// # Ok::<(), fusebox::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct ShardedBulkhead<const SHARDS: usize> {
    shards: [Line<Bulkhead>; SHARDS],
}

/// A place in one of the shards.
#[derive(Debug)]
#[must_use = "a permit must go back to its bulkhead: release or cancel it"]
pub struct ShardedPermit {
    permit: Permit,
    shard: usize,
}

impl<const SHARDS: usize> ShardedBulkhead<SHARDS> {
    /// At most `limit` in flight, in all.
    ///
    /// # Errors
    /// When there is no shard, or fewer places than shards.
    pub fn new(limit: u32) -> Result<Self, ConfigError> {
        let shares = shares::<SHARDS>(limit)?;
        Ok(Self { shards: shares.map(|share| Line(Bulkhead::new(share))) })
    }

    /// Changes the limit. What is in flight stays; until enough of it has come back, there may be more than the new limit.
    ///
    /// # Errors
    /// As [`new`](Self::new); the limit then stays as it is.
    pub fn resize(&self, limit: u32, now: Instant) -> Result<(), ConfigError> {
        let shares = shares::<SHARDS>(limit)?;
        for (Line(shard), share) in self.shards.iter().zip(shares) {
            shard.resize(share, now);
        }
        Ok(())
    }

    /// The sum over the shards, one after the other. `highest` is the sum of their records, which need not have been at the
    /// same time; a shard's refusal counts although another one granted.
    #[must_use]
    pub fn snapshot(&self) -> BulkheadSnapshot {
        let none = BulkheadSnapshot { in_flight: 0, limit: 0, highest: 0, refused: 0 };
        self.shards.iter().fold(none, |sum, Line(shard)| {
            let one = shard.snapshot();
            BulkheadSnapshot {
                in_flight: sum.in_flight.saturating_add(one.in_flight),
                limit: sum.limit.saturating_add(one.limit),
                highest: sum.highest.saturating_add(one.highest),
                refused: sum.refused.saturating_add(one.refused),
            }
        })
    }
}

/// `limit`, shared out.
fn shares<const SHARDS: usize>(limit: u32) -> Result<[NonZeroU32; SHARDS], ConfigError> {
    let error = ConfigError { setting: "limit", problem: "needs a shard, and a place for each" };
    let shards = u32::try_from(SHARDS).map_err(|_| error)?;
    let each = limit.checked_div(shards).and_then(NonZeroU32::new).ok_or(error)?;
    let mut left = limit.checked_rem(shards).unwrap_or(0);
    Ok([each; SHARDS].map(|each| {
        let more = u32::from(left > 0);
        left -= more;
        each.saturating_add(more)
    }))
}

impl<const SHARDS: usize> SharedGate for ShardedBulkhead<SHARDS> {
    type Permit = ShardedPermit;

    #[inline]
    fn try_acquire(&self, now: impl Clock) -> Result<ShardedPermit, Rejected> {
        let mut last = Err(crate::bulkhead::refusal(crate::Reason::InFlight));
        for number in own_first::<SHARDS>() {
            let Some(Line(shard)) = self.shards.get(number) else { continue };
            last = shard.try_acquire(&now).map(|permit| ShardedPermit { permit, shard: number });
            if last.is_ok() {
                break;
            }
        }
        last
    }

    #[inline]
    fn release(&self, permit: ShardedPermit, outcome: Outcome, now: impl Clock) {
        if let Some(Line(shard)) = self.shards.get(permit.shard) {
            shard.release(permit.permit, outcome, now);
        }
    }

    #[inline]
    fn cancel(&self, permit: ShardedPermit, now: impl Clock) {
        if let Some(Line(shard)) = self.shards.get(permit.shard) {
            shard.cancel(permit.permit, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn what_does_not_divide_is_shared_out() {
        assert_eq!(shares::<3>(8).unwrap().map(NonZeroU32::get), [3, 3, 2]);
        for nonsense in [shares::<0>(4).is_err(), shares::<5>(4).is_err(), shares::<2>(0).is_err()] {
            assert!(nonsense);
        }
    }

    #[test]
    fn all_places_are_everybodys_and_no_more() {
        let bulkhead = ShardedBulkhead::<4>::new(10).unwrap();
        let held: Vec<_> = (0..10).map(|_| bulkhead.try_acquire(Instant::EPOCH).unwrap()).collect();
        assert_eq!(bulkhead.try_acquire(Instant::EPOCH).unwrap_err().reason, crate::Reason::InFlight);
        assert_eq!((bulkhead.snapshot().in_flight, bulkhead.snapshot().limit), (10, 10));
        for (n, permit) in held.into_iter().enumerate() {
            match n % 2 {
                0 => bulkhead.release(permit, Outcome::Success, Instant::EPOCH),
                _ => bulkhead.cancel(permit, Instant::EPOCH),
            }
        }
        assert_eq!(bulkhead.snapshot().in_flight, 0);
        bulkhead.resize(4, Instant::EPOCH).unwrap();
        assert_eq!(bulkhead.resize(3, Instant::EPOCH).unwrap_err().setting, "limit");
        assert_eq!((0..10).filter(|_| bulkhead.try_acquire(Instant::EPOCH).is_ok()).count(), 4);
    }

    #[test]
    fn threads_never_hold_more_than_the_limit() {
        use core::sync::atomic::{AtomicU32, Ordering::SeqCst};
        let (bulkhead, out, most) = (ShardedBulkhead::<2>::new(3).unwrap(), AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        if let Ok(permit) = bulkhead.try_acquire(Instant::EPOCH) {
                            most.fetch_max(out.fetch_add(1, SeqCst) + 1, SeqCst);
                            std::thread::yield_now();
                            out.fetch_sub(1, SeqCst);
                            bulkhead.release(permit, Outcome::Success, Instant::EPOCH);
                        }
                    }
                });
            }
        });
        assert!((1..=3).contains(&most.into_inner()));
        assert_eq!(bulkhead.snapshot().in_flight, 0);
    }
}
