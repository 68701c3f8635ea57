//! Plans: machines that answer "what next for this call?".

use core::time::Duration;

use crate::budget::After;
use crate::gate::earlier;
use crate::{Clock, Instant, Reason, Rejected};

/// What a driver does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Step {
    /// Start attempt number `attempt` (from 1) now.
    Start {
        /// The attempt's number, from 1.
        attempt: u16,
        /// When the attempt is over, ended or not; the plan will say so. `None`: it may take for ever.
        deadline: Option<Instant>,
    },
    /// The time of attempt number `attempt` is over: drop it and report [`Ended::TimedOut`]. If it ended just now, report
    /// that instead: an answer that is there wins.
    Drop {
        /// The attempt's number.
        attempt: u16,
    },
    /// Nothing to start before `until`, or before an attempt ends. `None`: only the end of an attempt matters.
    Wait {
        /// When to ask again at the latest.
        until: Option<Instant>,
    },
    /// The call is over: drop whatever attempts are still out. Every later question gets the same answer.
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
    OutOfTime(Stage),
    /// A gate refused.
    Refused(Rejected),
    /// The retry budget had too little left for another attempt.
    BudgetExhausted,
    /// The attempt may have had its effect, and must not have it twice.
    NotIdempotent,
}

/// Where a call was when its time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Stage {
    /// It had not begun, or stood in line for the gates.
    Line,
    /// It waited for what a gate would get back.
    Gate(Reason),
    /// An attempt was out.
    Attempt,
    /// The delay before the next attempt would not have ended in time.
    Delay,
}

impl core::fmt::Display for Stage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Line => f.write_str("in line"),
            Self::Gate(reason) => write!(f, "waiting at {reason}"),
            Self::Attempt => f.write_str("in an attempt"),
            Self::Delay => f.write_str("in the delay before the next attempt"),
        }
    }
}

impl core::fmt::Display for Cause {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Stopped => f.write_str("stopped: trying again is no use"),
            Self::Exhausted => f.write_str("all attempts used up"),
            Self::OutOfTime(stage) => write!(f, "out of time {stage}"),
            Self::Refused(rejected) => write!(f, "refused by {rejected}"),
            Self::BudgetExhausted => f.write_str("retry budget exhausted"),
            Self::NotIdempotent => f.write_str("failed, and must not be repeated"),
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
    /// It failed before anything reached the callee: it may be tried again even if the operation is not idempotent.
    NotSent,
    /// It failed in a way that trying again cannot mend.
    Stop,
    /// Its deadline came first.
    TimedOut,
    /// A gate refused before it started; it does not count as an attempt.
    Refused(Rejected),
    /// It was put off before it started (the driver waited for its turn, or for what the gate that refused would get
    /// back); it does not count as an attempt.
    Postponed {
        /// The refusal that was waited for.
        by: Option<Rejected>,
    },
}

/// A call that a plan is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a call does nothing until a policy plans it"]
pub struct Call {
    /// When it starts.
    pub started: Instant,
    /// Feeds the jitter: give every call another one. Drivers give zero, and [feed](Plan::feed) the plan when an attempt has
    /// failed.
    pub entropy: u32,
    /// When it is over at the latest, whatever the policy says: the deadline of the one it is a part of.
    pub deadline: Option<Instant>,
    /// Whether the operation may have its effect more than once. If not, only what was not sent is tried again.
    pub is_idempotent: bool,
}

impl Call {
    /// A call that starts at `started`, is part of no other, and may be repeated.
    pub const fn new(started: Instant, entropy: u32) -> Self {
        Self { started, entropy, deadline: None, is_idempotent: true }
    }

    /// The same, over at `deadline` at the latest: of two, the nearer one holds.
    pub fn until(mut self, deadline: Option<Instant>) -> Self {
        self.deadline = earlier(self.deadline, deadline);
        self
    }
}

/// What plans are made from: the limits and delays that many calls share.
pub trait Policy {
    /// The plan of one call.
    type Plan<'p>: Plan
    where
        Self: 'p;

    /// The plan of `call`.
    fn plan(&self, call: Call) -> Self::Plan<'_>;

    /// Whether a gate's refusal is waited out.
    fn waits_for_gates(&self) -> bool;

    /// How long a call may take, if that is limited.
    fn deadline(&self) -> Option<Duration>;

    /// How long an attempt may take, if that is limited.
    fn attempt_timeout(&self) -> Option<Duration>;
}

/// A machine that answers "what next for this call?". A value per call; nothing in it waits.
///
/// The contract: ask [`next`](Plan::next) until it says [`Step::Finish`]. After a [`Step::Start`], report how that
/// attempt ended through [`ended`](Plan::ended), exactly once. Asking more often than needed is a no-op, except that a
/// `Start` is said once only.
///
/// The call is over once an attempt is its answer: after [`Ended::Success`] the next step is [`Verdict::Success`], and a
/// driver need not ask for it.
///
/// The time is an [`Instant`], or a clock that is read if the answer depends on it: what ended well is told without.
///
/// Where further attempts have to be paid for, ask and report through `next_if_paid` and `ended_if_paid` alone: `pay` is
/// called when a further attempt becomes due, at most once for each, and says whether it can be paid. If not, there is none.
pub trait Plan {
    /// As [`next`](Plan::next), where further attempts have to be paid for.
    fn next_if_paid(&mut self, now: impl Clock, pay: impl FnOnce(After) -> bool) -> Step;

    /// As [`ended`](Plan::ended), where further attempts have to be paid for.
    fn ended_if_paid(&mut self, attempt: u16, ended: Ended, now: impl Clock, pay: impl FnOnce(After) -> bool);

    /// When the whole call is over, if it has a deadline.
    fn deadline(&self) -> Option<Instant>;

    /// Entropy for the delays from now on, instead of the [`Call`]'s: for drivers that draw it when the first attempt has
    /// failed, since most calls need none. To be called before that is reported. A plan inside another has to be told.
    fn feed(&mut self, entropy: u32);

    /// The call is given up from outside at `now`, with whatever attempts are out. Nothing is asked or reported any more.
    /// Whether it is told of a call that is over makes no difference.
    fn abandon(&mut self, _now: impl Clock) {}

    /// What to do at `now`.
    fn next(&mut self, now: impl Clock) -> Step {
        self.next_if_paid(now, |_| true)
    }

    /// Attempt number `attempt` ended at `now`. A report about an attempt that is not out changes nothing.
    fn ended(&mut self, attempt: u16, ended: Ended, now: impl Clock) {
        self.ended_if_paid(attempt, ended, now, |_| true);
    }
}
