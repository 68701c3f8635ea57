#![allow(clippy::panic, reason = "a test fails by panicking")]

extern crate std;

use core::num::NonZeroU16;
use core::time::Duration;

use super::*;
use crate::{ConfigError, Quota, Reason};

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// One every 10 ms.
fn rate(burst: u32) -> Quota {
    Quota::per_second(100).unwrap().with_burst(burst).unwrap()
}

fn plain() -> LevelBuilder {
    LevelConfig::builder()
}

fn queue<const N: usize, const C: usize>(builder: LevelBuilder) -> LevelingQueue<u32, N, C> {
    LevelingQueue::new(builder.build().unwrap())
}

/// What a pop says, without the times.
fn pop<const N: usize, const C: usize>(queue: &mut LevelingQueue<u32, N, C>, now: Instant) -> Result<u32, (u32, Why)> {
    match queue.pop(now) {
        Popped::Serve(queued) => Ok(queued.item),
        Popped::Unserved(unserved) => Err((unserved.queued.item, unserved.why)),
        other => panic!("{other:?}"),
    }
}

fn wait<const N: usize, const C: usize>(queue: &mut LevelingQueue<u32, N, C>, now: Instant) -> Instant {
    match queue.pop(now) {
        Popped::Wait { until } => until,
        other => panic!("{other:?}"),
    }
}

#[test]
fn first_in_first_out_at_the_rate() {
    let mut q = queue::<4, 1>(plain().rate(rate(2)));
    for item in 0..4 {
        assert_eq!(q.push(item, Terms::NONE, at(0)), Ok(None));
    }
    assert_eq!((pop(&mut q, at(0)), pop(&mut q, at(0))), (Ok(0), Ok(1)));
    assert_eq!((wait(&mut q, at(0)), wait(&mut q, at(9))), (at(10), at(10)));
    assert_eq!((q.due(at(9)), q.due(at(11))), (Some(at(10)), Some(at(11))));
    assert_eq!(pop(&mut q, at(10)), Ok(2));
    let Popped::Serve(last) = q.pop(at(25)) else { panic!() };
    assert_eq!(last, Queued { item: 3, class: 0, since: at(0), deadline: None });
    assert_eq!((q.pop(at(25)), q.due(at(25))), (Popped::Empty, None));
    let seen = q.snapshot(at(25));
    assert_eq!((seen.len, seen.longest, seen.served, seen.oldest_nanos), (0, 4, 4, 0));
}

#[test]
fn nothing_is_served_at_or_after_its_deadline() {
    let mut q = queue::<4, 1>(plain().max_wait(ms(50)));
    assert_eq!(q.push(0, Terms::by(at(20)), at(0)), Ok(None));
    assert_eq!(q.push(1, Terms::by(at(19)), at(0)), Ok(None));
    assert_eq!(q.push(2, Terms::by(at(99)), at(0)), Ok(None));
    assert_eq!(q.push(3, Terms::NONE, at(1)), Ok(None));
    assert_eq!(pop(&mut q, at(19)), Ok(0));
    assert_eq!(pop(&mut q, at(19)), Err((1, Why::Expired)));
    assert_eq!(pop(&mut q, at(50)), Err((2, Why::Expired)), "max_wait");
    assert_eq!(pop(&mut q, at(50)), Ok(3));
    let refused = q.push(4, Terms::by(at(50)), at(50)).unwrap_err();
    assert_eq!((refused.item, refused.rejected.reason, refused.rejected.retry_at), (4, Reason::TooLate, None));
}

#[test]
fn who_waits_for_a_token_hears_of_a_deadline_first() {
    let mut q = queue::<4, 2>(plain().rate(rate(1)));
    for (item, terms) in [(0, Terms::NONE), (1, Terms::NONE), (2, Terms::class(1).until(at(4)))] {
        assert_eq!(q.push(item, terms, at(0)), Ok(None));
    }
    assert_eq!(pop(&mut q, at(0)), Ok(0));
    assert_eq!((wait(&mut q, at(0)), q.due(at(0))), (at(4), Some(at(4))));
    assert_eq!(pop(&mut q, at(4)), Err((2, Why::Expired)), "though another class is first");
    assert_eq!(wait(&mut q, at(4)), at(10));
}

#[test]
fn a_full_queue_refuses_and_says_when_the_rate_frees_a_place() {
    let mut q = queue::<2, 1>(plain().rate(rate(1)));
    let when = |q: &mut LevelingQueue<u32, 2>, now| {
        let refused = q.push(9, Terms::NONE, now).unwrap_err();
        assert_eq!((refused.item, refused.rejected.reason), (9, Reason::QueueFull));
        refused.rejected.retry_at
    };
    assert_eq!((q.push(0, Terms::NONE, at(0)), q.push(1, Terms::by(at(30)), at(0))), (Ok(None), Ok(None)));
    assert_eq!(when(&mut q, at(0)), None, "whoever pops gets one now");
    assert_eq!(pop(&mut q, at(0)), Ok(0));
    assert_eq!(q.push(2, Terms::NONE, at(0)), Ok(None));
    assert_eq!(when(&mut q, at(0)), Some(at(10)));
    assert_eq!(when(&mut q, at(15)), Some(at(30)), "then the oldest gives up");
    let Ok(Some(gone)) = q.push(3, Terms::NONE, at(30)) else { panic!() };
    assert_eq!((gone.queued.item, gone.why), (1, Why::Expired));
    assert_eq!(q.snapshot(at(30)).refused, 3);
}

#[test]
fn who_gives_way() {
    let fill = |overflow, classes: [u8; 3]| {
        let mut q = queue::<3, 3>(plain().overflow(overflow));
        for (item, class) in (0..).zip(classes) {
            assert_eq!(q.push(item, Terms::class(class), at(0)), Ok(None));
        }
        move |class| {
            let answer = q.clone().push(9, Terms::class(class), at(1));
            answer.map(|gone| gone.map(|gone| (gone.queued.item, gone.why))).map_err(|refused| refused.item)
        }
    };
    let gone = |item| Ok(Some((item, Why::Displaced)));
    let refuse = fill(Overflow::RefuseNewest, [2, 2, 2]);
    assert_eq!((refuse(0), refuse(2)), (Err(9), Err(9)));
    let oldest = fill(Overflow::DropOldest, [1, 2, 2]);
    assert_eq!((oldest(0), oldest(1), oldest(2), oldest(7)), (gone(1), gone(1), gone(1), gone(1)));
    let oldest = fill(Overflow::DropOldest, [0, 1, 1]);
    assert_eq!((oldest(1), oldest(2)), (gone(1), Err(9)));
    let lowest = fill(Overflow::DropLowest, [1, 2, 2]);
    assert_eq!((lowest(0), lowest(1), lowest(2)), (gone(2), gone(2), Err(9)));
    let lowest = fill(Overflow::DropLowest, [0, 1, 1]);
    assert_eq!((lowest(0), lowest(1), lowest(2)), (gone(2), Err(9), Err(9)));
}

#[test]
fn higher_classes_first_and_they_starve_the_others() {
    let mut q = queue::<4, 3>(plain());
    for (item, class) in [(0, 2), (1, 1), (2, 0), (3, 200)] {
        assert_eq!(q.push(item, Terms::class(class), at(0)), Ok(None));
    }
    for item in 4..8 {
        assert_eq!(pop(&mut q, at(1)), Ok(if item == 4 { 2 } else { item - 1 }));
        assert_eq!(q.push(item, Terms::NONE, at(1)), Ok(None));
    }
    let rest: std::vec::Vec<_> = q.drain().map(|queued| (queued.item, queued.class)).collect();
    assert_eq!(rest, [(7, 0), (1, 1), (0, 2), (3, 2)]);
    assert_eq!(q.snapshot(at(1)).handed_back, 4);
}

#[test]
fn newest_first_from_a_length_on() {
    let mut q = queue::<8, 1>(plain().order(Order::LifoFrom(NonZeroU16::new(3).unwrap())));
    for item in 0..4 {
        assert_eq!(q.push(item, Terms::NONE, at(0)), Ok(None));
    }
    assert_eq!(q.poll_event(), Some(Load { overloaded: true, at: at(0) }));
    assert_eq!(pop(&mut q, at(1)), Ok(3));
    assert_eq!(pop(&mut q, at(2)), Ok(2));
    assert_eq!(q.poll_event(), Some(Load { overloaded: false, at: at(2) }));
    assert_eq!((pop(&mut q, at(3)), pop(&mut q, at(3)), q.poll_event()), (Ok(0), Ok(1), None));
}

#[test]
fn overload_sheds_what_is_old_and_serves_what_is_new() {
    let codel = Codel::new(ms(5), ms(100)).unwrap();
    let mut q = queue::<16, 1>(plain().codel(codel).order(Order::LifoOverloaded));
    for item in 0..8 {
        assert_eq!(q.push(item, Terms::NONE, at(0)), Ok(None));
    }
    assert_eq!(pop(&mut q, at(50)), Ok(0));
    assert_eq!(q.shortest_wait(0), 50_000_000);
    assert_eq!(pop(&mut q, at(101)), Ok(1), "the first of an interval");
    assert_eq!(q.poll_event(), Some(Load { overloaded: true, at: at(101) }));
    assert_eq!(q.push(8, Terms::NONE, at(101)), Ok(None));
    assert_eq!(q.push(9, Terms::by(at(103)), at(101)), Ok(None));
    for item in 2..8 {
        let popped = pop(&mut q, at(102));
        assert_eq!(popped, Err((item, Why::Overloaded)));
    }
    assert_eq!(pop(&mut q, at(103)), Err((9, Why::Expired)), "the newest, but too late");
    assert_eq!(pop(&mut q, at(103)), Ok(8));
    assert!(!q.snapshot(at(103)).overloaded, "nothing waits");
    assert_eq!((q.snapshot(at(103)).shed, q.snapshot(at(103)).expired, q.snapshot(at(103)).served), (6, 1, 3));
}

#[test]
fn what_is_not_served_costs_no_token() {
    let codel = Codel::new(ms(5), ms(100)).unwrap();
    let mut q = queue::<8, 1>(plain().codel(codel).rate(rate(1)));
    for item in 0..6 {
        assert_eq!(q.push(item, Terms::NONE, at(0)), Ok(None));
    }
    assert_eq!((pop(&mut q, at(50)), pop(&mut q, at(101))), (Ok(0), Ok(1)));
    assert_eq!(wait(&mut q, at(105)), at(111), "no token, no verdict");
    assert_eq!(pop(&mut q, at(111)), Err((2, Why::Overloaded)));
    assert_eq!(pop(&mut q, at(111)), Err((3, Why::Overloaded)));
    q.set_codel(None);
    assert_eq!(pop(&mut q, at(111)), Ok(4));
    assert_eq!(wait(&mut q, at(111)), at(121));
}

#[test]
fn what_cannot_make_it_is_refused_at_once() {
    let mut q = queue::<8, 2>(plain().rate(rate(2)).refuse_late());
    // Two tokens now, then one every 10 ms: the fourth is served at 20 ms.
    for item in 0..3 {
        assert_eq!(q.push(item, Terms::class(1), at(0)), Ok(None));
    }
    let ask = |terms: Terms| q.clone().push(9, terms, at(0)).map_err(|refused| refused.rejected.reason);
    assert_eq!(ask(Terms::class(1).until(at(20))), Err(Reason::WouldBeLate));
    assert_eq!(ask(Terms::class(1).until(at(21))), Ok(None));
    assert_eq!(ask(Terms::class(0).until(at(1))), Ok(None), "nothing is before it");
    assert_eq!(pop(&mut q, at(0)), Ok(0));
    let refused = q.push(9, Terms::class(1).until(at(20)), at(0)).unwrap_err();
    assert_eq!((refused.rejected.reason, refused.rejected.retry_at), (Reason::WouldBeLate, None));
    assert_eq!(q.push(9, Terms::class(1).until(at(21)), at(0)), Ok(None));
    assert_eq!((pop(&mut q, at(0)), pop(&mut q, at(10)), pop(&mut q, at(20))), (Ok(1), Ok(2), Ok(9)));
}

#[test]
fn what_gives_way_is_not_waited_for() {
    let mut q = queue::<2, 1>(plain().rate(rate(1)).refuse_late().overflow(Overflow::DropOldest));
    assert_eq!((q.push(0, Terms::NONE, at(0)), q.push(1, Terms::NONE, at(0))), (Ok(None), Ok(None)));
    let gone = q.push(2, Terms::by(at(11)), at(0)).unwrap().unwrap();
    assert_eq!((gone.queued.item, gone.why), (0, Why::Displaced));
    assert_eq!((pop(&mut q, at(0)), pop(&mut q, at(10))), (Ok(1), Ok(2)));
}

#[test]
fn a_clock_that_steps_back_takes_everything_with_it() {
    let mut q = queue::<4, 1>(plain());
    assert_eq!(q.push(0, Terms::by(at(1_010)), at(1_000)), Ok(None));
    assert_eq!(q.push(1, Terms::by(at(1_020)), at(1_004)), Ok(None));
    // An hour back, or so: 4 ms had gone by for the first, and 6 are left.
    assert_eq!(q.push(2, Terms::by(at(60)), at(50)), Ok(None));
    assert_eq!(q.snapshot(at(50)).oldest_nanos, 4_000_000);
    assert_eq!(pop(&mut q, at(56)), Err((0, Why::Expired)));
    let Popped::Serve(queued) = q.pop(at(56)) else { panic!() };
    assert_eq!((queued.item, queued.since, queued.deadline), (1, at(50), Some(at(66))));
    assert_eq!(pop(&mut q, at(60)), Err((2, Why::Expired)));
}

#[test]
fn the_end_of_time_is_no_panic() {
    let mut q = queue::<4, 2>(plain().rate(rate(1)).max_wait(ms(10)).codel(Codel::DEFAULT).refuse_late());
    for now in [Instant::MAX, Instant::EPOCH, at(5), Instant::MAX, Instant::EPOCH, Instant::EPOCH, Instant::MAX] {
        for class in 0..3 {
            let _ = q.push(1, Terms::class(class), now);
            let _ = q.pop(now);
        }
    }
}

#[test]
fn closed_takes_nothing_in_and_lets_all_out() {
    let mut q = queue::<4, 1>(plain());
    assert_eq!(q.push(0, Terms::NONE, at(0)), Ok(None));
    q.close();
    assert_eq!(q.push(1, Terms::NONE, at(0)).unwrap_err().rejected.reason, Reason::Closed);
    assert_eq!(pop(&mut q, at(0)), Ok(0));
    assert!(q.is_closed() && q.is_empty() && q.snapshot(at(0)).closed);
}

#[test]
fn nonsense_is_refused_by_name() {
    let setting = |config: Result<LevelConfig, ConfigError>| config.unwrap_err().setting;
    assert_eq!(setting(plain().max_wait(Duration::ZERO).build()), "max_wait");
    assert_eq!(setting(plain().order(Order::LifoOverloaded).build()), "order");
    assert_eq!(setting(plain().refuse_late().build()), "refuse_late");
    assert_eq!(Codel::new(Duration::ZERO, ms(1)).unwrap_err().setting, "target");
    assert_eq!(Codel::new(ms(5), ms(5)).unwrap_err().setting, "interval");
    assert_eq!(Codel::new(ms(5), ms(100)).unwrap(), Codel::DEFAULT);
}

#[test]
fn items_are_kept_inline() {
    assert_eq!(size_of::<LevelingQueue<u32, 33>>() - size_of::<LevelingQueue<u32, 32>>(), 32);
}

static OUTBOX: std::sync::Mutex<LevelingQueue<u8, 4, 2>> =
    std::sync::Mutex::new(LevelingQueue::new(crate::checked!(LevelConfig::builder().codel(Codel::DEFAULT).build())));

#[test]
fn a_static_holds_one() {
    assert!(OUTBOX.lock().unwrap().push(1, Terms::NONE, at(0)).is_ok());
}
