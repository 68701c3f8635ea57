//! The model is a bucket for each key there ever was.

use std::time::Duration;

use fusebox::bucket::LeanTokens;
use fusebox::{Gate, Instant, LeanQuota, Limiter, Reason, Rejected};
use fusebox_tests::Dice;

use crate::{Table, at, table};

struct Run {
    capacity: usize,
    table: Table,
    model: Vec<Limiter<LeanQuota>>,
    dice: Dice,
    now: u64,
    held: Vec<(usize, LeanTokens, LeanTokens)>,
    tally: Tally,
}

#[derive(Debug, Default)]
struct Tally {
    granted: u32,
    limited: u32,
    full: u32,
}

const KEYS: usize = 200;

impl Run {
    fn new(quota: LeanQuota, capacity: usize, seed: u32) -> Self {
        Self {
            capacity,
            table: table(quota, capacity),
            model: vec![Limiter::new(quota); KEYS],
            dice: Dice::new(seed),
            now: 0,
            held: vec![],
            tally: Tally::default(),
        }
    }

    /// When each bucket that is not full will be: then all of it can be taken.
    fn full_at(&self) -> Vec<Instant> {
        let all = |bucket: &Limiter<LeanQuota>| bucket.clone().try_acquire_n(bucket.kind().burst(), at(self.now));
        self.model.iter().filter_map(|bucket| all(bucket).err()?.retry_at).collect()
    }

    fn ask(&mut self) {
        let burst = self.table.quota().burst();
        let (key, n) = (self.dice.below(KEYS), self.dice.below(burst + 2));
        match self.table.try_acquire_n(&(key as u64), n, at(self.now)) {
            Ok(tokens) => {
                self.held.push((key, tokens, self.model[key].try_acquire_n(n, at(self.now)).unwrap()));
                self.tally.granted += 1;
            }
            Err(Rejected { reason: Reason::KeysFull, retry_at }) => self.full(key, n, retry_at.unwrap()),
            Err(refused) => {
                assert_eq!(self.model[key].try_acquire_n(n, at(self.now)), Err(refused));
                self.tally.limited += 1;
            }
        }
    }

    fn full(&mut self, key: usize, n: u32, retry_at: Instant) {
        let (full_at, places) = (self.full_at(), self.table.snapshot(at(self.now)).places);
        assert!(full_at.len() > self.capacity, "{} of {} are busy", full_at.len(), self.capacity);
        assert_eq!(self.model[key].available(at(self.now)), self.table.quota().burst(), "a busy key has its place");
        assert!(full_at.contains(&retry_at));
        if places <= 62 {
            // Every key can have any place.
            assert_eq!((full_at.len(), full_at.iter().min()), (places, Some(&retry_at)));
        }
        self.tally.full += 1;
        if self.dice.one_in(2) {
            let ask = |now| self.table.try_acquire_n(&(key as u64), n, now);
            let full = Err(Rejected { reason: Reason::KeysFull, retry_at: Some(retry_at) });
            assert_eq!(ask(at(retry_at.as_nanos() - 1)), full);
            let tokens = ask(retry_at).unwrap();
            self.now = retry_at.as_nanos();
            self.held.push((key, tokens, self.model[key].try_acquire_n(n, retry_at).unwrap()));
        }
    }

    fn step(&mut self, longest: u64) {
        self.now += self.dice.below(longest);
        if self.dice.one_in(5) {
            let Some((key, tokens, own)) = self.dice.pick(&mut self.held) else { return };
            self.table.cancel(&(key as u64), tokens, at(self.now));
            self.model[key].cancel(own, at(self.now));
        } else {
            self.ask();
        }
    }
}

#[test]
fn every_key_has_its_bucket() {
    let mut tally = Tally::default();
    for (seed, &capacity) in (0..).zip(&[1, 10, 25, 26, 51, 52, 100, 150, 200]) {
        for quota in [LeanQuota::new(1, Duration::from_micros(1)), LeanQuota::per_second(249_999)] {
            let mut run = Run::new(quota.unwrap().with_burst(3).unwrap(), capacity, seed);
            let mut longest = 0;
            for n in 0..10_000 {
                if n % 500 == 0 {
                    longest = 1 << run.dice.below(14);
                }
                run.step(longest);
            }
            if capacity < 200 {
                let Tally { granted, limited, full } = run.tally;
                let Tally { granted: a, limited: b, full: c } = tally;
                tally = Tally { granted: a + granted, limited: b + limited, full: c + full };
            } else {
                assert_eq!(run.tally.full, 0, "there is a place for each");
            }
        }
    }
    assert!(tally.granted > 30_000 && tally.limited > 10_000 && tally.full > 5_000, "{tally:?}");
}
