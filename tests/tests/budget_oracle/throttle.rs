//! The throttle against a list of requests.

use std::time::Duration;

use fusebox::throttle::{Request, ThrottleSnapshot};
use fusebox::{Gate, Instant, Outcome, Reason, Throttle, ThrottleConfig};
use fusebox_tests::Dice;

use super::{SECOND, at, time_after};

#[derive(Clone, Copy, Debug)]
struct Rules {
    /// K as a fraction.
    k: (u32, u32),
    minimum: u32,
    at_most: u16,
    window: u64,
}

impl Rules {
    fn build<const N: usize>(&self) -> Throttle<N> {
        let builder = ThrottleConfig::builder().minimum(self.minimum).at_most_permille(self.at_most);
        let builder = match self.k {
            (permille, 1_000) => builder.k_permille(permille),
            (_, permille) => builder.accept_permille(permille as u16),
        };
        Throttle::new(builder.window(Duration::from_nanos(self.window)).build().unwrap(), 7)
    }
}

struct Model {
    rules: Rules,
    pieces: u64,
    piece: u64,
    number: u64,
    began: u64,
    /// Pieces that requests and accepts were counted in.
    requests: Vec<u64>,
    accepts: Vec<u64>,
    refused: u32,
}

impl Model {
    fn new(rules: Rules, pieces: u64) -> Self {
        let piece = rules.window.div_ceil(pieces);
        Self { rules, pieces, piece, number: 0, began: 0, requests: vec![], accepts: vec![], refused: 0 }
    }

    fn time(&mut self, now: u64) {
        self.began = self.began.min(now);
        let passed = (now - self.began) / self.piece;
        // It begins anew when all are over.
        self.began = if passed > self.pieces { now } else { self.began + passed * self.piece };
        self.number += passed.min(self.pieces);
        let (number, pieces) = (self.number, self.pieces);
        self.requests.retain(|piece| piece + pieces > number);
        self.accepts.retain(|piece| piece + pieces > number);
    }

    fn count(&mut self, accepted: bool, now: u64) {
        self.began = if self.requests.is_empty() { now } else { self.began };
        self.requests.push(self.number);
        self.accepts.extend(accepted.then_some(self.number));
    }

    fn refuses(&self, entropy: u32) -> bool {
        let (above, below) = (u128::from(self.rules.k.0), u128::from(self.rules.k.1));
        let (requests, accepts) = (self.requests.len() as u128, self.accepts.len() as u128);
        let excess = (requests * below).saturating_sub(accepts * above) << 32;
        let entropy = u128::from(entropy);
        requests >= u128::from(self.rules.minimum)
            && entropy * (requests + 1) * below < excess
            && entropy * 1_000 < u128::from(self.rules.at_most) << 32
    }

    /// The entropy at which it stops refusing, if any is refused.
    fn edge(&self) -> Option<u32> {
        let (mut refused, mut granted) = (0, u32::MAX);
        if !self.refuses(0) {
            return None;
        }
        while granted - refused > 1 {
            let middle = refused + (granted - refused) / 2;
            *if self.refuses(middle) { &mut refused } else { &mut granted } = middle;
        }
        Some(granted)
    }
}

fn run<const N: usize>(rules: Rules, seed: u32, operations: u32) -> u32 {
    let (mut real, mut model, mut dice) = (rules.build::<N>(), Model::new(rules, N as u64), Dice::new(seed));
    let (mut now, mut out) = (0, Vec::<Request>::new());
    for _ in 0..operations {
        now = time_after(&mut dice, now, rules.window / 40 + 1);
        now = if now >= u64::MAX / 2 && dice.below(50) == 0 { 0 } else { now };
        model.time(now);
        real.handle_timeout(at(now));
        if dice.below(3) > 0 {
            // At the edge every bit decides.
            let entropy = match (dice.below(3), model.edge()) {
                (0, Some(edge)) => edge,
                (1, Some(edge)) => edge - 1,
                _ => dice.draw(),
            };
            let refuses = model.refuses(entropy);
            match real.try_acquire_with(entropy, at(now)) {
                Ok(request) if !refuses => out.push(request),
                Err(rejected) if refuses => {
                    model.refused += 1;
                    model.count(false, now);
                    assert_eq!(rejected.reason, Reason::Throttled);
                    let retry_at = rejected.retry_at.unwrap();
                    assert!(retry_at == Instant::MAX || real.clone().try_acquire_with(0, retry_at).is_ok());
                    assert!(
                        real.clone().try_acquire_with(0, at(retry_at.as_nanos() - 1)).is_err(),
                        "before {retry_at}"
                    );
                }
                answer => panic!("{rules:?} at {now}: {answer:?}, but the model says {refuses}"),
            }
        } else if !out.is_empty() {
            let request = out.swap_remove(dice.below(out.len()));
            match dice.below(8) {
                0 => real.cancel(request, at(now)),
                1 => real.release(request, Outcome::Ignored, at(now)),
                2..=4 => {
                    model.count(true, now);
                    real.release(request, Outcome::Success, at(now));
                }
                5 => {
                    model.count(false, now);
                    real.release(request, Outcome::Unavailable { retry_at: at(0) }, at(now));
                }
                _ => {
                    model.count(false, now);
                    real.release(request, Outcome::Failure, at(now));
                }
            }
        }
        out.truncate(100);
        let (requests, accepts) = (model.requests.len() as u32, model.accepts.len() as u32);
        assert_eq!(real.snapshot(at(now)), ThrottleSnapshot { requests, accepts, refused: model.refused });
    }
    model.refused
}

#[test]
fn it_is_what_the_list_says() {
    let (mut refused, mut operations) = (0, 0);
    let rules = [
        Rules { k: (2_000, 1_000), minimum: 1, at_most: 1_000, window: 10 * SECOND },
        Rules { k: (1_100, 1_000), minimum: 10, at_most: 900, window: SECOND },
        Rules { k: (1_000, 900), minimum: 2, at_most: 800, window: 2 * SECOND + 1 },
        Rules { k: (1_000, 1_000), minimum: 5, at_most: 1, window: 9 },
        Rules { k: (u32::MAX, 1_000), minimum: 1, at_most: 500, window: SECOND },
    ];
    for (seed, rules) in (0..).zip(rules) {
        let each = 100_000;
        refused += run::<1>(rules, seed, each) + run::<5>(rules, seed, each) + run::<10>(rules, seed, each);
        operations += 3 * each;
    }
    println!("{operations} operations, {refused} requests refused");
    assert!(refused > operations / 20);
}
