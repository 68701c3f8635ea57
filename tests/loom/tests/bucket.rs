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
use fusebox::{Gate, Instant, Lock, Outcome, Quota, Rejected, Reservation, SharedGate, TokenBucket};
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

/// Either machine.
trait Machine {
    fn ask(&mut self, n: u32, now: Instant) -> Result<Tokens, Rejected>;
    fn reserve(&mut self) -> Result<Reservation<Tokens>, Rejected>;
    fn cancel(&mut self, tokens: Tokens);
    fn settle(&mut self, tokens: Tokens);
    fn hint(&mut self, tokens: Tokens);
    fn look(&mut self, now: Instant) -> u32;
}

const HINT: Outcome = Outcome::Unavailable { retry_at: Instant::from_millis(1_001_500) };

macro_rules! machine {
    ($type:ty) => {
        impl Machine for $type {
            fn ask(&mut self, n: u32, now: Instant) -> Result<Tokens, Rejected> {
                self.try_acquire_n(n, now)
            }
            fn reserve(&mut self) -> Result<Reservation<Tokens>, Rejected> {
                self.reserve_until(1, LATER, NOW)
            }
            fn cancel(&mut self, tokens: Tokens) {
                <Self as Permits>::cancel(self, tokens);
            }
            fn settle(&mut self, tokens: Tokens) {
                let actual = tokens.count() + 1;
                <$type>::settle(self, tokens, actual, NOW);
            }
            fn hint(&mut self, tokens: Tokens) {
                <Self as Permits>::hint(self, tokens);
            }
            fn look(&mut self, now: Instant) -> u32 {
                self.available(now)
            }
        }
    };
}

/// What only the traits of gates have.
trait Permits {
    fn cancel(&mut self, tokens: Tokens);
    fn hint(&mut self, tokens: Tokens);
}

impl Permits for TokenBucket {
    fn cancel(&mut self, tokens: Tokens) {
        Gate::cancel(self, tokens, NOW);
    }
    fn hint(&mut self, tokens: Tokens) {
        Gate::release(self, tokens, HINT, NOW);
    }
}

impl Permits for Shared {
    fn cancel(&mut self, tokens: Tokens) {
        SharedGate::cancel(&*self.0, tokens, NOW);
    }
    fn hint(&mut self, tokens: Tokens) {
        SharedGate::release(&*self.0, tokens, HINT, NOW);
    }
}

#[derive(Clone)]
struct Shared(Arc<Twin>);

impl Shared {
    fn settle(&self, tokens: Tokens, actual: u32, now: Instant) {
        self.0.settle(tokens, actual, now);
    }
}

impl std::ops::Deref for Shared {
    type Target = Twin;

    fn deref(&self) -> &Twin {
        &self.0
    }
}

machine!(TokenBucket);
machine!(Shared);

/// What an operation answered.
#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Nothing,
    Granted,
    Reserved(Instant),
    Refused(Rejected),
    Seen(u32),
}

/// One thread's tokens; it begins with one.
struct Caller(Vec<Tokens>);

impl Caller {
    fn new(machine: &mut impl Machine) -> Self {
        Self(machine.ask(1, NOW).into_iter().collect())
    }

    fn ask(&mut self, machine: &mut impl Machine, n: u32, now: Instant) -> Answer {
        match machine.ask(n, now) {
            Ok(tokens) => {
                self.0.push(tokens);
                Answer::Granted
            }
            Err(rejected) => Answer::Refused(rejected),
        }
    }

    fn step(&mut self, machine: &mut impl Machine, op: Op) -> Answer {
        match op {
            Op::Ask => return self.ask(machine, 1, NOW),
            Op::AskTwo => return self.ask(machine, 2, NOW),
            Op::AskLater => return self.ask(machine, 1, LATER),
            Op::Look => return Answer::Seen(machine.look(NOW)),
            Op::Reserve => match machine.reserve() {
                Ok(reserved) => {
                    let ready_at = reserved.ready_at();
                    self.0.push(reserved.into_permit());
                    return Answer::Reserved(ready_at);
                }
                Err(rejected) => return Answer::Refused(rejected),
            },
            Op::CancelFirst if !self.0.is_empty() => machine.cancel(self.0.remove(0)),
            _ => match (op, self.0.pop()) {
                (Op::Cancel, Some(tokens)) => machine.cancel(tokens),
                (Op::Settle, Some(tokens)) => machine.settle(tokens),
                (Op::Hint, Some(tokens)) => machine.hint(tokens),
                _ => {}
            },
        }
        Answer::Nothing
    }
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

/// As many callers as there are programs, in the starting state.
fn prepare(machine: &mut impl Machine, start: Start, callers: usize) -> Vec<Caller> {
    let callers = (0..callers).map(|_| Caller::new(machine)).collect();
    if let Start::InDebt = start {
        drop(machine.ask(1, NOW).unwrap());
        drop(machine.reserve().unwrap());
    }
    callers
}

type Programs = Vec<&'static [Op]>;
/// Answers, and how many tokens there are from some time on.
type End = (Vec<Vec<Answer>>, Vec<u32>);

fn end(machine: &mut impl Machine, answers: Vec<Vec<Answer>>) -> End {
    // Nothing is changed by looking at times that are not so far away; so these come first.
    let seen = [0, 400, 900, 1_500, 2_500, 3_500, 4_500, 6_500].map(|after| machine.look(NOW.after(after * 1_000_000)));
    (answers, seen.to_vec())
}

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
fn possible(start: Start, programs: &Programs) -> Vec<End> {
    let lengths: Vec<usize> = programs.iter().map(|program| program.len()).collect();
    let mut ends = vec![];
    for order in orders(&lengths) {
        let mut machine = TokenBucket::new(quota(programs.len()));
        let mut callers = prepare(&mut machine, start, programs.len());
        let mut answers = vec![vec![]; programs.len()];
        for who in order {
            let op = programs[who][answers[who].len()];
            answers[who].push(callers[who].step(&mut machine, op));
        }
        let end = end(&mut machine, answers);
        if !ends.contains(&end) {
            ends.push(end);
        }
    }
    ends
}

/// Runs every interleaving, within the bound on preemptions; how many there were.
fn check(start: Start, programs: Programs, preemptions: usize) -> u64 {
    let ends = possible(start, &programs);
    let executions = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counter = executions.clone();
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(move || {
        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let twin = TokenBucketOver::over(quota(programs.len()), Locked(Mutex::new(BucketState::FULL)));
        let mut twin = Shared(Arc::new(twin));
        let callers = prepare(&mut twin, start, programs.len());
        let mut threads = vec![];
        for (mut caller, program) in callers.into_iter().zip(&programs) {
            let (mut twin, program) = (twin.clone(), *program);
            let run = move || program.iter().map(|op| caller.step(&mut twin, *op)).collect::<Vec<_>>();
            threads.push(thread::spawn(run));
        }
        let answers = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        let end = end(&mut twin, answers);
        assert!(ends.contains(&end), "{start:?} {programs:?}: {end:#?}\nis none of\n{ends:#?}");
    });
    executions.load(std::sync::atomic::Ordering::Relaxed)
}

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
fn preemptions(start: Start, programs: &Programs) -> usize {
    let locks = |op: &Op| matches!(op, Op::AskLater | Op::Hint);
    let in_debt = matches!(start, Start::InDebt);
    if in_debt || programs.iter().any(|program| program.iter().any(locks)) { 2 } else { 3 }
}

fn two_threads(start: Start, all: &[&'static [Op]]) {
    let mut executions = 0;
    for (n, first) in all.iter().enumerate() {
        for second in &all[n..] {
            let programs = vec![*first, *second];
            let bound = preemptions(start, &programs);
            executions += check(start, programs, bound);
        }
    }
    println!("{start:?}: {executions} executions of two threads");
}

fn three_threads(start: Start, is_worth_it: impl Fn(&Programs) -> bool) {
    let mut executions = 0;
    for (n, first) in SHORT.iter().enumerate() {
        for (m, second) in SHORT.iter().enumerate().skip(n) {
            for third in &SHORT[m..] {
                let programs = vec![*first, *second, *third];
                executions += if is_worth_it(&programs) { check(start, programs, 1) } else { 0 };
            }
        }
    }
    println!("{start:?}: {executions} executions of three threads");
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
    let asks = |programs: &Programs| programs.iter().filter(|program| **program == [Op::Ask]).count();
    three_threads(Start::InDebt, |programs| asks(programs) < 2);
}
