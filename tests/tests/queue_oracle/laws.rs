//! Laws, each told without a model of the queue.

use std::collections::BTreeMap;

use fusebox::queue::{LevelConfig, LevelingQueue, Order, Overflow, Popped, Terms};
use fusebox::{Quota, Reason};
use fusebox_tests::Dice;

use super::{Setup, at, ns, tick};

/// Served in any interval: the burst, and one for each time of a token, at most.
fn check_rate(served: &[u64], cell: u64, burst: u64) {
    for (n, from) in served.iter().enumerate() {
        for (m, to) in served.iter().enumerate().skip(n) {
            let count = (m - n + 1) as u64;
            assert!(count <= burst + (to - from) / cell, "{count} from {from} to {to}");
        }
    }
}

#[test]
fn never_faster_than_the_rate_and_never_too_late() {
    let mut total = 0;
    for seed in 0..300 {
        let mut dice = Dice::new(seed);
        let (cell, burst) = (1 + dice.below(9), 1 + dice.below(5));
        let rate = Quota::new(1, ns(cell)).unwrap().with_burst(burst).unwrap();
        let setup = Setup { rate: Some(rate), ..Setup::random(&mut dice) };
        let mut queue: LevelingQueue<u64, 16, 2> = LevelingQueue::new(setup.config());
        // Forwards only: backwards the bucket has its own law. Deadlines are carried by the items.
        let (mut now, mut served) = (0, Vec::new());
        for _ in 0..600 {
            now += dice.below(3) * dice.below(3);
            let deadline = now + 1 + dice.below(60);
            let _ = queue.push(deadline, Terms::class(dice.below(2)).until(at(deadline)), at(now));
            if let Popped::Serve(queued) = queue.pop(at(now)) {
                assert!(now < queued.item, "served at {now}");
                served.push(now);
            }
        }
        total += served.len();
        check_rate(&served, cell, burst.into());
    }
    assert!(total > 20_000, "{total}");
}

/// Ages and what is left go by the time that went forwards, whatever the clock shows.
#[test]
fn backwards_time_is_no_time() {
    for seed in 0..300 {
        let mut dice = Dice::new(seed);
        let config = LevelConfig::builder().build().unwrap();
        let mut queue: LevelingQueue<u64, 8> = LevelingQueue::new(config);
        // `lived` is the time that went forwards. Far from both ends, nothing is cut off.
        let (mut now, mut lived) = (1_u64 << 40, 0);
        for _ in 0..2_000 {
            let next = match dice.below(20) {
                0 => now - dice.below(1 << 20),
                _ => now + dice.below(5),
            };
            lived += next.saturating_sub(now);
            now = next;
            if dice.one_in(2) {
                let left = 1 + dice.below(30);
                let _ = queue.push(lived + left, Terms::by(at(now + left)), at(now));
            } else {
                match queue.pop(at(now)) {
                    Popped::Serve(queued) => assert!(lived < queued.item, "expired, but served"),
                    Popped::Unserved(unserved) => assert!(lived >= unserved.queued.item, "not expired yet"),
                    Popped::Wait { .. } | Popped::Empty => {}
                }
            }
        }
    }
}

/// Within a class, without overload, nobody overtakes; between classes, nobody of a lower one goes first.
#[test]
fn in_order() {
    for seed in 0..200 {
        let mut dice = Dice::new(seed);
        let order = Order::Fifo;
        let setup = Setup { order, overflow: Overflow::RefuseNewest, refuse_late: false, ..Setup::random(&mut dice) };
        let mut queue: LevelingQueue<u32, 16, 3> = LevelingQueue::new(setup.config());
        let (mut now, mut waiting) = (0, BTreeMap::<u32, u8>::new());
        for id in 0..2_000 {
            now = tick(&mut dice, now);
            let class = dice.below(3);
            if dice.one_in(2)
                && let Ok(late) = queue.push(id, Terms::class(class), at(now))
            {
                waiting.insert(id, class);
                late.map(|late| waiting.remove(&late.queued.item));
            }
            match queue.pop(at(now)) {
                Popped::Serve(queued) => {
                    let first = waiting.iter().map(|(id, class)| (*class, *id)).min();
                    assert_eq!(first, Some((queued.class, queued.item)));
                    waiting.remove(&queued.item);
                }
                Popped::Unserved(unserved) => drop(waiting.remove(&unserved.queued.item)),
                Popped::Wait { .. } | Popped::Empty => {}
            }
        }
    }
}

/// What was let in makes it if it is asked for in time, and what was refused would not have.
#[test]
fn an_early_refusal_is_honest() {
    let (mut refused, mut served) = (0, 0);
    for seed in 0..300 {
        let mut dice = Dice::new(seed);
        let count = 1 + dice.below(3);
        let period = u64::from(count) * (1 + dice.below(9));
        let rate = Quota::new(count, ns(period)).unwrap().with_burst(1 + dice.below(3)).unwrap();
        let mut queue: LevelingQueue<u32, 32> =
            LevelingQueue::new(LevelConfig::builder().rate(rate).refuse_late().build().unwrap());
        let mut now = 0;
        for _ in 0..500 {
            let next = now + dice.below(8);
            // Whoever serves is there at once.
            while let Some(due) = queue.due(at(now)).filter(|due| *due <= at(next)) {
                match queue.pop(due) {
                    Popped::Serve(_) => served += 1,
                    other => panic!("{other:?} at {due}, seed {seed}"),
                }
                now = due.as_nanos();
            }
            now = next;
            let deadline = at(now + 1 + dice.below(60));
            let Err(no) = queue.push(0, Terms::by(deadline), at(now)) else { continue };
            if no.rejected.reason == Reason::WouldBeLate {
                refused += 1;
                let (mut rest, mut turn) = (queue.clone(), at(now));
                assert!(rest.push(1, Terms::NONE, at(now)).is_ok());
                while let Some(due) = rest.due(turn) {
                    let _ = rest.pop(due);
                    turn = due;
                }
                assert!(turn >= deadline, "would have been served at {turn}, wanted by {deadline}, seed {seed}");
            }
        }
    }
    println!("{served} served, {refused} refused because they would have been late");
    assert!(refused > 1_000 && served > 10_000);
}

/// A full queue's `retry_at`: then, and not before, there is a place, if somebody pops when something is due.
#[test]
fn a_refusal_says_when_to_come_back() {
    let mut checked = 0;
    for seed in 0..200 {
        let mut dice = Dice::new(seed);
        let rate = Quota::new(1, ns(1 + dice.below(9))).unwrap().with_burst(1).unwrap();
        let mut queue: LevelingQueue<u32, 4, 2> =
            LevelingQueue::new(LevelConfig::builder().rate(rate).max_wait(ns(30)).build().unwrap());
        let mut now = 0;
        for _ in 0..300 {
            now += dice.below(4);
            let _ = queue.pop(at(now));
            let terms = Terms::class(dice.below(2)).until(at(now + 1 + dice.below(40)));
            let Err(refused) = queue.push(0, terms, at(now)) else { continue };
            let Some(retry_at) = refused.rejected.retry_at else { continue };
            for (when, is_free) in [(retry_at.as_nanos() - 1, false), (retry_at.as_nanos(), true)] {
                let mut other = queue.clone();
                let _ = other.pop(at(when));
                assert_eq!(other.push(1, Terms::NONE, at(when)).is_ok(), is_free, "at {when}, seed {seed}");
            }
            checked += 1;
        }
    }
    assert!(checked > 1_000, "{checked}");
}
