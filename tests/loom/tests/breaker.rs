//! Law: whatever threads do to the breaker's atomic twin, there is an order of their operations in which the plain
//! breaker gives the same answers to each and ends up the same.
//!
//! loom runs every interleaving of the threads' atomic steps (of two threads; of three, those with at most two
//! preemptions), and every value that a relaxed load may see. Each end is looked up among those that the plain machine
//! can have. Every program is tried against every other one.
#![cfg(loom)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test may panic")]

use std::time::Duration;

use fusebox::breaker::{Permit, Snapshot};
use fusebox::sync::BreakerOver;
use fusebox::{
    Breaker, BreakerConfig, BreakerState, Consecutive, CountWindow, Either, FailureRate, Gate, Instant, Lock, Outcome,
    Rejected, SharedGate, TripRule,
};
use loom::sync::{Arc, Mutex};
use loom::thread;

#[derive(Debug)]
struct Locked<T>(Mutex<T>);

impl<T> Lock for Locked<T> {
    type Value = T;

    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.0.lock().unwrap())
    }
}

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

/// Either machine.
trait Machine {
    fn ask(&mut self) -> Result<Permit, Rejected>;
    fn tell(&mut self, permit: Permit, outcome: Outcome);
    fn trip(&mut self, at: Instant);
    fn reset(&mut self);
    fn look(&mut self) -> Snapshot;
}

const NOW: Instant = Instant::from_secs(1_000);

impl<R: TripRule> Machine for Breaker<R> {
    fn ask(&mut self) -> Result<Permit, Rejected> {
        self.try_acquire(NOW)
    }
    fn tell(&mut self, permit: Permit, outcome: Outcome) {
        self.release(permit, outcome, NOW);
    }
    fn trip(&mut self, at: Instant) {
        Breaker::trip(self, at);
    }
    fn reset(&mut self) {
        Breaker::reset(self, NOW);
    }
    fn look(&mut self) -> Snapshot {
        self.snapshot(NOW)
    }
}

impl<R: TripRule> Machine for Arc<Twin<R>> {
    fn ask(&mut self) -> Result<Permit, Rejected> {
        self.try_acquire(NOW)
    }
    fn tell(&mut self, permit: Permit, outcome: Outcome) {
        self.release(permit, outcome, NOW);
    }
    fn trip(&mut self, at: Instant) {
        BreakerOver::trip(self, at);
    }
    fn reset(&mut self) {
        BreakerOver::reset(self, NOW);
    }
    fn look(&mut self) -> Snapshot {
        self.snapshot(NOW)
    }
}

/// What an operation answered.
#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Nothing,
    Granted,
    Refused(Rejected),
    Seen(Snapshot),
}

/// One thread's permits; it begins with one.
struct Caller(Vec<Permit>);

impl Caller {
    fn new(machine: &mut impl Machine) -> Self {
        Self(machine.ask().into_iter().collect())
    }

    fn step(&mut self, machine: &mut impl Machine, op: Op) -> Answer {
        let outcome = match op {
            Op::Ask => {
                return match machine.ask() {
                    Ok(permit) => {
                        self.0.push(permit);
                        Answer::Granted
                    }
                    Err(rejected) => Answer::Refused(rejected),
                };
            }
            Op::Look => return Answer::Seen(machine.look()),
            Op::Trip => {
                machine.trip(NOW);
                return Answer::Nothing;
            }
            Op::Reset => {
                machine.reset();
                return Answer::Nothing;
            }
            Op::Success => Outcome::Success,
            Op::Failure => Outcome::Failure,
            Op::Cancel => Outcome::Ignored,
        };
        if let Some(permit) = self.0.pop() {
            machine.tell(permit, outcome);
        }
        Answer::Nothing
    }
}

/// What happened before the two threads start.
#[derive(Clone, Copy, Debug)]
enum Start {
    Closed,
    OneFailure,
    /// Its open interval is over: whoever asks first makes it half-open.
    OpenIntervalOver,
}

/// As many callers as there are programs, in the starting state.
fn prepare(machine: &mut impl Machine, start: Start, callers: usize) -> Vec<Caller> {
    match start {
        Start::Closed => {}
        Start::OneFailure => {
            let permit = machine.ask().unwrap();
            machine.tell(permit, Outcome::Failure);
        }
        Start::OpenIntervalOver => machine.trip(Instant::EPOCH),
    }
    (0..callers).map(|_| Caller::new(machine)).collect()
}

type Programs = Vec<&'static [Op]>;
type End = (Vec<Vec<Answer>>, Snapshot);

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

/// All ends that the plain machine can have.
fn possible<R: TripRule>(config: BreakerConfig<R>, start: Start, programs: &Programs) -> Vec<End> {
    let lengths: Vec<usize> = programs.iter().map(|program| program.len()).collect();
    let mut ends = vec![];
    for order in orders(&lengths) {
        let mut machine = Breaker::new(config);
        let mut callers = prepare(&mut machine, start, programs.len());
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
fn check<R>(config: BreakerConfig<R>, start: Start, programs: Programs, preemptions: Option<usize>) -> u64
where
    R: TripRule<Memory: Send> + Send + Sync + 'static,
{
    let ends = possible(config, start, &programs);
    let executions = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counter = executions.clone();
    let mut model = loom::model::Builder::new();
    model.preemption_bound = preemptions;
    model.check(move || {
        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut twin: Arc<Twin<R>> = Arc::new(BreakerOver::over(config, Locked(Mutex::new(BreakerState::new()))));
        let callers = prepare(&mut twin, start, programs.len());
        let mut threads = vec![];
        for (mut caller, program) in callers.into_iter().zip(&programs) {
            let (mut twin, program) = (twin.clone(), *program);
            let run = move || program.iter().map(|op| caller.step(&mut twin, *op)).collect::<Vec<_>>();
            threads.push(thread::spawn(run));
        }
        let answers = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        let end = (answers, twin.look());
        assert!(ends.contains(&end), "{start:?} {programs:?}: {end:#?}\nis none of\n{ends:#?}");
    });
    executions.load(std::sync::atomic::Ordering::Relaxed)
}

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

/// For three threads: each does one thing that may collide with the others'.
const SHORT: &[&[Op]] = &[&[Op::Failure], &[Op::Success], &[Op::Ask], &[Op::Look], &[Op::Trip], &[Op::Reset]];

fn check_all<R: TripRule<Memory: Send> + Send + Sync + 'static>(rule: R) {
    let config = BreakerConfig::builder(rule).open_for(Duration::from_secs(30)).build().unwrap();
    let (mut pairs, mut triples) = (0, 0);
    for start in [Start::Closed, Start::OneFailure, Start::OpenIntervalOver] {
        for (n, first) in PROGRAMS.iter().enumerate() {
            for second in &PROGRAMS[n..] {
                pairs += check(config, start, vec![first, second], None);
            }
        }
        for (n, first) in SHORT.iter().enumerate() {
            for (m, second) in SHORT.iter().enumerate().skip(n) {
                for third in &SHORT[m..] {
                    triples += check(config, start, vec![first, second, third], Some(2));
                }
            }
        }
    }
    println!("{rule:?}: {pairs} executions of two threads, {triples} of three");
}

#[test]
fn in_a_row() {
    check_all(Consecutive::new(2).unwrap());
}

#[test]
fn a_rate_that_fits_the_word() {
    check_all(FailureRate::<CountWindow<1>>::of_last(3, 500, 2).unwrap());
}

#[test]
fn a_rule_that_does_not_fit() {
    let rate = FailureRate::<CountWindow<1>>::of_last(32, 500, 2).unwrap();
    check_all(Either(Consecutive::new(2).unwrap(), rate));
}
