//! What one bucket remembers, and the rule.

use super::fine::Fine;
use super::quota::Quota;
#[cfg(target_has_atomic = "64")]
use super::quota::TOLERANCE_BITS;
use crate::limiter::Reservation;
use crate::seen::{LATE, Seen, earlier_by};
use crate::{Instant, Outcome, Reason, Rejected};

/// What a [`TokenBucket`](super::TokenBucket) remembers beside its quota.
///
/// The TAT is the end of a queue: each grant has its span in it, as long as its tokens' time, that begins no earlier
/// than the grant may be used and ends no later than `tolerance` after that. Spans do not overlap, so the tokens used in
/// any interval fit between its beginning and `tolerance` after its end: that is the bound. Giving tokens back closes
/// the gap that their span leaves, by moving what is behind it, and so must not move a span to before its use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BucketState {
    /// When the bucket would be full again; no earlier than `seen`.
    tat: Fine,
    /// By how much spans were moved, all in all. A span's end plus this does not change when it is moved.
    shifted: Fine,
    seen: Seen,
    /// No reservation was told to wait for longer than until then.
    told: Instant,
    /// The epoch when it is not paused.
    paused_until: Instant,
}

/// Tokens that were taken.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "release it when the work ran, cancel it to get the tokens back"]
pub struct Tokens {
    /// The end of their span when they were taken, plus `shifted`.
    end: Fine,
    n: u32,
}

impl Tokens {
    pub(super) const NONE: Self = Self { end: Fine::ZERO, n: 0 };

    /// How many.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.n
    }
}

pub(super) const NEVER: Rejected = Rejected { reason: Reason::OverBurst, retry_at: None };

/// A time in nanoseconds since the epoch, as far as it can be told: later than [`Instant::MAX`] is `u64::MAX`.
pub(super) type Nanos = u64;

/// A refusal until `ready`.
pub(super) fn not_until(ready: Nanos) -> Rejected {
    let comes = ready <= Instant::MAX.as_nanos();
    Rejected { reason: Reason::RateLimited, retry_at: comes.then(|| Instant::from_nanos(ready)) }
}

impl BucketState {
    /// A full bucket.
    pub const FULL: Self = Self {
        tat: Fine::ZERO,
        shifted: Fine::ZERO,
        seen: Seen::NEVER,
        told: Instant::EPOCH,
        paused_until: Instant::EPOCH,
    };

    /// The time that counts for a call at `now`.
    #[inline]
    pub(super) fn look(&mut self, quota: &Quota, now: Instant) -> Instant {
        let (now, step) = self.seen.look(now);
        if step > 0 {
            self.move_back(quota, step);
        }
        self.tat = self.tat.max(quota.time(self.seen.instant()));
        if self.paused_until <= now {
            self.paused_until = Instant::EPOCH;
        }
        now
    }

    /// The clock stepped back: no time has passed, so everything is as far away as it was.
    const fn move_back(&mut self, quota: &Quota, step: u64) {
        self.tat = self.tat.minus(quota.span(step));
        self.shifted = self.shifted.plus(quota.span(step));
        self.told = earlier_by(self.told, step);
        self.paused_until = earlier_by(self.paused_until, step);
    }

    /// When whoever asks at `now` can use `n` tokens.
    #[inline]
    pub(super) fn ready(&self, quota: &Quota, n: u32, now: Instant) -> Nanos {
        let from = now.max(self.paused_until);
        let begin = quota.time(from);
        let paid = self.tat.max(begin).plus(quota.cost(n)).minus(quota.tolerance());
        // Divides what is small, and only when there is something to wait for.
        from.as_nanos().saturating_add(if paid > begin { paid.minus(begin).nanos_up(quota.parts()) } else { 0 })
    }

    /// For how many nanoseconds the queue would be empty before a use at `at`.
    pub(super) fn gap(&self, quota: &Quota, at: Instant, now: Instant) -> u64 {
        if at <= now {
            return 0;
        }
        quota.time(at).minus(self.tat.max(quota.time(now))).nanos(quota.parts())
    }

    /// Takes `n` tokens for use at `at`, when they are ready. Zero tokens leave no trace.
    #[inline]
    pub(super) fn take(&mut self, quota: &Quota, n: u32, at: Instant, now: Instant) -> Tokens {
        if n == 0 {
            return Tokens::NONE;
        }
        self.tat = self.tat.max(quota.time(at)).plus(quota.cost(n));
        if at > now {
            self.told = self.told.max(at);
        }
        Tokens { end: self.tat.plus(self.shifted), n }
    }

    #[inline]
    pub(crate) fn try_acquire_n(&mut self, quota: &Quota, n: u32, now: Instant) -> Result<Tokens, Rejected> {
        if n > quota.burst() {
            return Err(NEVER);
        }
        let now = self.look(quota, now);
        if n > 0 {
            let ready = self.ready(quota, n, now);
            if ready > now.as_nanos() {
                return Err(not_until(ready));
            }
        }
        Ok(self.take(quota, n, now, now))
    }

    pub(crate) fn reserve_until(
        &mut self,
        quota: &Quota,
        n: u32,
        until: Instant,
        now: Instant,
    ) -> Result<Reservation<Tokens>, Rejected> {
        if n > quota.burst() {
            return Err(NEVER);
        }
        let now = self.look(quota, now);
        let ready = if n == 0 { now.as_nanos() } else { self.ready(quota, n, now) };
        let at = bounded(ready, quota.max_wait_nanos(), until, now)?;
        Ok(Reservation::new(self.take(quota, n, at, now), at))
    }

    /// Gives back `n` of `tokens`, before which a span of `gap` stayed empty.
    ///
    /// What is behind them moves up, but nothing to before its use. None of that is after the last instant that a
    /// reservation was told, nor after now.
    pub(super) fn give_back(&mut self, quota: &Quota, tokens: &Tokens, n: u32, gap: u64, now: Instant) {
        let now = self.look(quota, now);
        let span = quota.cost(n);
        let behind = self.tat.plus(self.shifted).minus(tokens.end);
        if behind < quota.span(1) {
            // No span is that short: nothing is behind them.
            self.tat = self.tat.minus(behind).minus(span).minus(quota.span(gap));
            return;
        }
        let last_use = quota.time(now.max(self.told));
        let span = tokens.end.minus(self.shifted).minus(last_use).min(span);
        self.tat = self.tat.minus(span);
        self.shifted = self.shifted.plus(span);
    }

    /// See [`TokenBucket::settle`](super::TokenBucket::settle).
    pub(crate) fn settle(&mut self, quota: &Quota, tokens: &Tokens, actual: u32, now: Instant) {
        if actual <= tokens.n {
            return self.give_back(quota, tokens, tokens.n - actual, 0, now);
        }
        let now = self.look(quota, now);
        let now = quota.time(now);
        let deepest = now.plus(quota.tolerance()).plus(quota.span(quota.max_wait_nanos()));
        let owed = self.tat.max(now).plus(quota.cost(actual - tokens.n)).min(deepest);
        self.tat = self.tat.max(owed);
    }

    pub(crate) fn cancel(&mut self, quota: &Quota, tokens: &Tokens, now: Instant) {
        self.give_back(quota, tokens, tokens.n, 0, now);
    }

    /// Heeds the outcome's hint, if the quota says so.
    #[inline]
    pub(crate) fn release(&mut self, quota: &Quota, outcome: Outcome, now: Instant) {
        if let Some(at) = outcome.hint().filter(|_| quota.max_hint() > 0) {
            self.pause(quota, at, quota.max_hint(), now);
        }
    }

    pub(crate) fn pause(&mut self, quota: &Quota, until: Instant, max: u64, now: Instant) {
        let now = self.look(quota, now);
        self.paused_until = self.paused_until.max(until.min(now.after(max)));
    }

    pub(crate) const fn resume(&mut self) {
        self.paused_until = Instant::EPOCH;
    }

    pub(crate) fn available(mut self, quota: &Quota, now: Instant) -> u32 {
        let now = self.look(quota, now);
        if self.paused_until > now {
            return 0;
        }
        let now = quota.time(now);
        let room = now.plus(quota.tolerance()).minus(self.tat.max(now));
        room.whole(quota.cost(1), quota.burst())
    }

    pub(crate) fn drain(&mut self, quota: &Quota, now: Instant) -> Tokens {
        let n = self.available(quota, now);
        let now = self.look(quota, now);
        self.take(quota, n, now, now)
    }

    /// Keeps the share of the burst that is left, and what reservations were told.
    pub(super) fn retune(&mut self, old: &Quota, new: &Quota, now: Instant) {
        let now = self.look(old, now);
        // What tokens of before are worth is not known any more: the end of none of them is still to come.
        self.shifted = self.tat.plus(self.shifted).minus(new.time(now));
        let debt = self.tat.minus(old.time(now));
        let debt = match debt.share_of(old.tolerance(), 32) {
            Some((share, more)) => new.tolerance().share_up(share + u64::from(more)),
            None => new.tolerance().plus(new.span(debt.minus(old.tolerance()).nanos_up(old.parts()))),
        };
        self.tat = new.time(now).plus(debt);
        if self.told > now {
            self.tat = self.tat.max(new.time(self.told).plus(new.tolerance()));
        }
    }

    pub(super) fn rests_at(&self, quota: &Quota) -> Instant {
        Instant::from_nanos(self.tat.nanos_up(quota.parts())).max(self.paused_until)
    }
}

/// What the atomic twin keeps in words.
#[cfg(target_has_atomic = "64")]
impl BucketState {
    /// The state of a bucket that is not paused, without what only reservations need.
    #[inline]
    pub(crate) const fn of_words(quota: &Quota, seen: Instant, base: Fine, offset: Fine) -> Self {
        let time = quota.time(seen);
        Self { tat: time.plus(offset), shifted: base.minus(time), seen: Seen::from_instant(seen), ..Self::FULL }
    }

    /// Whether only the TAT is another one.
    #[inline]
    pub(crate) fn differs_in_tat_only(&self, other: &Self) -> bool {
        Self { tat: other.tat, ..*self } == *other
    }

    /// The TAT, from the instant last seen.
    pub(crate) const fn offset(&self, quota: &Quota) -> Fine {
        self.tat.minus(quota.time(self.seen.instant()))
    }

    pub(crate) const fn set_offset(&mut self, quota: &Quota, offset: Fine) {
        self.tat = quota.time(self.seen.instant()).plus(offset);
    }

    /// From where on offsets count in the end of [`Tokens`].
    pub(crate) const fn base(&self, quota: &Quota) -> Fine {
        quota.time(self.seen.instant()).plus(self.shifted)
    }

    pub(crate) const fn seen(&self) -> Instant {
        self.seen.instant()
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused_until > Instant::EPOCH
    }
}

/// When tokens that are ready at `ready` may be used, if that is within both limits.
pub(super) fn bounded(ready: Nanos, max_wait: u64, until: Instant, now: Instant) -> Result<Instant, Rejected> {
    if until < now {
        return Err(Rejected { reason: Reason::RateLimited, retry_at: None });
    }
    if ready > until.as_nanos() {
        return Err(not_until(ready));
    }
    if ready - now.as_nanos() > max_wait {
        return Err(not_until(ready - max_wait));
    }
    Ok(Instant::from_nanos(ready))
}

#[cfg(target_has_atomic = "64")]
impl Tokens {
    pub(crate) const fn ending(end: Fine, n: u32) -> Self {
        Self { end, n }
    }
}

impl Quota {
    /// [`try_acquire_n`](BucketState::try_acquire_n) for what is usual, in 64 bits: `tat` and the answer are in units from
    /// `seen` on. `None`: refused, or not usual (the time last seen is to be written, or a full bucket's time does not fit).
    #[cfg(target_has_atomic = "64")]
    #[inline]
    pub(crate) fn take(&self, tat: u64, seen: Instant, now: Instant, n: u32) -> Option<u64> {
        let (tolerance, cell) = (self.tolerance().units()?, self.cost(1).units()?);
        let since = now.nanos_since(seen);
        if tolerance >> TOLERANCE_BITS != 0 || n == 0 || n > self.burst() {
            return None;
        }
        if since > LATE || seen.nanos_since(now) > LATE {
            return None;
        }
        // None of this overflows: 30 by 22 bits; no more than the tolerance; and the TAT has 56 bits.
        let begin = since * u64::from(self.parts());
        let taken = tat.max(begin) + cell * u64::from(n);
        (taken <= begin + tolerance).then_some(taken)
    }

    /// See [`GateKind::longest_refusal`](crate::GateKind::longest_refusal).
    pub(super) fn longest_wait(&self) -> u64 {
        let debt = self.tolerance().nanos_up(self.parts()).saturating_add(self.max_wait_nanos());
        let pause = self.max_pause().max(self.max_hint());
        debt.max(pause).saturating_add(2 * LATE)
    }
}
