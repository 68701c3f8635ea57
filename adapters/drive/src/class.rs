//! What the answer of an attempt means.

use core::time::Duration;

use fusebox::{Clock, Ended, Outcome};

/// What a classifier says about the answer of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It is the answer. Counts as a success.
    Success,
    /// It failed and may be tried again. Counts as a failure.
    Retry,
    /// As `Retry`, but the callee asked to be left alone for this long (`Retry-After`). The retry waits for it, and a
    /// breaker with `max_hint` that opens now stays open for it.
    RetryAfter(Duration),
    /// It failed before anything reached the callee (the connection was refused, the bus was busy), so it may be tried
    /// again even if the operation is not idempotent. Counts as a failure.
    NotSent,
    /// It failed, and trying again is no use. Counts as a failure.
    Stop,
    /// It is no use trying again, but the callee is not to blame (a bad request, say). Counts as nothing.
    Ignore,
}

impl Class {
    pub(crate) fn outcome(self, now: impl Clock) -> Outcome {
        match self {
            Self::Success => Outcome::Success,
            Self::Retry | Self::NotSent | Self::Stop => Outcome::Failure,
            Self::RetryAfter(wait) => Outcome::Unavailable { retry_at: now.now().saturating_add(wait) },
            Self::Ignore => Outcome::Ignored,
        }
    }

    pub(crate) fn ended(self, now: impl Clock) -> Ended {
        match self {
            Self::Success => Ended::Success,
            Self::Retry => Ended::Retry { not_before: None },
            Self::RetryAfter(wait) => Ended::Retry { not_before: Some(now.now().saturating_add(wait)) },
            Self::NotSent => Ended::NotSent,
            Self::Stop | Self::Ignore => Ended::Stop,
        }
    }
}

/// Tells what the answer of an attempt means. Any `Fn(&Result<V, E>) -> Class` is one.
pub trait Classify<V, E> {
    /// The class of `answer`.
    fn classify(&self, answer: &Result<V, E>) -> Class;
}

impl<V, E, F: Fn(&Result<V, E>) -> Class> Classify<V, E> for F {
    fn classify(&self, answer: &Result<V, E>) -> Class {
        self(answer)
    }
}

/// `Ok` is a success, every error may be tried again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Errors;

impl<V, E> Classify<V, E> for Errors {
    fn classify(&self, answer: &Result<V, E>) -> Class {
        if answer.is_ok() { Class::Success } else { Class::Retry }
    }
}
