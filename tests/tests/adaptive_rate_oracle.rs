//! Laws of the adaptive rate: its rates are those of the AWS SDKs' client rate limiter in floating point; its store of
//! tokens is that of a naive bucket in 128 bits; no interval has more grants than were in store and made in it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test may panic")]
#![allow(clippy::cast_possible_truncation, clippy::missing_const_for_fn, reason = "numbers of a test are small")]
#![allow(clippy::cast_precision_loss, clippy::integer_division, reason = "as the SDKs, and a test may round down")]

use std::time::Duration;

use fusebox::adaptive_rate::{AdaptiveRateBuilder, Permit, Rate};
use fusebox::{AdaptiveRate, AdaptiveRateConfig, Gate, Instant, Outcome};
use fusebox_tests::Dice;

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_000 * SECOND;

const fn at(now: u64) -> Instant {
    Instant::from_nanos(now)
}

fn some_outcome(dice: &mut Dice, throttled_of_100: u64, now: u64) -> Outcome {
    match dice.below(100) {
        n if n < throttled_of_100 => Outcome::Unavailable { retry_at: at(now) },
        n if n < 50 => Outcome::Failure,
        n if n < 55 => Outcome::Ignored,
        _ => Outcome::Success,
    }
}

fn bits(rate: Option<Rate>) -> u32 {
    rate.map_or(0, Rate::to_bits)
}

/// The limiter as the SDKs have it: the cubic calculator, the rate clocker, and what ties them together.
struct Sdk {
    beta: f64,
    scale: f64,
    least: f64,
    w_max: f64,
    last_fail: f64,
    last_piece: Option<f64>,
    count: f64,
    measured: f64,
    rate: Option<f64>,
}

impl Sdk {
    fn clock(&mut self, t: f64) {
        let last = *self.last_piece.get_or_insert(t);
        self.count += 1.0;
        let pieces = ((t - last) * 2.0 + 1e-9).floor();
        if pieces >= 1.0 {
            self.measured = 0.8 * self.count / (pieces / 2.0) + 0.2 * self.measured;
            self.last_piece = Some(last + pieces / 2.0);
            self.count = 0.0;
        }
    }

    fn ended(&mut self, outcome: Outcome, t: f64) {
        self.clock(t);
        let k = |w: f64| (w * (1.0 - self.beta) / self.scale).cbrt();
        let new = match outcome {
            Outcome::Unavailable { .. } => {
                self.w_max = self.rate.map_or(self.measured, |rate| rate.min(self.measured));
                self.last_fail = t;
                self.w_max * self.beta
            }
            Outcome::Success | Outcome::Failure if self.rate.is_some() => {
                self.scale * (t - self.last_fail - k(self.w_max)).powi(3) + self.w_max
            }
            _ => return,
        };
        self.rate = Some(new.min(2.0 * self.measured).max(self.least));
    }
}

#[test]
fn its_rates_are_those_of_the_sdks() {
    let mut compared = 0;
    for (seed, (beta, scale, least)) in
        (0..).zip([(700, 400, 30), (600, 400, 30), (900, 1_000, 6_000), (300, 50, 1)].repeat(10))
    {
        let builder = AdaptiveRateConfig::builder().beta_permille(beta).scale_permille(scale).least_per_minute(least);
        let mut real = AdaptiveRate::new(builder.build().unwrap());
        let (beta, scale, least) = (f64::from(beta) / 1e3, f64::from(scale) / 1e3, f64::from(least) / 60.0);
        let (w_max, last_fail, last_piece, count, measured, rate) = (0.0, 0.0, None, 0.0, 0.0, None);
        let mut sdk = Sdk { beta, scale, least, w_max, last_fail, last_piece, count, measured, rate };
        let (mut dice, mut now) = (Dice::new(seed), START);
        let gap = [SECOND / 1_000, SECOND / 50, SECOND, 5 * SECOND][usize::try_from(seed / 4 % 4).unwrap()];
        for _ in 0..2_000 {
            now += dice.below(gap) + dice.below(500) / 499 * dice.below(60 * SECOND);
            let outcome = some_outcome(&mut dice, 2, now);
            if let Ok(permit) = real.try_acquire(at(now)) {
                real.release(permit, outcome, at(now));
                sdk.ended(outcome, (now - START) as f64 / 1e9);
                let told = real.snapshot();
                let same = |told: u32, sdk: f64| (f64::from(told) / 4_096.0 - sdk).abs() < 3e-3 + sdk * 3e-3;
                assert!(same(told.sent.to_bits(), sdk.measured), "{seed}: {told:?}, not {}", sdk.measured);
                assert_eq!(told.rate.is_some(), sdk.rate.is_some());
                assert!(same(bits(told.rate), sdk.rate.unwrap_or(0.0)), "{seed}: {told:?}, not {:?}", sdk.rate);
                compared += 1;
            }
        }
    }
    println!("{compared} rates compared");
    assert!(compared > 20_000, "{compared}");
}

/// A token bucket, with parts of which a token has 4096 * 10^9: so many as the rate are made in a nanosecond.
#[derive(Default)]
struct Naive {
    rate: u32,
    parts: u128,
    last: u64,
}

const TOKEN: u128 = 4_096 * SECOND as u128;

fn room(rate: u32) -> u128 {
    u128::from(rate.max(4_096)) * u128::from(SECOND)
}

impl Naive {
    fn at(&mut self, now: u64) {
        self.parts = (self.parts + u128::from(now - self.last) * u128::from(self.rate)).min(room(self.rate));
        self.last = now;
    }

    /// When there is a token.
    fn ready(&self) -> u64 {
        let missing = TOKEN.saturating_sub(self.parts);
        self.last + u64::try_from(missing.div_ceil(u128::from(self.rate))).unwrap()
    }

    fn set_rate(&mut self, rate: u32) {
        if self.rate == 0 {
            self.parts = 0;
        }
        self.rate = rate;
        self.parts = self.parts.min(room(rate));
    }
}

fn builders() -> [AdaptiveRateBuilder; 4] {
    let builder = AdaptiveRateConfig::builder;
    [
        builder(),
        builder().least_per_minute(1),
        builder().least_per_minute(60_000_000),
        builder().least_per_minute(7_777).forget_after(Duration::from_secs(3)),
    ]
}

#[test]
fn its_store_is_that_of_a_naive_bucket() {
    let (mut granted, mut refused) = (0, 0);
    for seed in 0..60 {
        let mut real = AdaptiveRate::new(builders()[seed as usize % 3].build().unwrap());
        let (mut dice, mut naive, mut now) = (Dice::after(seed, 1), Naive::default(), START);
        for _ in 0..1_500 {
            now += [0, dice.below(100), dice.below(SECOND / 50), dice.below(2 * SECOND)][dice.below(4)];
            if naive.rate > 0 {
                naive.at(now);
            }
            let expected = if naive.rate == 0 { now } else { naive.ready() };
            match real.try_acquire(at(now)) {
                Err(rejected) => {
                    assert_eq!(rejected.retry_at, Some(at(expected)), "{seed}");
                    assert!(expected > now);
                    refused += 1;
                    if dice.below(3) == 0 {
                        now = expected - dice.below(2);
                    }
                }
                Ok(permit) => {
                    assert_eq!(expected, now, "{seed}");
                    granted += 1;
                    if dice.below(4) == 0 {
                        real.cancel(permit, at(now)); // what was taken last comes back whole
                        continue;
                    }
                    naive.parts -= if naive.rate > 0 { TOKEN } else { 0 };
                    real.release(permit, some_outcome(&mut dice, 5, now), at(now));
                    if let Some(rate) = real.snapshot().rate {
                        naive.set_rate(rate.to_bits());
                        naive.last = now;
                    }
                }
            }
        }
    }
    println!("{granted} granted, {refused} refused");
    assert!(granted > 10_000 && refused > 1_000, "{granted} {refused}");
}

/// What happened at some time: what was made until then, what there was room for, and the grants that were not cancelled.
struct Moment {
    made: u128,
    room: u128,
    granted: u128,
}

/// Random calls, many at once, that end or are cancelled in any order; the clock may step back, and calls come late.
fn law(seed: u32, steps_back: bool) -> usize {
    let mut dice = Dice::after(seed, 2);
    let mut real = AdaptiveRate::new(builders()[seed as usize % 3].build().unwrap());
    let (mut now, mut counted, mut made, mut rate) = (START, START, 0, 0);
    let mut moments: Vec<Moment> = vec![];
    let mut out: Vec<(usize, Permit)> = vec![];
    for _ in 0..800 {
        now += [0, dice.below(SECOND / 50), dice.below(SECOND)][dice.below(3)];
        if steps_back && dice.below(20) == 0 {
            let most = [SECOND, 50 * SECOND][dice.below(2)];
            now -= dice.below(most).min(now / 2);
        }
        if now + SECOND < counted {
            counted = now; // the clock stepped back
        }
        made += u128::from(now.saturating_sub(counted)) * u128::from(rate);
        counted = counted.max(now);
        moments.push(Moment { made, room: if rate == 0 { u128::MAX / 2 } else { room(rate) }, granted: 0 });
        match dice.below(5) {
            0 if !out.is_empty() => {
                let (when, permit) = out.swap_remove(dice.below(out.len()));
                moments[when].granted -= 1;
                real.cancel(permit, at(now));
            }
            1 if !out.is_empty() => {
                let permit = out.swap_remove(dice.below(out.len())).1;
                real.release(permit, some_outcome(&mut dice, 3, now), at(now));
                let next = bits(real.snapshot().rate);
                if rate == 0 && next > 0 {
                    moments.clear(); // the law begins with the limit
                    for (when, _) in &mut out {
                        *when = 0;
                    }
                    moments.push(Moment { made, room: u128::MAX / 2, granted: 1 << 20 });
                }
                rate = next;
            }
            _ => {
                for _ in 0..=dice.below(3) {
                    match real.try_acquire(at(now)) {
                        Ok(permit) => {
                            let last = moments.len() - 1;
                            moments[last].granted += 1;
                            out.push((last, permit));
                        }
                        Err(rejected) => {
                            let wait = rejected.retry_at.unwrap().nanos_since(at(now));
                            let token = TOKEN.div_ceil(u128::from(rate));
                            assert!(u128::from(wait) <= token + u128::from(SECOND), "{wait}: locked");
                        }
                    }
                }
            }
        }
    }
    for (n, begin) in moments.iter().enumerate() {
        let mut granted = 0;
        for end in &moments[n..] {
            granted += end.granted;
            let most = begin.room + end.made - begin.made;
            assert!(granted * TOKEN <= most, "{seed}: {granted} of {}", most / TOKEN);
        }
    }
    moments.len()
}

#[test]
fn no_interval_has_more_than_was_in_store_and_made() {
    let checked: usize = (0..400).map(|seed| law(seed, false)).sum();
    println!("{checked} moments");
    assert!(checked > 100_000, "{checked}");
}

#[test]
fn neither_clocks_that_step_back_nor_late_calls_give_anything() {
    assert!((0..400).map(|seed| law(seed, true)).sum::<usize>() > 100_000);
}
