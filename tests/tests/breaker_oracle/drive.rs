//! The real machine and the model, side by side through one random history.

use std::time::Duration;

use fusebox::breaker::Permit;
use fusebox::{BreakerConfig, BreakerState, GateKind, Instant, Outcome, Rejected, State, TripRule};
use fusebox_tests::Dice;

use crate::model::{END, Held, Model, Spec, Tally};

/// A seeded stream of small numbers.
pub struct Drive<R: TripRule, const N: usize> {
    config: BreakerConfig<R, N>,
    real: BreakerState<R, N>,
    model: Model,
    held: Vec<(Permit, Held)>,
    dice: Dice,
    now: u64,
    /// Good and bad times take turns.
    failing: u32,
}

/// What happened in a history.
#[derive(Clone, Copy, Debug)]
pub struct Happened {
    pub trips: u32,
    pub refused: u32,
    pub lapsed: u32,
    pub more: Tally,
}

fn instant(at: u128) -> Instant {
    Instant::from_nanos(u64::try_from(at).unwrap())
}

fn config<R: TripRule, const N: usize>(rule: R, spec: &Spec) -> BreakerConfig<R, N> {
    assert_eq!(N, spec.trials);
    let ns = |n: u128| Duration::from_nanos(u64::try_from(n).unwrap());
    let mut builder = BreakerConfig::builder(rule)
        .open_interval(spec.open)
        .seed(spec.seed)
        .trial_ttl(ns(spec.trial_ttl))
        .successes_to_close(u16::try_from(spec.to_close).unwrap())
        .trials::<N>();
    if let Some(max) = spec.max_hint {
        builder = builder.max_hint(ns(max));
    }
    if let Some(limit) = spec.slow_after {
        builder = builder.slow_after(ns(limit));
    }
    if let Some(limit) = spec.half_open_for {
        builder = builder.half_open_for(ns(limit));
    }
    if let Some((permille, over)) = spec.slow_start {
        builder = builder.slow_start(u16::try_from(permille).unwrap(), ns(over));
    }
    builder.build().unwrap()
}

impl<R: TripRule, const N: usize> Drive<R, N> {
    pub fn new(rule: R, spec: &Spec, seed: u32) -> Self {
        Self {
            config: config(rule, spec),
            real: BreakerState::new(),
            model: Model::new(spec.clone()),
            held: vec![],
            dice: Dice::new(seed),
            now: 1_000,
            failing: 2,
        }
    }

    pub fn run(mut self, operations: u32) -> Happened {
        for n in 0..operations {
            self.failing = if (n >> 9) & 1 == 0 { 2 } else { 7 };
            self.step(n);
            if self.held.len() > 12 {
                drop(self.held.remove(0)); // the oldest is never heard of again
            }
            self.compare(n);
            if n % 8 == 0 {
                self.left_alone();
            }
        }
        let Model { trips, refused, lapsed, tally, .. } = self.model;
        Happened { trips, refused, lapsed, more: tally }
    }

    fn step(&mut self, n: u32) {
        let (at, exact) = (Instant::from_nanos(self.now), u128::from(self.now));
        match self.dice.below(1_000) {
            0..=339 => self.ask(n),
            340..=649 if !self.held.is_empty() => {
                let (permit, ticket) = self.take();
                let outcome = self.outcome();
                self.config.release(&mut self.real, permit, outcome, at);
                self.model.tell(ticket, outcome, exact);
            }
            650..=679 if !self.held.is_empty() => {
                let (permit, ticket) = self.take();
                self.config.cancel(&mut self.real, permit, at);
                self.model.cancel(ticket, exact);
            }
            680..=689 if !self.held.is_empty() => drop(self.take()), // leaked
            690..=739 => {
                self.config.handle_timeout(&mut self.real, at);
                self.model.pass(exact);
            }
            740..=779 => self.poll_event(),
            780..=799 => self.by_hand(at, exact),
            800..=949 => self.now = self.now.saturating_add(self.dice.below(12)),
            950..=984 => {
                // Exactly to the timer, or a nanosecond before.
                if let Some(timer) = self.model.timer() {
                    let early = u128::from(self.dice.below(2_u32)).min(timer);
                    self.now = u64::try_from(timer - early).unwrap().max(self.now);
                }
            }
            what => self.jump(what),
        }
        self.now = self.now.min(u64::MAX - 1);
    }

    fn jump(&mut self, what: u32) {
        match what {
            985..=992 => self.now = self.now.saturating_sub(self.dice.below(300)),
            993..=994 => self.now = self.now.saturating_add(self.dice.below(5_000)),
            995 => self.now = self.now.saturating_add(1_000_000_007 * self.dice.below(1_000)),
            996 => self.now >>= 1,
            997 if self.dice.below(20) == 0 => self.now = u64::MAX - 1 - self.dice.below(100),
            998..=999 if self.now > 1 << 50 => self.now = 5_000,
            _ => {}
        }
    }

    fn take(&mut self) -> (Permit, Held) {
        let which = self.dice.below(64) % self.held.len();
        self.held.swap_remove(which)
    }

    fn outcome(&mut self) -> Outcome {
        match self.dice.below(10) {
            9 => Outcome::Ignored,
            x if x < self.failing => self.failure(),
            _ => Outcome::Success,
        }
    }

    /// Half of the failures come with a hint: over, now, near, far, never.
    fn failure(&mut self) -> Outcome {
        let wait = self.dice.below(60);
        let retry_at = match self.dice.below(12) {
            0 => Instant::from_nanos(self.now.saturating_sub(wait)),
            1 => Instant::from_nanos(self.now),
            2 | 3 => Instant::from_nanos(self.now).after(wait),
            4 => Instant::from_nanos(self.now).after(wait << 30),
            5 => Instant::MAX,
            _ => return Outcome::Failure,
        };
        Outcome::Unavailable { retry_at }
    }

    fn by_hand(&mut self, at: Instant, exact: u128) {
        match self.dice.below(20) {
            0..=2 => {
                self.real.trip(&self.config, at);
                self.model.trip(exact);
            }
            3..=7 => {
                self.real.half_open(at);
                self.model.half_open(exact);
            }
            8 => {
                self.real.force_open(at);
                self.model.force(State::ForcedOpen, exact);
            }
            9 => {
                self.real.force_closed(at);
                self.model.force(State::ForcedClosed, exact);
            }
            10 => {
                self.real.dry_run(at);
                self.model.dry_run(exact);
            }
            11..=16 => {
                self.real.reset(at);
                self.model.reset(exact);
            }
            _ => {}
        }
    }

    fn poll_event(&mut self) {
        match self.real.poll_event() {
            None => assert_eq!(self.model.event_from, None),
            Some(event) => {
                let model_event = (self.model.event_from.take(), self.model.state, self.model.since);
                assert_eq!((Some(event.from), event.to, u128::from(event.at.as_nanos())), model_event);
                assert_eq!(event.dry_run, self.model.dry);
            }
        }
    }

    fn ask(&mut self, n: u32) {
        let (a, b) =
            (self.config.try_acquire(&mut self.real, Instant::from_nanos(self.now)), self.model.ask(self.now.into()));
        match (a, b) {
            (Ok(permit), Ok(ticket)) => self.held.push((permit, ticket)),
            (Err(a), Err((reason, retry_at))) => {
                assert_eq!(a, Rejected { reason, retry_at: retry_at.map(instant) }, "operation {n}");
                self.honest(a);
            }
            (a, b) => panic!("operation {n}: {a:?}, the model says {b:?}"),
        }
    }

    /// At `retry_at` it lets one through, and not a nanosecond before, unless it was asked to ask again at once.
    fn honest(&self, Rejected { retry_at, .. }: Rejected) {
        // The end of time is never.
        let Some(retry_at) = retry_at.filter(|at| *at < Instant::MAX) else { return };
        let ask = |nanos| self.config.try_acquire(&mut self.real.clone(), Instant::from_nanos(nanos));
        let at = retry_at.as_nanos();
        assert!(at >= self.now && ask(at).is_ok(), "too early: {:?}", self.real);
        assert!(at == self.now || ask(at - 1).is_err(), "too late: {:?}", self.real);
        assert!(at - self.now <= self.config.longest_refusal(), "a long refusal: {:?}", self.real);
    }

    /// What a table of many breakers relies on: when this one can be forgotten.
    fn left_alone(&mut self) {
        let now = Instant::from_nanos(self.now);
        let soon = self.dice.below(40);
        assert_eq!(self.config.is_held(&self.real), self.model.is_held());
        let rests_at = self.config.rests_at(&self.real);
        assert_eq!(rests_at, self.model.rests_at().map(instant), "{:?}", self.real);
        if let Some(rest) = rests_at.filter(|at| *at < Instant::MAX) {
            let mut rested = self.real.clone();
            let mut at = now.max(rest);
            let counts = rested.snapshot(&self.config, at).counts;
            let is_good = |rate: fusebox::breaker::Rate| rate.permille.unwrap_or(0) == 0;
            assert!(counts.failed.is_none_or(is_good) && counts.slow.is_none_or(is_good), "{counts:?}");
            for wait in [0, 0, soon, 0] {
                at = at.after(wait);
                assert!(self.config.try_acquire(&mut rested, at).is_ok(), "not like new: {:?}", self.real);
            }
        }
        let longest = self.config.longest_refusal();
        let free = now.after(longest).after(soon);
        if free < Instant::MAX && self.model.state != State::ForcedOpen {
            let mut left = self.real.clone();
            self.config.handle_timeout(&mut left, now); // the clock may have stepped back since it was last seen
            let ask = self.config.try_acquire(&mut left, free);
            assert!(ask.is_ok(), "{ask:?} after {longest} ns: {:?}", self.real);
        }
    }

    fn compare(&self, n: u32) {
        let now = u128::from(self.now);
        let seen = self.real.snapshot(&self.config, Instant::from_nanos(self.now));
        let since = u128::from(seen.since.as_nanos());
        let Model { state, since: model_since, dry, refused, lapsed, trips, .. } = self.model;
        assert_eq!((seen.state, since, seen.dry_run), (state, model_since, dry), "operation {n}");
        assert_eq!((seen.refused, seen.lapsed, seen.trips), (refused, lapsed, trips), "operation {n}");
        assert_eq!(u128::from(seen.nanos_in_state), now.saturating_sub(since), "operation {n}");
        assert!(self.model.counts_are(seen.counts, now), "operation {n}: {:?}, {:?}", seen.counts, self.real);
        let timer = self.config.poll_timeout(&self.real).map(|at| u128::from(at.as_nanos()));
        assert_eq!(timer, self.model.timer(), "operation {n}");
        assert!(self.model.timer().is_none_or(|at| at <= END));
    }
}
