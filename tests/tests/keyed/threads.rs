//! Many threads at one table.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use fusebox::{GateKind, Instant, Outcome, Reason, Rejected};
use fusebox_tests::Dice;
use fusebox_tokio::ShardedKeyed;

use crate::{OPEN, at, call, sharded};

/// Counts what its gates are asked and told.
#[derive(Default)]
struct Teller {
    fresh: AtomicU32,
    asked: AtomicU32,
    told: AtomicU32,
    cancelled: AtomicU32,
}

fn count(counter: &AtomicU32) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn total(counter: &AtomicU32) -> u32 {
    counter.load(Ordering::Relaxed)
}

impl GateKind for Teller {
    /// Asked, come back.
    type State = (u32, u32);
    type Permit = ();
    const FRESH: (u32, u32) = (0, 0);

    fn try_acquire(&self, state: &mut (u32, u32), _now: Instant) -> Result<(), Rejected> {
        if state.0 == 0 {
            count(&self.fresh);
        }
        count(&self.asked);
        state.0 += 1;
        Ok(())
    }
    fn release(&self, state: &mut (u32, u32), (): (), _outcome: Outcome, _now: Instant) {
        state.1 += 1;
        count(&self.told);
    }
    fn cancel(&self, state: &mut (u32, u32), (): (), _now: Instant) {
        state.1 += 1;
        count(&self.cancelled);
    }
    fn poll_timeout(&self, _state: &(u32, u32)) -> Option<Instant> {
        None
    }
    fn handle_timeout(&self, _state: &mut (u32, u32), _now: Instant) {}
    fn rests_at(&self, state: &(u32, u32)) -> Option<Instant> {
        (!state.0.is_multiple_of(3)).then_some(Instant::EPOCH)
    }
    fn is_held(&self, _state: &(u32, u32)) -> bool {
        false
    }
    fn longest_refusal(&self) -> u64 {
        0
    }
}

/// Four threads over `keys` keys; how many permits each got, gave back and cancelled, and how many places were refused.
fn hammer(table: &ShardedKeyed<u32, Teller>, keys: u32) -> (u32, u32, u32, u32) {
    let run = |seed| {
        let mut dice = Dice::new(seed);
        let (mut sum, mut held) = ((0, 0, 0, 0), vec![]);
        for n in 0..50_000 {
            let now = at(n);
            match table.try_acquire(&dice.below(keys), now) {
                Ok(permit) => {
                    sum.0 += 1;
                    held.push(permit);
                }
                Err(refused) => {
                    assert_eq!(refused.reason, Reason::KeysFull);
                    sum.3 += 1;
                }
            }
            while held.len() > dice.below(8) || n == 49_999 {
                let Some(permit) = held.pop() else { break };
                if dice.below(4) == 0 {
                    sum.2 += 1;
                    table.cancel(permit, now);
                } else {
                    sum.1 += 1;
                    table.release(permit, Outcome::Success, now);
                }
            }
        }
        sum
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|seed| scope.spawn(move || run(seed))).collect();
        let sums = threads.into_iter().map(|thread| thread.join().unwrap());
        sums.fold((0, 0, 0, 0), |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2, a.3 + b.3))
    })
}

#[test]
fn threads_lose_and_invent_nothing() {
    let table = ShardedKeyed::builder(Teller::default(), 512).idle(Duration::from_secs(1)).shards(4).build().unwrap();
    let (got, back, cancelled, full) = hammer(&table, 200);
    let teller = table.kind();
    assert_eq!((total(&teller.asked), total(&teller.told), total(&teller.cancelled)), (got, back, cancelled));
    assert_eq!((back + cancelled, full, table.len()), (got, 0, 200));
    let mut sum = (0, 0);
    table.for_each(|_, _, state| sum = (sum.0 + state.0, sum.1 + state.1));
    assert_eq!(sum, (got, got));
}

#[test]
fn threads_and_evictions_lose_and_invent_nothing() {
    let table = ShardedKeyed::builder(Teller::default(), 64).idle(Duration::from_nanos(50)).shards(4).build().unwrap();
    let (got, back, cancelled, full) = hammer(&table, 400);
    let (teller, snapshot) = (table.kind(), table.snapshot());
    assert_eq!((total(&teller.asked), snapshot.full), (got, full));
    assert!(total(&teller.told) <= back && total(&teller.cancelled) <= cancelled);
    assert_eq!((snapshot.len, total(&teller.fresh)), (64, 64 + snapshot.evicted));
    assert!(snapshot.evicted > 1_000, "{snapshot:?}");
    // The index finds each key that is there, and no other.
    let mut keys = vec![];
    table.for_each(|key, _, state| keys.push((*key, *state)));
    for (key, state) in &keys {
        assert!(state.1 <= state.0);
        assert_eq!(table.get(key, |_, found| *found), Some(*state));
    }
    let found = (0..400).filter(|key| table.get(key, |_, _| ()).is_some());
    assert_eq!(found.count(), 64);
}

#[test]
fn one_trial_for_each_key_whoever_asks() {
    let table = sharded(256, 4);
    (0..100).for_each(|key| call(&table, key, Outcome::Failure, at(0)).unwrap());
    let ask = || (0..100).filter(|key| table.try_acquire(key, at(OPEN)).is_ok()).count();
    let granted: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(granted, 100);
}

#[test]
fn a_panic_under_the_lock_leaves_the_table_usable() {
    let table = sharded(2, 1);
    call(&table, 0, Outcome::Failure, at(0)).unwrap();
    thread::scope(|scope| {
        let panicking = || table.with(&1, at(0), |_, _| assert!(table.kind().longest_refusal() == 0, "on purpose"));
        assert!(scope.spawn(panicking).join().is_err());
    });
    assert_eq!(table.try_acquire(&0, at(0)).unwrap_err().reason, Reason::Open);
    call(&table, 1, Outcome::Success, at(0)).unwrap();
    call(&table, 2, Outcome::Success, at(0)).unwrap();
    assert_eq!(table.snapshot().evicted, 1);
}
