//! Recovery ladder: what to do to a device that does not work, the cheapest thing first.
//!
//! # Why
//! A hung sensor or a locked bus does not mend by being asked again. Somebody has to clear the bus, initialise the device
//! anew, in the end take its power away. Written by hand this becomes a loop that waits nowhere, skips the trial after a
//! step, or cuts the power of a device that only was busy. A ladder has an order, a wait and a trial for every step, ends
//! somewhere, and says what it did.
//!
//! # State picture
//! ```text
//!             failures            taken              done              wait over          granted
//!   Working ----------> action due ---> acting ------------> settling ----------> ready --------> trial
//!      ^                ^    ^             | failed, lapsed     ^                   ^  ignored       |
//!      |                |    |             v                    | a rung without    |<---------------|
//!      |                |    `---- uses left, or next rung -----' action            |                |
//!      |                |                  ^        |                               |                |
//!      |                |                  |        | no rung left      wait over   |                |
//!      |                |                  |        `------> given up --------------'                |
//!      |                |                  `--------------- failed, lapsed --------------------------|
//!      `--------------------------------------------------- success ---------------------------------'
//! ```
//! Recovering is all but working and given up.
//!
//! # Contract
//! - It is a [`Gate`](crate::Gate): while it works, calls go through; while it recovers, they are refused with
//!   [`Reason::Recovering`](crate::Reason::Recovering), except for one, the trial, after each step; when it has given up,
//!   with [`Reason::GivenUp`](crate::Reason::GivenUp). [`Ladder::next`] tells somebody who would help what is to be done.
//!   One at a time acts or tries, whoever that is.
//! - Each use of a rung is: its action, if it has one, its wait, one trial. A trial that fails uses the rung again, as
//!   often as it may be used, then the next one. An action that fails goes on to the next rung at once.
//! - What has not reported at its deadline has failed, trial or action, and its report comes too late. A trial that ends as
//!   [`Outcome::Ignored`](crate::Outcome::Ignored) says nothing: the next caller tries. An action that was abandoned
//!   half-way counts as a use of its rung without effect.
//! - When a rung has helped, the ladder goes on from there and not from the bottom, should the device fail again: lower
//!   rungs have just been shown not to help. Once it has worked for the rung's `hold`, the rung may be used as often as at
//!   first; each `step_down` of work after that takes the ladder one rung down. Success at the end of the time counts, not
//!   time alone: a device that is not called steps down once it is.
//! - So a device whose power has to be cut every ten minutes gets that at once while `step_down` is longer, and one lower
//!   rung first when it is shorter; one that fails again within `hold` uses up the top rung, and is given up.
//! - Given up is final until [`Ladder::reset`], or over after `retry_after`: then comes a trial, and should it fail, the
//!   ladder from the bottom.
//! - Nothing here is hot: between two trials lies a wait or an action. From the first failure to giving up, those who
//!   help take at most [`LadderConfig::longest_climb`].
//! - A refusal's `retry_at` is when a trial is due if nobody does anything; `None` when an action has to be done first.
//! - A clock that steps back makes no wait and no deadline longer than configured from then on.
//!
//! # Defaults
//! The first failure starts a recovery; each rung is used once; an action has to hold for 10 s, a rung without action not
//! at all; one rung down after each 10 min; given up for 10 min. The times of calls, actions and waits have no
//! default: data sheets have them.
//!
//! Where a stray error now and then is normal, start after two in a row, with a `step_down` shorter than the time between
//! strays: if they come more often than the ladder steps down, it never does, and one stray error cuts the power at once.
//!
//! # Example
//! ```
//! use core::time::Duration;
//! use fusebox::recovery::{Acted, Ladder, LadderConfig, Next, Rung, Standing};
//! use fusebox::{Gate, Instant, Outcome, Reason, checked};
//!
//! #[derive(Clone, Copy, Debug, PartialEq)]
//! enum Step {
//!     ClearBus,
//!     PowerCycle,
//! }
//! const fn ms(n: u64) -> Duration {
//!     Duration::from_millis(n)
//! }
//! // A call takes 20 ms at most.
//! const CONFIG: LadderConfig<Step, 3> = checked!(
//!     LadderConfig::builder(
//!         ms(20),
//!         [
//!             Rung::retry(ms(5)),
//!             Rung::action(Step::ClearBus, ms(10), ms(1)),      // nine clocks, and the bus settles
//!             Rung::action(Step::PowerCycle, ms(500), ms(100)), // the rail discharges, the device boots
//!         ]
//!     )
//!     .build()
//! );
//! let mut ladder = Ladder::new(CONFIG);
//! let at = Instant::from_millis;
//! let mut call = |ladder: &mut Ladder<Step, 3>, outcome, ms| {
//!     let permit = ladder.try_acquire(at(ms)).unwrap();
//!     ladder.release(permit, outcome, at(ms));
//! };
//! call(&mut ladder, Outcome::Failure, 0);
//! let refused = ladder.try_acquire(at(1)).unwrap_err();
//! assert_eq!((refused.reason, refused.retry_at), (Reason::Recovering, Some(at(5))));
//! call(&mut ladder, Outcome::Failure, 5); // the retry
//! let Ok(Next::Act(turn)) = ladder.next(at(5)) else { panic!() };
//! assert_eq!((turn.act().action, turn.act().deadline), (Step::ClearBus, at(15)));
//! ladder.acted(turn, Acted::Done, at(8));
//! assert!(matches!(ladder.next(at(8)), Ok(Next::Wait { until }) if until == at(9)));
//! call(&mut ladder, Outcome::Success, 9); // the trial
//! assert_eq!(ladder.standing(), Standing::Working);
//! assert_eq!(ladder.counts().map(|rung| (rung.uses, rung.cured)), [(1, 0), (1, 1), (0, 0)]);
//! ```
//!
//! # With other machines
//! A ladder refuses while it recovers, so it needs no breaker; with one, put the ladder outside. Health: working is up,
//! recovering is degraded, given up is down. Watchdog: feed it while a ladder recovers, as that has an end; where nothing
//! works without the device, stop when it has given up.
//!
//! # When not
//! For what answers, but badly or too slowly: nothing is locked there, so a breaker is enough. Not around a call that may
//! not happen twice, unless the trial is another one.

mod config;
mod machine;
#[cfg(test)]
mod tests;

pub use config::{LadderBuilder, LadderConfig, Rung};
pub use machine::{Ladder, Permit, Turn};

use crate::Instant;

/// How a device stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Standing {
    /// It works, as far as is known.
    Working,
    /// It failed, and something is done about it.
    Recovering,
    /// Nothing helped.
    GivenUp,
}

impl core::fmt::Display for Standing {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Working => "working",
            Self::Recovering => "recovering",
            Self::GivenUp => "given up",
        })
    }
}

/// One or more changes that nobody has taken yet, made into one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Change {
    /// How it stood before the first of them.
    pub from: Standing,
    /// How it stands after the last; equal to `from` if it came back in between.
    pub to: Standing,
    /// When the last one happened.
    pub at: Instant,
}

/// What a recovery asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Act<A> {
    /// What is to be done.
    pub action: A,
    /// The rung it belongs to, from 0.
    pub rung: u8,
    /// The how manyth use of that rung it is, from 1.
    pub number: u16,
    /// When it has failed, reported or not.
    pub deadline: Instant,
}

/// What is to be done to get a call through.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "a turn must be reported"]
pub enum Next<A> {
    /// Ask for a permit: it works, or a trial is due.
    Call {
        /// When a call that starts now has taken too long: then it is to be reported as a failure.
        deadline: Instant,
    },
    /// Do this, and report it through [`Ladder::acted`].
    Act(Turn<A>),
    /// Ask again then, not before.
    Wait {
        /// When the device has settled.
        until: Instant,
    },
}

/// How an action ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Acted {
    /// It was done; whether it helped is for the trial to say.
    Done,
    /// It could not be done (the bus is still stuck): the next rung.
    Failed,
    /// It was left half-way: the same again, if the rung may be used again.
    Abandoned,
}

/// What a ladder can tell about itself. Totals count from its making and stop at their maximum. What is said of each
/// rung: [`Ladder::counts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LadderSnapshot {
    /// How the device stands, as of the last call.
    pub standing: Standing,
    /// Since when; the epoch if that never changed.
    pub since: Instant,
    /// The rung that is used, or would be first.
    pub rung: u8,
    /// How often it was used and has not held yet.
    pub used: u16,
    /// Recoveries begun.
    pub recoveries: u32,
    /// Trials that succeeded, each the end of a recovery.
    pub recovered: u32,
    /// Times it gave up.
    pub gave_up: u32,
    /// Calls refused.
    pub refused: u32,
}

/// What became of one rung. Totals count from the making of the ladder and stop at their maximum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RungCounts {
    /// Times it was used.
    pub uses: u32,
    /// Of these, since the last recovery began that began at the bottom: when it gave up, what it tried before.
    pub recent: u32,
    /// Times its action failed or took too long.
    pub failed: u32,
    /// Times the device worked after it.
    pub cured: u32,
}
