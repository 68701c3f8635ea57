//! A policy that a file has chosen.

use core::time::Duration;

use fusebox::budget::After;
use fusebox::hedge::Fixed;
use fusebox::review::{Facts, Review};
use fusebox::{Call, Clock, Ended, Hedge, HedgePolicy, Instant, Plan, Policy, Retry, RetryPolicy, Step};

use crate::Drive;
use crate::slots::{End, Runs, Slot};

/// Retries, or hedges of two attempts. A call has room for two attempts side by side, whichever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnyPolicy {
    /// One attempt after the other.
    Retry(RetryPolicy),
    /// A second attempt when the first one is late.
    Hedge(HedgePolicy<2>),
}

/// The plan of an [`AnyPolicy`].
#[derive(Debug)]
pub enum AnyPlan<'p> {
    /// One attempt after the other.
    Retry(Retry<'p>),
    /// A second attempt when the first one is late.
    Hedge(Hedge<'p, 2, Fixed>),
}

impl Policy for AnyPolicy {
    type Plan<'p> = AnyPlan<'p>;

    fn plan(&self, call: Call) -> AnyPlan<'_> {
        match self {
            Self::Retry(policy) => AnyPlan::Retry(policy.plan(call)),
            Self::Hedge(policy) => AnyPlan::Hedge(policy.plan(call)),
        }
    }

    fn waits_for_gates(&self) -> bool {
        match self {
            Self::Retry(policy) => policy.waits_for_gates(),
            Self::Hedge(policy) => policy.waits_for_gates(),
        }
    }

    fn deadline(&self) -> Option<Duration> {
        match self {
            Self::Retry(policy) => policy.deadline(),
            Self::Hedge(policy) => policy.deadline(),
        }
    }

    fn attempt_timeout(&self) -> Option<Duration> {
        match self {
            Self::Retry(policy) => policy.attempt_timeout(),
            Self::Hedge(policy) => policy.attempt_timeout(),
        }
    }
}

impl Drive for AnyPolicy {
    type Slots<R: Runs> = Slot<R, Slot<R, End>>;
}

impl Review for AnyPolicy {
    fn review(&self, facts: &mut Facts) {
        match self {
            Self::Retry(policy) => policy.review(facts),
            Self::Hedge(policy) => policy.review(facts),
        }
    }
}

impl Plan for AnyPlan<'_> {
    fn next_if_paid(&mut self, now: impl Clock, pay: impl FnOnce(After) -> bool) -> Step {
        match self {
            Self::Retry(plan) => plan.next_if_paid(now, pay),
            Self::Hedge(plan) => plan.next_if_paid(now, pay),
        }
    }

    fn ended_if_paid(&mut self, attempt: u16, ended: Ended, now: impl Clock, pay: impl FnOnce(After) -> bool) {
        match self {
            Self::Retry(plan) => plan.ended_if_paid(attempt, ended, now, pay),
            Self::Hedge(plan) => plan.ended_if_paid(attempt, ended, now, pay),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Retry(plan) => plan.deadline(),
            Self::Hedge(plan) => plan.deadline(),
        }
    }

    fn feed(&mut self, entropy: u32) {
        match self {
            Self::Retry(plan) => plan.feed(entropy),
            Self::Hedge(plan) => plan.feed(entropy),
        }
    }

    fn abandon(&mut self, now: impl Clock) {
        match self {
            Self::Retry(plan) => plan.abandon(now),
            Self::Hedge(plan) => plan.abandon(now),
        }
    }
}
