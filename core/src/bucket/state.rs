//! What one bucket remembers, and the rule.

use super::fine::Fine;
use super::quota::Quota;
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

/// A refusal until `ready`.
pub(super) fn not_until(ready: Fine) -> Rejected {
    let retry_at = ready.to_instant_up();
    // Not so only at the end of time.
    let comes = Fine::from_instant(retry_at) >= ready;
    Rejected { reason: Reason::RateLimited, retry_at: comes.then_some(retry_at) }
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
    pub(super) fn look(&mut self, now: Instant) -> Instant {
        let (now, step) = self.seen.look(now);
        if step > 0 {
            self.move_back(step);
        }
        self.tat = self.tat.max(Fine::from_instant(self.seen.instant()));
        if self.paused_until <= now {
            self.paused_until = Instant::EPOCH;
        }
        now
    }

    /// The clock stepped back: no time has passed, so everything is as far away as it was.
    const fn move_back(&mut self, step: u64) {
        self.tat = self.tat.minus(Fine::from_nanos(step));
        self.shifted = self.shifted.plus(Fine::from_nanos(step));
        self.told = earlier_by(self.told, step);
        self.paused_until = earlier_by(self.paused_until, step);
    }

    /// When whoever asks at `now` can use `n` tokens.
    #[inline]
    pub(super) fn ready(&self, quota: &Quota, n: u32, now: Instant) -> Fine {
        let from = Fine::from_instant(now.max(self.paused_until));
        self.tat.max(from).plus(quota.cost(n)).minus(quota.tolerance()).max(from)
    }

    /// For how many nanoseconds the queue would be empty before a use at `at`.
    pub(super) fn gap(&self, at: Instant, now: Instant) -> u64 {
        Fine::from_instant(at).minus(self.tat.max(Fine::from_instant(now))).nanos()
    }

    /// Takes `n` tokens for use at `at`, when they are ready. Zero tokens leave no trace.
    #[inline]
    pub(super) fn take(&mut self, quota: &Quota, n: u32, at: Instant, now: Instant) -> Tokens {
        if n == 0 {
            return Tokens::NONE;
        }
        self.tat = self.tat.max(Fine::from_instant(at)).plus(quota.cost(n));
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
        let now = self.look(now);
        if n > 0 {
            let ready = self.ready(quota, n, now);
            if ready > Fine::from_instant(now) {
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
        let now = self.look(now);
        let ready = if n == 0 { Fine::from_instant(now) } else { self.ready(quota, n, now) };
        let at = bounded(ready, quota.max_wait_nanos(), until, now)?;
        Ok(Reservation::new(self.take(quota, n, at, now), at))
    }

    /// Gives back `n` of `tokens`, before which a span of `gap` stayed empty.
    ///
    /// What is behind them moves up, but nothing to before its use. None of that is after the last instant that a
    /// reservation was told, nor after now.
    pub(super) fn give_back(&mut self, quota: &Quota, tokens: &Tokens, n: u32, gap: u64, now: Instant) {
        let now = self.look(now);
        let span = quota.cost(n);
        let behind = self.tat.plus(self.shifted).minus(tokens.end);
        if behind < Fine::from_nanos(1) {
            // No span is that short: nothing is behind them.
            let rest = self.tat.minus(behind).minus(span).minus(Fine::from_nanos(gap));
            self.tat = rest.max(Fine::from_instant(now)).min(self.tat);
            return;
        }
        let last_use = Fine::from_instant(now.max(self.told));
        let span = tokens.end.minus(self.shifted).minus(last_use).min(span);
        self.tat = self.tat.minus(span);
        self.shifted = self.shifted.plus(span);
    }

    /// See [`TokenBucket::settle`](super::TokenBucket::settle).
    pub(crate) fn settle(&mut self, quota: &Quota, tokens: &Tokens, actual: u32, now: Instant) {
        if actual <= tokens.n {
            return self.give_back(quota, tokens, tokens.n - actual, 0, now);
        }
        let now = Fine::from_instant(self.look(now));
        let deepest = now.plus(quota.tolerance()).plus(Fine::from_nanos(quota.max_wait_nanos()));
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
            self.pause(at, quota.max_hint(), now);
        }
    }

    pub(crate) fn pause(&mut self, until: Instant, max: u64, now: Instant) {
        let now = self.look(now);
        self.paused_until = self.paused_until.max(until.min(now.after(max)));
    }

    pub(crate) const fn resume(&mut self) {
        self.paused_until = Instant::EPOCH;
    }

    pub(crate) fn available(mut self, quota: &Quota, now: Instant) -> u32 {
        let now = self.look(now);
        if self.paused_until > now {
            return 0;
        }
        let now = Fine::from_instant(now);
        let room = now.plus(quota.tolerance()).minus(self.tat.max(now));
        room.whole(quota.cost(1), quota.burst())
    }

    pub(crate) fn drain(&mut self, quota: &Quota, now: Instant) -> Tokens {
        let n = self.available(quota, now);
        let now = self.look(now);
        self.take(quota, n, now, now)
    }

    /// Keeps the share of the burst that is left, and what reservations were told.
    pub(super) fn retune(&mut self, old: &Quota, new: &Quota, now: Instant) {
        let now = self.look(now);
        let told = self.told;
        let fine = Fine::from_instant(now);
        let debt = self.tat.minus(fine);
        let scaled = match debt.share_of(old.tolerance()) {
            Some(share) => new.tolerance().share(share),
            None => new.tolerance().plus(debt.minus(old.tolerance())),
        };
        self.tat = fine.plus(scaled.round_up(new.grain()));
        // What tokens of before are worth is not known any more: the end of none of them is still to come.
        self.shifted = self.shifted.plus(debt);
        if told > now {
            self.tat = self.tat.max(Fine::from_instant(told).plus(new.tolerance()));
        }
    }

    pub(super) fn rests_at(&self) -> Instant {
        self.tat.to_instant_up().max(self.paused_until)
    }
}

/// What the atomic twin keeps in words.
#[cfg(target_has_atomic = "64")]
impl BucketState {
    /// The state of a bucket that is not paused, without what only reservations need.
    #[inline]
    pub(crate) const fn of_words(seen: Instant, shifted: Fine, offset: Fine) -> Self {
        Self { tat: Fine::from_instant(seen).plus(offset), shifted, seen: Seen::from_instant(seen), ..Self::FULL }
    }

    /// Whether only the TAT is another one.
    #[inline]
    pub(crate) fn differs_in_tat_only(&self, other: &Self) -> bool {
        Self { tat: other.tat, ..*self } == *other
    }

    /// The TAT, from the instant last seen.
    pub(crate) const fn offset(&self) -> Fine {
        self.tat.minus(Fine::from_instant(self.seen.instant()))
    }

    pub(crate) const fn set_offset(&mut self, offset: Fine) {
        self.tat = Fine::from_instant(self.seen.instant()).plus(offset);
    }

    pub(crate) const fn shifted(&self) -> Fine {
        self.shifted
    }

    pub(crate) const fn seen(&self) -> Instant {
        self.seen.instant()
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused_until > Instant::EPOCH
    }
}

/// When tokens that are ready at `ready` may be used, if that is within both limits.
pub(super) fn bounded(ready: Fine, max_wait: u64, until: Instant, now: Instant) -> Result<Instant, Rejected> {
    if until < now {
        return Err(Rejected { reason: Reason::RateLimited, retry_at: None });
    }
    if ready > Fine::from_instant(until) {
        return Err(not_until(ready));
    }
    let max_wait = Fine::from_nanos(max_wait);
    if ready > Fine::from_instant(now).plus(max_wait) {
        return Err(not_until(ready.minus(max_wait)));
    }
    Ok(ready.to_instant_up())
}

impl Quota {
    /// See [`GateKind::longest_refusal`](crate::GateKind::longest_refusal).
    pub(super) fn longest_wait(&self) -> u64 {
        let debt = self.tolerance().nanos().saturating_add(1).saturating_add(self.max_wait_nanos());
        let pause = self.max_pause().max(self.max_hint());
        debt.max(pause).saturating_add(2 * LATE)
    }
}
