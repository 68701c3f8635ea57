//! Polly's smooth exponential curve, in whole numbers.

use super::Schedule;
use crate::entropy::scale;

/// A curve behind a pointer, so that a program which does not use it does not contain it.
#[derive(Clone, Copy)]
pub(super) struct Curve(fn(u64, &mut Schedule, u32) -> u64);

impl Curve {
    pub(super) const SMOOTH: Self = Self(smooth);

    /// The next delay, jitter included; moves `schedule` on.
    pub(super) fn draw(self, first: u64, schedule: &mut Schedule, entropy: u32) -> u64 {
        (self.0)(first, schedule, entropy)
    }
}

impl PartialEq for Curve {
    fn eq(&self, other: &Self) -> bool {
        core::ptr::fn_addr_eq(self.0, other.0)
    }
}

impl Eq for Curve {}

impl core::fmt::Debug for Curve {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Curve")
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Curve {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Curve");
    }
}

/// How far the curve has risen since the draw before: the curve at time t is `first * 2^t * tanh(sqrt(4t)) / 1.4`, and
/// the draw after n others lies at n plus anything below one. The sum of all delays is the last point.
fn smooth(first: u64, schedule: &mut Schedule, entropy: u32) -> u64 {
    let n = u32::try_from(schedule.before).unwrap_or(u32::MAX);
    schedule.before = schedule.before.saturating_add(1);
    // Twice as much, because the shape is halved to fit 32 bits. What does not fit is above any cap.
    if n >= first.leading_zeros() {
        return u64::MAX;
    }
    let point = scale((first << n) << 1, shape(n, entropy));
    let delay = point.saturating_sub(schedule.last);
    schedule.last = point;
    delay
}

/// `2^r * tanh(sqrt(4 (n + r))) / 2.8` as a fraction of 2^32, to 2e-4; r is `entropy` / 2^32.
fn shape(n: u32, entropy: u32) -> u32 {
    const PART: u32 = 23_406; // 2^16 / 2.8
    let time = (n.min(15) << 28) | (entropy >> 4);
    // Of 17 bits, of 16 and of 15: neither product overflows.
    let curve = (power(entropy >> 16) * (tanh_of_twice(root(time)) >> 2)) >> 14;
    curve * PART
}

/// `2^r` for r of 2^-16, to 2e-4: the cubic that is right at both ends and nearest in between.
const fn power(r: u32) -> u32 {
    (1 << 16) + ((r * (45_608 + ((r * (14_742 + ((r * 5_186) >> 16))) >> 16))) >> 16)
}

/// The square root, rounded down, bit by bit: smaller than a division.
const fn root(n: u32) -> u32 {
    let (mut root, mut bit) = (0, 1 << 15);
    while bit > 0 {
        let longer: u32 = root | bit;
        if longer * longer <= n {
            root = longer;
        }
        bit >>= 1;
    }
    root
}

/// `tanh(2x)` of 2^-16 for x of 2^-14, to 4e-4: between the points of the table it is a straight line.
fn tanh_of_twice(x: u32) -> u32 {
    let (at, beyond) = ((x >> 9) as usize, x & 511);
    let [Some(here), Some(there)] = [at, at + 1].map(|at| TANH.get(at)) else {
        return 1 << 16;
    };
    let (here, there) = (u32::from(*here), u32::from(*there));
    here + (((there - here) * beyond) >> 9)
}

/// `tanh(k / 16)` of 2^-16.
const TANH: [u16; 81] = [
    0, 4091, 8150, 12146, 16051, 19838, 23485, 26973, 30285, 33412, 36346, 39084, 41625, 43972, 46131, 48108, 49912,
    51552, 53038, 54382, 55593, 56683, 57660, 58536, 59320, 60019, 60643, 61199, 61694, 62134, 62524, 62871, 63179,
    63451, 63693, 63907, 64096, 64263, 64412, 64543, 64659, 64761, 64852, 64932, 65003, 65065, 65120, 65169, 65212,
    65250, 65283, 65313, 65339, 65362, 65383, 65401, 65417, 65431, 65443, 65454, 65464, 65472, 65480, 65486, 65492,
    65497, 65502, 65506, 65509, 65512, 65515, 65518, 65520, 65522, 65523, 65525, 65526, 65527, 65528, 65529, 65530,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_rounded_down() {
        for root_of in [0, 1, 2, 3, 1_000, 65_534, 65_535] {
            let square: u32 = root_of * root_of;
            assert_eq!(root(square), root_of);
            assert_eq!(root(square.saturating_sub(1)), root_of.saturating_sub(1));
        }
        assert_eq!(root(u32::MAX), 65_535);
    }
}
