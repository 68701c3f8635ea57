//! A bulkhead in shards.

use core::num::NonZeroU32;
use std::sync::Mutex;

use super::{CacheLine, own_first};
use crate::bulkhead::{BulkheadSnapshot, Permit};
use crate::sync::Bulkhead;
use crate::{Clock, ConfigError, Instant, Outcome, Rejected, SharedGate};

/// A bulkhead whose places are spread over `SHARDS` [bulkheads](Bulkhead), one per thread or core that asks: see the
/// [module](super). A caller takes a place of its thread's shard, or else of any other; it is refused when all are full, each
/// at the moment it was asked.
///
/// ```
/// use fusebox::sync::sharded::ShardedBulkhead;
/// use fusebox::{Instant, Outcome, SharedGate, checked};
///
/// static BULKHEAD: ShardedBulkhead<4> = checked!(ShardedBulkhead::new(100));
///
/// let permits: Vec<_> = (0..100).map(|_| BULKHEAD.try_acquire(Instant::EPOCH).unwrap()).collect();
/// assert!(BULKHEAD.try_acquire(Instant::EPOCH).is_err());
/// for permit in permits {
///     BULKHEAD.release(permit, Outcome::Success, Instant::EPOCH);
/// }
/// assert_eq!(BULKHEAD.snapshot().in_flight, 0);
/// ```
#[derive(Debug)]
pub struct ShardedBulkhead<const SHARDS: usize> {
    shards: [CacheLine<Bulkhead>; SHARDS],
    /// One at a time: else each shard could keep another's share.
    resizing: Mutex<()>,
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
    pub const fn new(limit: u32) -> Result<Self, ConfigError> {
        let mut shards = [const { CacheLine(Bulkhead::new(NonZeroU32::MIN)) }; SHARDS];
        if SHARDS == 0 {
            return Err(TOO_FEW);
        }
        let (mut rest, mut number): (&mut [_], _) = (&mut shards, 0);
        while let Some((CacheLine(shard), more)) = rest.split_first_mut() {
            let Some(share) = share::<SHARDS>(limit, number) else { return Err(TOO_FEW) };
            *shard = Bulkhead::new(share);
            (rest, number) = (more, number + 1);
        }
        Ok(Self { shards, resizing: Mutex::new(()) })
    }

    /// Changes the limit. What is in flight stays; until enough of it has come back, there may be more than the new limit.
    ///
    /// # Errors
    /// As [`new`](Self::new); the limit then stays as it is.
    pub fn resize(&self, limit: u32, now: Instant) -> Result<(), ConfigError> {
        let mut shares = [NonZeroU32::MIN; SHARDS];
        for (number, own) in (0..).zip(&mut shares) {
            *own = share::<SHARDS>(limit, number).ok_or(TOO_FEW)?;
        }
        let _one_at_a_time = self.resizing.lock();
        for (CacheLine(shard), share) in self.shards.iter().zip(shares) {
            shard.resize(share, now);
        }
        Ok(())
    }

    /// The sum over the shards, one after the other. `highest` is the sum of their records, which need not have been at the
    /// same time; a shard's refusal counts although another one granted.
    #[must_use]
    pub fn snapshot(&self) -> BulkheadSnapshot {
        let none = BulkheadSnapshot { in_flight: 0, limit: 0, highest: 0, refused: 0 };
        self.shards.iter().fold(none, |sum, CacheLine(shard)| {
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

impl<const SHARDS: usize> ShardedBulkhead<SHARDS> {
    #[inline]
    fn take(&self, shard: usize, now: &impl Clock) -> Option<ShardedPermit> {
        let CacheLine(bulkhead) = self.shards.get(shard)?;
        let permit = bulkhead.try_acquire(now).ok()?;
        Some(ShardedPermit { permit, shard })
    }

    #[cold]
    #[inline(never)]
    fn take_from_others(&self, now: &impl Clock) -> Result<ShardedPermit, Rejected> {
        let taken = own_first::<SHARDS>().skip(1).find_map(|shard| self.take(shard, now));
        taken.ok_or(crate::bulkhead::refusal(crate::Reason::InFlight))
    }
}

const TOO_FEW: ConfigError = ConfigError::new("limit", "needs a shard, and a place for each");

/// What shard `number` has of `limit`: what does not divide goes to the first ones.
#[expect(clippy::cast_possible_truncation, reason = "compared before")]
const fn share<const SHARDS: usize>(limit: u32, number: u32) -> Option<NonZeroU32> {
    if SHARDS as u64 > limit as u64 {
        return None;
    }
    match (limit.checked_div(SHARDS as u32), limit.checked_rem(SHARDS as u32)) {
        (Some(each), Some(left)) => NonZeroU32::new(each + (number < left) as u32),
        _ => None,
    }
}

impl<const SHARDS: usize> SharedGate for ShardedBulkhead<SHARDS> {
    type Permit = ShardedPermit;

    #[expect(clippy::inline_always, reason = "a permit that comes back through memory costs as much as all else")]
    #[inline(always)]
    fn try_acquire(&self, now: impl Clock) -> Result<ShardedPermit, Rejected> {
        let own = own_first::<SHARDS>().next().unwrap_or(0);
        if let Some(permit) = self.take(own, &now) {
            return Ok(permit);
        }
        // Field by field, or the one above would go through memory, too.
        let ShardedPermit { permit, shard } = self.take_from_others(&now)?;
        Ok(ShardedPermit { permit, shard })
    }

    #[inline]
    fn release(&self, permit: ShardedPermit, outcome: Outcome, now: impl Clock) {
        if let Some(CacheLine(shard)) = self.shards.get(permit.shard) {
            shard.release(permit.permit, outcome, now);
        }
    }

    #[inline]
    fn cancel(&self, permit: ShardedPermit, now: impl Clock) {
        if let Some(CacheLine(shard)) = self.shards.get(permit.shard) {
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
        assert_eq!([0, 1, 2].map(|number| share::<3>(8, number).unwrap().get()), [3, 3, 2]);
        let nonsense = [share::<0>(4, 0), share::<5>(4, 0), share::<2>(0, 1)];
        assert_eq!(nonsense, [None; 3]);
        assert!(ShardedBulkhead::<0>::new(4).is_err() && ShardedBulkhead::<5>::new(4).is_err());
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
