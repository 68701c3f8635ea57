//! An atomic twin under the model checker, against the plain machine: whatever answers callers get from the twin, in
//! whichever interleaving, there is an order of their operations in which the plain machine gives the same.
//!
//! Bounds on preemptions are one less than the tests say, and four where they say none, but for `deep.sh`, which sets
//! `LOOM_DEEP`.
#![cfg(loom)]
#![allow(clippy::missing_panics_doc, clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};

use fusebox::Lock;
use loom::model::Builder;
use loom::sync::Mutex;
use loom::thread;

/// A twin's lock for what does not fit its atomics.
#[derive(Debug)]
pub struct Locked<T>(Mutex<T>);

impl<T> Locked<T> {
    /// Holds `value`.
    pub fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }
}

impl<T> Lock for Locked<T> {
    type Value = T;

    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.0.lock().unwrap())
    }
}

/// A machine, its twin, and how both are configured; its value is one configuration.
pub trait Pair: Copy + Debug + Send + Sync + 'static {
    /// The plain machine.
    type Plain;
    /// The atomic one; its clones are the same machine.
    type Twin: Clone + Send + 'static;
    /// What a caller does.
    type Op: Copy + Debug + Sync + 'static;
    /// What a caller gets from the machine, keeps, and gives back.
    type Permit: Send + 'static;
    /// What it is answered.
    type Answer: Clone + Debug + PartialEq + Send + Sync + 'static;
    /// What both look like at the end.
    type End: Debug + PartialEq + Send + Sync + 'static;

    /// A new plain machine for so many callers.
    fn plain(self, callers: usize) -> Self::Plain;

    /// A new twin for so many callers.
    fn twin(self, callers: usize) -> Self::Twin;
}

/// What is done with a machine `M`, one of a [`Pair`].
pub trait Use<M>: Pair {
    /// Brings it into its starting state; what each of so many callers holds then.
    fn start(self, machine: &mut M, callers: usize) -> Vec<Vec<Self::Permit>>;

    /// A caller that holds `held` does `op`.
    fn step(machine: &mut M, held: &mut Vec<Self::Permit>, op: Self::Op) -> Self::Answer;

    /// All callers are through.
    fn end(machine: &mut M) -> Self::End;
}

/// What each caller does.
pub type Programs<Op> = Vec<&'static [Op]>;

/// The answers of each caller, and the end.
type Outcome<P> = (Vec<Vec<<P as Pair>::Answer>>, <P as Pair>::End);

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

/// All that can come out of the plain machine.
fn possible<P: Use<<P as Pair>::Plain>>(pair: P, programs: &Programs<P::Op>) -> Vec<Outcome<P>> {
    let lengths: Vec<usize> = programs.iter().map(|program| program.len()).collect();
    let mut outcomes = vec![];
    for order in orders(&lengths) {
        let mut machine = pair.plain(programs.len());
        let mut held = pair.start(&mut machine, programs.len());
        let mut answers = vec![vec![]; programs.len()];
        for who in order {
            let op = programs[who][answers[who].len()];
            answers[who].push(P::step(&mut machine, &mut held[who], op));
        }
        let outcome = (answers, P::end(&mut machine));
        if !outcomes.contains(&outcome) {
            outcomes.push(outcome);
        }
    }
    outcomes
}

/// What comes out of the twin in the interleaving that loom is at.
fn outcome<P: Use<<P as Pair>::Twin>>(pair: P, programs: &Programs<P::Op>) -> Outcome<P> {
    let mut machine = pair.twin(programs.len());
    let held = pair.start(&mut machine, programs.len());
    let mut threads = vec![];
    for (mut held, program) in held.into_iter().zip(programs) {
        let (mut machine, program) = (machine.clone(), *program);
        let run = move || program.iter().map(|op| P::step(&mut machine, &mut held, *op)).collect();
        threads.push(thread::spawn(run));
    }
    let answers = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    (answers, P::end(&mut machine))
}

/// loom, within the bound on preemptions; without one, every interleaving.
#[must_use]
pub fn model(preemptions: Option<usize>) -> Builder {
    let mut model = Builder::new();
    model.preemption_bound = match preemptions {
        bound if std::env::var_os("LOOM_DEEP").is_some() => bound,
        Some(bound) => Some(bound.saturating_sub(1).max(1)),
        None => Some(4),
    };
    model
}

/// Runs every interleaving, within the bound on preemptions; how many there were.
pub fn check<P: Use<<P as Pair>::Plain> + Use<<P as Pair>::Twin>>(
    pair: P,
    programs: Programs<P::Op>,
    preemptions: Option<usize>,
) -> u64 {
    let possible = possible(pair, &programs);
    let executions = std::sync::Arc::new(AtomicU64::new(0));
    let counter = executions.clone();
    model(preemptions).check(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        let outcome = outcome(pair, &programs);
        assert!(possible.contains(&outcome), "{pair:?} {programs:?}: {outcome:#?}\nis none of\n{possible:#?}");
    });
    executions.load(Ordering::Relaxed)
}

/// Every program with itself and every other one.
pub fn pairs<Op>(all: &[&'static [Op]]) -> impl Iterator<Item = Programs<Op>> {
    let seconds = |n: usize, first: &'static [Op]| all[n..].iter().map(move |second| vec![first, *second]);
    all.iter().enumerate().flat_map(move |(n, first)| seconds(n, first))
}

/// Every three of the programs, some of which may be the same.
pub fn triples<Op>(all: &[&'static [Op]]) -> impl Iterator<Item = Programs<Op>> {
    let rest = |n: usize, first: &'static [Op]| pairs(&all[n..]).map(move |two| [vec![first], two].concat());
    all.iter().enumerate().flat_map(move |(n, first)| rest(n, first))
}
