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
use fusebox::{Bulkhead, Instant, Outcome, Rejected, SharedGate, sync};
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

/// Either machine.
trait Machine {
    fn ask(&mut self, n: u32) -> Result<Permit, Rejected>;
    fn give_back(&mut self, permit: Permit);
    fn resize(&mut self, limit: NonZeroU32);
    fn look(&mut self) -> BulkheadSnapshot;
}

impl Machine for Bulkhead {
    fn ask(&mut self, n: u32) -> Result<Permit, Rejected> {
        self.try_acquire_n(n, NOW)
    }
    fn give_back(&mut self, permit: Permit) {
        fusebox::Gate::release(self, permit, Outcome::Success, NOW);
    }
    fn resize(&mut self, limit: NonZeroU32) {
        Self::resize(self, limit, NOW);
    }
    fn look(&mut self) -> BulkheadSnapshot {
        self.snapshot()
    }
}

impl Machine for Arc<sync::Bulkhead> {
    fn ask(&mut self, n: u32) -> Result<Permit, Rejected> {
        self.try_acquire_n(n, NOW)
    }
    fn give_back(&mut self, permit: Permit) {
        self.release(permit, Outcome::Success, NOW);
    }
    fn resize(&mut self, limit: NonZeroU32) {
        sync::Bulkhead::resize(self, limit, NOW);
    }
    fn look(&mut self) -> BulkheadSnapshot {
        self.snapshot()
    }
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

/// One thread's permits; it begins with one.
struct Caller(Vec<Permit>);

impl Caller {
    fn new(machine: &mut impl Machine) -> Self {
        Self(machine.ask(1).into_iter().collect())
    }

    fn step(&mut self, machine: &mut impl Machine, op: Op) -> Answer {
        match op {
            Op::Ask(n) => {
                return match machine.ask(n) {
                    Ok(permit) => {
                        self.0.push(permit);
                        Answer::Granted
                    }
                    Err(rejected) => Answer::Refused(rejected),
                };
            }
            Op::Release => {
                if let Some(permit) = self.0.pop() {
                    machine.give_back(permit);
                }
            }
            Op::Resize(limit) => machine.resize(NonZeroU32::new(limit).unwrap()),
            Op::Look => {
                let BulkheadSnapshot { in_flight, limit, .. } = machine.look();
                return Answer::Seen(in_flight, limit);
            }
        }
        Answer::Nothing
    }
}

type Programs = Vec<&'static [Op]>;
type End = (Vec<Vec<Answer>>, BulkheadSnapshot);

/// Every order in which programs with so many steps left can be interleaved.
fn orders(left: &[usize]) -> Vec<Vec<usize>> {
    if left.iter().all(|left| *left == 0) {
        return vec![vec![]];
    }
    let mut all = vec![];
    for who in (0..left.len()).filter(|who| left[*who] > 0) {
        let mut rest = left.to_vec();
        rest[who] -= 1;
        for mut order in orders(&rest) {
            order.insert(0, who);
            all.push(order);
        }
    }
    all
}

fn prepare(machine: &mut impl Machine, callers: usize) -> Vec<Caller> {
    (0..callers).map(|_| Caller::new(machine)).collect()
}

/// All ends that the plain machine can have.
fn possible(limit: NonZeroU32, programs: &Programs) -> Vec<End> {
    let lengths: Vec<usize> = programs.iter().map(|program| program.len()).collect();
    let mut ends = vec![];
    for order in orders(&lengths) {
        let mut machine = Bulkhead::new(limit);
        let mut callers = prepare(&mut machine, programs.len());
        let mut answers = vec![vec![]; programs.len()];
        for who in order {
            let op = programs[who][answers[who].len()];
            answers[who].push(callers[who].step(&mut machine, op));
        }
        let end = (answers, machine.look());
        if !ends.contains(&end) {
            ends.push(end);
        }
    }
    ends
}

/// Runs every interleaving, within the bound on preemptions; how many there were.
fn check(limit: NonZeroU32, programs: Programs, preemptions: Option<usize>) -> u64 {
    let ends = possible(limit, &programs);
    let executions = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counter = executions.clone();
    let mut model = loom::model::Builder::new();
    model.preemption_bound = preemptions;
    model.check(move || {
        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut twin = Arc::new(sync::Bulkhead::new(limit));
        let callers = prepare(&mut twin, programs.len());
        let mut threads = vec![];
        for (mut caller, program) in callers.into_iter().zip(&programs) {
            let (mut twin, program) = (twin.clone(), *program);
            let run = move || program.iter().map(|op| caller.step(&mut twin, *op)).collect::<Vec<_>>();
            threads.push(thread::spawn(run));
        }
        let answers = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        let end = (answers, twin.look());
        assert!(ends.contains(&end), "limit {limit}: {programs:?}: {end:#?}\nis none of\n{ends:#?}");
    });
    executions.load(std::sync::atomic::Ordering::Relaxed)
}

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
    let (mut pairs, mut triples) = (0, 0);
    for limit in [1, 2, 4].map(|limit| NonZeroU32::new(limit).unwrap()) {
        for (n, first) in PROGRAMS.iter().enumerate() {
            for second in &PROGRAMS[n..] {
                pairs += check(limit, vec![first, second], None);
            }
        }
        for (n, first) in SHORT.iter().enumerate() {
            for (m, second) in SHORT.iter().enumerate().skip(n) {
                for third in &SHORT[m..] {
                    triples += check(limit, vec![first, second, third], Some(2));
                }
            }
        }
    }
    println!("{pairs} executions of two threads, {triples} of three");
}

/// loom reports two threads that touch the cell at once, and one that does not see what the other did.
#[test]
fn what_was_done_with_a_permit_is_seen_by_the_next() {
    loom::model(|| {
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
