//! A breaker with as many trials as a file has chosen.

use fusebox::breaker::{BreakerBuilder, Permit, Snapshot, State, Transition};
use fusebox::review::{Facts, Review};
use fusebox::{Clock, ConfigError, Instant, Outcome, Rejected, SharedGate, sync};

use super::any_rule::AnyRule;

/// The number of trials is part of a breaker's type, so there is one type for each.
macro_rules! breakers {
    ($($trials:ident $n:literal,)*) => {
        /// A [`sync::Breaker`] whose rule and number of trials are known at run time only. The methods are those of
        /// [`Breaker`](fusebox::Breaker).
        #[derive(Debug)]
        pub struct AnyBreaker(Trials);

        #[derive(Debug)]
        enum Trials {
            $($trials(sync::Breaker<AnyRule, $n>),)*
        }

        impl AnyBreaker {
            /// `trials`, or as many as the builder has.
            pub(super) fn new(builder: BreakerBuilder<AnyRule, 1>, trials: Option<u16>) -> Result<Self, ConfigError> {
                Ok(Self(match trials {
                    None => Trials::One(sync::Breaker::new(builder.build()?)),
                    $(Some($n) => Trials::$trials(sync::Breaker::new(builder.trials().build()?)),)*
                    Some(_) => {
                        return Err(ConfigError { setting: "trials", problem: "from 1 to 10 trials; for more, build it in code" });
                    }
                }))
            }
        }

        /// Passes a call on to the one there is.
        macro_rules! each {
            ($self:ident, $breaker:ident => $call:expr) => {
                match &$self.0 {
                    $(Trials::$trials($breaker) => $call,)*
                }
            };
        }
    };
}

breakers! {
    One 1, Two 2, Three 3, Four 4, Five 5, Six 6, Seven 7, Eight 8, Nine 9, Ten 10,
}

macro_rules! delegate {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $kind:ty)?) $(-> $answer:ty)?;)*) => {
        impl AnyBreaker {
            $($(#[$doc])*
            pub fn $name(&self, $($argument: $kind)?) $(-> $answer)? {
                each!(self, breaker => breaker.$name($($argument)?))
            })*
        }
    };
}

delegate! {
    /// See [`Breaker::trip`](fusebox::Breaker::trip).
    trip(now: Instant);
    /// See [`Breaker::half_open`](fusebox::Breaker::half_open).
    half_open(now: Instant);
    /// See [`Breaker::force_open`](fusebox::Breaker::force_open).
    force_open(now: Instant);
    /// See [`Breaker::force_closed`](fusebox::Breaker::force_closed).
    force_closed(now: Instant);
    /// See [`Breaker::dry_run`](fusebox::Breaker::dry_run).
    dry_run(now: Instant);
    /// See [`Breaker::reset`](fusebox::Breaker::reset).
    reset(now: Instant);
    /// See [`Gate::handle_timeout`](fusebox::Gate::handle_timeout).
    handle_timeout(now: Instant);
    /// See [`Gate::poll_timeout`](fusebox::Gate::poll_timeout).
    #[must_use]
    poll_timeout() -> Option<Instant>;
    /// See [`Breaker::poll_event`](fusebox::Breaker::poll_event).
    poll_event() -> Option<Transition>;
    /// See [`Breaker::snapshot`](fusebox::Breaker::snapshot).
    #[must_use]
    snapshot(now: Instant) -> Snapshot;
    /// See [`Breaker::state`](fusebox::Breaker::state).
    #[must_use]
    state() -> State;
}

impl SharedGate for AnyBreaker {
    type Permit = Permit;

    fn try_acquire(&self, now: impl Clock) -> Result<Permit, Rejected> {
        each!(self, breaker => breaker.try_acquire(now))
    }

    fn release(&self, permit: Permit, outcome: Outcome, now: impl Clock) {
        each!(self, breaker => breaker.release(permit, outcome, now));
    }

    fn cancel(&self, permit: Permit, now: impl Clock) {
        each!(self, breaker => breaker.cancel(permit, now));
    }
}

impl Review for AnyBreaker {
    fn review(&self, facts: &mut Facts) {
        each!(self, breaker => breaker.review(facts));
    }
}
