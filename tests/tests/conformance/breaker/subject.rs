//! The breakers under test: any number of trials, any rule, and several in a row.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use fusebox::breaker::Permit;
use fusebox::{
    Breaker, BreakerConfig, Clock, Entropy, Gate, Instant, Outcome, Rejected, RetryPolicy, Shared, Snapshot, State,
    Transition, TripRule,
};
use fusebox_drive::Pipeline;
use fusebox_drive::blocking::BlockingTimer;

use super::config::Spec;
use super::rules::{self, AnyRule};
use super::with_const;
use crate::fields::NotExpressible;

/// A breaker of any type; the methods are those of [`Breaker`].
pub(crate) trait DynBreaker: Gate<Permit = Permit> {
    fn by_hand(&mut self, manual: Manual, now: Instant);
    fn snapshot(&self, now: Instant) -> Snapshot;
    fn poll_event(&mut self) -> Option<Transition>;
}

/// What can be done by hand.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manual {
    Trip,
    HalfOpen,
    ForceOpen,
    ForceClosed,
    DryRun,
    Reset,
}

impl<R: TripRule, const TRIALS: usize> DynBreaker for Breaker<R, TRIALS> {
    fn by_hand(&mut self, manual: Manual, now: Instant) {
        match manual {
            Manual::Trip => self.trip(now),
            Manual::HalfOpen => self.half_open(now),
            Manual::ForceOpen => self.force_open(now),
            Manual::ForceClosed => self.force_closed(now),
            Manual::DryRun => self.dry_run(now),
            Manual::Reset => self.reset(now),
        }
    }
    fn snapshot(&self, now: Instant) -> Snapshot {
        Self::snapshot(self, now)
    }
    fn poll_event(&mut self) -> Option<Transition> {
        Self::poll_event(self)
    }
}

/// Others know no lease, so it never ends.
const NO_LEASE: Duration = Duration::from_secs(3_600 * 24 * 365 * 100);

fn breaker<const TRIALS: usize>(spec: &Spec) -> Result<Box<dyn DynBreaker>, NotExpressible> {
    let mut builder = BreakerConfig::<AnyRule>::builder(rules::any_of(&spec.rules)?)
        .open_interval(spec.open)
        .trials::<TRIALS>()
        .successes_to_close(spec.half_open.to_close)
        .trial_ttl(NO_LEASE);
    if let Some(slow_after) = spec.slow_after {
        builder = builder.slow_after(slow_after);
    }
    if let Some(limit) = spec.half_open.limit {
        builder = builder.half_open_for(limit);
    }
    Ok(Box::new(Breaker::new(builder.build()?)))
}

fn breaker_of(spec: &Spec) -> Result<Box<dyn DynBreaker>, NotExpressible> {
    let trials = spec.half_open.trials;
    with_const!(trials, [1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 20 25 30 32 50 64 100], N => breaker::<N>(spec))
        .unwrap_or_else(|| Err(NotExpressible::new(format!("config: the runner was not compiled for {trials} trials"))))
}

/// One breaker, or a tuple of them.
pub(crate) struct Subject(Vec<Box<dyn DynBreaker>>);

pub(crate) enum Held {
    One(Permit),
    Two((Permit, Permit)),
    Three((Permit, (Permit, Permit))),
}

impl Subject {
    pub(crate) fn new(specs: &[Spec]) -> Result<Self, NotExpressible> {
        if specs.len() > 3 {
            return Err(NotExpressible::new("config.any_of: the runner takes up to three"));
        }
        Ok(Self(specs.iter().map(breaker_of).collect::<Result<_, _>>()?))
    }

    pub(crate) fn by_hand(&mut self, manual: Manual, now: Instant) {
        self.0.iter_mut().for_each(|breaker| breaker.by_hand(manual, now));
    }

    /// Of several: the state that refuses most, and the sum of the totals.
    pub(crate) fn snapshot(&self, now: Instant) -> Snapshot {
        let snapshots = self.0.iter().map(|breaker| breaker.snapshot(now));
        let both = |a: Snapshot, b: Snapshot| Snapshot {
            state: if refuses(b.state) > refuses(a.state) { b.state } else { a.state },
            refused: a.refused + b.refused,
            trips: a.trips + b.trips,
            ..a
        };
        snapshots.reduce(both).unwrap()
    }

    /// Transitions since the last call, each breaker's made into one.
    pub(crate) fn events(&mut self) -> u32 {
        self.0.iter_mut().filter_map(|breaker| breaker.poll_event()).count() as u32
    }

    /// For how long it goes on refusing, if it is open.
    pub(crate) fn open_for(&self, now: Instant) -> Option<u64> {
        let open = self.0.iter().filter(|breaker| breaker.snapshot(now).state == State::Open);
        open.filter_map(|breaker| breaker.poll_timeout()).map(|until| until.nanos_since(now)).max()
    }

    /// Runs one whole call that panics, with the driver around it.
    pub(crate) fn call_panicking(&mut self, now: Instant) {
        let gate = Shared::new(RefCell::new(self));
        let pipeline = Pipeline::new(Stopped(now), gate, RetryPolicy::ONCE, Entropy::new(1));
        let call = || pipeline.call_blocking(|_attempt| -> Result<(), ()> { resume_unwind(Box::new("of the vector")) });
        // If it is refused, nothing panics.
        drop(catch_unwind(AssertUnwindSafe(call)));
    }
}

fn refuses(state: State) -> u8 {
    match state {
        State::ForcedClosed => 0,
        State::Closed => 1,
        State::HalfOpen => 2,
        State::Open => 3,
        State::ForcedOpen => 4,
    }
}

/// A clock that stands still.
struct Stopped(Instant);

impl Clock for Stopped {
    fn now(&self) -> Instant {
        self.0
    }
}

impl BlockingTimer for Stopped {
    fn wait(&self, _: Duration) {}
}

impl Gate for Subject {
    type Permit = Held;

    fn try_acquire(&mut self, now: Instant) -> Result<Held, Rejected> {
        match self.0.as_mut_slice() {
            [a] => a.try_acquire(now).map(Held::One),
            [a, b] => (a.as_mut(), b.as_mut()).try_acquire(now).map(Held::Two),
            [a, b, c] => (a.as_mut(), b.as_mut(), c.as_mut()).try_acquire(now).map(Held::Three),
            _ => panic!("one to three"),
        }
    }

    fn release(&mut self, permit: Held, outcome: Outcome, now: Instant) {
        match (self.0.as_mut_slice(), permit) {
            ([a], Held::One(permit)) => a.release(permit, outcome, now),
            ([a, b], Held::Two(permit)) => (a.as_mut(), b.as_mut()).release(permit, outcome, now),
            ([a, b, c], Held::Three(permit)) => {
                (a.as_mut(), b.as_mut(), c.as_mut()).release(permit, outcome, now);
            }
            _ => panic!("a permit of another subject"),
        }
    }

    fn cancel(&mut self, permit: Held, now: Instant) {
        match (self.0.as_mut_slice(), permit) {
            ([a], Held::One(permit)) => a.cancel(permit, now),
            ([a, b], Held::Two(permit)) => (a.as_mut(), b.as_mut()).cancel(permit, now),
            ([a, b, c], Held::Three(permit)) => (a.as_mut(), b.as_mut(), c.as_mut()).cancel(permit, now),
            _ => panic!("a permit of another subject"),
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.0.iter().filter_map(|breaker| breaker.poll_timeout()).min()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.0.iter_mut().for_each(|breaker| breaker.handle_timeout(now));
    }
}
