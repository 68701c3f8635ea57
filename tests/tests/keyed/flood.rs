//! More keys than places.

use fusebox::{GateKind, Keyed, Outcome, Reason, Rejected};
use fusebox_tests::Dice;

use crate::{NEW, OPEN, at, breaker, call, sharded};

#[test]
fn a_flood_of_new_keys_resets_no_tripped_one() {
    let table = sharded(1_024, 4);
    // Each shard has place for more than these.
    (0..150).for_each(|key| call(&table, key, Outcome::Failure, at(key)).unwrap());
    let step = OPEN / 1_000_000;
    for n in 0..1_000_000 {
        let now = at(150 + n * (step - 1));
        call(&table, NEW + n, Outcome::Success, now).unwrap();
        if n % 1_000 == 0 {
            assert!(table.len() <= 1_024);
            (150..250).for_each(|key| call(&table, key, Outcome::Success, now).unwrap()); // healthy ones
        }
    }
    assert_eq!(table.snapshot().len, 1_024);
    for key in 0..150 {
        let refused = Rejected { reason: Reason::Open, retry_at: Some(at(OPEN + key)) };
        assert_eq!(table.try_acquire(&key, at(OPEN + key - 1)), Err(refused));
        call(&table, key, Outcome::Success, at(OPEN + key)).unwrap();
    }
}

#[test]
fn a_flood_does_not_reset_in_the_small_table_either() {
    let mut table = Keyed::<u64, _, 16>::new(breaker());
    for key in 0..15 {
        let permit = table.try_acquire(&key, at(key)).unwrap();
        table.release(permit, Outcome::Failure, at(key));
    }
    for n in 0..1_000_000 {
        let permit = table.try_acquire(&(NEW + n), at(20 + n)).unwrap();
        table.release(permit, Outcome::Success, at(20 + n));
    }
    assert_eq!((table.len(), table.snapshot().evicted), (16, 999_999));
    for key in 0..15 {
        assert_eq!(table.try_acquire(&key, at(OPEN + key - 1)).unwrap_err().retry_at, Some(at(OPEN + key)));
        assert!(table.try_acquire(&key, at(OPEN + key)).is_ok());
    }
}

#[test]
fn full_is_honest_in_every_shard() {
    let table = sharded(2_000, 8);
    let mut dice = Dice::new(1);
    // As many as it takes to fill every shard with open breakers, then asked in any order: each ask is a use.
    let mut now = 0;
    for n in 0..10_000 {
        now += dice.below(1_000);
        let key = if n < 3_000 { n } else { dice.below(3_000) };
        let _ = call(&table, key, Outcome::Failure, at(now));
    }
    assert_eq!(table.len(), 2_000);
    let (mut refused, mut early) = (0, 0);
    for key in NEW..NEW + 3_000 {
        let Err(first) = call(&table, key, Outcome::Failure, at(now)) else { continue };
        let first = first.retry_at.unwrap();
        assert!(first > at(now));
        refused += 1;
        // A nanosecond before, a search goes on: to a key that rests by then, or one that will do so earlier.
        now = first.as_nanos() - 1;
        let Err(second) = call(&table, key, Outcome::Failure, at(now)) else {
            early += 1;
            continue;
        };
        assert_eq!((second.reason, second.retry_at), (Reason::KeysFull, Some(first)));
        now = first.as_nanos();
        assert_eq!(call(&table, key, Outcome::Failure, first), Ok(()));
    }
    assert!(early > 20 && refused - early > 20, "{refused} {early}");
}

#[test]
fn full_of_open_breakers_until_the_first_may_go() {
    let full = |last: u64| {
        let table = sharded(8, 1);
        (0..8).for_each(|key| call(&table, key, Outcome::Failure, at(100 - key)).unwrap());
        (1..=3).for_each(|now| assert!(table.try_acquire(&NEW, at(100 + now)).is_err()));
        call(&table, NEW, Outcome::Success, at(last))
    };
    let retry_at = full(150).unwrap_err().retry_at.unwrap();
    assert_eq!(retry_at, at(93 + breaker().longest_refusal())); // idle since its failure, for as long as it can refuse
    assert_eq!(full(retry_at.as_nanos() - 1).unwrap_err().retry_at, Some(retry_at));
    assert_eq!(full(retry_at.as_nanos()), Ok(()));
}
