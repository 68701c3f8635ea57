//! The twin, used by many threads at once.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use fusebox::{Reason, SharedGate, sync};
use fusebox_tests::Dice;

use super::{at, limit, refused};

/// Never more at once than the limit, counted beside it; and all comes back.
#[test]
fn the_limit_holds_and_nothing_is_lost() {
    const LIMIT: u32 = 5;
    const EACH: u32 = 100_000;
    let bulkhead = sync::Bulkhead::new(limit(LIMIT));
    let (inside, asked_in_vain, most) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
    let (b, counter, in_vain, record) = (&bulkhead, &inside, &asked_in_vain, &most);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                let mut dice = Dice::new(thread);
                for _ in 0..EACH {
                    let n = 1 + dice.below(3);
                    match b.try_acquire_n(n, at(0)) {
                        Ok(permit) => {
                            let now_inside = counter.fetch_add(n, Ordering::SeqCst) + n;
                            assert!(now_inside <= LIMIT, "{now_inside} at once");
                            record.fetch_max(now_inside, Ordering::SeqCst);
                            if dice.below(50) == 0 {
                                std::thread::yield_now();
                            }
                            counter.fetch_sub(n, Ordering::SeqCst);
                            b.cancel(permit, at(0));
                        }
                        Err(rejected) => {
                            assert_eq!(rejected, refused(Reason::InFlight));
                            in_vain.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                }
            });
        }
    });
    let told = bulkhead.snapshot();
    println!("{} calls of 4 threads, {told:?}, {} seen at once", 4 * EACH, most.load(Ordering::SeqCst));
    assert_eq!((told.in_flight, told.refused), (0, asked_in_vain.into_inner()));
    assert!(told.highest >= most.into_inner() && told.highest <= LIMIT);
}

#[test]
fn the_permit_of_another_bulkhead_locks_nothing() {
    let (one, other) = (sync::Bulkhead::new(limit(1)), sync::Bulkhead::new(limit(9)));
    let foreign = other.try_acquire_n(9, at(0)).unwrap();
    let own = one.try_acquire(at(0)).unwrap();
    one.cancel(foreign, at(0));
    one.cancel(own, at(0));
    assert_eq!((one.in_flight(), one.snapshot().limit, other.in_flight()), (0, 1, 9));
    assert!(one.try_acquire(at(0)).is_ok());
}

/// While one thread moves the limit, nothing is lost, no limit is, and no grant exceeds the highest one.
#[test]
fn resizing_loses_nothing() {
    const HIGHEST: u32 = 6;
    let bulkhead = sync::Bulkhead::new(limit(HIGHEST));
    let (inside, done) = (AtomicU32::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..3)
            .map(|thread| {
                let (bulkhead, inside) = (&bulkhead, &inside);
                scope.spawn(move || {
                    let (mut dice, mut held) = (Dice::new(100 + thread), vec![]);
                    for _ in 0..100_000 {
                        if dice.below(2) == 0 {
                            if let Ok(permit) = bulkhead.try_acquire(at(0)) {
                                assert!(inside.fetch_add(1, Ordering::SeqCst) < HIGHEST);
                                held.push(permit);
                            }
                        } else if let Some(permit) = dice.pick(&mut held) {
                            inside.fetch_sub(1, Ordering::SeqCst);
                            bulkhead.cancel(permit, at(0));
                        }
                    }
                    held.len()
                })
            })
            .collect();
        let (resized, stop) = (&bulkhead, &done);
        scope.spawn(move || {
            let mut dice = Dice::new(7);
            while !stop.load(Ordering::Relaxed) {
                let most = 1 + dice.below(HIGHEST);
                resized.resize(limit(most), at(0));
                assert_eq!(resized.snapshot().limit, most, "only this thread sets it");
            }
        });
        let held: usize = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
        done.store(true, Ordering::Relaxed);
        assert_eq!(bulkhead.in_flight() as usize, held);
    });
}
