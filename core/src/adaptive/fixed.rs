//! Limits with a fraction, shares of one, and logarithms: all without floats and without division.

use crate::entropy::scale;

/// A limit with a fraction of 2^16: what a [`LimitRule`](super::LimitRule) works on. Arithmetic stops at both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Estimate(u32);

impl Estimate {
    /// A whole number.
    #[must_use]
    pub const fn of(limit: u16) -> Self {
        Self((limit as u32) << 16)
    }

    /// Of that many parts in 65536.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// How many parts in 65536.
    #[must_use]
    pub const fn to_bits(self) -> u32 {
        self.0
    }

    /// Without the fraction.
    #[must_use]
    pub const fn whole(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// `n` more.
    #[must_use]
    pub const fn plus(self, n: u16) -> Self {
        Self(self.0.saturating_add(Self::of(n).0))
    }

    /// `n` less, but not below zero.
    #[must_use]
    pub const fn minus(self, n: u16) -> Self {
        Self(self.0.saturating_sub(Self::of(n).0))
    }

    /// That share of it.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "a share is at most one")]
    pub const fn times(self, share: Share) -> Self {
        Self(((self.0 as u64 * share.0 as u64) >> 16) as u32)
    }

    /// Moved that share of the way to `goal`.
    #[must_use]
    pub const fn toward(self, goal: Self, share: Share) -> Self {
        if goal.0 >= self.0 {
            Self(self.0 + Self(goal.0 - self.0).times(share).0)
        } else {
            Self(self.0 - Self(self.0 - goal.0).times(share).0)
        }
    }
}

/// From nothing to all, in parts of 65536.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Share(u32);

impl Share {
    /// All of it.
    pub const ONE: Self = Self(1 << 16);
    /// Half of it.
    pub const HALF: Self = Self(1 << 15);

    /// `permille` of it, rounded up to the next part of 65536; at most all.
    #[must_use]
    pub const fn of_permille(permille: u16) -> Self {
        let permille = if permille > 1_000 { 1_000 } else { permille as u32 };
        // Rounded up, so that nine tenths of thirty are twenty-seven and not a hair less.
        Self((permille << 16).div_ceil(1_000))
    }

    /// `part` of `whole`, rounded down; all of it if it is more. Bit by bit: a shift and a comparison each.
    #[must_use]
    pub const fn ratio(part: u64, whole: u64) -> Self {
        if part >= whole {
            return Self::ONE;
        }
        // Doubling what is left must not overflow.
        let excess = 1_u32.saturating_sub(whole.leading_zeros());
        let (mut rest, whole) = (part >> excess, whole >> excess);
        let (mut share, mut bits) = (0, 16);
        while bits > 0 {
            (rest, share, bits) = (rest << 1, share << 1, bits - 1);
            if rest >= whole {
                (rest, share) = (rest - whole, share | 1);
            }
        }
        Self(share)
    }
}

/// `value` times `permille` / 1000, ready to be multiplied with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Factor {
    whole: u32,
    /// Of 2^32, rounded up.
    fraction: u32,
}

impl Factor {
    #[expect(clippy::integer_division, clippy::cast_possible_truncation, reason = "configuration, not a decision")]
    pub(super) const fn of_permille(permille: u32) -> Self {
        let fraction = (((permille % 1_000) as u64) << 32).div_ceil(1_000);
        Self { whole: permille / 1_000, fraction: fraction as u32 }
    }

    /// At most the largest number.
    pub(super) const fn of(self, value: u64) -> u64 {
        value.saturating_mul(self.whole as u64).saturating_add(scale(value, self.fraction))
    }
}

/// 1/1, 1/2, ... 1/32 of 2^32, rounded up.
const RECIPROCALS: [u32; 32] = reciprocals();

#[expect(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "while compiling; 1/1 is a hair less")]
const fn reciprocals() -> [u32; 32] {
    let mut of = [u32::MAX; 32];
    let mut n = 2;
    while n <= of.len() {
        of[n - 1] = (1_u64 << 32).div_ceil(n as u64) as u32;
        n += 1;
    }
    of
}

/// `sum` divided by `n`, to about 2^-32 of it. More than 32 count as 32, none as one.
pub(super) fn mean(sum: u64, n: u8) -> u64 {
    let index = usize::from(n).saturating_sub(1).min(RECIPROCALS.len() - 1);
    RECIPROCALS.get(index).map_or(sum, |reciprocal| if index == 0 { sum } else { scale(sum, *reciprocal) })
}

/// The decimal logarithm of `n` rounded down, but at least one.
#[must_use]
pub const fn log10(n: u16) -> u16 {
    1 + (n >= 100) as u16 + (n >= 1_000) as u16 + (n >= 10_000) as u16
}

/// `log10(2)` of 2^32.
const LOG10_2: u32 = 1_292_913_986;

/// The decimal logarithm of `n`, in parts of 65536, rounded; of zero as of one. The binary one, digit by digit:
/// squaring doubles it, and each carry is a digit.
#[expect(clippy::cast_possible_truncation, reason = "at most 16 * 65536")]
pub(super) const fn log10_fine(n: u16) -> u32 {
    let n = if n == 0 { 1 } else { n as u32 };
    let whole = n.ilog2();
    let mut mantissa = (n << (31 - whole)) as u64; // from 2^31 to below 2^32
    let (mut log, mut digits) = (whole, 0);
    while digits < 20 {
        mantissa = (mantissa * mantissa) >> 31;
        let carry = mantissa >> 32;
        mantissa >>= carry;
        (log, digits) = ((log << 1) | carry as u32, digits + 1);
    }
    ((scale(log as u64, LOG10_2) + 8) >> 4) as u32
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss, clippy::cast_sign_loss, clippy::integer_division, reason = "a test may round")]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn whole_results_are_exact() {
        for limit in 0..=u16::MAX {
            assert_eq!(Estimate::of(limit).whole(), limit);
            assert_eq!(Estimate::of(limit).times(Share::ONE), Estimate::of(limit));
        }
        for tens in 0..1_000 {
            let nine_tenths = Estimate::of(tens * 10).times(Share::of_permille(900));
            assert_eq!(nine_tenths.whole(), tens * 9);
        }
    }

    #[test]
    fn ends_hold() {
        assert_eq!(Estimate::of(u16::MAX).plus(1).to_bits(), u32::MAX);
        assert_eq!(Estimate::of(3).minus(4), Estimate::of(0));
        assert_eq!(Share::of_permille(u16::MAX), Share::ONE);
        assert_eq!(Factor::of_permille(100_000).of(u64::MAX), u64::MAX);
        let (low, high) = (Estimate::of(0), Estimate::of(u16::MAX));
        assert_eq!((low.toward(high, Share::ONE), high.toward(low, Share::ONE)), (high, low));
        assert_eq!(Estimate::of(10).toward(Estimate::of(20), Share::HALF), Estimate::of(15));
        assert_eq!(Estimate::of(20).toward(Estimate::of(10), Share::HALF), Estimate::of(15));
    }

    #[test]
    fn ratios_are_those_of_long_division() {
        for whole in [1, 2, 3, 7, 1_000, 999_983, u64::MAX >> 1, u64::MAX] {
            for part in [0, 1, 2, 500, 999_982, u64::MAX / 3, u64::MAX - 1, u64::MAX] {
                let exact = ((u128::from(part) << 16) / u128::from(whole)).min(1 << 16);
                let told = Share::ratio(part, whole).0;
                assert!(u128::from(told).abs_diff(exact) <= 1, "{part} of {whole}: {told}, not {exact}");
            }
        }
    }

    #[test]
    fn factors_are_those_of_the_permille() {
        for permille in [0, 1, 333, 1_000, 1_500, 99_999] {
            for value in [0, 1, 1_000, 123_456_789_012] {
                let exact = value * u64::from(permille) / 1_000;
                assert!(Factor::of_permille(permille).of(value).abs_diff(exact) <= 1 + (value >> 32));
            }
        }
    }

    #[test]
    fn means_are_those_of_division() {
        for n in 1..=32_u8 {
            for sum in [0, 1, 999, 123_456_789_012, 1 << 53] {
                let (told, exact) = (mean(sum, n), sum / u64::from(n));
                assert!(told.abs_diff(exact) <= 1 + (sum >> 32), "{sum} of {n}: {told}, not {exact}");
            }
        }
        assert_eq!((mean(64, 0), mean(64, 33)), (64, 2));
    }

    #[test]
    #[cfg_attr(miri, ignore = "its floats are off by chance, and whole logarithms must not be")]
    fn logarithms_are_those_of_floats() {
        for n in 1..=u16::MAX {
            let exact = f64::from(n).log10();
            assert_eq!(log10(n), (exact as u16).max(1), "{n}");
            let told = f64::from(log10_fine(n)) / 65_536.0;
            assert!((exact - told).abs() < 0.6 / 65_536.0, "{n}: {told}, not {exact}");
        }
        assert_eq!(log10_fine(0), 0);
    }
}
