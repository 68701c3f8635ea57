//! Chance, kept out of the machines: they take a `u32` of entropy as an argument, and this is one way to get it.

use core::sync::atomic::{AtomicU32, Ordering};

/// Spreads `x` over all 32 bits: a bijection in which every input bit moves about half of the output bits.
///
/// The constants are those of Chris Wellons' search for low-bias 32-bit hashes ("lowbias32", 2018).
#[inline]
#[must_use]
pub const fn mix(x: u32) -> u32 {
    let x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    let x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// Weyl increment: odd, near 2^32 divided by the golden ratio, so successive multiples spread evenly.
const WEYL: u32 = 0x9e37_79b9;

/// The `n`th number of the stream that `seed` starts.
#[inline]
#[must_use]
pub const fn nth(seed: u32, n: u32) -> u32 {
    mix(mix(seed).wrapping_add(n.wrapping_mul(WEYL)))
}

/// A shareable stream of numbers from a seed that the caller gives at start-up.
///
/// There is no default seed on purpose: a fleet that reboots together with one seed retries together. Use the chip's
/// unique id, a hardware generator, or the operating system's entropy. Good for jitter, useless for secrets.
///
/// Draws from an interrupt are fine. On targets without compare-and-swap (`thumbv6m`) two draws that interrupt each
/// other may return the same number.
#[derive(Debug)]
pub struct Entropy {
    counter: AtomicU32,
    seed: u32,
}

impl Entropy {
    /// A stream that starts from `seed`.
    #[must_use]
    pub const fn new(seed: u32) -> Self {
        Self { counter: AtomicU32::new(0), seed }
    }

    /// The next number, uniform over all of `u32`.
    #[inline]
    pub fn draw(&self) -> u32 {
        nth(self.seed, self.advance())
    }

    #[cfg(target_has_atomic = "32")]
    fn advance(&self) -> u32 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    #[cfg(not(target_has_atomic = "32"))]
    fn advance(&self) -> u32 {
        let n = self.counter.load(Ordering::Relaxed);
        self.counter.store(n.wrapping_add(1), Ordering::Relaxed);
        n
    }
}

/// `value` times `fraction` / 2^32, rounded down: a fixed-point product without division or 128-bit arithmetic.
#[inline]
pub(crate) const fn scale(value: u64, fraction: u32) -> u64 {
    let (high, low, by) = (value >> 32, value & 0xffff_ffff, fraction as u64);
    // Neither product overflows (32 x 32 bits), nor does their sum: it is below `value`.
    (high * by) + ((low * by) >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scale_is_the_exact_product_rounded_down() {
        for value in [0, 1, 7, u64::from(u32::MAX), 1 << 40, u64::MAX] {
            for fraction in [0, 1, 1 << 31, u32::MAX] {
                let exact = (u128::from(value) * u128::from(fraction)) >> 32;
                assert_eq!(u128::from(scale(value, fraction)), exact);
            }
        }
    }

    #[test]
    fn a_stream_is_its_seed() {
        let (a, b, c) = (Entropy::new(1), Entropy::new(1), Entropy::new(2));
        let draw = |e: &Entropy| [e.draw(), e.draw(), e.draw()];
        assert_eq!(draw(&a), draw(&b));
        assert_ne!(draw(&b), draw(&c));
    }

    #[test]
    fn draws_are_spread_evenly() {
        let entropy = Entropy::new(42);
        let mut buckets = [0_u32; 16];
        for _ in 0..16_000 {
            buckets[(entropy.draw() >> 28) as usize] += 1;
        }
        assert!(buckets.iter().all(|n| (850..1150).contains(n)), "{buckets:?}");
    }
}
