//! Plans: machines that answer "what next for this call?".

use crate::{Instant, Rejected};

/// What a driver does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Step {
    /// Start attempt number `attempt` (from 1) now; if it has not ended at `deadline`, drop it and report
    /// [`Ended::TimedOut`].
    Start {
        /// The attempt's number, from 1.
        attempt: u16,
        /// When the attempt is over, ended or not. `None`: it may take for ever.
        deadline: Option<Instant>,
    },
    /// Nothing to start before `until`, or before an attempt ends. `None`: only the end of an attempt matters.
    Wait {
        /// When to ask again at the latest.
        until: Option<Instant>,
    },
    /// The call is over. Every later question gets the same answer.
    Finish(Verdict),
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Verdict {
    /// The last attempt to end was good; its answer is the call's.
    Success,
    /// No good answer came.
    GaveUp(Cause),
}

/// Why a plan gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Cause {
    /// The classifier said that trying again is no use.
    Stopped,
    /// All attempts were used up.
    Exhausted,
    /// The call's deadline came, or was too near for the next wait.
    OutOfTime,
    /// A gate refused.
    Refused(Rejected),
    /// The retry budget had too little left for another attempt.
    BudgetExhausted,
}

impl core::fmt::Display for Cause {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Stopped => f.write_str("stopped: trying again is no use"),
            Self::Exhausted => f.write_str("all attempts used up"),
            Self::OutOfTime => f.write_str("out of time"),
            Self::Refused(rejected) => write!(f, "refused by {rejected}"),
            Self::BudgetExhausted => f.write_str("retry budget exhausted"),
        }
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Ended {
    /// It is the answer.
    Success,
    /// It failed and may be tried again, not before the hint of the callee (`Retry-After`) if there is one.
    Retry {
        /// The callee's wish for the next attempt.
        not_before: Option<Instant>,
    },
    /// It failed in a way that trying again cannot mend.
    Stop,
    /// Its deadline came first.
    TimedOut,
    /// A gate refused before it started; it does not count as an attempt.
    Refused(Rejected),
    /// It was put off before it started (the driver waited for its turn); it does not count as an attempt.
    Postponed,
}

/// A machine that answers "what next for this call?". A value per call; nothing in it waits.
///
/// The contract: ask [`next`](Plan::next) until it says [`Step::Finish`]. After a [`Step::Start`], report how that
/// attempt ended through [`ended`](Plan::ended), exactly once. Asking more often than needed is a no-op, except that a
/// `Start` is said once only.
pub trait Plan {
    /// What to do at `now`.
    fn next(&mut self, now: Instant) -> Step;

    /// Attempt number `attempt` ended at `now`. A report about an attempt that is not out changes nothing.
    fn ended(&mut self, attempt: u16, ended: Ended, now: Instant);

    /// When the whole call is over, if it has a deadline.
    fn deadline(&self) -> Option<Instant>;
}
