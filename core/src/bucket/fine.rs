//! Time finer than a nanosecond, so that 3 per second or 7e8 per second keep their rate for years.

use crate::Instant;

/// Nanoseconds and a fraction of 2^32: a span or a time since the epoch. Saturates at both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Fine {
    // Order matters: comparison goes field by field.
    nanos: u64,
    fraction: u32,
}

impl Fine {
    pub(crate) const ZERO: Self = Self { nanos: 0, fraction: 0 };
    const MAX: Self = Self { nanos: u64::MAX, fraction: u32::MAX };

    pub(crate) const fn new(nanos: u64, fraction: u32) -> Self {
        Self { nanos, fraction }
    }

    pub(crate) const fn from_instant(at: Instant) -> Self {
        Self::new(at.as_nanos(), 0)
    }

    /// The first whole nanosecond that is not earlier.
    pub(crate) const fn to_instant_up(self) -> Instant {
        Instant::from_nanos(self.nanos.saturating_add((self.fraction != 0) as u64))
    }

    pub(crate) const fn plus(self, span: Self) -> Self {
        let (fraction, carry) = self.fraction.overflowing_add(span.fraction);
        // 2^64 ns are reached only at the end of time; saturating twice is exact enough there.
        match self.nanos.checked_add(span.nanos) {
            Some(nanos) if nanos < u64::MAX => Self::new(nanos + carry as u64, fraction),
            _ => Self::MAX,
        }
    }

    pub(crate) const fn minus(self, span: Self) -> Self {
        let (fraction, borrow) = self.fraction.overflowing_sub(span.fraction);
        match self.nanos.checked_sub(span.nanos) {
            Some(nanos) if !(borrow && nanos == 0) => Self::new(nanos - borrow as u64, fraction),
            _ => Self::ZERO,
        }
    }

    /// `n` times this span; the caller has checked that it fits.
    pub(crate) const fn times(self, n: u32) -> Self {
        let fraction = self.fraction as u64 * n as u64;
        let nanos = self.nanos.saturating_mul(n as u64).saturating_add(fraction >> 32);
        #[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
        Self::new(nanos, fraction as u32)
    }

    /// In units of 2^-32 ns.
    #[cfg(test)]
    pub(crate) fn raw(self) -> u128 {
        (u128::from(self.nanos) << 32) | u128::from(self.fraction)
    }

    pub(crate) const fn nanos(self) -> u64 {
        self.nanos
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(f: Fine) -> u128 {
        f.raw()
    }

    #[test]
    fn agrees_with_128_bits() {
        let samples = [(0, 0), (0, 1), (1, u32::MAX), (7, 1 << 31), (1 << 40, 5), (u64::MAX - 1, 9), (u64::MAX, 0)]
            .map(|(n, f)| Fine::new(n, f));
        for a in samples {
            for b in samples {
                let sum = exact(a) + exact(b);
                if sum < u128::from(u64::MAX) << 32 {
                    assert_eq!(exact(a.plus(b)), sum);
                } else {
                    assert!(exact(a.plus(b)) >= u128::from(u64::MAX) << 32);
                }
                assert_eq!(exact(a.minus(b)), exact(a).saturating_sub(exact(b)));
                assert_eq!(a < b, exact(a) < exact(b));
            }
        }
        assert_eq!(exact(Fine::new(3, 1 << 31).times(3)), exact(Fine::new(10, 1 << 31)));
    }
}
