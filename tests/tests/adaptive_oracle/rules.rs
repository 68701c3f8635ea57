//! Each rule's step against floats, over long random histories. A limit may differ by a part in 2^15 of itself and two
//! parts in 65536 with each step; an average by a part in 10^6.

use fusebox::adaptive::{Estimate, Gradient2Memory, LimitRule, Sample};
use fusebox::{Aimd, Gradient2, Vegas};
use fusebox_tests::Dice;

use crate::MS;

fn float(limit: Estimate) -> f64 {
    f64::from(limit.to_bits()) / 65_536.0
}

fn some_sample(dice: &mut Dice, n: u32) -> Sample {
    // The time drifts, jumps and spans magnitudes.
    let base = [MS, 100 * MS, 130 * MS, 5_000 * MS][(n / 500) as usize % 4];
    let rtt = base / 2 + dice.below(base) + 1;
    let no_load = [None, Some(base / 2), Some(base), Some(rtt)][(n / 100) as usize % 4];
    Sample { rtt, in_flight: dice.below(2_000), dropped: dice.below(40) == 0, no_load }
}

#[test]
fn aimd_is_exact() {
    let mut dice = Dice::new(1);
    for n in 0..100_000 {
        let (limit, sample) = (dice.below(65_536) as u16, some_sample(&mut dice, n));
        let permille = 1 + dice.below(999);
        let rule = Aimd::new(permille as u16).unwrap();
        for (rule, used) in [(rule, limit.min(sample.in_flight)), (rule.of_limit(), limit)] {
            let told = rule.update(&mut (), Estimate::of(limit), &sample).whole();
            let exact = u64::from(used) * permille / 1_000;
            // A share is kept to a part in 65536: of a product that is a hair below a whole number it makes the whole one.
            let hair = u64::from(u64::from(used) * permille % 1_000 + u64::from(used) / 64 >= 1_000);
            if sample.dropped {
                assert!((exact..=exact + hair).contains(&told.into()), "{used} x {permille}: {told}, not {exact}");
            } else {
                assert_eq!(told, limit.saturating_add(1));
            }
        }
    }
}

#[test]
fn vegas_is_exact_for_whole_limits() {
    let mut dice = Dice::new(2);
    let mut rows = [0; 4];
    for n in 0..300_000 {
        let limit = [dice.below(40), dice.below(1_100), dice.below(60_000)][n as usize % 3] + 2;
        let no_load = 100 * MS + dice.below(MS);
        // Near the bounds of the rows.
        let queue = [1, 2, 3, 6, 12, 18, 24][dice.below(7)].min(u64::from(limit) - 1);
        let near = no_load * u64::from(limit) / (u64::from(limit) - queue);
        let rtt = (near + dice.below(2_001)).saturating_sub(1_000).max(1);
        let sample = Sample { rtt, in_flight: 0, dropped: false, no_load: Some(no_load) };
        let told = Vegas::DEFAULT.update(&mut (), Estimate::of(limit), &sample).whole();

        let lg = u128::from((f64::from(limit).log10() as u32).max(1));
        let waited = u128::from(limit) * u128::from(rtt.saturating_sub(no_load));
        let up_to = |calls: u128| waited <= calls * u128::from(rtt);
        let (row, exact) = if up_to(lg) {
            (0, u128::from(limit) + 6 * lg)
        } else if up_to(3 * lg - 1) {
            (1, u128::from(limit) + lg)
        } else if up_to(6 * lg) {
            (2, u128::from(limit))
        } else {
            (3, u128::from(limit) - lg)
        };
        rows[row] += 1;
        assert_eq!(u128::from(told), exact, "limit {limit}, {rtt} of {no_load}");
    }
    assert!(rows.iter().all(|row| *row > 1_000), "{rows:?}");
}

#[test]
fn vegas_with_a_share_and_smoothing_is_that_of_floats() {
    let mut dice = Dice::new(3);
    for n in 0..100_000 {
        let limit = Estimate::from_bits(dice.below(60_000 << 16) + (1 << 16));
        let (fall, smoothing) = (1 + dice.below(999), 1 + dice.below(1_000));
        let rule = Vegas::DEFAULT.falls_to(fall as u16).unwrap().smoothing(smoothing as u16).unwrap();
        let sample = Sample { dropped: true, ..some_sample(&mut dice, n) };
        let told = float(rule.update(&mut (), limit, &sample));
        let exact = float(limit) * (1.0 + smoothing as f64 / 1_000.0 * (fall as f64 / 1_000.0 - 1.0));
        assert!((told - exact).abs() <= exact.max(float(limit)) / 32_768.0 + 2.0 / 65_536.0, "{told}, not {exact}");
    }
}

/// `Gradient2Limit` in floats, with the guard.
#[derive(Default)]
struct Float {
    average: f64,
    first: Vec<f64>,
    no_load: Option<u64>,
    warm: bool,
}

impl Float {
    fn update(
        &mut self,
        limit: f64,
        sample: &Sample,
        guarded: bool,
        [queue, tolerance, smoothing, window]: [f64; 4],
    ) -> f64 {
        let mut gradient = 0.5;
        if !sample.dropped {
            let (rtt, no_load) = (sample.rtt as f64, sample.no_load.filter(|_| guarded));
            if let Some(time) = no_load.filter(|_| no_load != self.no_load) {
                (self.average, self.warm, self.no_load) = (time as f64, true, no_load);
            }
            if self.warm || self.first.len() == 10 {
                self.average += (rtt - self.average) * 2.0 / (window + 1.0);
            } else {
                self.first.push(rtt);
                self.average = self.first.iter().sum::<f64>() / self.first.len() as f64;
            }
            let average = self.average;
            if average > 2.0 * rtt {
                self.average *= 0.95;
            }
            let baseline = no_load.map_or(average, |time| average.min(time as f64));
            gradient = (tolerance * baseline / rtt).clamp(0.5, 1.0);
        }
        limit + smoothing * (limit * gradient + queue - limit)
    }
}

#[test]
fn gradient2_is_that_of_floats() {
    for (seed, guarded) in [(4, true), (5, false), (6, true), (7, false)] {
        let mut dice = Dice::new(seed);
        let (queue, tolerance) = (1 + dice.below(20), 1_000 + dice.below(1_500));
        let (smoothing, window) = (10 + dice.below(990), 2 + dice.below(1_000));
        let rule = Gradient2::DEFAULT.queue(queue as u16).unwrap().tolerance(tolerance as u32).unwrap();
        let rule = rule.smoothing(smoothing as u16).unwrap().average_over(window as u32).unwrap();
        let rule = if guarded { rule } else { rule.unguarded() };
        let numbers = [queue as f64, tolerance as f64 / 1_000.0, smoothing as f64 / 1_000.0, window as f64];
        let (mut memory, mut model): (Gradient2Memory, _) = (Gradient2::EMPTY, Float::default());
        let mut limit = Estimate::of(20);
        for n in 0..50_000 {
            let sample = some_sample(&mut dice, n);
            let old = float(limit);
            limit = rule.update(&mut memory, limit, &sample).clamp(Estimate::of(1), Estimate::of(500));
            let step = model.update(old, &sample, guarded, numbers).clamp(1.0, 500.0);
            assert!(
                (float(limit) - step).abs() <= old / 32_768.0 + 2.0 / 65_536.0,
                "call {n}: {}, not {step}",
                float(limit)
            );
        }
    }
}
