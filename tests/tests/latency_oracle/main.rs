//! Law: a sketch of latencies answers as Kaplan and Meier would from a list of all of them, within its buckets; and a
//! hedge that waits for its 95 % quantile goes on doing so, because losers count as censored.
//!
//! Random histories run beside a model that keeps every latency in a list and walks it anew for each question.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]
#![allow(clippy::integer_division, clippy::missing_const_for_fn, reason = "a test may round down, and needs no const")]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    reason = "latencies are far below 2^53 ns"
)]

mod model;
mod race;

use std::time::Duration;

use fusebox::Instant;
use fusebox::latency::{Bound, LatencyConfig, LatencySketch};
use fusebox_tests::Dice;
use model::{Latency, Model, begins, bucket, product_limit};

fn unit(dice: &mut Dice) -> f64 {
    (f64::from(dice.draw()) + 0.5) / 4_294_967_296.0
}

/// Of all sizes: every power of two is equally likely, with some right at the edges of buckets.
fn latency(dice: &mut Dice, widest: u64) -> u64 {
    let size = dice.below(widest);
    let nanos = (1_u64 << size) + (u64::from(dice.draw()) << 32 >> (64 - size.max(1)));
    match dice.below(4) {
        0 => nanos >> size.saturating_sub(2) << size.saturating_sub(2),
        1 => (nanos >> size.saturating_sub(2) << size.saturating_sub(2)).saturating_sub(1),
        _ => nanos,
    }
}

#[test]
fn random_histories_agree_with_the_list() {
    let (mut answers, mut lower_bounds, mut unsure) = (0, 0, 0);
    for seed in 0..500 {
        let mut dice = Dice::new(seed);
        let window = 1 + dice.below(200);
        let minimum = 1 + dice.below(12);
        let builder = LatencyConfig::builder().window(Duration::from_nanos(window)).minimum(minimum);
        let mut sketch = LatencySketch::new(builder.build().unwrap());
        let mut model = Model::new(window, minimum);
        let (widest, censored, pace) = (12 + dice.below(50), dice.below(5), 1 + dice.below(8));
        let mut now = dice.below(1_000_u64);
        for _ in 0..150 {
            now = match dice.below(60) {
                0 => now.saturating_sub(dice.below(300)),
                1 => now + dice.below(3 * window),
                _ => now + dice.below(pace),
            };
            let at = Instant::from_nanos(now);
            match dice.below(8) {
                0 | 1 => {
                    let permille = [0, 1, 100, 250, 500, 900, 950, 990, 999, 1_000, 1_001][dice.below(11)];
                    let (told, expected) = (sketch.quantile(permille, at), model.quantile(permille, now));
                    match expected {
                        Ok(expected) => assert_eq!(told, expected, "seed {seed}"),
                        Err(_) => unsure += 1,
                    }
                    if let Some(told) = told.filter(|_| model.is_fresh()) {
                        model.check_bounds(permille, told);
                        answers += 1;
                        lower_bounds += u32::from(matches!(told, Bound::AtLeast(_)));
                    }
                }
                _ => {
                    let latency = Latency { nanos: latency(&mut dice, widest), ended: dice.below(5) >= censored };
                    model.record(latency, now);
                    if latency.ended {
                        sketch.record(latency.nanos, at);
                    } else {
                        sketch.record_censored(latency.nanos, at);
                    }
                }
            }
            assert_eq!(sketch.snapshot(), model.snapshot(), "seed {seed}");
        }
    }
    println!("{answers} answers checked, {lower_bounds} of them lower bounds, {unsure} left to rounding");
    assert!(answers > 10_000 && lower_bounds > 1_000 && unsure < 100);
}

#[test]
fn full_windows_agree_with_arithmetic() {
    // Deep enough for every rounding to add up: 65534 latencies, censored ones in every bucket.
    let mut sketch = LatencySketch::new(LatencyConfig::DEFAULT);
    let mut dice = Dice::new(7);
    let mut all = Vec::new();
    for _ in 0..65_534 {
        let nanos = begins()[2 + dice.below(100)];
        let ended = dice.below(3) > 0;
        all.push(Latency { nanos, ended });
        let at = Instant::EPOCH;
        if ended { sketch.record(nanos, at) } else { sketch.record_censored(nanos, at) }
    }
    let steps = product_limit(&all);
    let longest = all.iter().map(|l| l.nanos).max().unwrap();
    assert!(steps.len() > 90);
    for permille in 0..1_000 {
        let goal = f64::from(1_000 - permille) / 1_000.0;
        assert!(steps.iter().all(|step| (step.1 - goal).abs() > 2e-6), "an unlucky seed");
        let first = steps.iter().find(|step| step.1 <= goal);
        let expected =
            first.map_or(Bound::AtLeast(longest), |step| Bound::AtMost(bucket(&begins(), step.0).1.unwrap()));
        assert_eq!(sketch.quantile(permille, Instant::EPOCH), Some(expected), "{permille}");
    }
}
