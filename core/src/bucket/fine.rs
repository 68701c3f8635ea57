//! Time finer than a nanosecond, so that 3 per second or 7e8 per second keep their rate for years.

use crate::Instant;

/// Binary digits of a nanosecond's fraction.
pub(crate) const FRACTION_BITS: u32 = 24;

/// A span or a time since the epoch in units of 2^-24 ns, in 96 bits: 256 times what an [`Instant`] covers, so sums of a
/// few instants need no care. Saturates at both ends. In three words, so that it aligns to four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Fine {
    // Order matters: comparison goes field by field.
    high: u32,
    middle: u32,
    low: u32,
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
const fn low_half(n: u64) -> u32 {
    n as u32
}

const fn high_half(n: u64) -> u32 {
    (n >> 32) as u32
}

impl Fine {
    pub(crate) const ZERO: Self = Self::new(0, 0);
    const MAX: Self = Self::new(u32::MAX, u64::MAX);

    const fn new(high: u32, low: u64) -> Self {
        Self { high, middle: high_half(low), low: low_half(low) }
    }

    const fn low(self) -> u64 {
        (self.middle as u64) << 32 | self.low as u64
    }

    /// So many units of 2^-24 ns.
    pub(crate) const fn from_units(units: u64) -> Self {
        Self::new(0, units)
    }

    pub(crate) const fn from_nanos(nanos: u64) -> Self {
        Self::new(low_half(nanos >> (64 - FRACTION_BITS)), nanos << FRACTION_BITS)
    }

    pub(crate) const fn from_instant(at: Instant) -> Self {
        Self::from_nanos(at.as_nanos())
    }

    /// Whole nanoseconds, rounded down.
    pub(crate) const fn nanos(self) -> u64 {
        if self.high >> FRACTION_BITS != 0 {
            return u64::MAX;
        }
        (self.high as u64) << (64 - FRACTION_BITS) | self.low() >> FRACTION_BITS
    }

    /// The first instant that is not earlier; [`Instant::MAX`] when there is none.
    pub(crate) const fn to_instant_up(self) -> Instant {
        Instant::from_nanos(self.plus(Self::from_units((1 << FRACTION_BITS) - 1)).nanos())
    }

    pub(crate) const fn plus(self, span: Self) -> Self {
        let (low, carry) = self.low().overflowing_add(span.low());
        let high = self.high as u64 + span.high as u64 + carry as u64;
        if high_half(high) == 0 { Self::new(low_half(high), low) } else { Self::MAX }
    }

    pub(crate) const fn minus(self, span: Self) -> Self {
        let (low, borrow) = self.low().overflowing_sub(span.low());
        match (self.high as u64).checked_sub(span.high as u64 + borrow as u64) {
            Some(high) => Self::new(low_half(high), low),
            None => Self::ZERO,
        }
    }

    /// `self` times `n` as four words, the highest first.
    const fn product(self, n: u32) -> [u32; 4] {
        let low = self.low as u64 * n as u64;
        let middle = self.middle as u64 * n as u64 + high_half(low) as u64;
        let high = self.high as u64 * n as u64 + high_half(middle) as u64;
        [high_half(high), low_half(high), low_half(middle), low_half(low)]
    }

    pub(crate) const fn times(self, n: u32) -> Self {
        let [over, high, middle, low] = self.product(n);
        if over == 0 { Self { high, middle, low } } else { Self::MAX }
    }

    /// `self` times `n` / 2^32, rounded up.
    pub(crate) const fn share(self, n: u32) -> Self {
        let [high, middle, low, rest] = self.product(n);
        Self { high, middle, low }.plus(Self::from_units((rest != 0) as u64))
    }

    /// The share of `whole` that `self` is, times 2^32, rounded up; `None` when it is all of it or more.
    pub(crate) fn share_of(self, whole: Self) -> Option<u32> {
        let (mut rest, mut share) = (self, 0_u32);
        if rest >= whole {
            return None;
        }
        // Digit by digit, as on paper: a division would be a library call.
        for _ in 0..32 {
            rest = rest.plus(rest);
            share <<= 1;
            if rest >= whole {
                rest = rest.minus(whole);
                share |= 1;
            }
        }
        share.checked_add(u32::from(rest != Self::ZERO))
    }

    /// How many times `each` fits in, at most `limit`.
    pub(crate) fn whole(self, each: Self, limit: u32) -> u32 {
        let mut n = 0;
        for bit in (0..u32::BITS - limit.leading_zeros()).rev() {
            let more = n | 1 << bit;
            if more <= limit && each.times(more) <= self {
                n = more;
            }
        }
        n
    }

    /// Divided by `n` and rounded down, in whole units; `u64::MAX` when that is too many or `n` is zero.
    pub(crate) fn over(self, n: u32) -> u64 {
        let (mut rest, mut quotient) = (0_u64, 0_u64);
        for word in [self.high, self.middle, self.low] {
            for bit in (0..u32::BITS).rev() {
                rest = rest << 1 | u64::from(word >> bit & 1);
                let fits = rest >= n.into();
                rest -= if fits { n.into() } else { 0 };
                if quotient >> 63 != 0 {
                    return u64::MAX;
                }
                quotient = quotient << 1 | u64::from(fits);
            }
        }
        quotient
    }

    /// Rounded up to a multiple of 2^`bits` units; `bits` at most 24.
    pub(crate) const fn round_up(self, bits: u32) -> Self {
        let mask = (1 << bits) - 1;
        let up = self.plus(Self::from_units(mask));
        Self::new(up.high, up.low() & !mask)
    }

    /// In units of 2^(`bits` - 24) ns, rounded down; `None` when that does not fit. `bits` at most 24.
    pub(crate) const fn to_grains(self, bits: u32) -> Option<u64> {
        if self.high >> bits != 0 {
            return None;
        }
        // Shifting by all of the digits is not allowed.
        let high = if bits == 0 { 0 } else { (self.high as u64) << (64 - bits) };
        Some(high | self.low() >> bits)
    }

    /// The span of so many units of 2^(`bits` - 24) ns.
    #[cfg(target_has_atomic = "64")]
    pub(crate) const fn from_grains(grains: u64, bits: u32) -> Self {
        let high = if bits == 0 { 0 } else { low_half(grains >> (64 - bits)) };
        Self::new(high, grains << bits)
    }

    /// The words, to be kept in atomics.
    #[cfg(target_has_atomic = "64")]
    pub(crate) const fn to_words(self) -> (u64, u64) {
        (self.high as u64, self.low())
    }

    #[cfg(target_has_atomic = "64")]
    pub(crate) const fn from_words((high, low): (u64, u64)) -> Self {
        Self::new(low_half(high), low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u128 = 1 << 96;

    fn exact(f: Fine) -> u128 {
        (u128::from(f.high) << 64) | u128::from(f.low())
    }

    fn of(n: u128) -> Fine {
        Fine::new((n >> 64) as u32, n as u64)
    }

    fn samples() -> impl Iterator<Item = Fine> + Clone {
        let powers = (0..96).step_by(7).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1]);
        powers.chain([0xFFFF_FFFF, 0x1234_5678_9ABC_DEF0, LIMIT - 1, LIMIT - 2]).map(of)
    }

    fn pair(a: Fine, b: Fine) {
        assert_eq!(exact(a.plus(b)), (exact(a) + exact(b)).min(LIMIT - 1));
        assert_eq!(exact(a.minus(b)), exact(a).saturating_sub(exact(b)));
        assert_eq!(a < b, exact(a) < exact(b));
        if b > Fine::ZERO && exact(b) < LIMIT >> 1 {
            let share = (exact(a).min(exact(b)) << 32).div_ceil(exact(b));
            assert_eq!(a.share_of(b), u32::try_from(share).ok(), "{a:?} of {b:?}");
            if exact(b) < LIMIT >> 10 {
                assert_eq!(u128::from(a.whole(b, 1_000)), exact(a).checked_div(exact(b)).unwrap().min(1_000));
            }
        }
    }

    #[test]
    fn agrees_with_128_bits() {
        for a in samples() {
            samples().for_each(|b| pair(a, b));
            for n in [0, 1, 3, 0xFFFF, 0x8000_0001, u32::MAX] {
                let quotient = exact(a).checked_div(n.into()).unwrap_or(u128::MAX);
                assert_eq!(u128::from(a.over(n)), quotient.min(u64::MAX.into()));
                assert_eq!(exact(a.times(n)), exact(a).saturating_mul(n.into()).min(LIMIT - 1));
                assert_eq!(exact(a.share(n)), (exact(a) * u128::from(n)).div_ceil(1 << 32));
            }
            for bits in [0, 1, 9, 24] {
                if exact(a) < LIMIT - (1 << bits) {
                    assert_eq!(exact(a.round_up(bits)), exact(a).next_multiple_of(1 << bits));
                }
                let grains = u64::try_from(exact(a) >> bits).ok();
                assert_eq!(a.to_grains(bits), grains);
                if let Some(grains) = grains {
                    assert_eq!(exact(Fine::from_grains(grains, bits)), exact(a) >> bits << bits);
                }
            }
            assert_eq!(Fine::from_words(a.to_words()), a);
            assert_eq!(u128::from(a.nanos()), (exact(a) >> 24).min(u64::MAX.into()));
        }
    }

    #[test]
    fn instants_round_up() {
        for nanos in [0, 1, 1 << 40, u64::MAX - 2] {
            let whole = Fine::from_nanos(nanos);
            assert_eq!(whole.to_instant_up(), Instant::from_nanos(nanos));
            assert_eq!(whole.plus(Fine::from_units(1)).to_instant_up(), Instant::from_nanos(nanos + 1));
            assert_eq!(whole.nanos(), nanos);
        }
        assert_eq!(Fine::MAX.to_instant_up(), Instant::MAX);
    }
}
