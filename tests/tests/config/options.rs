//! `None` as a gate, as a shared gate, as a budget and as a part to review: as if it were not there; `Some` as if it were
//! there alone.

use std::cell::RefCell;

use fusebox::budget::After;
use fusebox::review::{Facts, Finding};
use fusebox::{
    BudgetConfig, Bulkhead, Gate, Instant, Outcome, Quota, RetryBudget, RetryPolicy, Shared, SharedBudget, SharedGate,
    TokenBucket,
};

const NOW: Instant = Instant::EPOCH;

fn bulkhead(limit: u32) -> Bulkhead {
    Bulkhead::new(limit.try_into().unwrap())
}

#[test]
fn none_lets_everything_through() {
    let mut gate = None::<Bulkhead>;
    for outcome in [Outcome::Success, Outcome::Failure, Outcome::Ignored] {
        let permit = gate.try_acquire(NOW).unwrap();
        assert!(permit.is_none());
        gate.release(permit, outcome, NOW);
    }
    gate.cancel(None, NOW);
    gate.handle_timeout(NOW);
    assert_eq!(Gate::poll_timeout(&gate), None);
    let shared = None::<Shared<RefCell<Bulkhead>>>;
    let permit = SharedGate::try_acquire(&shared, NOW).unwrap();
    SharedGate::release(&shared, permit, Outcome::Failure, NOW);
    SharedGate::cancel(&shared, None, NOW);
}

#[test]
fn some_is_what_it_is_alone() {
    let mut gate = (Some(bulkhead(1)), Some(TokenBucket::new(Quota::per_second(2).unwrap())));
    let in_flight = |gate: &(Option<Bulkhead>, _)| gate.0.as_ref().unwrap().in_flight();
    let permit = gate.try_acquire(NOW).unwrap();
    assert_eq!((in_flight(&gate), gate.try_acquire(NOW).is_err()), (1, true));
    gate.cancel(permit, NOW);
    assert_eq!((in_flight(&gate), gate.1.as_mut().unwrap().available(NOW)), (0, 2));
    for left in [1, 0] {
        let permit = gate.try_acquire(NOW).unwrap();
        gate.release(permit, Outcome::Success, NOW);
        assert_eq!((in_flight(&gate), gate.1.as_mut().unwrap().available(NOW)), (0, left));
    }
    assert!(gate.try_acquire(NOW).is_err() && in_flight(&gate) == 0);

    let shared = Some(Shared::new(RefCell::new(bulkhead(1))));
    let taken = || shared.as_ref().unwrap().with(|bulkhead| bulkhead.in_flight());
    let permit = shared.try_acquire(NOW).unwrap();
    assert_eq!((taken(), shared.try_acquire(NOW).is_err()), (1, true));
    shared.release(permit, Outcome::Success, NOW);
    assert_eq!(taken(), 0);
    let permit = shared.try_acquire(NOW).unwrap();
    shared.cancel(permit, NOW);
    assert_eq!(taken(), 0);
}

#[test]
fn its_timers_are_those_of_what_is_there() {
    use fusebox::{Breaker, BreakerConfig, Consecutive, State};
    let config = BreakerConfig::builder(Consecutive::new(1).unwrap()).half_open_for(std::time::Duration::from_secs(1));
    let mut gate = Some(Breaker::<_, 1>::new(config.build().unwrap()));
    let permit = gate.try_acquire(NOW).unwrap();
    gate.release(permit, Outcome::Failure, NOW);
    let at = Gate::poll_timeout(&gate).unwrap();
    gate.handle_timeout(at);
    assert_eq!(gate.unwrap().state(), State::HalfOpen);
}

#[test]
fn a_budget_that_is_not_there_pays_for_everything_and_counts_nothing() {
    let none = None::<Shared<RefCell<RetryBudget>>>;
    assert!(!none.counts());
    none.deposit(NOW);
    let paid = none.try_withdraw(After::Failure, NOW).unwrap();
    SharedBudget::release(&none, paid, Outcome::Failure, NOW);
    SharedBudget::cancel(&none, None, NOW);
    none.settle(Some(None), Outcome::Failure, NOW);

    let config = BudgetConfig::builder().deposit_permille(1_000).floor(0, 0).refund_on_success();
    let budget = Some(Shared::new(RefCell::new(RetryBudget::<10>::new(config.build().unwrap()))));
    let tokens = || budget.as_ref().unwrap().with(|budget| budget.balance(NOW).whole());
    assert!(budget.counts() && SharedBudget::counts(&&budget));
    assert!(budget.try_withdraw(After::Failure, NOW).is_err());
    budget.deposit(NOW);
    let paid = budget.try_withdraw(After::Failure, NOW).unwrap();
    assert_eq!(tokens(), 0);
    SharedBudget::cancel(&budget, paid, NOW);
    assert_eq!(tokens(), 1);
    let paid = budget.try_withdraw(After::Failure, NOW).unwrap();
    budget.settle(Some(paid), Outcome::Success, NOW);
    assert_eq!(tokens(), 1, "refunded");
    let paid = budget.try_withdraw(After::Failure, NOW).unwrap();
    SharedBudget::release(&budget, paid, Outcome::Success, NOW);
    assert_eq!(tokens(), 1, "refunded");
}

#[test]
fn a_review_sees_what_is_there() {
    let hasty = RetryPolicy::builder().build().unwrap();
    assert!(Facts::of(&Some(hasty)).findings().contains(Finding::RetryWithoutBackoff));
    assert!(Facts::of(&None::<RetryPolicy>).findings().is_empty());
}
