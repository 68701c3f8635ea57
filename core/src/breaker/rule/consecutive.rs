//! So many failures in a row.

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

    const fn after(failures: u32, sample: Sample) -> u32 {
        if sample.failed { failures.saturating_add(1) } else { 0 }
    }
}

impl TripRule for Consecutive {
    type Memory = u32;
    const EMPTY: u32 = 0;

    #[inline]
    fn record(&self, failures: &mut u32, sample: Sample, _now: Instant) -> bool {
        *failures = Self::after(*failures, sample);
        *failures >= self.threshold
    }

    fn counts(&self, failures: &u32, _now: Instant) -> Counts {
        Counts::of_failed(Rate::of(*failures, *failures))
    }

    fn rests_at(&self, failures: &u32) -> Option<Instant> {
        (*failures == 0).then_some(Instant::EPOCH)
    }

    #[inline]
    fn record_packed(&self, bits: u64, sample: Sample) -> Option<(u64, bool)> {
        let failures = Self::after(self.unpack(bits), sample);
        Some((failures.into(), failures >= self.threshold))
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "record_packed made them from a u32")]
    fn unpack(&self, bits: u64) -> u32 {
        bits as u32
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
