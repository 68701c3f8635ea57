//! Law: whatever happens, in whatever order, a breaker keeps its promises.
//!
//! Every sequence of events up to a depth is tried on a small breaker: two trials, threshold 2, times of a few
//! nanoseconds, steps of the clock in both directions. Histories that lead to the same state (machine, clock and
//! permits out) are followed on as one, and counted as all those they stand for. In every state:
//!
//! - no more trials are out than allowed;
//! - if the callee is healthy from here on, a few steps and a bounded time lead to closed, unless it is forced;
//! - an outcome of an earlier phase changes nothing;
//! - a refusal's `retry_at` is honest: refused a nanosecond before, admitted then.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]
#![allow(clippy::missing_const_for_fn, reason = "a test needs no const functions")]

use std::collections::HashMap;
use std::fmt::Write;
use std::time::Duration;

use fusebox::breaker::Permit;
use fusebox::{Backoff, Breaker, BreakerConfig, Consecutive, Gate, Instant, Outcome, Reason, Rejected, State};

const OPEN: u64 = 2;
const LONGEST_OPEN: u64 = 4;
const TTL: u64 = 3;
const TRIALS: usize = 2;
const START: u64 = 100;

type Machine = Breaker<Consecutive, TRIALS>;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Event {
    Ask,
    Tick,
    StepBack,
    /// The oldest permit comes back.
    Oldest(Outcome),
    /// The newest permit comes back.
    Newest(Outcome),
    CancelOldest,
    Trip,
    ForceOpen,
    ForceClosed,
    DryRun,
    Reset,
}

const AUTOMATIC: &[Event] = &[
    Event::Ask,
    Event::Tick,
    Event::StepBack,
    Event::Oldest(Outcome::Success),
    Event::Oldest(Outcome::Failure),
    Event::Newest(Outcome::Success),
    Event::Newest(Outcome::Failure),
    Event::CancelOldest,
];

const BY_HAND: &[Event] = &[
    Event::Ask,
    Event::Tick,
    Event::Oldest(Outcome::Success),
    Event::Oldest(Outcome::Failure),
    Event::Newest(Outcome::Failure),
    Event::Trip,
    Event::ForceOpen,
    Event::ForceClosed,
    Event::DryRun,
    Event::Reset,
];

struct Out {
    permit: Permit,
    /// Which phase it was given in.
    phase: u32,
    /// As a trial, and how often the clock has ticked since.
    trial: Option<u64>,
}

struct World {
    breaker: Machine,
    now: u64,
    /// Oldest first.
    out: Vec<Out>,
    phase: u32,
}

fn at(now: u64) -> Instant {
    Instant::from_nanos(now)
}

impl World {
    fn new(breaker: &Machine) -> Self {
        Self { breaker: breaker.clone(), now: START, out: vec![], phase: 0 }
    }

    /// Does `event`; false if it cannot happen here.
    fn step(&mut self, event: Event) -> bool {
        let before = self.breaker.state();
        match event {
            Event::Tick => {
                self.now += 1;
                for ticks in self.out.iter_mut().filter_map(|out| out.trial.as_mut()) {
                    *ticks += 1;
                }
            }
            Event::StepBack => self.now -= 2,
            Event::Ask => {
                if let Some(permit) = self.ask() {
                    let trial = (self.breaker.state() == State::HalfOpen).then_some(0);
                    let phase = self.phase + u32::from(self.breaker.state() != before);
                    self.out.push(Out { permit, phase, trial });
                }
            }
            Event::Oldest(_) | Event::Newest(_) | Event::CancelOldest if self.out.is_empty() => return false,
            // The same as the oldest.
            Event::Newest(_) if self.out.len() == 1 => return false,
            Event::Oldest(outcome) => {
                let out = self.out.remove(0);
                self.give_back(out, outcome);
            }
            Event::Newest(outcome) => {
                let out = self.out.pop().unwrap();
                self.give_back(out, outcome);
            }
            Event::CancelOldest => {
                let out = self.out.remove(0);
                let held_a_place = out.phase == self.phase && out.trial.is_some_and(|ticks| ticks < TTL);
                self.breaker.cancel(out.permit, at(self.now));
                assert!(self.breaker.state() == before, "a cancelled call decided");
                let mut next = self.breaker.clone();
                assert!(!held_a_place || next.try_acquire(at(self.now)).is_ok(), "a cancelled trial keeps its place");
            }
            Event::Trip => self.breaker.trip(at(self.now)),
            Event::ForceOpen => self.breaker.force_open(at(self.now)),
            Event::ForceClosed => self.breaker.force_closed(at(self.now)),
            Event::DryRun | Event::Reset => {
                if event == Event::Reset {
                    self.breaker.reset(at(self.now));
                } else if self.breaker.snapshot().dry_run {
                    return false; // nothing happens
                } else {
                    self.breaker.dry_run(at(self.now));
                }
                self.phase += u32::from(before == State::Closed); // a new phase of the same state
            }
        }
        self.phase += u32::from(self.breaker.state() != before);
        true
    }

    /// Asks; a refusal must be honest.
    fn ask(&mut self) -> Option<Permit> {
        let dry = self.breaker.snapshot().dry_run;
        match self.breaker.try_acquire(at(self.now)) {
            Ok(permit) => return Some(permit),
            Err(rejected) if dry => panic!("a dry run refused: {rejected}"),
            Err(Rejected { reason: Reason::ForcedOpen, retry_at }) => {
                assert_eq!((retry_at, self.breaker.state()), (None, State::ForcedOpen));
            }
            Err(Rejected { retry_at, .. }) => {
                let retry_at = retry_at.unwrap().as_nanos();
                assert!(retry_at > self.now && retry_at <= self.now + LONGEST_OPEN.max(TTL), "{:?}", self.breaker);
                assert!(self.breaker.clone().try_acquire(at(retry_at - 1)).is_err(), "too late: {:?}", self.breaker);
                assert!(self.breaker.clone().try_acquire(at(retry_at)).is_ok(), "too early: {:?}", self.breaker);
            }
        }
        None
    }

    fn give_back(&mut self, out: Out, outcome: Outcome) {
        let before = format!("{:?}", self.breaker);
        self.breaker.release(out.permit, outcome, at(self.now));
        if out.phase != self.phase {
            assert_eq!(before, format!("{:?}", self.breaker), "an outcome of an earlier phase changed something");
        }
    }

    /// What must hold in every state.
    fn check(&self) {
        let live = |out: &&Out| out.phase == self.phase && out.trial.is_some_and(|ticks| ticks < TTL);
        if !self.breaker.snapshot().dry_run {
            assert!(self.out.iter().filter(live).count() <= TRIALS, "too many trials: {:?}", self.breaker);
        }
        let mut healthy = Self::new(&self.breaker);
        healthy.now = self.now;
        let mut steps = 0;
        while !matches!(healthy.breaker.state(), State::Closed | State::ForcedOpen | State::ForcedClosed) {
            steps += 1;
            assert!(steps <= 6, "no way back: {:?}", self.breaker);
            match healthy.breaker.try_acquire(at(healthy.now)) {
                Ok(permit) => healthy.breaker.release(permit, Outcome::Success, at(healthy.now)),
                Err(refused) => healthy.now = refused.retry_at.unwrap().as_nanos(),
            }
            if healthy.breaker.snapshot().dry_run {
                healthy.now += 1; // refuses nothing, so does not say when to come back
            }
        }
        assert!(healthy.now - self.now <= LONGEST_OPEN + TTL, "a slow way back: {:?}", self.breaker);
    }

    /// What tells this state from others: totals and names of permits do not.
    fn key(&self) -> String {
        let mut key = format!("{:?} {}", self.breaker, self.now);
        for counter in ["since: ", "refused: ", "lapsed: ", "trips: ", "untold: "] {
            let from = key.find(counter).unwrap() + counter.len();
            let to = from + key[from..].find([',', ' ']).unwrap();
            key.replace_range(from..to, "");
        }
        for out in &self.out {
            write!(key, " {:?} {:?} {}", out.permit, out.trial, self.phase - out.phase).unwrap();
        }
        key
    }
}

/// Tries every sequence of up to `depth` of `events`; how many sequences and states that were.
fn search(breaker: &Machine, events: &[Event], depth: usize) -> (u64, usize) {
    // One way to each state of the present depth, and how many ways there are.
    let mut frontier = vec![(Vec::new(), 1_u64)];
    let (mut sequences, mut states) = (0, 1);
    for _ in 0..depth {
        let mut next: HashMap<String, usize> = HashMap::new();
        let mut reached: Vec<(Vec<Event>, u64)> = vec![];
        for (path, ways) in &frontier {
            for event in events {
                // Permits cannot be copied, so each step starts over.
                let mut world = World::new(breaker);
                assert!(path.iter().all(|event| world.step(*event)));
                if !world.step(*event) {
                    continue;
                }
                sequences += ways;
                let known = *next.entry(world.key()).or_insert(reached.len());
                if known < reached.len() {
                    reached[known].1 += ways;
                } else {
                    world.check();
                    let mut path = path.clone();
                    path.push(*event);
                    reached.push((path, *ways));
                }
            }
        }
        states += reached.len();
        frontier = reached;
    }
    (sequences, states)
}

fn machine(to_close: u16) -> Machine {
    let ns = Duration::from_nanos;
    let builder = BreakerConfig::builder(Consecutive::new(2).unwrap())
        .open_interval(Backoff::exponential(ns(OPEN), ns(LONGEST_OPEN)).unwrap())
        .trial_ttl(ns(TTL))
        .successes_to_close(to_close)
        .trials::<TRIALS>();
    Breaker::new(builder.build().unwrap())
}

/// The machine after `path`, from which the search goes deeper.
fn tripped(to_close: u16) -> Machine {
    let mut breaker = machine(to_close);
    breaker.trip(at(START - OPEN));
    breaker.handle_timeout(at(START));
    assert_eq!(breaker.state(), State::HalfOpen);
    breaker
}

#[test]
fn from_closed() {
    let (sequences, states) = search(&machine(1), AUTOMATIC, 10);
    println!("from closed: {sequences} sequences, {states} states");
    assert!(sequences > 5_000_000);
}

#[test]
fn from_half_open() {
    for to_close in [1, 2, 3] {
        let (sequences, states) = search(&tripped(to_close), AUTOMATIC, 9);
        println!("from half-open, {to_close} to close: {sequences} sequences, {states} states");
        assert!(sequences > 500_000);
    }
}

#[test]
fn with_manual_states() {
    for breaker in [machine(2), tripped(2)] {
        let (sequences, states) = search(&breaker, BY_HAND, 8);
        println!("from {}, by hand: {sequences} sequences, {states} states", breaker.state());
        assert!(sequences > 500_000);
    }
}
