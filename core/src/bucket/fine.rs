//! Time in parts of a nanosecond, so that 3 per second or 7e8 per second keep their rate for years.

/// A time since the epoch or a span, in units of which a quota has so many to a nanosecond. 96 bits: a quota has no more
/// than 2^22 of them, so there is room for a thousand times what an instant covers, and sums of a few need no care.
/// Saturates at both ends. In three words, so that it aligns to four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Fine {
    // Order matters: comparison goes field by field.
    high: u32,
    middle: u32,
    low: u32,
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
pub(crate) const fn low_half(n: u64) -> u32 {
    n as u32
}

pub(crate) const fn high_half(n: u64) -> u32 {
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

    pub(crate) const fn from_units(units: u64) -> Self {
        Self::new(0, units)
    }

    /// `None` when there are too many.
    pub(crate) const fn units(self) -> Option<u64> {
        if self.high == 0 { Some(self.low()) } else { None }
    }

    /// `nanos` nanoseconds of `parts` units each.
    pub(crate) const fn from_nanos(nanos: u64, parts: u32) -> Self {
        Self::from_units(nanos).times(parts)
    }

    /// Whole nanoseconds of `parts` units each, rounded down; `u64::MAX` when there are too many.
    pub(crate) const fn nanos(self, parts: u32) -> u64 {
        if parts == 1 && self.high == 0 { self.low() } else { self.over(parts) }
    }

    /// The same, rounded up.
    pub(crate) const fn nanos_up(self, parts: u32) -> u64 {
        self.plus(Self::from_units(parts as u64 - 1)).nanos(parts)
    }

    /// Whether it is no less than `other`.
    pub(crate) const fn covers(self, other: Self) -> bool {
        self.high > other.high || self.high == other.high && self.low() >= other.low()
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

    /// The same; `n` may be 2^32, which is all of it.
    pub(crate) const fn share_up(self, n: u64) -> Self {
        if high_half(n) == 0 { self.share(low_half(n)) } else { self }
    }

    /// The share of `whole` that `self` is, times 2^`digits`, rounded down, and whether that left something; `None` when
    /// it is all of it or more.
    ///
    /// Digit by digit, as on paper: a division would be a library call.
    pub(crate) const fn share_of(self, whole: Self, mut digits: u32) -> Option<(u64, bool)> {
        let (mut rest, mut share) = (self, 0);
        if rest.covers(whole) {
            return None;
        }
        while digits > 0 {
            digits -= 1;
            rest = rest.plus(rest);
            share <<= 1;
            if rest.covers(whole) {
                rest = rest.minus(whole);
                share |= 1;
            }
        }
        Some((share, rest.high != 0 || rest.low() != 0))
    }

    /// Divided by `n` and rounded down, in whole units; `u64::MAX` when that is too many or `n` is zero.
    pub(crate) const fn over(self, n: u32) -> u64 {
        let (mut words, mut rest, mut quotient, mut left) = ([self.high, self.middle, self.low], 0_u64, 0_u64, 96);
        while left > 0 {
            let [high, middle, low] = words;
            rest = rest << 1 | (high >> 31) as u64;
            words = [high << 1 | middle >> 31, middle << 1 | low >> 31, low << 1];
            if quotient >> 63 != 0 {
                return u64::MAX;
            }
            quotient <<= 1;
            if rest >= n as u64 {
                rest -= n as u64;
                quotient |= 1;
            }
            left -= 1;
        }
        quotient
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
        assert_eq!((a < b, a.covers(b)), (exact(a) < exact(b), exact(a) >= exact(b)));
        if b > Fine::ZERO && exact(b) < LIMIT >> 1 {
            for digits in [30, 32] {
                let share = (exact(a) << digits).checked_div(exact(b)).unwrap();
                let left = !(exact(a) << digits).is_multiple_of(exact(b));
                let expected = (a < b).then_some((share as u64, left));
                assert_eq!(a.share_of(b, digits), expected, "{a:?} of {b:?}");
            }
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
                assert_eq!((a.share_up(n.into()), a.share_up(1 << 32)), (a.share(n), a));
            }
            assert_eq!(Fine::from_words(a.to_words()), a);
            assert_eq!(a.units(), u64::try_from(exact(a)).ok());
        }
    }

    #[test]
    fn nanoseconds_round() {
        for nanos in [0, 1, 1 << 40, u64::MAX - 2] {
            for parts in [1, 7, 1 << 22] {
                let fine = Fine::from_nanos(nanos, parts);
                assert_eq!(exact(fine), u128::from(nanos) * u128::from(parts));
                assert_eq!((fine.nanos(parts), fine.nanos_up(parts)), (nanos, nanos));
                let more = fine.plus(Fine::from_units(1));
                assert_eq!((more.nanos(parts), more.nanos_up(parts)), (nanos + u64::from(parts == 1), nanos + 1));
            }
        }
        assert_eq!((Fine::MAX.nanos(7), Fine::MAX.nanos_up(1)), (u64::MAX, u64::MAX));
    }
}
