#![allow(clippy::panic, reason = "a test may panic")]

use core::time::Duration;

use super::*;
use crate::{Gate, Outcome, Reason};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Do {
    Clear,
    Cycle,
}

const fn ns(n: u64) -> Duration {
    Duration::from_nanos(n)
}

const fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

/// A call takes 10; two retries after 5; the bus clear takes 20 and settles for 3; two power cycles of 100 and 40.
const RUNGS: [Rung<Do>; 3] = [
    Rung::retry(ns(5)).times(2),
    Rung::action(Do::Clear, ns(20), ns(3)).hold(ns(50)),
    Rung::action(Do::Cycle, ns(100), ns(40)).hold(ns(50)).times(2),
];

const fn builder() -> LadderBuilder<Do, 3> {
    LadderConfig::builder(ns(10), RUNGS).step_down(ns(1_000)).retry_after(ns(9_000))
}

fn ladder() -> Ladder<Do, 3> {
    Ladder::new(builder().build().unwrap())
}

fn call<const N: usize>(ladder: &mut Ladder<Do, N>, outcome: Outcome, now: u64) {
    let permit = ladder.try_acquire(at(now)).unwrap();
    ladder.release(permit, outcome, at(now));
}

fn fail<const N: usize>(ladder: &mut Ladder<Do, N>, now: u64) {
    call(ladder, Outcome::Failure, now);
}

fn succeed<const N: usize>(ladder: &mut Ladder<Do, N>, now: u64) {
    call(ladder, Outcome::Success, now);
}

fn turn<const N: usize>(ladder: &mut Ladder<Do, N>, now: u64) -> Turn<Do> {
    match ladder.next(at(now)) {
        Ok(Next::Act(turn)) => turn,
        other => panic!("{other:?} at {now}"),
    }
}

fn refusal<const N: usize>(ladder: &mut Ladder<Do, N>, now: u64) -> (Reason, Option<Instant>) {
    let asked = ladder.clone().try_acquire(at(now)).unwrap_err();
    if let Err(rejected) = ladder.next(at(now)) {
        assert_eq!(asked, rejected);
    }
    (asked.reason, asked.retry_at)
}

fn place<const N: usize>(ladder: &Ladder<Do, N>) -> (u8, u16) {
    (ladder.snapshot().rung, ladder.snapshot().used)
}

/// Failed, both retries too, the bus clear too: the first power cycle is due, at 23.
fn to_the_top(ladder: &mut Ladder<Do, 3>) {
    fail(ladder, 0);
    fail(ladder, 5);
    fail(ladder, 10);
    let clear = turn(ladder, 10);
    ladder.acted(clear, Acted::Done, at(20));
    fail(ladder, 23);
}

#[test]
fn climbs_in_order_with_a_wait_and_a_trial_each_and_gives_up() {
    let mut l = ladder();
    assert!(matches!(l.next(at(0)), Ok(Next::Call { deadline }) if deadline == at(10)));
    to_the_top(&mut l);
    assert_eq!(refusal(&mut l.clone(), 23), (Reason::Recovering, None), "an action is due");
    for (number, begins) in [(1, 23), (2, 163)] {
        let cycle = turn(&mut l, begins);
        let expected = Act { action: Do::Cycle, rung: 2, number, deadline: at(begins + 100) };
        assert_eq!(cycle.act(), expected);
        l.acted(cycle, Acted::Done, at(begins + 100 - 1));
        let ready = begins + 139;
        assert!(matches!(l.next(at(ready - 1)), Ok(Next::Wait { until }) if until == at(ready)));
        assert_eq!(refusal(&mut l, ready - 1), (Reason::Recovering, Some(at(ready))));
        fail(&mut l, begins + 140);
    }
    assert_eq!((l.standing(), l.poll_timeout()), (Standing::GivenUp, Some(at(303 + 9_000))));
    assert_eq!(refusal(&mut l, 304), (Reason::GivenUp, Some(at(9_303))));
    assert_eq!(refusal(&mut l, 9_302).0, Reason::GivenUp);
    let counts = |uses| RungCounts { uses, recent: uses, failed: 0, cured: 0 };
    assert_eq!(l.counts(), [counts(2), counts(1), counts(2)]);
    assert_eq!(l.poll_event(), Some(Change { from: Standing::Working, to: Standing::GivenUp, at: at(303) }));
    assert_eq!(l.poll_event(), None);
    // Then a trial, and should it fail, the ladder from the bottom.
    fail(&mut l, 9_303);
    assert_eq!((place(&l), l.counts().map(|rung| rung.recent)), ((0, 1), [1, 0, 0]));
    let told = l.snapshot();
    assert_eq!((told.recoveries, told.recovered, told.gave_up, told.refused), (1, 0, 1, 2));
}

#[test]
fn given_up_for_good_is_until_reset() {
    let config = LadderConfig::builder(ns(10), [Rung::retry(ns(5))]).give_up_for_good().build().unwrap();
    let mut l: Ladder<Do, 1> = Ladder::new(config);
    fail(&mut l, 0);
    fail(&mut l, 5);
    assert_eq!((l.standing(), l.poll_timeout()), (Standing::GivenUp, None));
    l.handle_timeout(Instant::MAX);
    assert_eq!(refusal(&mut l, u64::MAX), (Reason::GivenUp, None));
    l.reset(at(7));
    assert_eq!((l.standing(), place(&l)), (Standing::Working, (0, 0)));
    assert_eq!(l.poll_event(), Some(Change { from: Standing::Working, to: Standing::Working, at: at(7) }));
    succeed(&mut l, 8);
}

#[test]
fn one_at_a_time_acts_or_tries() {
    let mut l = ladder();
    fail(&mut l, 0);
    let trial = l.try_acquire(at(5)).unwrap();
    // If it hangs until 15, the second retry is at 20.
    assert_eq!(refusal(&mut l, 6), (Reason::Recovering, Some(at(20))));
    l.release(trial, Outcome::Failure, at(7));
    let trial = l.try_acquire(at(12)).unwrap();
    assert_eq!(refusal(&mut l, 13), (Reason::Recovering, None), "after it comes an action");
    l.release(trial, Outcome::Unavailable { retry_at: at(99) }, at(13));
    let _acts = turn(&mut l, 13);
    assert_eq!(refusal(&mut l, 14), (Reason::Recovering, None));
}

#[test]
fn what_has_not_reported_in_time_has_failed() {
    let mut l = ladder();
    fail(&mut l, 0);
    let hung = l.try_acquire(at(5)).unwrap();
    assert_eq!(l.poll_timeout(), Some(at(15)));
    l.handle_timeout(at(14));
    assert_eq!(place(&l), (0, 1));
    // As of 15, although told late; then the second retry, and its trial.
    let late = l.try_acquire(at(1_000)).unwrap();
    assert_eq!((place(&l), l.poll_timeout()), ((0, 2), Some(at(1_010))));
    l.release(hung, Outcome::Success, at(1_001));
    assert_eq!(l.standing(), Standing::Recovering, "its report came too late");
    l.release(late, Outcome::Success, at(1_010));
    assert_eq!(place(&l), (1, 1), "so did this");

    let hung = turn(&mut l, 1_010);
    l.acted(hung, Acted::Done, at(1_030));
    assert_eq!((place(&l), l.counts()[1].failed), ((2, 1), 1), "an action that hangs has failed");
}

#[test]
fn an_action_that_fails_goes_on_at_once_and_one_abandoned_costs_a_use() {
    let mut l = ladder();
    to_the_top(&mut l);
    let cycle = turn(&mut l, 23);
    l.acted(cycle, Acted::Abandoned, at(24));
    let again = turn(&mut l, 24);
    assert_eq!((again.act().rung, again.act().number, l.counts()[2].failed), (2, 2, 0));
    l.acted(again, Acted::Abandoned, at(25));
    assert_eq!(l.standing(), Standing::GivenUp);

    let mut l = ladder();
    to_the_top(&mut l);
    let cycle = turn(&mut l, 23);
    l.acted(cycle, Acted::Failed, at(24));
    assert_eq!((l.standing(), l.counts()[2].uses, l.counts()[2].failed), (Standing::GivenUp, 1, 1));
}

#[test]
fn a_trial_that_says_nothing_is_for_the_next() {
    let mut l = ladder();
    fail(&mut l, 0);
    let trial = l.try_acquire(at(5)).unwrap();
    l.release(trial, Outcome::Ignored, at(6));
    let trial = l.try_acquire(at(6)).unwrap();
    l.cancel(trial, at(6));
    assert_eq!(l.snapshot().used, 1);
    succeed(&mut l, 7);
    assert_eq!((l.standing(), l.counts()[0].cured, l.snapshot().recovered), (Standing::Working, 1, 1));
}

#[test]
fn goes_on_from_where_it_helped_and_down_as_it_holds() {
    let mut l = ladder();
    to_the_top(&mut l);
    let cycle = turn(&mut l, 20);
    l.acted(cycle, Acted::Done, at(60));
    succeed(&mut l, 100);
    assert_eq!((place(&l), l.counts()[2].cured), ((2, 1), 1));

    // Fails again before it has held: the second of its uses, and no lower rung.
    let mut soon = l.clone();
    succeed(&mut soon, 149);
    fail(&mut soon, 149);
    assert_eq!(place(&soon), (2, 2));
    let again = turn(&mut soon, 149);
    soon.acted(again, Acted::Done, at(150));
    succeed(&mut soon, 190);
    fail(&mut soon, 239);
    assert_eq!(soon.standing(), Standing::GivenUp);

    // It held: all uses again.
    let mut held = l.clone();
    succeed(&mut held, 150);
    fail(&mut held, 151);
    assert_eq!((place(&held), held.counts()[2].recent), ((2, 1), 2));

    // Down a rung for each step_down, and for a success only.
    for (now, rung) in [(1_099, 2), (1_100, 1), (2_099, 1), (9_000, 0), (9_001, 0)] {
        succeed(&mut l, now);
        assert_eq!(place(&l).0, rung, "{now}");
    }
    fail(&mut l, 9_002);
    assert_eq!((place(&l), l.counts().map(|rung| rung.recent)), ((0, 1), [1, 0, 0]));
}

#[test]
fn a_retry_that_worked_has_worked() {
    let mut l = ladder();
    for n in 0..100 {
        fail(&mut l, n * 10);
        succeed(&mut l, n * 10 + 5);
        assert_eq!(place(&l), (0, 0));
    }
    assert_eq!((l.snapshot().recoveries, l.snapshot().recovered, l.counts()[1].uses), (100, 100, 0));
}

#[test]
fn begins_after_so_many_failures_in_a_row() {
    let mut l = Ladder::new(builder().start_after(3).build().unwrap());
    for outcome in [Outcome::Failure, Outcome::Failure, Outcome::Success, Outcome::Failure, Outcome::Ignored] {
        call(&mut l, outcome, 0);
    }
    let early = l.try_acquire(at(0)).unwrap();
    fail(&mut l, 1);
    assert_eq!(l.standing(), Standing::Working);
    fail(&mut l, 2);
    assert_eq!(l.standing(), Standing::Recovering);
    l.release(early, Outcome::Success, at(3));
    assert_eq!((l.standing(), place(&l)), (Standing::Recovering, (0, 1)), "of an earlier phase");
}

#[test]
fn a_failure_that_is_tolerated_restarts_the_way_down() {
    let mut l = Ladder::new(builder().start_after(2).build().unwrap());
    fail(&mut l, 0);
    to_the_top(&mut l);
    let cycle = turn(&mut l, 20);
    l.acted(cycle, Acted::Done, at(60));
    succeed(&mut l, 100);
    fail(&mut l, 600);
    succeed(&mut l, 1_599);
    assert_eq!(place(&l), (2, 0));
    succeed(&mut l, 1_600);
    assert_eq!(place(&l), (1, 0));
}

#[test]
fn started_by_hand_only_when_it_works() {
    let mut l = ladder();
    l.start(at(3));
    assert_eq!((l.standing(), l.poll_timeout(), l.snapshot().recoveries), (Standing::Recovering, Some(at(8)), 1));
    l.start(at(4));
    assert_eq!((place(&l), l.snapshot().recoveries), ((0, 1), 1));
}

#[test]
fn a_clock_that_steps_back_lengthens_nothing() {
    let far = 1 << 40;
    let mut l = ladder();
    fail(&mut l, far);
    l.handle_timeout(at(100));
    assert_eq!((l.poll_timeout(), l.snapshot().since), (Some(at(105)), at(100)));
    let _trial = l.try_acquire(at(far)).unwrap();
    l.handle_timeout(at(100));
    assert_eq!(l.poll_timeout(), Some(at(110)));
    l.handle_timeout(at(110));
    fail(&mut l, 115);
    let _acts = turn(&mut l, far);
    l.handle_timeout(at(200));
    assert_eq!(l.poll_timeout(), Some(at(220)));
    let mut worn = l.clone();
    let cycle = turn(&mut worn, 220);
    worn.acted(cycle, Acted::Failed, at(221));
    assert_eq!(worn.standing(), Standing::GivenUp);
    worn.handle_timeout(at(50));
    assert_eq!(worn.poll_timeout(), Some(at(9_050)));
    // The way down starts over.
    let mut down = ladder();
    to_the_top(&mut down);
    let cycle = turn(&mut down, far);
    down.acted(cycle, Acted::Done, at(far));
    succeed(&mut down, far + 40);
    succeed(&mut down, 100);
    assert_eq!(place(&down), (2, 1));
    succeed(&mut down, 1_099);
    assert_eq!(place(&down), (2, 0));
    succeed(&mut down, 1_100);
    assert_eq!(place(&down), (1, 0));
}

#[test]
fn the_longest_climb_is_the_sum_of_all() {
    assert_eq!(builder().build().unwrap().longest_climb(), ns(2 * 15 + 33 + 2 * 150));
    let long = LadderConfig::builder(Duration::MAX, [Rung::action(Do::Clear, Duration::MAX, Duration::MAX); 2]);
    assert_eq!(long.build().unwrap().longest_climb(), ns(u64::MAX));
}

#[test]
fn nonsense_is_refused_by_name() {
    let one = |rung: Rung<Do>| LadderConfig::builder(ns(1), [rung]);
    let retry = Rung::retry(ns(1));
    let cases = [
        (LadderConfig::<Do, 0>::builder(ns(1), []).build().unwrap_err(), "rungs"),
        (LadderConfig::builder(ns(1), [retry; 256]).build().unwrap_err(), "rungs"),
        (LadderConfig::builder(ns(0), [retry]).build().unwrap_err(), "call_timeout"),
        (one(retry).start_after(0).build().unwrap_err(), "start_after"),
        (one(retry).step_down(ns(0)).build().unwrap_err(), "step_down"),
        (one(retry).retry_after(ns(0)).build().unwrap_err(), "retry_after"),
        (one(retry.times(0)).build().unwrap_err(), "times"),
        (one(Rung::retry(ns(0))).build().unwrap_err(), "wait"),
        (one(Rung::action(Do::Clear, ns(0), ns(1))).build().unwrap_err(), "timeout"),
        (one(retry.hold(ns(5))).step_down(ns(4)).build().unwrap_err(), "hold"),
    ];
    for (error, setting) in cases {
        assert_eq!(error.setting, setting);
    }
    assert!(LadderConfig::builder(ns(1), [retry; 255]).build().is_ok());
    assert!(one(Rung::action(Do::Clear, ns(1), ns(0)).hold(ns(4))).step_down(ns(4)).build().is_ok());
}
