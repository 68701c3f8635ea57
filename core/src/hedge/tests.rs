use core::cell::RefCell;
use core::time::Duration;

use super::*;
use crate::budget::After;
use crate::{Cause, Ended, Plan, Reason, Rejected, Stage, Step, Verdict};

const MS: u64 = 1_000_000;
const FAILED: Ended = Ended::Retry { not_before: None };

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn policy<const N: usize>() -> HedgePolicy<N> {
    HedgePolicy::builder(ms(20)).build().unwrap()
}

fn start(attempt: u16) -> Step {
    Step::Start { attempt, deadline: None }
}

fn wait(ms: u64) -> Step {
    Step::Wait { until: Some(at(ms)) }
}

fn gave_up(cause: Cause) -> Step {
    Step::Finish(Verdict::GaveUp(cause))
}

#[test]
fn each_further_attempt_starts_a_delay_after_the_last() {
    let policy = policy::<3>();
    let mut plan = policy.start(at(0));
    assert_eq!((plan.next(at(0)), plan.next(at(0)), plan.next(at(19))), (start(1), wait(20), wait(20)));
    assert_eq!((plan.next(at(25)), plan.next(at(25))), (start(2), wait(45)));
    assert_eq!((plan.next(at(45)), plan.next(at(45))), (start(3), Step::Wait { until: None }));
    plan.ended(1, Ended::Success, at(100));
    assert_eq!((plan.next(at(100)), plan.out()), (Step::Finish(Verdict::Success), 0));
    plan.ended(2, FAILED, at(101));
    assert_eq!(plan.next(at(101)), Step::Finish(Verdict::Success));
}

#[test]
fn a_failure_starts_the_next_at_once_unless_it_fails_fast() {
    let policy = policy::<3>();
    let mut plan = policy.start(at(0));
    plan.next(at(0));
    plan.ended(1, FAILED, at(5));
    assert_eq!(plan.next(at(5)), start(2));
    plan.ended(2, Ended::Retry { not_before: Some(at(12)) }, at(6));
    assert_eq!((plan.next(at(6)), plan.next(at(12))), (wait(12), start(3)));
    plan.ended(3, FAILED, at(13));
    assert_eq!(plan.next(at(13)), gave_up(Cause::Exhausted));

    let policy: HedgePolicy<3> = HedgePolicy::builder(ms(20)).fail_fast().build().unwrap();
    let mut plan = policy.start(at(0));
    plan.next(at(0));
    assert_eq!(plan.next(at(20)), start(2));
    plan.ended(1, FAILED, at(25));
    assert_eq!(plan.next(at(25)), wait(40), "a failure changes nothing for those that are late");
    plan.ended(2, FAILED, at(26));
    assert_eq!(plan.next(at(26)), gave_up(Cause::Exhausted));
}

#[test]
fn a_fatal_error_ends_the_call_and_what_is_out() {
    let policy = policy::<2>();
    let mut plan = policy.start(at(0));
    plan.next(at(0));
    plan.next(at(20));
    plan.ended(2, Ended::Stop, at(21));
    assert_eq!((plan.next(at(21)), plan.out()), (gave_up(Cause::Stopped), 0));
}

#[test]
fn each_further_attempt_is_paid_for_once_when_it_is_due() {
    let policy = policy::<4>();
    let mut plan = policy.start(at(0));
    let mut paid = heapless::Vec::<After, 8>::new();
    let ask = |plan: &mut Hedge<'_, 4, Fixed>, paid: &mut heapless::Vec<After, 8>, now| {
        plan.next_if_paid(at(now), |after| {
            paid.push(after).unwrap();
            paid.len() < 3
        })
    };
    assert_eq!((ask(&mut plan, &mut paid, 0), paid.len()), (start(1), 0));
    assert_eq!(ask(&mut plan, &mut paid, 19), wait(20));
    assert_eq!((ask(&mut plan, &mut paid, 20), ask(&mut plan, &mut paid, 20)), (start(2), wait(40)));
    plan.ended(1, Ended::TimedOut, at(30));
    assert_eq!(ask(&mut plan, &mut paid, 30), start(3));
    assert_eq!(ask(&mut plan, &mut paid, 50), Step::Wait { until: None }, "not paid: the others go on");
    assert_eq!(paid, [After::Delay, After::Timeout, After::Delay]);
    plan.ended(3, Ended::Success, at(60));
    assert_eq!(plan.next(at(60)), Step::Finish(Verdict::Success));

    let mut alone = policy.start(at(0));
    alone.next(at(0));
    alone.ended(1, FAILED, at(1));
    assert_eq!(alone.next_if_paid(at(1), |_| false), gave_up(Cause::BudgetExhausted));
}

#[test]
fn a_refused_hedge_does_not_fail_the_call() {
    let policy = policy::<2>();
    let refused = |retry_at| Ended::Refused(Rejected { reason: Reason::InFlight, retry_at });
    let mut plan = policy.start(at(0));
    plan.next(at(0));
    assert_eq!(plan.next(at(20)), start(2));
    plan.ended(2, refused(Some(at(21))), at(20));
    assert_eq!((plan.next(at(20)), plan.attempts(), plan.next(at(40))), (wait(40), 1, start(2)));
    plan.ended(2, refused(None), at(40));
    assert_eq!(plan.next(at(40)), Step::Wait { until: None });
    plan.ended(1, FAILED, at(50));
    assert_eq!(plan.next(at(50)), start(2), "the failure makes one due");
    plan.ended(2, refused(None), at(50));
    let refused = Rejected { reason: Reason::InFlight, retry_at: None };
    assert_eq!(plan.next(at(50)), gave_up(Cause::Refused(refused)));
}

#[test]
fn deadlines_end_attempts_and_calls() {
    let limited = HedgePolicy::<2>::builder(ms(20)).attempt_timeout(ms(50)).deadline(ms(60)).build().unwrap();
    let mut plan = limited.start(at(0));
    assert_eq!(plan.next(at(0)), Step::Start { attempt: 1, deadline: Some(at(50)) });
    assert_eq!(plan.next(at(20)), Step::Start { attempt: 2, deadline: Some(at(60)) });
    assert_eq!((plan.next(at(49)), plan.next(at(50))), (wait(50), Step::Drop { attempt: 1 }));
    plan.ended(1, Ended::TimedOut, at(50));
    assert_eq!((plan.next(at(50)), plan.next(at(60))), (wait(60), Step::Drop { attempt: 2 }));
    plan.ended(2, Ended::TimedOut, at(60));
    assert_eq!(plan.next(at(60)), gave_up(Cause::OutOfTime(Stage::Attempt)));

    let mut late = limited.plan(Call::new(at(0), 0).until(Some(at(0))));
    assert_eq!(late.next(at(0)), gave_up(Cause::OutOfTime(Stage::Line)));

    let mut hinted = limited.start(at(0));
    hinted.next(at(0));
    hinted.ended(1, Ended::Retry { not_before: Some(at(59)) }, at(1));
    assert_eq!(hinted.next(at(1)), wait(59));
    assert_eq!(hinted.next(at(70)), gave_up(Cause::OutOfTime(Stage::Delay)), "woken too late");
}

#[test]
fn a_hint_puts_off_the_next_attempt_within_limits() {
    let limited = HedgePolicy::<3>::builder(ms(20)).deadline(ms(60)).max_hint(ms(30)).build().unwrap();
    let hinted = |ms| Ended::Retry { not_before: Some(at(ms)) };
    let mut plan = limited.start(at(0));
    plan.next(at(0));
    plan.ended(1, hinted(1_000), at(1));
    assert_eq!(plan.next(at(1)), wait(31), "no longer than max_hint");
    let mut plan = limited.start(at(0));
    plan.next(at(0));
    plan.ended(1, hinted(1_000), at(30));
    assert_eq!(plan.next(at(30)), gave_up(Cause::OutOfTime(Stage::Delay)), "at once: it would not be in time");
    let mut plan = limited.start(at(0));
    plan.next(at(0));
    plan.next(at(20));
    plan.ended(1, hinted(1_000), at(30));
    assert_eq!((plan.out(), plan.next(at(30))), (1, wait(60)), "the other one goes on");
    plan.ended(2, Ended::Success, at(59));
    assert_eq!(plan.next(at(59)), Step::Finish(Verdict::Success));
}

#[test]
fn what_is_not_idempotent_is_asked_again_only_if_not_sent() {
    let once = HedgePolicy::<3>::builder(ms(20)).not_idempotent().build().unwrap();
    let mut plan = once.start(at(0));
    plan.next(at(0));
    assert_eq!(plan.next(at(30)), Step::Wait { until: None });
    plan.ended(1, Ended::NotSent, at(31));
    assert_eq!(plan.next(at(31)), start(2));
    plan.ended(2, FAILED, at(32));
    assert_eq!(plan.next(at(32)), gave_up(Cause::NotIdempotent));
}

#[test]
fn a_clock_that_steps_back_lengthens_nothing() {
    let limited = HedgePolicy::<2>::builder(ms(20)).attempt_timeout(ms(50)).build().unwrap();
    let mut plan = limited.start(at(1_000));
    plan.next(at(1_000));
    assert_eq!(plan.next(at(500)), wait(520));
    assert_eq!(plan.next(at(520)), Step::Start { attempt: 2, deadline: Some(at(570)) });
    assert_eq!(plan.next(at(100)), wait(150));
    assert_eq!(plan.next(at(150)), Step::Drop { attempt: 1 });
}

#[test]
fn nonsense_is_reported_without_harm() {
    let policy = policy::<2>();
    let mut plan = policy.start(at(0));
    plan.ended(0, Ended::Success, at(0));
    plan.next(at(0));
    plan.ended(0, Ended::Success, at(0));
    plan.ended(7, Ended::Success, at(0));
    plan.next(at(20));
    plan.ended(1, Ended::Postponed { by: None }, at(21));
    assert_eq!((plan.attempts(), plan.out()), (2, 1), "what has started and is not the last is not put off");
    plan.ended(2, FAILED, at(22));
    assert_eq!(plan.next(at(22)), gave_up(Cause::Exhausted));
}

/// Latencies that remember the last question.
#[derive(Default)]
struct Notes(RefCell<heapless::Vec<(bool, u64), 8>>);

impl SharedLatencies for Notes {
    fn quantile(&self, permille: u16, _now: Instant) -> Option<u64> {
        (permille == 950).then_some(7_000_000)
    }
    fn record(&self, took: u64, _now: Instant) {
        self.0.borrow_mut().push((true, took)).unwrap();
    }
    fn record_at_least(&self, took: u64, _now: Instant) {
        self.0.borrow_mut().push((false, took)).unwrap();
    }
}

#[test]
fn losers_are_measured_as_at_least() {
    let notes = Notes::default();
    let measured = policy::<3>().measured(Quantile::new(950).unwrap(), &notes);
    let mut plan = measured.start(at(0));
    plan.next(at(0));
    assert_eq!((plan.next(at(7)), plan.next(at(14))), (start(2), start(3)));
    plan.ended(3, FAILED, at(15)); // a fast failure is no latency
    plan.ended(2, Ended::Success, at(17));
    let mut given_up = measured.start(at(100));
    given_up.next(at(100));
    given_up.abandon(at(130));
    let limited: HedgePolicy<3> = HedgePolicy::builder(ms(20)).attempt_timeout(ms(40)).build().unwrap();
    let limited = limited.measured(Quantile::new(950).unwrap(), &notes);
    let mut timed_out = limited.start(at(200));
    timed_out.next(at(200));
    timed_out.ended(1, Ended::TimedOut, at(240));
    assert_eq!(*notes.0.borrow(), [(true, 10 * MS), (false, 17 * MS), (false, 30 * MS), (false, 40 * MS)]);

    let slow = policy::<3>().measured(Quantile::new(950).unwrap().at_least(ms(9)), &notes);
    let mut plan = slow.start(at(0));
    plan.next(at(0));
    assert_eq!(plan.next(at(0)), wait(9));
    let unknown = policy::<3>().measured(Quantile::new(990).unwrap(), &notes);
    let mut plan = unknown.start(at(0));
    plan.next(at(0));
    assert_eq!(plan.next(at(0)), wait(20));
}

/// Waits twice as long after each success, for whatever reason.
#[derive(Default)]
struct Patient(core::cell::Cell<u64>);

impl HedgeDelay for &Patient {
    fn delay(&self, _now: Instant) -> Option<u64> {
        Some(MS << self.0.get())
    }
    fn record(&self, _took: u64, _now: Instant) {
        self.0.set(self.0.get() + 1);
    }
    fn record_at_least(&self, _took: u64, _now: Instant) {}
}

#[test]
fn a_delay_of_ones_own() {
    let patient = Patient::default();
    let own = policy::<2>().with_delay(&patient);
    for (now, until) in [(0, 1), (100, 102), (200, 204)] {
        let mut plan = own.start(at(now));
        plan.next(at(now));
        assert_eq!(plan.next(at(now)), wait(until));
        plan.ended(1, Ended::Success, at(now));
    }
}

#[test]
fn nonsense_is_refused_by_name() {
    let refused = |builder: HedgeBuilder<2>| builder.build().unwrap_err().setting;
    let builder = HedgePolicy::<2>::builder;
    let zero = Duration::ZERO;
    assert_eq!(refused(builder(zero)), "delay");
    assert_eq!(refused(builder(ms(1)).attempt_timeout(zero)), "attempt_timeout");
    assert_eq!(refused(builder(ms(1)).attempt_timeout(ms(9)).deadline(ms(9))), "attempt_timeout");
    assert_eq!(refused(builder(ms(9)).attempt_timeout(ms(9))), "delay");
    assert_eq!(refused(builder(ms(9)).deadline(ms(9))), "delay");
    assert_eq!(refused(builder(ms(1)).deadline(zero)), "deadline");
    assert_eq!(refused(builder(ms(1)).max_hint(zero)), "max_hint");
    assert_eq!(refused(builder(ms(1)).wait_for_gates()), "wait_for_gates");
    assert_eq!(Quantile::new(0).unwrap_err().setting, "permille");
    assert_eq!(Quantile::new(1_000).unwrap_err().setting, "permille");
}
