//! Review: which known anti-patterns a configuration contains.
//!
//! # Why
//! Each setting may be sane and the whole still make an outage worse: retries without a budget, a breaker whose window is
//! shorter than a timeout, three layers of three attempts. What can never make sense does not build; what rarely does is
//! listed here, as data, for a test or a start-up log.
//!
//! # Contract
//! - A [`Finding`] is a fact about the configuration, not about what happens at run time.
//! - [`Facts`] are what the parts say of themselves; a part without an opinion, like a gate of one's own, says nothing.
//! - Pipelines within pipelines are reviewed together, outermost first.
//!
//! # Example
//! ```
//! use core::time::Duration;
//! use fusebox::review::{Facts, Finding, review};
//! use fusebox::{Backoff, RetryPolicy, checked};
//!
//! const HASTY: RetryPolicy = checked!(RetryPolicy::builder().idempotent().build());
//! let findings = Facts::of(&HASTY).findings();
//! assert!(findings.contains(Finding::RetryWithoutBackoff) && findings.contains(Finding::NoDeadline));
//! let nested = review(&[Facts::of(&HASTY), Facts::of(&HASTY)]);
//! assert!(nested.contains(Finding::NestedRetries));
//! for finding in nested {
//!     println!("{finding:?}: {finding}");
//! }
//! ```
//!
//! # When not
//! A finding is a question, not a verdict: some are right for you. Assert on those you have decided against.

mod facts;
mod parts;
#[cfg(test)]
mod tests;

pub use facts::{Facts, Review, review};

use core::fmt;

/// A known anti-pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum Finding {
    /// Retries follow at once.
    RetryWithoutBackoff,
    /// Callers that fail together retry together.
    RetryWithoutJitter,
    /// Nothing bounds the further attempts of all calls together.
    RetryWithoutBudget,
    /// Nobody said that the operation may have its effect more than once.
    RepeatsUnsaid,
    /// Neither a call nor an attempt is ever over.
    NoDeadline,
    /// An attempt may outlast the call it is part of.
    AttemptTimeoutNotBelowDeadline,
    /// The delays alone take longer than the call may.
    DelaysAboveDeadline,
    /// One failure opens the breaker.
    OneFailureTrips,
    /// The breaker forgets a call before a slow one would have ended.
    WindowBelowTimeout,
    /// Retries within retries.
    NestedRetries,
    /// Hedges within retries.
    HedgeInsideRetry,
    /// A trial that hangs keeps its place for ever.
    TrialsWithoutLease,
    /// Callers stand in line for gates that are not waited for.
    LineWithoutWaiting,
}

impl Finding {
    /// All there are.
    pub const ALL: [Self; 13] = [
        Self::RetryWithoutBackoff,
        Self::RetryWithoutJitter,
        Self::RetryWithoutBudget,
        Self::RepeatsUnsaid,
        Self::NoDeadline,
        Self::AttemptTimeoutNotBelowDeadline,
        Self::DelaysAboveDeadline,
        Self::OneFailureTrips,
        Self::WindowBelowTimeout,
        Self::NestedRetries,
        Self::HedgeInsideRetry,
        Self::TrialsWithoutLease,
        Self::LineWithoutWaiting,
    ];
}

/// What to do about it.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RetryWithoutBackoff => "retries follow at once: give the callee time with a backoff",
            Self::RetryWithoutJitter => "callers that fail together retry together: add jitter to the backoff",
            Self::RetryWithoutBudget => "a failing callee gets all attempts of all calls: share a retry budget",
            Self::RepeatsUnsaid => "attempts repeat the operation: say whether it is idempotent",
            Self::NoDeadline => "a call may take for ever: set a deadline or an attempt timeout",
            Self::AttemptTimeoutNotBelowDeadline => "an attempt may outlast its call: make its timeout the shorter one",
            Self::DelaysAboveDeadline => "the last attempts are never made: fewer attempts, or shorter delays",
            Self::OneFailureTrips => "one failure opens the breaker: let it see more calls first",
            Self::WindowBelowTimeout => "the breaker's window is over before a slow call is: make it longer",
            Self::NestedRetries => "attempts multiply: retry at one layer only",
            Self::HedgeInsideRetry => "hedges multiply with retries: have one of them only",
            Self::TrialsWithoutLease => "a trial that hangs keeps its place for ever: set a trial_ttl",
            Self::LineWithoutWaiting => "the first in line is refused at once: wait for gates",
        })
    }
}

/// A set of findings. Iterated over, it gives them in the order of [`Finding::ALL`].
#[derive(Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Findings(u16);

impl Findings {
    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// Whether `finding` is among them.
    #[must_use]
    pub const fn contains(&self, finding: Finding) -> bool {
        self.0 & (1 << finding as u16) != 0
    }

    const fn add_all(&mut self, others: &Self) {
        self.0 |= others.0;
    }

    const fn add(&mut self, finding: Finding, found: bool) {
        if found {
            self.0 |= 1 << finding as u16;
        }
    }
}

impl Iterator for Findings {
    type Item = Finding;

    fn next(&mut self) -> Option<Finding> {
        let next = Finding::ALL.into_iter().find(|finding| self.contains(*finding))?;
        self.0 &= !(1 << next as u16);
        Some(next)
    }
}

impl fmt::Debug for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}
