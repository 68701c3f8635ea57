//! Law: a warm-up takes the times that Guava's `SmoothWarmingUp` takes, and never more tokens than its quota gives.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test may panic")]
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as Guava")]
#![allow(clippy::integer_division, clippy::missing_const_for_fn, reason = "a test may round down, and needs no const")]

use std::time::Duration;

use fusebox::{Gate, GateKind, Instant, Limiter, Quota, WarmUp, Weighted};
use fusebox_tests::Dice;

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_000 * SECOND;

fn at(now: u64) -> Instant {
    Instant::from_nanos(now)
}

/// The rule as Guava has it, in floating point nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Guava {
    stable: f64,
    warm_up: f64,
    stored: f64,
    next_free: f64,
}

impl Guava {
    fn new(stable: f64, warm_up: f64) -> Self {
        Self { stable, warm_up, stored: warm_up / stable, next_free: 0.0 }
    }

    fn threshold(&self) -> f64 {
        0.5 * self.warm_up / self.stable
    }

    fn max(&self) -> f64 {
        self.threshold() + 2.0 * self.warm_up / (self.stable + 3.0 * self.stable)
    }

    fn resync(&mut self, now: f64) {
        if now > self.next_free {
            let cool_down = self.warm_up / self.max();
            self.stored = self.max().min(self.stored + (now - self.next_free) / cool_down);
            self.next_free = now;
        }
    }

    /// Takes `n`; when they may be used.
    fn take(&mut self, n: f64, now: f64) -> f64 {
        self.resync(now);
        let ready = self.next_free;
        let mut spent = n.min(self.stored);
        let fresh = n - spent;
        let mut wait = fresh * self.stable;
        let slope = 2.0 * self.stable / (self.max() - self.threshold());
        let time_of = |above: f64| self.stable + above * slope;
        let above = self.stored - self.threshold();
        self.stored -= spent;
        if above > 0.0 {
            let taken = above.min(spent);
            wait += taken * (time_of(above) + time_of(above - taken)) / 2.0;
            spent -= taken;
        }
        self.next_free += wait + self.stable * spent;
        ready
    }

    fn set_rate(&mut self, stable: f64, now: f64) {
        self.resync(now);
        let old = self.max();
        self.stable = stable;
        self.stored *= self.max() / old;
    }
}

fn kind(count: u32, burst: u32, warm_up: u64) -> WarmUp {
    let quota =
        Quota::per_second(count).unwrap().with_burst(burst).unwrap().with_max_wait(Duration::from_secs(1 << 30));
    WarmUp::new(quota, Duration::from_nanos(warm_up)).unwrap()
}

/// Count a second, burst, warm-up in nanoseconds.
const NUMBERS: &[(u32, u32, u64)] = &[
    (2, 1, 4 * SECOND),
    (3, 5, 10 * SECOND),
    (1, 1, SECOND / 10),
    (1_000, 20, 3 * SECOND),
    (1_000_000, 1_000, 60 * SECOND),
    (7, 3, 3_600 * SECOND),
    (50_000, 1, 3_600 * SECOND),
];

#[test]
fn it_takes_the_times_of_guava() {
    let mut compared = 0;
    for numbers @ (count, burst, warm_up) in NUMBERS.iter().copied() {
        for seed in 0..10 {
            let mut dice = Dice::new(seed);
            let mut real = Limiter::new(kind(count, burst, warm_up));
            let mut guava = Guava::new(1e9 / f64::from(count), warm_up as f64);
            let mut now = START;
            for _ in 0..1_000 {
                if dice.below(60) == 0 {
                    now += dice.below(warm_up + SECOND);
                }
                if dice.below(100) == 0 {
                    let count = count + dice.below(count) + 1;
                    real.set_warm_up(kind(count, burst, warm_up), at(now));
                    guava.set_rate(1e9 / f64::from(count), now as f64);
                }
                let n = dice.below(burst) + 1;
                let ready = guava.take(n.into(), now as f64);
                let reserved = real.reserve(n, at(now)).unwrap();
                let wait = reserved.ready_at().as_nanos() as f64;
                // To a millionth of the wait, and a microsecond.
                let slack = 1_000.0 + (ready - now as f64).abs() * 1e-6;
                assert!((wait - ready).abs() < slack, "{numbers:?}: {wait} for {ready}, {real:?}, {guava:?}");
                compared += 1;
                now = reserved.ready_at().as_nanos();
                // What is compared is each step, not what rounding has become of many.
                guava.next_free += now as f64 - ready;
            }
        }
    }
    println!("{compared} waits compared");
}

/// Over any interval no more than one request's burst + what the quota gives.
#[test]
fn never_more_than_the_quota() {
    for (count, burst, warm_up) in NUMBERS.iter().copied() {
        for seed in 0..6 {
            let mut dice = Dice::after(seed, 1);
            let mut real = Limiter::new(kind(count, burst, warm_up));
            let (mut now, mut uses) = (START, vec![]);
            for _ in 0..400 {
                now += dice.below(3 * SECOND / u64::from(count) + 2);
                let n = dice.below(burst) + 1;
                match real.try_acquire_n(n, at(now)) {
                    Ok(_) => uses.push((u128::from(now), u128::from(n))),
                    Err(refused) => {
                        let retry_at = refused.retry_at.unwrap();
                        assert!(real.clone().try_acquire_n(n, at(retry_at.as_nanos() - 1)).is_err());
                        assert!(real.clone().try_acquire_n(n, retry_at).is_ok());
                        assert!(retry_at.nanos_since(at(now)) <= real.kind().longest_refusal());
                        assert_eq!(real.available(at(now)), 0);
                        now = if dice.below(2) == 0 { retry_at.as_nanos() } else { now };
                    }
                }
            }
            for (i, first) in uses.iter().enumerate() {
                let mut tokens = 0;
                for last in &uses[i..] {
                    tokens += last.1;
                    let bound = u128::from(burst) * u128::from(SECOND) + u128::from(count) * (last.0 - first.0);
                    assert!(tokens * u128::from(SECOND) <= bound);
                }
            }
        }
    }
}

/// It takes the warm-up's time from cold to the full rate, at which it stays.
#[test]
fn the_long_run_rate_is_the_quota() {
    for (count, _, warm_up) in NUMBERS.iter().copied() {
        let mut real = Limiter::new(kind(count, 1, warm_up));
        let mut now = START;
        let cell = SECOND / u64::from(count);
        let mut taken = 0;
        loop {
            let before = now;
            drop(real.try_acquire(at(now)).unwrap());
            now = real.try_acquire(at(now)).err().unwrap().retry_at.unwrap().as_nanos();
            taken += 1;
            if now - before <= cell + 1 || taken > 3_000_000 {
                break;
            }
        }
        if taken < 3_000_000 && warm_up > 2 * cell {
            // Half of its tokens, three times slower at first: all of the warm-up's time, give or take a token.
            assert!(
                (now - START).abs_diff(warm_up) <= 3 * cell + warm_up / 10_000,
                "{count}: {} for {warm_up}",
                now - START
            );
        }
    }
}

/// Cancelled at once, the last leaves no trace; another gives nothing back.
#[test]
fn the_last_comes_back() {
    let mut dice = Dice::after(1, 7);
    for (count, burst, warm_up) in NUMBERS.iter().copied() {
        let mut real = Limiter::new(kind(count, burst, warm_up));
        let mut now = START;
        for _ in 0..300 {
            now += dice.below(SECOND);
            let n = dice.below(burst) + 1;
            let mut before = real.clone();
            let first = real.reserve(n, at(now)).unwrap();
            let second = real.reserve(1, at(now)).unwrap();
            let nothing = real.try_acquire_n(0, at(now)).unwrap();
            let last = real.reserve(n, at(now)).unwrap();
            let ready_at = last.ready_at();
            real.cancel(last.into_permit(), at(now));
            real.cancel(nothing, at(now));
            real.cancel(first.into_permit(), at(now));
            let after = real.clone().reserve(1, at(now)).unwrap().ready_at();
            assert!(after.nanos_since(ready_at) <= 1 && after >= ready_at, "{after} {ready_at}");
            real.cancel(second.into_permit(), at(now));
            drop(before.reserve(n, at(now)).unwrap());
            let [after, before] =
                [&mut real.clone(), &mut before].map(|one| one.reserve(1, at(now)).unwrap().ready_at());
            assert!(after.nanos_since(before) <= 1 && after >= before, "{after} {before}");
        }
    }
}

#[test]
fn clocks_that_step_back_and_late_calls_give_nothing() {
    let (count, warm_up) = (10, 2 * SECOND);
    for seed in 0..100 {
        let mut dice = Dice::after(seed, 3);
        let mut real = Limiter::new(kind(count, 1, warm_up));
        let (mut now, mut time, mut granted) = (START, 0, 0);
        for _ in 0..500 {
            let forward = dice.below(SECOND / 10);
            now += forward;
            time += forward;
            if dice.below(6) == 0 {
                let most = [SECOND, 5 * SECOND, now][usize::try_from(seed % 3).unwrap()];
                now -= dice.below(most).min(now);
                let wait = real.clone().try_acquire(at(now)).map_or_else(|refused| refused.retry_at, |_| None);
                let wait = wait.map_or(0, |retry_at| retry_at.nanos_since(at(now)));
                assert!(wait <= 3 * SECOND / u64::from(count) + 2 * SECOND, "{wait}");
            }
            granted += u64::from(real.try_acquire(at(now)).is_ok());
            assert!(granted * SECOND <= time * u64::from(count) + SECOND);
        }
        assert!(granted > 0);
    }
}

#[test]
fn hints_pause_it_and_all_comes_to_rest() {
    let quota = Quota::per_second(10).unwrap().with_max_hint(Duration::from_secs(5)).unwrap();
    let kind = WarmUp::new(quota, Duration::from_secs(2)).unwrap();
    let mut real = Limiter::new(kind);
    let tokens = real.try_acquire(at(START)).unwrap();
    let other = real.reserve(1, at(START)).unwrap();
    real.release(tokens, fusebox::Outcome::Unavailable { retry_at: Instant::MAX }, at(START));
    real.cancel(other.into_permit(), at(START));
    assert_eq!(real.try_acquire(at(START)).unwrap_err().retry_at, Some(at(START + 5 * SECOND)));
    assert_eq!(real.try_acquire_n(11, at(START)).unwrap_err().retry_at, None);

    assert_eq!(kind.rests_at(&WarmUp::FRESH), Some(at(0)));
    let mut state = WarmUp::FRESH;
    drop(kind.try_acquire_n(&mut state, 10, at(START)).unwrap());
    let rests_at = kind.rests_at(&state).unwrap();
    let mut fresh = WarmUp::FRESH;
    for n in 1..10 {
        let now = rests_at.after(n * SECOND / 8);
        assert_eq!(kind.try_acquire(&mut state, now).err(), kind.try_acquire(&mut fresh, now).err());
    }
}
