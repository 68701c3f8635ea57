//! The last so many calls, as bits in a ring.

use super::super::rule::PACKED_BITS;
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

    fn oldest_first(&self, size: u16) -> impl Iterator<Item = bool> {
        let oldest = if self.calls < size { 0 } else { self.next };
        let places = (oldest..size).chain(0..oldest).take(usize::from(self.calls));
        places.map(|place| self.bits.get(usize::from(place >> 5)).is_some_and(|word| *word >> (place & 31) & 1 == 1))
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

/// Packed, the newest call is the lowest bit, and the bits from here on say how many calls there are.
const CALLS_AT: u32 = PACKED_BITS - 5;
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

    fn pack(&self, memory: &Self::Memory) -> Option<u64> {
        if u32::from(self.size) > CALLS_AT {
            return None;
        }
        let newest_lowest = memory.oldest_first(self.size).fold(0, |bits, bad| bits << 1 | u64::from(bad));
        Some(u64::from(memory.calls) << CALLS_AT | newest_lowest)
    }

    fn unpack(&self, packed: u64) -> Self::Memory {
        let mut memory = Self::EMPTY;
        for age in (0..packed >> CALLS_AT).rev() {
            memory.push(packed >> age & 1 == 1, self.size);
        }
        memory
    }

    #[inline]
    fn push_packed(&self, packed: u64, bad: bool) -> (u64, Tally) {
        let size = u32::from(self.size);
        let bits = (packed << 1 | u64::from(bad)) & (CALLS >> CALLS_AT.saturating_sub(size));
        let known = packed >> CALLS_AT;
        let calls = if known < u64::from(size) { known + 1 } else { u64::from(size) };
        #[expect(clippy::cast_possible_truncation, reason = "at most the size")]
        let tally = Tally { calls: calls as u32, bad: bits.count_ones() };
        (calls << CALLS_AT | bits, tally)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::collections::VecDeque;

    #[test]
    fn a_window_counts_what_a_list_counts() {
        for size in [1, 2, 24, 25, 26, 31, 32, 33, 50, 64] {
            let window = CountWindow::<2>::new(size).unwrap();
            let (mut memory, mut packed, mut list) = (CountWindow::<2>::EMPTY, 0, VecDeque::new());
            for n in 0..500_u32 {
                let bad = crate::entropy::nth(u32::from(size), n) % 3 == 0;
                list.push_back(bad);
                if list.len() > usize::from(size) {
                    list.pop_front();
                }
                let tally = window.push(&mut memory, bad, Instant::EPOCH);
                let counted = list.iter().filter(|bad| **bad).count();
                assert_eq!(tally, Tally { calls: list.len() as u32, bad: counted as u32 }, "size {size}, call {n}");
                assert_eq!(window.pack(&memory).is_some(), size <= 25);
                if size <= 25 {
                    let (next, packed_tally) = window.push_packed(packed, bad);
                    packed = next;
                    assert_eq!((packed_tally, packed >> PACKED_BITS), (tally, 0));
                    assert_eq!(window.pack(&memory), Some(packed));
                    assert_eq!(window.pack(&window.unpack(packed)), Some(packed));
                }
            }
        }
    }
}
