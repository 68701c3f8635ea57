//! Law: whatever threads do to the bulkhead's atomic twin, there is an order of their operations in which the plain
//! bulkhead gives the same answers to each and ends up the same; and what was done with a permit is seen by whoever gets
//! its place next.
//!
//! loom runs every interleaving of the threads' atomic steps (of two threads; of three, those with at most two
//! preemptions), and every value that a relaxed load may see. Each end is looked up among those that the plain machine
//! can have. Totals may lag behind while others are at work, so a look in between is at what is in flight and the limit;
//! at the end all is compared.
#![cfg(loom)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test may panic")]

use std::num::NonZeroU32;

use fusebox::bulkhead::{BulkheadSnapshot, Permit};
use fusebox::{Bulkhead, Gate, Instant, Outcome, Rejected, SharedGate, sync};
use fusebox_loom::{Pair, Use, check, model, pairs, triples};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

const NOW: Instant = Instant::EPOCH;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    Ask(u32),
    /// The newest permit comes back.
    Release,
    Resize(u32),
    Look,
}

/// What an operation answered.
#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Nothing,
    Granted,
    Refused(Rejected),
    /// In flight, and the limit.
    Seen(u32, u32),
}

#[derive(Clone, Copy, Debug)]
struct Limit(NonZeroU32);

impl Pair for Limit {
    type Plain = Bulkhead;
    type Twin = Arc<sync::Bulkhead>;
    type Op = Op;
    type Permit = Permit;
    type Answer = Answer;
    type End = BulkheadSnapshot;

    fn plain(self, _callers: usize) -> Bulkhead {
        Bulkhead::new(self.0)
    }

    fn twin(self, _callers: usize) -> Arc<sync::Bulkhead> {
        Arc::new(sync::Bulkhead::new(self.0))
    }
}

macro_rules! use_machine {
    ($machine:ty) => {
        impl Use<$machine> for Limit {
            /// Each caller begins with a permit if it gets one.
            fn start(self, machine: &mut $machine, callers: usize) -> Vec<Vec<Permit>> {
                (0..callers).map(|_| machine.try_acquire_n(1, NOW).into_iter().collect()).collect()
            }

            fn step(machine: &mut $machine, held: &mut Vec<Permit>, op: Op) -> Answer {
                match op {
                    Op::Ask(n) => match machine.try_acquire_n(n, NOW) {
                        Ok(permit) => {
                            held.push(permit);
                            return Answer::Granted;
                        }
                        Err(rejected) => return Answer::Refused(rejected),
                    },
                    Op::Release => {
                        if let Some(permit) = held.pop() {
                            machine.release(permit, Outcome::Success, NOW);
                        }
                    }
                    Op::Resize(limit) => machine.resize(NonZeroU32::new(limit).unwrap(), NOW),
                    Op::Look => {
                        let BulkheadSnapshot { in_flight, limit, .. } = machine.snapshot();
                        return Answer::Seen(in_flight, limit);
                    }
                }
                Answer::Nothing
            }

            fn end(machine: &mut $machine) -> BulkheadSnapshot {
                machine.snapshot()
            }
        }
    };
}

use_machine!(Bulkhead);
use_machine!(Arc<sync::Bulkhead>);

const PROGRAMS: &[&[Op]] = &[
    &[Op::Ask(1), Op::Release],
    &[Op::Release, Op::Ask(1)],
    &[Op::Release, Op::Ask(2)],
    &[Op::Ask(1), Op::Ask(1), Op::Release],
    &[Op::Ask(2), Op::Look],
    &[Op::Ask(1), Op::Look, Op::Release],
    &[Op::Resize(1), Op::Ask(1)],
    &[Op::Resize(4), Op::Ask(2)],
    &[Op::Look, Op::Resize(2), Op::Look],
    &[Op::Release, Op::Look, Op::Ask(1)],
];

/// For three threads: each does one thing that may collide with the others'.
const SHORT: &[&[Op]] =
    &[&[Op::Ask(1)], &[Op::Ask(2)], &[Op::Release], &[Op::Resize(1)], &[Op::Resize(5)], &[Op::Look]];

#[test]
fn every_interleaving_has_an_order_of_the_plain_bulkhead() {
    let (mut two, mut three) = (0, 0);
    for limit in [1, 2, 4].map(|limit| Limit(NonZeroU32::new(limit).unwrap())) {
        two += pairs(PROGRAMS).map(|programs| check(limit, programs, None)).sum::<u64>();
        three += triples(SHORT).map(|programs| check(limit, programs, Some(2))).sum::<u64>();
    }
    println!("{two} executions of two threads, {three} of three");
}

/// loom reports two threads that touch the cell at once, and one that does not see what the other did.
#[test]
fn what_was_done_with_a_permit_is_seen_by_the_next() {
    model(None).check(|| {
        let shared = Arc::new((sync::Bulkhead::new(NonZeroU32::MIN), UnsafeCell::new(())));
        let run = |shared: Arc<(sync::Bulkhead, UnsafeCell<()>)>| {
            move || {
                if let Ok(permit) = shared.0.try_acquire(NOW) {
                    shared.1.with_mut(|_| ());
                    shared.0.cancel(permit, NOW);
                }
            }
        };
        let resize = |shared: Arc<(sync::Bulkhead, UnsafeCell<()>)>| move || shared.0.resize(NonZeroU32::MIN, NOW);
        let third = thread::spawn(resize(shared.clone()));
        let other = thread::spawn(run(shared.clone()));
        run(shared.clone())();
        other.join().unwrap();
        third.join().unwrap();
    });
}
