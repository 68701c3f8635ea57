//! Law: whatever threads do to the token bucket's atomic twin, there is an order of their operations in which the plain
//! bucket gives the same answers to each and ends up the same.
//!
//! loom runs the interleavings of the threads' atomic steps (of two threads, those with at most three or two preemptions;
//! of three, with one), and every value that a relaxed load may see. Each end is looked up among those that the plain
//! machine can have. Every program is tried against every other one.
#![cfg(loom)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test may panic")]

use std::time::Duration;

use fusebox::bucket::{BucketState, Tokens};
use fusebox::sync::TokenBucketOver;
use fusebox::{Gate, Instant, Outcome, Quota, Rejected, SharedGate, TokenBucket};
use fusebox_loom::{Locked, Pair, Programs, Use, check, pairs, triples};
use loom::sync::Arc;

type Twin = TokenBucketOver<Locked<BucketState>>;

const NOW: Instant = Instant::from_secs(1_000);
/// So much later that the time last seen moves on, which takes the lock.
const LATER: Instant = Instant::from_millis(1_002_500);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    Ask,
    AskTwo,
    AskLater,
    Reserve,
    /// The newest tokens come back.
    Cancel,
    /// The oldest do.
    CancelFirst,
    /// The newest were one more than was estimated.
    Settle,
    Hint,
    Look,
}

const HINT: Outcome = Outcome::Unavailable { retry_at: Instant::from_millis(1_001_500) };

/// What an operation answered.
#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Nothing,
    Granted,
    Reserved(Instant),
    Refused(Rejected),
    Seen(u32),
}

/// What happened before the threads start.
#[derive(Clone, Copy, Debug)]
enum Start {
    /// Each thread has one token; one is left, of as many as there are threads and one.
    OneLeft,
    /// None is left, and another one is taken ahead.
    InDebt,
}

fn quota(callers: usize) -> Quota {
    let quota = Quota::per_second(1).unwrap().with_burst(u32::try_from(callers).unwrap() + 1).unwrap();
    quota.with_max_hint(Duration::from_secs(9)).unwrap()
}

impl Pair for Start {
    type Plain = TokenBucket;
    type Twin = Arc<Twin>;
    type Op = Op;
    type Permit = Tokens;
    type Answer = Answer;
    /// How many tokens there are from some time on.
    type End = [u32; 8];

    fn plain(self, callers: usize) -> TokenBucket {
        TokenBucket::new(quota(callers))
    }

    fn twin(self, callers: usize) -> Arc<Twin> {
        Arc::new(TokenBucketOver::over(quota(callers), Locked::new(BucketState::FULL)))
    }
}

macro_rules! use_machine {
    ($machine:ty) => {
        impl Use<$machine> for Start {
            fn start(self, machine: &mut $machine, callers: usize) -> Vec<Vec<Tokens>> {
                let held = (0..callers).map(|_| machine.try_acquire_n(1, NOW).into_iter().collect()).collect();
                if let Start::InDebt = self {
                    drop(machine.try_acquire_n(1, NOW).unwrap());
                    drop(machine.reserve_until(1, LATER, NOW).unwrap());
                }
                held
            }

            fn step(machine: &mut $machine, held: &mut Vec<Tokens>, op: Op) -> Answer {
                let mut ask = |n, now| match machine.try_acquire_n(n, now) {
                    Ok(tokens) => {
                        held.push(tokens);
                        Answer::Granted
                    }
                    Err(rejected) => Answer::Refused(rejected),
                };
                match op {
                    Op::Ask => return ask(1, NOW),
                    Op::AskTwo => return ask(2, NOW),
                    Op::AskLater => return ask(1, LATER),
                    Op::Look => return Answer::Seen(machine.available(NOW)),
                    Op::Reserve => match machine.reserve_until(1, LATER, NOW) {
                        Ok(reserved) => {
                            let ready_at = reserved.ready_at();
                            held.push(reserved.into_permit());
                            return Answer::Reserved(ready_at);
                        }
                        Err(rejected) => return Answer::Refused(rejected),
                    },
                    Op::CancelFirst if !held.is_empty() => machine.cancel(held.remove(0), NOW),
                    _ => match (op, held.pop()) {
                        (Op::Cancel, Some(tokens)) => machine.cancel(tokens, NOW),
                        (Op::Settle, Some(tokens)) => {
                            let actual = tokens.count() + 1;
                            machine.settle(tokens, actual, NOW);
                        }
                        (Op::Hint, Some(tokens)) => machine.release(tokens, HINT, NOW),
                        _ => {}
                    },
                }
                Answer::Nothing
            }

            fn end(machine: &mut $machine) -> [u32; 8] {
                // Nothing is changed by looking at times that are not so far away; so these come first.
                [0, 400, 900, 1_500, 2_500, 3_500, 4_500, 6_500]
                    .map(|after| machine.available(NOW.after(after * 1_000_000)))
            }
        }
    };
}

use_machine!(TokenBucket);
use_machine!(Arc<Twin>);

const PROGRAMS: &[&[Op]] = &[
    &[Op::Ask, Op::Cancel],
    &[Op::Ask, Op::Ask],
    &[Op::Look],
    &[Op::CancelFirst, Op::AskTwo],
    &[Op::Reserve, Op::Cancel],
    &[Op::Reserve, Op::CancelFirst],
    &[Op::AskLater, Op::Ask],
    &[Op::AskLater, Op::Cancel],
    &[Op::Settle, Op::Ask],
    &[Op::Hint, Op::Ask],
];

/// In debt they do what others do: who is refused only looks, and has only one token to cancel.
const IF_ONE_IS_LEFT: &[&[Op]] = &[&[Op::AskTwo], &[Op::Ask, Op::CancelFirst]];

/// For three threads: each does one thing that may collide with the others'.
const SHORT: &[&[Op]] = &[&[Op::Ask], &[Op::AskLater], &[Op::Reserve], &[Op::CancelFirst]];

/// Most of the steps of who moves the time, or pauses, are those of a lock: a third preemption shows nothing new there.
fn preemptions(start: Start, programs: &Programs<Op>) -> usize {
    let locks = |op: &Op| matches!(op, Op::AskLater | Op::Hint);
    let in_debt = matches!(start, Start::InDebt);
    if in_debt || programs.iter().any(|program| program.iter().any(locks)) { 2 } else { 3 }
}

fn two_threads(start: Start, all: &[&'static [Op]]) {
    let check_two = |programs| {
        let bound = preemptions(start, &programs);
        check(start, programs, Some(bound))
    };
    println!("{start:?}: {} executions of two threads", pairs(all).map(check_two).sum::<u64>());
}

fn three_threads(start: Start, is_worth_it: impl Fn(&Programs<Op>) -> bool) {
    let executions = triples(SHORT).filter(is_worth_it).map(|programs| check(start, programs, Some(1)));
    println!("{start:?}: {} executions of three threads", executions.sum::<u64>());
}

#[test]
fn one_left() {
    two_threads(Start::OneLeft, &[PROGRAMS, IF_ONE_IS_LEFT].concat());
    three_threads(Start::OneLeft, |_| true);
}

#[test]
fn in_debt() {
    two_threads(Start::InDebt, PROGRAMS);
}

/// Who asks is refused, which changes nothing: two who do show no more than one.
#[test]
fn three_in_debt() {
    let asks = |programs: &Programs<Op>| programs.iter().filter(|program| **program == [Op::Ask]).count();
    three_threads(Start::InDebt, |programs| asks(programs) < 2);
}
