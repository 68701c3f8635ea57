//! Law: health is exactly what its module's contract says.
//!
//! A naive model, written from the contract alone (whole lists of readings instead of counts, the status worked out
//! from all of them each time), is driven side by side with the real machine through long random histories: readings
//! good and bad, silences, pauses, restarts, clocks that step back, jump far and reach the end of time.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::similar_names,
    reason = "a test may panic"
)]
#![allow(clippy::missing_const_for_fn, reason = "a test needs no const")]

mod model;

use fusebox::Instant;
use fusebox::health::{Basis, Health, Reading, Role, Status};
use fusebox_tests::Dice;
use model::{Act, END, Life, Model, Spec, at};

/// A seeded stream of small numbers.
fn compare<const N: usize>(real: &Health<N>, model: &Model, now: u64, place: (u32, u32)) {
    assert_eq!(real.snapshot(at(now)), model.whole(now), "{place:?}");
    for (n, item) in model.items.iter().enumerate() {
        assert_eq!(real.component(n, at(now)), Some(item.report(now)), "{place:?}, component {n}");
    }
    assert_eq!((real.component(N, at(now)), real.components(at(now)).count()), (None, N));
    assert_eq!(real.poll_timeout(), model.timer().map(at), "{place:?}");
    assert_eq!(real.has_event(), model.event.is_some(), "{place:?}");
}

/// If left alone, nothing gets better, and what can fall silent does so at its time, which is not later than its limit.
fn left_alone<const N: usize>(real: &Health<N>, model: &Model, now: u64) {
    for (n, item) in model.items.iter().enumerate() {
        let before = real.component(n, at(now)).unwrap();
        let limit = match (before.basis, &item.life) {
            (Basis::Starting, Life::Starting(Some(_))) => Some(item.spec.grace),
            (Basis::Reading, _) => item.spec.stale_after,
            _ => None,
        };
        let Some(limit) = limit else { continue };
        let after = real.component(n, at(now.saturating_add(limit).min(END))).unwrap();
        assert_eq!(after.basis, Basis::Silent);
        assert!(after.since <= at(now).after(limit));
        let eve = Instant::from_nanos(after.since.as_nanos() - 1);
        assert!(after.since <= at(now) || real.component(n, eve).unwrap().status == before.status);
        assert!(after.status == if item.spec.role == Role::Task { Status::Unhealthy } else { Status::Unknown });
    }
}

/// What was seen: statuses of the whole, not live, silent, events.
type Seen = [u32; 7];

fn time(dice: &mut Dice, model: &Model, now: u64) -> u64 {
    match dice.below(200) {
        0..=119 => now.saturating_add(dice.below(12)),
        120..=149 => model.timer().unwrap_or(now).max(now),
        150..=169 => model.timer().map_or(now, |timer| (timer - 1).max(now)),
        170..=184 => now.saturating_add(dice.below(200)),
        185..=193 => now.saturating_sub(dice.below(30)),
        194 | 195 => now.saturating_sub(dice.below(100_000)),
        196 => 0,
        197 => now.saturating_add(1 << 40).min(END),
        198 => now.saturating_sub(1 << 40),
        _ if now > END - 1_000 => 1_000,
        _ if dice.below(10) == 0 => END - dice.below(300),
        _ => now,
    }
    .min(END)
}

fn act(dice: &mut Dice, operation: u32) -> Act {
    use Reading::{Degraded, Healthy, Unhealthy};
    let readings = match (operation >> 8) % 4 {
        0 => [Healthy, Healthy, Healthy, Degraded],
        1 => [Healthy, Degraded, Unhealthy, Unhealthy],
        2 => [Healthy, Healthy, Degraded, Degraded],
        _ => [Healthy, Degraded, Degraded, Unhealthy],
    };
    match dice.below(100) {
        0..=1 => Act::Pause,
        2..=3 => Act::Restart,
        _ => Act::Record(dice.one_of(&readings)),
    }
}

fn run<const N: usize>(specs: [Spec; N], seed: u32, operations: u32) -> Seen {
    let mut real = Health::new(specs.map(|spec| spec.component()));
    let mut model = Model::new(&specs);
    let (mut dice, mut now, mut seen) = (Dice::new(seed), 1_000, Seen::default());
    for operation in 0..operations {
        let place = (seed, operation);
        now = time(&mut dice, &model, now);
        // The model keeps rows whole, so they must not grow for ever.
        if let Some(n) = model.items.iter().position(|item| matches!(&item.life, Life::Row(row) if row.len() > 12)) {
            assert_eq!(real.restart(n, at(now)), model.act(n, Act::Restart, now), "{place:?}");
        }
        match dice.below(100) {
            0..=79 => {
                let (n, act) = (dice.below(N + 1), act(&mut dice, operation));
                let told = match act {
                    Act::Record(Reading::Healthy) => real.check_in(n, at(now)),
                    Act::Record(reading) => real.record(n, reading, at(now)),
                    Act::Pause => real.pause(n, at(now)),
                    Act::Restart => real.restart(n, at(now)),
                };
                assert_eq!(told, model.act(n, act, now), "{place:?}: {act:?} of {n}");
            }
            80..=84 => {
                real.handle_timeout(at(now));
                model.timeout(now);
            }
            85..=89 => {
                let told = real.may_feed(at(now)).err();
                model.timeout(now);
                assert_eq!(told.map(|held| held.component), model.held(now), "{place:?}");
                if let Some(held) = told {
                    let line = model.items[held.component].report(now);
                    assert_eq!((held.name, held.basis, held.since), (line.name, line.basis, line.since));
                }
            }
            90..=94 => {
                assert_eq!(real.poll_event(), model.event.take(), "{place:?}");
                seen[6] += 1;
            }
            _ => {
                // Only looked at, later on perhaps.
                let later = now.saturating_add(dice.below(100)).min(END);
                assert_eq!(real.snapshot(at(later)), model.whole(later), "{place:?}");
            }
        }
        compare(&real, &model, now, place);
        left_alone(&real, &model, now.max(model.as_of));
        let whole = model.whole(now);
        seen[whole.status as usize] += 1;
        seen[4] += u32::from(!whole.live);
        seen[5] += u32::from(model.items.iter().any(|item| item.standing(now).1 == Basis::Silent));
    }
    seen
}

fn spec(role: Role, failures: usize, successes: usize, stale_after: Option<u64>, grace: u64) -> Spec {
    Spec { name: "x", role, failures, successes, stale_after, grace }
}

#[test]
fn decides_as_the_model() {
    use Role::{Critical, Informational, Optional, Task};
    let mut sum = Seen::default();
    for seed in 0..15 {
        let mut dice = Dice::after(seed, 1_000_000);
        let mut any = |role| {
            let (failures, successes) = (dice.one_of(&[1, 2, 3, 5]), dice.one_of(&[1, 2, 3]));
            let grace = dice.one_of(&[1, 30, 100]);
            let stale_after = dice.one_of(&[1, 20, 50, 150, u64::MAX - 1]);
            if role == Task {
                return spec(role, failures, successes, Some(stale_after.min(500)), grace);
            }
            let grace = dice.one_of(&[0, grace]);
            spec(role, failures, successes, dice.one_of(&[None, Some(stale_after), Some(60)]), grace)
        };
        let runs = [
            run([any(Critical)], seed, 3_000),
            run([any(Task)], seed, 3_000),
            run([any(Optional), any(Critical)], seed, 3_000),
            run([any(Task), any(Critical), any(Optional), any(Informational), any(Task)], seed, 6_000),
            run([any(Optional), any(Informational)], seed, 1_000),
        ];
        for seen in runs {
            sum.iter_mut().zip(seen).for_each(|(sum, n)| *sum += n);
        }
    }
    println!("healthy, degraded, unknown, unhealthy, not live, silent, events asked for: {sum:?}");
    assert!(sum.iter().all(|n| *n > 3_000), "too little was seen: {sum:?}");
}

#[test]
fn an_empty_set() {
    assert_eq!(run([], 1, 300)[2], 300);
}
