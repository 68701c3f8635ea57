//! Between embassy's ticks and fusebox's nanoseconds.

const NANOS_PER_SEC: u64 = 1_000_000_000;

/// A tick rate. `1e9 / HZ` is reduced while compiling, so that small cores do not divide to read the clock.
pub(crate) struct Rate<const HZ: u64>;

impl<const HZ: u64> Rate<HZ> {
    /// `NANOS` nanoseconds are `TICKS` ticks, and no smaller numbers will do.
    const NANOS: u64 = reduced(NANOS_PER_SEC, HZ);
    const TICKS: u64 = reduced(HZ, NANOS_PER_SEC);
    /// Beyond this a product with `NANOS` overflows.
    const MOST_TICKS: u64 = floor_div(u64::MAX, Self::NANOS);
    const MOST_NANOS: u64 = floor_div(u64::MAX, Self::TICKS);

    /// The nanoseconds at which tick `ticks` begins, rounded down, at most `u64::MAX`.
    ///
    /// One multiplication at rates that divide 1e9; a shift more at the others whose `TICKS` is a power of two
    /// (32 768 Hz); only odd rates pay for a division.
    #[inline]
    pub(crate) const fn nanos(ticks: u64) -> u64 {
        if ticks <= Self::MOST_TICKS {
            return Self::per_ticks(ticks * Self::NANOS);
        }
        if Self::TICKS == 1 {
            return u64::MAX;
        }
        // Years from now: the same in two parts.
        let whole = Self::per_ticks(ticks);
        let rest = ticks - whole * Self::TICKS;
        whole.saturating_mul(Self::NANOS).saturating_add(Self::per_ticks(rest * Self::NANOS))
    }

    /// The first tick that is not before `nanos`, at most `u64::MAX`. Divides: once per sleep, not per look at the
    /// clock.
    #[inline]
    pub(crate) const fn ticks_up(nanos: u64) -> u64 {
        if nanos <= Self::MOST_NANOS {
            return (nanos * Self::TICKS).div_ceil(Self::NANOS);
        }
        let whole = floor_div(nanos, Self::NANOS);
        let rest = nanos - whole * Self::NANOS;
        whole.saturating_mul(Self::TICKS).saturating_add((rest * Self::TICKS).div_ceil(Self::NANOS))
    }

    #[inline]
    const fn per_ticks(value: u64) -> u64 {
        if Self::TICKS.is_power_of_two() {
            value >> Self::TICKS.trailing_zeros()
        } else {
            floor_div(value, Self::TICKS)
        }
    }
}

#[inline]
#[expect(clippy::integer_division, reason = "rounding down is what it is for")]
const fn floor_div(value: u64, by: u64) -> u64 {
    value / by
}

/// `a` without what it has in common with `b`.
const fn reduced(a: u64, b: u64) -> u64 {
    let (mut divisor, mut rest) = (a, b);
    while rest != 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    floor_div(a, divisor)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against 128-bit arithmetic, at both ends and around every power of two.
    fn exact<const HZ: u64>() {
        let around = |bit: u32| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1];
        let samples = (0..64).flat_map(around).chain([u64::MAX - 1, u64::MAX]).chain([Rate::<HZ>::MOST_TICKS]);
        for n in samples.chain([Rate::<HZ>::MOST_TICKS.saturating_add(1), Rate::<HZ>::MOST_NANOS]) {
            let (wide, hz, second) = (u128::from(n), u128::from(HZ), u128::from(NANOS_PER_SEC));
            let floor = |value: u128| u64::try_from(value).unwrap_or(u64::MAX);
            assert_eq!(Rate::<HZ>::nanos(n), floor((wide * second).div_euclid(hz)), "{n} ticks at {HZ} Hz");
            assert_eq!(Rate::<HZ>::ticks_up(n), floor((wide * hz).div_ceil(second)), "{n} ns at {HZ} Hz");
        }
    }

    #[test]
    fn conversions_are_exact_at_every_kind_of_rate() {
        exact::<1>();
        exact::<1_000>();
        exact::<1_000_000>();
        exact::<1_000_000_000>();
        exact::<32_768>();
        exact::<1_024_000>();
        exact::<12_000_000>(); // nanoseconds per tick are no whole number, nor is TICKS a power of two
        exact::<1_310_720_000>();
    }

    #[test]
    fn a_sleep_never_ends_before_its_instant() {
        for nanos in (0..2_000_000).step_by(997) {
            assert!(Rate::<32_768>::nanos(Rate::<32_768>::ticks_up(nanos)) >= nanos);
            assert!(Rate::<12_000_000>::nanos(Rate::<12_000_000>::ticks_up(nanos)) >= nanos);
        }
    }

    #[test]
    fn common_rates_need_no_division() {
        assert_eq!((Rate::<1_000_000>::NANOS, Rate::<1_000_000>::TICKS), (1_000, 1));
        assert_eq!((Rate::<32_768>::NANOS, Rate::<32_768>::TICKS), (1_953_125, 64));
    }
}
