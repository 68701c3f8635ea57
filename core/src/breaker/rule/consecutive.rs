//! So many failures in a row.

use super::{Counts, PACKED_BITS, Rate, Sample, TripRule};
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

    fn pack(&self, failures: &u32) -> Option<u64> {
        // It never counts beyond the threshold, since it trips there.
        (self.threshold >> PACKED_BITS == 0).then_some(u64::from(*failures))
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "it was packed from 32 bits")]
    fn unpack(&self, packed: u64) -> u32 {
        packed as u32
    }

    #[inline]
    fn record_packed(&self, packed: u64, sample: Sample) -> (u64, bool) {
        let failures = Self::after(self.unpack(packed), sample);
        (failures.into(), failures >= self.threshold)
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
