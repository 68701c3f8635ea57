//! Law: fixed windows have their count each, of what was used when it was told.

use std::collections::BTreeMap;
use std::time::Duration;

use fusebox::{FixedWindow, Gate, Limiter};
use fusebox_tests::Dice;

use super::{SECOND, START, at};

/// Windows begin at whole periods, so that the test knows them.
fn limiter(count: u32, period: u64) -> Limiter<FixedWindow> {
    let kind = FixedWindow::new(count, Duration::from_nanos(period)).unwrap();
    Limiter::new(kind.aligned_to(at(START)).with_max_wait(Duration::from_nanos(4 * period)))
}

#[test]
fn each_window_has_its_count_whoever_cancels() {
    let (mut waited, mut cancelled, mut refused) = (0, 0, 0);
    for (count, period) in [(1, SECOND), (3, SECOND), (10, 7), (4, 60 * SECOND)] {
        for seed in 0..50 {
            let (mut real, mut dice, mut now) = (limiter(count, period), Dice::new(seed), START);
            let (mut used, mut held): (BTreeMap<u64, u32>, Vec<_>) = (BTreeMap::new(), vec![]);
            for _ in 0..400 {
                match dice.below(8) {
                    0..=3 => match real.reserve(1, at(now)) {
                        Ok(reserved) => {
                            let ready_at = reserved.ready_at().as_nanos();
                            waited += u32::from(ready_at > now);
                            assert!(ready_at == now || (ready_at - START).is_multiple_of(period));
                            assert!(ready_at - now <= 4 * period);
                            *used.entry((ready_at - START) / period).or_default() += 1;
                            held.push((ready_at, reserved.into_permit()));
                        }
                        Err(rejected) => {
                            refused += 1;
                            let retry_at = rejected.retry_at.unwrap().as_nanos();
                            assert!(real.clone().reserve(1, at(retry_at - 1)).is_err());
                            assert!(real.clone().reserve(1, at(retry_at)).is_ok());
                        }
                    },
                    4 | 5 if !held.is_empty() => {
                        cancelled += 1;
                        let which = dice.below(held.len());
                        let (ready_at, tokens) = held.swap_remove(which);
                        let before = real.balance(at(now));
                        real.cancel(tokens, at(now));
                        assert!(real.balance(at(now)) >= before);
                        *used.get_mut(&((ready_at - START) / period)).unwrap() -= 1;
                    }
                    6 => now += dice.below(period),
                    _ => {}
                }
                assert!(used.values().all(|n| *n <= count), "{count} in {period}: {used:?}");
            }
        }
    }
    println!("waited {waited}, cancelled {cancelled}, refused {refused}");
    assert!(waited > 3_000 && cancelled > 3_000 && refused > 3_000);
}

/// Weighted ones may span windows: all that was taken is there when they are ready.
#[test]
fn what_is_ready_is_there() {
    for (count, burst) in [(3, 3), (3, 10), (10, 3), (1, 4)] {
        for seed in 0..50 {
            let kind = FixedWindow::new(count, Duration::from_secs(1)).unwrap().with_burst(burst).unwrap();
            let mut real = Limiter::new(kind.aligned_to(at(START)));
            let (mut dice, mut now, mut taken) = (Dice::after(seed, 4), START, 0_u64);
            for _ in 0..60 {
                now += dice.below(SECOND / 3);
                let n = dice.below(burst) + 1;
                let Ok(reserved) = real.reserve(n, at(now)) else { break };
                let ready_at = reserved.ready_at().as_nanos();
                taken += u64::from(n);
                let windows = (ready_at - START) / SECOND;
                let came = u64::from(burst) + windows * u64::from(count);
                assert!(taken <= came, "{taken} were taken of {came}");
            }
        }
    }
}

/// Whatever the window, the last in line leaves no trace.
#[test]
fn the_last_in_line_leaves_no_trace() {
    let mut real = limiter(3, SECOND);
    let line: Vec<_> = (0..12).map(|_| (real.balance(at(START)), real.reserve(1, at(START)).unwrap())).collect();
    for (before, reserved) in line.into_iter().rev() {
        real.cancel(reserved.into_permit(), at(START));
        assert_eq!(real.balance(at(START)), before);
    }
}

/// Lines are where they were, after any time and from before the one that was named.
#[test]
fn the_grid_is_kept() {
    for seed in 0..2_000 {
        let mut dice = Dice::after(seed, 6);
        let digits = dice.below(50);
        let period = dice.below(1 << digits) + 1;
        let kind = FixedWindow::new(1, Duration::from_nanos(period)).unwrap();
        let line = dice.below(1 << 60);
        let mut real = Limiter::new(kind.aligned_to(at(line)));
        let mut now = dice.below(1 << 60);
        for _ in 0..5 {
            let into = (i128::from(now) - i128::from(line)).rem_euclid(i128::from(period));
            drop(real.try_acquire(at(now)));
            let ends = real.try_acquire(at(now)).unwrap_err().retry_at.unwrap().as_nanos();
            assert_eq!(i128::from(ends), i128::from(now) - into + i128::from(period));
            let digits = dice.below(58);
            now = ends + dice.below(1 << digits);
        }
    }
}
