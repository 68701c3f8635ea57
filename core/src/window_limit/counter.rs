//! Two fixed windows, weighted.

use core::time::Duration;

use super::{NEVER, checked_count, checked_period, not_until};
use crate::bucket::Fine;
use crate::limiter::Weighted;
use crate::seen::LATE;
use crate::{ConfigError, GateKind, Instant, Outcome, Rejected};

/// A sliding window, estimated from two counts: those of the current window, and of the previous one as much as the
/// sliding window still covers. It is what Cloudflare's limiter does.
///
/// The estimate takes the previous window's calls to have come evenly. For those that all came at its end it is too low:
/// a period can then have `count` + `previous` x `elapsed` / `period`, below twice the count; for those that came at its
/// beginning it is too high by as much. Each fixed window has `count` at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SlidingCounter {
    period: u64,
    count: u32,
}

/// What a limiter of the kind [`SlidingCounter`] remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct CounterState {
    /// When the current window began; `None` when the next token begins one.
    began: Option<Instant>,
    previous: u32,
    current: u32,
    /// The current window's number.
    window: u32,
}

/// Tokens that were taken.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "release it when the work ran, cancel it to get the tokens back"]
pub struct CounterTokens {
    n: u32,
    window: u32,
}

impl CounterTokens {
    /// How many.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.n
    }
}

impl CounterState {
    /// Begins the windows that are due; how far into the current one `now` is.
    const fn look(&mut self, period: u64, now: Instant) -> u64 {
        let Some(began) = self.began else { return 0 };
        if began.nanos_since(now) > LATE {
            // The clock stepped back: the current window begins anew. Whose tokens are whose is not known any more.
            *self = Self { began: Some(now), window: self.window.wrapping_add(2), ..*self };
            return 0;
        }
        let elapsed = now.nanos_since(began);
        if elapsed >= 2 * period {
            return self.forget();
        }
        if elapsed >= period {
            let window = self.window.wrapping_add(1);
            *self = Self { began: Some(began.after(period)), previous: self.current, current: 0, window };
        }
        if self.previous == 0 && self.current == 0 {
            return self.forget();
        }
        if elapsed >= period { elapsed - period } else { elapsed }
    }

    /// Nothing counts any more: the next token begins a window.
    const fn forget(&mut self) -> u64 {
        *self = Self { window: self.window.wrapping_add(2), ..SlidingCounter::FRESH };
        0
    }
}

impl SlidingCounter {
    /// About `count` tokens in any `period`.
    ///
    /// # Errors
    /// When `count` is zero or above 2^31, or `period` is zero or above 146 years.
    pub const fn new(count: u32, period: Duration) -> Result<Self, ConfigError> {
        match (checked_count(count), checked_period(period)) {
            (Ok(count), Ok(period)) => Ok(Self { period, count }),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    /// The estimate `elapsed` into the window, times the period.
    const fn estimate(&self, state: &CounterState, elapsed: u64) -> Fine {
        let previous = Fine::from_units(self.period - elapsed).times(state.previous);
        Fine::from_units(self.period).times(state.current).plus(previous)
    }

    /// How far into a window, at which `previous` tokens are remembered, no more than `room` of them still count.
    const fn until_left(&self, previous: u32, room: u32) -> u64 {
        let covered = Fine::from_units(self.period).times(room).over(previous);
        self.period.saturating_sub(covered)
    }

    /// When `n` tokens can be taken, which cannot be now.
    fn ready(&self, state: &CounterState, n: u32, now: Instant) -> Instant {
        let began = state.began.unwrap_or(now);
        let room = self.count - n;
        if state.current <= room {
            return began.after(self.until_left(state.previous, room - state.current));
        }
        began.after(self.period).after(self.until_left(state.current, room))
    }
}

impl GateKind for SlidingCounter {
    type State = CounterState;
    type Permit = CounterTokens;
    const FRESH: CounterState = CounterState { began: None, previous: 0, current: 0, window: 0 };

    #[inline]
    fn try_acquire(&self, state: &mut CounterState, now: Instant) -> Result<CounterTokens, Rejected> {
        self.try_acquire_n(state, 1, now)
    }

    /// The outcome does not matter: the tokens are spent.
    #[inline]
    fn release(&self, _state: &mut CounterState, _tokens: CounterTokens, _outcome: Outcome, _now: Instant) {}

    fn cancel(&self, state: &mut CounterState, tokens: CounterTokens, now: Instant) {
        state.look(self.period, now);
        if tokens.window == state.window {
            state.current = state.current.saturating_sub(tokens.n);
        } else if tokens.window.wrapping_add(1) == state.window {
            state.previous = state.previous.saturating_sub(tokens.n);
        }
    }

    /// Nothing is ever armed.
    fn poll_timeout(&self, _state: &CounterState) -> Option<Instant> {
        None
    }

    fn handle_timeout(&self, _state: &mut CounterState, _now: Instant) {}

    /// When no window that has tokens counts any more.
    fn rests_at(&self, state: &CounterState) -> Option<Instant> {
        Some(match state.began {
            Some(began) if state.current > 0 => began.after(2 * self.period),
            Some(began) if state.previous > 0 => began.after(self.period),
            _ => Instant::EPOCH,
        })
    }

    fn is_held(&self, _state: &CounterState) -> bool {
        false
    }

    fn longest_refusal(&self) -> u64 {
        (2 * self.period).saturating_add(LATE)
    }
}

impl Weighted for SlidingCounter {
    fn try_acquire_n(&self, state: &mut CounterState, n: u32, now: Instant) -> Result<CounterTokens, Rejected> {
        if n > self.count {
            return Err(NEVER);
        }
        let elapsed = state.look(self.period, now);
        let each = Fine::from_units(self.period);
        if n > 0 && self.estimate(state, elapsed).plus(each.times(n)) > each.times(self.count) {
            return Err(not_until(self.ready(state, n, now)));
        }
        if n > 0 {
            state.began = Some(state.began.unwrap_or(now));
            state.current += n;
        }
        Ok(CounterTokens { n, window: state.window })
    }

    fn available(&self, state: &CounterState, now: Instant) -> u32 {
        let mut state = *state;
        let elapsed = state.look(self.period, now);
        let each = Fine::from_units(self.period);
        each.times(self.count).minus(self.estimate(&state, elapsed)).whole(each, self.count)
    }
}
