//! The calls of a span of time, in buckets.

use core::ops::Range;
use core::time::Duration;

use super::{Tally, Window};
use crate::pieces::{Pieces, length};
use crate::{ConfigError, Instant};

/// The calls of the last span of time, however many. Time is cut into `BUCKETS` pieces of a span's `BUCKETS`th; the
/// oldest goes when a new one begins, so the window reaches back between `BUCKETS - 1` pieces and all of them. Some 10
/// are usual; one is a tumbling window. `BUCKETS` x 8 + 24 bytes per breaker.
///
/// It is expired when it is read as well as when it is written, so idle time empties it. A call is O(1); one that comes
/// after some idle time clears the buckets that are over, unless all are, which is O(1) again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TimeWindow<const BUCKETS: usize> {
    /// Nanoseconds per bucket.
    bucket: u64,
}

impl<const BUCKETS: usize> TimeWindow<BUCKETS> {
    /// The calls of the last `span`; a bucket is the `BUCKETS`th of it, rounded up to a nanosecond.
    ///
    /// # Errors
    /// When there is no bucket, more than 1024, or the span is zero.
    pub const fn new(span: Duration) -> Result<Self, ConfigError> {
        match length(span, BUCKETS, "span") {
            Ok(bucket) => Ok(Self { bucket }),
            Err(error) => Err(error),
        }
    }
}

/// Sums per bucket, and over all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TimeMemory<const BUCKETS: usize> {
    buckets: Pieces<Tally, BUCKETS>,
    sum: Tally,
}

impl<const BUCKETS: usize> TimeMemory<BUCKETS> {
    /// Begins the buckets that are due at `now`.
    fn roll(&mut self, bucket: u64, now: Instant) {
        let sum = &mut self.sum;
        let all = self.buckets.roll(bucket, now, |oldest| {
            sum.calls -= oldest.calls;
            sum.bad -= oldest.bad;
        });
        if all {
            *sum = Tally::default();
        }
    }

    fn count(&mut self, calls: u32, bad: bool) {
        let calls = calls.min(u32::MAX - self.sum.calls); // at 4 billion calls one more says nothing
        let Some(bucket) = self.buckets.current_mut() else { return };
        for tally in [bucket, &mut self.sum] {
            tally.calls += calls;
            tally.bad += if bad { calls } else { 0 };
        }
    }
}

impl<const BUCKETS: usize> Window for TimeWindow<BUCKETS> {
    type Memory = TimeMemory<BUCKETS>;
    const EMPTY: Self::Memory =
        TimeMemory { buckets: Pieces::new(Tally { calls: 0, bad: 0 }), sum: Tally { calls: 0, bad: 0 } };

    #[inline]
    fn push(&self, memory: &mut Self::Memory, bad: bool, now: Instant) -> Tally {
        if memory.sum.calls == 0 {
            memory.buckets.begin(now);
        }
        memory.roll(self.bucket, now);
        memory.count(1, bad);
        memory.sum
    }

    fn tally(&self, memory: &Self::Memory, now: Instant) -> Tally {
        let mut then = *memory;
        then.roll(self.bucket, now);
        then.sum
    }

    /// When all buckets are over, if one holds a bad call.
    fn rests_at(&self, memory: &Self::Memory) -> Option<Instant> {
        if memory.sum.bad == 0 {
            return Some(Instant::EPOCH);
        }
        Some(memory.buckets.all_end(self.bucket))
    }

    /// While the current bucket lasts; not before the first call, which begins it.
    fn alike(&self, memory: &Self::Memory) -> Option<Range<Instant>> {
        let end = memory.buckets.ends(self.bucket);
        (memory.sum.calls > 0).then(|| memory.buckets.began()..end)
    }

    #[inline]
    fn enough(&self) -> u32 {
        u32::MAX
    }

    fn push_good(&self, memory: &mut Self::Memory, count: u32) {
        memory.count(count, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    fn window() -> TimeWindow<4> {
        TimeWindow::new(Duration::from_millis(400)).unwrap()
    }

    #[test]
    fn a_bucket_goes_one_span_after_it_began() {
        let (window, mut memory) = (window(), TimeWindow::<4>::EMPTY);
        window.push(&mut memory, true, at(1_000));
        window.push(&mut memory, false, at(1_099));
        assert_eq!(window.push(&mut memory, true, at(1_250)), Tally { calls: 3, bad: 2 });
        assert_eq!(window.tally(&memory, Instant::from_nanos(1_400 * MS - 1)), Tally { calls: 3, bad: 2 });
        assert_eq!(window.tally(&memory, at(1_400)), Tally { calls: 1, bad: 1 });
        assert_eq!(window.tally(&memory, at(1_600)), Tally::default());
        assert_eq!(window.tally(&memory, Instant::MAX), Tally::default());
        let rest = window.rests_at(&memory).unwrap();
        assert_eq!((rest, window.tally(&memory, rest).bad), (at(1_600), 0));
    }

    #[test]
    fn a_clock_that_steps_back_keeps_nothing_longer_than_the_span() {
        let (window, mut memory) = (window(), TimeWindow::<4>::EMPTY);
        window.push(&mut memory, true, Instant::MAX);
        window.push(&mut memory, true, at(50));
        assert_eq!(memory.sum.calls, 2);
        assert_eq!(window.tally(&memory, at(449)).calls, 2);
        assert_eq!(window.tally(&memory, at(450)).calls, 0);
    }

    #[test]
    fn sums_stop_at_their_maximum_and_stay_true() {
        let (window, mut memory) = (window(), TimeWindow::<4>::EMPTY);
        window.push(&mut memory, true, at(0));
        let many = u32::MAX - 2;
        memory.sum = Tally { calls: many, bad: many };
        *memory.buckets.current_mut().unwrap() = memory.sum;
        for n in 0..6 {
            window.push(&mut memory, true, at(100 + n));
        }
        assert_eq!(memory.sum, Tally { calls: u32::MAX, bad: u32::MAX });
        assert_eq!(window.tally(&memory, at(400)), Tally { calls: 2, bad: 2 });
        assert_eq!(window.tally(&memory, at(500)), Tally::default());
    }
}
