//! The last so many calls, as bits in a ring.

use core::ops::Range;

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

    /// As so many [pushes](Self::push), at most `size`, of calls that were not bad, but word by word, and only as long as
    /// there is a bad one to be forgotten.
    fn push_good(&mut self, mut count: u16, size: u16) {
        let mut at = self.next;
        self.calls = self.calls.saturating_add(count).min(size);
        self.next = if count < size - at { at + count } else { count - (size - at) };
        while let Some(word) = self.bits.get_mut(usize::from(at >> 5)).filter(|_| count > 0 && self.bad > 0) {
            let bit = at & 31;
            let run = count.min(32 - bit).min(size - at);
            if *word > 0 {
                let mask = u32::MAX >> (32 - run) << bit;
                self.bad -= ones(*word & mask);
                *word &= !mask;
            }
            at = if at + run < size { at + run } else { 0 };
            count -= run;
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "at most 32")]
const fn ones(word: u32) -> u16 {
    word.count_ones() as u16
}

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

    fn alike(&self, _memory: &Self::Memory) -> Option<Range<Instant>> {
        Some(Instant::EPOCH..Instant::MAX)
    }

    #[inline]
    fn enough(&self) -> u32 {
        self.size.into()
    }

    fn push_good(&self, memory: &mut Self::Memory, count: u32) {
        memory.push_good(u16::try_from(count).unwrap_or(self.size).min(self.size), self.size);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::collections::VecDeque;

    #[test]
    fn a_window_counts_what_a_list_counts() {
        for size in [1, 2, 24, 25, 31, 32, 33, 50, 63, 64] {
            let window = CountWindow::<2>::new(size).unwrap();
            let (mut memory, mut at_once, mut list) =
                (CountWindow::<2>::EMPTY, CountWindow::<2>::EMPTY, VecDeque::new());
            let mut owed = 0;
            for n in 0..2_000_u32 {
                let bad = crate::entropy::nth(u32::from(size), n).trailing_zeros() > n >> 8;
                list.push_back(bad);
                if list.len() > usize::from(size) {
                    list.pop_front();
                }
                let tally = window.push(&mut memory, bad, Instant::EPOCH);
                let counted = list.iter().filter(|bad| **bad).count();
                assert_eq!(tally, Tally { calls: list.len() as u32, bad: counted as u32 }, "size {size}, call {n}");
                owed = if bad { 0 } else { window.enough().min(owed + 1) };
                let mut late = at_once;
                window.push_good(&mut late, owed);
                if bad {
                    at_once = memory;
                } else {
                    assert_eq!(late.tally(), tally, "size {size}, call {n}, {owed} taken in late");
                }
            }
        }
    }
}
