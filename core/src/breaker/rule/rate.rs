//! So many failed, or slow, of the calls in a window.

use core::ops::Range;
use core::time::Duration;

use super::super::window::{CountWindow, Tally, TimeWindow, Window};
use super::{Counts, Rate, Sample, TripRule};
use crate::{ConfigError, Instant};

/// A share of a window's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Limit<W> {
    window: W,
    permille: u16,
    minimum_calls: u32,
}

impl<W> Limit<W> {
    const fn new(window: W, permille: u16, minimum_calls: u32) -> Result<Self, ConfigError>
    where
        W: Copy,
    {
        if permille == 0 || permille > 1_000 {
            return Err(ConfigError::new("permille", "from 1 to 1000"));
        }
        if minimum_calls == 0 {
            return Err(ConfigError::new("minimum_calls", "a rate needs at least one call"));
        }
        Ok(Self { window, permille, minimum_calls })
    }

    /// By cross-multiplication, which cannot overflow: 32 by 16 bits.
    fn is_reached(&self, Tally { calls, bad }: Tally) -> bool {
        calls >= self.minimum_calls && u64::from(bad) * 1_000 >= u64::from(self.permille) * u64::from(calls)
    }
}

/// Both rules are the same but for what they look at.
macro_rules! rate_rule {
    ($(#[$doc:meta])* $name:ident, $field:ident, $counts:ident, $needs_slow:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        pub struct $name<W>(Limit<W>);

        impl<const WORDS: usize> $name<CountWindow<WORDS>> {
            /// Trips when at least `permille` of the last `size` calls count, once `minimum_calls` are known.
            ///
            /// # Errors
            /// When a number is zero, `permille` is over 1000, `size` does not fit `WORDS` words of 32 bits, or
            /// `minimum_calls` is more than the window holds.
            pub const fn of_last(size: u16, permille: u16, minimum_calls: u32) -> Result<Self, ConfigError> {
                if minimum_calls > size as u32 {
                    return Err(ConfigError::new("minimum_calls", "more calls than the window holds"));
                }
                match CountWindow::new(size) {
                    Ok(window) => match Limit::new(window, permille, minimum_calls) {
                        Ok(limit) => Ok(Self(limit)),
                        Err(error) => Err(error),
                    },
                    Err(error) => Err(error),
                }
            }
        }

        impl<const BUCKETS: usize> $name<TimeWindow<BUCKETS>> {
            /// Trips when at least `permille` of the calls within the last `span` count, once there are
            /// `minimum_calls`.
            ///
            /// # Errors
            /// When a number or the span is zero, or `permille` is over 1000.
            pub const fn within(span: Duration, permille: u16, minimum_calls: u32) -> Result<Self, ConfigError> {
                match TimeWindow::new(span) {
                    Ok(window) => match Limit::new(window, permille, minimum_calls) {
                        Ok(limit) => Ok(Self(limit)),
                        Err(error) => Err(error),
                    },
                    Err(error) => Err(error),
                }
            }
        }

        impl<W: Window> TripRule for $name<W> {
            type Memory = W::Memory;
            const EMPTY: W::Memory = W::EMPTY;
            const NEEDS_SLOW_AFTER: bool = $needs_slow;

            #[inline]
            fn record(&self, memory: &mut W::Memory, sample: Sample, now: Instant) -> bool {
                self.0.is_reached(self.0.window.push(memory, sample.$field, now))
            }

            fn counts(&self, memory: &W::Memory, now: Instant) -> Counts {
                let Tally { calls, bad } = self.0.window.tally(memory, now);
                Counts::$counts(Rate::of(bad, calls))
            }

            fn rests_at(&self, memory: &W::Memory) -> Option<Instant> {
                self.0.window.rests_at(memory)
            }

            fn alike(&self, memory: &W::Memory) -> Option<Range<Instant>> {
                self.0.window.alike(memory)
            }

            #[inline]
            fn enough(&self) -> u32 {
                self.0.window.enough()
            }

            fn record_good(&self, memory: &mut W::Memory, count: u32) {
                self.0.window.push_good(memory, count);
            }
        }
    };
}

rate_rule! {
    /// Trips when too great a share of recent calls failed.
    ///
    /// Over a [`CountWindow`] it looks at so many calls however old they are, over a [`TimeWindow`] at a span of time
    /// however many they are. `minimum_calls` keeps the first failure after a start from being 100 %.
    FailureRate, failed, of_failed, false
}

rate_rule! {
    /// Trips when too great a share of recent calls took longer than the breaker's `slow_after`, failed or not.
    SlowRate, slow, of_slow, true
}

#[cfg(test)]
#[allow(clippy::integer_division, reason = "a test may round")]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_refused_by_name() {
        let setting = |s, p, m| FailureRate::<CountWindow<1>>::of_last(s, p, m).unwrap_err().setting;
        assert_eq!(setting(10, 0, 1), "permille");
        assert_eq!(setting(10, 1_001, 1), "permille");
        assert_eq!(setting(33, 500, 1), "size");
        assert_eq!(setting(0, 500, 0), "size");
        assert_eq!(setting(10, 500, 0), "minimum_calls");
        assert_eq!(setting(10, 500, 11), "minimum_calls");
        let setting = |s, p, m| SlowRate::<TimeWindow<2>>::within(Duration::from_secs(s), p, m).unwrap_err().setting;
        assert_eq!(setting(0, 500, 1), "span");
        assert_eq!(setting(1, 0, 1), "permille");
        assert_eq!(setting(1, 500, 0), "minimum_calls");
        assert_eq!(FailureRate::<TimeWindow<0>>::within(Duration::from_secs(1), 1, 1).unwrap_err().setting, "span");
    }

    #[test]
    fn a_rate_is_the_share_rounded_down() {
        for (bad, calls, permille) in [(0, 1, 0), (1, 3, 333), (2, 3, 666), (3, 3, 1_000), (3, 5, 600)] {
            assert_eq!(Rate::of(bad, calls).permille, Some(permille));
        }
        assert_eq!(Rate::of(0, 0).permille, None);
        for bits in 1..32 {
            let all = u32::MAX >> (32 - bits);
            for bad in [0, all >> 1, all - 1, all] {
                let exact = u64::from(bad) * 1_000 / u64::from(all);
                let told = u64::from(Rate::of(bad, all).permille.unwrap());
                assert!(told.abs_diff(exact) <= 1, "{bad} of {all}: {told}, not {exact}");
            }
        }
    }
}
