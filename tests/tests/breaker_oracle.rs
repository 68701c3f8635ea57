//! Law: the breaker decides exactly as its module's contract says.
//!
//! A naive model, written from the contract alone (lists instead of rings and places, `u128` instead of instants),
//! is driven side by side with the real machine through long random histories: late, cancelled, leaked and lapsed
//! permits, every manual state, clocks that step back, jump far and reach the end of time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]
#![allow(clippy::integer_division, clippy::missing_const_for_fn, reason = "a test may round down, and needs no const")]
#![allow(clippy::too_many_lines, clippy::similar_names, reason = "the table of events is one piece")]

use std::time::Duration;

use fusebox::breaker::Permit;
use fusebox::entropy::nth;
use fusebox::{
    Backoff, Breaker, BreakerConfig, Consecutive, Counts, FailureRate, Gate, Instant, Outcome, Reason, Rejected, State,
    TripRule,
};

/// `Instant::MAX` in nanoseconds.
const END: u128 = u64::MAX as u128 - 1;

#[derive(Clone, Copy)]
enum Rule {
    InARow(usize),
    Rate { permille: usize, size: usize, minimum: usize },
}

/// The configuration, as the model sees it. Times in nanoseconds.
#[derive(Clone, Copy)]
struct Spec {
    rule: Rule,
    first: u128,
    cap: u128,
    slow_after: u128,
    ttl: u128,
    trials: usize,
    to_close: usize,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Ticket {
    Call,
    Trial(u64),
    Unjudged,
}

/// The model's permit.
#[derive(Clone, Copy, Debug)]
struct Held {
    phase: u64,
    since: u128,
    ticket: Ticket,
}

struct Model {
    spec: Spec,
    state: State,
    since: u128,
    /// How many phases there have been.
    phase: u64,
    outcomes: Vec<bool>,
    until: u128,
    interval: u128,
    /// Times it opened since it was closed.
    openings: u32,
    /// Trials out: number, end of lease.
    out: Vec<(u64, u128)>,
    issued: u64,
    good: usize,
    bad: usize,
    dry: bool,
    refused: u32,
    lapsed: u32,
    trips: u32,
    event_from: Option<State>,
}

impl Model {
    fn new(spec: Spec) -> Self {
        Self {
            spec,
            state: State::Closed,
            since: 0,
            phase: 0,
            outcomes: vec![],
            until: 0,
            interval: 0,
            openings: 0,
            out: vec![],
            issued: 0,
            good: 0,
            bad: 0,
            dry: false,
            refused: 0,
            lapsed: 0,
            trips: 0,
            event_from: None,
        }
    }

    fn go(&mut self, to: State, now: u128) {
        if to != self.state {
            self.event_from = self.event_from.or(Some(self.state));
            self.since = now;
        }
        (self.state, self.phase) = (to, self.phase + 1);
        self.outcomes.clear();
        self.out.clear();
        (self.good, self.bad) = (0, 0);
        if matches!(to, State::Closed | State::ForcedOpen | State::ForcedClosed) {
            self.openings = 0;
        }
    }

    fn open(&mut self, now: u128) {
        self.interval = (self.spec.first << self.openings.min(60)).min(self.spec.cap);
        self.until = (now + self.interval).min(END);
        self.openings += 1;
        self.trips += 1;
        self.go(State::Open, now);
    }

    /// What time alone does.
    fn pass(&mut self, now: u128) {
        if self.state == State::Open {
            if now >= self.until {
                self.go(State::HalfOpen, now);
            } else {
                self.until = self.until.min(now + self.interval);
            }
        } else if self.state == State::HalfOpen {
            let before = self.out.len();
            self.out.retain(|(_, lease)| now < *lease);
            self.lapsed += u32::try_from(before - self.out.len()).unwrap();
            for (_, lease) in &mut self.out {
                *lease = (*lease).min(now + self.spec.ttl);
            }
        }
    }

    fn ask(&mut self, now: u128) -> Result<Held, Rejected> {
        self.pass(now);
        let wait = |at: u128| Some(Instant::from_nanos(u64::try_from(at).unwrap()));
        let answer = match self.state {
            State::Closed => Ok(Ticket::Call),
            State::ForcedClosed => Ok(Ticket::Unjudged),
            State::ForcedOpen => Err((Reason::ForcedOpen, None)),
            State::Open => Err((Reason::Open, wait(self.until))),
            State::HalfOpen => {
                let enough = self.spec.trials.max(self.spec.to_close);
                if self.out.len() < self.spec.trials && self.good + self.bad + self.out.len() < enough {
                    self.issued += 1;
                    self.out.push((self.issued, (now + self.spec.ttl).min(END)));
                    Ok(Ticket::Trial(self.issued))
                } else {
                    Err((Reason::TrialsOut, wait(self.out.iter().map(|t| t.1).min().unwrap())))
                }
            }
        };
        let ticket = match answer {
            Ok(ticket) => ticket,
            Err((reason, retry_at)) => {
                self.refused += 1;
                if !self.dry {
                    return Err(Rejected { reason, retry_at });
                }
                Ticket::Unjudged
            }
        };
        Ok(Held { phase: self.phase, since: now, ticket })
    }

    fn tell(&mut self, held: Held, outcome: Outcome, now: u128) {
        if held.phase != self.phase {
            return;
        }
        let slow = now.saturating_sub(held.since) > self.spec.slow_after;
        match held.ticket {
            Ticket::Unjudged => {}
            Ticket::Call => {
                if outcome != Outcome::Ignored {
                    self.outcomes.push(outcome == Outcome::Failure);
                    if (outcome == Outcome::Failure || slow) && self.rule_is_met() {
                        self.open(now);
                    }
                }
            }
            Ticket::Trial(number) => {
                self.pass(now);
                let out = self.out.len();
                self.out.retain(|t| t.0 != number);
                if self.out.len() == out || outcome == Outcome::Ignored {
                    return;
                }
                if outcome == Outcome::Success && !slow {
                    self.good += 1;
                    if self.good == self.spec.to_close {
                        self.go(State::Closed, now);
                    }
                } else {
                    self.bad += 1;
                    if self.bad > self.spec.trials.saturating_sub(self.spec.to_close) {
                        self.open(now);
                    }
                }
            }
        }
    }

    fn counts(&self) -> Counts {
        let (calls, failures) = match self.spec.rule {
            Rule::InARow(_) => {
                let row = self.outcomes.iter().rev().take_while(|failed| **failed).count();
                (row, row)
            }
            Rule::Rate { size, .. } => {
                let window = &self.outcomes[self.outcomes.len().saturating_sub(size)..];
                (window.len(), window.iter().filter(|failed| **failed).count())
            }
        };
        Counts { calls: u32::try_from(calls).unwrap(), failures: u32::try_from(failures).unwrap() }
    }

    fn rule_is_met(&self) -> bool {
        let Counts { calls, failures } = self.counts();
        let (calls, failures) = (calls as usize, failures as usize);
        match self.spec.rule {
            Rule::InARow(threshold) => failures >= threshold,
            Rule::Rate { permille, minimum, .. } => calls >= minimum && failures * 1_000 >= permille * calls,
        }
    }

    fn timer(&self) -> Option<u128> {
        match self.state {
            State::Open => Some(self.until),
            State::HalfOpen => self.out.iter().map(|t| t.1).min(),
            State::Closed | State::ForcedOpen | State::ForcedClosed => None,
        }
    }

    fn force(&mut self, to: State, now: u128) {
        self.dry = false;
        if self.state != to {
            self.go(to, now);
        }
    }
}

/// A seeded stream of small numbers.
struct Dice(u32, u32);

impl Dice {
    fn below(&mut self, n: u32) -> u32 {
        self.1 = self.1.wrapping_add(1);
        nth(self.0, self.1) % n
    }
}

fn run<R: TripRule, const N: usize>(rule: R, spec: Spec, seed: u32, operations: u32) -> [u32; 3] {
    let ns = |n: u128| Duration::from_nanos(u64::try_from(n).unwrap());
    let mut builder = BreakerConfig::builder(rule)
        .open_interval(Backoff::exponential(ns(spec.first), ns(spec.cap)).unwrap())
        .trial_ttl(ns(spec.ttl))
        .successes_to_close(u16::try_from(spec.to_close).unwrap())
        .trials::<N>();
    if spec.slow_after < END {
        builder = builder.slow_after(ns(spec.slow_after));
    }
    let mut real = Breaker::new(builder.build().unwrap());
    let mut model = Model::new(spec);
    let mut held: Vec<(Permit, Held)> = vec![];
    let (mut dice, mut now) = (Dice(seed, 0), 1_000_u64);
    for n in 0..operations {
        let (at, exact) = (Instant::from_nanos(now), u128::from(now));
        let (what, which) = (dice.below(1_000), dice.below(64) as usize);
        match what {
            0..=329 => {
                let (a, b) = (real.try_acquire(at), model.ask(exact));
                match (a, b) {
                    (Ok(permit), Ok(ticket)) => held.push((permit, ticket)),
                    (Err(a), Err(b)) => assert_eq!(a, b, "seed {seed}, operation {n}"),
                    (a, b) => panic!("seed {seed}, operation {n}: {a:?}, the model says {b:?}"),
                }
            }
            330..=649 if !held.is_empty() => {
                let (permit, ticket) = held.swap_remove(which % held.len());
                // Good and bad times take turns.
                let failing = if (n >> 9) % 2 == 0 { 2 } else { 7 };
                let outcome = match dice.below(10) {
                    9 => Outcome::Ignored,
                    x if x < failing => Outcome::Failure,
                    _ => Outcome::Success,
                };
                real.release(permit, outcome, at);
                model.tell(ticket, outcome, exact);
            }
            650..=679 if !held.is_empty() => {
                let (permit, ticket) = held.swap_remove(which % held.len());
                real.cancel(permit, at);
                model.tell(ticket, Outcome::Ignored, exact);
            }
            680..=689 if !held.is_empty() => drop(held.swap_remove(which % held.len())), // leaked
            690..=749 => {
                real.handle_timeout(at);
                model.pass(exact);
            }
            750..=789 => match real.poll_event() {
                None => assert_eq!(model.event_from, None),
                Some(event) => {
                    let model_event = (model.event_from.take(), model.state, model.since);
                    assert_eq!((Some(event.from), event.to, u128::from(event.at.as_nanos())), model_event);
                }
            },
            790..=791 => {
                real.trip(at);
                if matches!(model.state, State::Closed | State::HalfOpen) {
                    model.open(exact);
                }
            }
            792 => {
                real.force_open(at);
                model.force(State::ForcedOpen, exact);
            }
            793 => {
                real.force_closed(at);
                model.force(State::ForcedClosed, exact);
            }
            794 => {
                real.dry_run(at);
                if !model.dry {
                    model.go(State::Closed, exact);
                    model.dry = true;
                }
            }
            795..=804 => {
                real.reset(at);
                model.dry = false;
                model.go(State::Closed, exact);
            }
            805..=949 => now = now.saturating_add(dice.below(12).into()),
            950..=984 => {
                // Exactly to the timer, or a nanosecond before.
                if let Some(timer) = model.timer() {
                    now = u64::try_from(timer - u128::from(dice.below(2)).min(timer)).unwrap().max(now);
                }
            }
            985..=994 => now = now.saturating_sub(dice.below(300).into()),
            995..=996 => now = now.saturating_add(1_000_000_007 * u64::from(dice.below(1_000))),
            997 => now >>= 1,
            998 if dice.below(20) == 0 => now = u64::MAX - 1,
            999 if now > 1 << 50 => now = 5_000,
            _ => {}
        }
        now = now.min(u64::MAX - 1);
        if held.len() > 12 {
            drop(held.remove(0)); // the oldest is never heard of again
        }
        let seen = real.snapshot();
        let expected = (model.state, model.since, model.dry, model.refused, model.lapsed, model.trips);
        let since = u128::from(seen.since.as_nanos());
        assert_eq!((seen.state, since, seen.dry_run, seen.refused, seen.lapsed, seen.trips), expected, "{seed}:{n}");
        let counts = if model.state == State::Closed { model.counts() } else { Counts::default() };
        assert_eq!(seen.counts, counts, "seed {seed}, operation {n}");
        assert_eq!(real.poll_timeout().map(|t| u128::from(t.as_nanos())), model.timer(), "seed {seed}, operation {n}");
    }
    [model.trips, model.refused, model.lapsed]
}

fn spec(rule: Rule, times: [u128; 4], trials: usize, to_close: usize) -> Spec {
    let [first, cap, slow_after, ttl] = times;
    Spec { rule, first, cap, slow_after, ttl, trials, to_close }
}

/// Four million operations; every kind of event must have come up often, else nothing was shown.
#[test]
fn the_breaker_agrees_with_the_model() {
    const EACH: u32 = 500_000;
    let row = |n: u16| (Consecutive::new(n.into()).unwrap(), Rule::InARow(n.into()));
    let ((one, one_), (two, two_), (three, three_)) = (row(1), row(2), row(3));
    let rate = |permille: u16, size: u16, minimum: u16| {
        let rule = Rule::Rate { permille: permille.into(), size: size.into(), minimum: minimum.into() };
        (FailureRate::<2>::new(permille, size, minimum).unwrap(), rule)
    };
    let ((half, half_), (third, third_), (all, all_)) = (rate(500, 10, 4), rate(333, 37, 12), rate(1_000, 3, 3));
    let totals = [
        run::<_, 1>(one, spec(one_, [20, 20, END, 15], 1, 1), 1, EACH),
        run::<_, 2>(two, spec(two_, [20, 170, 25, 15], 2, 1), 2, EACH),
        run::<_, 3>(three, spec(three_, [5, 40, 10, 60], 3, 3), 3, EACH),
        run::<_, 2>(two, spec(two_, [30, 500, END, 1], 2, 5), 4, EACH),
        run::<_, 4>(half, spec(half_, [20, 90, 12, 30], 4, 2), 5, EACH),
        run::<_, 1>(third, spec(third_, [20, 20, END, 25], 1, 3), 6, EACH),
        run::<_, 5>(third, spec(third_, [1, 1 << 70, 30, 40].map(|n: u128| n.min(1 << 60)), 5, 3), 7, EACH),
        run::<_, 2>(all, spec(all_, [7, 70, END, 11], 2, 2), 8, EACH),
    ];
    println!("operations: {}, [trips, refused, lapsed] per configuration: {totals:?}", 8 * EACH);
    for [trips, refused, lapsed] in totals {
        assert!(trips > 2_000 && refused > 20_000 && lapsed > 500, "too little happened: {totals:?}");
    }
}
