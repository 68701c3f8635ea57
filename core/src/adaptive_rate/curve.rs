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
        let share = |permille: u64| (permille << 32) / 1_000;
        let _ = share;
        Self { beta: 0, scale: 0, steps: 0 }
    }
}
