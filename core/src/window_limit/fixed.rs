//! Fixed windows.

use core::time::Duration;

use super::{NEVER, checked_count, checked_period, not_until};
use crate::limiter::{Limiter, Reservation, Reserving, Weighted};
use crate::seen::LATE;
use crate::{ConfigError, GateKind, Instant, Outcome, Reason, Rejected, nanos};

/// So many tokens, all at once, at the beginning of each window: what a callee with a counter that starts over does.
///
/// Any window has `count` tokens; a period across the line between two of them can have twice as many. With a larger
/// [burst](Self::with_burst), tokens that are left over are kept up to it. Reservations take tokens of windows to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FixedWindow {
    period: u64,
    max_wait: u64,
    aligned_to: Option<Instant>,
    count: u32,
    burst: u32,
}

/// What a limiter of the kind [`FixedWindow`] remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FixedState {
    /// When the window ends that the last look was in; `None` when the next token begins one.
    ends: Option<Instant>,
    /// Tokens missing from the burst: more than that when some are reserved of windows to come.
    missing: u64,
    /// Changes with what is taken, and back when the last is cancelled.
    serial: u32,
}

/// Tokens that were taken.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "release it when the work ran, cancel it to get the tokens back"]
pub struct FixedTokens {
    /// The end of the window in which they were asked for.
    window: Option<Instant>,
    n: u32,
    serial: u32,
}

impl FixedTokens {
    /// How many.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.n
    }
}

impl FixedWindow {
    /// `count` tokens in each window of length `period`.
    ///
    /// # Errors
    /// When `count` is zero or above 2^31, or `period` is zero or above 146 years.
    pub const fn new(count: u32, period: Duration) -> Result<Self, ConfigError> {
        match (checked_count(count), checked_period(period)) {
            (Ok(count), Ok(period)) => {
                Ok(Self { period, max_wait: 60_000_000_000, aligned_to: None, count, burst: count })
            }
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    /// How many tokens there can be at once. Default: as many as come with each window.
    ///
    /// # Errors
    /// When it is zero or above 2^31.
    pub const fn with_burst(mut self, burst: u32) -> Result<Self, ConfigError> {
        if burst == 0 || burst > 1 << 31 {
            return Err(ConfigError::new("burst", "from 1 to 2^31 tokens"));
        }
        self.burst = burst;
        Ok(self)
    }

    /// A window begins at `at`, and so one each period before and after it. Default: a window begins with the first
    /// token that is taken when all are there.
    #[must_use]
    pub const fn aligned_to(mut self, at: Instant) -> Self {
        self.aligned_to = Some(at);
        self
    }

    /// How long a reservation may have to wait. Default: a minute.
    #[must_use]
    pub const fn with_max_wait(mut self, max: Duration) -> Self {
        self.max_wait = nanos(max);
        self
    }

    /// How many tokens there can be at once.
    #[must_use]
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    /// Brings `state` up to `now`.
    fn look(&self, state: &mut FixedState, now: Instant) {
        let Some(ends) = state.ends else { return };
        let longest = self.period.saturating_add(self.period.max(LATE));
        if ends == Instant::MAX {
            // The end of time: no other window comes.
        } else if self.aligned_to.is_none() && now >= self.end_of(ends, state.missing.max(1)) {
            state.missing = 0; // all are back: however long ago, the next token begins a window
        } else if now >= ends {
            let (passed, rest) = divided(now.nanos_since(ends), self.period);
            let windows = passed.saturating_add(1);
            state.missing = state.missing.saturating_sub(windows.saturating_mul(self.count.into()));
            state.ends = Some(now.after(self.period - rest));
        } else if ends.nanos_since(now) > longest {
            // The clock stepped back. The line after the next one, so that no step makes one come early.
            let (_, rest) = divided(ends.nanos_since(now) - 1, self.period);
            state.ends = Some(now.after(rest + 1).after(self.period));
        }
        if state.missing == 0 && self.aligned_to.is_none() {
            state.ends = None;
        }
    }

    /// When the window ends that `now` is in, if none has begun.
    fn first_end(&self, now: Instant) -> Instant {
        let Some(line) = self.aligned_to else { return now.after(self.period) };
        if now >= line {
            let (_, rest) = divided(now.nanos_since(line), self.period);
            now.after(self.period - rest)
        } else {
            let (_, rest) = divided(line.nanos_since(now) - 1, self.period);
            now.after(rest + 1)
        }
    }

    /// When whoever asks at `now` can use `n` tokens, if that is not now. [`Instant::MAX`] when there is no such time.
    fn ready(&self, state: &FixedState, n: u32, now: Instant) -> Option<Instant> {
        let short = (state.missing + u64::from(n)).saturating_sub(self.burst.into());
        if short == 0 || n == 0 {
            return None;
        }
        let ends = state.ends.unwrap_or_else(|| self.first_end(now));
        Some(self.end_of(ends, short))
    }

    /// The end of the window in which the last of `tokens` come, when the current one `ends`.
    const fn end_of(&self, ends: Instant, tokens: u64) -> Instant {
        let (windows, _) = divided(tokens - 1, self.count as u64);
        ends.after(self.period.saturating_mul(windows))
    }

    fn take(&self, state: &mut FixedState, n: u32, now: Instant) -> FixedTokens {
        if n > 0 {
            state.ends = Some(state.ends.unwrap_or_else(|| self.first_end(now)));
            state.missing += u64::from(n);
            state.serial = state.serial.wrapping_add(1);
        }
        FixedTokens { window: state.ends, n, serial: state.serial }
    }

    /// Tokens left at `now`; below zero, so many are reserved of windows to come.
    #[must_use]
    fn balance(&self, state: &FixedState, now: Instant) -> i64 {
        let mut state = *state;
        self.look(&mut state, now);
        i64::from(self.burst).saturating_sub_unsigned(state.missing)
    }
}

/// `span` / `period` and the rest of it, digit by digit: a division would be a library call.
const fn divided(mut span: u64, period: u64) -> (u64, u64) {
    let mut quotient = 0;
    let mut digit = period.leading_zeros().saturating_sub(span.leading_zeros()) + 1;
    while digit > 0 && span >= period {
        digit -= 1;
        if period << digit <= span {
            span -= period << digit;
            quotient |= 1 << digit;
        }
    }
    (quotient, span)
}

impl GateKind for FixedWindow {
    type State = FixedState;
    type Permit = FixedTokens;
    const FRESH: FixedState = FixedState { ends: None, missing: 0, serial: 0 };

    #[inline]
    fn try_acquire(&self, state: &mut FixedState, now: Instant) -> Result<FixedTokens, Rejected> {
        self.try_acquire_n(state, 1, now)
    }

    /// The outcome does not matter: the tokens are spent.
    #[inline]
    fn release(&self, _state: &mut FixedState, _tokens: FixedTokens, _outcome: Outcome, _now: Instant) {}

    fn cancel(&self, state: &mut FixedState, tokens: FixedTokens, now: Instant) {
        self.look(state, now);
        let n = u64::from(tokens.n);
        if n > 0 && tokens.serial == state.serial {
            state.missing = state.missing.saturating_sub(n);
            state.serial = state.serial.wrapping_sub(1);
        } else if tokens.window == state.ends && state.missing <= self.burst.into() {
            // Others that were told to wait keep their windows, so there must be none.
            state.missing = state.missing.saturating_sub(n);
        }
    }

    /// Nothing is ever armed.
    fn poll_timeout(&self, _state: &FixedState) -> Option<Instant> {
        None
    }

    fn handle_timeout(&self, _state: &mut FixedState, _now: Instant) {}

    /// When all tokens are back.
    fn rests_at(&self, state: &FixedState) -> Option<Instant> {
        let Some(ends) = state.ends.filter(|_| state.missing > 0) else { return Some(Instant::EPOCH) };
        Some(self.end_of(ends, state.missing))
    }

    fn is_held(&self, _state: &FixedState) -> bool {
        false
    }

    fn longest_refusal(&self) -> u64 {
        let (windows, _) = divided(self.burst.into(), self.count.into());
        let refill = self.period.saturating_mul(windows + 1).saturating_add(self.period.max(LATE));
        refill.saturating_add(self.max_wait)
    }
}

impl Weighted for FixedWindow {
    fn try_acquire_n(&self, state: &mut FixedState, n: u32, now: Instant) -> Result<FixedTokens, Rejected> {
        if n > self.burst {
            return Err(NEVER);
        }
        self.look(state, now);
        match self.ready(state, n, now) {
            Some(ready) => Err(not_until(ready)),
            None => Ok(self.take(state, n, now)),
        }
    }

    fn available(&self, state: &FixedState, now: Instant) -> u32 {
        u32::try_from(self.balance(state, now).max(0)).unwrap_or(u32::MAX)
    }
}

impl Reserving for FixedWindow {
    fn reserve_until(
        &self,
        state: &mut FixedState,
        n: u32,
        until: Instant,
        now: Instant,
    ) -> Result<Reservation<FixedTokens>, Rejected> {
        if n > self.burst {
            return Err(NEVER);
        }
        self.look(state, now);
        let ready = self.ready(state, n, now).unwrap_or(now);
        if until < now {
            return Err(Rejected { reason: Reason::RateLimited, retry_at: None });
        }
        if ready > until || ready == Instant::MAX {
            return Err(not_until(ready));
        }
        if ready.nanos_since(now) > self.max_wait {
            return Err(not_until(crate::seen::earlier_by(ready, self.max_wait)));
        }
        Ok(Reservation::new(self.take(state, n, now), ready))
    }
}

impl Limiter<FixedWindow> {
    /// Tokens left at `now`; below zero, so many are reserved of windows to come.
    #[must_use]
    pub fn balance(&self, now: Instant) -> i64 {
        self.kind.balance(&self.state, now)
    }

    /// Takes all tokens that there are.
    pub fn drain(&mut self, now: Instant) -> FixedTokens {
        let n = self.available(now);
        self.kind.look(&mut self.state, now);
        self.kind.take(&mut self.state, n, now)
    }

    /// Changes the window. What is left of the one that has begun stays, up to the new burst, and so does its end; from
    /// then on it is as the new one says.
    pub fn set_window(&mut self, window: FixedWindow, now: Instant) {
        self.kind.look(&mut self.state, now);
        let missing = self.state.missing + u64::from(window.burst);
        self.state.missing = missing.saturating_sub(self.kind.burst.into());
        self.kind = window;
    }
}
