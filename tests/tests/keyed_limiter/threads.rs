//! Many threads at one table.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::{hint, thread};

use fusebox::{LeanQuota, Reason};
use fusebox_tests::Dice;

use crate::{SECOND, at, slow, spend, table};

const THREADS: u32 = 4;

fn count(counter: &AtomicU32) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Runs `work` on all threads, each with dice of its own.
fn on_threads(work: impl Fn(&mut Dice) + Sync) {
    thread::scope(|scope| {
        for seed in 0..THREADS {
            let work = &work;
            scope.spawn(move || work(&mut Dice::new(seed)));
        }
    });
}

/// Few keys, always in debt: each may have what it had and what came in since, and gets nearly all of it.
#[test]
fn few_keys_get_burst_and_rate() {
    const KEYS: usize = 5;
    const CALLS: u64 = 200_000;
    let table = table(LeanQuota::new(1, std::time::Duration::from_nanos(100)).unwrap().with_burst(20).unwrap(), 10);
    let (clock, grants) = (AtomicU64::new(0), [const { AtomicU32::new(0) }; KEYS]);
    on_threads(|dice| {
        for _ in 0..CALLS {
            let now = clock.fetch_add(2, Ordering::SeqCst);
            let key = dice.below(KEYS);
            match table.try_acquire(&(key as u64), at(now)) {
                Ok(tokens) if dice.one_in(3) => table.cancel(&(key as u64), tokens, at(now)),
                Ok(_) => count(&grants[key]),
                Err(refused) => assert_eq!(refused.reason, Reason::RateLimited),
            }
        }
    });
    let most = 20 + clock.into_inner() / 100;
    for granted in grants.map(AtomicU32::into_inner).map(u64::from) {
        assert!(granted <= most, "{granted} of {most}");
        assert!(granted > most * 8 / 10, "{granted} of {most}");
    }
}

/// Two threads that ask for the same new key as much at once as can be.
#[test]
fn nobody_has_two_buckets() {
    const KEYS: usize = 30_000;
    // So full that they get places in both their groups.
    let table = table(slow(1), 3 * KEYS);
    (KEYS as u64..3 * KEYS as u64).for_each(|key| spend(&table, key, 0).unwrap());
    let (arrived, granted) = (AtomicUsize::new(0), AtomicU32::new(0));
    let ask_for_each = || {
        for key in 0..KEYS {
            arrived.fetch_add(1, Ordering::SeqCst);
            for waited in 0.. {
                if arrived.load(Ordering::SeqCst) > 2 * key + 1 {
                    break;
                }
                if waited < 1_000 { hint::spin_loop() } else { thread::yield_now() }
            }
            if spend(&table, key as u64, 0).is_ok() {
                count(&granted);
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(ask_for_each);
        ask_for_each();
    });
    assert_eq!(granted.into_inner() as usize, KEYS);
}

/// New keys, and ones that were forgotten, asked for the first time by all threads at once: nobody has two buckets.
/// A place is wanted by more keys than there are.
#[test]
fn a_new_key_has_one_bucket_whoever_asks() {
    const KEYS: usize = 400;
    let table = table(slow(2), 200);
    let grants: Vec<_> = (0..KEYS).map(|_| AtomicU32::new(0)).collect();
    let (round, full) = (Barrier::new(THREADS as usize), AtomicU32::new(0));
    // Not asserted where the others would wait for ever.
    let wrong = Mutex::new(vec![]);
    on_threads(|dice| {
        for epoch in 0..100 {
            // All are at rest again.
            let now = at(epoch * 3 * SECOND);
            for _ in 0..4 * KEYS {
                // At about the same time, mostly the same.
                let key = dice.below(KEYS);
                match table.try_acquire(&(key as u64), now) {
                    Ok(_) => count(&grants[key]),
                    Err(refused) if refused.reason == Reason::KeysFull => count(&full),
                    Err(_) => {}
                }
            }
            if round.wait().is_leader() {
                let grants: Vec<_> = grants.iter().map(|key| key.swap(0, Ordering::Relaxed)).collect();
                let (most, busy) = (grants.iter().max(), grants.iter().filter(|&&granted| granted > 0).count());
                if most > Some(&2) || busy < 200 || busy != table.snapshot(now).busy {
                    wrong.lock().unwrap().push((epoch, table.snapshot(now), grants));
                }
            }
            round.wait();
        }
    });
    assert_eq!(*wrong.lock().unwrap(), []);
    assert!(full.into_inner() > 1_000);
}
