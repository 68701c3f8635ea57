//! Law: a backoff's delays are those of the formulas it is named after, whatever its numbers and the entropy.
//!
//! Random configurations are compared with formulas that start anew for every delay, in 128 bits and floats.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]
#![allow(clippy::integer_division, clippy::missing_const_for_fn, reason = "a test may round down, and needs no const")]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    reason = "compared within a tolerance"
)]

use std::time::Duration;

use fusebox::{Backoff, Jitter, Schedule};
use fusebox_tests::Dice;

/// Of all sizes up to about an hour.
fn some_delay(dice: &mut Dice) -> u64 {
    1 + (u64::from(dice.draw()) << 10 >> dice.below(42))
}

/// Its ends are likely.
fn some_entropy(dice: &mut Dice) -> u32 {
    let any = dice.draw();
    dice.one_of(&[0, u32::MAX, any, any])
}

fn ns(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

#[derive(Clone, Copy, Debug)]
enum Growth {
    Constant,
    Linear(u64),
    Exponential(u32),
    Fibonacci,
    Table(&'static [Duration]),
}

/// A configuration in plain numbers.
#[derive(Clone, Copy, Debug)]
struct Numbers {
    growth: Growth,
    first: u64,
    cap: u64,
    floor: u64,
    jitter: Jitter,
    permille: u16,
}

const TABLES: [&[Duration]; 3] =
    [&[Duration::from_millis(5)], &[Duration::from_secs(9), Duration::from_nanos(1)], &[Duration::from_micros(77); 40]];

impl Numbers {
    fn random(dice: &mut Dice) -> Self {
        let growth = match dice.below(6) {
            0 => Growth::Constant,
            1 => Growth::Linear(some_delay(dice)),
            2 => Growth::Fibonacci,
            3 => Growth::Table(TABLES[dice.below(3)]),
            _ => Growth::Exponential(1_001 + dice.below(5_000)),
        };
        let permille = 1 + dice.below(1_000);
        let around = Jitter::around(permille).unwrap();
        let jitter = [Jitter::None, Jitter::Full, Jitter::Equal, around, Jitter::Decorrelated][dice.below(5)];
        let first = if let Growth::Table(delays) = growth { delays[0].as_nanos() as u64 } else { some_delay(dice) };
        let cap = first.max(some_delay(dice));
        let floor = if dice.below(2) == 0 { 0 } else { 1 + dice.below(cap) };
        Self { growth, first, cap, floor, jitter, permille }
    }

    fn backoff(&self) -> Backoff {
        let (first, cap) = (ns(self.first), ns(self.cap));
        let backoff = match self.growth {
            Growth::Constant => Backoff::constant(first),
            Growth::Linear(step) => Backoff::linear(first, ns(step), cap),
            Growth::Exponential(permille) => Backoff::exponential_by(permille, first, cap),
            Growth::Fibonacci => Backoff::fibonacci(first, cap),
            Growth::Table(delays) => Backoff::table(delays),
        };
        let backoff = backoff.unwrap().with_cap(cap).unwrap().with_jitter(self.jitter);
        if self.floor == 0 { backoff } else { backoff.with_floor(ns(self.floor)).unwrap() }
    }

    /// Delay number `n` from 0, before jitter.
    fn plain(&self, n: i32) -> f64 {
        let first = self.first as f64;
        let grown = match self.growth {
            Growth::Constant => first,
            Growth::Linear(step) => first + step as f64 * f64::from(n),
            Growth::Exponential(permille) => first * (f64::from(permille) / 1_000.0).powi(n),
            Growth::Fibonacci => {
                let root = 5_f64.sqrt();
                let golden = f64::midpoint(1.0, root);
                first * (golden.powi(n + 1) / root).round()
            }
            Growth::Table(delays) => delays[(n as usize).min(delays.len() - 1)].as_nanos() as f64,
        };
        grown.min(self.cap as f64)
    }

    /// What rounding may have cost by then: up to a nanosecond at each step, which grows with the delays.
    fn lost(&self, n: i32) -> f64 {
        let Growth::Exponential(permille) = self.growth else { return 0.0 };
        (0..n).map(|n| (f64::from(permille) / 1_000.0).powi(n)).sum()
    }

    /// Delay number `n` after one of `last`.
    fn delay(&self, n: i32, last: Option<u64>, entropy: u32) -> f64 {
        let (plain, chance) = (self.plain(n), f64::from(entropy) / 4_294_967_296.0);
        let (low, high) = match self.jitter {
            Jitter::None => (plain, plain),
            Jitter::Full => (0.0, plain),
            Jitter::Equal => (plain / 2.0, plain),
            Jitter::Around { .. } => {
                let part = f64::from(self.permille) / 1_000.0;
                (plain - plain * part, plain + plain * part)
            }
            Jitter::Decorrelated => (self.first as f64, 3.0 * last.unwrap_or(self.first) as f64),
        };
        let low = low.max(self.floor as f64);
        (low + (high.max(low) - low) * chance).min(self.cap as f64)
    }
}

#[test]
fn delays_are_those_of_the_formulas() {
    for seed in 0..20_000 {
        let mut dice = Dice::new(seed);
        let numbers = Numbers::random(&mut dice);
        let backoff = numbers.backoff();
        let (mut schedule, mut last) = (Schedule::new(), None);
        for n in 0..60 {
            let entropy = some_entropy(&mut dice);
            let told = backoff.next(&mut schedule, entropy);
            let expected = numbers.delay(n, last, entropy);
            let tolerance = 3.0 + 2.0 * numbers.lost(n) + expected * 1e-8 + numbers.plain(n) * 1e-9;
            assert!((told as f64 - expected).abs() <= tolerance, "{n}: {told}, not {expected}, of {numbers:?}");
            assert!((numbers.floor..=backoff.cap()).contains(&told) && backoff.cap() <= numbers.cap);
            last = Some(told);
        }
    }
}

#[test]
fn whole_numbers_are_exact() {
    for seed in 0..2_000 {
        let mut dice = Dice::after(seed, 1);
        let mut numbers = Numbers::random(&mut dice);
        (numbers.jitter, numbers.floor) = (Jitter::None, 0);
        let (mut a, mut b) = (0_u128, u128::from(numbers.first));
        let (backoff, mut schedule) = (numbers.backoff(), Schedule::new());
        for n in 0..100_u32 {
            let grown = match numbers.growth {
                Growth::Constant => numbers.first.into(),
                Growth::Linear(step) => u128::from(numbers.first) + u128::from(step) * u128::from(n),
                Growth::Exponential(permille) if permille % 1_000 == 0 => {
                    u128::from(numbers.first).saturating_mul(u128::from(permille / 1_000).saturating_pow(n))
                }
                Growth::Exponential(_) => break,
                Growth::Fibonacci => b,
                Growth::Table(delays) => delays[(n as usize).min(delays.len() - 1)].as_nanos(),
            };
            (a, b) = (b, a + b);
            assert_eq!(u128::from(backoff.next(&mut schedule, 7)), grown.min(numbers.cap.into()), "{numbers:?}");
        }
    }
}

/// Every kind, Polly's included.
fn any(dice: &mut Dice) -> Backoff {
    if dice.below(4) > 0 {
        return Numbers::random(dice).backoff();
    }
    let first = some_delay(dice);
    Backoff::polly_exponential(ns(first), ns(first.max(some_delay(dice)))).unwrap()
}

#[test]
fn more_entropy_is_a_longer_delay_and_the_total_is_the_most() {
    for seed in 0..5_000 {
        let mut dice = Dice::after(seed, 2);
        let backoff = any(&mut dice);
        let attempts = dice.below(20);
        let (mut schedule, mut sum) = (Schedule::new(), 0);
        for _ in 1..attempts {
            let (less, more) = (some_entropy(&mut dice), some_entropy(&mut dice));
            let mut other = schedule;
            let told = backoff.next(&mut schedule, less.min(more));
            assert!(told <= backoff.next(&mut other, less.max(more)), "{backoff}");
            sum += told;
        }
        assert!(sum <= backoff.total(attempts), "{backoff}");
        assert!(backoff.total(attempts) <= backoff.cap().saturating_mul(attempts.saturating_sub(1).into()));
    }
}

/// Polly's curve, as it is written down.
fn polly(time: f64) -> f64 {
    time.exp2() * (4.0 * time).sqrt().tanh() / 1.4
}

#[test]
fn pollys_exponential_is_its_curve_to_a_thousandth() {
    let mut worst = 0.0_f64;
    for seed in 0..4_000 {
        let mut dice = Dice::after(seed, 3);
        let first = 100_000 + dice.below(10_000_000_000);
        let backoff = Backoff::polly_exponential(ns(first), Duration::MAX).unwrap();
        let (mut schedule, mut before) = (Schedule::new(), 0.0);
        for n in 0..24 {
            let entropy = some_entropy(&mut dice);
            let point = polly(f64::from(n) + f64::from(entropy) / 4_294_967_296.0);
            let told = backoff.next(&mut schedule, entropy) as f64;
            let off = (told / first as f64 - (point - before)).abs() / f64::from(n).exp2();
            worst = worst.max(off);
            before = point;
        }
    }
    println!("off by at most {worst:.2e} of the base delay, doubled each time");
    assert!(worst < 1e-3, "{worst}");
}

#[test]
fn the_medians_of_pollys_sums_double() {
    let backoff = Backoff::polly_exponential(Duration::from_secs(1), Duration::MAX).unwrap();
    let mut sums = vec![Vec::new(); 6];
    let mut dice = Dice::after(4, 4);
    for _ in 0..20_001 {
        let (mut schedule, mut sum) = (Schedule::new(), 0);
        for list in &mut sums {
            sum += backoff.next(&mut schedule, dice.draw());
            list.push(sum);
        }
    }
    for (list, expected) in sums.iter_mut().zip([1.0, 2.0, 4.0, 8.0, 16.0, 32.0]) {
        list.sort_unstable();
        let median = list[10_000] as f64 / 1e9 / expected;
        assert!((0.88..1.03).contains(&median), "{expected}: {median}");
    }
}

#[test]
fn pollys_exponential_ends_at_the_cap_whatever_its_base() {
    for base in [1, 1_000, 86_400_000_000_000, u64::MAX / 2, u64::MAX] {
        for entropy in [0, 1 << 31, u32::MAX] {
            let backoff = Backoff::polly_exponential(ns(base), Duration::from_secs(172_800)).unwrap();
            let mut schedule = Schedule::new();
            let last = (0..1_000).fold(0, |_, _| backoff.next(&mut schedule, entropy));
            assert_eq!(last, backoff.cap());
        }
    }
}
