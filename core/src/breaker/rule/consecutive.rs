//! So many failures in a row.

use core::ops::Range;

use super::{Counts, Rate, Sample, TripRule};
use crate::{ConfigError, Instant};

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
    type Memory = u32;
    const EMPTY: u32 = 0;

    #[inline]
    fn record(&self, failures: &mut u32, sample: Sample, _now: Instant) -> bool {
        *failures = if sample.failed { failures.saturating_add(1) } else { 0 };
        *failures >= self.threshold
    }

    fn counts(&self, failures: &u32, _now: Instant) -> Counts {
        Counts::of_failed(Rate::of(*failures, *failures))
    }

    fn rests_at(&self, failures: &u32) -> Option<Instant> {
        (*failures == 0).then_some(Instant::EPOCH)
    }

    fn alike(&self, _failures: &u32) -> Option<Range<Instant>> {
        Some(Instant::EPOCH..Instant::MAX)
    }

    #[inline]
    fn enough(&self) -> u32 {
        1
    }

    fn record_good(&self, failures: &mut u32, count: u32) {
        if count > 0 {
            *failures = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_refused_by_name() {
        assert_eq!(Consecutive::new(0).unwrap_err().setting, "threshold");
    }
}
