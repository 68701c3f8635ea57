//! Counts of latencies by their size.

/// 1.024 us each below four, then four per power of two, then this one for all from 2^37 ns on.
pub(super) const LAST: u32 = 104;

const BUCKETS: usize = LAST as usize + 1;

/// As many latencies a window holds: two windows fit the 16 bits that the product limit works with.
pub(super) const FULL: u16 = 32_767;

/// From here on latencies are not told apart, in units of 1.024 us.
const TOP: u32 = 1 << 27;

/// The bucket of a latency.
#[inline]
const fn bucket(nanos: u64) -> u32 {
    let units = nanos >> 10;
    #[expect(clippy::cast_possible_truncation, reason = "the smaller one fits")]
    let units = if units < TOP as u64 { units as u32 } else { TOP };
    if units < 4 {
        return units;
    }
    let log = u32::BITS - 1 - units.leading_zeros();
    // Two bits below the highest one.
    ((log - 1) << 2) + ((units >> (log - 2)) & 3)
}

/// Where a bucket begins, in nanoseconds; where the one before ends.
pub(super) const fn begin(bucket: u32) -> u64 {
    let units = if bucket < 4 { bucket as u64 } else { (4 | (bucket & 3) as u64) << ((bucket >> 2) - 1) };
    units << 10
}

/// The latencies of a while.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Window {
    ended: [u16; BUCKETS],
    censored: [u16; BUCKETS],
    total: u16,
    total_censored: u16,
}

impl Window {
    pub(super) const EMPTY: Self = Self { ended: [0; BUCKETS], censored: [0; BUCKETS], total: 0, total_censored: 0 };

    /// One more that ended; only while it is not full.
    #[inline]
    pub(super) fn add_ended(&mut self, nanos: u64) {
        if let Some(count) = self.ended.get_mut(bucket(nanos) as usize) {
            *count += 1;
            self.total += 1;
        }
    }

    /// One more that was dropped; only while it is not full.
    #[inline]
    pub(super) fn add_censored(&mut self, nanos: u64) {
        if let Some(count) = self.censored.get_mut(bucket(nanos) as usize) {
            *count += 1;
            self.total += 1;
            self.total_censored += 1;
        }
    }

    pub(super) const fn is_full(&self) -> bool {
        self.total >= FULL
    }

    pub(super) fn total(&self) -> u32 {
        self.total.into()
    }

    pub(super) fn censored(&self) -> u32 {
        self.total_censored.into()
    }

    /// How many ended and how many were dropped, bucket by bucket.
    pub(super) fn counts(&self) -> impl Iterator<Item = (u32, u32)> {
        self.ended.iter().zip(&self.censored).map(|(ended, censored)| (u32::from(*ended), u32::from(*censored)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_latency_lies_in_its_bucket() {
        let ends = (0..64).flat_map(|log| [0, 1, 2, 3].map(|k| (4_u64 | k) << log >> 2));
        for nanos in ends.flat_map(|n| [n.saturating_sub(1), n, n + 1]).chain([u64::MAX]) {
            let at = bucket(nanos);
            assert!((at as usize) < BUCKETS);
            assert!(begin(at) <= nanos, "{nanos} in {at}");
            assert!(nanos < begin(at + 1) || at as usize == BUCKETS - 1, "{nanos} in {at}");
        }
    }

    #[test]
    fn a_bucket_is_at_most_a_quarter_wide() {
        assert_eq!([0, 1, 3, 4, 5, 8].map(begin), [0, 1_024, 3_072, 4_096, 5_120, 8_192]);
        assert!((4..104).all(|at| (begin(at + 1) - begin(at)) * 4 <= begin(at)));
        assert_eq!(begin(104), 1 << 37);
    }
}
