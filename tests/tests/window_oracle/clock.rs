//! Clocks that step back, late calls, and the end of time.

use std::fmt::Debug;
use std::time::Duration;

use fusebox::{FixedWindow, Gate, Instant, Limiter, SlidingCounter, SlidingLog, Weighted};
use fusebox_tests::Dice;

use super::{SECOND, START, at};

/// Runs `check` on a limiter of each kind that has five a minute.
fn each_kind(check: impl Copy + Each) {
    let minute = Duration::from_secs(60);
    check.run(FixedWindow::new(5, minute).unwrap());
    check.run(FixedWindow::new(5, minute).unwrap().aligned_to(at(START + 7)));
    check.run(SlidingCounter::new(5, minute).unwrap());
    check.run(SlidingLog::<5>::new(minute).unwrap());
}

trait Each {
    fn run<C: Weighted<State: Clone + Debug> + Copy + Debug>(self, kind: C);
}

const MINUTE: u64 = 60 * SECOND;

/// Time counts forwards only: no period of it has more than twice the count, and a step back gives no token.
#[test]
fn a_clock_that_steps_back_gives_nothing() {
    #[derive(Clone, Copy)]
    struct Check;
    impl Each for Check {
        fn run<C: Weighted<State: Clone + Debug> + Copy + Debug>(self, kind: C) {
            for seed in 0..300 {
                let (mut real, mut dice, mut now, mut time) = (Limiter::new(kind), Dice::new(seed), START, 0_u128);
                let mut grants = vec![];
                for _ in 0..300 {
                    let forward = dice.below(MINUTE / 10);
                    now += forward;
                    time += u128::from(forward);
                    if dice.below(8) == 0 {
                        let before = real.available(at(now));
                        let most = [SECOND, MINUTE, 3 * MINUTE, now + 1][dice.below(4)];
                        now -= dice.below(most).min(now);
                        assert!(real.available(at(now)) <= before, "{kind:?}: tokens for free");
                    }
                    if real.try_acquire(at(now)).is_ok() {
                        grants.push(time);
                    }
                    let within = grants.iter().filter(|when| **when + u128::from(MINUTE) > time).count();
                    assert!(within <= 10, "{kind:?}: {within} within a minute");
                }
                assert!(grants.len() >= 5, "{kind:?}: {} grants", grants.len());
            }
        }
    }
    each_kind(Check);
}

/// However far the clock steps back, all is there again two periods and a second later.
#[test]
fn a_clock_that_steps_back_locks_for_two_periods_and_a_second() {
    #[derive(Clone, Copy)]
    struct Check;
    impl Each for Check {
        fn run<C: Weighted<State: Clone + Debug> + Copy + Debug>(self, kind: C) {
            for seed in 0..300 {
                let (mut real, mut dice) = (Limiter::new(kind), Dice::new(seed));
                drop(real.try_acquire_n(2, at(START)));
                drop(real.try_acquire_n(3, at(START + dice.below(2 * MINUTE))));
                let now = START - dice.below([SECOND, 2 * MINUTE, START][usize::try_from(seed % 3).unwrap()]);
                for n in 1..6 {
                    if let Err(refused) = real.clone().try_acquire_n(n, at(now)) {
                        let wait = refused.retry_at.unwrap().nanos_since(at(now));
                        assert!(wait > 0 && wait <= 2 * MINUTE + SECOND, "{kind:?}: {wait}");
                    }
                }
                drop(real.try_acquire_n(0, at(now)));
                assert_eq!(real.available(at(now + 2 * MINUTE + SECOND)), 5, "{kind:?}");
            }
        }
    }
    each_kind(Check);
}

/// Each second call read the clock before the one that came first.
#[test]
fn calls_that_come_late_give_nothing() {
    #[derive(Clone, Copy)]
    struct Check;
    impl Each for Check {
        fn run<C: Weighted<State: Clone + Debug> + Copy + Debug>(self, kind: C) {
            let mut dice = Dice::after(8, 8);
            let (mut real, mut now, mut granted) = (Limiter::new(kind), START, 0);
            for _ in 0..100_000 {
                now += dice.below(SECOND / 50);
                granted += u64::from(real.try_acquire(at(now)).is_ok());
                granted += u64::from(real.try_acquire(at(now - dice.below(SECOND))).is_ok());
            }
            let periods = (now - START) / MINUTE + 2;
            assert!(granted <= 5 * periods && granted > 3 * periods, "{kind:?}: {granted} in {periods} periods");
        }
    }
    each_kind(Check);
}

/// Any instants at all: no panic, no grant twice at the end of time, and an honest answer as far as there is one.
#[test]
fn any_time_will_do() {
    #[derive(Clone, Copy)]
    struct Check;
    impl Each for Check {
        fn run<C: Weighted<State: Clone + Debug> + Copy + Debug>(self, kind: C) {
            let mut real = Limiter::new(kind);
            assert!(real.try_acquire_n(5, Instant::MAX).is_ok());
            assert_eq!(real.try_acquire(Instant::MAX).err().unwrap().retry_at, None, "{kind:?}");
            let mut dice = Dice::after(3, 3);
            for _ in 0..20_000 {
                let now = at(match dice.below(4) {
                    0 => dice.below(3 * MINUTE),
                    1 => u64::MAX - dice.below(3 * MINUTE),
                    2 => START + dice.below(3 * MINUTE),
                    _ => dice.below(u64::MAX),
                });
                match real.try_acquire_n(dice.below(6), now) {
                    Ok(tokens) if dice.below(2) == 0 => real.cancel(tokens, at(dice.below(u64::MAX))),
                    Ok(_) => {}
                    Err(refused) => assert!(refused.retry_at.is_none_or(|retry_at| retry_at > now), "{kind:?}"),
                }
                assert!(real.available(now) <= 5);
            }
        }
    }
    each_kind(Check);
}

/// At rest it is as new, and not before.
#[test]
fn all_comes_to_rest() {
    #[derive(Clone, Copy)]
    struct Check;
    impl Each for Check {
        fn run<C: Weighted<State: Clone + Debug> + Copy + Debug>(self, kind: C) {
            assert_eq!(kind.rests_at(&C::FRESH), Some(Instant::EPOCH));
            for seed in 0..300 {
                let (mut state, mut dice, mut now) = (C::FRESH, Dice::after(seed, 2), START);
                for _ in 0..dice.below(12) {
                    now += dice.below(MINUTE / 3);
                    let tokens = kind.try_acquire_n(&mut state, dice.below(6), at(now));
                    if let (Ok(tokens), 0) = (tokens, dice.below(3)) {
                        kind.cancel(&mut state, tokens, at(now));
                    }
                }
                let rests_at = kind.rests_at(&state).unwrap();
                assert!(rests_at.nanos_since(at(now)) <= kind.longest_refusal());
                let then = rests_at.max(at(now));
                assert_eq!(kind.available(&state, then), 5, "{kind:?}");
                let mut fresh = C::FRESH;
                let mut later = then;
                for _ in 0..20 {
                    let n = dice.below(6);
                    later = later.after(dice.below(MINUTE / 2));
                    let old = kind.try_acquire_n(&mut state, n, later).err();
                    assert_eq!(old, kind.try_acquire_n(&mut fresh, n, later).err(), "{kind:?}");
                }
            }
        }
    }
    each_kind(Check);
}
