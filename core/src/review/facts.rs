//! What the parts say of themselves, and what follows from it.

use super::{Finding, Findings};
use crate::backoff::{Backoff, Jitter};
use crate::limits::Limits;

/// What the parts of one pipeline say of themselves. All times are nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    attempts: u16,
    /// Of retries; `None` for hedges.
    backoff: Option<Backoff>,
    is_idempotent: Option<bool>,
    attempt_timeout: Option<u64>,
    deadline: Option<u64>,
    has_budget: bool,
    one_failure_trips: bool,
    shortest_window: Option<u64>,
    longest_trial_ttl: u64,
    line_without_waiting: bool,
}

/// A part of a configuration that can be reviewed. A gate of one's own needs no more than `impl Review for MyGate {}`.
pub trait Review {
    /// Adds what there is to say.
    fn review(&self, facts: &mut Facts) {
        let _ = facts;
    }
}

impl Facts {
    /// What `part` says of itself.
    pub fn of(part: &impl Review) -> Self {
        let mut facts = Self::default();
        part.review(&mut facts);
        facts
    }

    /// There are retries.
    pub(crate) const fn retries(&mut self, attempts: u16, backoff: Backoff) {
        self.backoff = Some(backoff);
        self.attempts = attempts;
    }

    /// There are hedges.
    pub(crate) const fn hedges(&mut self, attempts: u16) {
        self.attempts = attempts;
    }

    /// There are limits.
    pub(crate) const fn limits(&mut self, limits: &Limits) {
        self.attempt_timeout = limits.attempt_timeout;
        self.deadline = limits.deadline;
        self.is_idempotent = limits.is_idempotent;
    }

    /// Further attempts are paid for.
    pub(crate) const fn budget(&mut self) {
        self.has_budget = true;
    }

    /// There is a breaker.
    pub(crate) fn breaker(&mut self, one_failure_trips: bool, window: Option<u64>, trial_ttl: u64) {
        self.one_failure_trips |= one_failure_trips;
        self.shortest_window = [self.shortest_window, window].into_iter().flatten().min();
        self.longest_trial_ttl = self.longest_trial_ttl.max(trial_ttl);
    }

    /// Callers stand in line, and the first one does not wait.
    pub const fn line_without_waiting(&mut self) {
        self.line_without_waiting = true;
    }

    /// What is to be said about it.
    #[must_use]
    pub fn findings(&self) -> Findings {
        let mut found = Findings::default();
        let several = self.attempts > 1;
        let exceeds =
            |time: Option<u64>, limit: Option<u64>| time.zip(limit).is_some_and(|(time, limit)| time >= limit);
        let backoff = self.backoff.filter(|_| several);
        let delays = backoff.map(|backoff| backoff.total(self.attempts));
        let is = |check: fn(&Backoff) -> bool| backoff.is_some_and(|backoff| check(&backoff));
        let longest = self.attempt_timeout.or(self.deadline);
        found.add(Finding::RetryWithoutBackoff, is(|backoff| backoff.cap() == 0));
        found.add(Finding::RetryWithoutJitter, is(|backoff| backoff.cap() > 0 && backoff.jitter() == Jitter::None));
        found.add(Finding::RetryWithoutBudget, several && self.is_idempotent != Some(false) && !self.has_budget);
        found.add(Finding::RepeatsUnsaid, several && self.is_idempotent.is_none());
        found.add(Finding::NoDeadline, self.attempts > 0 && longest.is_none());
        found.add(Finding::AttemptTimeoutNotBelowDeadline, exceeds(self.attempt_timeout, self.deadline));
        found.add(Finding::DelaysAboveDeadline, exceeds(delays, self.deadline));
        found.add(Finding::OneFailureTrips, self.one_failure_trips);
        found.add(Finding::WindowBelowTimeout, exceeds(longest, self.shortest_window));
        found.add(Finding::TrialsWithoutLease, self.longest_trial_ttl == u64::MAX);
        found.add(Finding::LineWithoutWaiting, self.line_without_waiting);
        found
    }

    /// What is to be said about `inner` being called in this one's attempts.
    fn around(&self, inner: &Self) -> Findings {
        let mut found = Findings::default();
        let retries = self.attempts > 1 && self.backoff.is_some();
        let outlasts =
            self.attempt_timeout.is_some_and(|limit| inner.deadline.is_none_or(|deadline| deadline >= limit));
        found.add(Finding::NestedRetries, self.attempts > 1 && inner.attempts > 1);
        found.add(Finding::HedgeInsideRetry, retries && inner.attempts > 1 && inner.backoff.is_none());
        found.add(Finding::AttemptTimeoutNotBelowDeadline, inner.attempts > 0 && outlasts);
        found
    }
}

/// Reviews pipelines that call each other, outermost first: each by itself, and each with all those within it.
#[must_use]
pub fn review(nested: &[Facts]) -> Findings {
    let mut found = Findings::default();
    let mut rest = nested;
    while let Some((outer, inner)) = rest.split_first() {
        found.add_all(&outer.findings());
        for inner in inner {
            found.add_all(&outer.around(inner));
        }
        rest = inner;
    }
    found
}
