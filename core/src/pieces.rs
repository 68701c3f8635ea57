//! The last span of time in pieces, so that what is old can go.

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
        Self { kept: [nothing; N], began: Instant::EPOCH, current: 0 }
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

    /// Begins the pieces that are due at `now`, and hands over what was in those that go.
    pub(crate) fn roll(&mut self, length: u64, now: Instant, mut gone: impl FnMut(T)) {
        // A clock that stepped back must not make anything stay longer than the span.
        self.began = self.began.min(now);
        for _ in 0..N {
            if now.nanos_since(self.began) < length {
                return;
            }
            self.began = self.began.after(length);
            self.current = if usize::from(self.current) + 1 < N { self.current + 1 } else { 0 };
            if let Some(oldest) = self.current_mut() {
                gone(core::mem::take(oldest));
            }
        }
        if now.nanos_since(self.began) >= length {
            self.began = now; // nothing is left, so the next piece begins with what comes
        }
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

    /// All pieces, the oldest first.
    pub(crate) fn oldest_first(&mut self) -> impl Iterator<Item = &mut T> {
        let oldest = (usize::from(self.current) + 1).min(N);
        let (newer, older) = self.kept.split_at_mut_checked(oldest).unwrap_or_default();
        older.iter_mut().chain(newer)
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
            pieces.roll(10, at(5 + 10 * u64::from(n)), |value| gone[usize::from(n)] = value);
            *pieces.current_mut().unwrap() = n + 1;
        }
        assert_eq!(gone, [9, 0, 0, 1, 2, 3]);
        assert!(pieces.oldest_first().map(|value| *value).eq([4, 5, 6]));
        assert_eq!((pieces.ends(10), pieces.all_end(10)), (at(65), at(85)));
        let mut sum = 0;
        pieces.roll(10, at(1_000), |value| sum += value);
        assert_eq!((sum, pieces.ends(10)), (15, at(1_010)));
    }

    #[test]
    fn one_piece_tumbles() {
        let mut pieces = Pieces::<u8, 1>::new(0).with_first(7);
        assert!(pieces.oldest_first().map(|value| *value).eq([7]));
        let mut gone = 0;
        pieces.roll(10, at(10), |value| gone = value);
        assert_eq!((gone, pieces.ends(10)), (7, at(20)));
    }

    #[test]
    fn a_clock_that_steps_back_keeps_nothing_longer_than_all_pieces() {
        let mut pieces = Pieces::<u8, 3>::new(0).with_first(7);
        let mut gone = 0;
        pieces.begin(at(1_000));
        pieces.roll(10, at(100), |value| gone += value);
        assert_eq!((gone, pieces.all_end(10)), (0, at(130)));
        pieces.roll(10, at(130), |value| gone += value);
        assert_eq!(gone, 7);
    }
}
