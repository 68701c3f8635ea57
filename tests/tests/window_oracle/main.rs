//! Law: window limiters decide as naive [models](model) do that keep every grant, and say exactly when to come back.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test may panic")]
#![allow(clippy::integer_division, clippy::missing_const_for_fn, reason = "a test may round down, and needs no const")]

mod clock;
mod model;
mod reservations;

use std::fmt::Debug;
use std::time::Duration;

use fusebox::{FixedWindow, Gate, Instant, Limiter, Reason, SlidingCounter, SlidingLog, Weighted};
use fusebox_tests::Dice;
use model::{CounterModel, FixedModel, LogModel, Model};

const SECOND: u64 = 1_000_000_000;
const START: u64 = 86_400 * SECOND;

/// Count, period in nanoseconds.
const NUMBERS: &[(u32, u64)] = &[
    (1, SECOND),
    (3, SECOND),
    (10, SECOND),
    (7, 13),
    (1_000, 60 * SECOND),
    (5, 86_400 * SECOND),
    (1 << 31, SECOND),
    (100, 1),
    (3, 1 << 60),
];

fn at(now: u64) -> Instant {
    Instant::from_nanos(now)
}

/// One random history.
struct Run<C: Weighted, M> {
    real: Limiter<C>,
    model: M,
    dice: Dice,
    now: u64,
    held: Vec<(u32, C::Permit)>,
    tally: [u32; 3],
}

impl<C: Weighted<State: Clone + Debug> + Clone + Debug, M: Model> Run<C, M> {
    fn new(kind: C, model: M, seed: u32) -> Self {
        Self { real: Limiter::new(kind), model, dice: Dice::new(seed), now: START, held: vec![], tally: [0; 3] }
    }

    fn ask(&mut self, id: u32, count: u32) {
        let most = if self.dice.below(3) == 0 { count } else { (count / 3).max(1) };
        let n = self.dice.below(most) + 1;
        let fits = self.model.fits(n, self.now);
        match self.real.try_acquire_n(n, at(self.now)) {
            Ok(tokens) => {
                assert!(fits, "{:?}: {n} at {} are too many", self.real, self.now);
                self.tally[0] += 1;
                self.model.grant(id, n, self.now);
                self.held.push((id, tokens));
            }
            Err(refused) => {
                assert!(!fits, "{:?}: {n} at {} would have fitted", self.real, self.now);
                self.tally[1] += 1;
                assert_eq!(refused.reason, Reason::RateLimited);
                let retry_at = refused.retry_at.unwrap().as_nanos();
                assert!(retry_at > self.now && retry_at - self.now <= self.real.kind().longest_refusal());
                let fits = [retry_at - 1, retry_at].map(|then| self.model.fits(n, then));
                assert_eq!(fits, [false, true], "{:?}: {n} at {}, told {retry_at}", self.real, self.now);
                assert!(self.real.clone().try_acquire_n(n, at(retry_at - 1)).is_err(), "{:?}: too late", self.real);
                assert!(self.real.clone().try_acquire_n(n, at(retry_at)).is_ok(), "{:?}: too early", self.real);
                self.now = if self.dice.below(3) == 0 { retry_at } else { self.now };
            }
        }
    }

    fn step(&mut self, id: u32, (count, period): (u32, u64)) {
        match self.dice.below(10) {
            0..=5 => self.ask(id, count),
            6 if !self.held.is_empty() => {
                let which = self.dice.below(self.held.len());
                let (id, tokens) = self.held.swap_remove(which);
                self.tally[2] += 1;
                self.real.cancel(tokens, at(self.now));
                self.model.cancel(id, self.now);
            }
            7 => self.now += self.dice.below(period / 8 + 2),
            8 => self.now += self.dice.below(period / 2 + 2),
            _ if self.dice.below(8) == 0 => self.now += self.dice.below(period.saturating_mul(3)),
            _ => {}
        }
        let can = self.real.available(at(self.now));
        assert!(can == 0 || self.model.fits(can, self.now));
        assert!(can == count || !self.model.fits(can + 1, self.now));
        if self.held.len() > 5 {
            self.held.remove(0);
        }
    }
}

fn run_all<C, M: Model>(kind: impl Fn(u32, Duration) -> C, model: impl Fn(u32, u64) -> M)
where
    C: Weighted<State: Clone + Debug> + Clone + Debug,
{
    let mut total = [0; 3];
    for numbers in NUMBERS {
        for seed in 0..4 {
            let kind = kind(numbers.0, Duration::from_nanos(numbers.1));
            let mut run = Run::new(kind, model(numbers.0, numbers.1), seed);
            for id in 0..3_000 {
                run.step(id, *numbers);
                // The end of time has a test of its own.
                if run.now > u64::MAX / 4 {
                    break;
                }
            }
            total.iter_mut().zip(run.tally).for_each(|(sum, x)| *sum += x);
        }
    }
    println!("{}: [granted, refused, cancelled] = {total:?}", std::any::type_name::<C>());
    assert!(total.iter().all(|n| *n > 3_000));
}

#[test]
fn the_counter_is_two_windows_weighted() {
    run_all(|count, period| SlidingCounter::new(count, period).unwrap(), CounterModel::new);
}

#[test]
fn fixed_windows_have_their_count_each() {
    run_all(|count, period| FixedWindow::new(count, period).unwrap(), FixedModel::new);
}

#[test]
fn the_log_never_has_more_than_its_count_in_a_period() {
    fn log<const N: usize>() {
        let count = u32::try_from(N).unwrap();
        let mut total = [0; 3];
        for (seed, (_, period)) in (0..).zip(NUMBERS) {
            let kind = SlidingLog::<N>::new(Duration::from_nanos(*period)).unwrap();
            let mut run = Run::new(kind, LogModel::new(count, *period), seed);
            for id in 0..10_000 {
                run.step(id, (count, *period));
                if run.now > u64::MAX / 4 {
                    break;
                }
            }
            total.iter_mut().zip(run.tally).for_each(|(sum, x)| *sum += x);
        }
        println!("log of {N}: [granted, refused, cancelled] = {total:?}");
        assert!(total.iter().all(|n| *n > 3_000));
    }
    log::<1>();
    log::<2>();
    log::<7>();
    log::<100>();
}

/// The error bound of the counter: below twice the count in any period.
#[test]
fn the_counter_errs_by_less_than_its_count() {
    let (mut worst, count, period) = (0, 100, SECOND);
    for seed in 0..200 {
        let mut real = Limiter::new(SlidingCounter::new(count, Duration::from_nanos(period)).unwrap());
        let (mut dice, mut now, mut grants) = (Dice::after(seed, 1), START, vec![]);
        // All at the end of the first window, then one at a time.
        drop(real.try_acquire(at(now)).unwrap());
        now += period - 1;
        grants.push((now, count - 1));
        drop(real.try_acquire_n(count - 1, at(now)).unwrap());
        for _ in 0..2_000 {
            now += dice.below(period / 200);
            if real.try_acquire(at(now)).is_ok() {
                grants.push((now, 1));
            }
            let within = |(when, _): &&(u64, u32)| *when + period > now;
            worst = worst.max(grants.iter().filter(within).map(|(_, n)| n).sum());
        }
    }
    println!("at most {worst} in a period, of {count}");
    assert!(worst < 2 * count && worst > count * 19 / 10);
}
