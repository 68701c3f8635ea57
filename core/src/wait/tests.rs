use super::*;
use crate::{Bulkhead, Gate, Quota, TokenBucket};
use core::num::NonZeroU32;

fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

/// Nobody waits for longer than 100.
fn queue<const N: usize>() -> WaitQueue<N> {
    WaitQueue::new(Duration::from_nanos(100)).unwrap()
}

fn refused(reason: Reason) -> Rejected {
    Rejected { reason, retry_at: None }
}

fn full(_now: Instant) -> Result<(), Rejected> {
    Err(refused(Reason::InFlight))
}

fn waits<const N: usize>(queue: &mut WaitQueue<N>, deadline: Option<u64>, now: u64) -> Ticket {
    match queue.enter(deadline.map(at), at(now), full) {
        Ok(Asked::Wait { ticket, retry_at: None }) => ticket,
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn first_come_first_served() {
    let mut q = queue::<3>();
    assert_eq!(q.enter(None, at(0), Ok), Ok(Asked::Granted(at(0))));
    let tickets = [0, 1, 2].map(|now| waits(&mut q, None, now));
    let no_place = Rejected { reason: Reason::QueueFull, retry_at: Some(at(100)) };
    assert_eq!(q.enter(None, at(3), full), Err(no_place));
    for (now, is_free) in [(99, false), (100, true)] {
        assert_eq!(q.clone().enter(None, at(now), full).is_ok(), is_free);
    }
    // Who is not in front does not ask.
    for later in [tickets[1], tickets[2]] {
        let wait = Asked::Wait { ticket: later, retry_at: None };
        assert_eq!(q.ask(later, at(4), |_| -> Result<(), Rejected> { unreachable!() }), Ok(wait));
    }
    assert_eq!(q.try_acquire(at(4), Ok), Err(refused(Reason::OthersFirst)));
    for ticket in tickets {
        assert_eq!(q.front(), Some(ticket));
        assert_eq!(q.ask(ticket, at(5), Ok), Ok(Asked::Granted(at(5))));
        assert_eq!(q.ask(ticket, at(5), Ok), Err(refused(Reason::TooLate)), "only once");
    }
    assert_eq!(q.try_acquire(at(6), Ok), Ok(at(6)));
    assert_eq!(q.snapshot(), WaitSnapshot { len: 0, capacity: 3, longest: 3, full: 1, late: 0 });
}

#[test]
fn who_gives_up_hands_the_turn_on() {
    let mut q = queue::<3>();
    let [first, second, third] = [0, 0, 0].map(|now| waits(&mut q, None, now));
    assert!(q.cancel(second));
    assert!(q.cancel(first) && !q.cancel(first));
    assert_eq!((q.front(), q.len()), (Some(third), 1));
    let last = waits(&mut q, None, 1); // behind the third, although in a place before it
    assert_eq!(q.ask(last, at(1), Ok), Ok(Asked::Wait { ticket: last, retry_at: None }));
    assert!(third < last);
}

#[test]
fn a_deadline_ends_the_wait_at_that_instant() {
    let mut q = queue::<4>();
    let [first, second, third] = [Some(20), None, Some(10)].map(|deadline| waits(&mut q, deadline, 0));
    assert_eq!(q.poll_timeout(), Some(at(10)));
    assert_eq!(q.poll_late(at(9)), None);
    assert_eq!(q.ask(third, at(10), Ok), Err(refused(Reason::TooLate)));
    assert_eq!(q.ask(first, at(19), full), Ok(Asked::Wait { ticket: first, retry_at: None }));
    q.handle_timeout(at(20));
    assert_eq!(q.front(), Some(second));
    let last = waits(&mut q, Some(50), 30);
    assert_eq!([(); 3].map(|()| q.poll_late(at(100))), [Some(second), Some(last), None]);
    assert_eq!(q.enter(Some(at(100)), at(100), Ok), Err(refused(Reason::TooLate)));
    assert_eq!((q.snapshot().late, q.is_empty()), (5, true));
}

#[test]
fn who_was_lost_holds_up_the_line_for_max_wait_also_when_the_clock_steps_back() {
    let mut q = queue::<2>();
    let _lost = waits(&mut q, Some(10_000), 5_000);
    let next = waits(&mut q, None, 5_000);
    assert_eq!(q.poll_timeout(), Some(at(5_100)));
    q.handle_timeout(at(7));
    assert_eq!(q.poll_timeout(), Some(at(107)));
    let last = waits(&mut q, Some(1_000), 107);
    assert_eq!((q.front(), q.ask(next, at(107), Ok)), (Some(last), Err(refused(Reason::TooLate))));
}

#[test]
fn a_wait_in_vain_is_not_begun() {
    let mut q = queue::<2>();
    let mut bucket = TokenBucket::new(Quota::new(1, Duration::from_nanos(30)).unwrap());
    drop(bucket.try_acquire(at(0)).unwrap());
    let retry_at = Some(at(30));
    let limited = Rejected { reason: Reason::RateLimited, retry_at };
    assert_eq!(q.enter(Some(at(30)), at(0), |now| bucket.try_acquire(now)), Err(limited));
    let Ok(Asked::Wait { ticket, retry_at: told }) = q.enter(Some(at(31)), at(0), |now| bucket.try_acquire(now)) else {
        unreachable!()
    };
    assert_eq!(told, retry_at);
    let never = refused(Reason::OverBurst);
    assert_eq!(q.ask(ticket, at(1), |now| bucket.try_acquire_n(2, now).map(drop)), Err(never));
    assert!(q.is_empty());
}

#[test]
fn a_heavy_one_is_not_starved_by_light_ones() {
    let mut q = queue::<2>();
    let mut b = Bulkhead::new(NonZeroU32::new(2).unwrap());
    let light = b.try_acquire(at(0)).unwrap();
    let Ok(Asked::Wait { ticket: heavy, .. }) = q.enter(None, at(0), |now| b.try_acquire_n(2, now)) else {
        unreachable!()
    };
    // There is a place, but it is not the newcomer's.
    let Ok(Asked::Wait { ticket: behind, .. }) = q.enter(None, at(0), |now| b.try_acquire(now)) else { unreachable!() };
    b.cancel(light, at(1));
    assert!(matches!(q.ask(behind, at(1), |now| b.try_acquire(now)), Ok(Asked::Wait { .. })));
    assert!(matches!(q.ask(heavy, at(1), |now| b.try_acquire_n(2, now)), Ok(Asked::Granted(_))));
    // Not even a release could help.
    let over = q.enter(None, at(1), |now| b.try_acquire_n(3, now));
    assert!(matches!(over, Ok(Asked::Wait { .. })), "others are first");
    assert!(q.cancel(behind));
    let front = q.front().unwrap();
    assert_eq!(q.ask(front, at(1), |now| b.try_acquire_n(3, now)), Err(refused(Reason::OverLimit)));
}

#[test]
fn the_end_of_time_is_no_wait() {
    let mut q = queue::<1>();
    assert_eq!(q.enter(None, Instant::MAX, full), Err(refused(Reason::TooLate)));
    q.full = u32::MAX;
    q.late = u32::MAX;
    assert!(q.enter(None, Instant::MAX, full).is_err());
    let _ticket = waits(&mut q, None, 0);
    assert!(q.enter(None, at(0), full).is_err());
    assert_eq!((q.snapshot().full, q.snapshot().late), (u32::MAX, u32::MAX));
}

#[test]
fn nonsense_is_refused_by_name() {
    assert_eq!(WaitQueue::<0>::new(Duration::MAX).unwrap_err().setting, "capacity");
    assert_eq!(WaitQueue::<1>::new(Duration::ZERO).unwrap_err().setting, "max_wait");
}
