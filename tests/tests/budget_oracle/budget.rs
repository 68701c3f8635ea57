//! The retry budget against a list of what was paid in.

use std::time::Duration;

use fusebox::budget::{After, BudgetSnapshot, Withdrawal};
use fusebox::{Budget, BudgetConfig, Gate, Instant, Outcome, Reason, Rejected, RetryBudget};
use fusebox_tests::Dice;

use super::{SECOND, at, time_after};

const TOKEN: u128 = 1_000_000_000;

/// A configuration in the words of its builder.
#[derive(Clone, Copy, Debug)]
struct Rules {
    call: u32,
    success: u32,
    floor: (u32, u32),
    /// In nanoseconds; `None`: starts full, and nothing expires.
    ttl: Option<u64>,
    capacity: u32,
    costs: [u32; 3],
    keep: Option<u16>,
    refund: bool,
    failures_pay: bool,
}

const PLAIN: Rules = Rules {
    call: 200,
    success: 0,
    floor: (10, 100),
    ttl: Some(10 * SECOND),
    capacity: u32::MAX,
    costs: [1; 3],
    keep: None,
    refund: false,
    failures_pay: false,
};

fn all_rules() -> Vec<Rules> {
    let aws = Rules { call: 0, success: 1_000, floor: (0, 0), ttl: None, capacity: 50, refund: true, ..PLAIN };
    let grpc = Rules { keep: Some(500), failures_pay: true, refund: false, capacity: 10, success: 100, ..aws };
    vec![
        PLAIN,
        Rules { floor: (0, 0), call: 1_000, ..PLAIN },
        Rules { floor: (3, 7), call: 333, ttl: Some(SECOND + 1), ..PLAIN },
        Rules { floor: (1, 12), call: 700, capacity: 3, costs: [2, 5, 1], ttl: Some(30 * SECOND), ..PLAIN },
        Rules { floor: (1_000_003, 9), call: 1, ttl: Some(7), ..PLAIN },
        Rules { floor: (1, 4), call: 900, costs: [3, 7, 9], capacity: 20, keep: Some(100), ..PLAIN },
        Rules { costs: [5, 10, 5], ..aws },
        Rules { costs: [14, 14, 5], floor: (2, 6), ..aws },
        grpc,
        Rules { capacity: 1_000, floor: (1, 3), ..grpc },
        Rules { refund: true, success: 300, failures_pay: true, floor: (2, 9), costs: [1, 2, 3], ..PLAIN },
    ]
}

impl Rules {
    fn build<const N: usize>(&self) -> RetryBudget<N> {
        let mut builder = BudgetConfig::builder()
            .deposit_permille(self.call)
            .success_permille(self.success)
            .floor(self.floor.0, self.floor.1)
            .capacity(self.capacity)
            .costs(self.costs[0], self.costs[1], self.costs[2]);
        builder = match self.ttl {
            Some(ttl) => builder.ttl(Duration::from_nanos(ttl)),
            None => builder.never_expires().start_full(),
        };
        builder = if let Some(permille) = self.keep { builder.keep_above(permille) } else { builder };
        builder = if self.refund { builder.refund_on_success() } else { builder };
        builder = if self.failures_pay { builder.failures_pay() } else { builder };
        RetryBudget::new(builder.build().unwrap())
    }

    fn cost(&self, after: After) -> u128 {
        let number = match after {
            After::Timeout => 1,
            After::Throttled => 2,
            _ => 0,
        };
        u128::from(self.costs[number]) * TOKEN
    }
}

/// What was paid in and is left, with the number of the piece it came in.
struct Model {
    rules: Rules,
    pieces: u64,
    piece: u64,
    number: u64,
    began: u64,
    deposits: Vec<(u64, u128)>,
    floor: u128,
    now: u64,
    deposited: u128,
    spent: u128,
    expired: u128,
    refused: u32,
}

/// A withdrawal, and what of it came from the floor.
struct Paid {
    real: Withdrawal,
    saved: u128,
    floor: u128,
}

impl Model {
    fn new(rules: Rules, pieces: u64) -> Self {
        let start = if rules.ttl.is_none() { u128::from(rules.capacity) * TOKEN } else { 0 };
        let floor = u128::from(rules.floor.1) * TOKEN;
        Self {
            rules,
            pieces,
            piece: rules.ttl.map_or(u64::MAX, |ttl| ttl.div_ceil(pieces)),
            number: 0,
            began: 0,
            deposits: vec![(0, start)],
            floor,
            now: 0,
            deposited: start + floor,
            spent: 0,
            expired: 0,
            refused: 0,
        }
    }

    fn saved(&self) -> u128 {
        self.deposits.iter().map(|(_, amount)| amount).sum()
    }

    fn time(&mut self, now: u64) {
        self.began = self.began.min(now);
        let passed = (now - self.began) / self.piece;
        self.number += passed.min(self.pieces);
        self.began += passed * self.piece;
        let live = |(number, _): &(u64, u128)| number + self.pieces > self.number;
        let (kept, gone) = self.deposits.iter().partition::<Vec<_>, _>(|deposit| live(deposit));
        self.expired += gone.iter().map(|(_, amount)| amount).sum::<u128>();
        self.deposits = kept;
        let given = u128::from(self.rules.floor.0) * u128::from(now.saturating_sub(self.now));
        let given = given.min(u128::from(self.rules.floor.1) * TOKEN - self.floor);
        self.floor += given;
        self.deposited += given;
        self.now = now;
    }

    fn put(&mut self, amount: u128) -> u128 {
        let fits = amount.min(u128::from(self.rules.capacity) * TOKEN - self.saved());
        if self.saved() == 0 {
            self.began = self.now;
        }
        self.deposits.push((self.number, fits));
        fits
    }

    fn pay_in(&mut self, permille: u32) {
        self.deposited += self.put(u128::from(permille) * TOKEN / 1_000);
    }

    /// Takes out; how much of it came from deposits and from the floor.
    fn take(&mut self, amount: u128) -> (u128, u128) {
        let saved = amount.min(self.saved());
        let mut rest = saved;
        for (_, left) in &mut self.deposits {
            let part = rest.min(*left);
            *left -= part;
            rest -= part;
        }
        self.floor -= amount - saved;
        self.spent += amount;
        (saved, amount - saved)
    }

    fn fine(&mut self, after: After) {
        self.take(self.rules.cost(after).min(self.saved() + self.floor));
    }

    fn withdraw(&mut self, after: After) -> Option<(u128, u128)> {
        let after_it = (self.saved() + self.floor).checked_sub(self.rules.cost(after));
        let keep =
            self.rules.keep.map(|permille| u128::from(self.rules.capacity) * TOKEN / 1_000 * u128::from(permille));
        if after_it.is_some_and(|left| keep.is_none_or(|keep| left > keep)) {
            return Some(self.take(self.rules.cost(after)));
        }
        self.refused += 1;
        if self.rules.failures_pay {
            self.fine(after);
        }
        None
    }

    fn give_back(&mut self, paid: &Paid) {
        let floor = paid.floor.min(u128::from(self.rules.floor.1) * TOKEN - self.floor);
        self.floor += floor;
        self.spent -= self.put(paid.saved) + floor;
    }

    fn check(&self, seen: BudgetSnapshot) {
        let left = self.saved() + self.floor;
        let rules = self.rules;
        assert_eq!(seen.balance.billionths(), left, "{rules:?}: balance");
        assert_eq!(seen.deposited.billionths(), self.deposited, "{rules:?}: deposited");
        assert_eq!(seen.spent.billionths(), self.spent, "{rules:?}: spent");
        assert_eq!(seen.expired.billionths(), self.expired, "{rules:?}: expired");
        assert_eq!(seen.refused, self.refused, "{rules:?}: refused");
        assert_eq!(self.deposited, self.spent + left + self.expired, "{rules:?}: conservation");
        assert!(left <= u128::from(rules.capacity) * TOKEN + u128::from(rules.floor.1) * TOKEN, "{rules:?}: capacity");
    }
}

/// At the instant that a refusal names asking again succeeds, and not before; if it names none, never.
fn check_honest<const N: usize>(budget: &RetryBudget<N>, after: After, refused: Rejected, now: u64, dice: &mut Dice) {
    assert_eq!(refused.reason, Reason::BudgetExhausted);
    let ask = |when: Instant| budget.clone().try_withdraw(after, when).is_ok();
    if let Some(retry_at) = refused.retry_at {
        assert!(retry_at > at(now) || retry_at == Instant::MAX);
        assert!(retry_at == Instant::MAX || ask(retry_at), "refused at {retry_at}");
        let wait = retry_at.as_nanos() - now;
        for before in [wait.saturating_sub(1), dice.below(wait.max(1))].map(|wait| now + wait) {
            assert!(!ask(at(before)), "granted at {before}, before {retry_at}");
        }
    } else {
        for usual in [1, SECOND, 30 * SECOND, u64::MAX] {
            assert!(!ask(at(now.saturating_add(dice.below(usual)))), "{refused} was not true");
        }
    }
}

fn outcome(dice: &mut Dice) -> Outcome {
    match dice.below(4) {
        0 => Outcome::Failure,
        1 => Outcome::Unavailable { retry_at: at(dice.below(SECOND)) },
        2 => Outcome::Ignored,
        _ => Outcome::Success,
    }
}

/// With a `lazy` one, time does not step back, so that it does not matter which operations look at it.
fn run<const N: usize>(rules: Rules, seed: u32, operations: u32, lazy: bool) -> u32 {
    let (mut real, mut model, mut dice) = (rules.build::<N>(), Model::new(rules, N as u64), Dice::new(seed));
    let (mut now, mut out, mut granted) = (0, Vec::new(), 0);
    for _ in 0..operations {
        let next = time_after(&mut dice, now, rules.ttl.unwrap_or(SECOND) / 4 + 2);
        now = if lazy && (next < now || next > 1 << 60) { now } else { next };
        if now >= u64::MAX / 2 && dice.below(50) == 0 {
            now = 0; // else most of the run is at the end of time
        }
        model.time(now);
        let when = at(now);
        if !lazy {
            real.handle_timeout(when);
        }
        match dice.below(8) {
            0..=2 => {
                real.deposit(when);
                model.pay_in(rules.call);
            }
            3..=5 => {
                let after = [After::Failure, After::Timeout, After::Throttled][dice.below(3)];
                match (real.try_withdraw(after, when), model.withdraw(after)) {
                    (Ok(real), Some((saved, floor))) => {
                        granted += 1;
                        out.push(Paid { real, saved, floor });
                    }
                    (Err(refused), None) => check_honest(&real, after, refused, now, &mut dice),
                    (real, model) => panic!("{rules:?} at {now}: {real:?}, but the model says {model:?}"),
                }
            }
            6 => {
                let last = (dice.below(2) == 0).then(|| out.pop()).flatten();
                let outcome = outcome(&mut dice);
                match (&last, outcome) {
                    (Some(paid), Outcome::Success) if rules.refund => model.give_back(paid),
                    (_, Outcome::Success) => model.pay_in(rules.success),
                    (_, Outcome::Failure | Outcome::Unavailable { .. }) if rules.failures_pay => {
                        model.fine(After::Failure);
                    }
                    _ => {}
                }
                real.settle(last.map(|paid| paid.real), outcome, when);
            }
            _ => {
                let Some(paid) = dice.pick(&mut out) else { continue };
                let outcome = outcome(&mut dice);
                if dice.below(2) == 0 {
                    if !rules.failures_pay {
                        model.give_back(&paid);
                    }
                    real.cancel(paid.real, when);
                } else {
                    if rules.refund && outcome == Outcome::Success {
                        model.give_back(&paid);
                    }
                    real.release(paid.real, outcome, when);
                }
            }
        }
        out.truncate(64);
        model.deposits.retain(|(_, amount)| *amount > 0);
        model.check(real.snapshot(when));
        assert_eq!(real.poll_timeout(), None);
    }
    granted
}

#[test]
fn it_is_what_the_list_says() {
    let (mut granted, mut operations) = (0, 0);
    for (seed, rules) in (0..).zip(all_rules()) {
        let each = 30_000;
        for seed in [seed, seed + 1_000] {
            let lazy = seed >= 1_000;
            granted += run::<1>(rules, seed, each, lazy);
            granted += run::<4>(rules, seed, each, lazy) + run::<10>(rules, seed, each, lazy);
            operations += 3 * each;
        }
    }
    println!("{operations} operations, {granted} retries granted");
    assert!(granted > operations / 20);
}

/// From the contract, without a model: over any interval, retries granted are at most what was left at its start, a share
/// of the calls in it, and what the floor gives in it.
#[test]
fn over_any_interval_retries_are_paid_for() {
    for seed in 0..20 {
        let mut dice = Dice::new(seed);
        let rules = Rules { call: 100, floor: (5, 20), ttl: Some(4 * SECOND), ..PLAIN };
        let mut budget = rules.build::<10>();
        let mut now = SECOND;
        // Time, balance then, and calls and retries until then.
        let (mut points, mut calls, mut retries) = (vec![], 0_u128, 0_u128);
        for _ in 0..2_000 {
            now += dice.below(4_000_000) * dice.below(2) * dice.below(3);
            budget.deposit(at(now));
            calls += 1;
            points.push((now, budget.balance(at(now)).billionths(), calls, retries));
            for _ in 0..dice.below(4) {
                retries += u128::from(budget.try_withdraw(After::Failure, at(now)).is_ok());
            }
            for (then, balance, calls_then, retries_then) in points.iter().step_by(37) {
                let time = u128::from(now - then) * 5;
                let bound = balance + (calls - calls_then) * TOKEN / 10 + time;
                assert!((retries - retries_then) * TOKEN <= bound, "seed {seed}, from {then} to {now}");
            }
        }
        assert!(retries > 100);
    }
}

/// Finagle's own arithmetic, for a clock that stands still: reserve and deposits in units of a thousandth of a call, a
/// withdrawal of 1000 / share of them.
#[test]
fn finagle_agrees_while_nothing_expires() {
    for (percent, min_per_sec, ttl) in
        [(0.2, 10, 10), (0.1, 0, 10), (0.5, 5, 2), (0.75, 0, 60), (2.0, 0, 60), (0.25, 1, 1)]
    {
        let permille = (percent * 1_000.0_f64).round() as u32;
        let config = BudgetConfig::finagle(permille, Duration::from_secs(ttl), min_per_sec).unwrap();
        let mut budget = RetryBudget::<10>::new(config);
        let withdrawal = (1_000.0_f64 / percent) as i64;
        let mut theirs = i64::from(min_per_sec) * ttl as i64 * withdrawal;
        let (mut dice, mut off) = (Dice::new(permille), 0_i64);
        for _ in 0..20_000 {
            if dice.below(3) > 0 {
                budget.deposit(at(SECOND));
                theirs += 1_000;
            } else {
                let (ours, granted) = (budget.try_withdraw(After::Failure, at(SECOND)).is_ok(), theirs >= withdrawal);
                theirs -= if granted { withdrawal } else { 0 };
                off += i64::from(ours) - i64::from(granted);
            }
        }
        // 1000 / 0.75 is rounded down there: that is all that may differ.
        assert!(off == 0 || (percent == 0.75 && off.abs() <= 6), "{percent}: {off}");
    }
}
