//! Law: the token bucket's atomic twin gives the same answers as the plain one, whatever is done in whatever order.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test may panic")]
#![allow(clippy::integer_division, clippy::missing_const_for_fn, reason = "a test may round down, and needs no const")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fusebox::bucket::{BucketState, Tokens};
use fusebox::{Gate, Instant, Lock, Outcome, Quota, SharedGate, TokenBucket, sync};
use fusebox_tests::Dice;

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;

/// Count, period in nanoseconds, burst. The last ones do not fit the twin's word, or only when they are nearly full.
const QUOTAS: &[(u32, u64, u32)] = &[
    (1, DAY, 1),
    (1, DAY, 30),
    (3, SECOND, 3),
    (7, SECOND, 50),
    (1_000, SECOND, 1_000),
    (999_983, SECOND, 2),
    (999_999_937, SECOND, 5),
    (1_000_000_000, SECOND, 1),
    (1_000_000_000, SECOND, u32::MAX),
    (u32::MAX, 10 * SECOND, 40),
    (99, 365 * DAY, 300),
    (1, 365 * DAY, 1),
];

fn at(now: u64) -> Instant {
    Instant::from_nanos(now)
}

struct Pair {
    plain: TokenBucket,
    twin: sync::TokenBucket,
    held: Vec<(Tokens, Tokens)>,
    dice: Dice,
    now: u64,
}

impl Pair {
    fn n(&mut self) -> u32 {
        let burst = u64::from(self.plain.quota().burst());
        let most = if self.dice.below(3) == 0 { burst + 1 } else { 2 };
        u32::try_from(self.dice.below(most) + u64::from(burst < u64::from(u32::MAX))).unwrap()
    }

    fn ask(&mut self) {
        let (n, now) = (self.n(), at(self.now));
        match (self.plain.try_acquire_n(n, now), self.twin.try_acquire_n(n, now)) {
            (Ok(plain), Ok(twin)) => self.held.push((plain, twin)),
            (plain, twin) => {
                assert_eq!(plain, twin);
                if let Some(retry_at) = twin.err().and_then(|refused| refused.retry_at)
                    && self.dice.below(4) == 0
                {
                    self.now = retry_at.as_nanos();
                }
            }
        }
    }

    fn reserve(&mut self) {
        let (n, now) = (self.n(), at(self.now));
        let until = at(self.now.saturating_add(self.dice.below(1 << 34)));
        match (self.plain.reserve_until(n, until, now), self.twin.reserve_until(n, until, now)) {
            (Ok(plain), Ok(twin)) => {
                assert_eq!(plain, twin);
                self.held.push((plain.into_permit(), twin.into_permit()));
            }
            (plain, twin) => assert_eq!(plain.err(), twin.err()),
        }
    }

    fn give_back(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let which = self.dice.below(self.held.len());
        let last = self.held.len() - 1;
        let (plain, twin) = self.held.swap_remove(if self.dice.below(2) == 0 { last } else { which });
        assert_eq!(plain, twin);
        let now = at(self.now);
        match self.dice.below(4) {
            0 => {
                let n = u32::try_from(self.dice.below(2 * u64::from(plain.count()) + 2)).unwrap_or(u32::MAX);
                self.plain.settle(plain, n, now);
                self.twin.settle(twin, n, now);
            }
            1 => {
                let retry_at = at(self.now.saturating_add(self.dice.below(1 << 33)));
                let outcome = [Outcome::Success, Outcome::Unavailable { retry_at }];
                let outcome = outcome[self.dice.below(2)];
                self.plain.release(plain, outcome, now);
                self.twin.release(twin, outcome, now);
            }
            _ => {
                self.plain.cancel(plain, now);
                self.twin.cancel(twin, now);
            }
        }
    }

    fn step(&mut self) {
        let cell = self.plain.quota().cell_nanos();
        match self.dice.below(64) {
            0..=27 => self.ask(),
            28..=31 => self.reserve(),
            32..=43 => self.give_back(),
            44..=51 => self.now += self.dice.below(3 * cell + 2).min(u64::MAX - 1 - self.now),
            52 => self.now = self.now.saturating_add(self.dice.below(3 * SECOND)),
            53 => self.now -= self.dice.below(2 * SECOND).min(self.now),
            54 if self.dice.below(8) == 0 => self.now -= self.dice.below(self.now + 1),
            55 => {
                let until = at(self.now.saturating_add(self.dice.below(1 << 33)));
                self.plain.pause_until(until, at(self.now));
                self.twin.pause_until(until, at(self.now));
            }
            56 => {
                self.plain.resume();
                self.twin.resume();
            }
            57 => {
                let drained = (self.plain.drain(at(self.now)), self.twin.drain(at(self.now)));
                self.held.push(drained);
            }
            58 if self.dice.below(200) == 0 => self.now = u64::MAX - 1 - self.dice.below(10 * cell + 10),
            _ => assert_eq!(self.plain.available(at(self.now)), self.twin.available(at(self.now))),
        }
        self.now = self.now.min(u64::MAX - 2);
        if self.held.len() > 8 {
            drop(self.held.remove(0));
        }
    }
}

#[test]
fn the_twin_agrees_with_the_plain_bucket() {
    const STEPS: u32 = 20_000;
    let mut steps = 0_u64;
    for (count, period, burst) in QUOTAS.iter().copied() {
        for seed in 0..10 {
            let quota = Quota::new(count, Duration::from_nanos(period)).unwrap().with_burst(burst).unwrap();
            let quota = quota.with_max_hint(Duration::from_secs(6)).unwrap().with_max_wait(Duration::from_secs(20));
            let (plain, twin) = (TokenBucket::new(quota), sync::TokenBucket::new(quota));
            let mut pair = Pair { plain, twin, held: vec![], dice: Dice::new(seed), now: u64::from(seed) * DAY };
            (0..STEPS).for_each(|_| pair.step());
            steps += u64::from(STEPS);
        }
    }
    println!("{steps} operations");
}

/// Counts how often the lock is taken.
struct Counting(Mutex<BucketState>, AtomicU32);

impl Lock for Counting {
    type Value = BucketState;

    fn with<R>(&self, f: impl FnOnce(&mut BucketState) -> R) -> R {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.with(f)
    }
}

/// How often the lock is taken for `calls` calls, of which every third is cancelled, within ten seconds.
fn locks_taken((count, period, burst): (u32, u64, u32), calls: u32) -> u32 {
    let quota = Quota::new(count, Duration::from_nanos(period)).unwrap().with_burst(burst).unwrap();
    let twin = sync::TokenBucketOver::over(quota, Counting(Mutex::new(BucketState::FULL), AtomicU32::new(0)));
    for n in 0..calls {
        let now = at(DAY + 10 * SECOND / u64::from(calls) * u64::from(n));
        if let (Ok(tokens), 0) = (twin.try_acquire(now), n % 3) {
            twin.cancel(tokens, now);
        }
    }
    twin.lock().1.load(Ordering::Relaxed)
}

#[test]
fn the_lock_is_taken_about_once_a_second() {
    for quota in QUOTAS.iter().copied() {
        let locks = locks_taken(quota, 10_000);
        println!("{quota:?}: {locks}");
        // Not those whose refill takes over 208 days, unless they are nearly full.
        assert!(locks <= 12 || quota.1 > 100 * DAY, "{quota:?}: {locks}");
    }
}
