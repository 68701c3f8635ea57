//! Law: whatever threads do to the breaker's atomic twin, there is an order of their operations in which the plain
//! breaker gives the same answers to each and ends up the same.
//!
//! loom runs every interleaving of the threads' atomic steps (of two threads that do one thing each; of longer programs
//! those with at most three preemptions, of three threads two), and every value that a relaxed load may see. Each end is
//! looked up among those that the plain machine can have. Every program is tried against every other one.
#![cfg(loom)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test may panic")]

use std::time::Duration;

use fusebox::breaker::{Permit, Snapshot};
use fusebox::sync::BreakerOver;
use fusebox::{
    Breaker, BreakerConfig, BreakerState, Consecutive, CountWindow, Either, FailureRate, Gate, Instant, Outcome,
    Rejected, SharedGate, TimeWindow, TripRule,
};
use fusebox_loom::{Locked, Pair, Use, check, pairs, triples};
use loom::sync::Arc;

type Twin<R> = BreakerOver<R, 1, Locked<BreakerState<R, 1>>>;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    Ask,
    /// The newest permit comes back.
    Success,
    Failure,
    Cancel,
    Trip,
    Reset,
    Look,
}

const NOW: Instant = Instant::from_secs(1_000);

/// What an operation answered.
#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Nothing,
    Granted,
    Refused(Rejected),
    Seen(Snapshot),
}

/// What happened before the two threads start.
#[derive(Clone, Copy, Debug)]
enum Start {
    Closed,
    OneFailure,
    /// Its open interval is over: whoever asks first makes it half-open.
    OpenIntervalOver,
}

#[derive(Clone, Copy, Debug)]
struct Case<R> {
    config: BreakerConfig<R>,
    start: Start,
}

/// A rule whose memory threads can share.
trait Rule: TripRule<Memory: Send> + Send + Sync + 'static {}

impl<R: TripRule<Memory: Send> + Send + Sync + 'static> Rule for R {}

impl<R: Rule> Pair for Case<R> {
    type Plain = Breaker<R>;
    type Twin = Arc<Twin<R>>;
    type Op = Op;
    type Permit = Permit;
    type Answer = Answer;
    type End = Snapshot;

    fn plain(self, _callers: usize) -> Breaker<R> {
        Breaker::new(self.config)
    }

    fn twin(self, _callers: usize) -> Arc<Twin<R>> {
        Arc::new(BreakerOver::over(self.config, Locked::new(BreakerState::new())))
    }
}

macro_rules! use_machine {
    ($machine:ty) => {
        impl<R: Rule> Use<$machine> for Case<R> {
            /// Each caller begins with a permit if it gets one.
            fn start(self, machine: &mut $machine, callers: usize) -> Vec<Vec<Permit>> {
                match self.start {
                    Start::Closed => {}
                    Start::OneFailure => {
                        let permit = machine.try_acquire(NOW).unwrap();
                        machine.release(permit, Outcome::Failure, NOW);
                    }
                    Start::OpenIntervalOver => machine.trip(Instant::EPOCH),
                }
                (0..callers).map(|_| machine.try_acquire(NOW).into_iter().collect()).collect()
            }

            fn step(machine: &mut $machine, held: &mut Vec<Permit>, op: Op) -> Answer {
                let mut tell = |outcome| {
                    if let Some(permit) = held.pop() {
                        machine.release(permit, outcome, NOW);
                    }
                };
                match op {
                    Op::Ask => match machine.try_acquire(NOW) {
                        Ok(permit) => {
                            held.push(permit);
                            return Answer::Granted;
                        }
                        Err(rejected) => return Answer::Refused(rejected),
                    },
                    Op::Look => return Answer::Seen(machine.snapshot(NOW)),
                    Op::Success => tell(Outcome::Success),
                    Op::Failure => tell(Outcome::Failure),
                    Op::Cancel => tell(Outcome::Ignored),
                    Op::Trip => machine.trip(NOW),
                    Op::Reset => machine.reset(NOW),
                }
                Answer::Nothing
            }

            fn end(machine: &mut $machine) -> Snapshot {
                machine.snapshot(NOW)
            }
        }
    };
}

use_machine!(Breaker<R>);
use_machine!(Arc<Twin<R>>);

const PROGRAMS: &[&[Op]] = &[
    &[Op::Failure, Op::Ask],
    &[Op::Success, Op::Ask],
    &[Op::Ask, Op::Failure],
    &[Op::Ask, Op::Success, Op::Failure],
    &[Op::Ask, Op::Failure, Op::Failure],
    &[Op::Cancel, Op::Ask, Op::Cancel],
    &[Op::Failure, Op::Look],
    &[Op::Look, Op::Success],
    &[Op::Trip, Op::Ask],
    &[Op::Reset, Op::Failure],
];

/// Each does one thing that may collide with what the others do.
const SHORT: &[&[Op]] = &[&[Op::Failure], &[Op::Success], &[Op::Ask], &[Op::Look], &[Op::Trip], &[Op::Reset]];

fn check_all<R: Rule>(rule: R) {
    let config = BreakerConfig::builder(rule).open_for(Duration::from_secs(30)).build().unwrap();
    let (mut all, mut two, mut three) = (0, 0, 0);
    for start in [Start::Closed, Start::OneFailure, Start::OpenIntervalOver] {
        let case = Case { config, start };
        all += pairs(SHORT).map(|programs| check(case, programs, None)).sum::<u64>();
        two += pairs(PROGRAMS).map(|programs| check(case, programs, Some(3))).sum::<u64>();
        three += triples(SHORT).map(|programs| check(case, programs, Some(2))).sum::<u64>();
    }
    println!(
        "{rule:?}: {all} executions of all there are of two threads, {two} of longer ones, {three} of three threads"
    );
}

#[test]
fn in_a_row() {
    check_all(Consecutive::new(2).unwrap());
}

#[test]
fn a_window_of_time() {
    check_all(FailureRate::<TimeWindow<2>>::within(Duration::from_secs(10), 500, 2).unwrap());
}

#[test]
fn a_window_of_calls_and_another_rule() {
    let rate = FailureRate::<CountWindow<1>>::of_last(32, 500, 2).unwrap();
    check_all(Either(Consecutive::new(2).unwrap(), rate));
}

/// The end of an open interval moves with a clock that steps back, while the word stays as it is.
#[test]
fn a_refusal_while_the_clock_steps_back() {
    let config =
        BreakerConfig::builder(Consecutive::new(1).unwrap()).open_for(Duration::from_secs(30)).build().unwrap();
    let [tripped, back, asked] = [1_000, 995, 997].map(Instant::from_secs);
    let possible = [true, false].map(|is_seen| {
        let mut plain = Breaker::<Consecutive>::new(config);
        plain.trip(tripped);
        if is_seen {
            plain.handle_timeout(back);
        }
        plain.try_acquire(asked).unwrap_err()
    });
    loom::model(move || {
        let twin: Arc<Twin<Consecutive>> = Arc::new(Twin::over(config, Locked::new(BreakerState::new())));
        twin.trip(tripped);
        let other = twin.clone();
        let thread = loom::thread::spawn(move || other.handle_timeout(back));
        let refused = twin.try_acquire(asked).unwrap_err();
        thread.join().unwrap();
        assert!(possible.contains(&refused), "{refused:?}");
    });
}
