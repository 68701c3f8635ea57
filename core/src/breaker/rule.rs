//! When a closed breaker trips.

use crate::{ConfigError, Instant};

/// How one call ended, as a trip rule sees it. Ignored calls are never shown to a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The call failed.
    pub failed: bool,
    /// The call took longer than `slow_after`, however it ended.
    pub slow: bool,
}

/// What a rule's window holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Counts {
    /// Calls recorded.
    pub calls: u32,
    /// Of these, the failed ones.
    pub failures: u32,
}

/// Decides when a closed breaker trips. The rule is configuration and shared; what it remembers is its `Window`, kept
/// inline in each breaker and thrown away when the breaker leaves the closed state.
///
/// To write one's own: keep `record` free of loops over the window and of panics; it is called under the breaker's
/// lock.
pub trait TripRule: Copy + core::fmt::Debug {
    /// What is remembered per breaker.
    type Window: Clone + core::fmt::Debug;
    /// Nothing remembered.
    const EMPTY: Self::Window;

    /// Takes `sample` into `window` and says whether the rule is now met. The breaker trips on `true` only if the
    /// sample counts against the callee: a success never trips.
    fn record(&self, window: &mut Self::Window, sample: Sample, now: Instant) -> bool;

    /// What `window` holds.
    fn counts(&self, window: &Self::Window) -> Counts;
}

/// Trips after so many failures in a row. 4 bytes per breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Consecutive {
    threshold: u32,
}

impl Consecutive {
    /// Trips at the `threshold`th failure in a row.
    ///
    /// # Errors
    /// When `threshold` is zero.
    pub const fn new(threshold: u32) -> Result<Self, ConfigError> {
        if threshold == 0 {
            return Err(ConfigError::new("threshold", "the breaker would trip without a failure"));
        }
        Ok(Self { threshold })
    }
}

impl TripRule for Consecutive {
    type Window = u32;
    const EMPTY: u32 = 0;

    #[inline]
    fn record(&self, failures: &mut u32, sample: Sample, _now: Instant) -> bool {
        *failures = if sample.failed { failures.saturating_add(1) } else { 0 };
        *failures >= self.threshold
    }

    fn counts(&self, failures: &u32) -> Counts {
        Counts { calls: *failures, failures: *failures }
    }
}

/// The last outcomes as bits: `WORDS` x 32 of them at most. O(1) per outcome whatever its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct CountWindow<const WORDS: usize> {
    bits: [u32; WORDS],
    next: u16,
    calls: u16,
    failures: u16,
}

impl<const WORDS: usize> CountWindow<WORDS> {
    const EMPTY: Self = Self { bits: [0; WORDS], next: 0, calls: 0, failures: 0 };

    /// Puts `failed` in the place of the oldest of `size` outcomes.
    fn push(&mut self, failed: bool, size: u16) {
        let mask = 1 << (self.next & 31);
        // `next < size <= 32 * WORDS`, so there is such a word.
        let Some(word) = self.bits.get_mut(usize::from(self.next >> 5)) else { return };
        // Places never used are 0, so what leaves needs no check of whether the window was full.
        let left = u16::from(*word & mask != 0);
        *word = if failed { *word | mask } else { *word & !mask };
        self.failures = self.failures + u16::from(failed) - left;
        self.calls = if self.calls < size { self.calls + 1 } else { size };
        self.next = if self.next + 1 < size { self.next + 1 } else { 0 };
    }
}

/// Trips when, of the last `size` calls, at least so many permille failed; judged from `minimum_calls` on. `WORDS` x 4
/// + 6 bytes per breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FailureRate<const WORDS: usize> {
    permille: u16,
    size: u16,
    minimum_calls: u16,
}

impl<const WORDS: usize> FailureRate<WORDS> {
    /// Trips at `permille` failures among the last `size` calls, once `minimum_calls` of them are known.
    ///
    /// # Errors
    /// When a number is zero, `permille` is over 1000, `size` does not fit `WORDS` words of 32 bits, or `minimum_calls`
    /// is more than the window holds.
    pub const fn new(permille: u16, size: u16, minimum_calls: u16) -> Result<Self, ConfigError> {
        if permille == 0 || permille > 1_000 {
            return Err(ConfigError::new("permille", "from 1 to 1000"));
        }
        if size == 0 || size as usize > WORDS.saturating_mul(32) || size == u16::MAX {
            return Err(ConfigError::new("size", "from 1 to 32 times the words, and below 65535"));
        }
        if minimum_calls == 0 || minimum_calls > size {
            return Err(ConfigError::new("minimum_calls", "from 1 to the size of the window"));
        }
        Ok(Self { permille, size, minimum_calls })
    }
}

impl<const WORDS: usize> TripRule for FailureRate<WORDS> {
    type Window = CountWindow<WORDS>;
    const EMPTY: CountWindow<WORDS> = CountWindow::EMPTY;

    #[inline]
    fn record(&self, window: &mut CountWindow<WORDS>, sample: Sample, _now: Instant) -> bool {
        window.push(sample.failed, self.size);
        window.calls >= self.minimum_calls
            && u32::from(window.failures) * 1_000 >= u32::from(self.permille) * u32::from(window.calls)
    }

    fn counts(&self, window: &CountWindow<WORDS>) -> Counts {
        Counts { calls: window.calls.into(), failures: window.failures.into() }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::collections::VecDeque;

    fn sample(failed: bool) -> Sample {
        Sample { failed, slow: false }
    }

    #[test]
    fn a_window_counts_what_a_list_counts() {
        for size in [1, 2, 31, 32, 33, 50, 64] {
            let rule = FailureRate::<2>::new(400, size, size.div_ceil(2)).unwrap();
            let (mut window, mut list) = (FailureRate::<2>::EMPTY, VecDeque::new());
            for n in 0..500_u32 {
                let failed = crate::entropy::nth(u32::from(size), n) % 3 == 0;
                list.push_back(failed);
                if list.len() > usize::from(size) {
                    list.pop_front();
                }
                let met = rule.record(&mut window, sample(failed), Instant::EPOCH);
                let failures = list.iter().filter(|f| **f).count();
                assert_eq!(rule.counts(&window), Counts { calls: list.len() as u32, failures: failures as u32 });
                let enough = list.len() >= usize::from(size.div_ceil(2));
                assert_eq!(met, enough && failures * 1_000 >= 400 * list.len(), "size {size}, call {n}");
            }
        }
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        assert_eq!(Consecutive::new(0).unwrap_err().setting, "threshold");
        let setting = |p, s, m| FailureRate::<1>::new(p, s, m).unwrap_err().setting;
        assert_eq!(setting(0, 10, 1), "permille");
        assert_eq!(setting(1_001, 10, 1), "permille");
        assert_eq!(setting(500, 33, 1), "size");
        assert_eq!(setting(500, 0, 1), "size");
        assert_eq!(setting(500, 10, 0), "minimum_calls");
        assert_eq!(setting(500, 10, 11), "minimum_calls");
    }
}
