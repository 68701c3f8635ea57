//! Law: a key of a `KeyedLimiter` has the answers of a `LeanQuota` bucket of its own, whoever else asks; the table says so
//! honestly when it has no place.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
#![allow(missing_docs, clippy::integer_division, clippy::missing_const_for_fn, clippy::cast_possible_truncation)]

mod flood;
mod lean;
mod model;
mod room;
mod threads;

use std::hash::{BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use fusebox::{ConfigError, Entropy, Guard, Instant, LeanQuota, Outcome, Reason, Rejected, RetryPolicy};
use fusebox_drive::Pipeline;
use fusebox_tests::ManualTimer;
use fusebox_tokio::KeyedLimiter;

const SECOND: u64 = 1_000_000_000;

fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

/// Hashed without chance, so that a run is like the next.
type Table = KeyedLimiter<u64, BuildHasherDefault<DefaultHasher>>;

fn table(quota: LeanQuota, capacity: usize) -> Table {
    KeyedLimiter::with_hasher(quota, capacity, BuildHasherDefault::default()).unwrap()
}

/// A token a second.
fn slow(burst: u32) -> LeanQuota {
    LeanQuota::per_second(1).unwrap().with_burst(burst).unwrap()
}

/// Takes one token, for good.
fn spend(table: &Table, key: u64, now: u64) -> Result<(), Rejected> {
    table.try_acquire(&key, at(now)).map(drop)
}

fn limited_until(now: u64) -> Result<(), Rejected> {
    Err(Rejected { reason: Reason::RateLimited, retry_at: Some(at(now)) })
}

#[test]
fn each_key_has_a_limit_of_its_own() {
    let callers: KeyedLimiter<str> = KeyedLimiter::new(slow(1), 10).unwrap();
    let timer = ManualTimer::default();
    let call = |caller: &str| {
        let pipeline = Pipeline::new(&timer, callers.gate(caller), RetryPolicy::ONCE, Entropy::new(1));
        timer.block_on(pipeline.call(|_| async { Ok::<_, ()>(()) })).unwrap().is_ok()
    };
    assert_eq!([call("a"), call("a"), call("b")], [true, false, true]);
    // A guard gives back what was not used, and nothing else.
    let c = callers.gate("c");
    Guard::try_acquire(&c, &timer).unwrap().cancel();
    Guard::try_acquire(&c, &timer).unwrap().release(Outcome::Failure);
    assert_eq!(Guard::try_acquire(&c, &timer).unwrap_err().retry_at, Some(at(SECOND)));
}

#[test]
fn tokens_come_back_wherever_the_key_is() {
    let table = table(slow(2), 10_000);
    for key in 0..10_000 {
        let tokens = table.try_acquire_n(&key, 2, at(0)).unwrap();
        assert_eq!(spend(&table, key, 0), limited_until(SECOND));
        table.cancel(&key, tokens, at(0));
    }
    assert_eq!(table.snapshot(at(0)).busy, 0);
    for key in 0..10_000 {
        assert!(table.try_acquire_n(&key, 2, at(0)).is_ok());
    }
    // Of a key that is forgotten: it is full as it is.
    let tokens = table.try_acquire(&10_000, at(3 * SECOND)).unwrap();
    let others = (20_000..70_000).filter(|&key| spend(&table, key, 9 * SECOND).is_ok());
    assert!(others.count() > 10_000);
    table.cancel(&10_000, tokens, at(9 * SECOND));
}

#[test]
fn what_takes_no_token_takes_no_place() {
    let table = table(slow(2), 1);
    for key in 0..1_000 {
        assert_eq!(table.try_acquire_n(&key, 0, at(0)).unwrap().count(), 0);
        let refused = table.try_acquire_n(&key, 3, at(0)).unwrap_err();
        assert_eq!(refused, Rejected { reason: Reason::OverBurst, retry_at: None });
    }
    assert_eq!(table.snapshot(at(0)).occupied, 0);
}

#[test]
fn settings_that_make_no_sense() {
    let setting = |made: Result<KeyedLimiter<u8>, ConfigError>| made.unwrap_err().setting;
    assert_eq!(setting(KeyedLimiter::new(slow(1), 0)), "capacity");
    assert_eq!(setting(KeyedLimiter::new(slow(1), (1 << 28) + 1)), "capacity");
}

/// Everybody waits for no longer than the bucket's own time and a second, for a token or a place.
#[test]
fn a_clock_that_steps_back() {
    let table = table(slow(2), 25);
    for key in 0..31 {
        table.try_acquire_n(&key, 2, at(3_600 * SECOND)).map(drop).unwrap();
    }
    for key in 0..31 {
        assert_eq!(spend(&table, key, 10 * SECOND), limited_until(11 * SECOND), "as if emptied just now");
    }
    let full = spend(&table, 99, 10 * SECOND).unwrap_err();
    assert_eq!((full.reason, full.retry_at), (Reason::KeysFull, Some(at(12 * SECOND))));

    // The new key is the first to learn of it.
    let full = spend(&table, 99, 5 * SECOND).unwrap_err();
    assert_eq!(full.retry_at, Some(at(7 * SECOND)));
    assert_eq!(spend(&table, 0, 6 * SECOND - 1), limited_until(6 * SECOND));
    assert_eq!(spend(&table, 99, 7 * SECOND), Ok(()));
}

#[test]
fn it_says_what_it_is() {
    let table = KeyedLimiter::<u64>::new(LeanQuota::new(2, Duration::from_secs(1)).unwrap(), 100).unwrap();
    assert_eq!(table.quota().burst(), 2);
    for key in 0..50 {
        let _ = table.try_acquire(&key, at(0)).unwrap();
    }
    let snapshot = table.snapshot(at(SECOND / 2 - 1));
    assert_eq!((snapshot.places, snapshot.occupied, snapshot.busy, snapshot.full), (124, 50, 50, 0));
    let snapshot = table.snapshot(at(SECOND / 2));
    assert_eq!((snapshot.occupied, snapshot.busy), (50, 0));
    assert!(!format!("{table:?}").is_empty());
}
