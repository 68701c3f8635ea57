//! Law: outlier ejection decides exactly as its module's contract says.
//!
//! A naive model, written from the contract alone (lists of outcomes instead of counts, time walked through event by
//! event, `i128` deviations one by one instead of sums), is driven side by side with the real machine through long
//! random histories: late, cancelled and leaked permits, a set that changes, clocks that step back, jump far and reach
//! the end of time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]
#![allow(clippy::integer_division, clippy::missing_const_for_fn, reason = "a test may round down, and needs no const")]
#![allow(clippy::too_many_lines, clippy::similar_names, reason = "the table of events is one piece")]

mod model;

use fusebox::outlier::{EndpointPermit, FailureThreshold, OutlierConfig, Outliers};
use fusebox::{Instant, Outcome};
use fusebox_tests::Dice;
use model::{END, Model, Spec, instant};

/// A seeded stream of small numbers.
fn compare<const N: usize>(real: &Outliers<N>, model: &Model, now: u64, place: (u32, u32)) {
    let (at, exact) = (Instant::from_nanos(now), u128::from(now));
    assert_eq!(real.poll_timeout(), model.timer().map(instant), "{place:?}");
    for n in 0..=N {
        let seen = (n < model.members.len()).then(|| model.seen(n, exact));
        assert_eq!(real.endpoint(n, at), seen, "{place:?}, endpoint {n}");
        assert_eq!(real.is_out(n, at), seen.is_none_or(|s| s.out.is_some()), "{place:?}, endpoint {n}");
    }
    let out = (0..model.members.len()).filter(|n| model.ejection(*n, exact).is_some()).count();
    let seen = real.snapshot(at);
    assert_eq!((seen.endpoints, seen.out, seen.sweep_at), (model.members.len(), out, model.sweep.map(instant)));
    assert_eq!(
        (seen.ejections, seen.spared, seen.refused),
        (model.ejections, model.spared, model.refused),
        "{place:?}"
    );
    let free = (0..model.members.len()).filter(|n| model.ejection(*n, exact).is_none());
    assert!(real.available(at).eq(free), "{place:?}");
    assert!(seen.out <= model.most_out(), "{place:?}: more are out than may be");
}

/// If left alone, each that is out is back at its `retry_at` and not before, and no later than `max` from now.
fn left_alone<const N: usize>(real: &Outliers<N>, spec: &Spec, now: u64, place: (u32, u32)) {
    for n in 0..real.len() {
        let mut alone = real.clone();
        let Err(refused) = alone.try_acquire(n, Instant::from_nanos(now)) else { continue };
        let retry_at = refused.retry_at.unwrap();
        assert!(u128::from(retry_at.as_nanos()) <= (u128::from(now) + spec.max).min(END), "{place:?}");
        let before = Instant::from_nanos(retry_at.as_nanos() - 1);
        assert_eq!(alone.clone().try_acquire(n, before), Err(refused), "{place:?}");
        assert!(alone.try_acquire(n, retry_at).is_ok(), "{place:?}");
    }
}

fn run<const N: usize>(spec: Spec, seed: u32, operations: u32) -> [u32; 5] {
    let mut real: Outliers<N> = Outliers::new(spec.config()).unwrap();
    let mut model = Model {
        spec,
        room: N,
        members: vec![],
        lives: 0,
        sweep: None,
        ejections: 0,
        spared: 0,
        refused: 0,
        by_rule: [0; 3],
    };
    for _ in 0..N {
        let member = model.member(0);
        model.members.push(member);
    }
    let mut held: Vec<(EndpointPermit, u64)> = vec![];
    let (mut dice, mut now) = (Dice::new(seed), 1_000_u64);
    for operation in 0..operations {
        let place = (seed, operation);
        let (at, exact) = (Instant::from_nanos(now), u128::from(now));
        match dice.below(1_000) {
            0..=449 => {
                let n = dice.below(N + 1);
                match (real.try_acquire(n, at), model.ask(n, exact)) {
                    (Ok(permit), Ok(life)) => {
                        assert_eq!(permit.endpoint(), n);
                        held.push((permit, life));
                    }
                    (Err(a), Err(b)) => assert_eq!(a, b, "{place:?}"),
                    (a, b) => panic!("{place:?}: {a:?}, the model says {b:?}"),
                }
            }
            450..=859 if !held.is_empty() => {
                let (permit, life) = held.swap_remove(dice.below(held.len()));
                // Good and bad times take turns, and some endpoints are worse than others.
                let bad = if (operation >> 10) % 2 == 0 { 1 } else { 4 };
                let failing = if permit.endpoint() % 3 == (operation >> 12) as usize % 3 { bad * 2 } else { bad };
                let outcome = match dice.below(10) {
                    9 => Outcome::Ignored,
                    8 if failing == 8 => Outcome::Unavailable { retry_at: at },
                    x if x < failing => Outcome::Failure,
                    _ => Outcome::Success,
                };
                real.release(permit, outcome, at);
                model.tell(life, outcome, exact);
            }
            860..=869 if !held.is_empty() => {
                let (permit, life) = held.swap_remove(dice.below(held.len()));
                real.cancel(permit, at);
                model.tell(life, Outcome::Ignored, exact);
            }
            870..=874 if !held.is_empty() => drop(held.swap_remove(dice.below(held.len()))), // leaked
            875..=889 => {
                real.handle_timeout(at);
                model.pass(exact);
            }
            890..=909 => assert_eq!(real.poll_event(), model.event(), "{place:?}"),
            910..=912 => {
                let n = dice.below(N + 1);
                real.restore(n, at);
                model.restore(n, exact);
            }
            913..=914 => {
                let n = dice.below(N + 1);
                real.reset(n, at);
                model.reset(n, exact);
            }
            915..=916 => {
                let n = dice.below(N + 1);
                real.swap_remove(n, at);
                model.remove(n, exact);
            }
            917..=920 => assert_eq!(real.add(at), model.add(exact), "{place:?}"),
            921..=969 => now = now.saturating_add(dice.below(12)),
            970..=984 => {
                // Exactly to the timer, or a nanosecond before.
                if let Some(timer) = model.timer() {
                    now = u64::try_from(timer - u128::from(dice.below(2_u32)).min(timer)).unwrap().max(now);
                }
            }
            985..=989 => now = now.saturating_sub(dice.below(300)),
            990..=992 => now = now.saturating_sub(1),
            993..=995 => now = now.saturating_add(1_000_000_007 * dice.below(1_000)),
            996 => left_alone(&real, &spec, now, place),
            997 if dice.below(4) == 0 => now >>= 1,
            998 if dice.below(20) == 0 => now = u64::MAX - 1,
            999 if now > 1 << 50 => now = 5_000,
            _ => {}
        }
        now = now.min(u64::MAX - 1);
        if held.len() > 24 {
            drop(held.remove(0)); // the oldest is never heard of again
        }
        compare(&real, &model, now, place);
    }
    let [row, rate, share] = model.by_rule;
    [row, rate, share, model.spared, model.refused]
}

/// Two million operations; every rule must have ejected often, else nothing was shown.
#[test]
fn the_outliers_agree_with_the_model() {
    const EACH: u32 = 250_000;
    let all = Spec {
        row: Some(4),
        rate: Some((1_500, 3, 3)),
        share: Some((600, 2, 3)),
        interval: 40,
        base: 30,
        max: 100,
        permille: 500,
        one: false,
    };
    let only_row = Spec { rate: None, share: None, ..all };
    let only_rate = Spec { row: None, share: None, rate: Some((700, 2, 4)), ..all };
    let only_share = Spec { row: None, rate: None, share: Some((500, 1, 1)), ..all };
    let totals = [
        run::<5>(all, 1, EACH),
        run::<3>(Spec { permille: 1_000, row: Some(1), max: 30, ..only_row }, 2, EACH),
        run::<4>(Spec { permille: 100, one: true, ..only_rate }, 3, EACH),
        run::<7>(Spec { permille: 299, interval: 25, base: 1, max: 7, ..only_share }, 4, EACH),
        run::<12>(Spec { permille: 1_000, row: Some(6), rate: Some((900, 5, 2)), interval: 60, ..all }, 5, EACH),
        run::<1>(Spec { permille: 1, one: true, row: Some(2), interval: 1, max: 1 << 60, ..only_row }, 6, EACH),
        run::<9>(Spec { permille: 350, interval: 300, base: 1 << 58, max: 1 << 59, ..all }, 7, EACH),
        run::<6>(Spec { permille: 700, share: Some((1_000, 1, 4)), interval: 90, max: 1 << 40, ..all }, 8, EACH),
    ];
    println!("operations: {}, [row, rate, share, spared, refused]: {totals:?}", 8 * EACH);
    let sum = |n: usize| totals.iter().map(|t| t[n]).sum::<u32>();
    assert!([0, 1, 2].iter().all(|n| sum(*n) > 1_000), "too little happened: {totals:?}");
    for [row, rate, share, _, refused] in totals {
        assert!(row + rate + share > 300 && refused > 5_000, "too little happened: {totals:?}");
    }
    assert!(sum(3) > 5_000, "the cap was hardly ever reached: {totals:?}");
}

/// Who polls at every timer and who never polls get the same answers.
#[test]
fn polling_changes_nothing() {
    let spec = Spec {
        row: Some(4),
        rate: Some((1_500, 3, 3)),
        share: Some((700, 2, 3)),
        interval: 40,
        base: 30,
        max: 100,
        permille: 500,
        one: false,
    };
    let mut idle: Outliers<6> = Outliers::new(spec.config()).unwrap();
    let mut polled = idle.clone();
    let (mut dice, mut now) = (Dice::new(9), 0_u64);
    let mut held = vec![];
    for _ in 0..500_000 {
        now += if dice.one_in(50) { dice.below(500) } else { dice.below(4) };
        let at = Instant::from_nanos(now);
        while let Some(due) = polled.poll_timeout().filter(|due| *due <= at) {
            polled.handle_timeout(due);
        }
        if dice.below(2) == 0 {
            let n = dice.below(6);
            let (a, b) = (idle.try_acquire(n, at), polled.try_acquire(n, at));
            assert_eq!(a, b);
            held.extend(a.ok().zip(b.ok()));
        } else if !held.is_empty() {
            let (a, b) = held.swap_remove(dice.below(held.len()));
            let outcome = if dice.below(10) < 3 + a.endpoint() % 3 { Outcome::Failure } else { Outcome::Success };
            idle.release(a, outcome, at);
            polled.release(b, outcome, at);
        }
        let mut looked_at = idle.clone();
        looked_at.handle_timeout(at);
        for n in 0..6 {
            assert_eq!(looked_at.endpoint(n, at), polled.endpoint(n, at));
        }
    }
    let seen = idle.snapshot(Instant::MAX);
    assert_eq!(seen, polled.snapshot(Instant::MAX));
    assert!(seen.ejections > 2_000, "{seen:?}");
}

/// 1024 endpoints, the most there can be: 102 of them may be out, and no more are.
#[test]
fn a_full_set() {
    let config = OutlierConfig::builder().failure_threshold(FailureThreshold::DEFAULT).build().unwrap();
    let mut set: Box<Outliers<1_024>> = Box::new(Outliers::new(config).unwrap());
    let at = Instant::from_secs;
    let mut bad = vec![];
    for n in 0..1_024 {
        // 1 % of failures, and 90 % at every seventh: 146 of them.
        if n % 7 == 3 {
            bad.push(n);
        }
        for call in 0..100 {
            let failed = call % 100 == 50 || (n % 7 == 3 && call % 10 != 0 && call % 5 != 4);
            let permit = set.try_acquire(n, at(0)).unwrap();
            set.release(permit, if failed { Outcome::Failure } else { Outcome::Success }, at(0));
        }
    }
    set.handle_timeout(at(10));
    let out: Vec<usize> = (0..1_024).filter(|n| set.is_out(*n, at(10))).collect();
    assert_eq!(out, bad[..102], "equally bad: the first of them");
    assert_eq!(set.snapshot(at(10)).spared as usize, bad.len() - 102);
}
