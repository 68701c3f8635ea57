//! The curve, in integers. Seconds have a fraction of 2^20 and stop at 4096, their cubes have one of 2^28.

use super::Rate;
use crate::entropy::scale;

/// Beta and the scale, ready to be multiplied with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Shape {
    /// Of 2^32.
    beta: u32,
    /// Of 2^32.
    scale: u32,
    /// (1 - beta) / scale, of 2^24.
    steps: u32,
}

/// Where a throttled call has put the curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Curve {
    /// The rate that was throttled: w.
    pub(super) peak: Rate,
    /// When it is back there: k.
    back: u32,
}

/// 2^20 / 10^9 of 2^32: seconds in a nanosecond.
const SECONDS: u32 = 4_503_600;

fn seconds(nanos: u64) -> u32 {
    u32::try_from(scale(nanos, SECONDS)).unwrap_or(u32::MAX)
}

fn cube(seconds: u32) -> u64 {
    scale(u64::from(seconds) * u64::from(seconds), seconds)
}

/// The largest number whose cube is no more than that, digit by digit.
fn cube_root(of: u64) -> u32 {
    (0..u32::BITS).rev().fold(0, |root, bit| if cube(root | 1 << bit) <= of { root | 1 << bit } else { root })
}

impl Shape {
    #[expect(clippy::integer_division, clippy::cast_possible_truncation, reason = "configuration; below 2^32")]
    pub(super) const fn new(beta: u16, scale: u16) -> Self {
        let steps = (1_000 - beta as u64) << 24;
        Self { beta: share(beta), scale: share(scale), steps: (steps / scale as u64) as u32 }
    }

    /// What is left of `rate` after a throttled call.
    pub(super) fn lowered(&self, rate: Rate) -> Rate {
        Rate::at_most(scale(rate.0.into(), self.beta))
    }

    /// The curve after a call was throttled at the rate `peak`.
    pub(super) fn curve(&self, peak: Rate) -> Curve {
        Curve { peak, back: cube_root((u64::from(peak.0) * u64::from(self.steps)) >> 8) }
    }

    /// The rate so many nanoseconds later.
    pub(super) fn rate(&self, curve: Curve, nanos: u64) -> Rate {
        let (time, peak) = (seconds(nanos), u64::from(curve.peak.0));
        let away = scale(cube(time.abs_diff(curve.back)), self.scale) >> 16;
        Rate::at_most(if time < curve.back { peak.saturating_sub(away) } else { peak.saturating_add(away) })
    }
}

impl Curve {
    /// How many nanoseconds later it is back at its peak.
    pub(super) const fn back_nanos(self) -> u64 {
        (self.back as u64 * 1_000_000_000) >> 20
    }
}

/// `permille` of 1000, of 2^32, rounded up, so that 7/10 of ten are seven and not a hair less; all of it is a hair less.
#[expect(clippy::cast_possible_truncation, reason = "all of it stops at the maximum")]
const fn share(permille: u16) -> u32 {
    if permille < 1_000 { ((permille as u64) << 32).div_ceil(1_000) as u32 } else { u32::MAX }
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss, clippy::many_single_char_names, reason = "as in the formula")]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn roots_are_the_largest_that_fit() {
        let sevens = (0..20).scan(1_u64, |n, _| n.checked_mul(7).inspect(|next| *n = *next));
        for n in [0, 1, 2, 1 << 28, (1 << 28) - 1, 1 << 58, u64::MAX].into_iter().chain(sevens) {
            let root = cube_root(n);
            assert!(cube(root) <= n, "{n}");
            assert!(root == u32::MAX || cube(root + 1) > n, "{n}");
        }
        assert_eq!((cube_root(8 << 28), cube(3 << 20)), (2 << 20, 27 << 28));
    }

    #[test]
    fn curves_are_those_of_floats() {
        for (beta, scale) in [(700, 400), (600, 400), (1, 10), (999, 1_000), (1, 1_000), (999, 10), (500, 77)] {
            let shape = Shape::new(beta, scale);
            let (b, c) = (f64::from(beta) / 1e3, f64::from(scale) / 1e3);
            for bits in [0, 1, 100, 4_096, 40_960, 1 << 20, 1 << 28, u32::MAX] {
                let (curve, w) = (shape.curve(Rate(bits)), f64::from(bits));
                let k = (w / 4_096.0 * (1.0 - b) / c).cbrt();
                let off = (curve.back_nanos() as f64 / 1e9).powi(3) - k.powi(3);
                assert!(off.abs() <= 4e-5 * k.powi(3) + 8e-9, "{beta} {scale} {bits}: {curve:?}, not {k}");
                let lowered = f64::from(shape.lowered(Rate(bits)).0);
                assert!((lowered - b * w).abs() <= 1.0 + 1e-9 * w, "{lowered}, not {}", b * w);
                for share in [0.0, 0.5, 0.9, 1.0, 1.1, 2.0, 10.0] {
                    let t = core::time::Duration::from_secs_f64(k * share);
                    let exact = (w + c * (t.as_secs_f64() - k).powi(3) * 4_096.0).clamp(0.0, f64::from(u32::MAX));
                    let told = f64::from(shape.rate(curve, crate::nanos(t)).0);
                    assert!(
                        (told - exact).abs() <= 2.0 + 1e-4 * exact.max(w),
                        "{shape:?} {bits} {t:?}: {told} {exact}"
                    );
                }
            }
        }
    }

    #[test]
    fn ends_hold() {
        let shape = Shape::new(700, 400);
        let curve = shape.curve(Rate(u32::MAX));
        assert_eq!(shape.rate(curve, u64::MAX), Rate(u32::MAX));
        assert_eq!(shape.rate(shape.curve(Rate(0)), 0), Rate(0));
        assert_eq!(seconds(u64::MAX), u32::MAX);
        assert_eq!((share(1_000), share(500), share(0)), (u32::MAX, 1 << 31, 0));
        assert_eq!(shape.lowered(Rate(10 << 12)), Rate(7 << 12));
    }
}
