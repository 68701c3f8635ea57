use core::time::Duration;

use super::*;
use crate::{
    Backoff, Breaker, BreakerConfig, BudgetConfig, Consecutive, FailureRate, HedgePolicy, Jitter, RetryBudget,
    RetryPolicy, TimeWindow, retry::RetryBuilder,
};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn sane() -> RetryBuilder {
    let backoff = Backoff::exponential(ms(10), ms(100)).unwrap().with_jitter(Jitter::Full);
    RetryPolicy::builder().idempotent().backoff(backoff).attempt_timeout(ms(300)).deadline(ms(1_000))
}

fn budget() -> RetryBudget {
    RetryBudget::new(BudgetConfig::builder().build().unwrap())
}

fn breaker(window: u64) -> Breaker<FailureRate<TimeWindow<10>>, 2> {
    let rule = FailureRate::within(ms(window), 500, 10).unwrap();
    Breaker::new(BreakerConfig::builder(rule).trials().build().unwrap())
}

fn of(part: &impl Review) -> Findings {
    Facts::of(part).findings()
}

#[track_caller]
fn only(found: Findings, finding: Finding) {
    assert!(found.clone().eq([finding]), "{found:?}, not {finding:?}");
}

#[test]
fn a_sane_pipeline_has_none() {
    assert!(of(&(sane().build().unwrap(), budget(), breaker(10_000))).is_empty());
    assert!(of(&()).is_empty() && of(&budget()).is_empty());
    let hedge = HedgePolicy::<2>::builder(ms(10)).idempotent().deadline(ms(100)).build().unwrap();
    assert!(of(&(hedge, budget())).is_empty());
}

#[test]
fn each_pattern_is_found_alone() {
    let retry = |builder: RetryBuilder| of(&(builder.build().unwrap(), budget()));
    let steady = Backoff::constant(ms(10)).unwrap();
    only(retry(sane().backoff(Backoff::IMMEDIATE)), Finding::RetryWithoutBackoff);
    only(retry(sane().backoff(steady)), Finding::RetryWithoutJitter);
    only(of(&sane().build().unwrap()), Finding::RetryWithoutBudget);
    only(
        retry(sane().attempts(9).backoff(steady.with_jitter(Jitter::Full)).attempt_timeout(ms(40)).deadline(ms(70))),
        Finding::DelaysAboveDeadline,
    );
    let once = |builder: RetryBuilder| of(&builder.attempts(1).build().unwrap());
    only(once(RetryPolicy::builder()), Finding::NoDeadline);
    assert!(once(RetryPolicy::builder().deadline(ms(9))).is_empty());
    let unsaid = HedgePolicy::<2>::builder(ms(10)).deadline(ms(100)).build().unwrap();
    only(of(&(unsaid, budget())), Finding::RepeatsUnsaid);
    let not_idempotent = HedgePolicy::<2>::builder(ms(10)).not_idempotent().deadline(ms(100)).build().unwrap();
    assert!(of(&not_idempotent).is_empty(), "hardly ever a second attempt: no budget is needed");

    let hasty = BreakerConfig::builder(Consecutive::new(1).unwrap());
    only(of(&hasty.build().unwrap()), Finding::OneFailureTrips);
    let hung = BreakerConfig::builder(Consecutive::new(5).unwrap()).trial_ttl(Duration::MAX);
    only(of(&hung.build().unwrap()), Finding::TrialsWithoutLease);
    only(of(&(sane().build().unwrap(), budget(), breaker(200))), Finding::WindowBelowTimeout);
    let mut line = Facts::default();
    line.line_without_waiting();
    only(line.findings(), Finding::LineWithoutWaiting);
}

#[test]
fn what_is_nested_is_reviewed_together() {
    let facts = |builder: RetryBuilder| Facts::of(&(builder.build().unwrap(), budget()));
    let outer = facts(sane().attempts(1).deadline(ms(9_000)).attempt_timeout(ms(2_000)));
    assert!(review(&[outer, facts(sane())]).is_empty() && review(&[]).is_empty());
    only(review(&[outer, facts(sane().deadline(ms(2_000)))]), Finding::AttemptTimeoutNotBelowDeadline);
    let retries = facts(sane().deadline(ms(9_000)).attempt_timeout(ms(2_000)));
    only(review(&[retries, facts(sane())]), Finding::NestedRetries);
    let hedge = HedgePolicy::<2>::builder(ms(10)).idempotent().deadline(ms(100)).build().unwrap();
    let hedge = Facts::of(&(hedge, budget()));
    assert!(review(&[retries, hedge]).eq([Finding::NestedRetries, Finding::HedgeInsideRetry]));
    only(review(&[hedge, hedge]), Finding::NestedRetries);
}

#[test]
fn findings_are_a_set_with_advice() {
    let found = of(&RetryPolicy::builder().build().unwrap());
    assert!(found.contains(Finding::NoDeadline) && !found.contains(Finding::OneFailureTrips));
    assert_eq!(found.count(), 4);
    for (n, finding) in Finding::ALL.into_iter().enumerate() {
        assert_eq!(finding as usize, n);
    }
}
