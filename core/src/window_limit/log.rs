//! Every grant of a period.

use core::time::Duration;

use super::{NEVER, checked_period, not_until};
use crate::limiter::Weighted;
use crate::seen::{LATE, earlier_by};
use crate::{ConfigError, GateKind, Instant, Outcome, Rejected};

/// At most `N` tokens in any period, exactly: the instants of the last `N` are remembered, 8 bytes each.
///
/// A token counts from its instant on until before a period later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SlidingLog<const N: usize> {
    period: u64,
}

/// What a limiter of the kind [`SlidingLog`] remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LogState<const N: usize> {
    /// A ring in the order of time; `None`s, which are older than all.
    taken: [Option<Instant>; N],
    /// Where its oldest is.
    oldest: usize,
    /// Of the clock: changes when it steps back.
    era: u32,
}

/// Tokens that were taken.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "release it when the work ran, cancel it to get the tokens back"]
pub struct LogTokens {
    at: Instant,
    n: u32,
    era: u32,
}

impl LogTokens {
    /// How many.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.n
    }
}

impl<const N: usize> LogState<N> {
    /// Where the `n`th oldest is; `n` is below `N`.
    const fn place(&self, n: usize) -> usize {
        let place = self.oldest + n;
        if place < N { place } else { place - N }
    }

    /// The `n`th oldest.
    fn nth(&self, n: usize) -> Option<Instant> {
        self.taken.get(self.place(n)).copied().flatten()
    }

    fn set(&mut self, n: usize, at: Option<Instant>) {
        let place = self.place(n);
        if let Some(taken) = self.taken.get_mut(place) {
            *taken = at;
        }
    }

    fn newest(&self) -> Instant {
        self.nth(N - 1).unwrap_or(Instant::EPOCH)
    }

    /// The time that counts for a call at `now`.
    fn look(&mut self, now: Instant) -> Instant {
        let newest = self.newest();
        let step = newest.nanos_since(now);
        if step > LATE {
            // The clock stepped back: everything is as long ago as it was.
            self.taken.iter_mut().flatten().for_each(|at| *at = earlier_by(*at, step));
            self.era = self.era.wrapping_add(1);
            return now;
        }
        now.max(newest)
    }

    /// Puts one more in, and drops the oldest.
    fn push(&mut self, at: Instant) {
        self.set(0, Some(at));
        self.oldest = self.place(1);
    }

    /// Drops `n` of those that were put in at `at`. Looks at no older ones, of which there may be many.
    fn remove(&mut self, at: Instant, n: u32) {
        let newer = (0..N).rev().take_while(|from| self.nth(*from) > Some(at)).count();
        let end = N - newer;
        let same = (0..end).rev().take_while(|from| self.nth(*from) == Some(at));
        let gone = same.take(n as usize).count();
        (end..N).for_each(|from| self.set(from - gone, self.nth(from)));
        (N - gone..N).for_each(|from| self.set(from, None));
        self.oldest = self.place(N - gone);
    }
}

impl<const N: usize> SlidingLog<N> {
    /// `N` tokens in any `period`.
    ///
    /// # Errors
    /// When `period` is zero or above 146 years.
    pub const fn new(period: Duration) -> Result<Self, ConfigError> {
        const { assert!(N > 0 && N <= 1 << 16, "from 1 to 65536 tokens") };
        match checked_period(period) {
            Ok(period) => Ok(Self { period }),
            Err(error) => Err(error),
        }
    }

    /// When the `n`th oldest no longer counts, if it does at `now`. [`Instant::MAX`] when there is no such time.
    fn expires(self, state: &LogState<N>, n: usize, now: Instant) -> Option<Instant> {
        state.nth(n).filter(|at| now.nanos_since(*at) < self.period).map(|at| at.after(self.period))
    }
}

impl<const N: usize> GateKind for SlidingLog<N> {
    type State = LogState<N>;
    type Permit = LogTokens;
    const FRESH: LogState<N> = LogState { taken: [None; N], oldest: 0, era: 0 };

    #[inline]
    fn try_acquire(&self, state: &mut LogState<N>, now: Instant) -> Result<LogTokens, Rejected> {
        self.try_acquire_n(state, 1, now)
    }

    /// The outcome does not matter: the tokens are spent.
    #[inline]
    fn release(&self, _state: &mut LogState<N>, _tokens: LogTokens, _outcome: Outcome, _now: Instant) {}

    fn cancel(&self, state: &mut LogState<N>, tokens: LogTokens, now: Instant) {
        state.look(now);
        if tokens.era == state.era {
            state.remove(tokens.at, tokens.n);
        }
    }

    /// Nothing is ever armed.
    fn poll_timeout(&self, _state: &LogState<N>) -> Option<Instant> {
        None
    }

    fn handle_timeout(&self, _state: &mut LogState<N>, _now: Instant) {}

    /// When the newest no longer counts.
    fn rests_at(&self, state: &LogState<N>) -> Option<Instant> {
        Some(state.nth(N - 1).map_or(Instant::EPOCH, |newest| newest.after(self.period)))
    }

    fn is_held(&self, _state: &LogState<N>) -> bool {
        false
    }

    fn longest_refusal(&self) -> u64 {
        self.period.saturating_add(LATE)
    }
}

impl<const N: usize> Weighted for SlidingLog<N> {
    fn try_acquire_n(&self, state: &mut LogState<N>, n: u32, now: Instant) -> Result<LogTokens, Rejected> {
        let count = n as usize;
        if count > N {
            return Err(NEVER);
        }
        let now = state.look(now);
        if let Some(last) = count.checked_sub(1) {
            if let Some(expires) = self.expires(state, last, now) {
                return Err(not_until(expires));
            }
        }
        (0..n).for_each(|_| state.push(now));
        Ok(LogTokens { at: now, n, era: state.era })
    }

    fn available(&self, state: &LogState<N>, now: Instant) -> u32 {
        // Whether the clock stepped back or the call comes late, no time has passed since the newest.
        let now = now.max(state.newest());
        #[expect(clippy::cast_possible_truncation, reason = "at most 65536")]
        let free = (0..N).take_while(|n| self.expires(state, *n, now).is_none()).count() as u32;
        free
    }
}
