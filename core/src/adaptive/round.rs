//! One judgement per round trip.

use super::fixed::mean;

/// The calls that were let in under one limit: the first of them to start are waited for, as many as are in flight
/// then. The first to come back will not do: where times vary those are the quick ones.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Round {
    sum: u64,
    shortest: u64,
    /// The most that were in flight.
    in_flight: u16,
    /// How many are waited for; known when the first one starts.
    size: u8,
    /// How many have started; stops at its maximum.
    started: u8,
    /// How many of those waited for are back.
    back: u8,
    /// How many others are.
    others: u8,
}

/// What the calls of a round showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) mean: u64,
    pub(super) shortest: u64,
    pub(super) in_flight: u16,
}

/// More calls make the mean hardly better.
const MOST: u8 = 32;

impl Round {
    pub(super) const EMPTY: Self =
        Self { sum: 0, shortest: u64::MAX, in_flight: 0, size: 0, started: 0, back: 0, others: 0 };

    /// A round of so many.
    pub(super) const fn of(size: u8) -> Self {
        Self { size, ..Self::EMPTY }
    }

    /// Whether no call has started in it.
    pub(super) const fn is_new(&self) -> bool {
        self.started == 0
    }

    /// One more starts; its number in the round.
    pub(super) fn start(&mut self, in_flight: u16) -> u8 {
        if self.size == 0 {
            self.size = u8::try_from(in_flight).unwrap_or(MOST).clamp(1, MOST);
        }
        let number = self.started;
        self.started = self.started.saturating_add(1);
        number
    }

    /// The call with that `number` is back; whether the round is over. Calls that tell nothing, or never come back, are
    /// not waited for when twice as many others are back.
    pub(super) fn add(&mut self, number: u8, rtt: u64, in_flight: u16) -> bool {
        if number < self.size {
            self.back = self.back.saturating_add(1);
            self.sum = self.sum.saturating_add(rtt);
            self.shortest = self.shortest.min(rtt);
            self.in_flight = self.in_flight.max(in_flight);
        } else {
            self.others = self.others.saturating_add(1);
        }
        self.back >= self.size || self.others >= self.size.saturating_mul(2)
    }

    /// What is known so far, if anything.
    pub(super) fn told(&self) -> Option<Told> {
        let Self { sum, shortest, in_flight, back, .. } = *self;
        (back > 0).then(|| Told { mean: mean(sum, back), shortest, in_flight })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_waited_for_as_are_in_flight() {
        for (in_flight, size) in [(0, 1), (1, 1), (2, 2), (12, 12), (32, 32), (33, 32), (u16::MAX, 32)] {
            let mut round = Round::EMPTY;
            assert_eq!((round.start(in_flight), round.size), (0, size));
            assert_eq!((round.start(u16::MAX), round.size), (1, size));
            for number in 1..size {
                assert!(!round.add(number, 10, in_flight), "{number} of {size}");
            }
            assert!(round.add(0, 10, in_flight));
        }
    }

    #[test]
    fn the_first_to_start_are_waited_for_and_not_the_first_to_come_back() {
        let mut round = Round::of(3);
        let numbers = [0; 6].map(|_| round.start(1));
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
        let over =
            [(4, 1, 9), (2, 20, 5), (0, 40, 7), (5, 1, 9), (1, 60, 6)].map(|(n, rtt, most)| round.add(n, rtt, most));
        assert_eq!(over, [false, false, false, false, true]);
        assert_eq!(round.told(), Some(Told { mean: 40, shortest: 20, in_flight: 7 }));
    }

    #[test]
    fn who_never_comes_back_is_not_waited_for_for_ever() {
        let mut round = Round::of(2);
        assert_eq!((0..300).map(|_| round.start(1)).max(), Some(u8::MAX));
        assert_eq!([7, 8, 9].map(|number| round.add(number, 1, 1)), [false; 3]);
        assert_eq!(round.told(), None);
        assert!(round.clone().add(10, 1, 1));
        assert!(!round.add(0, 50, 1));
        assert!(round.add(11, 1, 1));
        assert_eq!(round.told().map(|told| told.mean), Some(50));
    }

    #[test]
    fn the_longest_times_do_not_overflow() {
        let mut round = Round::of(MOST);
        let longest = (1 << 48) - 1;
        for number in 0..MOST {
            round.add(number, longest, 1);
        }
        assert!(round.told().is_some_and(|told| told.mean.abs_diff(longest) < longest >> 30));
    }
}
