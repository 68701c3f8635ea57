//! Who is far below the mean: exactly, in integers, without a square root.

/// A rate of one. Rates are kept in steps of 1/4096, so that the squares over 1024 endpoints fit 64 bits.
pub(super) const ONE: u32 = 4_096;

/// The success rate, to the nearest step. Without calls it is one.
pub(super) fn rate(calls: u32, failures: u32) -> u32 {
    // Below 2^19 calls nothing overflows; above, a few bits less do not show in 4096ths.
    let shift = 13_u32.saturating_sub(calls.leading_zeros());
    let successes = calls.saturating_sub(failures) >> shift;
    let calls = calls >> shift;
    (successes * ONE + (calls >> 1)).checked_div(calls).unwrap_or(ONE)
}

/// The rates of all that are judged, summed up. At most 1024 of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Crowd {
    n: u32,
    sum: u32,
    squares: u64,
}

impl Crowd {
    pub(super) fn of(rates: impl Iterator<Item = u32>) -> Self {
        rates.fold(Self::default(), |crowd, rate| Self {
            n: crowd.n + 1,
            sum: crowd.sum + rate,
            squares: crowd.squares + u64::from(rate) * u64::from(rate),
        })
    }

    pub(super) const fn len(&self) -> u32 {
        self.n
    }

    /// `rate < mean - factor x stdev`, both sides times `n`, squared, and times the factor's 1000 squared.
    pub(super) fn is_outlier(&self, rate: u32, stdev_permille: u16) -> bool {
        let (n, sum, factor) = (u64::from(self.n), u64::from(self.sum), u64::from(stdev_permille));
        // At most 1024 x 4096 = 2^22, so that the left side is below 2^64.
        let shortfall = sum.saturating_sub(n * u64::from(rate));
        let spread = (n * self.squares).saturating_sub(sum * sum);
        // Where the right side stops at its maximum it is still above any left side.
        shortfall * shortfall * 1_000_000 > (factor * factor).saturating_mul(spread)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::entropy::nth;
    use std::vec::Vec;

    /// Deviations summed one by one, in 128 bits: another way to the same test.
    fn is_outlier(rates: &[u32], rate: u32, permille: u16) -> bool {
        let n = rates.len() as i128;
        let sum: i128 = rates.iter().map(|r| i128::from(*r)).sum();
        let deviations: i128 = rates.iter().map(|r| (n * i128::from(*r) - sum).pow(2)).sum();
        let shortfall = sum - n * i128::from(rate);
        shortfall > 0 && shortfall.pow(2) * n * 1_000_000 > i128::from(permille).pow(2) * deviations
    }

    #[test]
    fn agrees_with_128_bits() {
        let mut outliers = 0;
        for n in 0..20_000 {
            let size = [1, 2, 3, 5, 8, 40, 1_024][n as usize % 7];
            let spread = [1, 2, 40, 4_097][nth(1, n) as usize % 4];
            let low = nth(2, n) % (ONE + 1);
            let at = |i| if i == 0 { low } else { ONE - nth(n, i) % spread };
            let rates: Vec<u32> = (0..if n % 50 == 6 { size } else { size.min(40) }).map(at).collect();
            let permille = [1, 500, 1_000, 1_900, 4_000, u16::MAX][nth(3, n) as usize % 6];
            let real = Crowd::of(rates.iter().copied()).is_outlier(low, permille);
            assert_eq!(real, is_outlier(&rates, low, permille), "{rates:?}, {permille}");
            outliers += u32::from(real);
        }
        assert!(outliers > 5_000, "{outliers}");
    }

    #[test]
    fn the_largest_sums_fit() {
        let half = |zeros: usize| Crowd::of((0..1_024).map(|i| if i < zeros { 0 } else { ONE }));
        for zeros in [0, 1, 2, 512, 1_023, 1_024] {
            for permille in [1, 1_000, 1_900, u16::MAX] {
                let rates: Vec<u32> = (0..1_024).map(|i| if i < zeros { 0 } else { ONE }).collect();
                for rate in [0, 1, ONE] {
                    assert_eq!(half(zeros).is_outlier(rate, permille), is_outlier(&rates, rate, permille));
                }
            }
        }
    }

    #[test]
    fn the_edge_is_exclusive() {
        let two = Crowd::of([2_000, 4_000].into_iter()); // mean 3000, standard deviation 1000
        assert!(!two.is_outlier(2_000, 1_000), "on the edge");
        assert!(two.is_outlier(2_000, 999));
        assert!(two.is_outlier(1_999, 1_000));
        let equal = Crowd::of([7, 7, 7].into_iter());
        assert!(!equal.is_outlier(7, 1), "equal rates have no outlier");
    }

    #[test]
    #[allow(clippy::integer_division, reason = "the remainder is meant to go")]
    fn rates_are_the_nearest_step() {
        for n in 0..100_000 {
            let calls = (nth(1, n) >> (nth(2, n) % 32)).max(1);
            let failures = nth(3, n) % calls.saturating_add(u32::from(calls < u32::MAX));
            let real = rate(calls, failures);
            let (good, all) = (u64::from(calls - failures), u64::from(calls));
            let nearest = ((good * 2 * u64::from(ONE) + all) / (2 * all)) as u32;
            if calls < 1 << 19 {
                assert_eq!(real, nearest, "{failures} of {calls}");
            } else {
                assert!(real.abs_diff(nearest) <= 1 && real <= ONE, "{failures} of {calls}");
            }
        }
        assert_eq!(rate(0, 0), ONE);
        assert_eq!((rate(u32::MAX, 0), rate(u32::MAX, u32::MAX)), (ONE, 0));
    }
}
