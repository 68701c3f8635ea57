//! Law: of all who ask with one key at once, one runs; its answer is given to all who ask within its time to live; a
//! permit that somebody else has taken over changes nothing; nothing is forgotten too early.
//!
//! The machine is driven by millions of random operations beside a model that looks at the whole table each time, and a
//! history that knows nothing of tables: only when each key was last granted, and how that ended.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "a test may panic")]
#![allow(clippy::missing_const_for_fn, clippy::cast_possible_truncation, reason = "a test needs neither")]
#![allow(clippy::integer_division, reason = "a test may round down")]

mod history;
mod model;

use std::time::Duration;

use fusebox::idempotency::{Begun, Fingerprint, IdempotencyConfig, IdempotencySnapshot, KeyState, Late, Permit};
use fusebox::{Idempotency, Instant};
use fusebox_tests::Dice;
use history::History;
use model::{Model, Said};

const LEASE: u64 = 20;
const TTL: u64 = 60;

/// Random numbers.
fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

type Table<const N: usize> = Idempotency<u32, u32, N>;

fn ask<const N: usize>(table: &mut Table<N>, key: u32, print: u64, now: u64) -> (Said, Option<Permit>) {
    match table.begin(&key, Fingerprint::new(print), at(now)) {
        Ok(Begun::Run(permit)) => (Said::Run, Some(permit)),
        Ok(Begun::Stored(value)) => (Said::Stored(*value), None),
        Err(rejected) => (Said::Refused(rejected), None),
    }
}

/// `retry_at` is exact: refused alike a nanosecond before, and granted then.
fn check_retry_at<const N: usize>(table: &Table<N>, key: u32, print: u64, said: Said) {
    let Said::Refused(rejected) = said else { return };
    let Some(soon) = rejected.retry_at.map(Instant::as_nanos) else { return };
    assert_eq!(ask(&mut table.clone(), key, print, soon - 1).0, said, "not a nanosecond before");
    assert_eq!(ask(&mut table.clone(), key, print, soon).0, Said::Run);
}

fn check_state<const N: usize>(table: &mut Table<N>, model: &Model, key: u32, now: u64) {
    let told = match table.state(&key, at(now)) {
        KeyState::Vacant => None,
        KeyState::InFlight { until } => Some((None, until)),
        KeyState::Done { value, until } => Some((Some(*value), until)),
    };
    assert_eq!(told, model.state(key, now).map(|(value, until)| (value, at(until))));
}

/// Permits stay with their callers for as long as these like, lapsed or not.
struct Held {
    key: u32,
    number: u32,
    permit: Permit,
}

fn drive<const N: usize>(seed: u32, operations: u32, steps_back: bool) -> IdempotencySnapshot {
    let mut dice = Dice::new(seed);
    let config = IdempotencyConfig::builder().lease(Duration::from_nanos(LEASE)).ttl(Duration::from_nanos(TTL));
    let mut real = Table::<N>::new(config.build().unwrap());
    let mut model = Model::new(N);
    let mut history = (!steps_back).then(History::default);
    let mut held: Vec<Held> = vec![];
    let mut now = 1_000_000;
    for number in 0..operations {
        match dice.below(100) {
            0..=44 => {
                let (key, print) = (dice.below(2 * N as u32 + 1), dice.below(8) / 7);
                let expected = model.begin(key, print, number, now);
                let (said, permit) = ask(&mut real, key, print, now);
                assert_eq!(said, expected, "{number}: key {key} at {now}");
                check_retry_at(&real, key, print, said);
                if let Some(history) = &mut history {
                    history.asked(key, print, number, said, now);
                }
                held.extend(permit.map(|permit| Held { key, number, permit }));
            }
            45..=64 => {
                if let Some(Held { key, number, permit }) = dice.pick(&mut held) {
                    let kept = model.finish(number, now);
                    let expected = if kept { Ok(()) } else { Err(Late(number)) };
                    assert_eq!(real.finish(permit, number, at(now)), expected, "{number}");
                    if let Some(history) = &mut history {
                        history.finished(key, number, kept, now);
                    }
                }
            }
            65..=69 => {
                if let Some(Held { key, number, permit }) = dice.pick(&mut held) {
                    model.cancel(number, now);
                    real.cancel(permit, at(now));
                    if let Some(history) = &mut history {
                        history.cancelled(key, number);
                    }
                }
            }
            70..=75 => {
                if let Some(held) = held.last() {
                    let until = model.renew(held.number, now);
                    assert_eq!(real.renew(&held.permit, at(now)), until.map(at), "{number}");
                    if let Some(history) = &mut history {
                        history.renewed(held.key, held.number, until.is_some(), now);
                    }
                }
            }
            76..=77 => {
                model.handle_timeout(now);
                real.handle_timeout(at(now));
            }
            78..=79 => drop(dice.pick(&mut held)),
            80..=97 => now += dice.below(16),
            98 => now += dice.below(100),
            _ if steps_back => now -= dice.below(150),
            _ => {}
        }
        check_state(&mut real, &model, dice.below(2 * N as u32 + 1), now);
        model.look(now);
        assert_eq!(real.poll_timeout(), model.next_done().map(at), "{number}");
        let told = real.snapshot();
        assert_eq!((told.in_flight, told.done), model.live(now), "{number}");
        assert_eq!((told.lapsed, told.late), (model.lapsed, model.late), "{number}");
        let questions = told.started + told.replayed + told.waits + told.conflicts + told.full;
        assert_eq!(questions, model.questions, "each is counted once");
    }
    real.snapshot()
}

#[test]
fn one_runs_and_all_get_its_answer() {
    const EACH: u32 = 250_000;
    let runs = [
        drive::<1>(1, EACH, false),
        drive::<3>(2, EACH, false),
        drive::<8>(3, EACH, false),
        drive::<1>(4, EACH, true),
        drive::<4>(5, EACH, true),
        drive::<8>(6, EACH, true),
    ];
    for told in runs {
        println!("{EACH} operations, {told:?}");
        let IdempotencySnapshot { started, replayed, waits, conflicts, full, lapsed, late, .. } = told;
        let rarest = [started, replayed, waits, conflicts, full, lapsed, late].into_iter().min().unwrap();
        assert!(rarest > EACH / 2_000, "everything happened");
    }
}
