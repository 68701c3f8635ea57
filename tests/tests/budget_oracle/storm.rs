//! Retry storms: a callee fails for a while, and all its callers retry.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use fusebox::{
    Backoff, Budget, BudgetConfig, Cause, Ended, Instant, Jitter, Outcome, Plan, Retry, RetryBudget, RetryPolicy, Step,
    Verdict, checked,
};
use fusebox_tests::Dice;

use super::{SECOND, at};

const CALLS_PER_SECOND: u64 = 1_000;
/// Three retries.
const POLICY: RetryPolicy = checked!(
    RetryPolicy::builder()
        .attempts(4)
        .backoff(
            checked!(Backoff::exponential(Duration::from_millis(50), Duration::from_secs(1))).with_jitter(Jitter::Full)
        )
        .build()
);

/// What happened in each second.
struct Storm {
    attempts: Vec<u64>,
    answered: Vec<u64>,
    calls_refused_a_retry: u64,
    budget: Option<RetryBudget>,
}

impl Storm {
    fn amplification(&self, from: usize, to: usize) -> f64 {
        let attempts: u64 = self.attempts[from..to].iter().sum();
        attempts as f64 / ((to - from) as u64 * CALLS_PER_SECOND) as f64
    }

    fn answered(&self, from: usize, to: usize) -> f64 {
        let answered: u64 = self.answered[from..to].iter().sum();
        answered as f64 / ((to - from) as u64 * CALLS_PER_SECOND) as f64
    }
}

/// 1000 calls a second for so many seconds. `answers` is told the second and how many attempts it has had in the present
/// tenth of it.
fn storm(seconds: u64, budget: Option<RetryBudget>, seed: u32, mut answers: impl FnMut(u64, u64) -> bool) -> Storm {
    let (mut budget, mut dice) = (budget, Dice::new(seed));
    let mut result = Storm { attempts: vec![], answered: vec![], calls_refused_a_retry: 0, budget: None };
    result.attempts.resize(seconds as usize + 60, 0);
    result.answered.resize(seconds as usize + 60, 0);
    let mut plans: Vec<Retry<'static>> = Vec::new();
    let mut due = BinaryHeap::new();
    for number in 0..seconds * CALLS_PER_SECOND {
        let now = number * (SECOND / CALLS_PER_SECOND);
        due.push(Reverse((now, plans.len())));
        plans.push(POLICY.start(at(now), dice.draw()));
    }
    let (mut tenth, mut in_tenth) = (0, 0);
    while let Some(Reverse((now, call))) = due.pop() {
        let plan = &mut plans[call];
        match plan.next(at(now)) {
            Step::Wait { until } => due.push(Reverse((until.unwrap_or(Instant::MAX).as_nanos(), call))),
            Step::Start { attempt, .. } => {
                (tenth, in_tenth) =
                    if tenth == now / (SECOND / 10) { (tenth, in_tenth + 1) } else { (now / (SECOND / 10), 1) };
                let second = now / SECOND;
                result.attempts[second as usize] += 1;
                let good = answers(second, in_tenth);
                result.answered[second as usize] += u64::from(good);
                if let Some(budget) = budget.as_mut().filter(|_| attempt == 1) {
                    budget.deposit(at(now));
                }
                let ended = if good { Ended::Success } else { Ended::Retry { not_before: None } };
                plan.ended_if_paid(attempt, ended, at(now), |after| {
                    budget.as_mut().is_none_or(|budget| budget.try_withdraw(after, at(now)).is_ok())
                });
                due.push(Reverse((now, call)));
            }
            Step::Drop { .. } => unreachable!("attempts end at once"),
            Step::Finish(verdict) => {
                result.calls_refused_a_retry += u64::from(verdict == Verdict::GaveUp(Cause::BudgetExhausted));
                let outcome = if verdict == Verdict::Success { Outcome::Success } else { Outcome::Ignored };
                if let Some(budget) = &mut budget {
                    budget.settle(None, outcome, at(now));
                }
            }
        }
    }
    result.budget = budget;
    result
}

const TEN_PERCENT: fn() -> Option<RetryBudget> =
    || Some(RetryBudget::new(BudgetConfig::finagle(100, Duration::from_secs(10), 10).unwrap()));

#[test]
fn a_budget_keeps_retries_to_its_share() {
    for seed in 0..3 {
        let outage = |second, _| !(20..50).contains(&second);
        let without = storm(80, None, seed, outage);
        let with = storm(80, TEN_PERCENT(), seed, outage);
        // A tenth of the calls, and 10 a second of the floor with the 100 it had saved.
        let floor = (10.0 * 80.0 + 100.0) / 80_000.0;
        let all = with.amplification(0, 80);
        assert!(all <= 1.1 + floor, "{all}");
        let (storm, calm) = (without.amplification(22, 50), with.amplification(22, 50));
        assert!((3.5..=4.1).contains(&storm), "{storm}");
        // What the 10 s before it had saved is spent in its first seconds; then it is a tenth and the floor.
        assert!(with.amplification(20, 50) <= 1.1 + 0.01 + (1_000.0 + 100.0) / 30_000.0);
        assert!((1.09..=1.115).contains(&calm), "{calm}");
        let worst = with.attempts[25..50].iter().max().unwrap();
        assert!(*worst <= 1_130, "{worst} in a second");
        assert!(with.calls_refused_a_retry > 25_000 && without.calls_refused_a_retry == 0);
        assert!(with.amplification(55, 80) <= 1.0 && with.answered(55, 80) >= 1.0, "it is over when it is over");
        let budget = with.budget.unwrap().snapshot(at(80 * SECOND));
        assert_eq!(
            budget.deposited.billionths(),
            budget.spent.billionths() + budget.balance.billionths() + budget.expired.billionths()
        );
        println!(
            "seed {seed}: in the outage {storm:.2} attempts per call without, {calm:.3} with; worst second {worst}"
        );
    }
}

/// A callee that breaks down above 150 attempts in a tenth of a second, and then serves only 20: without a budget the storm
/// of a 3 s outage never ends.
#[test]
fn a_budget_lets_an_overloaded_callee_recover() {
    let collapse = || {
        let (mut last, mut overloaded) = (0, false);
        move |second: u64, in_tenth: u64| {
            if in_tenth == 1 {
                overloaded = last > 150;
            }
            last = in_tenth;
            !(20..23).contains(&second) && (in_tenth <= 20 || (!overloaded && in_tenth <= 150))
        }
    };
    let without = storm(60, None, 1, collapse());
    let with = storm(60, TEN_PERCENT(), 1, collapse());
    assert!(without.answered(50, 60) < 0.5 && without.amplification(50, 60) > 3.0);
    assert!(with.answered(35, 60) > 0.999 && with.amplification(35, 60) < 1.001);
    let ends = |storm: &Storm| (storm.answered(50, 60), storm.amplification(50, 60));
    println!(
        "answered per call and attempts per call at the end: {:?} without, {:?} with",
        ends(&without),
        ends(&with)
    );
}
