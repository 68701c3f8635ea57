//! The last so many calls, as bits in a ring.

use super::{Tally, Window};
use crate::{ConfigError, Instant};

/// The last so many calls, however old. `WORDS` x 32 of them at most, in `WORDS` x 4 + 6 bytes per breaker. O(1) per
/// call whatever its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct CountWindow<const WORDS: usize> {
    size: u16,
}

impl<const WORDS: usize> CountWindow<WORDS> {
    /// The last `size` calls.
    ///
    /// # Errors
    /// When `size` is zero or does not fit `WORDS` words of 32 bits.
    pub const fn new(size: u16) -> Result<Self, ConfigError> {
        if size == 0 || size as usize > WORDS.saturating_mul(32) || size == u16::MAX {
            return Err(ConfigError::new("size", "from 1 to 32 times the words, and below 65535"));
        }
        Ok(Self { size })
    }
}

/// Calls as bits in a ring, with running sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct CountMemory<const WORDS: usize> {
    bits: [u32; WORDS],
    next: u16,
    calls: u16,
    bad: u16,
}

impl<const WORDS: usize> CountMemory<WORDS> {
    const fn tally(&self) -> Tally {
        Tally { calls: self.calls as u32, bad: self.bad as u32 }
    }

    /// Puts `bad` in the place of the oldest of `size` calls.
    #[inline]
    fn push(&mut self, bad: bool, size: u16) {
        let mask = 1 << (self.next & 31);
        // `next < size <= 32 * WORDS`, so there is such a word.
        let Some(word) = self.bits.get_mut(usize::from(self.next >> 5)) else { return };
        // Places never used are 0, so what leaves needs no check of whether the window was full.
        let left = u16::from(*word & mask != 0);
        *word = if bad { *word | mask } else { *word & !mask };
        self.bad = self.bad + u16::from(bad) - left;
        self.calls = if self.calls < size { self.calls + 1 } else { size };
        self.next = if self.next + 1 < size { self.next + 1 } else { 0 };
    }
}

/// In one word, the newest call is the lowest bit, and these bits above the calls say how many there are.
const CALLS_AT: u32 = 48;
const CALLS: u64 = (1 << CALLS_AT) - 1;

impl<const WORDS: usize> Window for CountWindow<WORDS> {
    type Memory = CountMemory<WORDS>;
    const EMPTY: Self::Memory = CountMemory { bits: [0; WORDS], next: 0, calls: 0, bad: 0 };

    #[inline]
    fn push(&self, memory: &mut Self::Memory, bad: bool, _now: Instant) -> Tally {
        memory.push(bad, self.size);
        memory.tally()
    }

    fn tally(&self, memory: &Self::Memory, _now: Instant) -> Tally {
        memory.tally()
    }

    fn rests_at(&self, memory: &Self::Memory) -> Option<Instant> {
        (memory.bad == 0).then_some(Instant::EPOCH)
    }

    #[inline]
    fn push_packed(&self, bits: u64, bad: bool) -> Option<(u64, Tally)> {
        let size = u32::from(self.size);
        if size > CALLS_AT {
            return None;
        }
        let shifted = (bits << 1 | u64::from(bad)) & (CALLS >> (CALLS_AT - size));
        let known = (bits >> CALLS_AT) as u32;
        let calls = if known < size { known + 1 } else { size };
        Some((u64::from(calls) << CALLS_AT | shifted, Tally { calls, bad: shifted.count_ones() }))
    }

    fn unpack(&self, bits: u64) -> Self::Memory {
        let mut memory = Self::EMPTY;
        let mut age = bits >> CALLS_AT;
        while age > 0 {
            age -= 1;
            memory.push(bits >> age & 1 == 1, self.size);
        }
        memory
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::super::super::PACKED_BITS;
    use super::*;
    use std::collections::VecDeque;

    #[test]
    fn a_window_counts_what_a_list_counts() {
        for size in [1, 2, 31, 32, 33, 47, 48, 49, 50, 64] {
            let window = CountWindow::<2>::new(size).unwrap();
            let (mut memory, mut bits, mut list) = (CountWindow::<2>::EMPTY, 0, VecDeque::new());
            for n in 0..500_u32 {
                let bad = crate::entropy::nth(u32::from(size), n) % 3 == 0;
                list.push_back(bad);
                if list.len() > usize::from(size) {
                    list.pop_front();
                }
                let tally = window.push(&mut memory, bad, Instant::EPOCH);
                let counted = list.iter().filter(|bad| **bad).count();
                assert_eq!(tally, Tally { calls: list.len() as u32, bad: counted as u32 }, "size {size}, call {n}");
                let packed = window.push_packed(bits, bad);
                assert_eq!(packed.is_some(), size <= 48);
                if let Some((next, in_bits)) = packed {
                    bits = next;
                    assert_eq!((in_bits, next >> PACKED_BITS), (tally, 0));
                    assert_eq!(window.unpack(bits).tally(), tally);
                }
            }
        }
    }

    #[test]
    fn bits_stand_for_the_same_calls_in_the_same_order() {
        let window = CountWindow::<1>::new(3).unwrap();
        let mut bits = 0;
        for bad in [true, false, false, true] {
            bits = window.push_packed(bits, bad).unwrap().0;
        }
        let mut memory = window.unpack(bits);
        // good, good, bad are known; each further good one pushes the oldest out
        let bad = [(); 3].map(|()| window.push(&mut memory, false, Instant::EPOCH).bad);
        assert_eq!(bad, [1, 1, 0]);
    }
}
