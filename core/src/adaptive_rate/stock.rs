//! The store of tokens: a token bucket whose rate may change at any moment.

use super::Rate;
use crate::bucket::Fine;

/// Tokens are counted since the beginning, in parts: a rate of so many parts makes so many of them in a nanosecond. Each
/// grant has a span of one token among those made; a span is not lost when it is granted, and not to be made any more.
/// Spans do not overlap, so an interval has no more grants than its beginning had in store and as were made in it.
/// Giving back closes the gap that a span leaves, by moving those behind it up, but none to what was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Stock {
    made: Fine,
    /// The end of the last span, and of what was lost: between `lost` and `made`.
    spent: Fine,
    /// What there was no room for ends here.
    lost: Fine,
    /// By how much spans were moved, all in all. A span's end plus this does not change when it is moved.
    shifted: Fine,
}

/// One second.
const SECOND: u64 = 1_000_000_000;
const TOKEN: Fine = Fine::from_nanos(SECOND, Rate::ONE.0);

/// A second's worth, and one token at least.
const fn room(rate: Rate) -> Fine {
    Fine::from_nanos(SECOND, if rate.0 < Rate::ONE.0 { Rate::ONE.0 } else { rate.0 })
}

/// How long a token takes.
pub(super) const fn longest_wait(rate: Rate) -> u64 {
    TOKEN.nanos_up(rate.0)
}

impl Stock {
    pub(super) const EMPTY: Self = Self { made: Fine::ZERO, spent: Fine::ZERO, lost: Fine::ZERO, shifted: Fine::ZERO };

    /// Time passes, at `rate` since the last time. More than there is room for is not made in the first place, so `made` has room for centuries.
    pub(super) fn make(&mut self, rate: Rate, nanos: u64) {
        let room = room(rate);
        self.made = self.made.plus(Fine::from_nanos(nanos, rate.0).min(room));
        self.lose(self.made.minus(room));
    }

    /// Nothing is left, and nothing comes back.
    pub(super) fn clear(&mut self) {
        self.lose(self.made);
    }

    fn lose(&mut self, end: Fine) {
        self.lost = self.lost.max(end);
        self.spent = self.spent.max(self.lost);
    }

    /// One token; its span's end.
    pub(super) fn take(&mut self) -> Option<Fine> {
        let end = self.spent.plus(TOKEN);
        (end <= self.made).then(|| {
            self.spent = end;
            end.plus(self.shifted)
        })
    }

    /// For how many nanoseconds there is none.
    pub(super) const fn wait(&self, rate: Rate) -> u64 {
        self.spent.plus(TOKEN).minus(self.made).nanos_up(rate.0)
    }

    /// The token whose span's end was `end` did nothing.
    pub(super) fn give_back(&mut self, end: Fine) {
        let end = end.minus(self.shifted);
        let span = end.minus(self.lost).min(TOKEN);
        if end < self.spent {
            self.shifted = self.shifted.plus(span);
        }
        self.spent = self.spent.minus(span);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Rate = Rate(10 << 12);

    fn full() -> Stock {
        let mut stock = Stock::EMPTY;
        stock.make(TEN, u64::MAX);
        stock
    }

    fn take(stock: &mut Stock, n: u32) -> Fine {
        (1..n).for_each(|_| assert!(stock.take().is_some()));
        stock.take().unwrap()
    }

    fn left(mut stock: Stock) -> usize {
        core::iter::from_fn(|| stock.take()).count()
    }

    #[test]
    fn it_holds_a_second_and_one_token_at_least() {
        let mut stock = full();
        assert_eq!(left(stock), 10);
        stock.make(Rate(3 << 11), 0);
        assert_eq!(left(stock), 1);
        stock.make(Rate(1), 0);
        assert_eq!(left(stock), 1);
        stock.make(TEN, 0);
        assert_eq!(left(stock), 1, "what was lost does not come back");
        stock.clear();
        assert_eq!((left(stock), stock.wait(TEN), longest_wait(TEN)), (0, 100_000_000, 100_000_000));
        stock.make(TEN, 99_999_999);
        assert_eq!((left(stock), stock.wait(TEN)), (0, 1));
        stock.make(TEN, 1);
        assert_eq!(left(stock), 1);
    }

    #[test]
    fn what_is_given_back_is_there_again_unless_it_would_be_lost() {
        let mut stock = full();
        let first = take(&mut stock, 1);
        let second = take(&mut stock, 4);
        stock.give_back(second);
        assert_eq!(left(stock), 6);
        stock.give_back(first);
        assert_eq!(left(stock), 7);
        stock.make(TEN, 250_000_000);
        assert_eq!(left(stock), 9);

        let mut stock = full();
        let old = take(&mut stock, 1);
        take(&mut stock, 9);
        stock.make(TEN, SECOND); // without it the first tenth would have had no room
        take(&mut stock, 5);
        stock.give_back(old);
        assert_eq!(left(stock), 5);
    }

    #[test]
    fn many_given_back_late_are_no_second_burst() {
        let mut stock = full();
        let taken = [(); 10].map(|()| stock.take().unwrap());
        stock.make(TEN, 900_000_000);
        take(&mut stock, 9);
        for end in taken {
            stock.give_back(end);
        }
        assert_eq!(left(stock), 1, "only a tenth of a second was not lost yet");
    }

    #[test]
    fn ages_do_not_wear_it_out() {
        let fast = Rate(u32::MAX);
        let mut stock = Stock::EMPTY;
        (0..1_000).for_each(|_| stock.make(fast, u64::MAX));
        assert_eq!(left(stock), 1_048_575);
        stock.clear();
        stock.make(fast, SECOND);
        assert_eq!(left(stock), 1_048_575);
    }

    #[test]
    fn in_whatever_order_all_comes_back() {
        let two = Rate(2 << 12);
        let mut stock = Stock::EMPTY;
        stock.make(two, SECOND);
        let [a, b] = [(); 2].map(|()| stock.take().unwrap());
        stock.give_back(a);
        let c = stock.take().unwrap();
        stock.give_back(c);
        stock.give_back(b);
        assert_eq!(left(stock), 2);
    }

    #[test]
    fn cleared_means_that_nothing_comes_back() {
        let mut stock = full();
        let end = take(&mut stock, 3);
        stock.clear();
        stock.give_back(end);
        assert_eq!(left(stock), 0);
    }
}
