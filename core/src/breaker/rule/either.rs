//! Two rules in one.

use core::ops::Range;

use super::{Counts, Sample, TripRule};
use crate::Instant;

/// Trips when either of two rules says so; each remembers for itself. Nest it for more than two.
///
/// ```
/// use core::time::Duration;
/// use fusebox::breaker::{CountWindow, Either, FailureRate, SlowRate};
/// use fusebox::{BreakerConfig, Consecutive, checked};
///
/// // 5 failures in a row, or half of the last 100 failed, or 80 % of them took more than two seconds.
/// let rule = Either(
///     checked!(Consecutive::new(5)),
///     Either(
///         checked!(FailureRate::<CountWindow<4>>::of_last(100, 500, 20)),
///         checked!(SlowRate::<CountWindow<4>>::of_last(100, 800, 20)),
///     ),
/// );
/// let config = BreakerConfig::builder(rule).slow_after(Duration::from_secs(2)).build();
/// assert!(config.is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Either<A, B>(pub A, pub B);

impl<A: TripRule, B: TripRule> TripRule for Either<A, B> {
    type Memory = (A::Memory, B::Memory);
    const EMPTY: Self::Memory = (A::EMPTY, B::EMPTY);
    const NEEDS_SLOW_AFTER: bool = A::NEEDS_SLOW_AFTER || B::NEEDS_SLOW_AFTER;

    #[inline]
    fn record(&self, memory: &mut Self::Memory, sample: Sample, now: Instant) -> bool {
        // Both must see the sample, so no short cut.
        self.0.record(&mut memory.0, sample, now) | self.1.record(&mut memory.1, sample, now)
    }

    /// The first rule's, and what only the second looks at.
    fn counts(&self, memory: &Self::Memory, now: Instant) -> Counts {
        let (a, b) = (self.0.counts(&memory.0, now), self.1.counts(&memory.1, now));
        Counts { failed: a.failed.or(b.failed), slow: a.slow.or(b.slow) }
    }

    fn rests_at(&self, memory: &Self::Memory) -> Option<Instant> {
        Some(self.0.rests_at(&memory.0)?.max(self.1.rests_at(&memory.1)?))
    }

    /// As long as both agree.
    fn alike(&self, memory: &Self::Memory) -> Option<Range<Instant>> {
        let (a, b) = (self.0.alike(&memory.0)?, self.1.alike(&memory.1)?);
        Some(a.start.max(b.start)..a.end.min(b.end))
    }

    #[inline]
    fn enough(&self) -> u32 {
        self.0.enough().max(self.1.enough())
    }

    fn record_good(&self, memory: &mut Self::Memory, count: u32) {
        self.0.record_good(&mut memory.0, count);
        self.1.record_good(&mut memory.1, count);
    }
}
