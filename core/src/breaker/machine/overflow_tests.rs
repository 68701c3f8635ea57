//! Counters next to their maximum: nothing panics, totals stop there, and no late outcome slips through the wrap.

use core::time::Duration;

use super::*;
use crate::breaker::rule::{Consecutive, Either, Ewma, FailureRate, Sample};
use crate::breaker::window::{CountWindow, TimeWindow};
use crate::{Backoff, Jitter};

type Rule = Either<Consecutive, FailureRate<TimeWindow<4>>>;
type Config = BreakerConfig<Rule, 4>;
type Machine = BreakerState<Rule, 4>;

/// Every setting is in use; times are some ten nanoseconds.
fn config() -> Config {
    let ns = Duration::from_nanos;
    let rule = Either(Consecutive::new(2).unwrap(), FailureRate::within(ns(40), 500, 4).unwrap());
    let open = Backoff::exponential(ns(20), ns(90)).unwrap().with_jitter(Jitter::Equal);
    let builder = BreakerConfig::builder(rule).open_interval(open).seed(5).max_hint(ns(50)).slow_after(ns(30));
    builder
        .trial_ttl(ns(15))
        .half_open_for(ns(70))
        .slow_start(400, ns(32))
        .trials()
        .successes_to_close(2)
        .build()
        .unwrap()
}

fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

/// One that has seen nearly all that it can count.
fn old() -> Machine {
    const MANY: u32 = u32::MAX - 2;
    Machine { generation: MANY, refused: MANY, lapsed: MANY, trips: MANY, ..Machine::new() }
}

fn half_open(config: &Config, machine: &mut Machine, now: Instant) {
    machine.trip(config, now);
    machine.half_open(now);
}

#[test]
fn totals_stop_at_their_maximum() {
    let (config, mut machine) = (config(), old());
    for round in 1..=5_u64 {
        let now = at(round * 1_000);
        half_open(&config, &mut machine, now);
        for _ in 0..4 {
            let _never_back = machine.try_acquire(&config, now).unwrap();
        }
        let refused = machine.try_acquire(&config, now).unwrap_err();
        assert_eq!((refused.reason, refused.retry_at), (Reason::TrialsOut, Some(now.after(15))));
        machine.handle_timeout(&config, now.after(15));
        let (reached, snapshot) = ((u32::MAX - 2).saturating_add(round as u32), machine.snapshot(&config, now));
        assert_eq!((snapshot.trips, snapshot.refused, snapshot.lapsed), (reached, reached, u32::MAX));
        machine.reset(now);
    }
}

#[test]
fn a_refusal_is_honest_when_trips_have_stopped() {
    let (config, mut machine) = (config(), Machine { trips: u32::MAX, ..Machine::new() });
    half_open(&config, &mut machine, at(1_000));
    for _ in 0..4 {
        let _never_back = machine.try_acquire(&config, at(1_060)).unwrap();
    }
    // It gives up at 1070, before the leases are over.
    let retry_at = machine.try_acquire(&config, at(1_060)).unwrap_err().retry_at.unwrap();
    assert!(retry_at > at(1_070));
    assert!(machine.clone().try_acquire(&config, at(retry_at.as_nanos() - 1)).is_err());
    assert!(machine.try_acquire(&config, retry_at).is_ok());
    assert_eq!(machine.trips, u32::MAX);
}

#[test]
fn the_generation_wraps_and_drops_what_is_late() {
    let (config, mut machine) = (config(), old());
    let mut late: [Option<Permit>; 8] = [const { None }; 8];
    for (n, place) in late.iter_mut().enumerate() {
        *place = Some(machine.try_acquire(&config, at(1)).unwrap());
        if n % 2 == 0 { half_open(&config, &mut machine, at(1)) } else { machine.reset(at(1)) }
    }
    assert_eq!(machine.generation, 9); // two phases each time it opened, one each time it closed
    half_open(&config, &mut machine, at(1));
    let trial = machine.try_acquire(&config, at(1)).unwrap();
    for permit in late.into_iter().flatten() {
        machine.release(&config, permit, Outcome::Failure, at(1));
    }
    let Phase::HalfOpen { trials, successes: 0, failures: 0, .. } = &machine.phase else { unreachable!("no verdict") };
    assert_eq!(trials.out(), 1);
    machine.release(&config, trial, Outcome::Failure, at(1));
    assert!(matches!(machine.phase, Phase::HalfOpen { failures: 1, .. }));
}

#[test]
fn trial_numbers_wrap_and_drop_what_is_late() {
    let (config, mut machine) = (config(), Machine::new());
    half_open(&config, &mut machine, at(1));
    for _ in 0..u16::MAX - 2 {
        let trial = machine.try_acquire(&config, at(1)).unwrap();
        machine.cancel(&config, trial, at(1));
    }
    let mut ask = |now| machine.try_acquire(&config, at(now)).unwrap();
    let before = [ask(1), ask(1), ask(1)];
    let after = [ask(16), ask(16), ask(16)]; // the first three have lapsed
    assert_eq!(after.each_ref().map(|trial| trial.kind), [Kind::Trial(0), Kind::Trial(1), Kind::Trial(2)]);
    for trial in before {
        machine.release(&config, trial, Outcome::Failure, at(16));
    }
    assert!(matches!(&machine.phase, Phase::HalfOpen { trials, failures: 0, .. } if trials.out() == 3));
    for trial in after {
        machine.release(&config, trial, Outcome::Failure, at(16));
    }
    assert_eq!(machine.state(), State::Open);
}

#[test]
#[cfg_attr(miri, ignore = "minutes")]
fn closes_after_as_many_successes_as_can_be_asked_for() {
    let config = BreakerConfig::builder(Consecutive::new(1).unwrap()).successes_to_close(u16::MAX).build().unwrap();
    let mut machine = BreakerState::new();
    machine.trip(&config, at(1));
    machine.half_open(at(1));
    for _ in 0..u16::MAX {
        assert_eq!(machine.state(), State::HalfOpen);
        let trial = machine.try_acquire(&config, at(1)).unwrap();
        machine.release(&config, trial, Outcome::Success, at(1));
    }
    assert_eq!(machine.state(), State::Closed);
}

#[test]
fn rules_count_to_their_maximum() {
    let sample = Sample { failed: true, slow: false };
    let (row, mut failures) = (Consecutive::new(u32::MAX).unwrap(), u32::MAX - 2);
    assert_eq!([(); 4].map(|()| row.record(&mut failures, sample, at(1))), [false, true, true, true]);
    assert_eq!(failures, u32::MAX);

    let largest = FailureRate::<CountWindow<2_048>>::of_last(u16::MAX - 1, 1_000, 65_534).unwrap();
    let mut memory = FailureRate::<CountWindow<2_048>>::EMPTY;
    for n in 1..140_000 {
        assert_eq!(largest.record(&mut memory, sample, at(1)), n >= 65_534);
    }
    let weighted = Ewma::by_calls(999, 1, u32::MAX).unwrap();
    let mut memory = Ewma::EMPTY;
    assert!((0..1_000).all(|_| !weighted.record(&mut memory, sample, Instant::MAX)));
}

/// A random history from there on, with all counters over the edge and the clock at the end of time now and then.
#[test]
fn drives_on() {
    let (config, mut machine) = (config(), old());
    // Permits, and the phases there had been when they were given.
    let mut held: [Option<(Permit, u32)>; 8] = [const { None }; 8];
    let (mut phases, mut now) = (0_u32, at(1_000));
    for n in 0..if cfg!(miri) { 600 } else { 60_000 } {
        let dice = entropy::nth(3, n);
        let (before, generation) = (counters(&machine), machine.generation);
        let place = &mut held[dice as usize >> 8 & 7];
        let mut given = None;
        match (dice & 15, place.take()) {
            (0..=6, None) => given = machine.try_acquire(&config, now).ok(),
            (0..=5, Some((permit, phase))) => {
                let outcome = if dice >> 16 & 1 == 0 { Outcome::Failure } else { Outcome::Success };
                machine.release(&config, permit, outcome, now);
                let changed = machine.generation != generation || counters(&machine) != before;
                assert!(phase == phases || !changed, "an outcome of an earlier phase changed something");
            }
            (6, Some((permit, _))) => machine.cancel(&config, permit, now),
            (7, _) => machine.handle_timeout(&config, now),
            (8, _) => machine.trip(&config, now),
            (9, _) => machine.half_open(now),
            (10, _) if (dice >> 16) % 64 == 0 => now = Instant::MAX,
            (10, _) => now = at(now.as_nanos().min(1 << 40) >> (dice >> 16 & 1)),
            (11, _) if (dice >> 16) % 16 == 0 => machine.reset(now),
            _ => now = now.after(u64::from(dice >> 16 & 31)),
        }
        phases += u32::from(machine.generation != generation);
        if let Some(permit) = given {
            held[dice as usize >> 8 & 7] = Some((permit, phases));
        }
        let after = counters(&machine);
        assert!(after.0 >= before.0 && after.1 >= before.1 && after.2 >= before.2, "{before:?}, {after:?}");
    }
    assert_eq!(counters(&machine), (u32::MAX, u32::MAX, u32::MAX));
    assert!(machine.generation < 1 << 20 && phases > 1_000, "it wrapped");
}

const fn counters(machine: &Machine) -> (u32, u32, u32) {
    (machine.refused, machine.lapsed, machine.trips)
}
