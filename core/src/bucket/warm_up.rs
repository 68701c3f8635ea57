//! A bucket that starts slowly.

use core::time::Duration;

use super::fine::{Fine, high_half, low_half};
use super::quota::Quota;
use super::state::{NEVER, Nanos, bounded, not_until};
use crate::limiter::{Limiter, Reservation, Reserving, Weighted};
use crate::seen::Seen;
use crate::{ConfigError, GateKind, Instant, Outcome, Rejected, nanos};

/// A pace that starts at a third of the quota's rate and gets to all of it while it is used: for callees that have to
/// fill caches or open connections first. Idle time cools it down again. The curve is that of Guava's
/// `SmoothWarmingUp` with its cold factor of 3.
///
/// ```text
///   time of a token
///   3 cells |_ _ _ _ _ _ _ _ _ _ _ _ _ _/   cold: new, or idle for `warm_up`
///           |                         /  :
///           |                     /      :
///   1 cell  |________________/           :   warm: the area over the upper half is `warm_up`
///           +----------------+-----------+
///           0           warm_up/2     warm_up    idle time that was not used up yet
/// ```
///
/// It has no tokens in store: each takes its time, and the next request waits for it. So a request for several (up to
/// the quota's burst) is granted at once when it is its turn, and the one after it waits for all of them. Never grants
/// more than burst + rate x elapsed over any interval. What was taken last comes back when it is cancelled, other tokens
/// do not.
///
/// ```
/// use core::time::Duration;
/// use fusebox::{Gate, Instant, Limiter, Quota, WarmUp, checked};
///
/// const WARM_UP: WarmUp = checked!(WarmUp::new(checked!(Quota::per_second(2)), Duration::from_secs(4)));
/// let mut limiter = Limiter::new(WARM_UP);
/// let mut now = Instant::from_secs(1);
/// let mut waits = [0; 6];
/// for wait in &mut waits {
///     let ready_at = limiter.reserve(1, now).unwrap().ready_at();
///     *wait = ready_at.nanos_since(now) / 1_000_000;
///     now = ready_at;
/// }
/// assert_eq!(waits, [0, 1_375, 1_125, 875, 625, 500]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct WarmUp {
    quota: Quota,
    /// How long it takes to get warm.
    length: u64,
    /// What a nanosecond is of that, in parts of [`COLD`].
    nano: u64,
    /// What a cell is of it.
    cell: u64,
}

/// All of the warm-up is still to come.
const COLD: u64 = WARM << 1;
/// From here down tokens take no more than their time.
const WARM: u64 = 1 << 61;

const HOUR: u64 = 3_600 * 1_000_000_000;

/// What a limiter of the kind [`WarmUp`] remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct WarmUpState {
    /// When the last one's time is over: the next one's turn.
    free: Fine,
    /// Changes with what is taken, and back when the last is cancelled.
    serial: u32,
    /// How cold it was then.
    cold: u64,
    seen: Seen,
}

/// Tokens that were taken.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "release it when the work ran, cancel it to get the tokens back"]
pub struct WarmTokens {
    span: Fine,
    serial: u32,
    warmed: u64,
}

impl WarmUp {
    /// Starts at a third of `quota`'s rate; `warm_up` is how long it takes to get to all of it.
    ///
    /// # Errors
    /// When `warm_up` is zero or longer than an hour.
    #[expect(clippy::integer_division, reason = "configuration, not a decision")]
    pub const fn new(quota: Quota, warm_up: Duration) -> Result<Self, ConfigError> {
        let warm_up = nanos(warm_up);
        if warm_up == 0 || warm_up > HOUR {
            return Err(ConfigError::new("warm_up", "above zero, and no longer than an hour"));
        }
        let cell = match quota.cost(1).share_of(quota.span(warm_up), COLD.trailing_zeros()) {
            Some((share, _)) => share,
            None => COLD,
        };
        Ok(Self { quota, length: warm_up, nano: COLD / warm_up, cell })
    }

    /// The quota when it is warm.
    #[must_use]
    pub const fn quota(&self) -> &Quota {
        &self.quota
    }

    /// Takes `n` tokens for use at `at`, when it is their turn.
    fn take(&self, state: &mut WarmUpState, n: u32, at: Instant) -> WarmTokens {
        if n == 0 {
            return WarmTokens { span: Fine::ZERO, serial: 0, warmed: 0 };
        }
        self.cool(state, at);
        let warmed = self.cell.saturating_mul(n.into()).min(state.cold);
        let span = self.quota.cost(n).plus(self.slower_by(state.cold, state.cold - warmed));
        state.cold -= warmed;
        state.free = state.free.plus(span);
        state.serial = state.serial.wrapping_add(1);
        WarmTokens { span, serial: state.serial, warmed }
    }

    /// When the next one's turn is.
    const fn turn(&self, state: &WarmUpState) -> Nanos {
        state.free.nanos_up(self.quota.parts())
    }

    /// Idle time until `at` cools it down.
    fn cool(&self, state: &mut WarmUpState, at: Instant) {
        let at = self.quota.time(at);
        if at > state.free {
            let idle = at.minus(state.free).nanos(self.quota.parts());
            let cooled = if idle < self.length { idle * self.nano } else { COLD };
            state.cold = state.cold.saturating_add(cooled).min(COLD);
            state.free = at;
        }
    }

    /// How much longer than their cells tokens take that warm it from `cold` to `warmer`: a part of the area above the
    /// cells. With both as shares of the warm-up above a half, that is 2 (cold^2 - warmer^2) x warm-up.
    const fn slower_by(&self, cold: u64, warmer: u64) -> Fine {
        let (cold, warmer) = (cold.saturating_sub(WARM), warmer.saturating_sub(WARM));
        let (length, width) = (self.quota.span(self.length), (cold - warmer) << 2);
        let width = length.share(high_half(width)).plus(length.share(low_half(width)).share(1));
        let area = width.share(high_half((cold << 2).saturating_add(warmer << 2)));
        area.plus(area)
    }

    fn look(&self, state: &mut WarmUpState, now: Instant) -> Instant {
        let (now, step) = state.seen.look(now);
        state.free = state.free.minus(self.quota.span(step));
        now
    }
}

impl GateKind for WarmUp {
    type State = WarmUpState;
    type Permit = WarmTokens;
    const FRESH: WarmUpState = WarmUpState { free: Fine::ZERO, serial: 0, cold: COLD, seen: Seen::NEVER };

    #[inline]
    fn try_acquire(&self, state: &mut WarmUpState, now: Instant) -> Result<WarmTokens, Rejected> {
        self.try_acquire_n(state, 1, now)
    }

    /// The tokens are spent; of the outcome only a hint matters, if the quota says so.
    fn release(&self, state: &mut WarmUpState, _tokens: WarmTokens, outcome: Outcome, now: Instant) {
        if let Some(at) = outcome.hint().filter(|_| self.quota.max_hint() > 0) {
            let at = at.min(self.look(state, now).after(self.quota.max_hint()));
            state.free = state.free.max(self.quota.time(at));
            state.serial = state.serial.wrapping_add(1);
        }
    }

    fn cancel(&self, state: &mut WarmUpState, tokens: WarmTokens, now: Instant) {
        self.look(state, now);
        if tokens.serial == state.serial && tokens.span > Fine::ZERO {
            state.free = state.free.minus(tokens.span);
            state.cold = state.cold.saturating_add(tokens.warmed).min(COLD);
            state.serial = state.serial.wrapping_sub(1);
        }
    }

    /// Nothing is ever armed.
    fn poll_timeout(&self, _state: &WarmUpState) -> Option<Instant> {
        None
    }

    fn handle_timeout(&self, _state: &mut WarmUpState, _now: Instant) {}

    /// When it is cold again.
    fn rests_at(&self, state: &WarmUpState) -> Option<Instant> {
        let cools = if state.cold < COLD { self.length } else { 0 };
        Some(Instant::from_nanos(self.turn(state)).after(cools))
    }

    fn is_held(&self, _state: &WarmUpState) -> bool {
        false
    }

    fn longest_refusal(&self) -> u64 {
        self.quota.longest_wait().saturating_add(self.length)
    }
}

impl Weighted for WarmUp {
    fn try_acquire_n(&self, state: &mut WarmUpState, n: u32, now: Instant) -> Result<WarmTokens, Rejected> {
        if n > self.quota.burst() {
            return Err(NEVER);
        }
        let now = self.look(state, now);
        if n > 0 && state.free > self.quota.time(now) {
            return Err(not_until(self.turn(state)));
        }
        Ok(self.take(state, n, now))
    }

    /// The burst when it is the next one's turn, or nothing.
    fn available(&self, state: &WarmUpState, now: Instant) -> u32 {
        let (mut state, burst) = (*state, self.quota.burst());
        let now = self.look(&mut state, now);
        if state.free > self.quota.time(now) { 0 } else { burst }
    }
}

impl Reserving for WarmUp {
    fn reserve_until(
        &self,
        state: &mut WarmUpState,
        n: u32,
        until: Instant,
        now: Instant,
    ) -> Result<Reservation<WarmTokens>, Rejected> {
        if n > self.quota.burst() {
            return Err(NEVER);
        }
        let now = self.look(state, now);
        let turn = now.as_nanos().max(if n > 0 { self.turn(state) } else { 0 });
        let at = bounded(turn, self.quota.max_wait_nanos(), until, now)?;
        Ok(Reservation::new(self.take(state, n, at), at))
    }
}

impl Limiter<WarmUp> {
    /// Changes the rate and the warm-up. It stays as cold as it is; what was granted before takes its time as before.
    pub fn set_warm_up(&mut self, warm_up: WarmUp, now: Instant) {
        let now = self.kind.look(&mut self.state, now);
        self.kind.cool(&mut self.state, now);
        self.state.free = warm_up.quota.span(self.kind.turn(&self.state));
        self.state.serial = self.state.serial.wrapping_add(1);
        self.kind = warm_up;
    }
}
