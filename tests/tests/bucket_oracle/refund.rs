//! Giving back: what comes back, and what must not.

use fusebox::{Gate, GateKind, Quota};
use fusebox_tests::Dice;

use super::model::Model;
use super::{DAY, LATE, QUOTAS, SECOND, at, bucket, quota, refill};

fn available(bucket: &fusebox::TokenBucket, now: u64) -> u32 {
    super::available(bucket, bucket.quota().burst(), now)
}

/// Who cancels at once, with nobody in between, leaves no trace.
#[test]
fn cancelling_at_once_undoes_all() {
    let mut dice = Dice::new(77);
    for numbers in QUOTAS {
        let (mut real, mut now) = (bucket(numbers), 5_u64);
        for _ in 0..500 {
            now += dice.below(refill(numbers) / u64::from(numbers.2) * 2 + 2);
            let _spent = real.try_acquire(at(now));
            let (n, before) = (available(&real, now), available(&real, now));
            let next = real.clone().try_acquire_n(numbers.2, at(now)).err();
            let tokens = real.drain(at(now));
            assert_eq!((tokens.count(), available(&real, now)), (n, 0), "{numbers:?}");
            real.cancel(tokens, at(now));
            assert_eq!(available(&real, now), before, "{numbers:?}");
            assert_eq!(real.clone().try_acquire_n(numbers.2, at(now)).err(), next, "{numbers:?}");
        }
    }
}

/// However many took and cancelled at once while tokens were held, those come back whole.
#[test]
fn those_who_left_no_trace_cost_nobody_anything() {
    let mut real = bucket(&(1, SECOND, 10));
    let held = real.try_acquire_n(5, at(0)).unwrap();
    for _ in 0..100 {
        let tokens = real.try_acquire_n(3, at(0)).unwrap();
        real.cancel(tokens, at(0));
    }
    real.cancel(held, at(0));
    assert_eq!(available(&real, 0), 10);
}

/// What was cancelled first must not make room for what is cancelled later: tokens that the bucket would have lost to
/// being full are lost.
#[test]
fn a_cancel_does_not_hide_what_others_took() {
    let mut real = bucket(&(1, SECOND, 10));
    let a = real.try_acquire_n(1, at(0)).unwrap();
    let b = real.try_acquire_n(5, at(0)).unwrap();
    real.cancel(a, at(0));
    let _c = real.try_acquire_n(5, at(4 * SECOND)).unwrap(); // without `a` and `b` it was full before
    real.cancel(b, at(4 * SECOND));
    assert_eq!(available(&real, 4 * SECOND), 5);
}

/// Nor must a clock that stepped back.
#[test]
fn a_step_back_does_not_hide_what_others_took() {
    let mut real = bucket(&(1, SECOND, 10));
    let a = real.try_acquire_n(10, at(1_000 * SECOND)).unwrap();
    assert_eq!(real.try_acquire(at(0)).unwrap_err().retry_at, Some(at(SECOND)));
    let _b = real.try_acquire_n(5, at(5 * SECOND)).unwrap();
    real.cancel(a, at(5 * SECOND));
    assert_eq!(available(&real, 5 * SECOND), 5);
}

/// After a step back, nobody waits for instants that were told before: what is in the middle comes back again.
#[test]
fn a_step_back_moves_what_was_told() {
    let mut real = bucket(&(1, SECOND, 10));
    let then = 10_000 * SECOND;
    drop(real.drain(at(then)));
    let reserved = real.reserve(1, at(then)).unwrap();
    assert_eq!(reserved.ready_at(), at(then + SECOND));
    assert!(real.try_acquire(at(5_000 * SECOND)).is_err());
    let now = 5_003 * SECOND;
    drop(real.try_acquire(at(now)).unwrap());
    assert_eq!(available(&real, now), 1);
    real.cancel(reserved.into_permit(), at(now));
    assert_eq!(available(&real, now), 2);
}

/// Reservations cancelled from the last to the first come back whole, whatever was told to whom.
#[test]
fn the_last_in_line_leaves_no_trace() {
    for numbers in QUOTAS {
        let max_wait = std::time::Duration::from_nanos(refill(numbers) * 30);
        let mut real = fusebox::TokenBucket::new(quota(numbers).with_max_wait(max_wait));
        drop(real.try_acquire_n(numbers.2, at(DAY)).unwrap());
        let mut line = vec![];
        for n in 0..20 {
            let before = real.clone().try_acquire_n(numbers.2, at(DAY)).unwrap_err();
            line.push((before, real.reserve(n % numbers.2 + 1, at(DAY)).unwrap()));
        }
        for (before, reserved) in line.into_iter().rev() {
            real.cancel(reserved.into_permit(), at(DAY));
            // A part of a nanosecond may be left.
            let after = real.clone().try_acquire_n(numbers.2, at(DAY)).unwrap_err();
            let late = after.retry_at.unwrap().nanos_since(before.retry_at.unwrap());
            assert!(late <= 1 && after.retry_at >= before.retry_at, "{numbers:?}");
        }
    }
}

/// All orders in which five reservations of different sizes can be cancelled, with more asked for in between.
#[test]
fn reservations_cancelled_in_any_order() {
    let mut orders = vec![vec![]];
    for id in 0..5 {
        let longer = |order: Vec<usize>| {
            (0..=order.len()).map(move |place| {
                let mut order = order.clone();
                order.insert(place, id);
                order
            })
        };
        orders = orders.into_iter().flat_map(longer).collect();
    }
    assert_eq!(orders.len(), 120);
    let mut waited = 0;
    for numbers in [(1, SECOND, 1), (3, SECOND, 3), (7, SECOND, 50), (1_000_000_000, SECOND, 10)] {
        for (order, gap) in orders.iter().flat_map(|order| [0, 1, 3].map(|gap| (order, gap))) {
            waited += cancel_in_order(&numbers, order, gap * refill(&numbers) / 7);
        }
    }
    assert!(waited > 1_000, "{waited}");
}

/// How many waited.
fn cancel_in_order(numbers: &super::Numbers, order: &[usize], gap: u64) -> u32 {
    let (mut real, mut model) = (bucket(numbers), Model::new(numbers));
    let (mut now, mut waited, burst) = (DAY, 0, numbers.2);
    let mut reserve = |real: &mut fusebox::TokenBucket, model: &mut Model, id: u32, now: u64| {
        let n = (id * 3 % burst) + 1;
        let reserved = real.reserve(n, at(now)).unwrap();
        waited += u32::from(reserved.ready_at() > at(now));
        model.add(id, reserved.ready_at().as_nanos().into(), n);
        Some(reserved.into_permit())
    };
    reserve(&mut real, &mut model, 99, now);
    let mut line: Vec<_> = (0..5).map(|id| reserve(&mut real, &mut model, id, now)).collect();
    for (which, id) in order.iter().zip(100..) {
        real.cancel(line[*which].take().unwrap(), at(now));
        model.reduce(u32::try_from(*which).unwrap(), 0);
        reserve(&mut real, &mut model, id, now);
        now += gap;
    }
    model.check(&format!("{numbers:?}, cancelled in the order {order:?} every {gap} ns"));
    waited
}

/// A pause, a step back and a cancelled reservation leave nothing behind.
#[test]
fn all_comes_to_rest() {
    for (n, numbers) in (1..).zip(QUOTAS) {
        let (mut dice, kind) = (Dice::after(n, 3), quota(numbers));
        for _ in 0..200 {
            let (mut state, mut now) = (Quota::FRESH, DAY);
            for _ in 0..dice.below(8) {
                match dice.below(4) {
                    0 => now = now.saturating_sub(dice.below(3 * LATE)),
                    1 => now += dice.below(refill(numbers)),
                    _ => drop(kind.try_acquire(&mut state, at(now))),
                }
            }
            let rests_at = kind.rests_at(&state).unwrap().as_nanos();
            let end = now.max(rests_at);
            assert!(end - now <= kind.longest_refusal(), "{numbers:?}");
            let full = |now| fusebox::Weighted::available(&kind, &state, at(now)) == numbers.2;
            assert!(full(end), "{numbers:?}");
            assert!(rests_at <= now || !full(rests_at - 1), "{numbers:?}");
        }
    }
    assert_eq!(quota(&QUOTAS[0]).rests_at(&Quota::FRESH), Some(at(0)));
}
