use core::time::Duration;

use super::*;
use crate::ConfigError;
use crate::budget::BudgetBuilder;

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// No floor, a token per call, kept for 4 s.
fn plain() -> BudgetBuilder<4> {
    BudgetConfig::builder().deposit_permille(1_000).floor(0, 0).ttl(seconds(4))
}

fn of<const N: usize>(config: Result<BudgetConfig<N>, ConfigError>) -> RetryBudget<N> {
    RetryBudget::new(config.unwrap())
}

#[allow(clippy::integer_division, reason = "a test may round")]
fn permille<const N: usize>(budget: &RetryBudget<N>, now: Instant) -> u128 {
    budget.balance(now).billionths() / 1_000_000
}

fn withdraw<const N: usize>(budget: &mut RetryBudget<N>, now: Instant) -> Result<Withdrawal, Rejected> {
    budget.try_withdraw(After::Failure, now)
}

fn refused(retry_at: Option<Instant>) -> Rejected {
    Rejected { reason: Reason::BudgetExhausted, retry_at }
}

#[test]
fn a_share_of_calls_is_retried_and_no_more() {
    let mut budget = of(BudgetConfig::<10>::finagle(100, seconds(10), 0));
    let granted = (0..1_000).filter(|_| {
        budget.deposit(at(0));
        withdraw(&mut budget, at(0)).is_ok()
    });
    assert_eq!(granted.count(), 100);
    assert_eq!(budget.snapshot(at(0)).refused, 900);
    assert_eq!(budget.balance(at(0)), Credit::default());
}

#[test]
fn a_deposit_goes_with_its_piece_and_the_oldest_is_spent_first() {
    let mut budget = of(plain().build());
    for ms in [1_000, 1_999, 2_500, 4_999] {
        budget.deposit(at(ms));
    }
    assert_eq!(permille(&budget, Instant::from_nanos(4_999_999_999)), 4_000);
    assert_eq!(permille(&budget, at(5_000)), 2_000, "the piece of 1 s to 2 s is a ttl old");
    let [_a, _b] = [(); 2].map(|()| withdraw(&mut budget, at(4_999)).unwrap());
    assert_eq!(permille(&budget, at(5_000)), 2_000, "both were of the oldest piece");
    assert_eq!(permille(&budget, at(6_000)), 1_000);
    assert_eq!(permille(&budget, at(8_000)), 0);
    let end = budget.snapshot(Instant::MAX);
    assert_eq!([end.deposited, end.spent, end.expired].map(Credit::whole), [4, 2, 2]);
}

#[test]
fn the_floor_fills_by_the_nanosecond() {
    let mut budget = of(plain().deposit_permille(0).floor(3, 2).build());
    let [_a, _b] = [(); 2].map(|()| withdraw(&mut budget, at(1_000)).unwrap());
    let third = Instant::from_nanos(1_333_333_334);
    assert_eq!(withdraw(&mut budget, at(1_000)), Err(refused(Some(third))));
    assert_eq!(withdraw(&mut budget, Instant::from_nanos(1_333_333_333)), Err(refused(Some(third))));
    let _c = withdraw(&mut budget, third).unwrap();
    assert_eq!(budget.balance(third).billionths(), 2, "3 x 333333334 ns");
    assert_eq!(budget.balance(at(60_000)).whole(), 2, "no more than that is saved");
}

#[test]
fn retry_at_is_before_or_after_the_deposits_go() {
    // 2 tokens from calls, which go at 5 s; the floor gives one a second, up to 4.
    let mut budget = of(plain().floor(1, 4).costs(3, 4, 1).build());
    let _floor = budget.try_withdraw(After::Timeout, at(1_000)).unwrap();
    budget.deposit(at(1_000));
    budget.deposit(at(1_000));
    let ask = |after| budget.clone().try_withdraw(after, at(1_000)).map(|_| ());
    assert_eq!(ask(After::Failure), Err(refused(Some(at(2_000)))));
    assert_eq!(ask(After::Timeout), Err(refused(Some(at(3_000)))));
    budget.config = plain().floor(1, 4).costs(3, 7, 1).build().unwrap();
    assert_eq!(budget.clone().try_withdraw(After::Timeout, at(1_000)), Err(refused(None)), "never 7");
    let mut late = budget.clone();
    late.deposit(at(4_500));
    let _all = [(); 6].map(|()| late.try_withdraw(After::Throttled, at(4_500)).unwrap());
    late.deposit(at(4_500));
    // 0.5 of the floor is left at 4.5 s, the call's token goes at 8 s: 3 are there at 6 s.
    assert_eq!(late.try_withdraw(After::Failure, at(4_500)), Err(refused(Some(at(6_000)))));
}

#[test]
fn grpc_counts_failures_and_allows_above_half() {
    let mut budget = of(BudgetConfig::grpc(4, 1_600));
    let allowed = [3_000, 2_000, 1_000, 0, 0].map(|left| {
        let allowed = withdraw(&mut budget, at(0)).is_ok();
        assert_eq!(permille(&budget, at(0)), left);
        allowed
    });
    assert_eq!(allowed, [true, false, false, false, false]);
    budget.settle(None, Outcome::Success, at(0));
    budget.settle(None, Outcome::Success, at(0));
    assert_eq!(permille(&budget, at(0)), 3_200);
    budget.settle(None, Outcome::Failure, at(0)); // a last attempt fails
    assert_eq!(permille(&budget, at(0)), 2_200);
    budget.settle(None, Outcome::Success, at(0));
    let retry = withdraw(&mut budget, at(0)).unwrap();
    budget.cancel(retry, at(0));
    assert_eq!(permille(&budget, at(0)), 2_800, "the failure was paid for, not the retry");
    let retry = withdraw(&mut budget, at(0));
    assert_eq!(retry, Err(refused(None)));
    budget.settle(None, Outcome::Ignored, at(0));
    budget.settle(Some(Withdrawal { saved: 0, floor: 0 }), Outcome::Success, at(0));
    assert_eq!(permille(&budget, at(0)), 3_400, "a retry that succeeds gives as much as any other");
}

#[test]
fn aws_refunds_the_retry_that_succeeds_and_rewards_the_first_that_does() {
    let mut budget = RetryBudget::new(BudgetConfig::AWS);
    let tokens = |budget: &RetryBudget<1>| budget.balance(at(0)).whole();
    let first = withdraw(&mut budget, at(0)).unwrap();
    let second = budget.try_withdraw(After::Timeout, at(0)).unwrap();
    assert_eq!(tokens(&budget), 485);
    budget.release(first, Outcome::Failure, at(0));
    budget.settle(Some(second), Outcome::Success, at(0));
    assert_eq!(tokens(&budget), 495);
    budget.settle(None, Outcome::Success, at(0));
    assert_eq!(tokens(&budget), 496);
    budget.settle(None, Outcome::Failure, at(0));
    let third = budget.try_withdraw(After::Throttled, at(0)).unwrap();
    budget.release(third, Outcome::Success, at(0));
    assert_eq!(tokens(&budget), 496);
    for _ in 0..10 {
        budget.settle(None, Outcome::Success, at(0));
    }
    assert_eq!(tokens(&budget), 500, "never above the capacity");
    assert_eq!((0..1_000).take_while(|_| withdraw(&mut budget, at(0)).is_ok()).count(), 100);
    let mut newer = RetryBudget::new(BudgetConfig::AWS_2026);
    assert_eq!((0..1_000).take_while(|_| newer.try_withdraw(After::Timeout, at(0)).is_ok()).count(), 35);
    assert_eq!((0..1_000).take_while(|_| newer.try_withdraw(After::Throttled, at(0)).is_ok()).count(), 2);
}

#[test]
fn cancelled_goes_back_to_where_it_came_from() {
    let mut budget = of(plain().costs(2, 2, 2).floor(1, 2).build());
    budget.deposit(at(5_000));
    let retry = withdraw(&mut budget, at(5_000)).unwrap();
    assert_eq!(retry, Withdrawal { saved: 1_000_000_000, floor: 1_000_000_000 });
    budget.cancel(retry, at(5_500));
    // Of the floor only half a token still fits, for time has given the other.
    assert_eq!(permille(&budget, at(5_500)), 3_000);
    assert_eq!(budget.snapshot(at(5_500)).spent, Credit::from_permille(500));
    assert_eq!(permille(&budget, Instant::from_nanos(9_499_999_999)), 3_000, "kept as long as a new one");
    assert_eq!(permille(&budget, at(9_500)), 2_000, "the deposit is gone, the floor is not");
    budget.cancel(Withdrawal { saved: 5_000_000_000, floor: 0 }, at(9_500)); // of another budget
    assert_eq!(permille(&budget, at(9_500)), 7_000);
}

#[test]
fn a_clock_that_steps_back_gives_nothing_and_locks_nothing() {
    let mut budget = of(plain().floor(1, 2).build());
    budget.deposit(at(1_000_000));
    let _all = [(); 3].map(|()| withdraw(&mut budget, at(1_000_000)).unwrap());
    budget.deposit(at(1_000_000));
    assert_eq!(permille(&budget, at(500)), 1_000);
    let _one = withdraw(&mut budget, at(500)).unwrap();
    assert_eq!(withdraw(&mut budget, at(500)), Err(refused(Some(at(1_500)))));
    assert!(withdraw(&mut budget, at(1_500)).is_ok());
    budget.deposit(at(900_000));
    assert_eq!(permille(&budget, at(0)), 3_000);
    budget.advance(at(0));
    assert_eq!(permille(&budget, at(4_000)), 2_000, "kept for no longer than from when it stepped back");
}

#[test]
fn the_ends_of_time_and_numbers_are_no_panic() {
    let most = BudgetConfig::<3>::builder().deposit_permille(u32::MAX).floor(u32::MAX, u32::MAX).ttl(Duration::MAX);
    let mut budget = of(most.costs(u32::MAX, 1, 1).build());
    for now in [Instant::MAX, Instant::EPOCH, at(7), Instant::MAX] {
        for _ in 0..2_000 {
            budget.deposit(now);
        }
        let balance = budget.balance(now).whole();
        assert!(balance <= 2 * u128::from(u32::MAX), "{balance}");
        let _ = withdraw(&mut budget, now);
        let _ = withdraw(&mut budget, now);
        let _ = withdraw(&mut budget, now);
    }
    budget.refused = u32::MAX;
    let _ = withdraw(&mut budget, Instant::MAX);
    assert_eq!(budget.snapshot(Instant::MAX).refused, u32::MAX);
}

#[test]
fn the_wait_for_an_amount_is_exact() {
    for rate in [1, 2, 3, 7, 10, 999, 1_000_003, 1 << 31, u32::MAX] {
        let floor = plain().floor(rate, u32::MAX).build().unwrap().floor;
        for amount in [0, 1, 2, 999_999_999, 1_000_000_000, 1_000_000_007, u64::from(u32::MAX) * 1_000_000_000] {
            assert_eq!(floor.nanos_for(amount), amount.div_ceil(u64::from(rate)), "{amount} at {rate}");
        }
    }
}

#[test]
fn nonsense_is_refused_by_name() {
    let setting = |builder: BudgetBuilder<4>| builder.build().unwrap_err().setting;
    assert_eq!(setting(plain().deposit_permille(0)), "deposit_permille");
    assert_eq!(setting(plain().floor(0, 1)), "floor");
    assert_eq!(setting(plain().floor(1, 0)), "floor");
    assert_eq!(setting(plain().ttl(Duration::ZERO)), "ttl");
    assert_eq!(setting(plain().start_full()), "start_full");
    assert_eq!(setting(plain().capacity(0)), "capacity");
    assert_eq!(setting(plain().costs(1, 0, 1)), "costs");
    assert_eq!(setting(plain().costs(1, 1, 3).capacity(2)), "costs");
    assert_eq!(setting(plain().costs(1, 3, 1).capacity(4).keep_above(500)), "costs");
    assert_eq!(setting(plain().keep_above(1_000)), "keep_above");
    assert!(plain().costs(1, 1, 2).capacity(2).build().is_ok());
    assert_eq!(BudgetConfig::<0>::builder().never_expires().build().unwrap_err().setting, "ttl");
    assert_eq!(BudgetConfig::grpc(2, 100).unwrap_err().setting, "costs");
    assert!(BudgetConfig::grpc(3, 100).is_ok());
    assert_eq!(BudgetConfig::grpc(10, 0).unwrap_err().setting, "token_ratio_permille");
    let much = BudgetConfig::<10>::finagle(200, seconds(60), u32::MAX);
    assert_eq!(much.unwrap_err().setting, "min_retries_per_sec");
    assert_eq!(BudgetConfig::<10>::builder().build(), BudgetConfig::finagle(200, seconds(10), 10));
}

#[test]
fn amounts_are_told() {
    extern crate std;
    let credit = Credit::from_permille(12_345);
    assert_eq!((credit.whole(), std::format!("{credit}")), (12, "12.345000000".into()));
}

#[test]
fn sizes() {
    assert_eq!(size_of::<RetryBudget<10>>(), 288);
    assert_eq!(size_of::<RetryBudget<1>>(), 208);
    assert_eq!(size_of::<Withdrawal>(), 16);
}
