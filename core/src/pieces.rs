//! The last span of time in pieces, so that what is old can go.

use crate::seen::earlier_by;
use crate::{ConfigError, Instant, nanos};

/// What there is to remember of each of the last `N` pieces of time. The oldest goes when a new one begins, so it reaches
/// back between `N - 1` pieces and all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Pieces<T, const N: usize> {
    kept: [T; N],
    /// When the current piece began.
    began: Instant,
    current: u16,
    /// How many there have been since all were gone, the current one included. Places beyond them hold nothing, whatever
    /// was left there: so no idle time is too long to be passed over at once.
    live: u16,
}

/// The length of one of `n` pieces of `span`, rounded up to a nanosecond.
pub(crate) const fn length(span: core::time::Duration, n: usize, setting: &'static str) -> Result<u64, ConfigError> {
    if n == 0 || n > 1_024 || span.is_zero() {
        return Err(ConfigError::new(setting, "a window needs a span above zero, in 1 to 1024 buckets"));
    }
    Ok(nanos(span).div_ceil(n as u64))
}

impl<T: Copy + Default, const N: usize> Pieces<T, N> {
    /// Nothing remembered; `nothing` is the default, which a `const` cannot ask for.
    pub(crate) const fn new(nothing: T) -> Self {
        Self { kept: [nothing; N], began: Instant::EPOCH, current: 0, live: 1 }
    }

    /// With something in the current piece.
    pub(crate) const fn with_first(mut self, first: T) -> Self {
        let kept: &mut [T] = &mut self.kept;
        if let [current, ..] = kept {
            *current = first;
        }
        self
    }

    /// The current piece begins now: for when there is nothing to remember, so that the next thing is kept for the
    /// longest.
    pub(crate) const fn begin(&mut self, now: Instant) {
        self.began = now;
    }

    /// Begins the pieces that are due at `now`, and hands over what was in those that go. True when all go: then nothing is
    /// handed over.
    #[must_use]
    pub(crate) fn roll(&mut self, length: u64, now: Instant, mut gone: impl FnMut(T)) -> bool {
        // A clock that stepped back must not make anything stay longer than the span.
        self.began = self.began.min(now);
        let mut elapsed = now.nanos_since(self.began);
        let span = length.saturating_mul(N as u64);
        if elapsed >= span {
            let rest = elapsed - span;
            // The next piece begins with what comes, unless it has begun already.
            self.began = if rest < length { earlier_by(now, rest) } else { now };
            self.live = 0;
            self.next();
            return true;
        }
        while elapsed >= length {
            elapsed -= length;
            self.began = self.began.after(length);
            self.next().into_iter().for_each(&mut gone);
        }
        false
    }

    /// Begins a piece; what was in the one that goes, if one does.
    fn next(&mut self) -> Option<T> {
        self.current = if usize::from(self.current) + 1 < N { self.current + 1 } else { 0 };
        let oldest = core::mem::take(self.current_mut()?);
        if usize::from(self.live) < N {
            self.live += 1;
            return None;
        }
        Some(oldest)
    }

    /// When the current piece began.
    pub(crate) const fn began(&self) -> Instant {
        self.began
    }

    /// When the current piece is over and the oldest goes.
    pub(crate) const fn ends(&self, length: u64) -> Instant {
        self.began.after(length)
    }

    /// When all pieces there are now are over.
    pub(crate) const fn all_end(&self, length: u64) -> Instant {
        self.began.after(length.saturating_mul(N as u64))
    }

    /// The current piece; there always is one.
    pub(crate) fn current_mut(&mut self) -> Option<&mut T> {
        self.kept.get_mut(usize::from(self.current))
    }

    /// All pieces there are, the oldest first.
    pub(crate) fn oldest_first(&mut self) -> impl Iterator<Item = &mut T> {
        let oldest = (usize::from(self.current) + 1).min(N);
        let none = N.saturating_sub(self.live.into());
        let (newer, older) = self.kept.split_at_mut_checked(oldest).unwrap_or_default();
        older.iter_mut().chain(newer).skip(none)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    #[test]
    fn the_oldest_goes_when_a_new_one_begins() {
        let mut pieces = Pieces::<u8, 3>::new(0);
        pieces.begin(at(5));
        let mut gone = [9; 6];
        for n in 0..6_u8 {
            assert!(!pieces.roll(10, at(5 + 10 * u64::from(n)), |value| gone[usize::from(n)] = value));
            *pieces.current_mut().unwrap() = n + 1;
        }
        assert_eq!(gone, [9, 9, 9, 1, 2, 3]);
        assert!(pieces.oldest_first().map(|value| *value).eq([4, 5, 6]));
        assert_eq!((pieces.ends(10), pieces.all_end(10)), (at(65), at(85)));
        assert!(pieces.roll(10, at(1_000), |_| unreachable!("all go at once")));
        assert_eq!(pieces.ends(10), at(1_010));
        assert!(pieces.oldest_first().map(|value| *value).eq([0]));
    }

    #[test]
    fn what_went_with_all_does_not_come_back() {
        let mut pieces = Pieces::<u8, 3>::new(0);
        for n in 0..3_u8 {
            assert!(!pieces.roll(10, at(10 * u64::from(n)), |_| ()));
            *pieces.current_mut().unwrap() = n + 1;
        }
        assert!(pieces.roll(10, at(50), |_| ()));
        *pieces.current_mut().unwrap() = 7;
        assert!(!pieces.roll(10, at(70), |value| unreachable!("{value} was gone")));
        assert!(pieces.oldest_first().map(|value| *value).eq([7, 0, 0]));
        let mut gone = 0;
        assert!(!pieces.roll(10, at(80), |value| gone += value));
        assert_eq!(gone, 7);
    }

    #[test]
    fn the_next_piece_keeps_its_beginning_if_it_has_begun() {
        for (now, ends) in [(39, 40), (40, 50), (49, 50)] {
            let mut pieces = Pieces::<u8, 3>::new(0);
            pieces.begin(at(10));
            assert_eq!(pieces.roll(10, at(now), |_| ()), now >= 40);
            assert_eq!(pieces.ends(10), at(ends));
        }
        let mut pieces = Pieces::<u8, 3>::new(0);
        pieces.begin(at(10));
        assert!(pieces.roll(10, at(53), |_| ()));
        assert_eq!(pieces.ends(10), at(63));
    }

    #[test]
    fn one_piece_tumbles() {
        let mut pieces = Pieces::<u8, 1>::new(0).with_first(7);
        assert!(pieces.oldest_first().map(|value| *value).eq([7]));
        assert!(!pieces.roll(10, at(9), |_| ()));
        assert!(pieces.roll(10, at(10), |_| ()));
        assert_eq!((pieces.current_mut().copied(), pieces.ends(10)), (Some(0), at(20)));
    }

    #[test]
    fn a_clock_that_steps_back_keeps_nothing_longer_than_all_pieces() {
        let mut pieces = Pieces::<u8, 3>::new(0).with_first(7);
        pieces.begin(at(1_000));
        assert!(!pieces.roll(10, at(100), |_| unreachable!("not yet")));
        assert_eq!(pieces.all_end(10), at(130));
        assert!(pieces.roll(10, at(130), |_| ()));
    }
}
