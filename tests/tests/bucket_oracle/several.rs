//! Law: several quotas admit as one what each of them would, take nothing from any otherwise, and name the instant.

use std::time::Duration;

use fusebox::bucket::JointTokens;
use fusebox::{Gate, Limiter, Outcome, Quotas};
use fusebox_tests::Dice;

use super::model::Model;
use super::{DAY, LATE, Numbers, SECOND, at, available, bucket, check_honest, quota, refill};

const SETS: &[[Numbers; 3]] = &[
    [(10, SECOND, 10), (300, 60 * SECOND, 300), (10_000, DAY, 10_000)],
    [(1, SECOND, 1), (30, 60 * SECOND, 10), (100, 3_600 * SECOND, 20)],
    [(999_999_937, SECOND, 5), (1_000_000, SECOND, 64), (1_000, SECOND, 900)],
    [(7, SECOND, 50), (7, SECOND, 50), (7, SECOND, 4)],
];

struct Run {
    set: &'static [Numbers; 3],
    limiter: Limiter<Quotas<3>>,
    models: [Model; 3],
    dice: Dice,
    now: u64,
    held: Vec<(u32, JointTokens<3>)>,
    tally: [u32; 4],
}

impl Run {
    fn new(set: &'static [Numbers; 3], seed: u32) -> Self {
        let quotas = set.map(|numbers| quota(&numbers).with_max_wait(Duration::from_secs(200)));
        let limiter = Limiter::new(Quotas::new(quotas));
        let models = [0, 1, 2].map(|n| Model::new(&set[n]));
        Self { set, limiter, models, dice: Dice::new(seed), now: DAY, held: vec![], tally: [0; 4] }
    }

    fn burst(&self) -> u32 {
        self.set.iter().map(|numbers| numbers.2).min().unwrap()
    }

    fn granted(&mut self, id: u32, n: u32, at: u64, tokens: JointTokens<3>) {
        self.tally[0] += 1;
        assert_eq!(tokens.count(), n);
        self.models.iter_mut().for_each(|model| model.add(id, at.into(), n));
        self.held.push((id, tokens));
    }

    fn reserve(&mut self, id: u32, n: u32) {
        let before = self.limiter.clone();
        match self.limiter.reserve(n, at(self.now)) {
            Ok(reserved) => {
                self.tally[3] += 1;
                let ready_at = reserved.ready_at().as_nanos();
                if ready_at > self.now {
                    let refused = before.clone().try_acquire_n(n, at(self.now)).unwrap_err();
                    assert_eq!(refused.retry_at, Some(at(ready_at)), "the same instant as who asks is told");
                }
                self.granted(id, n, ready_at, reserved.into_permit());
            }
            Err(_) => assert_eq!(before.available(at(self.now)), self.limiter.available(at(self.now))),
        }
    }

    fn step(&mut self, id: u32) {
        let n = self.dice.below(self.burst()) + 1;
        match self.dice.below(12) {
            0..=4 => match self.limiter.try_acquire_n(n, at(self.now)) {
                Ok(tokens) => self.granted(id, n, self.now, tokens),
                Err(refused) => {
                    self.tally[1] += 1;
                    let longest = self.set.iter().map(refill).max().unwrap() + 200 * SECOND + LATE;
                    let retry_at = check_honest(&self.limiter, n, self.now, refused, longest);
                    self.now = if self.dice.below(4) == 0 { retry_at } else { self.now };
                }
            },
            5 => self.reserve(id, n),
            6 | 7 if !self.held.is_empty() => {
                self.tally[2] += 1;
                let which = self.dice.below(self.held.len());
                let (id, tokens) = self.held.swap_remove(which);
                let before = available(&self.limiter, self.burst(), self.now);
                self.limiter.cancel(tokens, at(self.now));
                self.models.iter_mut().for_each(|model| model.reduce(id, 0));
                assert!(available(&self.limiter, self.burst(), self.now) >= before);
            }
            _ => {
                let numbers = self.set[self.dice.below(3)];
                self.now += self.dice.below(refill(&numbers) / u64::from(numbers.2) * 2 + 2);
            }
        }
        if self.held.len() > 6 {
            let (_, tokens) = self.held.remove(0);
            self.limiter.release(tokens, Outcome::Success, at(self.now));
        }
        self.models.iter_mut().for_each(|model| model.check_some(&format!("operation {id}")));
    }
}

#[test]
fn each_quota_holds() {
    let mut total = [0; 4];
    for set in SETS {
        for seed in 0..6 {
            let mut run = Run::new(set, seed);
            (0..4_000).for_each(|id| run.step(id));
            run.models.iter().for_each(|model| model.check(&format!("{set:?}")));
            total.iter_mut().zip(run.tally).for_each(|(sum, x)| *sum += x);
        }
    }
    println!("several quotas: [granted, refused, given back, reserved] = {total:?}");
    assert!(total.iter().all(|n| *n > 3_000));
}

/// Without reservations, cancels and refusals by another, each of them is a bucket of its own.
#[test]
fn they_admit_what_each_bucket_admits() {
    for set in SETS {
        let mut dice = Dice::after(5, 5);
        let mut all = Run::new(set, 0).limiter;
        let mut each = set.map(|numbers| bucket(&numbers));
        let burst = set.iter().map(|numbers| numbers.2).min().unwrap();
        let mut now = DAY;
        for _ in 0..20_000 {
            let numbers = set[dice.below(3)];
            now += dice.below(refill(&numbers) / u64::from(numbers.2) * 2 + 2);
            let n = dice.below(burst) + 1;
            let alone = each.clone().map(|mut bucket| bucket.try_acquire_n(n, at(now)));
            let refused = alone.iter().filter_map(|answer| answer.as_ref().err()?.retry_at).max();
            match all.try_acquire_n(n, at(now)) {
                Ok(_) => {
                    assert_eq!(refused, None);
                    for bucket in &mut each {
                        drop(bucket.try_acquire_n(n, at(now)).unwrap());
                    }
                }
                Err(rejected) => assert_eq!(rejected.retry_at, refused),
            }
            assert_eq!(all.available(at(now)), each.iter().map(|bucket| bucket.available(at(now))).min().unwrap());
        }
    }
}

/// The last reservation comes back whole, also from buckets that had tokens long before.
#[test]
fn a_cancelled_reservation_leaves_no_gap() {
    for set in SETS {
        let mut run = Run::new(set, 1);
        let (burst, now) = (run.burst(), DAY);
        while run.limiter.try_acquire_n(burst, at(now)).is_ok() {}
        drop(run.limiter.drain(at(now)));
        let before = run.limiter.clone();
        let reserved = [1, burst, 1].map(|n| run.limiter.reserve(n, at(now)).unwrap());
        assert!(reserved.iter().all(|reserved| reserved.ready_at() > at(now)));
        reserved.into_iter().rev().for_each(|reserved| run.limiter.cancel(reserved.into_permit(), at(now)));
        let ask = |limiter: &Limiter<_>, after| limiter.clone().try_acquire_n(burst, at(now + after)).err();
        for after in [0, SECOND / 7, SECOND, 60 * SECOND] {
            // A part of a nanosecond may be left.
            let retry_at = |limiter| ask(limiter, after).map_or(0, |refused| refused.retry_at.unwrap().as_nanos());
            assert!(retry_at(&run.limiter) - retry_at(&before) <= 1, "{set:?}");
        }
    }
}
