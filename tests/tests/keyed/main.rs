//! Law: a bounded table of keyed gates forgets only keys at rest, and says so honestly when it cannot.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
#![allow(missing_docs, clippy::integer_division, clippy::missing_const_for_fn, clippy::cast_possible_truncation)]

mod flood;
mod limiter;
mod model;
mod threads;

use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::time::Duration;

use fusebox::{
    BreakerConfig, Clock, Consecutive, Entropy, Guard, Instant, Outcome, Reason, Rejected, RetryPolicy, SharedGate,
    State,
};
use fusebox_drive::Pipeline;
use fusebox_tests::ManualTimer;
use fusebox_tokio::ShardedKeyed;

fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

type Config = BreakerConfig<Consecutive>;

const OPEN: u64 = 30_000_000_000;

/// One failure opens for 30 s.
fn breaker() -> Config {
    BreakerConfig::builder(Consecutive::new(1).unwrap())
        .open_for(Duration::from_nanos(OPEN))
        .trial_ttl(Duration::from_nanos(OPEN))
        .build()
        .unwrap()
}

/// Hashes a number to itself.
#[derive(Default)]
struct Itself(u64);

impl Hasher for Itself {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _bytes: &[u8]) {}
    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

/// Hashed without chance, so that a run is like the next.
type Table = ShardedKeyed<u64, Config, BuildHasherDefault<Itself>>;

fn sharded(capacity: usize, shards: usize) -> Table {
    let builder = ShardedKeyed::builder(breaker(), capacity).idle(Duration::ZERO).shards(shards);
    builder.hasher(BuildHasherDefault::default()).build().unwrap()
}

fn call(table: &Table, key: u64, outcome: Outcome, now: Instant) -> Result<(), Rejected> {
    table.try_acquire(&key, now).map(|permit| table.release(permit, outcome, now))
}

const NEW: u64 = 1 << 32;

#[test]
fn outcomes_of_a_forgotten_key_are_dropped() {
    let table = sharded(1, 1);
    let permits = [table.try_acquire(&1, at(0)).unwrap(), table.try_acquire(&1, at(0)).unwrap()];
    call(&table, 2, Outcome::Success, at(0)).unwrap();
    let [one, other] = permits;
    table.release(one, Outcome::Failure, at(0));
    call(&table, 1, Outcome::Success, at(0)).unwrap();
    table.release(other, Outcome::Failure, at(0));
    assert_eq!(table.get(&1, |_, breaker| breaker.state()), Some(State::Closed));
    assert_eq!(table.get(&2, |_, _| ()), None);
}

#[test]
fn forced_open_stays() {
    let table = sharded(4, 1);
    table.with(&0, at(0), |_, breaker| breaker.force_open(at(0))).unwrap();
    (0..1_000).for_each(|n| call(&table, NEW + n, Outcome::Success, at(n * OPEN)).unwrap());
    assert_eq!(table.try_acquire(&0, at(1_000 * OPEN)).unwrap_err().reason, Reason::ForcedOpen);
}

#[test]
fn one_endpoint_down_does_not_stop_the_other() {
    let endpoints: ShardedKeyed<String, Config> = ShardedKeyed::builder(breaker(), 100).build().unwrap();
    let timer = ManualTimer::default();
    let call = |endpoint: &str| {
        let pipeline = Pipeline::new(&timer, endpoints.gate(endpoint), RetryPolicy::ONCE, Entropy::new(1));
        let answer = pipeline.call(|_| async { if endpoint == "a" { Err("down") } else { Ok(()) } });
        timer.block_on(answer).unwrap().map_err(|error| error.last)
    };
    assert_eq!([call("a"), call("a"), call("b")], [Err(Some("down")), Err(None), Ok(())]);
    assert_eq!(endpoints.len(), 2);
    // And the guard gives back what it holds.
    let b = endpoints.gate("b");
    drop(Guard::try_acquire(&b, &timer).unwrap());
    Guard::try_acquire(&b, &timer).unwrap().cancel();
    assert_eq!(endpoints.get("b", |_, breaker| breaker.state()), Some(State::Closed));
    Guard::try_acquire(&b, &timer).unwrap().release(Outcome::Failure);
    assert!(b.try_acquire(timer.now()).is_err());
}

#[test]
fn a_weak_hash_still_uses_all_shards() {
    let weak = BuildHasherDefault::<Itself>::default();
    assert_eq!(weak.hash_one(7_u64), 7);
    for stride in [1, 2, 64, 1_000, 1 << 20, 1 << 40] {
        let table = ShardedKeyed::builder(breaker(), 1_000).shards(8).hasher(weak.clone()).build().unwrap();
        for n in 0..500_u64 {
            let permit = table.try_acquire(&(n * stride), at(0)).unwrap();
            table.release(permit, Outcome::Failure, at(0)); // a shard that is full would refuse
        }
        assert_eq!(table.len(), 500, "{stride}");
    }
}

#[test]
fn capacity_is_exact_however_many_shards() {
    for (capacity, shards) in [(1, 1), (3, 2), (100, 64), (1_001, 16)] {
        let table = sharded(capacity, shards);
        assert_eq!(table.snapshot().capacity, capacity);
        (0..50_000).for_each(|key| call(&table, key, Outcome::Success, at(0)).unwrap());
        assert_eq!(table.len(), capacity);
    }
    for capacity in [1, 10, 127, 256, 1_000_000] {
        let table: ShardedKeyed<u64, _> = ShardedKeyed::builder(breaker(), capacity).build().unwrap();
        assert_eq!(table.snapshot().capacity, capacity);
        assert!(table.is_empty() && table.poll_timeout().is_none());
    }
}

#[test]
fn settings_that_make_no_sense() {
    let setting = |capacity, shards| {
        ShardedKeyed::<u8, _>::builder(breaker(), capacity).shards(shards).build().unwrap_err().setting
    };
    assert_eq!(setting(0, 1), "capacity");
    for shards in [0, 3, 16, 1 << 17] {
        assert_eq!(setting(if shards > 16 { 1 << 20 } else { 8 }, shards), "shards");
    }
}

#[test]
fn timers_of_all_shards() {
    let table = sharded(64, 8);
    (0..20).for_each(|key| call(&table, key, Outcome::Failure, at(key)).unwrap());
    assert_eq!(table.poll_timeout(), Some(at(OPEN)));
    table.handle_timeout(at(OPEN + 10));
    let mut half_open = 0;
    table.for_each(|_, _, breaker| half_open += u32::from(breaker.state() == State::HalfOpen));
    assert_eq!((half_open, table.poll_timeout()), (11, Some(at(OPEN + 11))));
}
