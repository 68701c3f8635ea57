//! So many failures among the calls in a window, however few those are.

use core::ops::Range;
use core::time::Duration;

use super::super::window::{CountWindow, TimeWindow, Window};
use super::{Counts, Rate, Sample, TripRule};
use crate::{ConfigError, Instant};

/// Trips at so many failures among recent calls, in a row or not, however many calls there were: `k` of the last `n`, or
/// `k` within a span of time. Where traffic is thin or even; where it is not, a [`FailureRate`](super::FailureRate) does
/// not trip just because there is more of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FailureCount<W> {
    window: W,
    threshold: u32,
}

impl<const WORDS: usize> FailureCount<CountWindow<WORDS>> {
    /// Trips at the `threshold`th failure among the last `size` calls.
    ///
    /// # Errors
    /// When a number is zero, `threshold` is more than the window holds, or `size` does not fit `WORDS` words of 32 bits.
    pub const fn of_last(size: u16, threshold: u32) -> Result<Self, ConfigError> {
        if threshold == 0 || threshold > size as u32 {
            return Err(ConfigError::new("threshold", "from 1 to the size of the window"));
        }
        match CountWindow::new(size) {
            Ok(window) => Ok(Self { window, threshold }),
            Err(error) => Err(error),
        }
    }
}

impl<const BUCKETS: usize> FailureCount<TimeWindow<BUCKETS>> {
    /// Trips at the `threshold`th failure within the last `span`.
    ///
    /// # Errors
    /// When `threshold` or the span is zero.
    pub const fn within(span: Duration, threshold: u32) -> Result<Self, ConfigError> {
        if threshold == 0 {
            return Err(ConfigError::new("threshold", "the breaker would trip without a failure"));
        }
        match TimeWindow::new(span) {
            Ok(window) => Ok(Self { window, threshold }),
            Err(error) => Err(error),
        }
    }
}

impl<W: Window> TripRule for FailureCount<W> {
    type Memory = W::Memory;
    const EMPTY: W::Memory = W::EMPTY;

    #[inline]
    fn record(&self, memory: &mut W::Memory, sample: Sample, now: Instant) -> bool {
        self.window.push(memory, sample.failed, now).bad >= self.threshold
    }

    fn counts(&self, memory: &W::Memory, now: Instant) -> Counts {
        let tally = self.window.tally(memory, now);
        Counts::of_failed(Rate::of(tally.bad, tally.calls))
    }

    fn rests_at(&self, memory: &W::Memory) -> Option<Instant> {
        self.window.rests_at(memory)
    }

    fn alike(&self, memory: &W::Memory) -> Option<Range<Instant>> {
        self.window.alike(memory)
    }

    #[inline]
    fn enough(&self) -> u32 {
        self.window.enough()
    }

    fn record_good(&self, memory: &mut W::Memory, count: u32) {
        self.window.push_good(memory, count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met<W: Window>(rule: FailureCount<W>, calls: &[(u64, bool)]) -> std::vec::Vec<bool> {
        let mut memory = FailureCount::<W>::EMPTY;
        let record = |&(at, failed)| rule.record(&mut memory, Sample { failed, slow: false }, Instant::from_secs(at));
        calls.iter().map(record).collect()
    }

    extern crate std;

    #[test]
    fn k_of_the_last_n_however_few_are_known() {
        let rule = FailureCount::<CountWindow<1>>::of_last(4, 2).unwrap();
        assert_eq!(met(rule, &[(0, true), (0, false), (0, true)]), [false, false, true]);
        let apart = [(0, true), (0, false), (0, false), (0, false), (0, true), (0, false)];
        assert_eq!(met(rule, &apart), [false; 6]);
    }

    #[test]
    fn k_within_a_span() {
        let rule = FailureCount::<TimeWindow<10>>::within(Duration::from_secs(10), 3).unwrap();
        assert_eq!(met(rule, &[(0, true), (4, true), (8, false), (9, true)]), [false, false, false, true]);
        assert_eq!(met(rule, &[(0, true), (4, true), (10, true), (13, true)]), [false, false, false, true]);
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        let of_last = |size, threshold| FailureCount::<CountWindow<1>>::of_last(size, threshold).unwrap_err().setting;
        assert_eq!(
            [of_last(4, 0), of_last(4, 5), of_last(40, 5), of_last(0, 0)],
            ["threshold", "threshold", "size", "threshold"]
        );
        let within = |secs, k| FailureCount::<TimeWindow<4>>::within(Duration::from_secs(secs), k).unwrap_err().setting;
        assert_eq!([within(1, 0), within(0, 1)], ["threshold", "span"]);
    }
}
